//! The foreign allocator traits, for our types and for yours: one feature each.
//!
//! | feature | trait |
//! |---|---|
//! | `allocator-api2-02` (or `allocator-api2`) | `allocator-api2` 0.2: hashbrown, bumpalo |
//! | `allocator-api2-04` | `allocator-api2` 0.4 |
//! | `nightly` | `core::alloc::Allocator`; needs a nightly compiler |
//!
//! The three have the same methods, so one macro writes all of them.
#![allow(unsafe_code)]

/// Implements every foreign allocator trait whose feature is on, for types that
/// have [`Allocator`](crate::Allocator). Generic parameters stand in brackets.
///
/// ```
/// # #![cfg_attr(feature = "nightly", feature(allocator_api))]
/// # use allod_kit::{AllocError, Allocator};
/// # use core::{alloc::Layout, ptr::NonNull};
/// struct Mine<A>(A);
///
/// // SAFETY: all of it is passed on.
/// unsafe impl<A: Allocator> Allocator for Mine<A> {
///     // ...
/// #   fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
/// #       self.0.allocate(layout)
/// #   }
/// #   fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
/// #       self.0.allocate_zeroed(layout)
/// #   }
/// #   unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
/// #       unsafe { self.0.deallocate(block, layout) }
/// #   }
/// #   unsafe fn reallocate(
/// #       &self, block: NonNull<u8>, old: Layout, new: Layout,
/// #   ) -> Result<NonNull<[u8]>, AllocError> {
/// #       unsafe { self.0.reallocate(block, old, new) }
/// #   }
/// #   unsafe fn reallocate_in_place(
/// #       &self, block: NonNull<u8>, old: Layout, new: Layout,
/// #   ) -> Result<NonNull<[u8]>, AllocError> {
/// #       unsafe { self.0.reallocate_in_place(block, old, new) }
/// #   }
/// #   unsafe fn usable_size(&self, block: NonNull<u8>, layout: Layout) -> usize {
/// #       unsafe { self.0.usable_size(block, layout) }
/// #   }
/// }
/// allod_kit::adapt!([A: Allocator] Mine<A>);
/// ```
#[macro_export]
macro_rules! adapt {
    ([$($parameters:tt)*] $ours:ty) => {
        $crate::__adapt_02!([$($parameters)*] $ours);
        $crate::__adapt_04!([$($parameters)*] $ours);
        $crate::__adapt_nightly!([$($parameters)*] $ours);
    };
    ($ours:ty) => {
        $crate::adapt!([] $ours);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __adapt {
    ($foreign:path, $error:path, [$($parameters:tt)*] $ours:ty) => {
        // SAFETY: our trait promises all that this one does.
        unsafe impl<$($parameters)*> $foreign for $ours {
            #[inline]
            fn allocate(
                &self,
                layout: ::core::alloc::Layout,
            ) -> ::core::result::Result<::core::ptr::NonNull<[u8]>, $error> {
                $crate::Allocator::allocate(self, layout).map_err(|_| $error)
            }

            #[inline]
            fn allocate_zeroed(
                &self,
                layout: ::core::alloc::Layout,
            ) -> ::core::result::Result<::core::ptr::NonNull<[u8]>, $error> {
                $crate::Allocator::allocate_zeroed(self, layout).map_err(|_| $error)
            }

            #[inline]
            unsafe fn deallocate(
                &self,
                block: ::core::ptr::NonNull<u8>,
                layout: ::core::alloc::Layout,
            ) {
                // SAFETY: the caller's promise is the same.
                unsafe { $crate::Allocator::deallocate(self, block, layout) };
            }

            #[inline]
            unsafe fn grow(
                &self,
                block: ::core::ptr::NonNull<u8>,
                old: ::core::alloc::Layout,
                new: ::core::alloc::Layout,
            ) -> ::core::result::Result<::core::ptr::NonNull<[u8]>, $error> {
                // SAFETY: the caller's promise is the same.
                unsafe { $crate::Allocator::reallocate(self, block, old, new) }.map_err(|_| $error)
            }

            #[inline]
            unsafe fn shrink(
                &self,
                block: ::core::ptr::NonNull<u8>,
                old: ::core::alloc::Layout,
                new: ::core::alloc::Layout,
            ) -> ::core::result::Result<::core::ptr::NonNull<[u8]>, $error> {
                // SAFETY: the caller's promise is the same.
                unsafe { $crate::Allocator::reallocate(self, block, old, new) }.map_err(|_| $error)
            }
        }
    };
}

// One macro for each feature: what `__adapt` writes, or nothing. Spelled out,
// because a macro that a macro wrote has no path within this crate.

#[cfg(feature = "allocator-api2-02")]
#[doc(hidden)]
#[macro_export]
macro_rules! __adapt_02 {
    ($($any:tt)*) => {
        $crate::__adapt! {
            $crate::foreign::api2_02::Allocator, $crate::foreign::api2_02::AllocError, $($any)*
        }
    };
}

#[cfg(not(feature = "allocator-api2-02"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __adapt_02 {
    ($($any:tt)*) => {};
}

#[cfg(feature = "allocator-api2-04")]
#[doc(hidden)]
#[macro_export]
macro_rules! __adapt_04 {
    ($($any:tt)*) => {
        $crate::__adapt! {
            $crate::foreign::api2_04::Allocator, $crate::foreign::api2_04::AllocError, $($any)*
        }
    };
}

#[cfg(not(feature = "allocator-api2-04"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __adapt_04 {
    ($($any:tt)*) => {};
}

#[cfg(feature = "nightly")]
#[doc(hidden)]
#[macro_export]
macro_rules! __adapt_nightly {
    ($($any:tt)*) => {
        $crate::__adapt! {
            $crate::foreign::nightly::Allocator, $crate::foreign::nightly::AllocError, $($any)*
        }
    };
}

#[cfg(not(feature = "nightly"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __adapt_nightly {
    ($($any:tt)*) => {};
}
