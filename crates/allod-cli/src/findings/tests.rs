//! Tests of what is found in profiles.

use super::*;
use crate::synthetic;

#[test]
fn rows_of_one_line_are_one_place() {
    let profile = synthetic::server();
    let (places, of_site) = places(&profile);
    assert_eq!(of_site.len(), profile.sites.len());
    assert!(places.len() < profile.sites.len());
    let live: f64 = profile.sites.iter().map(|site| site.live.bytes).sum();
    let sum: f64 = places.iter().map(|place| place.live.bytes).sum();
    assert!((live - sum).abs() < 1.0, "{live} {sum}");
    for (site, &place) in profile.sites.iter().zip(&of_site) {
        let frame = places[place].frame.expect("every stack has frames");
        assert!(!is_library(&profile.frames[frame]), "{:?}", profile.frames[frame]);
        assert!(
            site.stack
                .iter()
                .any(|&it| { profile.frames[it].function == profile.frames[frame].function })
        );
    }
}

#[test]
fn library_code_is_known() {
    let frame = |function: &str| Frame { function: function.into(), ..Frame::default() };
    for name in [
        "alloc::vec::Vec<T>::push",
        "<alloc::vec::Vec<T> as core::iter::Extend<T>>::extend",
        "std::vector<int>::push_back(int const&)",
        "operator new(unsigned long)",
        "malloc",
        "malloc@@GLIBC_2.2.5",
        "hashbrown::raw::RawTable<T>::reserve_rehash",
        "<u8 as alloc::vec::spec_from_elem::SpecFromElem>::from_elem",
    ] {
        assert!(is_library(&frame(name)), "{name}");
    }
    for name in ["main", "mallocator", "standard::x", "<my::Type as core::fmt::Debug>::fmt"] {
        assert!(!is_library(&frame(name)), "{name}");
    }
}

#[test]
fn names_become_short() {
    for (long, short) in [
        ("server::net::Conn::read_buf", "Conn::read_buf"),
        ("<server::lex::Lexer<'a> as Iterator>::next", "Lexer::next"),
        ("main", "main"),
        ("a::b::c::{closure#0}", "b::c::{closure}"),
        ("a::run::h0123456789abcdef", "a::run"),
        ("ns::Table<int, char>::insert(int, char)", "Table::insert"),
        ("_PyObject_Malloc", "_PyObject_Malloc"),
    ] {
        assert_eq!(short_name(long), short);
    }
}

#[test]
fn types_become_short() {
    for (long, short) in [
        ("server::lex::Token", "Token"),
        ("alloc::vec::Vec<(u32, a::B<c::D>)>", "Vec<(u32, B<D>)>"),
        ("&[u8]", "&[u8]"),
        ("", ""),
    ] {
        assert_eq!(short_type(long), short);
    }
}

#[test]
fn medians_count_the_living() {
    let mut lifetimes = vec![0.0; 16];
    lifetimes[2] = 10.0;
    assert_eq!(median(&lifetimes, 0.0), Median::Below(8.0));
    assert_eq!(median(&lifetimes, 100.0), Median::Alive);
    assert_eq!(median(&[], 0.0), Median::Nothing);
}

#[test]
fn only_what_rises_to_the_end_grows() {
    let at: Vec<u64> = (0..24).map(|i| i * 1_000_000_000).collect();
    let of = |f: &dyn Fn(f64) -> f64| -> Vec<f64> { (0..24).map(|i| f(f64::from(i))).collect() };
    let growth = |at: &[u64], bytes: &[f64], noise: f64| {
        let live = Amount { count: 1.0, bytes: bytes[bytes.len() - 1], variance: noise * noise };
        super::growth(at, bytes, live)
    };
    let rising = growth(&at, &of(&|i| 100.0 + 50.0 * i), 10.0).expect("it rises");
    assert!((rising.bytes_per_second - 50.0).abs() < 1e-9 && rising.r2 > 0.999, "{rising:?}");
    assert!(rising.is_kept);
    // Cleaned up at the end: it grew, and is no leak.
    let freed = super::growth(&at, &of(&|i| 100.0 + 50.0 * i), Amount::default());
    assert!(freed.is_some_and(|growth| !growth.is_kept));
    // Filled once and kept; a wave; falling; and a rise within the noise.
    assert_eq!(growth(&at, &of(&|i| (i * 100.0).min(1000.0)), 1.0), None);
    assert_eq!(growth(&at, &of(&|i| 100.0 * (i % 5.0)), 1.0), None);
    assert_eq!(growth(&at, &of(&|i| 1000.0 - i), 1.0), None);
    assert_eq!(growth(&at, &of(&|i| 100.0 + i), 10.0), None);
    // Filled slowly, then still.
    assert_eq!(growth(&at, &of(&|i| (i * 100.0).min(1600.0)), 1.0), None);
    // Too few points to tell.
    assert_eq!(growth(&at[..5], &of(&|i| i)[..5], 0.1), None);
}

#[test]
fn a_peak_has_the_deviation_that_sampling_gives_it() {
    // 10 MiB of small blocks, one sample for each 512 KiB: 20 samples, so a share of
    // one in the root of 20.
    let amount = Amount { count: 163_840.0, bytes: 10_485_760.0, variance: 0.0 };
    let share = deviation(with_variance(amount, 64.0, 524_288.0)).expect("a deviation");
    assert!((share - 20_f64.sqrt().recip()).abs() < 1e-4, "{share}");
    // Large blocks are all seen.
    let share = deviation(with_variance(amount, 10_485_760.0, 524_288.0)).unwrap_or(0.0);
    assert!(share < 1e-3, "{share}");
    // What is known is left as it is.
    let known = Amount { variance: 4.0, ..amount };
    assert_eq!(with_variance(known, 64.0, 524_288.0), known);
}

#[test]
fn functions_that_hand_out_memory_are_passed_over() {
    let named = |name: &str| Frame { function: name.into(), ..Frame::default() };
    for name in [
        "zmalloc",
        "zmalloc_usable",
        "zcalloc_num",
        "ztryrealloc",
        "sqlite3MallocZero",
        "xcalloc",
        "CRYPTO_zalloc",
        "ggc_internal_alloc",
        "PyMem_RawMalloc",
        "_PyObject_GC_New",
    ] {
        assert!(is_library(&named(name)), "{name}");
    }
    for name in [
        "createClient",
        "reallocate_table",
        "tokio::alloc",
        "dealloc",
        "subtype_dealloc",
        "allocate_pages",
        "Lexer::malloc",
        "PyList_New",
    ] {
        assert!(!is_library(&named(name)), "{name}");
    }
}
