//! The program on Allod.

#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::new();

fn main() {
    swap_allocators::run();
}
