//! The program on the system's allocator: without a line, it is what a program gets.

fn main() {
    swap_allocators::run();
}
