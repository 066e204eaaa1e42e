//! Linux: the verbs in terms of `mmap` and its family.
//!
//! Reservations are `PROT_NONE` and `MAP_NORESERVE`: they count against
//! `RLIMIT_AS` and against nothing else, whatever the overcommit mode, and
//! `mlockall` has nothing to lock in them. What is handed out is made
//! accessible in steps by `mprotect`.
#![allow(unsafe_code)]

use super::{Advice, Os};
use core::ptr::NonNull;

/// The system we run on.
#[derive(Debug)]
pub(crate) struct Linux;

/// Runs `call` and puts `errno` back as it was (O3).
fn quietly<R>(call: impl FnOnce() -> R) -> R {
    // SAFETY: the function has no precondition.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the location is this thread's own and lives as long as it.
    let before = unsafe { *errno };
    let result = call();
    // SAFETY: as above.
    unsafe { *errno = before };
    result
}

fn map(len: usize, hint: usize, protection: libc::c_int) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let hint = core::ptr::without_provenance_mut(hint);
    // SAFETY: a new anonymous mapping, placed where nothing else is.
    let base = quietly(|| unsafe { libc::mmap(hint, len, protection, flags, -1, 0) });
    if base == libc::MAP_FAILED { None } else { NonNull::new(base.cast()) }
}

fn time(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable, and both clocks used here exist on every Linux.
    quietly(|| unsafe { libc::clock_gettime(clock, &raw mut time) });
    time
}

// SAFETY: O1 and O2 are the kernel's promises for private anonymous mappings;
// O3 is `quietly`; O4 holds for bare system calls.
unsafe impl Os for Linux {
    fn page_size(&self) -> usize {
        // Not `sysconf`, whose table of answers is 100 KiB from everything else.
        // SAFETY: a query without preconditions.
        let size = unsafe { libc::getauxval(libc::AT_PAGESZ) };
        if size > 0 { size as usize } else { 4096 }
    }

    fn reserve(&self, len: usize, hint: usize) -> Option<NonNull<u8>> {
        map(len, hint, libc::PROT_NONE)
    }

    fn seal(&self, len: usize) -> Option<NonNull<u8>> {
        map(len, 0, libc::PROT_READ)
    }

    unsafe fn commit(&self, base: NonNull<u8>, len: usize) -> bool {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the caller owns the range.
        quietly(|| unsafe { libc::mprotect(base.as_ptr().cast(), len, access) == 0 })
    }

    unsafe fn decommit(&self, base: NonNull<u8>, len: usize) -> bool {
        // SAFETY: the caller owns the range and nobody needs it.
        quietly(|| unsafe { libc::mprotect(base.as_ptr().cast(), len, libc::PROT_NONE) == 0 })
    }

    unsafe fn purge(&self, base: NonNull<u8>, len: usize) -> bool {
        // SAFETY: the caller owns the range and gives up its contents. Not
        // MADV_FREE: the kernel would count the pages as ours until it needs
        // them, and people read that count.
        quietly(|| unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_DONTNEED) == 0 })
    }

    unsafe fn release(&self, base: NonNull<u8>, len: usize) -> bool {
        // SAFETY: the caller owns the range and gives it up.
        quietly(|| unsafe { libc::munmap(base.as_ptr().cast(), len) == 0 })
    }

    unsafe fn remap(
        &self,
        old: NonNull<u8>,
        old_len: usize,
        new: NonNull<u8>,
        new_len: usize,
    ) -> bool {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let (old, new) = (old.as_ptr().cast(), new.as_ptr().cast::<libc::c_void>());
        // SAFETY: the caller owns both ranges, and what is mapped at `new` may go.
        let at = quietly(|| unsafe { libc::mremap(old, old_len, new_len, flags, new) });
        at == new
    }

    unsafe fn advise(&self, base: NonNull<u8>, len: usize, advice: Advice) -> bool {
        let advice = match advice {
            Advice::HugePages => libc::MADV_HUGEPAGE,
            Advice::SmallPages => libc::MADV_NOHUGEPAGE,
            Advice::NoDump => libc::MADV_DONTDUMP,
        };
        // SAFETY: the caller owns the range, and none of the three touches contents.
        quietly(|| unsafe { libc::madvise(base.as_ptr().cast(), len, advice) == 0 })
    }

    unsafe fn resident(&self, base: NonNull<u8>, len: usize) -> usize {
        // A thousand pages a call keeps the stack small.
        let mut present = [0u8; 1024];
        let page = self.page_size();
        let (mut done, mut bytes) = (0, 0);
        while done < len {
            let part = (len - done).min(page * present.len());
            // SAFETY: `done` is below `len`, so this is within the caller's range.
            let at = unsafe { base.add(done) };
            let out = present.as_mut_ptr();
            // SAFETY: the range is ours, and `present` has a byte for each page.
            let ok = quietly(|| unsafe { libc::mincore(at.as_ptr().cast(), part, out.cast()) == 0 });
            if ok {
                let pages = part.div_ceil(page).min(present.len());
                let here = present.iter().take(pages).filter(|&&p| p & 1 != 0).count();
                bytes += here * page;
            }
            done += part;
        }
        bytes
    }

    #[inline]
    fn clock(&self) -> u64 {
        let now = time(libc::CLOCK_MONOTONIC_COARSE);
        now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
    }

    fn nanoseconds(&self) -> u64 {
        let now = time(libc::CLOCK_MONOTONIC);
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }

    fn entropy(&self) -> [u64; 2] {
        let mut bytes = [0u64; 2];
        let flags = libc::GRND_NONBLOCK;
        // SAFETY: `bytes` is writable for its 16 bytes.
        quietly(|| unsafe {
            libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), size_of_val(&bytes), flags)
        });
        // Early in a boot the pool may be empty: then the clock and where the
        // kernel put our stack are what is left.
        let place = core::ptr::from_ref(&bytes).addr() as u64;
        let [a, b] = bytes;
        [a ^ place.rotate_left(32) ^ self.nanoseconds(), b]
    }
}
