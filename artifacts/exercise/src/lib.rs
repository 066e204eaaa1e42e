//! What every artifact does with memory, and what it must find.
//!
//! The library has no allocator and does not know which one it runs on. It
//! does a little of everything that takes a different way through one: small
//! objects and huge ones, vectors that grow, zeroed and aligned memory,
//! threads that come and go, objects that another thread drops, and a thread
//! that panics.
//!
//! [`check`] is handed the figure that the allocator gives of itself, and
//! compares it with what was done. A program in which some of the allocations
//! go elsewhere does not pass.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::mpsc;
use std::thread;

/// What [`run`] returns, whoever serves the memory.
pub const EXPECTED: u64 = 10_344_713;

/// The allocator's figure may be off by what a thread holds back.
const SLACK: usize = 128 << 10;

/// Does a little of everything; the result is always [`EXPECTED`].
#[must_use]
pub fn run() -> u64 {
    texts() + growth() + aligned() + threads() + panic()
}

fn texts() -> u64 {
    let mut texts = BTreeMap::new();
    for i in 0..2000_u64 {
        texts.insert(i * 7919 % 2000, "x".repeat(i as usize % 500));
    }
    texts.retain(|key, _| key % 3 != 0);
    texts.values().map(|text| text.len() as u64).sum()
}

/// Through every size there is, one `realloc` at a time, up to 8 MiB.
fn growth() -> u64 {
    let mut numbers = Vec::new();
    for i in 0..(1_u64 << 20) {
        numbers.push(i);
    }
    numbers.truncate(100_000);
    numbers.shrink_to_fit();
    let zeros = vec![0_u64; 1 << 18];
    assert!(zeros.iter().all(|zero| *zero == 0), "fresh memory reads as zeros");
    numbers.iter().step_by(1 << 12).map(|number| number >> 12).sum()
}

fn aligned() -> u64 {
    let mut found = 0;
    for shift in 3..=22 {
        let layout = Layout::from_size_align(100, 1 << shift).expect("a power of two, and small");
        let at = allocate(layout);
        assert!(at.addr().is_multiple_of(layout.align()), "an alignment of 2^{shift}");
        free(at, layout);
        found += 1;
    }
    found
}

#[expect(unsafe_code, reason = "only the raw calls take an alignment without a type")]
fn allocate(layout: Layout) -> *mut u8 {
    // SAFETY: the layout's size is not zero.
    unsafe { alloc_zeroed(layout) }
}

#[expect(unsafe_code, reason = "the other half of `allocate`")]
fn free(at: *mut u8, layout: Layout) {
    assert!(!at.is_null(), "there is memory");
    // SAFETY: `at` is from `allocate` with this layout, and is not used again.
    unsafe { dealloc(at, layout) };
}

/// Four threads make objects, a fifth drops them, twice, so that the second
/// four inherit what the first have left.
fn threads() -> u64 {
    let mut sum = 0;
    for _ in 0..2 {
        let (send, receive) = mpsc::channel::<Box<[u64]>>();
        let makers: Vec<_> = (0..4_u64)
            .map(|maker| {
                let send = send.clone();
                thread::spawn(move || {
                    for i in 0..1000 {
                        let object = vec![maker; i % 40 + 1].into_boxed_slice();
                        send.send(object).expect("the dropper outlives us");
                    }
                })
            })
            .collect();
        drop(send);
        let dropper = thread::spawn(move || receive.iter().map(|object| object[0]).sum::<u64>());
        for maker in makers {
            maker.join().expect("a maker does not panic");
        }
        sum += dropper.join().expect("the dropper does not panic");
    }
    sum
}

/// A thread that panics drops what it has on its way out, and its message
/// reaches who joins it.
fn panic() -> u64 {
    // The message on stderr would look like a failure of ours.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let thread = thread::spawn(|| {
        let _kept: Vec<String> = (0..100).map(|i| format!("object {i}")).collect();
        std::panic::panic_any(10_000_000_u64);
    });
    let message = thread.join().expect_err("the thread panics");
    std::panic::set_hook(usual);
    *message.downcast::<u64>().expect("the message is what the thread threw")
}

/// Runs everything, and compares the allocator's word with what was done.
///
/// # Panics
///
/// When they differ.
pub fn check(allocated: impl Fn() -> usize) {
    assert_eq!(run(), EXPECTED, "the results do not depend on the allocator");
    let before = allocated();
    let small: Vec<Box<[u8; 48]>> = (0..20_000).map(|_| Box::new([1; 48])).collect();
    let large: Vec<Vec<u8>> = (0..10).map(|_| black_box(vec![1; 100_000])).collect();
    // Unseen, the compiler may do without what nobody reads.
    let huge = black_box(vec![1_u8; 5 << 20]);
    let made = small.len() * (48 + 8) + 10 * 100_000 + huge.len();
    let grown = allocated().saturating_sub(before);
    // A large object takes whole slices of 32 KiB: 131,072 bytes for 100,000.
    assert!(grown >= made, "made {made} bytes, and the allocator says {grown}");
    assert!(grown <= made + 10 * 31_072 + SLACK, "made {made}, and the allocator says {grown}");
    drop((small, large, huge));
    let left = allocated().saturating_sub(before);
    assert!(left <= SLACK, "all is dropped, and the allocator says {left} bytes are left");
}
