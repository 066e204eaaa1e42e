//! Address arithmetic that keeps provenance. Safe, and without a branch where
//! there can be none.
//!
//! Every allocator asks the same few questions of an address: is it aligned,
//! how far is the next multiple, what lies between two. They are answered here
//! once, as integers, in a file where unsafe code is forbidden. A pointer comes
//! out of a pointer: it gets a new address and keeps the right to touch memory
//! that the old one had. No integer becomes a pointer.
//!
//! Alignments are powers of two, as in a `Layout`. For another number the
//! answers mean nothing, but nothing breaks.
//!
//! For those who write an allocator; the ones of this crate are made of it.
#![forbid(unsafe_code)]

use core::num::NonZero;
use core::ptr::NonNull;

/// Whether an address is a multiple of `align`.
///
/// ```
/// use allod_kit::addr;
/// assert!(addr::is_aligned(48, 16) && !addr::is_aligned(40, 16));
/// ```
#[inline]
#[must_use]
pub const fn is_aligned(addr: usize, align: usize) -> bool {
    padding(addr, align) == 0
}

/// Bytes from an address to the next multiple of `align`: less than `align`.
///
/// It cannot overflow, unlike the multiple itself.
///
/// ```
/// use allod_kit::addr;
/// assert_eq!([addr::padding(41, 8), addr::padding(48, 8)], [7, 0]);
/// assert_eq!(addr::padding(usize::MAX, 16), 1);
/// ```
#[inline]
#[must_use]
pub const fn padding(addr: usize, align: usize) -> usize {
    addr.wrapping_neg() & align.wrapping_sub(1)
}

/// The last multiple of `align` that is not past `addr`.
///
/// ```
/// use allod_kit::addr;
/// assert_eq!([addr::align_down(41, 8), addr::align_down(48, 8)], [40, 48]);
/// ```
#[inline]
#[must_use]
pub const fn align_down(addr: usize, align: usize) -> usize {
    addr & align.wrapping_neg()
}

/// The first multiple of `align` that is not before `addr`, if there is one
/// below the end of the address space.
///
/// ```
/// use allod_kit::addr;
/// assert_eq!([addr::align_up(41, 8), addr::align_up(48, 8)], [Some(48); 2]);
/// assert_eq!(addr::align_up(usize::MAX, 8), None);
/// ```
#[inline]
#[must_use]
pub const fn align_up(addr: usize, align: usize) -> Option<usize> {
    addr.checked_add(padding(addr, align))
}

/// A pointer of `ptr`'s provenance to another address. The address 0, which no
/// `NonNull` has, becomes 1; nobody can ask for it by arithmetic inside a block.
///
/// ```
/// use allod_kit::addr;
/// use core::ptr::NonNull;
///
/// let mut block = [0_u8; 16];
/// let start = NonNull::from(&mut block).cast::<u8>();
/// let third = addr::at(start, start.addr().get() + 3);
/// assert_eq!(addr::distance(start, third), 3);
/// ```
#[inline]
#[must_use]
pub fn at(ptr: NonNull<u8>, addr: usize) -> NonNull<u8> {
    ptr.with_addr(NonZero::new(addr).unwrap_or(NonZero::<usize>::MIN))
}

/// Bytes from one pointer to a later one; 0 if it is not later.
#[inline]
#[must_use]
pub fn distance(from: NonNull<u8>, to: NonNull<u8>) -> usize {
    to.addr().get().saturating_sub(from.addr().get())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every answer follows from division, which is slow and obvious.
    #[test]
    fn they_agree_with_division() {
        for align in [1_usize, 2, 4, 8, 16, 4096] {
            for addr in (0..300).chain(usize::MAX - 300..=usize::MAX) {
                assert_eq!(is_aligned(addr, align), addr.is_multiple_of(align));
                assert_eq!(align_down(addr, align), addr / align * align);
                assert_eq!(align_up(addr, align), addr.checked_next_multiple_of(align));
                assert!(padding(addr, align) < align);
                assert_eq!(addr.wrapping_add(padding(addr, align)) % align, 0);
            }
        }
    }
}
