//! Where do the bytes of a `Box` live?
//!
//! ```text
//! cargo run --example where_bytes_live
//! ```
//!
//! The example makes one `Box` of 42 bytes and follows it down through the
//! rooms of the house, from the street to the cellar:
//!
//! | room | what it does to 42 bytes |
//! |---|---|
//! | size class | rounds them up to 48: one of the few dozen sizes there are |
//! | block | 48 bytes, one of many that lie side by side |
//! | span | the blocks' home: all of one class, and one thread's |
//! | slice | spans are made of slices of 32 KiB, at multiples of that |
//! | chunk | 64 slices: 2 MiB, one huge page, at a multiple of that |
//! | region | a row of chunks: what the allocator has reserved in one piece |
//! | mapping | what the kernel knows: from here to there, readable, writable |
//!
//! Because slices and chunks stand at multiples of their sizes, an address says
//! by itself in which it lies; a division is all it takes. That is how `free`
//! finds the way back from a bare pointer, and it is what the example does.
//!
//! It asks nobody but the public interface ([`allod::stats`],
//! [`Allocator::usable_size`]) and the kernel (`/proc/self/maps`). At the end it
//! shows two objects that are too big for the way above: a *large* one, which
//! has slices of its own, and a *huge* one, which has a mapping of its own.
#![expect(unsafe_code, reason = "asking a block for its size is a promise that it is one")]

use allod::{Allocator, Allod, Backend, Global, Stats};
use std::alloc::Layout;
use std::ptr::NonNull;

#[global_allocator]
static GLOBAL: Allod = Allod::new();

/// What a span is made of.
const SLICE: usize = 32 << 10;
/// What a region is made of.
const CHUNK: usize = 2 << 20;

fn main() {
    if allod::stats().backend == Backend::System {
        println!("The platform's allocator serves here, and it has other rooms.");
        return;
    }
    // The first of a kind makes its span. We look at the second.
    let first = Box::new([1_u8; 42]);
    let before = allod::stats();
    let second = Box::new([2_u8; 42]);
    let after = allod::stats();

    let address = second.as_ptr().addr();
    println!("a Box of 42 bytes at {address:#x}\n");
    let block = usable(&*second);
    println!("size class  {block}: the smallest size that holds 42");
    println!(
        "stats       allocated {} -> {}: {} more",
        before.allocated,
        after.allocated,
        after.allocated - before.allocated
    );
    let per_span = blocks_of_a_span(&after, block);
    assert!(per_span * block <= SLICE, "a span of this class is one slice");
    let span = address - address % SLICE;
    let number = (address - span) / block;
    assert_eq!(span + number * block, address, "blocks lie side by side from the span's start");
    println!("block       number {number} of the {per_span} in its span");
    println!("span        {span:#x}, and so long that {per_span} x {block} bytes fit: one slice");
    let chunk = address - address % CHUNK;
    println!("slice       number {} of the 64 in its chunk", (span - chunk) / SLICE);
    println!("chunk       {chunk:#x}, a multiple of 2 MiB");
    let (mapping, row) = mapping_of(address);
    println!("region      in a row of {} MiB, nearly all of it only reserved", row >> 20);
    println!("mapping     {mapping}");

    let distance = address.abs_diff(first.as_ptr().addr()) / block;
    println!("\nthe Box made just before it is at a distance of {distance} block");
    bigger();
}

/// A large object and a huge one: the same questions, other answers.
fn bigger() {
    for (kind, size) in [("large", 100_000), ("huge", 5 << 20)] {
        let object = vec![0_u8; size];
        let address = object.as_ptr().addr();
        let held = usable(&*object);
        let (mapping, _) = mapping_of(address);
        println!("\na {kind} object: {size} bytes at {address:#x}");
        println!("  it holds {held}: {} slices", held.div_ceil(SLICE));
        println!("  {} bytes into a slice, {} into a chunk", address % SLICE, address % CHUNK);
        println!("  mapping {mapping}");
    }
}

/// Bytes that an object's block really has.
fn usable<T: ?Sized>(object: &T) -> usize {
    // SAFETY: each object that we are asked about is alone in a block of the
    // global allocator, and has the layout it was allocated with.
    unsafe { Global.usable_size(NonNull::from(object).cast(), Layout::for_value(object)) }
}

/// How many blocks of this size a span has.
fn blocks_of_a_span(stats: &Stats, block: usize) -> usize {
    let class = stats.classes.iter().find(|class| class.block_size == block);
    class.map_or(0, |class| class.capacity / class.spans.max(1))
}

/// The kernel's line about the mapping that an address lies in, and how many
/// bytes in a row are mapped around it, the reserved ones included: its region,
/// and whatever of the allocator's own lies against it.
fn mapping_of(address: usize) -> (String, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("there is a `/proc`");
    let mut line_found = String::new();
    let (mut start, mut end) = (0, 0);
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (low, high) = words[0].split_once('-').expect("a line begins with a range");
        let number = |text| usize::from_str_radix(text, 16).expect("in base 16");
        let (low, high) = (number(low), number(high));
        // A file's mapping is nobody's memory but the file's.
        let is_ours = words.len() < 6;
        if low != end || !is_ours {
            if !line_found.is_empty() {
                break;
            }
            start = low;
        }
        end = if is_ours { high } else { 0 };
        if (low..high).contains(&address) {
            line_found = words[..2].join(" ");
        }
    }
    (line_found, end - start)
}
