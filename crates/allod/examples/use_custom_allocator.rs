//! The same `Box`, `Vec` and `HashMap` in three different places.
//!
//! ```text
//! cargo run --example use_custom_allocator --features allocator-api2
//! ```
//!
//! A collection has two parts: a handle of a few words, which lies where the
//! variable lies, and what it holds, which lies where its *allocator* says. For
//! the collections of the standard library that is always the program's global
//! allocator. Collections with one more type parameter can be told: here those
//! of the crates `allocator-api2` (`Box`, `Vec`) and `hashbrown` (`HashMap`).
//!
//! The example fills one of each on three allocators and looks up, in the
//! system's list of this process's mappings, where the contents came to lie:
//!
//! * **A bump pointer on the stack.** [`Bump`] is an array and a number: how
//!   much of the array is taken. It serves in two or three instructions, and it
//!   never takes anything back. For a short task that is a fine bargain: when
//!   the function returns, the array goes with its frame, and everything in it.
//! * **A heap of their own.** [`Heap`] frees like any allocator, and it can be
//!   dropped, which frees everything in it at once. A request, a document, a
//!   tenant of a server can have one, and be gone without a trace. The kernel
//!   sees no difference: the mapping is the global heap's as well. But no slice
//!   of 32 KiB has objects of both.
//! * **The global heap**, which [`Global`] names, so that it can stand where an
//!   allocator is expected.
//!
//! What a collection gets is not the allocator but a *handle* of it, which may
//! be copied: `&Bump`, `&Heap`, `Global`. The references are the point: they
//! borrow. No collection can outlive the memory it lies in; try to return one
//! from [`on_the_stack`], and the compiler says so.
#![expect(unsafe_code, reason = "the contract of an allocator is a promise, and so unsafe to make")]

// Allod knows two versions of the crate, and so gives each a name.
use allocator_api2_02::alloc::{AllocError, Allocator};
use allocator_api2_02::boxed::Box;
use allocator_api2_02::vec::Vec;
use allod::{Allod, Global, Heap};
use hashbrown::HashMap;
use std::alloc::Layout;
use std::cell::{Cell, UnsafeCell};
use std::hash::RandomState;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

#[global_allocator]
static GLOBAL: Allod = Allod::new();

/// What Allod's heaps are made of: no two share one.
const SLICE: usize = 32 << 10;

/// A bump pointer over an array.
///
/// ```text
///   memory  | Box |pad| Vec, 4 | Vec, 8         |     free        |
///                                               ^ used
/// ```
///
/// The `Vec` grew once: its old place stays taken, because nobody goes back.
struct Bump<const SIZE: usize> {
    memory: UnsafeCell<[MaybeUninit<u8>; SIZE]>,
    used: Cell<usize>,
}

impl<const SIZE: usize> Bump<SIZE> {
    fn new() -> Self {
        Self { memory: UnsafeCell::new([MaybeUninit::uninit(); SIZE]), used: Cell::new(0) }
    }
}

// SAFETY: blocks do not overlap, since `used` only grows. They stay where they
// are: the array cannot move while a `&Bump` lives. Copies of the reference lead
// to the same array. Cells keep it on one thread.
unsafe impl<const SIZE: usize> Allocator for &Bump<SIZE> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let base: *mut u8 = self.memory.get().cast();
        let free = base.wrapping_add(self.used.get());
        let start = self.used.get() + free.align_offset(layout.align());
        let end = start.checked_add(layout.size()).filter(|end| *end <= SIZE).ok_or(AllocError)?;
        self.used.set(end);
        let block = NonNull::new(base.wrapping_add(start)).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    unsafe fn deallocate(&self, _block: NonNull<u8>, _layout: Layout) {}
}

/// Where an object lies: its address, and the mapping around it.
struct Place(usize, String);

fn main() {
    on_the_stack();
    let heap = Heap::new().expect("there is memory");
    let theirs = fill("a heap of their own", &heap);
    println!("own heap: {} of 3 objects on the stack\n", on_stack(&theirs));
    let global = fill("the global heap", Global);
    println!("global heap: {} of 3 objects on the stack\n", on_stack(&global));

    let shared = theirs.iter().filter(|a| global.iter().any(|b| a.0 / SLICE == b.0 / SLICE));
    println!("slices that both heaps lie in: {}", shared.count());
    let before = allod::stats().allocated;
    for number in 0..1000 {
        std::mem::forget(Box::new_in([number; 100], &heap));
    }
    drop(heap);
    let left = allod::stats().allocated.saturating_sub(before);
    println!(
        "1000 objects were forgotten in one of them; it is dropped, and {left} bytes are left"
    );
}

fn on_the_stack() {
    let bump = Bump::<4096>::new();
    let places = fill("a bump pointer on the stack", &bump);
    println!("bump pointer: {} of 3 objects on the stack", on_stack(&places));
    println!("it has given out {} of its 4096 bytes, and gets none back\n", bump.used.get());
}

/// Fills one of each on `allocator`, and says where they lie.
fn fill<A: Allocator + Copy>(title: &str, allocator: A) -> [Place; 3] {
    let boxed = Box::new_in(7_u64, allocator);
    let mut numbers = Vec::new_in(allocator);
    numbers.extend(0..100_u64);
    let mut names = HashMap::with_hasher_in(RandomState::new(), allocator);
    names.insert("seven", 7_u64);

    println!("{title}:");
    let place = |what, address| {
        let mapping = mapping_of(address);
        println!("  {what:<20} {address:#x} in {mapping}");
        Place(address, mapping)
    };
    [
        place("the Box's number", ptr::from_ref(&*boxed).addr()),
        place("the Vec's first", ptr::from_ref(&numbers[0]).addr()),
        place("the HashMap's entry", ptr::from_ref(&names["seven"]).addr()),
    ]
}

fn on_stack(places: &[Place]) -> usize {
    places.iter().filter(|place| place.1.ends_with("[stack]")).count()
}

/// The system's line about the mapping that an address lies in: its bounds,
/// what may be done there, and a name if it has one.
fn mapping_of(address: usize) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for line in maps.lines() {
        let words: std::vec::Vec<_> = line.split_whitespace().collect();
        let Some((start, end)) = words.first().and_then(|range| range.split_once('-')) else {
            continue;
        };
        let number = |text| usize::from_str_radix(text, 16).unwrap_or(0);
        if (number(start)..number(end)).contains(&address) {
            let name = words.get(5).unwrap_or(&"(no name)");
            return format!("{start}-{end} {} {name}", words[1]);
        }
    }
    "a mapping that this system does not list".to_owned()
}
