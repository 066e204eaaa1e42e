//! Code that comes and goes under walks.

use super::alone::{alone, is_part};
use super::{Library, Stop, compare, oracle, remove, wait_until, warm};
use crate::sync::{AtomicBool, AtomicUsize, Ordering};
use crate::unwind::cfi::Memory;
use crate::unwind::{capture, memory, modules};
use core::ffi::c_void;
use std::format;
use std::vec::Vec;

/// A plugin with frames of `size` bytes.
fn plugin(size: usize) -> std::string::String {
    format!(
        "static void use(void *p) {{ __asm__ volatile (\"\" : : \"r\"(p) : \"memory\"); }}
         void through(void (*f)(void *), void *p) {{ char room[{size}]; use(room); f(p); use(room); }}"
    )
}

type Through = extern "C" fn(extern "C" fn(*mut c_void), *mut c_void);

/// Sets the flag if the two unwinders agree.
extern "C" fn agree(flag: *mut c_void) {
    let mut words = [0; 128];
    let found = capture(&mut words);
    let theirs = oracle();
    let same = !found.truncated && words.get(1..found.depth) == theirs.get(1..);
    // SAFETY: the flag of the frame that called.
    #[allow(unsafe_code, reason = "a pointer that went through C")]
    unsafe {
        *flag.cast::<bool>() = same;
    }
}

#[inline(never)]
fn deep(n: usize, f: &mut dyn FnMut()) {
    if n == 0 { f() } else { deep(std::hint::black_box(n - 1), f) }
    std::hint::black_box(n);
}

/// Plugins with other frames take each other's place, while other threads walk. It is
/// noticed, within the time that a list is good for.
#[test]
fn a_plugin_in_the_place_of_another_is_noticed() {
    // Alone, since other tests load libraries as well, and would find one of these
    // in the tables before it is noticed that theirs has taken its place.
    let name = "plugins::a_plugin_in_the_place_of_another_is_noticed";
    if !is_part(name) {
        return alone(name);
    }
    warm();
    let paths: Vec<_> =
        [40, 900].iter().map(|size| Library::build(&format!("plugin{size}"), &plugin(*size))).collect();
    let (done, walks) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // ORDERING: Relaxed, a flag that guards no data.
                while !done.load(Ordering::Relaxed) {
                    deep(20, &mut || { compare(); });
                    // ORDERING: Relaxed, a figure.
                    walks.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stop = Stop(&done);
        for round in 0..200 {
            let library = Library::open(&paths[round % 2]);
            let through: Through = library.find(c"through");
            let mut flag = false;
            through(agree, (&raw mut flag).cast());
            // Seldom, since it may take a second.
            if round % 50 > 47 {
                wait_until(|| {
                    through(agree, (&raw mut flag).cast());
                    flag
                });
            }
            library.close();
        }
        // ORDERING: Relaxed, a figure.
        wait_until(|| walks.load(Ordering::Relaxed) > 0);
    });
    paths.iter().for_each(|path| remove(path));
}

#[test]
fn modules_are_listed_with_their_build_ids() {
    warm();
    let mut found = Vec::new();
    modules(&mut |module| found.push(*module));
    let own = (plugin as *const ()).addr() as u64;
    let ours = found.iter().find(|it| it.start <= own && own < it.end).expect("this program");
    assert!(ours.bias <= ours.start && ours.is_allod == 0, "it is more than Allod");
    let libc_at = (libc::qsort as *const ()).addr() as u64;
    let libc = found.iter().find(|it| it.start <= libc_at && libc_at < it.end).expect("libc");
    assert!((8..=32).contains(&libc.build_id_len), "the distribution's have one");
    assert!(found.is_sorted_by_key(|it| it.start));
}

/// A process's list of mappings and its memory, as a test says they are.
struct Made;

impl Memory for Made {
    fn read(&self, at: usize, into: &mut [u8]) -> bool {
        // Every file is the C library, wherever it is.
        let own = (libc::qsort as *const ()).addr();
        let mut base = own & !4095;
        let mut word = [0; 4];
        while !(memory::Own.read(base, &mut word) && word == *b"\x7fELF") {
            base -= 4096;
        }
        memory::Own.read(base + at % 0x100_0000, into)
    }
}

#[test]
fn what_is_gone_is_not_found_and_its_rules_are_void() {
    let modules = super::bytes::fresh();
    let time = core::cell::Cell::new(0);
    let clock = || (time.get(), 0);
    let read = |lines: &[&str]| {
        let list = |f: &mut dyn FnMut(&[u8])| {
            lines.iter().for_each(|line| f(line.as_bytes()));
            true
        };
        super::bytes::refresh(modules, &Made, |_, _| Made, list, clock)
    };
    let (a, b) = (0x1000_0000usize, 0x3000_0000usize);
    let a_lines =
        ["10000000-10001000 r--p 00000000 fe:01 5 /a.so", "10001000-10200000 r-xp 00001000 fe:01 5 /a.so"];
    let b_lines =
        ["30000000-30001000 r--p 00000000 fe:01 6 /b.so", "30001000-30200000 r-xp 00001000 fe:01 6 /b.so"];
    let made = "50000000-50001000 rwxp 00000000 00:00 0 ";
    assert!(modules.is_due(0, false) && modules.find(a).is_none());
    assert!(read(&a_lines), "the first");
    let first = modules.epoch();
    assert!(modules.find(a + 0x2000).is_some_and(|it| it.image.index.count > 0));
    assert!(!read(&a_lines), "nothing new");
    assert!(read(&[a_lines, b_lines].concat()), "one more");
    assert!(modules.find(b + 0x2000).is_some());
    assert_eq!(modules.epoch(), first, "what was read stays true");
    assert!(read(&[&b_lines[..], &[made]].concat()), "one is gone");
    assert!(modules.find(a + 0x2000).is_none() && modules.find(0x5000_0800).is_some());
    let second = modules.epoch();
    assert_ne!(second, first, "what was read of it is void");
    let mut listed = Vec::new();
    modules.each(0, &mut |module| listed.push(module.start));
    assert_eq!(listed, [a as u64, b as u64], "but its name is remembered");
    assert!(!read(&[&b_lines[..], &[made]].concat()), "and stays so");
    let other: Vec<_> = b_lines.iter().map(|line| line.replace(" 6 /b", " 7 /c")).collect();
    let other: Vec<&str> = other.iter().map(|line| &**line).collect();
    assert!(read(&other), "another in its place");
    assert_ne!(modules.epoch(), second);
    assert!(modules.find(b + 0x2000).is_some() && modules.find(0x5000_0800).is_none());
    listed.clear();
    modules.each(0, &mut |module| listed.push(module.start));
    assert_eq!(listed, [a as u64, b as u64], "the one that was replaced is not there twice");
}

#[test]
fn the_list_is_read_more_seldom_while_it_stays_the_same() {
    let modules = super::bytes::fresh();
    let time = core::cell::Cell::new((1000, 0));
    let clock = || {
        let now = time.get();
        time.set((now.0, now.1 + 1_000_000));
        now
    };
    let read = || super::bytes::refresh(modules, &Made, |_, _| Made, |_| true, clock);
    assert!(modules.is_due(1000, false));
    read();
    assert!(!modules.is_due(1999, false), "a millisecond's reading lasts a second");
    assert!(modules.is_due(2001, false));
    assert!(!modules.is_due(1020, true) && modules.is_due(1050, true), "sooner when one is missed");
}
