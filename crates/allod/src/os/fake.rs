//! A system for tests: real memory, made-up answers.
//!
//! It keeps its own books: which pages are reserved, committed, sealed, and
//! refuses to be asked for anything that the contract forbids. The k-th call
//! can be made to fail, pages can be of another size than the machine's, the
//! clock moves when told to. The memory itself comes from the machine, mapped
//! once, so that touching what is not committed faults here too.
#![allow(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "the books are kept by address")]

use super::{Advice, Os};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec::Vec;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reserved,
    Committed,
    Sealed,
}

#[derive(Debug, Default)]
struct Books {
    /// Start of a run of pages, its length, its state. No two touch in the same state.
    pages: BTreeMap<usize, (usize, State)>,
    calls: u64,
    fail_from: u64,
    fail_to: u64,
    purged: usize,
}

/// The system.
#[derive(Debug)]
pub(crate) struct Fake {
    /// Start and length of the mapping that all of it lies in.
    mapping: (usize, usize),
    base: usize,
    size: usize,
    limit: usize,
    page: usize,
    clock: AtomicU64,
    books: Mutex<Books>,
}

impl Fake {
    /// A system of `size` bytes of addresses and pages of `page` bytes.
    pub(crate) fn new(size: usize, page: usize) -> Self {
        // SAFETY: a new anonymous mapping.
        let base = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            libc::mmap(std::ptr::null_mut(), size + (2 << 20), libc::PROT_NONE, flags, -1, 0)
        };
        assert_ne!(base, libc::MAP_FAILED, "the tests need addresses");
        let mapping = (base.expose_provenance(), size + (2 << 20));
        let base = mapping.0.next_multiple_of(2 << 20);
        let clock = AtomicU64::new(1000);
        Self { mapping, base, size, limit: usize::MAX, page, clock, books: Mutex::default() }
    }

    /// Lets at most `limit` bytes be reserved.
    pub(crate) fn limited(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Makes `count` calls fail, after `after` more that don't.
    pub(crate) fn fail(&self, after: u64, count: u64) {
        let mut books = self.books.lock().unwrap();
        books.fail_from = books.calls + after + 1;
        books.fail_to = books.fail_from.saturating_add(count);
    }

    /// Calls that could have failed, so far.
    pub(crate) fn calls(&self) -> u64 {
        self.books.lock().unwrap().calls
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, milliseconds: u64) {
        // ORDERING: Relaxed, a number for tests.
        self.clock.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// Bytes that are reserved, committed or sealed.
    pub(crate) fn mapped(&self) -> usize {
        self.books.lock().unwrap().pages.values().map(|(len, _)| len).sum()
    }

    /// True when the page at `at` may be read and written.
    pub(crate) fn is_committed(&self, at: usize) -> bool {
        let books = self.books.lock().unwrap();
        let run = books.pages.range(..=at).next_back();
        run.is_some_and(|(&start, &(len, state))| at - start < len && state == State::Committed)
    }

    /// Bytes that were purged.
    pub(crate) fn purged(&self) -> usize {
        self.books.lock().unwrap().purged
    }

    fn refuse(books: &mut Books) -> bool {
        books.calls += 1;
        books.calls >= books.fail_from && books.calls < books.fail_to
    }

    fn check(&self, base: NonNull<u8>, len: usize) -> usize {
        let at = base.addr().get();
        assert!(len > 0 && len.is_multiple_of(self.page), "a length of {len}");
        assert!(at.is_multiple_of(self.page), "a base of {at:#x}");
        assert!(at >= self.base && at + len <= self.base + self.size, "not ours: {at:#x}");
        at
    }

    fn protect(&self, at: usize, len: usize, protection: i32) {
        let pointer = std::ptr::with_exposed_provenance_mut(at);
        // SAFETY: the range is in our own mapping.
        let done = unsafe { libc::mprotect(pointer, len, protection) };
        assert_eq!(done, 0);
    }

    fn map(&self, len: usize, state: State, align: usize) -> Option<NonNull<u8>> {
        assert!(len > 0 && len.is_multiple_of(self.page), "a length of {len}");
        let mut books = self.books.lock().unwrap();
        let used: usize = books.pages.values().map(|(len, _)| len).sum();
        if Self::refuse(&mut books) || used + len > self.limit {
            return None;
        }
        // First fit, each mapping one page away from the next, so that an
        // overrun is not a visit to a neighbour.
        let mut at = self.base;
        for (&start, &(size, _)) in &books.pages {
            if at + len <= start {
                break;
            }
            at = at.max((start + size + self.page).next_multiple_of(align));
        }
        if at + len > self.base + self.size {
            return None;
        }
        books.pages.insert(at, (len, state));
        if state == State::Sealed {
            self.protect(at, len, libc::PROT_READ);
        }
        NonNull::new(std::ptr::with_exposed_provenance_mut(at))
    }
}

/// Cuts the books so that a run starts at `at`.
fn cut(books: &mut Books, at: usize) {
    if let Some((&start, &(len, state))) = books.pages.range(..at).next_back()
        && start + len > at
    {
        books.pages.insert(start, (at - start, state));
        books.pages.insert(at, (start + len - at, state));
    }
}

/// Takes a range out of the books. Every page of it must be in one of `states`.
fn take(books: &mut Books, at: usize, len: usize, states: &[State]) {
    cut(books, at);
    cut(books, at + len);
    let runs: Vec<_> = books.pages.range(at..at + len).map(|(&s, &(l, st))| (s, l, st)).collect();
    let mut next = at;
    for (start, len, state) in runs {
        assert_eq!(start, next, "a hole in the range");
        assert!(states.contains(&state), "{state:?} where one of {states:?} was due");
        next = start + len;
        books.pages.remove(&start);
    }
    assert_eq!(next, at + len, "the range runs past what is mapped");
}

// SAFETY: the books keep O1; `protect` and `madvise` on our own mapping keep O2.
unsafe impl Os for Fake {
    fn page_size(&self) -> usize {
        self.page
    }

    fn reserve(&self, len: usize, _hint: usize) -> Option<NonNull<u8>> {
        self.map(len, State::Reserved, self.page)
    }

    fn seal(&self, len: usize) -> Option<NonNull<u8>> {
        self.map(len, State::Sealed, self.page)
    }

    unsafe fn commit(&self, base: NonNull<u8>, len: usize) -> bool {
        let at = self.check(base, len);
        let mut books = self.books.lock().unwrap();
        if Self::refuse(&mut books) {
            return false;
        }
        take(&mut books, at, len, &[State::Reserved, State::Committed]);
        books.pages.insert(at, (len, State::Committed));
        self.protect(at, len, libc::PROT_READ | libc::PROT_WRITE);
        true
    }

    unsafe fn decommit(&self, base: NonNull<u8>, len: usize) -> bool {
        let at = self.check(base, len);
        let mut books = self.books.lock().unwrap();
        if Self::refuse(&mut books) {
            return false;
        }
        take(&mut books, at, len, &[State::Committed]);
        books.pages.insert(at, (len, State::Reserved));
        self.protect(at, len, libc::PROT_NONE);
        true
    }

    unsafe fn purge(&self, base: NonNull<u8>, len: usize) -> bool {
        let at = self.check(base, len);
        let mut books = self.books.lock().unwrap();
        if Self::refuse(&mut books) {
            return false;
        }
        take(&mut books, at, len, &[State::Committed]);
        books.pages.insert(at, (len, State::Committed));
        books.purged += len;
        // SAFETY: the range is in our own mapping.
        unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_DONTNEED) };
        true
    }

    unsafe fn release(&self, base: NonNull<u8>, len: usize) -> bool {
        let at = self.check(base, len);
        let mut books = self.books.lock().unwrap();
        if Self::refuse(&mut books) {
            return false;
        }
        take(&mut books, at, len, &[State::Reserved, State::Committed, State::Sealed]);
        // SAFETY: the range is in our own mapping.
        unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_DONTNEED) };
        self.protect(at, len, libc::PROT_NONE);
        true
    }

    unsafe fn remap(&self, old: NonNull<u8>, old_len: usize, new: NonNull<u8>, new_len: usize) -> bool {
        let (from, to) = (self.check(old, old_len), self.check(new, new_len));
        let mut books = self.books.lock().unwrap();
        if Self::refuse(&mut books) {
            return false;
        }
        take(&mut books, from, old_len, &[State::Committed]);
        take(&mut books, to, new_len, &[State::Reserved]);
        books.pages.insert(to, (new_len, State::Committed));
        self.protect(to, new_len, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: both ranges are ours, mapped, and apart.
        unsafe { new.copy_from_nonoverlapping(old, old_len.min(new_len)) };
        // SAFETY: the range is in our own mapping.
        unsafe { libc::madvise(old.as_ptr().cast(), old_len, libc::MADV_DONTNEED) };
        self.protect(from, old_len, libc::PROT_NONE);
        true
    }

    unsafe fn advise(&self, base: NonNull<u8>, len: usize, _advice: Advice) -> bool {
        self.check(base, len);
        let mut books = self.books.lock().unwrap();
        !Self::refuse(&mut books)
    }

    unsafe fn resident(&self, _base: NonNull<u8>, _len: usize) -> usize {
        0
    }

    fn clock(&self) -> u64 {
        // ORDERING: Relaxed, a number for tests.
        self.clock.load(Ordering::Relaxed)
    }

    fn nanoseconds(&self) -> u64 {
        self.clock() * 1_000_000
    }

    fn entropy(&self) -> [u64; 2] {
        [0x1234_5678_9ABC_DEF0, 42]
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let (start, len) = self.mapping;
        let start = std::ptr::with_exposed_provenance_mut(start);
        // SAFETY: the mapping is ours; the test is over.
        unsafe { libc::munmap(start, len) };
    }
}
