//! The foreign allocator traits, for [`Global`] and `&Heap`: one feature each.
//!
//! | feature | trait |
//! |---|---|
//! | `allocator-api2-02` (or `allocator-api2`) | `allocator-api2` 0.2: hashbrown, bumpalo |
//! | `allocator-api2-04` | `allocator-api2` 0.4 |
//! | `nightly` | `core::alloc::Allocator`; needs a nightly compiler |
//!
//! The three have the same methods, so one macro writes all of them.
#![allow(unsafe_code)]

#[cfg(any(feature = "allocator-api2-02", feature = "allocator-api2-04", feature = "nightly"))]
macro_rules! adapt {
    ($foreign:path, $error:path, $($ours:ty),+) => {$(
        // SAFETY: our trait promises all that this one does.
        unsafe impl $foreign for $ours {
            #[inline]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, $error> {
                Allocator::allocate(self, layout).map_err(|_| $error)
            }

            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, $error> {
                Allocator::allocate_zeroed(self, layout).map_err(|_| $error)
            }

            #[inline]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller's promise is the same.
                unsafe { Allocator::deallocate(self, block, layout) };
            }

            #[inline]
            unsafe fn grow(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, $error> {
                // SAFETY: the caller's promise is the same.
                unsafe { Allocator::reallocate(self, block, old, new) }.map_err(|_| $error)
            }

            #[inline]
            unsafe fn shrink(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, $error> {
                // SAFETY: the caller's promise is the same.
                unsafe { Allocator::reallocate(self, block, old, new) }.map_err(|_| $error)
            }
        }
    )+};
}

#[cfg(feature = "allocator-api2-02")]
mod api2_02 {
    use crate::{Allocator, Global, Heap};
    use allocator_api2_02::alloc;
    use core::alloc::Layout;
    use core::ptr::NonNull;
    adapt!(alloc::Allocator, alloc::AllocError, Global, &Heap);
}

#[cfg(feature = "allocator-api2-04")]
mod api2_04 {
    use crate::{Allocator, Global, Heap};
    use allocator_api2_04::alloc;
    use core::alloc::Layout;
    use core::ptr::NonNull;
    adapt!(alloc::Allocator, alloc::AllocError, Global, &Heap);
}

#[cfg(feature = "nightly")]
mod nightly {
    use crate::{Allocator, Global, Heap};
    use core::alloc::{self, Layout};
    use core::ptr::NonNull;
    adapt!(alloc::Allocator, alloc::AllocError, Global, &Heap);
}
