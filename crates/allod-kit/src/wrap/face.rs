//! What all wrappers share: the face of a `GlobalAlloc`, and two small moves.
#![allow(unsafe_code)]

use crate::{AllocError, Allocator};
use core::alloc::Layout;
use core::ptr::NonNull;

/// A `GlobalAlloc` for a wrapper over a `GlobalAlloc`, by its own [`Allocator`]
/// over a [`FromGlobal`](crate::FromGlobal). First the wrapper's parameters, then the wrapper as
/// it is, then as it is looked at. The wrapper is `repr(C)`, and its fields
/// depend on nothing else of the allocator below than the layout.
macro_rules! globally {
    ([$($parameters:tt)*] $wrapper:ty, $seen:ty) => {
        // SAFETY: what an `Allocator` promises is what a `GlobalAlloc` does.
        unsafe impl<$($parameters)*> ::core::alloc::GlobalAlloc for $wrapper {
            #[inline]
            unsafe fn alloc(&self, layout: ::core::alloc::Layout) -> *mut u8 {
                let seen = ::core::ptr::from_ref(self).cast::<$seen>();
                // SAFETY: the same layout: `FromGlobal` is transparent, and the
                // wrapper `repr(C)`.
                let seen = $crate::AsGlobal::new(unsafe { &*seen });
                // SAFETY: the caller's promise is the same.
                unsafe { ::core::alloc::GlobalAlloc::alloc(&seen, layout) }
            }

            #[inline]
            unsafe fn alloc_zeroed(&self, layout: ::core::alloc::Layout) -> *mut u8 {
                let seen = ::core::ptr::from_ref(self).cast::<$seen>();
                // SAFETY: as in `alloc`.
                let seen = $crate::AsGlobal::new(unsafe { &*seen });
                // SAFETY: the caller's promise is the same.
                unsafe { ::core::alloc::GlobalAlloc::alloc_zeroed(&seen, layout) }
            }

            #[inline]
            unsafe fn dealloc(&self, block: *mut u8, layout: ::core::alloc::Layout) {
                let seen = ::core::ptr::from_ref(self).cast::<$seen>();
                // SAFETY: as in `alloc`.
                let seen = $crate::AsGlobal::new(unsafe { &*seen });
                // SAFETY: the caller's promise is the same.
                unsafe { ::core::alloc::GlobalAlloc::dealloc(&seen, block, layout) };
            }

            #[inline]
            unsafe fn realloc(
                &self,
                block: *mut u8,
                layout: ::core::alloc::Layout,
                size: usize,
            ) -> *mut u8 {
                let seen = ::core::ptr::from_ref(self).cast::<$seen>();
                // SAFETY: as in `alloc`.
                let seen = $crate::AsGlobal::new(unsafe { &*seen });
                // SAFETY: the caller's promise is the same.
                unsafe { ::core::alloc::GlobalAlloc::realloc(&seen, block, layout, size) }
            }
        }
    };
}

pub(crate) use globally;

/// The block without what is beyond its layout, for wrappers to which a block
/// has to come back with the layout it was asked for.
#[inline]
pub(crate) fn exactly(block: NonNull<[u8]>, layout: Layout) -> NonNull<[u8]> {
    NonNull::slice_from_raw_parts(block.cast(), layout.size())
}

/// Moves a block from one allocator to another.
///
/// # Safety
///
/// The block is live, is `from`'s, and has the layout `old`.
#[inline]
pub(crate) unsafe fn move_to(
    from: &impl Allocator,
    to: &impl Allocator,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<[u8]>, AllocError> {
    let other = to.allocate(new)?;
    let count = old.size().min(new.size());
    // SAFETY: both hold that many bytes, and the new one is nobody else's.
    unsafe { block.copy_to_nonoverlapping(other.cast(), count) };
    // SAFETY: the caller's promise.
    unsafe { from.deallocate(block, old) };
    Ok(other)
}
