//! The wrappers: each keeps all promises of an allocator, over both traits, and
//! does what it is for.
#![allow(unsafe_code)]

use allod_kit::conformance::Probe;
use allod_kit::model::{Bounds, Op, bytes, decode, run};
use allod_kit::{
    AlignTo, AllocError, Allocator, Broken, Bump, Count, EventKind, Fail, Fallback, FromGlobal,
    Guard, Heap, Limit, Lock, Locked, Owns, Pool, PoolSlot, Realign, Refuse, Rescue, Segregate,
    Spin, Tlsf, Trace, Unshared, Watched, What, Wipe,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Mutex;
use std::thread;

/// The system's allocator as one of ours, which serves longer blocks than asked
/// for and knows them: what a wrapper may stumble over.
#[derive(Default)]
struct Known {
    live: RefCell<BTreeMap<usize, (NonNull<u8>, Layout)>>,
    /// Sizes above are refused.
    most: Option<usize>,
    /// What was in blocks when they came back: whether any byte was not 0.
    left_behind: Cell<usize>,
    /// A change in place succeeds within the same multiple of 64.
    calls_in_place: Cell<usize>,
}

impl Known {
    fn up_to(most: usize) -> Self {
        let mut known = Known::default();
        known.most = Some(most);
        known
    }

    fn room(layout: Layout) -> Layout {
        let size = layout.size().next_multiple_of(64);
        Layout::from_size_align(size, layout.align()).expect("a little more")
    }
}

// SAFETY: blocks are the system's, of the next multiple of 64 bytes.
unsafe impl Allocator for Known {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() > self.most.unwrap_or(usize::MAX / 4) {
            return Err(AllocError);
        }
        let block = FromGlobal::new(System).allocate(Self::room(layout))?;
        if layout.size() > 0 {
            let whose = (block.cast(), Self::room(layout));
            self.live.borrow_mut().insert(block.cast::<u8>().addr().get(), whose);
        }
        // SAFETY: the block is ours. Nobody may count on what is in it.
        unsafe { block.cast::<u8>().write_bytes(0xcc, block.len()) };
        Ok(block)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.allocate(layout)?;
        // SAFETY: the block is ours.
        unsafe { block.cast::<u8>().write_bytes(0, block.len()) };
        Ok(block)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        assert!(
            self.live.borrow_mut().remove(&block.addr().get()).is_some(),
            "not a block of this one"
        );
        let room = Self::room(layout);
        // SAFETY: the caller gives the block up, and it was written as a whole.
        let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), room.size()) };
        let left = bytes.iter().filter(|byte| **byte != 0).count();
        self.left_behind.set(self.left_behind.get() + left);
        // SAFETY: all sizes that fit have the same room.
        unsafe { FromGlobal::new(System).deallocate(block, room) };
    }

    unsafe fn reallocate(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let other = self.allocate(new)?;
        // SAFETY: both hold that many bytes.
        unsafe { block.copy_to(other.cast(), old.size().min(new.size())) };
        // SAFETY: the caller gives the block up.
        unsafe { self.deallocate(block, old) };
        Ok(other)
    }

    unsafe fn reallocate_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        self.calls_in_place.set(self.calls_in_place.get() + 1);
        let too_large = new.size() > self.most.unwrap_or(usize::MAX / 4);
        if too_large || old.align() != new.align() || Self::room(old) != Self::room(new) {
            return Err(AllocError);
        }
        Ok(NonNull::slice_from_raw_parts(block, Self::room(new).size()))
    }

    unsafe fn usable_size(&self, _: NonNull<u8>, layout: Layout) -> usize {
        Self::room(layout).size()
    }
}

/// A guard keeps blocks that are broken: here they go back.
impl Drop for Known {
    fn drop(&mut self) {
        for (block, room) in self.live.get_mut().values() {
            // SAFETY: blocks on the list are the system's, of this layout.
            unsafe { FromGlobal::new(System).deallocate(*block, *room) };
        }
    }
}

// SAFETY: it keeps a list of its blocks.
unsafe impl Owns for Known {
    fn owns(&self, address: NonNull<u8>, _: Layout) -> bool {
        self.live.borrow().contains_key(&address.addr().get())
    }
}

extern "C" fn never(broken: &Broken) {
    eprintln!("{broken:?}");
    std::process::abort();
}

type Stack = Segregate<256, Known, Fallback<Known, FromGlobal<System>>>;

fn stack() -> Stack {
    Segregate::new(Known::up_to(256), Fallback::new(Known::up_to(2000), FromGlobal::new(System)))
}

type Refusing = Fail<Known, Cell<usize>>;

/// Every request is refused, until somebody helps.
fn needy() -> Rescue<Refusing, fn(&Refusing, Layout) -> bool> {
    let inner = Refusing::local(Known::default());
    inner.at(1);
    Rescue::new(inner, |inner, _| {
        // The next one is this one again.
        inner.at(inner.requests() + 2);
        true
    })
}

allod_kit::conformance!(watched: Watched::with(Known::default(), ()));
allod_kit::conformance!(count: Count::new(Known::default()));
allod_kit::conformance!(count_peak: Count::with_peak(Known::default()));
allod_kit::conformance!(count_local: Count::local(Known::default()));
allod_kit::conformance!(limit: Limit::new(Known::default(), usize::MAX));
allod_kit::conformance!(limit_tight: Limit::local(Known::default(), 30_000),
    Bounds::new().size(10_000).total(60_000));
allod_kit::conformance!(trace: Trace::<_, 16>::new(Known::default()));
allod_kit::conformance!(fail: Fail::new(Known::default()));
allod_kit::conformance!(fallback: Fallback::new(Known::up_to(100), Known::default()));
allod_kit::conformance!(segregate: Segregate::<100, _, _>::new(Known::default(), Known::default()));
allod_kit::conformance!(locked: &Locked::<_, Unshared>::new(Known::default()));
allod_kit::conformance!(locked_arena: &Locked::<_, Spin>::new(Bump::new()));
allod_kit::conformance!(rescue: &Rescue::new(Known::default(), |_: &Known, _| false),
    Bounds::new().size(4000).total(60_000));
allod_kit::conformance!(rescue_in_need: &needy(), Bounds::new().size(4000).total(60_000));
allod_kit::conformance!(wipe: Wipe::new(Known::default()));
allod_kit::conformance!(guard: Guard::new(Known::default(), never));
allod_kit::conformance!(realign: Realign::<8, _>::new(Known::default()));
allod_kit::conformance!(align_to: AlignTo::<64, _>::new(Known::default()));
allod_kit::conformance!(refuse: Refuse, Bounds::new().size(0));
allod_kit::conformance!(a_stack: stack());
allod_kit::conformance!(a_deep_stack: Wipe::new(Guard::new(
    Realign::<16, _>::new(Count::local(Limit::local(stack(), usize::MAX))), never)));

// The same over `GlobalAlloc`, and so with threads.
allod_kit::conformance!(global_count: global Count::new(System));
allod_kit::conformance!(global_limit: global Limit::new(System, usize::MAX));
allod_kit::conformance!(global_trace: global Trace::<_, 16>::new(System));
allod_kit::conformance!(global_fail: global Fail::new(System));
allod_kit::conformance!(global_fallback: global Fallback::new(Refuse, System));
allod_kit::conformance!(global_segregate: global Segregate::<100, _, _>::new(System, System));
allod_kit::conformance!(global_wipe: global Wipe::new(System));
allod_kit::conformance!(global_guard: global Guard::new(System, never));
allod_kit::conformance!(global_realign: global Realign::<8, _>::new(System));
allod_kit::conformance!(global_align_to: global AlignTo::<64, _>::new(System));
allod_kit::conformance!(global_stack: global Segregate::<256, _, _>::new(
    Guard::new(Count::new(System), never),
    Fallback::new(Refuse, Wipe::new(Realign::<16, _>::new(System)))));

// The stack of the kit's own: what is small from a pool, the rest from an arena
// on the stack, and what finds no room there from the system.
allod_kit::conformance!(the_whole_kit:
    &Segregate::<256, _, _>::new(
        Fallback::new(
            &Pool::new(&mut [const { PoolSlot::<[u64; 32]>::new() }; 50]),
            FromGlobal::new(System),
        ),
        Fallback::new(&Bump::on(&mut [MaybeUninit::uninit(); 20_000]), FromGlobal::new(System)),
    )
);
allod_kit::conformance!(arena_of_chunks: Fallback::new(limited(&Bump::new()), Known::default()));

/// An arena that has chunks, and runs dry.
fn limited(arena: &Bump) -> &Bump {
    arena.set_limit(30_000);
    arena
}

const BYTES: Layout = Layout::new::<[u8; 100]>();

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

/// A block that is given back when the test is done with it.
fn with_block<A: Allocator, R>(from: &A, layout: Layout, f: impl FnOnce(NonNull<u8>) -> R) -> R {
    let block = from.allocate(layout).expect("there is memory").cast();
    let result = f(block);
    // SAFETY: it was just allocated, and `f` is done with it.
    unsafe { from.deallocate(block, layout) };
    result
}

/// Random operations, of which none is a fault. A refusal is none.
fn exercise(allocator: &impl Allocator) {
    let sizes = Bounds::new().size(500).align(64);
    for seed in 0..20 {
        let program = decode(&bytes(seed, 1600), sizes);
        run(allocator, Bounds::new().total(0), &program, &|_| ()).expect("no fault");
    }
}

/// Changes one byte at a distance from a block's start: what a guard is for.
fn scribble(block: NonNull<u8>, at: isize) {
    // SAFETY: within the block below, of which the guard has kept these bytes.
    let place = unsafe { block.offset(at) };
    // SAFETY: the same, and they are written.
    let other = !unsafe { place.read() };
    // SAFETY: the same.
    unsafe { place.write(other) };
}

#[test]
fn count_tells_what_is_live_and_what_was() {
    let heap = Count::with_peak(FromGlobal::new(System));
    with_block(&heap, BYTES, |_| {
        with_block(&heap, layout(50, 1), |_| {
            let counts = heap.counts();
            assert_eq!((counts.blocks, counts.bytes), (2, 150));
            assert_eq!((heap.peak().blocks, heap.peak().bytes), (2, 150));
        });
        with_block(&heap, layout(0, 1), |_| assert_eq!(heap.counts().blocks, 1));
    });
    let counts = heap.counts();
    assert_eq!((counts.blocks, counts.bytes, heap.peak().bytes), (0, 0, 150));
    assert_eq!((counts.total_blocks, counts.total_bytes, counts.refused), (2, 150, 0));
    heap.reset_peak();
    assert_eq!(heap.peak().bytes, 0);
    assert!(Count::new(Refuse).allocate(BYTES).is_err());
}

#[test]
fn count_follows_a_block_that_changes() {
    let heap = Count::local(FromGlobal::new(System));
    let block = heap.allocate(layout(10, 1)).expect("there is memory").cast();
    // SAFETY: the block is live.
    let block = unsafe { heap.reallocate(block, layout(10, 1), layout(30, 1)) };
    let block = block.expect("there is memory").cast();
    assert_eq!((heap.counts().blocks, heap.counts().bytes), (1, 30));
    // SAFETY: the block is live.
    let block = unsafe { heap.reallocate(block, layout(30, 1), layout(0, 1)) };
    assert_eq!((heap.counts().blocks, heap.counts().bytes), (0, 0));
    let block = block.expect("no bytes are always to be had").cast();
    // SAFETY: the block is live.
    let block = unsafe { heap.reallocate(block, layout(0, 1), layout(5, 1)) };
    assert_eq!((heap.counts().blocks, heap.counts().bytes), (1, 5));
    // SAFETY: the block is live.
    unsafe { heap.deallocate(block.expect("there is memory").cast(), layout(5, 1)) };
    assert_eq!(heap.counts().blocks, 0);
    let refusing = Count::new(Refuse);
    assert!(refusing.allocate(BYTES).is_err());
    assert_eq!((refusing.counts().refused, refusing.counts().total_blocks), (1, 0));
}

#[test]
fn count_and_limit_end_at_nothing() {
    let heap = Count::local_with_peak(Limit::local(Known::default(), 20_000));
    exercise(&heap);
    assert_eq!((heap.counts().blocks, heap.counts().bytes), (0, 0));
    assert!(heap.peak().bytes > 1000, "something has happened");
    assert!(heap.peak().bytes <= 20_000);
    assert!(heap.counts().refused > 0, "the limit was met");
    assert_eq!(heap.inner().used(), 0);
}

#[test]
fn count_and_limit_keep_their_sums_among_threads() {
    // The count inside: what it has counted was let through before, and is let go
    // of after. From outside, a block that shrinks is let go of before it is seen.
    let heap = Limit::new(Count::with_peak(FromGlobal::new(System)), 20_000);
    thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| exercise(&heap))));
    });
    let counts = heap.inner().counts();
    assert_eq!((counts.blocks, counts.bytes, heap.used()), (0, 0, 0));
    let peak = heap.inner().peak();
    assert!((1..=20_000).contains(&peak.bytes), "{peak:?}");
}

#[test]
fn limit_gives_no_more_than_it_says() {
    let heap = Limit::new(FromGlobal::new(System), 150);
    with_block(&heap, BYTES, |block| {
        assert!(heap.allocate(layout(51, 1)).is_err());
        with_block(&heap, layout(50, 1), |_| assert_eq!(heap.used(), 150));
        // SAFETY: the block is live.
        assert!(unsafe { heap.reallocate(block, BYTES, layout(151, 1)) }.is_err());
        assert_eq!(heap.used(), 100);
        heap.set_limit(10);
        assert!(heap.allocate(layout(1, 1)).is_err());
    });
    assert_eq!((heap.used(), heap.limit()), (0, 10));
    let heap = Limit::new(Refuse, 150);
    assert!(heap.allocate(BYTES).is_err());
    assert_eq!(heap.used(), 0, "what is refused below is not used");
}

#[test]
fn fail_refuses_each_request_in_turn() {
    let heap = Fail::local(FromGlobal::new(System));
    let program: Vec<Op> = decode(&bytes(7, 400), Bounds::new());
    // Its own bounds promise nothing, so that refusals are no faults.
    let nothing = Bounds::new().size(0).total(0);
    run(&heap, nothing, &program, &|_| ()).expect("no fault");
    let requests = heap.requests();
    assert!(requests > 20, "{requests}");
    for k in 1..=requests {
        heap.never();
        heap.at(k);
        run(&heap, nothing, &program, &|_| ()).expect("a refusal harms nobody");
        assert_eq!(heap.refusals(), 1);
    }
}

#[test]
fn fail_refuses_from_above_and_at_random() {
    let heap = Fail::new(FromGlobal::new(System));
    let refusals = |rule: &dyn Fn()| {
        heap.never();
        rule();
        (0..1000).for_each(|size| {
            if let Ok(block) = heap.allocate(layout(size + 1, 1)) {
                // SAFETY: it was just allocated.
                unsafe { heap.deallocate(block.cast(), layout(size + 1, 1)) };
            }
        });
        heap.refusals()
    };
    assert_eq!(refusals(&|| ()), 0);
    assert_eq!(refusals(&|| heap.from(901)), 100);
    assert_eq!(refusals(&|| heap.above(990)), 10);
    let tenth = refusals(&|| heap.randomly(10, 3));
    assert!((50..200).contains(&tenth), "{tenth}");
    assert_eq!(tenth, refusals(&|| heap.randomly(10, 3)), "the same seed, the same ones");
}

#[test]
fn trace_keeps_the_last_requests_in_order() {
    let heap: Trace<_, 3> = Trace::new(FromGlobal::new(System));
    assert_eq!(heap.events().count(), 0);
    let block = with_block(&heap, BYTES, |block| {
        // SAFETY: the block is live.
        assert!(unsafe { heap.reallocate_in_place(block, BYTES, layout(200, 1)) }.is_err());
        assert_eq!(heap.events().count(), 2);
        block.addr().get()
    });
    let events: Vec<_> = heap.events().collect();
    let told: Vec<_> = events.iter().map(|it| (it.number, it.kind, it.old_size)).collect();
    assert_eq!(
        told,
        [
            (1, EventKind::Allocate, 0),
            (2, EventKind::ReallocateInPlace, 100),
            (3, EventKind::Deallocate, 100),
        ]
    );
    assert_eq!(events[0].new_block, block);
    assert_eq!((events[1].old_block, events[1].new_block, events[1].new_size), (block, 0, 200));
    assert_eq!((events[2].old_block, events[2].new_block, events[2].align), (block, 0, 1));
    with_block(&heap, BYTES, |_| ());
    assert_eq!(heap.events().map(|it| it.number).collect::<Vec<_>>(), [3, 4, 5]);
}

#[test]
fn trace_shows_only_whole_events() {
    // Each thread has a size of its own, and its alignment follows from it.
    let heap: Trace<_, 4> = Trace::new(FromGlobal::new(System));
    let (rounds, seen) = if cfg!(miri) { (100, 20) } else { (20_000, 20_000) };
    thread::scope(|scope| {
        for bit in 0..3u32 {
            let heap = &heap;
            scope.spawn(move || {
                let layout = layout(1000 + bit as usize, 1 << bit);
                (0..rounds).for_each(|_| with_block(heap, layout, |_| ()));
            });
        }
        for _ in 0..seen {
            for event in heap.events() {
                let size = event.old_size + event.new_size;
                assert!((1000..1003).contains(&size), "{event:?}");
                assert_eq!(event.align, 1 << (size - 1000), "{event:?}");
                let came_back = event.kind == EventKind::Deallocate;
                assert_eq!((event.old_block != 0, event.new_block == 0), (came_back, came_back));
            }
        }
    });
    assert_eq!(heap.recorded(), rounds * 6);
}

#[test]
fn fallback_moves_a_block_that_outgrows_the_first() {
    let heap = Fallback::new(Known::up_to(100), Known::default());
    let block = heap.allocate(BYTES).expect("there is memory").cast();
    assert!(heap.first().owns(block, BYTES));
    // SAFETY: the block is ours.
    unsafe { block.write_bytes(7, 100) };
    // SAFETY: the block is live.
    let moved = unsafe { heap.reallocate(block, BYTES, layout(101, 1)) };
    let moved = moved.expect("the second has memory").cast::<u8>();
    assert!(heap.second().owns(moved, layout(101, 1)));
    assert!(heap.first().live.borrow().is_empty());
    // SAFETY: a hundred bytes were kept.
    let kept = unsafe { std::slice::from_raw_parts(moved.as_ptr(), 100) };
    assert_eq!(kept, [7; 100]);
    // SAFETY: the block is live.
    unsafe { heap.deallocate(moved, layout(101, 1)) };
    assert!(heap.second().live.borrow().is_empty());
}

#[test]
fn segregate_hides_what_is_beyond_the_border() {
    let heap = Segregate::<100, _, _>::new(Known::default(), Known::default());
    let block = heap.allocate(layout(70, 1)).expect("there is memory");
    assert_eq!(block.len(), 100, "the small one would give 128");
    let whole = layout(block.len(), 1);
    // SAFETY: the returned length fits.
    unsafe { heap.deallocate(block.cast(), whole) };
    assert!(heap.small().live.borrow().is_empty());
}

#[test]
fn wipe_leaves_nothing_behind() {
    let heap = Wipe::new(Known::default());
    exercise(&heap);
    assert_eq!(heap.inner().left_behind.get(), 0);
    assert!(heap.inner().calls_in_place.get() > 0, "growth was tried where it is");
    let bare = Known::default();
    exercise(&bare);
    assert!(bare.left_behind.get() > 0, "the test sees what is left behind");
}

/// What was reported, on the one thread that runs these tests' guards.
static REPORTS: Mutex<Vec<(usize, What)>> = Mutex::new(Vec::new());

extern "C" fn report(broken: &Broken) {
    REPORTS.lock().expect("no test panics with it").push((broken.size, broken.what));
}

/// One test for all crimes, since they share the list of reports.
#[test]
fn guard_tells_what_was_broken_and_keeps_the_block() {
    let heap = Guard::new(Known::default(), report);
    let crime = |size: usize, crime: &dyn Fn(NonNull<u8>)| {
        let block = heap.allocate(layout(size, 1)).expect("there is memory").cast();
        // SAFETY: the block is live.
        assert!(unsafe { heap.is_whole(block, layout(size, 1)) });
        crime(block);
        // SAFETY: the caller of a guard has no more to promise: it finds out.
        unsafe { heap.deallocate(block, layout(size, 1)) };
        REPORTS.lock().expect("no test panics with it").pop()
    };
    assert_eq!(crime(10, &|_| ()), None);
    assert_eq!(crime(10, &|it| scribble(it, 10)), Some((10, What::After)));
    assert_eq!(crime(11, &|it| scribble(it, 26)), Some((11, What::After)));
    assert_eq!(crime(12, &|it| scribble(it, -1)), Some((12, What::Before)));
    assert_eq!(crime(13, &|it| scribble(it, -16)), Some((13, What::Before)));
    assert_eq!(heap.inner().live.borrow().len(), 4, "broken blocks are kept");
    // Grown with its canary broken: refused, and as it was.
    let grown = crime(14, &|it| {
        scribble(it, 14);
        // SAFETY: the block is live.
        assert!(unsafe { heap.reallocate(it, layout(14, 1), layout(20, 1)) }.is_err());
        REPORTS.lock().expect("no test panics with it").pop();
    });
    assert_eq!(grown, Some((14, What::After)));
}

/// A guard over memory that is not given back, so that a second free may be
/// looked at.
#[test]
fn guard_knows_a_block_that_came_back() {
    static GONE: Mutex<Vec<What>> = Mutex::new(Vec::new());
    extern "C" fn gone(broken: &Broken) {
        GONE.lock().expect("no test panics with it").push(broken.what);
    }
    /// Keeps what comes back, until it is gone itself.
    #[derive(Default)]
    struct Late(Known);
    // SAFETY: blocks are the other's.
    unsafe impl GlobalAlloc for Late {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            self.0.allocate(layout).map_or(std::ptr::null_mut(), |block| block.cast().as_ptr())
        }
        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
    }
    let heap = Guard::new(Late::default(), gone);
    // SAFETY: the layout has bytes.
    let block = unsafe { heap.alloc(BYTES) };
    // SAFETY: the block is live.
    unsafe { heap.dealloc(block, BYTES) };
    assert!(GONE.lock().expect("no test panics with it").is_empty());
    // SAFETY: it is not; but its memory is still there.
    unsafe { heap.dealloc(block, BYTES) };
    assert_eq!(GONE.lock().expect("no test panics with it").pop(), Some(What::Gone));
    // SAFETY: the layout has bytes.
    let block = unsafe { heap.alloc(BYTES) };
    // SAFETY: not the size it has: the guard finds out.
    unsafe { heap.dealloc(block, layout(99, 1)) };
    assert_eq!(GONE.lock().expect("no test panics with it").pop(), Some(What::Before));
}

#[test]
fn realign_aligns_what_the_one_below_does_not() {
    /// Never aligned to more than 16.
    struct Weak;
    // SAFETY: the system's blocks, sixteen bytes in where more is asked for.
    unsafe impl GlobalAlloc for Weak {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            assert!(layout.align() <= 16, "not from this one");
            let more = Layout::from_size_align(layout.size() + 16, 64).expect("a little more");
            // SAFETY: the layout has bytes.
            let block = unsafe { System.alloc(more) };
            // SAFETY: there are sixteen bytes more.
            unsafe { block.add(16) }
        }
        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            let more = Layout::from_size_align(layout.size() + 16, 64).expect("a little more");
            // SAFETY: as it was allocated.
            let block = unsafe { block.sub(16) };
            // SAFETY: the same.
            unsafe { System.dealloc(block, more) };
        }
    }
    let heap = FromGlobal::new(Realign::<16, _>::new(Weak));
    for bits in 0..13 {
        let layout = layout(100, 1 << bits);
        with_block(&heap, layout, |block| {
            assert!(block.addr().get().is_multiple_of(layout.align()));
        });
    }
}

#[test]
fn threads_share_an_arena_behind_a_lock() {
    let mut shared = Locked::<_, Spin>::new(Bump::new());
    let found = Probe(&&shared).threads(Bounds::new().size(1000).align(64));
    assert!(found.is_none(), "{}", found.unwrap());
    assert!(shared.get_mut().reserved() > 0);
}

#[test]
fn whatever_is_behind_a_lock_is_called_with_it_held() {
    /// Whether somebody has the lock.
    type Held = Rc<Cell<bool>>;
    struct Gate(Held);
    // SAFETY: one thread has it: it is not `Sync`.
    unsafe impl Lock for Gate {
        fn hold<R>(&self, work: impl FnOnce() -> R) -> R {
            assert!(!self.0.replace(true), "it is held already");
            let result = work();
            self.0.set(false);
            result
        }
    }
    /// Asks the lock.
    struct Alone {
        held: Held,
        visits: Cell<usize>,
    }
    impl Alone {
        fn visit<R>(&self, work: impl FnOnce() -> R) -> R {
            assert!(self.held.get(), "nobody holds the lock");
            self.visits.set(self.visits.get() + 1);
            work()
        }
    }
    const SYSTEM: FromGlobal<System> = FromGlobal::new(System);
    // SAFETY: all of it is the system's.
    unsafe impl Allocator for Alone {
        fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
            self.visit(|| SYSTEM.allocate(layout))
        }
        fn allocate_zeroed(&self, _: Layout) -> Result<NonNull<[u8]>, AllocError> {
            unreachable!("blocks are cleared outside")
        }
        unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
            // SAFETY: the caller's promise.
            self.visit(|| unsafe { SYSTEM.deallocate(block, layout) });
        }
        unsafe fn reallocate(
            &self,
            _: NonNull<u8>,
            _: Layout,
            _: Layout,
        ) -> Result<NonNull<[u8]>, AllocError> {
            unreachable!("blocks are copied outside")
        }
        unsafe fn reallocate_in_place(
            &self,
            _: NonNull<u8>,
            _: Layout,
            _: Layout,
        ) -> Result<NonNull<[u8]>, AllocError> {
            self.visit(|| Err(AllocError))
        }
        unsafe fn usable_size(&self, _: NonNull<u8>, layout: Layout) -> usize {
            self.visit(|| layout.size())
        }
    }
    // SAFETY: none of its own.
    unsafe impl Owns for Alone {
        fn owns(&self, _: NonNull<u8>, _: Layout) -> bool {
            self.visit(|| true)
        }
    }
    let held = Held::default();
    let alone = Alone { held: held.clone(), visits: Cell::new(0) };
    let shared = Locked::with_lock(alone, Gate(held));
    let (few, many) = (layout(8, 8), layout(16, 8));
    let block = (&shared).allocate_zeroed(few).expect("the system has some").cast();
    assert!(shared.owns(block, few));
    // SAFETY: the block is live, and of this layout.
    assert_eq!(unsafe { (&shared).usable_size(block, few) }, 8);
    // SAFETY: as above.
    let block = unsafe { (&shared).reallocate(block, few, many) }.expect("twice that");
    // SAFETY: as above, and it is not used again.
    unsafe { (&shared).deallocate(block.cast(), many) };
    // In, asked, measured; no change in place, elsewhere, the old one back; and back.
    assert_eq!(shared.into_inner().visits.get(), 7);
}

/// A heap that is given memory a part at a time.
type Parts<'m> = Heap<Tlsf<'m>, Unshared>;

#[test]
fn help_is_called_for_when_there_is_need() {
    let mut memory = [[const { MaybeUninit::<u8>::uninit() }; 4096]; 3];
    let parts = RefCell::new(memory.iter_mut());
    let calls = Cell::new(0);
    let heap = Rescue::new(Parts::new(), |heap: &Parts<'static>, wanted: Layout| {
        assert_eq!(wanted.size(), 1000);
        calls.set(calls.get() + 1);
        let Some(part) = parts.borrow_mut().next() else { return false };
        // SAFETY: the part outlives the heap, and nobody else uses it.
        unsafe { heap.add_region(NonNull::from_mut(part).cast(), 4096) > 0 }
    });
    let layout = Layout::new::<[u8; 1000]>();
    let blocks: Vec<_> = std::iter::from_fn(|| (&heap).allocate(layout).ok()).collect();
    // Three times room for at least two, and the call that brought nothing.
    assert!(blocks.len() >= 6, "{} blocks", blocks.len());
    assert_eq!(calls.get(), 4);
    for block in &blocks {
        assert!(heap.owns(block.cast(), layout));
        // SAFETY: the block is the heap's, and not used again.
        unsafe { (&heap).deallocate(block.cast(), layout) };
    }
    assert_eq!((calls.get(), heap.inner().used()), (4, 0));
}

#[test]
fn the_global_face_calls_for_help_too() {
    // The size that is too much, until somebody helps.
    let calls = Cell::new(0);
    let inner: Fail<System, Cell<usize>> = Fail::local(System);
    let heap = Rescue::new(inner, |inner: &Fail<System, Cell<usize>>, wanted: Layout| {
        calls.set(calls.get() + 1);
        assert!(wanted.size() > 100);
        inner.never();
        true
    });
    let layout = Layout::new::<[u8; 101]>();
    heap.inner().above(100);
    // SAFETY: the size is not 0.
    let block = unsafe { heap.alloc(layout) };
    heap.inner().above(100);
    // SAFETY: as above.
    let zeroed = unsafe { heap.alloc_zeroed(layout) };
    heap.inner().above(100);
    // SAFETY: the block is live, and of this layout.
    let grown = unsafe { heap.realloc(block, layout, 300) };
    assert_eq!(calls.get(), 3);
    let more = Layout::new::<[u8; 300]>();
    for (block, layout) in [(zeroed, layout), (grown, more)] {
        assert!(!block.is_null());
        // SAFETY: the block is live, and of this layout.
        unsafe { heap.dealloc(block, layout) };
    }
}
