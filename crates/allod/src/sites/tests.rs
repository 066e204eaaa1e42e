//! The tables by themselves, over a system of our own.

use super::*;
use crate::dump::HISTORY;
use crate::odds::Weight;
use crate::os::Kernel;
use crate::os::fake::Fake;
use std::vec::Vec;

const ROOM: Room = Room { sites: 40, stacks: 12, words: 64, samples: 100, labels: 64 };
/// A room whose columns are no larger than they say: less than a step of a column.
fn tables() -> (Sites, Kernel<Fake>) {
    (Sites::with_room(ROOM), Kernel::new(Fake::new(64 << 20, 4096)))
}

fn taken(address: usize, stack: &[usize]) -> Taken<'_> {
    Taken {
        address,
        size: 100,
        asked: 90,
        block_size: 112,
        weight: Weight { count: 2 * COUNT, bytes: 200 },
        at: 1000,
        stack,
        truncated: false,
        label: 0,
        thread: 7,
        pointer: 70,
        owner: 0,
    }
}

const COUNT: u64 = crate::dump::COUNT_UNIT;

fn all(sites: &Sites) -> Vec<Site> {
    (0..sites.counts().sites).filter_map(|row| sites.copy_site(row)).collect()
}

#[test]
fn what_has_no_place_is_summed_in_the_first_site() {
    let (sites, kernel) = tables();
    for i in 0..60 {
        assert!(sites.add(&kernel, &taken(0x1000 + i * 16, &[i, i + 1, i + 2])));
    }
    let rows = all(&sites);
    assert!(rows.len() <= ROOM.sites);
    let bytes: u64 = rows.iter().map(|site| site.live[1]).sum();
    assert_eq!(bytes, 60 * 200, "nothing is lost");
    assert!(rows[0].live[1] >= 44 * 200 && rows[0].depth == 0, "{:?}", rows[0]);
    // Past an eighth of the sites a thread gets none of its own.
    assert!(rows.iter().skip(1).any(|site| site.thread == 0));
    assert!(rows.iter().skip(1).any(|site| site.thread == 7));
    for site in rows {
        assert!(site.stack as usize + site.depth as usize <= sites.counts().words, "D1");
    }
}

/// Room for the tables in their full length.
const SPACE: usize = if cfg!(target_pointer_width = "64") { 1 << 30 } else { 128 << 20 };

/// Short threads that all do the same take no more rows than the process is worth.
#[test]
fn threads_share_rows_when_the_process_holds_little() {
    let filled = |bytes: u64, threads: u32| {
        let (sites, kernel) = (Sites::new(), Kernel::new(Fake::new(SPACE, 4096)));
        for thread in 1..=threads {
            for i in 0..4 {
                let address = 0x1000 + (thread * 4 + i) as usize * 16;
                let weight = Weight { count: COUNT, bytes };
                let stack = [i as usize, 8, 9];
                assert!(sites.add(&kernel, &Taken { thread, weight, ..taken(address, &stack) }));
            }
        }
        (sites, kernel)
    };
    let rows = |sites: &Sites| (sites.counts().sites - 1) * size_of::<Site>();
    // 2000 threads that hold 8 MB: theirs and those they share.
    let (small, _kernel) = filled(1000, 2000);
    assert!(rows(&small) <= OF_THREADS + 5 * size_of::<Site>(), "{}", rows(&small));
    let shared: u64 = all(&small).iter().filter(|site| site.thread == 0).map(|site| site.live[1]).sum();
    let own: u64 = all(&small).iter().map(|site| site.live[1]).sum::<u64>() - shared;
    assert_eq!(shared + own, 8_000_000, "nothing is lost");
    assert!(own >= 150_000, "the first have their own: {own}");
    // 60 threads that hold 168 MB.
    let (large, _kernel) = filled(700_000, 60);
    assert!(all(&large).iter().skip(1).all(|site| site.thread != 0));
    // The first thread has sites of its own, however many.
    let (sites, kernel) = (Sites::new(), Kernel::new(Fake::new(SPACE, 4096)));
    for i in 0..230 {
        assert!(sites.add(&kernel, &taken(0x1000 + i * 16, &[i, 2, 3])));
    }
    assert!(all(&sites).iter().skip(1).all(|site| site.thread == 7));
    assert!(sites.add(&kernel, &Taken { thread: 8, ..taken(0x100, &[1, 1, 1]) }));
    assert!(all(&sites).iter().last().is_some_and(|site| site.thread == 0), "a second one does not");
}

/// What a handler frees above a holder of the lock is taken out by the next holder.
#[test]
fn what_is_freed_above_a_holder_is_taken_out_later() {
    let (sites, kernel) = tables();
    for round in 0..3 {
        for i in 0..LATE {
            assert!(sites.add(&kernel, &taken(0x1000 + i * 16, &[1, 2])));
        }
        let holder = sites.lock.lock();
        assert!(holder.is_some());
        for i in 0..LATE {
            sites.remove(0x1000 + i * 16, 70, 2000);
        }
        drop(holder);
        // ORDERING: Relaxed, a figure; there is one thread.
        assert_eq!(sites.alive.load(Ordering::Relaxed), LATE, "round {round}");
        sites.forget(1);
        // ORDERING: Relaxed, as above.
        assert_eq!(sites.alive.load(Ordering::Relaxed), 0, "round {round}");
    }
}

/// Most processes take a sample or none, and are gone.
#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn the_first_sample_touches_three_pages() {
    let sites = Sites::new();
    let kernel = Kernel::new(crate::os::linux::Linux);
    let calls = kernel.calls();
    assert!(sites.add(&kernel, &taken(0x1000, &[7; 30])));
    sites.tick(1, || (1, Figures::default()));
    let calls = kernel.calls() - calls;
    assert!(calls <= 3, "{calls} calls of the system");
    let pages = sites.resident(&kernel) / kernel.page_size();
    let is_emulated = std::env::var_os("ALLOD_TEST_EMULATED").is_some();
    assert!(is_emulated || (1..=3).contains(&pages), "{pages} pages");
    assert!(sites.bytes() <= 6 * kernel.page_size(), "{} bytes", sites.bytes());
    // SAFETY: nobody else knows of these tables.
    unsafe { sites.close(&kernel) };
}

#[test]
fn rows_are_what_they_were_after_they_have_moved() {
    let (sites, kernel) = tables();
    let sample = |i: usize| 0x1000 + i * 16;
    let mut moves = 0;
    let mut seen: Vec<Site> = Vec::new();
    for i in 0..60 {
        let before = (sites.sites.address(), sites.bytes());
        let old = sites.sites.address() as *const Site;
        // Five stacks of three words, over and over.
        let stack = [i % 5, 10, 11];
        assert!(sites.add(&kernel, &Taken { thread: 0, ..taken(sample(i), &stack) }));
        let rows = all(&sites);
        if i > 0 && sites.sites.address() != before.0 {
            moves += 1;
            assert!(sites.bytes() > before.1);
            for (row, site) in seen.iter().enumerate() {
                // SAFETY: the first mapping stays, with the rows of before.
                let stale = unsafe { old.wrapping_add(row).read_volatile() };
                assert_eq!(stale.live, site.live, "row {row}");
            }
        }
        assert!(rows.len() <= 6, "a stack that is known is found again");
        let of = |site: &Site| (0..3).map(|w| sites.word(site.stack as usize + w)).collect();
        let stacks: Vec<Vec<u64>> = rows.iter().skip(1).map(of).collect();
        for (k, stack) in stacks.iter().enumerate() {
            assert_eq!(stack, &[k as u64, 10, 11]);
        }
        seen = rows;
    }
    assert_eq!(moves, 1, "they move once");
    for i in 0..60 {
        sites.remove(sample(i), 70, 2000);
    }
    assert!(all(&sites).iter().all(|site| site.live == [0; 3]), "what came before is found too");
    assert_eq!(all(&sites).iter().map(|site| site.allocated[1]).sum::<u64>(), 60 * 200);
}

#[test]
fn the_first_rows_serve_on_when_there_is_no_memory_for_more() {
    let sites = Sites::with_room(ROOM);
    let kernel = Kernel::new(Fake::new(64 << 20, 4096).limited(64 << 10));
    let taken_in =
        (0..60).filter(|&i| sites.add(&kernel, &taken(0x1000 + i * 16, &[i, i + 1]))).count();
    assert_eq!(taken_in, 24);
    assert_eq!(sites.dropped.load(Ordering::Relaxed), 60 - 24);
    let bytes: u64 = all(&sites).iter().map(|site| site.live[1]).sum();
    assert_eq!(bytes, 24 * 200, "what has no site of its own is in the first");
    assert_eq!(sites.label(&kernel, b"one"), 0);
    for i in 0..60 {
        sites.remove(0x1000 + i * 16, 70, 2000);
    }
    assert!(sites.add(&kernel, &taken(0x9000, &[1])), "rows are used again");
}

/// What is never written to has no memory, and is not looked at either.
#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn the_first_samples_touch_a_page_of_each_column() {
    let sites = Sites::with_room(Room::FULL.less(LESS));
    let kernel = Kernel::new(crate::os::linux::Linux);
    for i in 0..20 {
        assert!(sites.add(&kernel, &taken(0x1000 + i * 16, &[i, i + 1, i + 2])));
    }
    let pages = sites.resident(&kernel) / kernel.page_size();
    // An emulator answers for all of its host's pages.
    let is_emulated = std::env::var_os("ALLOD_TEST_EMULATED").is_some();
    assert!(is_emulated || (1..=14).contains(&pages), "{pages} pages for 14 columns");
    // SAFETY: nobody else knows of these tables.
    unsafe { sites.close(&kernel) };
}

#[test]
fn samples_without_a_row_are_dropped_and_counted() {
    let (sites, kernel) = tables();
    let entered = (0..150).filter(|i| sites.add(&kernel, &taken(0x1000 + i * 16, &[1]))).count();
    assert_eq!(entered, ROOM.samples);
    assert_eq!(sites.dropped.load(Ordering::Relaxed), 50);
    for i in 0..150 {
        sites.remove(0x1000 + i * 16, 70, 2000);
    }
    assert_eq!(sites.alive.load(Ordering::Relaxed), 0);
    assert!(sites.add(&kernel, &taken(0x9000, &[1])), "rows are used again");
}

#[test]
fn one_stack_is_kept_once_whatever_the_sizes() {
    let (sites, kernel) = tables();
    for (i, size) in [16, 32, 48, 64].into_iter().enumerate() {
        let sample = Taken { block_size: size, ..taken(0x1000 + i * 64, &[1, 2, 3]) };
        assert!(sites.add(&kernel, &sample));
    }
    assert_eq!(sites.counts().words, 3);
    assert_eq!(sites.counts().sites, 1 + 4);
    // A stack that ended too early is another one.
    let sample = Taken { truncated: true, ..taken(0x2000, &[1, 2, 3]) };
    assert!(sites.add(&kernel, &sample));
    assert_eq!(sites.counts().words, 6);
}

#[test]
fn a_peak_is_what_was_live_when_the_most_was() {
    let (sites, kernel) = tables();
    // Two sites grow; the first shrinks; the second never changes again.
    for i in 0..10 {
        sites.add(&kernel, &taken(0x1000 + i * 16, &[1]));
        sites.add(&kernel, &taken(0x2000 + i * 16, &[2]));
    }
    for i in 0..10 {
        sites.remove(0x1000 + i * 16, 70, 2000);
    }
    // Later, and lower: no peak.
    for i in 0..5 {
        sites.add(&kernel, &taken(0x3000 + i * 16, &[3]));
    }
    let peaks: Vec<u64> = all(&sites).iter().map(|site| site.peak[1]).collect();
    assert_eq!(peaks, [0, 2000, 2000, 0]);
    // And higher: the peak is another one.
    for i in 5..20 {
        sites.add(&kernel, &taken(0x3000 + i * 16, &[3]));
    }
    let peaks: Vec<u64> = all(&sites).iter().map(|site| site.peak[1]).collect();
    assert_eq!(peaks, [0, 0, 2000, 4000]);
}

#[test]
fn lifetimes_fall_into_buckets_of_four() {
    use super::rows::bucket;
    let us = |n: u64| n * 1000;
    assert_eq!([0, 999, us(1), us(3), us(4), us(15), us(16)].map(bucket), [0, 0, 1, 1, 2, 2, 3]);
    assert_eq!(bucket(u64::MAX), crate::dump::LIFETIMES - 1);
}

#[test]
fn a_history_has_few_points_and_the_whole_time() {
    let (sites, kernel) = tables();
    sites.add(&kernel, &taken(0x1000, &[1]));
    let ms = 1_000_000;
    let figures = Figures { live: 5, resident: 6, retained: 7 };
    for now in (0..600_000).step_by(10) {
        if now == 300_000 {
            sites.remove(0x1000, 70, 2000);
        }
        sites.tick(now, || (now * ms, figures));
    }
    let counts = sites.counts();
    assert!(counts.moments > MOMENTS / 2 && counts.moments <= MOMENTS);
    assert!(counts.history > HISTORY / 2 && counts.history <= HISTORY);
    let points: Vec<u64> = (0..counts.history).map(|i| sites.point(i)).collect();
    assert!(points.is_sorted() && points[0] == 0 && points[counts.history - 1] > 550_000 * ms);
    let steps: Vec<u64> = points.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().max().unwrap() <= &(steps.iter().min().unwrap() * 3), "{steps:?}");
    let site = all(&sites)[1];
    for (at, live) in points.iter().zip(site.history) {
        assert_eq!(live, if *at < 300_000 * ms { 200 } else { 0 }, "at {at}");
    }
    let moment = sites.moment(counts.moments - 1).unwrap();
    assert_eq!((moment.live, moment.resident, moment.retained), (5, 6, 7));
}

#[test]
fn a_label_has_one_number_for_ever() {
    let (sites, kernel) = tables();
    assert_eq!(sites.label(&kernel, b"one"), 1);
    assert_eq!(sites.label(&kernel, b"one more"), 2);
    assert_eq!(sites.label(&kernel, b"on"), 3);
    assert_eq!(sites.label(&kernel, b"one"), 1);
    assert_eq!(sites.label(&kernel, b"one more\0and more"), 2);
    assert_eq!(sites.label(&kernel, b""), 0);
    assert_eq!(sites.label(&kernel, &[b'x'; 100]), 0, "there is no room");
    assert_eq!(sites.label(&kernel, b"two"), 4);
}
