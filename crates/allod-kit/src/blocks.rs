//! An allocator of blocks of one size: what every pool is beside handing out boxes.
//!
//! A block is a slot. A layout that fits into a slot gets a whole one, and every
//! other is refused; growing goes as far as the slot does.
#![allow(unsafe_code)]

use crate::allocator::AllocError;
use core::alloc::Layout;
use core::ptr::NonNull;

/// Something that hands out slots.
///
/// # Safety
///
/// A slot is nobody else's until it is given back, and stays where it is while
/// the pool is borrowed.
pub(crate) unsafe trait Blocks {
    /// A slot's layout. Its size is not 0.
    const LAYOUT: Layout;

    fn block(&self) -> Result<NonNull<u8>, AllocError>;

    /// # Safety
    ///
    /// The block came from `block` and is not used again.
    unsafe fn unblock(&self, block: NonNull<u8>);
}

/// Whether a block of this layout is a slot.
#[inline]
pub(crate) const fn fits<P: Blocks>(layout: Layout) -> bool {
    layout.size() <= P::LAYOUT.size() && layout.align() <= P::LAYOUT.align()
}

/// The allocator trait for a reference to a pool.
macro_rules! blocks {
    ([$($parameters:tt)*] $pool:ty) => {
        // SAFETY: `Blocks` promises it.
        unsafe impl<$($parameters)*> Allocator for &$pool {
            #[inline]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                if layout.size() == 0 {
                    return Ok(nothing(layout));
                }
                if !$crate::blocks::fits::<$pool>(layout) {
                    return Err(AllocError);
                }
                let size = <$pool as Blocks>::LAYOUT.size();
                self.block().map(|block| NonNull::slice_from_raw_parts(block, size))
            }

            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                let block = Allocator::allocate(self, layout)?;
                // SAFETY: the block is ours, of this many bytes.
                unsafe { block.cast::<u8>().write_bytes(0, block.len()) };
                Ok(block)
            }

            #[inline]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                if layout.size() != 0 {
                    // SAFETY: a block of any size but 0 is a slot.
                    unsafe { self.unblock(block) };
                }
            }

            unsafe fn reallocate(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                if old.size() == 0 {
                    return Allocator::allocate(self, new);
                }
                if new.size() == 0 {
                    // SAFETY: the caller's promise.
                    unsafe { self.deallocate(block, old) };
                    return Ok(nothing(new));
                }
                // SAFETY: the caller's promise. What does not fit where it is does
                // not fit into another slot either.
                unsafe { self.reallocate_in_place(block, old, new) }
            }

            unsafe fn reallocate_in_place(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                let alike = (old.size() == 0) == (new.size() == 0);
                if !alike || !$crate::blocks::fits::<$pool>(new) {
                    return Err(AllocError);
                }
                if new.size() == 0 {
                    let aligned = block.addr().get().is_multiple_of(new.align());
                    return if aligned {
                        Ok(NonNull::slice_from_raw_parts(block, 0))
                    } else {
                        Err(AllocError)
                    };
                }
                let size = <$pool as Blocks>::LAYOUT.size();
                Ok(NonNull::slice_from_raw_parts(block, size))
            }

            #[inline]
            unsafe fn usable_size(&self, _block: NonNull<u8>, layout: Layout) -> usize {
                if layout.size() == 0 {
                    return 0;
                }
                <$pool as Blocks>::LAYOUT.size()
            }
        }
        crate::adapt!([$($parameters)*] &$pool);
    };
}
pub(crate) use blocks;
