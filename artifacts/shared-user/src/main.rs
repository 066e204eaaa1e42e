//! A program whose allocator is in a Rust shared library.
//!
//! What one of the two allocates, the other may free: there is one allocator.

fn main() {
    exercise::check(shared::allocated);
    let before = shared::allocated();
    let theirs = shared::make(1_000_000);
    assert!(shared::allocated() >= before + 1_000_000);
    drop(theirs);
    assert!(shared::allocated() < before + 1_000_000);
    println!("shared-user: all of it is on Allod");
}
