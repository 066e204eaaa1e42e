//! Where blocks go: home to their spans, the owner's way and the stranger's.
//!
//! The owner's frees gather on the front's free list. When it has no room left
//! it is *flushed*: each block's span is looked up, the block's start checked,
//! and runs of blocks of one span go home together: onto the span's own list
//! where the span is still this heap's, by a push on its word where it isn't.
//!
//! A stranger's free finds no match in the map, comes here, looks up the span,
//! and puts the block into the *ring*: one batch for each of sixteen spans.
//! A batch goes home with one compare-and-swap when it is full, when another
//! span needs its place, when its thread looks at the clock, or exits.
#![allow(unsafe_code)]

use super::{Allocator, BATCH_BLOCKS, BATCH_BYTES, Heap, RING};
use crate::block::{self, Block, List};
use crate::fatal::{self, Misuse};
use crate::map::Kind;
use crate::nothing::Freed;
use crate::os::Os;
use crate::size::SizeClass;
use crate::span::Span;
use crate::span::word::{Pushed, State, Terms};
use crate::sync::compiler_barrier;
use crate::units::SLICE_SHIFT;
use core::ptr::{self, NonNull};

/// Spans with free blocks that a heap keeps of one class while other threads
/// run; what is more goes to the depot.
const KEPT_SPANS: u32 = 16;

impl Heap {
    /// Sends home what is on the front's free list of `class`.
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
        // SAFETY: the list was the front's and is ours alone now.
        unsafe { self.send_home(a, class, list, count) };
        self.tick(a);
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
        self.visits.add(1);
        let reach = class.span_slices() << SLICE_SHIFT;
        let (mut base, mut carved) = (usize::MAX, 0);
        let mut at: Option<&Span> = None;
        // Neighbours on the list that are of one span are a run as they stand.
        let mut run = List::EMPTY;
        let (mut next, mut seen) = (list, 0);
        while let Some(block) = NonNull::new(next) {
            let address = block.as_ptr().addr();
            if seen == count {
                fatal::misuse(Misuse::DoubleFree, address, class.size());
            }
            seen += 1;
            // SAFETY: the block is on our list.
            next = unsafe { block::next(block) };
            if address & !(reach - 1) != base {
                if let Some(span) = at {
                    // SAFETY: the run's blocks are the span's, free, and on no other list.
                    unsafe { self.give_back(a, span, run, guard.is_some()) };
                }
                run = List::EMPTY;
                base = address & !(reach - 1);
                at = a.arena.span_at(address).filter(|span| span.class() == Some(class));
                carved = at.map_or(0, |span| u32::from(span.carved()));
            }
            if class.block_index(address - base) >= carved {
                fatal::misuse(Misuse::InvalidFree, address, class.size());
            }
            if run.count == 0 {
                run.head = block.as_ptr();
            }
            run.tail = block.as_ptr();
            run.count += 1;
        }
        if let Some(span) = at {
            // SAFETY: as above.
            unsafe { self.give_back(a, span, run, guard.is_some()) };
        }
        self.account(a, -((seen * class.size()) as isize));
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
            if !self.is_private() && bin.count.get() >= KEPT_SPANS && a.threads.get() > 1 {
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

    /// Puts a block of another heap into the ring.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread (P1); the block is the span's, free, and
    /// on no list.
    unsafe fn put_into_ring<O: Os>(&self, a: &Allocator<O>, span: &Span, block: NonNull<Block>) {
        let size = span.block_size();
        self.remote_frees.add(1);
        self.account(a, -(size as isize));
        let place = (ptr::from_ref(span).addr() >> 6).wrapping_mul(0x9E37_79B9) >> 13;
        let batch = self.ring.get(place % RING);
        // A handler that frees while its thread is in here goes the direct way.
        let (Some(batch), false) = (batch, self.ring_busy.get()) else {
            let mut run = List::EMPTY;
            // SAFETY: the caller gives us the block.
            unsafe { run.push(block) };
            // SAFETY: as above.
            unsafe { a.push_run(span, run) };
            return;
        };
        self.ring_busy.set(true);
        compiler_barrier();
        if !ptr::eq(batch.span.get(), span) {
            // SAFETY: the batch is ours (P1).
            unsafe { a.send_batch(batch) };
            batch.span.set(span);
        }
        let mut list = batch.list.get();
        // SAFETY: the caller gives us the block.
        unsafe { list.push(block) };
        batch.list.set(list);
        if list.count >= BATCH_BLOCKS || list.count * size + size > BATCH_BYTES {
            // SAFETY: the batch is ours (P1).
            unsafe { a.send_batch(batch) };
        }
        compiler_barrier();
        self.ring_busy.set(false);
        self.tick(a);
    }

    /// Sends every batch home.
    ///
    /// # Safety
    ///
    /// The caller is the heap's thread, or has adopted it (P1).
    pub(super) unsafe fn flush_ring<O: Os>(&self, a: &Allocator<O>) {
        if self.ring_busy.replace(true) {
            return;
        }
        compiler_barrier();
        for batch in &self.ring {
            // SAFETY: the batches are ours (P1).
            unsafe { a.send_batch(batch) };
        }
        compiler_barrier();
        self.ring_busy.set(false);
    }
}

impl<O: Os> Allocator<O> {
    /// Sends one batch home and leaves it empty.
    ///
    /// # Safety
    ///
    /// The batch is the caller's (P1).
    unsafe fn send_batch(&self, batch: &super::Batch) {
        let (span, list) = (batch.span.replace(ptr::null()), batch.list.replace(List::EMPTY));
        // SAFETY: null, or a span with blocks out: its record is in use.
        if let Some(span) = unsafe { span.as_ref() } {
            // SAFETY: the batch's blocks are the span's, free, on no other list.
            unsafe { self.push_run(span, list) };
        }
    }

    /// Frees a run of a span's blocks from outside, and does what follows from it.
    ///
    /// # Safety
    ///
    /// The blocks are the span's, free, and on no other list.
    pub(crate) unsafe fn push_run(&self, span: &Span, run: List) {
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

    /// Frees whatever is at `address`, which the fast path did not take: another
    /// heap's block, a large or huge object, nothing at all, or a mistake.
    ///
    /// # Safety
    ///
    /// The caller is `heap`'s thread, if there is a heap. The pointer is not null.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn free_slow(&self, heap: Option<&Heap>, pointer: NonNull<u8>) {
        let address = pointer.addr().get();
        let Some(record) = self.arena.map.record(address) else {
            self.not_ours(address);
        };
        // SAFETY: records are never unmapped (M4).
        match unsafe { record.as_ref() }.kind {
            Kind::Huge => self.free_huge(address),
            Kind::Nothing => match self.nothing.free(address) {
                Freed::Done => {}
                Freed::Twice => fatal::misuse(Misuse::DoubleFree, address, 0),
                Freed::NoObject => fatal::misuse(Misuse::InvalidFree, address, 0),
            },
            Kind::Chunk => {
                let Some(span) = self.arena.span_at(address) else { self.not_ours(address) };
                match span.word.load().state() {
                    State::Free => self.free_of_free(span, address),
                    State::Large => self.free_large(span, address),
                    // SAFETY: the caller's promise.
                    _ => unsafe { self.free_block(heap, span, pointer.cast()) },
                }
            }
        }
    }

    /// # Safety
    ///
    /// As for [`Allocator::free_slow`]; the span has a class.
    unsafe fn free_block(&self, heap: Option<&Heap>, span: &Span, block: NonNull<Block>) {
        let address = block.as_ptr().addr();
        let size = span.block_size();
        if span.block_at(address).is_none() {
            fatal::misuse(Misuse::InvalidFree, address, size);
        }
        if block::CHECKED && size >= 16 {
            // SAFETY: a block of a span of ours, of 16 bytes or more.
            if unsafe { block::is_marked(block, self.secret()) } {
                fatal::misuse(Misuse::DoubleFree, address, size);
            }
            // SAFETY: the program gives the block up.
            unsafe { block::mark(block, self.secret()) };
        }
        let direct = !span.heap().is_null();
        match heap {
            // SAFETY: the caller is the heap's thread; the block is the program's gift.
            Some(heap) if !direct => unsafe { heap.put_into_ring(self, span, block) },
            _ => {
                let mut run = List::EMPTY;
                // SAFETY: the block is ours now.
                unsafe { run.push(block) };
                self.live.sub(size);
                // SAFETY: a block of this span, free, on no other list.
                unsafe { self.push_run(span, run) };
            }
        }
    }

    fn free_large(&self, span: &Span, address: usize) {
        let size = span.block_size();
        if span.base().addr() != address {
            fatal::misuse(Misuse::InvalidFree, address, size);
        }
        if let Some(owner) = self.private_owner(span.heap())
            && !owner.forget_large(span)
        {
            return;
        }
        if !span.word.free_large() {
            fatal::misuse(Misuse::DoubleFree, address, size);
        }
        self.live.sub(size);
        // SAFETY: `free_large` left the run FREE, in our hands.
        unsafe { self.retire(span) };
        self.upkeep_soon();
    }

    fn free_huge(&self, address: usize) {
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
        self.live.sub(huge.len());
        self.huge.free(&self.arena, huge);
        self.upkeep_soon();
    }

    /// A free into a span that is not one any more, or not yet.
    fn free_of_free(&self, span: &Span, address: usize) -> ! {
        let was_block = match span.class() {
            Some(_) => span.block_at(address).is_some(),
            None => span.base().addr() == address,
        };
        let what = if was_block { Misuse::DoubleFree } else { Misuse::InvalidFree };
        fatal::misuse(what, address, 0)
    }

    fn not_ours(&self, address: usize) -> ! {
        let twice = self.huge.was_freed(address);
        fatal::misuse(if twice { Misuse::DoubleFree } else { Misuse::InvalidFree }, address, 0)
    }

    /// Bytes that the object at `address` holds. An address that is none ends
    /// the process.
    pub(crate) fn usable(&self, address: usize) -> usize {
        let Some(record) = self.arena.map.record(address) else { self.not_ours(address) };
        // SAFETY: records are never unmapped (M4).
        let size = match unsafe { record.as_ref() }.kind {
            Kind::Nothing => Some(0),
            Kind::Huge => {
                self.huge.find(&self.arena, address).filter(|h| h.is_live()).map(|h| h.len())
            }
            Kind::Chunk => self.arena.span_at(address).and_then(|span| {
                match span.word.load().state() {
                    State::Free => None,
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
        let usable = self.usable(address);
        let class = SizeClass::of_layout(size, align).map(SizeClass::size);
        let right = match (class, self.arena.span_at(address)) {
            (Some(wanted), Some(span)) => span.class().is_some() && wanted == usable,
            // Size 0, or a class that stood in when those ran out.
            (Some(_), None) => size == 0 && usable == 0,
            (None, Some(span)) => {
                span.class().is_none() && span.slices() == crate::units::slices_for(size.max(1))
            }
            // Whole pages, and a quarter more when it came out of the cache.
            (None, None) => size <= usable && usable / 2 < size.max(64 << 10),
        };
        if !right {
            fatal::misuse(Misuse::WrongSize, address, usable);
        }
    }

    /// After a large free: looks at the clock at once, for such frees are rare
    /// and much memory hangs on each.
    fn upkeep_soon(&self) {
        self.arena.decay();
        self.herald();
    }
}
