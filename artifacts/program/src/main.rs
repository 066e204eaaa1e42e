//! A program on Allod.
//!
//! One line makes it so: the `static` below. The test builds this program
//! without link-time optimization, with thin and with fat, and linked
//! statically; each time it must find that all of its memory, that of the
//! standard library included, came from Allod.

#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::new();

fn main() {
    let stats = allod::stats();
    assert_eq!(stats.backend, allod::Backend::Allod);
    assert!(stats.allocations > 0, "the runtime has allocated before `main`");
    exercise::check(|| allod::stats().allocated);
    println!("program: all of it is on Allod");
}
