//! Pages of files that are dropped, and those that must not be.

use super::alone::{alone, is_emulated, is_part};
use super::warm;
use crate::os::Os;
use crate::os::linux::Linux;
use crate::unwind::cfi::Memory;
use crate::unwind::memory;
use crate::unwind::touched::Touched;
use core::cell::Cell;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::vec::Vec;

/// The pages of `start..end` that have memory behind them, by their places in it.
fn present(start: usize, end: usize) -> Vec<usize> {
    let page = Linux.page_size();
    let file = std::fs::File::open("/proc/self/pagemap").expect("the kernel tells about pages");
    let is_there = |i: &usize| {
        let mut word = [0; 8];
        file.read_exact_at(&mut word, ((start / page + i) * 8) as u64).expect("of each page");
        u64::from_ne_bytes(word) >> 63 != 0
    };
    (0..(end - start) / page).filter(is_there).collect()
}

/// A private mapping of a file of `pages` pages, each full of its own number.
fn file(pages: usize) -> &'static [Cell<u8>] {
    let page = Linux.page_size();
    let path = std::env::temp_dir().join(std::format!("allod-touched-{}", std::process::id()));
    let mut made = std::fs::File::create_new(&path).expect("a file");
    for i in 0..pages {
        made.write_all(&std::vec![i as u8; page]).expect("it is written");
    }
    let file = std::fs::File::open(&path).expect("it is there");
    std::fs::remove_file(&path).expect("it goes with its mapping");
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, placed where nothing else is.
    let base = unsafe {
        libc::mmap(core::ptr::null_mut(), pages * page, access, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
    };
    assert_ne!(base, libc::MAP_FAILED, "it is mapped");
    // SAFETY: the mapping is this long, and stays.
    unsafe { core::slice::from_raw_parts(base.cast(), pages * page) }
}

#[test]
fn pages_of_a_file_are_dropped_and_those_that_were_written_to_are_not() {
    let name = "touched::pages_of_a_file_are_dropped_and_those_that_were_written_to_are_not";
    if !is_part(name) {
        return alone(name);
    }
    let (page, pages) = (Linux.page_size(), 192);
    let bytes = file(pages);
    let base = bytes.as_ptr().addr();
    let end = base + pages * page;
    let byte = |i: usize| bytes[i * page].get();
    assert!((0..pages).all(|i| byte(i) == i as u8));
    // One page of the 64 in the middle is the process's own.
    bytes[70 * page].set(200);
    assert_eq!(present(base, end).len(), pages, "all are mapped");
    let touched = Touched::new();
    let touched = touched.within((base, end));
    touched.note(base, pages * page);
    touched.give_back();
    let left = present(base, end);
    assert_eq!(left, (64..128).collect::<Vec<_>>(), "what is near one that was written to stays");
    assert_eq!(byte(70), 200, "and so does what was written");
    let mut others = (0..pages).filter(|i| *i != 70);
    assert!(others.all(|i| byte(i) == i as u8), "the others are as they were");
    // What is outside is not noted, and neither is a page of which a part is.
    let inner = (base + 1, base + 3 * page + 1);
    touched.within(inner).note(base, pages * page);
    touched.give_back();
    assert_eq!(present(base, base + 4 * page), [0, 3]);
}

#[test]
fn more_ranges_than_are_noted_are_dropped_all_the_same() {
    let name = "touched::more_ranges_than_are_noted_are_dropped_all_the_same";
    if !is_part(name) {
        return alone(name);
    }
    let (page, pages) = (Linux.page_size(), 64 << 4);
    let bytes = file(pages);
    let base = bytes.as_ptr().addr();
    let (middle, end) = (base + pages / 2 * page, base + pages * page);
    let touched = Touched::new();
    touched.within((base, end));
    // Every other 64 KiB.
    for at in (base..end).step_by(128 << 10) {
        assert_eq!(bytes[at - base].get(), ((at - base) / page) as u8);
        touched.note(at, 1);
    }
    assert!(present(base, middle).len() < present(middle, end).len(), "some were dropped by now");
    touched.give_back();
    assert!(present(base, end).is_empty());
}

/// What a stack was read from is not in the resident set afterwards.
#[test]
fn a_stack_leaves_no_page_of_the_tables_behind() {
    let name = "touched::a_stack_leaves_no_page_of_the_tables_behind";
    if !is_part(name) {
        return alone(name);
    }
    if is_emulated() {
        return;
    }
    // The last thing in our own segment are tables; what is near other data is not looked at.
    let modules = super::bytes::fresh();
    super::bytes::refresh(modules, &memory::Own, |_, _| memory::Own, memory::mappings, || (1, 1));
    let own = modules.find((warm as *const ()).addr()).expect("our own module");
    let (around, index) = (64 << 10, own.image.index);
    let first = index.base.next_multiple_of(around);
    let end = own.image.segment.1 & !(Linux.page_size() - 1);
    assert!(end > first + Linux.page_size(), "our tables are long: {first:x} to {end:x}");
    let before = present(first, end);
    warm();
    let after = present(first, end);
    assert!(after.iter().all(|page| before.contains(page)), "{} pages more", after.len());
    // It would be seen: one byte that is read otherwise maps a page.
    assert!(memory::Own.read(first, &mut [0]));
    assert!(present(first, end).contains(&0));
}
