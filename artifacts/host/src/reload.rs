//! The plugin comes and goes, and the threads that used it go later.
//!
//! ```text
//!   load 1   load 2   load 3   load 4
//!   |----|   |----|   |----|   |----|      the plugin is loaded
//!     t1 ------ t1 ------ t1 x             thread 1: uses three of them, ends
//!              t2 ------ t2 ------ t2 x    thread 2
//! ```
//!
//! A thread that has used the plugin carries traces of it: a value for its
//! key, and a slot of thread-local storage. The next load may get the same
//! addresses, the same key and the same slot, and must not take the traces of
//! the last one for its own. So each thread lives through three loads, uses
//! each of them, and ends while the third is unloaded, or the fourth loaded:
//! both are tried, turn about.
//!
//! A plugin that has freed all it allocated, and whose threads have ended
//! (`settled`), can leave nothing behind. With threads that may be in the middle
//! of it (`clean`: it cannot know that they are not), or with an object whose
//! address it may have told anybody (`leaky`), what holds its memory must stay.

use crate::library::{Plugin, expected};
use std::collections::VecDeque;
use std::fs;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

/// Loads that a thread lives through.
const LOADS: usize = 3;
/// Loads before the first measurement, in which the host itself settles.
const WARM_UP: usize = 50;

/// What a thread does with the plugin besides its work.
#[derive(Clone, Copy)]
pub(crate) enum Habit {
    /// Nothing.
    Clean,
    /// It forgets an object.
    Leaky,
    /// It has the plugin keep something until the thread ends.
    Pinned,
}

/// A thread that waits for plugins to use.
struct User {
    give: Sender<Arc<Plugin>>,
    done: Receiver<()>,
    thread: JoinHandle<()>,
}

impl User {
    fn new(habit: Habit) -> Self {
        let (give, plugins) = mpsc::channel::<Arc<Plugin>>();
        let (tell, done) = mpsc::channel();
        let thread = thread::spawn(move || {
            for plugin in plugins {
                work(&plugin, habit);
                drop(plugin);
                tell.send(()).expect("the main thread waits");
            }
        });
        Self { give, done, thread }
    }

    /// Has the thread use the plugin, and let go of it.
    fn serve(&self, plugin: &Arc<Plugin>) {
        self.give.send(Arc::clone(plugin)).expect("the thread waits");
        self.done.recv().expect("the thread is through");
    }

    /// Ends the thread.
    fn end(self) {
        drop(self.give);
        self.thread.join().expect("the thread ends well");
    }
}

fn work(plugin: &Plugin, habit: Habit) {
    let things: Vec<_> = (0..100).map(|number| plugin.make(number)).collect();
    for (number, thing) in (0..).zip(&things) {
        assert_eq!(thing.sum(), expected(number), "the object is whole");
    }
    match habit {
        Habit::Clean => {}
        Habit::Leaky => mem::forget(plugin.make(7)),
        Habit::Pinned => plugin.pin(),
    }
}

/// One load: everybody uses the plugin, and it goes.
fn load(path: &str, users: &VecDeque<User>) {
    let plugin = Arc::new(Plugin::open(path));
    for user in users {
        user.serve(&plugin);
    }
    drop(Arc::into_inner(plugin).expect("the threads have let go of it"));
}

pub(crate) fn run(path: &str, times: usize, habit: Habit) {
    let mut users = VecDeque::new();
    let mut start = Memory::now();
    for i in 0..times {
        if i == WARM_UP {
            start = Memory::now();
        }
        users.push_back(User::new(habit));
        if i % 2 == 0 && users.len() > LOADS {
            end_first(&mut users);
        }
        load(path, &users);
        assert!(!is_loaded(path), "load {i}: the plugin is unloaded when it is closed");
        if i % 2 == 1 && users.len() > LOADS {
            end_first(&mut users);
        }
    }
    while !users.is_empty() {
        end_first(&mut users);
    }
    report(start, times);
}

/// With threads that end before the plugin is closed.
pub(crate) fn settled(path: &str, times: usize) {
    let mut start = Memory::now();
    for i in 0..times {
        if i == WARM_UP {
            start = Memory::now();
        }
        let plugin = Arc::new(Plugin::open(path));
        for user in [User::new(Habit::Clean), User::new(Habit::Clean)] {
            user.serve(&plugin);
            user.end();
        }
        work(&plugin, Habit::Clean);
        drop(plugin);
        assert!(!is_loaded(path), "load {i}: the plugin is unloaded when it is closed");
    }
    report(start, times);
}

/// With threads in which the plugin has something to do at their end.
pub(crate) fn pinned(path: &str, times: usize) {
    for i in 0..times {
        let users = VecDeque::from([User::new(Habit::Pinned), User::new(Habit::Pinned)]);
        load(path, &users);
        assert!(is_loaded(path), "load {i}: the threads keep the plugin");
        users.into_iter().for_each(User::end);
    }
    println!("pinned: {times} loads; the threads ended in the plugin");
}

/// Says what there is more of than at the start, by load.
fn report(start: Memory, times: usize) {
    let end = Memory::now();
    let loads = times.saturating_sub(WARM_UP).max(1);
    let each = |end: usize, start: usize| end.saturating_sub(start) as f64 / loads as f64;
    println!(
        "{times} loads; of each is left: resident {:.1} KiB, reserved {:.1} KiB, mappings {:.2}",
        each(end.resident, start.resident),
        each(end.reserved, start.reserved),
        each(end.mappings, start.mappings),
    );
}

fn end_first(users: &mut VecDeque<User>) {
    users.pop_front().expect("there is one").end();
}

fn is_loaded(path: &str) -> bool {
    let maps = fs::read_to_string("/proc/self/maps").expect("there is a `/proc`");
    maps.lines().any(|line| line.ends_with(path))
}

/// What this process has, in KiB, and the number of its mappings.
#[derive(Clone, Copy)]
struct Memory {
    resident: usize,
    reserved: usize,
    mappings: usize,
}

impl Memory {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("there is a `/proc`");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let digits = line.and_then(|line| line.split_whitespace().next());
            digits.and_then(|digits| digits.parse().ok()).expect("the kernel tells it")
        };
        let maps = fs::read_to_string("/proc/self/maps").expect("there is a `/proc`");
        Self {
            resident: field("VmRSS:"),
            reserved: field("VmSize:"),
            mappings: maps.lines().count(),
        }
    }
}
