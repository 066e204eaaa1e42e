//! A stack: blocks that go in the opposite order of their coming.
//!
//! Memory is one piece that the caller brings. A block is put on top of the
//! last one, and when the top block is freed, its bytes are free to the last
//! one, alignment included. Every block has 8 bytes before it that say where
//! the one below is.
//!
//! ```text
//!   base                                    top               end
//!    | gap | head | block | gap | head | block | free ........ |
//!             ^  below            |
//!             '-------------------'      head: below, was, given up?
//! ```
//!
//! Values of a program mostly go in that order by themselves: locals are
//! dropped last first. Where they do not, nothing breaks: a block that is given
//! up under others is marked, and goes when the last one above it has gone. So
//! a [`Stack`] is an allocator for collections too, which free as they please.
//!
//! Freeing many at once is done by marks: [`Stack::scope`] for safe code, and
//! [`Stack::mark`] with [`Stack::release`] for those who can promise that what
//! lies above is not used any more. In debug builds, `release` checks the mark.
//!
//! | | |
//! |---|---|
//! | allocate, free the top, release | O(1) |
//! | free below the top | O(1), and the block stays for a while |
//! | overhead | 8 bytes a block and its alignment; 3 words at the base |
//! | at most | 2 GiB: offsets are 31 bits; more is left alone |
//! | not for | blocks that live long above ones that live short; threads |
//!
//! The idea is the double-word header of the stack allocators of game engines
//! (Gregory, "Game Engine Architecture", 2009), with the mark for a block given
//! up out of order added.
//!
//! # Invariants
//!
//! * S1. Blocks, heads and gaps lie one after another from the base to `top`.
//!   `last` is the head of the topmost; each head names the one below.
//! * S2. The topmost block is not given up.
//! * S3. Bytes from `top` to `end` are nobody's.
//! * S4. Offsets count from `base` and fit 31 bits.
#![allow(unsafe_code)]

mod boxed;

pub use boxed::StackBox;

use crate::Owns;
use crate::allocator::{AllocError, Allocator, nothing};
use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// Offsets are 31 bits, so that the last bit of a head is for "given up".
const MOST: usize = (1 << 31) - 1;
/// `below` of the lowest block.
const NONE: u32 = MOST as u32;
const GIVEN_UP: u32 = 1 << 31;

/// What stands before each block.
#[derive(Clone, Copy)]
struct Head {
    /// Offset of the head below, or `NONE`; and the bit `GIVEN_UP`.
    below: u32,
    /// Where `top` was before this block.
    was: u32,
}

impl Head {
    fn below(self) -> u32 {
        self.below & !GIVEN_UP
    }

    fn is_given_up(self) -> bool {
        self.below & GIVEN_UP != 0
    }
}

/// What stands at the beginning of a stack's memory.
#[derive(Debug)]
struct Base {
    /// 0 while nothing may be put here: the scope has no room for its floor.
    end: Cell<u32>,
    top: Cell<u32>,
    /// Offset of the topmost head, or `NONE`.
    last: Cell<u32>,
}

/// A place in a stack, to go back to. See [`Stack::mark`].
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    base: NonNull<Base>,
    top: u32,
    last: u32,
}

/// Allocates in memory that the caller brings, last in, first out.
///
/// ```
/// use allod_kit::Stack;
/// use core::mem::MaybeUninit;
///
/// let mut memory = [MaybeUninit::uninit(); 1024];
/// let mut stack = Stack::new(&mut memory).ok_or("too small")?;
///
/// let title = stack.try_alloc(*b"kept")?;
/// let before = stack.used();
/// let sum = stack.scope(|stack| -> Result<u64, allod_kit::AllocError> {
///     // What is allocated in here is gone at the end, whatever its order.
///     let numbers = stack.try_slice(100, |i| i as u64)?;
///     Ok(numbers.iter().sum())
/// })?;
/// assert_eq!((sum, stack.used()), (4950, before));
/// assert_eq!(*title, *b"kept");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Nothing from a scope can leave it, and while it is open nothing is put
/// below it:
///
/// ```compile_fail,E0521
/// # use allod_kit::Stack;
/// # let mut memory = [core::mem::MaybeUninit::uninit(); 1024];
/// # let mut stack = Stack::new(&mut memory).unwrap();
/// let mut kept = None;
/// stack.scope(|stack| kept = stack.try_alloc(1).ok());
/// ```
///
/// ```compile_fail,E0502
/// # use allod_kit::Stack;
/// # let mut memory = [core::mem::MaybeUninit::uninit(); 1024];
/// # let mut stack = Stack::new(&mut memory).unwrap();
/// stack.scope(|_| drop(stack.try_alloc(1)));
/// ```
///
/// # As an allocator
///
/// `&Stack` has the trait [`Allocator`]; collections that grow at the top grow
/// in place.
///
/// # What it costs
///
/// *Time.* O(1) each. *Memory.* 8 bytes before each block, and its alignment; three
/// words at the base. At most 2 GiB: more is left alone.
///
/// # When not to use it
///
/// Where long-lived blocks lie above short-lived ones: a block that is freed below
/// others stays until those have gone. An [arena](crate::Bump) has no header, and its
/// scopes free as a stack does. Between threads: it is one thread's.
pub struct Stack<'m> {
    base: NonNull<Base>,
    // Invariant in `'m`, so that the handle of one scope is not another's.
    memory: PhantomData<&'m mut Cell<&'m ()>>,
}

impl<'m> Stack<'m> {
    /// A stack in `memory`, or `None` if that is too small for the three words
    /// at its base. Uses at most 2 GiB of it. O(1).
    pub fn new(memory: &'m mut [MaybeUninit<u8>]) -> Option<Self> {
        let length = memory.len().min(MOST);
        let start = NonNull::from_mut(memory).cast::<u8>();
        let gap = start.align_offset(align_of::<Base>());
        let top = gap.checked_add(size_of::<Base>()).filter(|top| *top <= length)?;
        // SAFETY: less than the slice's length.
        let base = unsafe { start.add(gap) }.cast::<Base>();
        let (end, top) = ((length - gap) as u32, (top - gap) as u32);
        // SAFETY: within the slice and aligned.
        unsafe {
            base.write(Base { end: Cell::new(end), top: Cell::new(top), last: Cell::new(NONE) })
        };
        Some(Self { base, memory: PhantomData })
    }

    #[inline]
    fn at(&self) -> &Base {
        // SAFETY: written by `new`, and the memory is ours for `'m`.
        unsafe { self.base.as_ref() }
    }

    /// The byte at an offset up to `end`.
    #[inline]
    fn byte(&self, offset: u32) -> NonNull<u8> {
        // SAFETY: `end` is within the memory, counted from the base (S4).
        unsafe { self.base.cast::<u8>().add(offset as usize) }
    }

    #[inline]
    fn head(&self, offset: u32) -> NonNull<Head> {
        self.byte(offset).cast()
    }

    #[inline]
    fn read(&self, offset: u32) -> Head {
        // SAFETY: offsets of heads come from `last` and from heads (S1).
        unsafe { self.head(offset).read() }
    }

    #[inline]
    fn write(&self, offset: u32, head: Head) {
        // SAFETY: as in `read`; or the head is new and lies above `top` (S3).
        unsafe { self.head(offset).write(head) };
    }

    #[inline]
    fn offset_of(&self, block: NonNull<u8>) -> u32 {
        // A block lies above the base, within 31 bits of it (S4).
        block.addr().get().wrapping_sub(self.base.addr().get()) as u32
    }

    /// Where a block of this layout would begin and end if it were put on `top`.
    #[inline]
    fn fit(&self, layout: Layout) -> Option<(u32, u32)> {
        let base = self.at();
        let top = base.top.get() as usize;
        let room = (base.end.get() as usize).checked_sub(top)?;
        let mask = layout.align().max(align_of::<Head>()) - 1;
        let lowest = self.base.addr().get().wrapping_add(top + size_of::<Head>());
        let before = (lowest.wrapping_neg() & mask) + size_of::<Head>();
        let all = before.checked_add(layout.size())?;
        (all <= room).then_some(((top + before) as u32, (top + all) as u32))
    }

    #[inline]
    fn push(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let (start, end) = self.fit(layout).ok_or(AllocError)?;
        let base = self.at();
        let head = start - size_of::<Head>() as u32;
        self.write(head, Head { below: base.last.get(), was: base.top.get() });
        base.last.set(head);
        base.top.set(end);
        Ok(self.byte(start))
    }

    /// # Safety
    ///
    /// The block is live, came from `push`, and is not used again.
    #[inline]
    unsafe fn give_up(&self, block: NonNull<u8>) {
        let base = self.at();
        let offset = self.offset_of(block) - size_of::<Head>() as u32;
        let mut head = self.read(offset);
        debug_assert!(!head.is_given_up(), "a block of a stack is freed twice");
        if offset != base.last.get() {
            debug_assert!(offset < base.last.get(), "a freed block lies above the stack's top");
            self.write(offset, Head { below: head.below | GIVEN_UP, ..head });
            return;
        }
        // Those below that were only waiting for this one go with it (S2).
        loop {
            base.top.set(head.was);
            base.last.set(head.below());
            if head.below() == NONE {
                return;
            }
            head = self.read(head.below());
            if !head.is_given_up() {
                return;
            }
        }
    }

    /// The present top, to [`release`](Stack::release) to later. O(1).
    #[inline]
    pub fn mark(&self) -> Mark {
        let base = self.at();
        Mark { base: self.base, top: base.top.get(), last: base.last.get() }
    }

    /// Frees everything that was allocated since the mark, and drops none of it.
    /// O(1). In debug builds it is checked that the mark is of this stack and
    /// that what lay below it still does.
    ///
    /// # Safety
    ///
    /// Nothing that was allocated since the mark is used again, not by dropping
    /// either. What was there when the mark was made has not been freed, and no
    /// scope is open that was not open then.
    pub unsafe fn release(&self, mark: Mark) {
        let base = self.at();
        debug_assert!(mark.base == self.base, "a mark of another stack");
        debug_assert!(mark.top <= base.top.get(), "a mark above the stack's top");
        debug_assert!(self.has_head(mark.last), "a mark whose block has been freed");
        base.top.set(mark.top);
        base.last.set(mark.last);
    }

    /// True when a head at this offset is on the way from the top. For checks.
    fn has_head(&self, offset: u32) -> bool {
        let mut at = self.at().last.get();
        while at != NONE && at != offset {
            at = self.read(at).below();
        }
        at == offset
    }

    /// Runs `f` and frees everything that it allocated, in O(1). Boxes of the
    /// scope cannot leave it; what was leaked or forgotten in it is freed and
    /// not dropped.
    ///
    /// Blocks from before may be dropped inside; they are free when it ends. A
    /// scope takes 8 bytes for its floor. When there are not so many, it runs
    /// all the same and every allocation in it fails.
    pub fn scope<R>(&mut self, f: impl for<'s> FnOnce(&mut Stack<'s>) -> R) -> R {
        /// Goes back to the floor, unwinding or not.
        struct Back<'a, 'm> {
            stack: &'a Stack<'m>,
            floor: Option<NonNull<u8>>,
            end: u32,
        }
        impl Drop for Back<'_, '_> {
            fn drop(&mut self) {
                let base = self.stack.at();
                base.end.set(self.end);
                if let Some(floor) = self.floor {
                    base.last.set(self.stack.offset_of(floor) - size_of::<Head>() as u32);
                    // SAFETY: the floor is the scope's own block, and topmost now.
                    unsafe { self.stack.give_up(floor) };
                }
            }
        }
        let end = self.at().end.get();
        // A block of no bytes keeps those below from going while it is there,
        // so that they are found where they were.
        let floor = self.push(Layout::new::<()>()).ok();
        if floor.is_none() {
            self.at().end.set(0);
        }
        let mut inner = Stack { base: self.base, memory: PhantomData };
        let _back = Back { stack: self, floor, end };
        f(&mut inner)
    }

    /// Puts a value on the stack. O(1).
    ///
    /// # Errors
    ///
    /// There is no room. The value is dropped; [`Stack::try_alloc_with`] makes
    /// none in vain.
    #[inline]
    pub fn try_alloc<T>(&self, value: T) -> Result<StackBox<'m, T>, AllocError> {
        self.try_alloc_with(|| value)
    }

    /// Puts what `make` returns on the stack, and calls it only if there is room.
    ///
    /// # Errors
    ///
    /// There is no room.
    #[inline]
    pub fn try_alloc_with<T>(
        &self,
        make: impl FnOnce() -> T,
    ) -> Result<StackBox<'m, T>, AllocError> {
        let layout = Layout::new::<T>();
        let block = Block { block: self.allocate_some(layout)?, layout, stack: self };
        let value = make();
        let place = block.block.cast::<T>();
        // SAFETY: the block is ours and of this layout.
        unsafe { place.write(value) };
        core::mem::forget(block);
        // SAFETY: the value is there and nobody else's.
        Ok(unsafe { StackBox::new(place, self.base) })
    }

    /// Puts `length` values on the stack: `make(0)`, `make(1)` and so on. O(length).
    ///
    /// # Errors
    ///
    /// There is no room; `make` was not called.
    pub fn try_slice<T>(
        &self,
        length: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<StackBox<'m, [T]>, AllocError> {
        let layout = Layout::array::<T>(length).map_err(|_| AllocError)?;
        let block = Block { block: self.allocate_some(layout)?, layout, stack: self };
        let first = block.block.cast::<T>();
        let mut made = Made { first, count: 0 };
        for i in 0..length {
            let value = make(i);
            // SAFETY: within the block, whose layout has `length` of them.
            let place = unsafe { first.add(i) };
            // SAFETY: the place is ours and nothing is there.
            unsafe { place.write(value) };
            made.count += 1;
        }
        core::mem::forget((made, block));
        // SAFETY: all values are there and nobody else's.
        Ok(unsafe { StackBox::new(NonNull::slice_from_raw_parts(first, length), self.base) })
    }

    /// Puts a copy of the text on the stack. O(length).
    ///
    /// # Errors
    ///
    /// There is no room.
    pub fn try_str(&self, text: &str) -> Result<StackBox<'m, str>, AllocError> {
        let layout = Layout::for_value(text);
        let place = self.allocate_some(layout)?;
        // SAFETY: new, so apart from the text, and as long.
        unsafe { place.copy_from_nonoverlapping(NonNull::from_ref(text).cast(), text.len()) };
        let bytes = NonNull::slice_from_raw_parts(place, text.len());
        // SAFETY: the same pointer with the same length, in the type of a text.
        let copy = unsafe { NonNull::new_unchecked(bytes.as_ptr() as *mut str) };
        // SAFETY: the text is there and nobody else's.
        Ok(unsafe { StackBox::new(copy, self.base) })
    }

    /// Puts a value on the stack. O(1).
    ///
    /// # Panics
    ///
    /// There is no room. [`try_alloc`](Stack::try_alloc) never panics.
    #[cfg(feature = "infallible")]
    #[inline]
    #[track_caller]
    pub fn alloc<T>(&self, value: T) -> StackBox<'m, T> {
        crate::full::must(self.try_alloc(value).map_err(|_| crate::full::Full(())))
    }

    /// A block, or a dangling pointer for a layout of no bytes.
    #[inline]
    fn allocate_some(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if layout.size() == 0 {
            return Ok(layout.dangling_ptr());
        }
        self.push(layout)
    }

    /// Bytes from the base to the top: blocks, heads, gaps, and what is given up
    /// below others. 3 words when empty.
    #[inline]
    pub fn used(&self) -> usize {
        self.at().top.get() as usize
    }

    /// Bytes from the top to the end. The largest block is 8 bytes less, and
    /// less by what its alignment takes.
    #[inline]
    pub fn left(&self) -> usize {
        self.at().end.get().saturating_sub(self.at().top.get()) as usize
    }

    /// Walks the stack and holds it against its invariants. For tests.
    #[cfg(test)]
    fn check(&self) -> usize {
        let base = self.at();
        let (mut top, mut at, mut blocks) = (base.top.get(), base.last.get(), 0);
        assert!(base.end.get() == 0 || top <= base.end.get(), "S3");
        while at != NONE {
            let head = self.read(at);
            assert!(at + size_of::<Head>() as u32 <= top && head.was <= at, "S1");
            assert!(head.below() == NONE || head.below() < at, "S1");
            assert!(blocks > 0 || !head.is_given_up(), "S2");
            (top, at, blocks) = (head.was, head.below(), blocks + 1);
        }
        assert_eq!(top as usize, size_of::<Base>(), "S1: all the way down");
        blocks
    }
}

/// A block that goes back if making what is to be in it unwinds.
struct Block<'a, 'm> {
    block: NonNull<u8>,
    layout: Layout,
    stack: &'a Stack<'m>,
}

impl Drop for Block<'_, '_> {
    fn drop(&mut self) {
        if self.layout.size() != 0 {
            // SAFETY: ours, and nobody has seen it.
            unsafe { self.stack.give_up(self.block) };
        }
    }
}

/// The first so many values of a slice, dropped if making the next unwinds.
struct Made<T> {
    first: NonNull<T>,
    count: usize,
}

impl<T> Drop for Made<T> {
    fn drop(&mut self) {
        // SAFETY: so many have been made, and nobody has seen them.
        unsafe { NonNull::slice_from_raw_parts(self.first, self.count).drop_in_place() };
    }
}

impl fmt::Debug for Stack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("used", &self.used()).field("left", &self.left()).finish()
    }
}

// SAFETY: a block lies between the tops before and after it, above which the
// next one begins (S1, S3), and `top` sinks below it only when it was given up.
// The memory is the stack's for longer than the reference is alive.
unsafe impl Allocator for &Stack<'_> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        Ok(NonNull::slice_from_raw_parts(self.push(layout)?, layout.size()))
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.allocate(layout)?;
        // SAFETY: the block is ours, of this many bytes.
        unsafe { block.cast::<u8>().write_bytes(0, block.len()) };
        Ok(block)
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: the caller's promise.
            unsafe { self.give_up(block) };
        }
    }

    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        if let Ok(same) = unsafe { self.reallocate_in_place(block, old, new) } {
            return Ok(same);
        }
        let other = self.allocate(new)?;
        let both = old.size().min(new.size());
        // SAFETY: two live blocks that both hold so many bytes.
        unsafe { other.cast().copy_from_nonoverlapping(block, both) };
        // SAFETY: the caller's promise.
        unsafe { self.deallocate(block, old) };
        Ok(other)
    }

    #[inline]
    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let aligned = block.addr().get() & (new.align() - 1) == 0;
        if !aligned || (old.size() == 0) != (new.size() == 0) {
            return Err(AllocError);
        }
        let base = self.at();
        let start = self.offset_of(block);
        if new.size() != 0 && start.wrapping_sub(size_of::<Head>() as u32) == base.last.get() {
            let end = (start as usize).checked_add(new.size()).ok_or(AllocError)?;
            if end > base.end.get() as usize {
                return Err(AllocError);
            }
            base.top.set(end as u32);
        } else if new.size() > old.size() {
            return Err(AllocError);
        }
        // Under others a block keeps its bytes, and nobody counts the rest.
        Ok(NonNull::slice_from_raw_parts(block, new.size()))
    }

    #[inline]
    unsafe fn usable_size(&self, _block: NonNull<u8>, layout: Layout) -> usize {
        layout.size()
    }
}

crate::adapt!(['m] &Stack<'m>);

// SAFETY: the memory is the stack's alone, and blocks lie between its base and
// its top.
unsafe impl Owns for Stack<'_> {
    /// O(1).
    #[inline]
    fn owns(&self, address: NonNull<u8>, _: Layout) -> bool {
        let from_base = address.addr().get().wrapping_sub(self.base.addr().get());
        from_base >= size_of::<Base>() && from_base < self.at().top.get() as usize
    }
}

#[cfg(test)]
mod tests;
