//! A program whose allocator comes with a library.
//!
//! It does not name Allod, and runs on it all the same.

fn main() {
    exercise::check(carrier::allocated);
    println!("carried: all of it is on Allod");
}
