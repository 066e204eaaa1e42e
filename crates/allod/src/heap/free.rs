//! Where blocks go: home to their spans, the owner's way and the stranger's.
//!
//! The owner's frees gather on the front's free list. When it has no room left
//! it is *flushed*: each block's span is looked up, the block's start checked,
//! and runs of blocks of one span go home together: onto the span's own list
//! where the span is still this heap's, by a push on its word where it isn't.
//! One flush sends home eight runs, the blocks freed last, and leaves what is behind them
//! on the list: a list of 64 blocks of as many spans would be the slowest call of a program.
//!
//! A stranger's free finds no match in the map, and no batch that its span has open in
//! the ring (`heap/ring.rs`). It comes here, looks up the span, and has a batch opened.
#![allow(unsafe_code)]

use super::{Allocator, EIGHT, Heap};
use crate::arena::Chunk;
use crate::block::{self, Block, List};
use crate::fatal::{self, Misuse};
use crate::map::Kind;
use crate::nothing::Freed;
use crate::os::Os;
use crate::size::SizeClass;
use crate::span::Span;
use crate::span::word::{Pushed, State, Terms};
use crate::sync::{Ordering, compiler_barrier};
use crate::units::SLICE_SHIFT;
use core::ptr::{self, NonNull};

/// Spans with free blocks that a heap keeps of one class while other threads
/// run; what is more goes to the depot.
const KEPT_SPANS: u32 = 16;
/// Runs of blocks of one span that a flush sends home: the most that one free has to do. A
/// run costs a hundred instructions and lines of memory that nobody has looked at lately
/// (docs/decisions/063).
pub(super) const FLUSH_RUNS: usize = 8;
/// The same of classes above a page: their spans are larger, and a thread that has been
/// through all of them would hold megabytes that no other can use.
const KEPT_WIDE: u32 = 2;

/// What became of a list.
struct Sent {
    /// Blocks that went home.
    count: usize,
    /// The first of those that did not.
    rest: *mut Block,
}

impl Heap {
    /// Sends home what is on the front's free list of `class`, as far as one free may: the
    /// blocks freed last, in [`FLUSH_RUNS`] runs. What is behind them stays on the list.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1).
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn flush<O: Os>(&self, a: &Allocator<O>, class: SizeClass) {
        let c = class.index();
        let (Some(free), Some(room)) = (self.front.free.get(c), self.front.room.get(c)) else {
            return;
        };
        let list = free.replace(ptr::null_mut());
        let count = usize::from(class.room().wrapping_sub(room.replace(class.room())));
        let guard = self.lock.lock();
        // SAFETY: the list was the front's and is ours alone now.
        let sent = unsafe { self.send_runs(a, class, list, count, guard.is_some(), FLUSH_RUNS) };
        drop(guard);
        if sent.rest.is_null() {
            return self.tick(a);
        }
        // SAFETY: the rest was the front's.
        unsafe { self.leave(a, class, sent.rest, count - sent.count) };
        self.tick_by(a, sent.count as u32);
    }

    /// Puts `count` blocks back that were behind those a slow path has taken off the free
    /// list of `class`, where it has left nothing and all of the room. It has taken one at least.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1); the blocks are free and on no other list.
    pub(super) unsafe fn leave<O: Os>(
        &self,
        a: &Allocator<O>,
        class: SizeClass,
        rest: *mut Block,
        count: usize,
    ) {
        let c = class.index();
        let (Some(free), Some(room)) = (self.front.free.get(c), self.front.room.get(c)) else {
            return;
        };
        // What a handler frees between the two lines is counted and not on the list, which
        // does no harm (`verify`); the reverse would be one block too many.
        room.set(class.room() - count as u8);
        compiler_barrier();
        let late = free.replace(rest);
        if !late.is_null() {
            // Freed by a handler meanwhile.
            // SAFETY: the list was the front's, and is ours alone.
            let count = unsafe { super::walk::length(late, class.capacity()) };
            // SAFETY: as above.
            unsafe { self.send_home(a, class, late, count) };
        }
    }

    /// Sends home what is on both of the front's lists of `class`, which has nothing kept aside
    /// for a sample, or is about to have nothing. `locked` says that the caller holds this heap's lock.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread, or has the heap in its hands (P1).
    pub(super) unsafe fn put_back<O: Os>(&self, a: &Allocator<O>, class: SizeClass, locked: bool) {
        let c = class.index();
        let (Some(alloc), Some(free), Some(room)) =
            (self.front.alloc.get(c), self.front.free.get(c), self.front.room.get(c))
        else {
            return;
        };
        let list = alloc.replace(ptr::null_mut());
        if !list.is_null() {
            // SAFETY: the list was the front's.
            let count = unsafe { super::walk::length(list, class.capacity()) };
            self.installed.sub(count);
            if let Some(countdown) = self.countdowns.get(c) {
                countdown.give_back(count);
            }
            // SAFETY: the list was the front's, and is ours alone.
            unsafe { self.send_home_as(a, class, list, count, locked) };
        }
        let list = free.replace(ptr::null_mut());
        if !list.is_null() {
            let count = usize::from(class.room().wrapping_sub(room.replace(class.room())));
            // SAFETY: as above.
            unsafe { self.send_home_as(a, class, list, count, locked) };
        }
        if let Some(listed) = self.listed.get(c) {
            // ORDERING: Relaxed, a figure that the heap's thread alone writes.
            listed.store(0, Ordering::Relaxed);
        }
    }

    /// Sends a list of blocks home that the front held.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1); the blocks are free and on no other list.
    pub(super) unsafe fn send_home<O: Os>(
        &self,
        a: &Allocator<O>,
        class: SizeClass,
        list: *mut Block,
        count: usize,
    ) {
        let guard = self.lock.lock();
        // SAFETY: the caller's promise.
        unsafe { self.send_home_as(a, class, list, count, guard.is_some()) };
    }

    /// As [`Heap::send_home`]. `locked` says that the caller holds this heap's lock.
    ///
    /// # Safety
    ///
    /// As there.
    pub(super) unsafe fn send_home_as<O: Os>(
        &self,
        a: &Allocator<O>,
        class: SizeClass,
        list: *mut Block,
        count: usize,
        locked: bool,
    ) {
        // SAFETY: the caller's promise.
        unsafe { self.send_runs(a, class, list, count, locked, usize::MAX) };
    }

    /// As [`Heap::send_home_as`], but no more than `most` runs of blocks of one span. What
    /// is behind these is the caller's still.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn send_runs<O: Os>(
        &self,
        a: &Allocator<O>,
        class: SizeClass,
        list: *mut Block,
        count: usize,
        locked: bool,
        most: usize,
    ) -> Sent {
        self.visits.add(1);
        let (reach, divide) = (class.span_slices() << SLICE_SHIFT, class.divide());
        let mut chunks = a.arena.walk();
        let (mut base, mut carved) = (usize::MAX, 0);
        let mut at: Option<&Span> = None;
        // Neighbours on the list that are of one span are a run as they stand: from
        // `head`, the block numbered `first`, to `tail`.
        let (mut head, mut tail, mut first) = (list, list, 0);
        let (mut next, mut seen, mut runs) = (list, 0, 0);
        while let Some(block) = NonNull::new(next) {
            let address = block.as_ptr().addr();
            if seen == count {
                fatal::misuse(Misuse::DoubleFree, address, class.size());
            }
            // SAFETY: the block is on our list.
            let after = unsafe { block::next(block) };
            if address & !(reach - 1) != base {
                if let Some(span) = at.take() {
                    let run = List { head, tail, count: seen - first };
                    // SAFETY: the run's blocks are the span's, free, and on no other list.
                    unsafe { self.give_back(a, span, run, locked) };
                }
                if runs == most {
                    break;
                }
                runs += 1;
                (head, first) = (next, seen);
                base = address & !(reach - 1);
                let span = chunks.chunk_at(base).map(|chunk| chunk.span_of(base));
                at = span.filter(|span| span.class() == Some(class));
                carved = at.map_or(0, |span| u32::from(span.carved()));
            }
            if divide.block_index(address - base) >= carved {
                fatal::misuse(Misuse::InvalidFree, address, class.size());
            }
            (tail, next) = (next, after);
            seen += 1;
        }
        if let Some(span) = at {
            let run = List { head, tail, count: seen - first };
            // SAFETY: as above.
            unsafe { self.give_back(a, span, run, locked) };
        }
        self.account(a, -((seen * class.size()) as isize));
        Sent { count: seen, rest: next }
    }

    /// Puts a run of blocks of one span back into it. `locked` says that the
    /// caller holds this heap's lock.
    ///
    /// # Safety
    ///
    /// The blocks are the span's, free, on no other list.
    unsafe fn give_back<O: Os>(&self, a: &Allocator<O>, span: &Span, run: List, locked: bool) {
        let key = self.key.get();
        let word = span.word.load();
        let mine = locked && word.key() == key;
        if mine && word.state() == State::Owned {
            // SAFETY: the span is ours and the lock is held; the run is its own.
            unsafe { self.put_home(a, span, run) };
            return;
        }
        if mine
            && word.state() == State::Full
            && let Some(remote) = span.word.reopen(key)
        {
            // SAFETY: reopening made the span ours again and gave us the list.
            unsafe { span.adopt(remote) };
            // SAFETY: as above.
            unsafe { self.put_home(a, span, run) };
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { a.push_run(span, run) };
    }

    /// Puts a run onto the local list of a span of ours, and sees what follows.
    ///
    /// # Safety
    ///
    /// The span is OWNED by this heap, whose lock is held; the run is its own.
    unsafe fn put_home<O: Os>(&self, a: &Allocator<O>, span: &Span, run: List) {
        // SAFETY: the caller's promise.
        unsafe { span.put_free(run) };
        let Some(class) = span.class() else { return };
        let bin = self.bin(class);
        if ptr::eq(bin.current.get(), span) {
            return;
        }
        if span.is_empty() {
            if span.is_listed() {
                self.unlist(span);
            }
            // SAFETY: the span is ours, on no list, and the lock is held.
            unsafe { self.release_if_empty(a, span) };
            return;
        }
        if !span.is_listed() {
            let kept = if class.size() <= 4096 { KEPT_SPANS } else { KEPT_WIDE };
            if !self.is_private() && bin.count.get() >= kept && a.threads.get() > 1 {
                // SAFETY: the span is ours, on no list, and the lock is held.
                unsafe { self.share(a, class, span) };
            } else {
                self.list(span);
            }
        }
    }

    /// Hands a span with free blocks to the depot, or gives it back if it is empty.
    ///
    /// # Safety
    ///
    /// The span is OWNED by this heap, current nowhere and on no list, and the
    /// lock is held.
    pub(super) unsafe fn share<O: Os>(&self, a: &Allocator<O>, class: SizeClass, span: &Span) {
        let key = self.key.get();
        loop {
            // SAFETY: the span is ours and the lock is held.
            unsafe { span.collect(key) };
            if span.free_count() == span.carved() {
                if span.word.vacate(key) {
                    // SAFETY: the span is FREE and in our hands.
                    unsafe { a.retire(span) };
                    return;
                }
                continue;
            }
            let list = span.local_as_remote();
            if list.count == 0 {
                // Nothing to share: full, with perhaps some of it never carved. What
                // was not carved is found again when its first block comes home.
                if span.word.fill(key) {
                    return;
                }
                continue;
            }
            // SAFETY: the span is ours; the list goes into the word.
            let (head, count) = unsafe { span.take_free() };
            if span.word.share(key, list) {
                a.depot.put(&a.arena, class, span);
                return;
            }
            span.set_free_head(head);
            span.set_free_count(count as u16);
        }
    }
}

impl<O: Os> Allocator<O> {
    /// Frees a run of a span's blocks from outside, and does what follows from it.
    ///
    /// # Safety
    ///
    /// The blocks are the span's, free, and on no other list.
    pub(super) unsafe fn push_run(&self, span: &Span, run: List) {
        if run.count == 0 {
            return;
        }
        // Read before the push: afterwards the span may be anybody's.
        let (class, heap) = (span.class(), span.heap());
        let terms = || {
            let carved = span.carved();
            if heap.is_null() {
                Terms { share_at: (carved / 8).max(1), all: Some(carved) }
            } else {
                Terms { share_at: 1, all: None }
            }
        };
        // SAFETY: the caller's promise.
        match unsafe { span.push_remote(run, terms) } {
            Pushed::Added => {}
            Pushed::Shared => match (self.private_owner(heap), class) {
                (Some(heap), _) => heap.put_returned(self, span),
                (None, Some(class)) => self.depot.put(&self.arena, class, span),
                (None, None) => {}
            },
            // SAFETY: the push emptied the span and left it FREE, in our hands.
            Pushed::Emptied => unsafe { self.retire(span) },
            Pushed::Buried => self.depot.bury(),
            Pushed::Refused => {
                let size = class.map_or(0, SizeClass::size);
                fatal::misuse(Misuse::DoubleFree, run.head.addr(), size)
            }
        }
    }

    /// Frees whatever is at `pointer`, which the fast path did not take: another
    /// heap's block, a large or huge object, nothing at all, or a mistake.
    ///
    /// # Safety
    ///
    /// The caller is `heap`'s thread, if there is a heap. The pointer is not null.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn free_slow(&self, heap: Option<&Heap>, pointer: NonNull<u8>) {
        let address = pointer.addr().get();
        // What is by far the most frequent of them goes first, and straight.
        if let (Some(heap), Some(chunk)) = (heap, self.arena.chunk_at(address)) {
            let span = chunk.span_of(address);
            let of_blocks = !matches!(span.word.load().state(), State::Free | State::Large);
            if let (true, true, Some(class)) = (of_blocks, span.heap().is_null(), span.class()) {
                let block = pointer.cast();
                self.receive(span, class, block);
                // SAFETY: the caller is the heap's thread; the block is the program's gift.
                unsafe { heap.put_into_ring(self, span, class, block) };
                return;
            }
        }
        self.free_other(pointer);
    }

    /// The rest of [`Allocator::free_slow`].
    #[cold]
    #[inline(never)]
    fn free_other(&self, pointer: NonNull<u8>) {
        let address = pointer.addr().get();
        let Some(record) = self.arena.map.record(address) else {
            self.not_ours(address);
        };
        // SAFETY: records are never unmapped (M4).
        match unsafe { record.as_ref() }.kind {
            Kind::Huge => self.free_huge(address),
            Kind::Guarded => self.free_guarded(record, address, None),
            Kind::Nothing => match self.nothing.free(address) {
                Freed::Done => {}
                Freed::Twice => fatal::misuse(Misuse::DoubleFree, address, 0),
                Freed::NoObject => fatal::misuse(Misuse::InvalidFree, address, 0),
            },
            Kind::Chunk => {
                // SAFETY: the kind says that the record is a chunk's.
                let span = unsafe { record.cast::<Chunk>().as_ref() }.span_of(address);
                match (span.word.load().state(), span.class()) {
                    (State::Free, _) => self.free_of_free(span, address),
                    (State::Large, _) | (_, None) => self.free_large(span, address),
                    (_, Some(class)) => self.free_direct(span, class, pointer.cast()),
                }
            }
        }
    }

    /// Frees a block of a private heap, or of a thread that has no ring.
    fn free_direct(&self, span: &Span, class: SizeClass, block: NonNull<Block>) {
        self.receive(span, class, block);
        if span.is_watched() {
            // Before the block can be anybody's (ST2).
            self.sampler.freed(&self.arena.kernel, block.as_ptr().addr());
        }
        let mut run = List::EMPTY;
        // SAFETY: the block is ours now.
        unsafe { run.push(block) };
        self.live.sub(class.size());
        // SAFETY: a block of this span, free, on no other list.
        unsafe { self.push_run(span, run) };
    }

    /// Sees that what the program gives up is a block of `span`, of `class`, and
    /// marks it as free; or ends the process.
    #[inline(always)]
    fn receive(&self, span: &Span, class: SizeClass, block: NonNull<Block>) {
        let address = block.as_ptr().addr();
        let index = class.divide().block_index(address.wrapping_sub(span.base().addr()));
        if index >= u32::from(span.carved()) {
            fatal::misuse(Misuse::InvalidFree, address, class.size());
        }
        self.must_be_live(block, class);
        if block::CHECKED && class.index() != EIGHT {
            // SAFETY: the program gives the block up.
            unsafe { block::mark(block, self.secret()) };
        }
    }

    fn free_large(&self, span: &Span, address: usize) {
        let size = span.block_size();
        if span.base().addr() != address {
            fatal::misuse(Misuse::InvalidFree, address, size);
        }
        if self.take_back_large(span) {
            // SAFETY: the run is FREE, in our hands.
            unsafe { self.retire(span) };
            self.upkeep_soon();
        }
    }

    /// Takes a large object back from the program, and leaves its run FREE, in the caller's
    /// hands. False where the lock of its heap can't be had: then it stays.
    pub(super) fn take_back_large(&self, span: &Span) -> bool {
        let (address, size) = (span.base().addr(), span.block_size());
        if let Some(owner) = self.private_owner(span.heap())
            && !owner.forget_large(span)
        {
            return false;
        }
        if !span.word.free_large() {
            fatal::misuse(Misuse::DoubleFree, address, size);
        }
        if span.is_watched() {
            self.sampler.freed(&self.arena.kernel, address);
        }
        self.live.sub(size);
        true
    }

    pub(super) fn free_huge(&self, address: usize) {
        let Some(huge) = self.huge.find(&self.arena, address) else {
            fatal::misuse(Misuse::InvalidFree, address, 0)
        };
        if let Some(owner) = self.private_owner(huge.heap.get())
            && !owner.forget_huge(huge)
        {
            return;
        }
        if !huge.retire() {
            fatal::misuse(Misuse::DoubleFree, address, huge.len());
        }
        if huge.watched.get() {
            self.sampler.freed(&self.arena.kernel, address);
        }
        self.live.sub(huge.len());
        self.huge.free(&self.arena, huge);
        self.upkeep_soon();
    }

    /// Ends the process when a block of `class` carries its mark.
    pub(crate) fn must_be_live(&self, block: NonNull<Block>, class: SizeClass) {
        if block::CHECKED
            && class.index() != EIGHT
            // SAFETY: a block of a span of ours, of 16 bytes or more.
            && unsafe { block::is_marked(block, self.secret()) }
        {
            fatal::misuse(Misuse::DoubleFree, block.as_ptr().addr(), class.size());
        }
    }

    /// A free into a span that is not one any more, or not yet.
    pub(crate) fn free_of_free(&self, span: &Span, address: usize) -> ! {
        let was_block = match span.class() {
            Some(_) => span.block_at(address).is_some(),
            None => span.base().addr() == address,
        };
        let what = if was_block { Misuse::DoubleFree } else { Misuse::InvalidFree };
        fatal::misuse(what, address, 0)
    }

    pub(super) fn not_ours(&self, address: usize) -> ! {
        let twice = self.huge.was_freed(address);
        fatal::misuse(if twice { Misuse::DoubleFree } else { Misuse::InvalidFree }, address, 0)
    }

    /// Bytes that the object at `address` holds. An address that is none, or was one,
    /// ends the process.
    pub(crate) fn usable(&self, address: usize) -> usize {
        if self.harden.is_on() {
            return self.usable_hard(address);
        }
        let Some(record) = self.arena.map.record(address) else { self.not_ours(address) };
        // SAFETY: records are never unmapped (M4).
        let size = match unsafe { record.as_ref() }.kind {
            Kind::Nothing => Some(0),
            Kind::Guarded => return self.usable_guarded(record, address),
            Kind::Huge => self.huge.find(&self.arena, address).map(|huge| {
                if !huge.is_live() {
                    fatal::misuse(Misuse::DoubleFree, address, huge.len());
                }
                huge.len()
            }),
            Kind::Chunk => self.arena.span_at(address).and_then(|span| {
                match span.word.load().state() {
                    State::Free => self.free_of_free(span, address),
                    State::Large => (span.base().addr() == address).then(|| span.block_size()),
                    _ => span.block_at(address).map(|_| span.block_size()),
                }
            }),
        };
        size.unwrap_or_else(|| fatal::misuse(Misuse::InvalidFree, address, 0))
    }

    /// Ends the process when an object of `size` bytes at a multiple of `align`
    /// would not be what stands at `address`.
    pub(crate) fn check_size(&self, address: usize, size: usize, align: usize) {
        if self.harden.is_on() {
            return self.check_size_hard(address, size, align);
        }
        let usable = self.usable(address);
        let class = SizeClass::of_layout(size, align);
        let guarded = self.arena.map.record(address).is_some_and(|record| {
            // SAFETY: records are never unmapped (M4).
            unsafe { record.as_ref() }.kind == Kind::Guarded
        });
        let right = guarded && size == usable
            || !guarded && match (class, self.arena.span_at(address)) {
            (Some(wanted), Some(span)) => {
                span.class().is_some_and(|has| self.serves(span, has, wanted))
            }
            // Size 0, or a class that stood in when those ran out.
            (Some(_), None) => size == 0 && usable == 0,
            (None, Some(span)) => {
                span.class().is_none() && span.slices() == crate::units::slices_for(size.max(1))
            }
            // From what was asked for to what there is.
            (None, None) => self.huge.find(&self.arena, address).is_some_and(|huge| {
                huge.asked.get() <= size && size <= usable
            }),
        };
        if !right {
            fatal::misuse(Misuse::WrongSize, address, usable);
        }
    }

    /// As [`Allocator::check_size`], for an object that is on its way to [`Allocator::free_slow`]. Where the
    /// map names the layout's class, whosever the block is (P4; spans of private heaps have no
    /// entries, P5), the size is right, and that a live block starts there is seen by whoever
    /// takes it back (`receive`): two fifths of the instructions of such a free less (decision 075).
    pub(crate) fn check_size_of_freed(&self, address: usize, size: usize, align: usize) {
        let class = SizeClass::of_layout(size, align).filter(|class| *class != SizeClass::ZERO);
        if let (Some(class), Some(entry)) = (class, self.arena.map.entry(address))
            && entry & 0xFF == class.index() as u32
        {
            return;
        }
        self.check_size(address, size, align);
    }

    /// After a large free: looks at the clock at once, for such frees are rare
    /// and much memory hangs on each.
    pub(super) fn upkeep_soon(&self) {
        let now = self.arena.kernel.clock();
        self.arena.decay(now);
        self.huge.decay(&self.arena, now);
        self.herald();
    }
}
