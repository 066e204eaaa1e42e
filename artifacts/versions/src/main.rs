//! Two versions of Allod in one program.
//!
//! One is the program's allocator. The other serves objects that are asked of
//! it by name, as it would inside a dependency that brought it. They have the
//! same source and share nothing: no symbol, no thread-local slot, no memory.
#![expect(unsafe_code, reason = "the second allocator is asked through its raw face")]

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::thread;

#[global_allocator]
static NEWER: newer::Allod = newer::Allod::new();
static OLDER: older::Allod = older::Allod::new();

const LAYOUT: Layout = Layout::new::<[u64; 100]>();

fn main() {
    let before = (newer::stats().allocated, older::stats().allocated);
    assert!(before.0 > 0, "the program is on the newer one");
    assert_eq!(before.1, 0, "the older one has not been asked");

    let workers: Vec<_> = (0..4).map(|_| thread::spawn(work)).collect();
    let theirs: Vec<Object> =
        workers.into_iter().flat_map(|it| it.join().expect("no panic")).collect();
    let made = theirs.len() * LAYOUT.size();
    assert!(theirs.iter().all(Object::is_whole));
    assert!(older::stats().allocated >= made, "the older one's objects are its own");
    let newer = newer::stats().allocated - before.0;
    assert!(newer < made, "and not the newer one's: {newer} bytes");

    let ours = black_box(vec![1_u8; 4 << 20]);
    assert!(older::stats().allocated < made + (1 << 20), "the program's are not the older one's");
    assert!(newer::stats().allocated >= 4 << 20);
    drop((ours, theirs));
    assert!(older::stats().allocated < made / 10, "the older one has its objects back");
    println!("versions: two allocators, each with its own");
}

/// An object of the older version's.
struct Object(*mut u64);

// SAFETY: an object may be used and freed on any thread.
unsafe impl Send for Object {}

impl Object {
    fn new() -> Self {
        // SAFETY: the layout's size is not zero.
        let at = unsafe { OLDER.alloc(LAYOUT) }.cast::<u64>();
        assert!(!at.is_null(), "there is memory");
        // SAFETY: the object is ours and has room for it.
        unsafe { at.write(at.addr() as u64) };
        Self(at)
    }

    fn is_whole(&self) -> bool {
        // SAFETY: the object is ours, and `new` has written it.
        let word = unsafe { self.0.read() };
        word == self.0.addr() as u64
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: the object is from there, with this layout, and ours to give up.
        unsafe { OLDER.dealloc(self.0.cast(), LAYOUT) };
    }
}

/// Uses both on one thread, and leaves objects of both for another to drop.
fn work() -> Vec<Object> {
    let mut objects = Vec::new();
    for i in 0..2000 {
        objects.push(Object::new());
        if i % 3 == 0 {
            objects.swap_remove(objects.len() / 2);
        }
    }
    objects
}
