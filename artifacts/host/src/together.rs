//! Both sides at work at once.
//!
//! Each side has its own allocator, and the plugin's figures show its own
//! objects and nothing of the host's. Threads of the host use the plugin, pass
//! its objects to each other, and end; later ones take over what they left.

use crate::library::{Plugin, Thing, expected};
use std::hint::black_box;
use std::sync::mpsc;
use std::thread;

/// What the plugin may hold back in the threads' lists.
const SLACK: usize = 1 << 20;

pub(crate) fn run(path: &str) {
    let plugin = Plugin::open(path);
    apart(&plugin);
    for _ in 0..3 {
        threads(&plugin);
    }
    let answers = plugin.call(answer, 1000);
    assert_eq!(answers, (0..1000).map(|i| i * 2).sum::<u64>(), "the plugin hears the host");
    let left = plugin.allocated();
    assert!(left <= SLACK, "all is freed, and the plugin says {left} bytes are left");
    println!("host: both sides are whole");
}

/// Neither side's objects show in the other's figures.
fn apart(plugin: &Plugin) {
    drop(plugin.make(1));
    let before = plugin.allocated();
    let ours = black_box(vec![1_u8; 10 << 20]);
    let many: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
    assert_eq!(plugin.allocated(), before, "the host's objects are not the plugin's");
    let theirs: Vec<Thing<'_>> = (0..1000).map(|_| plugin.make(499)).collect();
    let made = 1000 * 499 * 8;
    assert!(plugin.allocated() >= before + made, "the plugin's objects are its own");
    assert!(theirs.iter().all(|thing| thing.sum() == expected(499)));
    drop((ours, many, theirs));
    assert!(plugin.allocated() <= before + SLACK, "and they are freed");
}

/// Three threads make objects; a fourth drops them.
fn threads(plugin: &Plugin) {
    thread::scope(|scope| {
        let (send, receive) = mpsc::channel::<(u64, Thing<'_>, String)>();
        let mut threads = Vec::new();
        for maker in 0..3_u64 {
            let send = send.clone();
            threads.push(scope.spawn(move || {
                for i in 0..2000 {
                    let number = maker * 1000 + i;
                    let thing = plugin.make(number);
                    let ours = format!("object {number} of the host");
                    send.send((number, thing, ours)).expect("the dropper outlives us");
                }
            }));
        }
        drop(send);
        threads.push(scope.spawn(move || {
            for (number, thing, ours) in receive {
                assert_eq!(thing.sum(), expected(number), "the object is whole");
                assert!(ours.contains(&number.to_string()), "ours is whole");
            }
        }));
        // The scope waits for what the threads do, and `join` for their end.
        for thread in threads {
            thread.join().expect("the thread ends well");
        }
    });
}

/// Called by the plugin: allocates on our side, under frames of theirs.
extern "C" fn answer(number: u64) -> u64 {
    let text = number.to_string().repeat(3);
    let boxed: Box<str> = text.into();
    number * 2 + boxed.len() as u64 - boxed.len() as u64
}
