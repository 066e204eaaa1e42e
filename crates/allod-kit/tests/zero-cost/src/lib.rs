//! Functions in pairs: `bare_…` calls an allocator, `wrapped_…` calls it through
//! a stack of wrappers that do nothing in this case. `tests/zero_cost.rs`
//! compares their instructions.
#![expect(unsafe_code, reason = "it calls allocators")]

use allod_kit::{AlignTo, AsGlobal, Fallback, FromGlobal, Realign, Refuse, Segregate, Watched};
use std::alloc::{GlobalAlloc, Layout};

unsafe extern "C" {
    fn base_alloc(size: usize, align: usize) -> *mut u8;
    fn base_zeroed(size: usize, align: usize) -> *mut u8;
    fn base_dealloc(block: *mut u8, size: usize, align: usize);
    fn base_realloc(block: *mut u8, size: usize, align: usize, new: usize) -> *mut u8;
}

/// An allocator that nothing is known about.
#[derive(Clone, Copy, Default)]
pub struct Base;

// SAFETY: nobody runs it.
unsafe impl GlobalAlloc for Base {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: nobody runs it.
        unsafe { base_alloc(layout.size(), layout.align()) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: nobody runs it.
        unsafe { base_zeroed(layout.size(), layout.align()) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: nobody runs it.
        unsafe { base_dealloc(block, layout.size(), layout.align()) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        // SAFETY: nobody runs it.
        unsafe { base_realloc(block, layout.size(), layout.align(), new) }
    }
}

/// Known to the compiler, as the layout of a `Box` is.
const LAYOUT: Layout = Layout::new::<[u64; 6]>();

/// The four operations under names of their own.
macro_rules! operations {
    ($allocator:expr, $alloc:ident, $zeroed:ident, $dealloc:ident, $realloc:ident) => {
        /// Allocates.
        #[unsafe(no_mangle)]
        pub fn $alloc() -> *mut u8 {
            // SAFETY: nobody runs it.
            unsafe { $allocator.alloc(LAYOUT) }
        }

        /// Allocates zeros.
        #[unsafe(no_mangle)]
        pub fn $zeroed() -> *mut u8 {
            // SAFETY: nobody runs it.
            unsafe { $allocator.alloc_zeroed(LAYOUT) }
        }

        /// Frees.
        #[unsafe(no_mangle)]
        pub fn $dealloc(block: std::ptr::NonNull<u8>) {
            // SAFETY: nobody runs it.
            unsafe { $allocator.dealloc(block.as_ptr(), LAYOUT) };
        }

        /// Changes the size, within what is small.
        #[unsafe(no_mangle)]
        pub fn $realloc(block: std::ptr::NonNull<u8>) -> *mut u8 {
            // SAFETY: nobody runs it.
            unsafe { $allocator.realloc(block.as_ptr(), LAYOUT, 96) }
        }
    };
}

operations!(Base, bare_alloc, bare_zeroed, bare_dealloc, bare_realloc);
operations!(
    AsGlobal::new(FromGlobal::new(Base)),
    there_and_back_alloc,
    there_and_back_zeroed,
    there_and_back_dealloc,
    there_and_back_realloc
);
operations!(
    Watched::with(Base, ()),
    watched_alloc,
    watched_zeroed,
    watched_dealloc,
    watched_realloc
);
operations!(
    Realign::<16, _>::new(AlignTo::<8, _>::new(Base)),
    aligned_alloc,
    aligned_zeroed,
    aligned_dealloc,
    aligned_realloc
);
operations!(
    Segregate::<256, _, _>::new(Base, Refuse),
    small_alloc,
    small_zeroed,
    small_dealloc,
    small_realloc
);
operations!(
    Segregate::<16, _, _>::new(
        Refuse,
        Fallback::new(Refuse, Watched::with(Realign::<64, _>::new(Base), ()))
    ),
    stack_alloc,
    stack_zeroed,
    stack_dealloc,
    stack_realloc
);
