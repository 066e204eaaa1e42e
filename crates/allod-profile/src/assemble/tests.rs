//! A dump in, a profile out.

use super::*;
use crate::raw::tests::full;

#[test]
fn a_dump_becomes_a_profile() {
    let dump = Dump::parse(&full()).expect("a dump");
    let profile = without_names(&dump);
    assert_eq!(profile.program, "/bin/pro gram");
    assert_eq!((profile.pid, &*profile.reason, profile.interval), (4242, "exit", 65536));
    assert_eq!(
        (profile.samples.taken, profile.samples.dropped, profile.samples.truncated),
        (12, 2, 3)
    );
    assert_eq!((profile.ledger.live, profile.ledger.peak_threads), (1000, 5));
    let [first, second] = &profile.modules[..] else { panic!("{:?}", profile.modules) };
    assert_eq!(
        (&*first.path, first.range, first.bias),
        ("/bin/pro gram", (0x1000, 0x6000), 0x1000)
    );
    assert_eq!(first.build_id, "ab".repeat(20));
    assert_eq!((&*second.path, second.is_allod), ("/lib/liballod.so (deleted)", true));
    let [site, other] = &profile.sites[..] else { panic!("{:?}", profile.sites) };
    let addresses = |frames: &[usize]| -> Vec<u64> {
        frames.iter().map(|&frame| profile.frames[frame].address).collect()
    };
    // The innermost is in the allocator's file.
    assert_eq!(addresses(&site.trimmed), [0x7100]);
    assert_eq!(addresses(&site.stack), [0x3100, 0x3200]);
    assert_eq!(addresses(&other.stack), [0x3300, 0x3400]);
    assert_eq!(profile.frames[site.stack[0]].module, Some(0));
    assert_eq!((&*site.label, site.thread, site.block_size), ("GET /", 11, 64));
    assert_eq!((site.live.count, site.live.bytes), (100.0, 6400.0));
    assert_eq!(site.live.variance, 4.0 * (1 << 20) as f64);
    assert_eq!(site.allocated.variance, 9.0 * (1 << 20) as f64);
    assert_eq!((site.peak.count, site.peak.bytes), (200.0, 12800.0));
    assert_eq!((site.short.count, site.short.bytes, site.remote.count), (50.0, 3200.0, 25.0));
    assert_eq!(site.requested, 6300.0);
    assert_eq!(site.lifetimes[15], 15.0);
    // As long as there are points in time (M2).
    assert_eq!(site.history, [0.0, 100.0]);
    assert_eq!(profile.history_at, [100, 200]);
    assert_eq!((profile.classes.len(), profile.threads.len(), profile.moments.len()), (1, 1, 2));
    assert_eq!(profile.spans[0].address, 0x20_0000);
}

#[test]
fn files_are_known_by_their_mappings_alone() {
    let mut dump = Dump::parse(&full()).expect("a dump");
    dump.modules.clear();
    let profile = without_names(&dump);
    let [first, second] = &profile.modules[..] else { panic!("{:?}", profile.modules) };
    assert_eq!((first.range, first.bias), ((0x1000, 0x6000), 0x1000));
    assert!(second.is_allod && second.bias == 0x7000);
}

#[test]
fn a_peak_that_was_noticed_late_is_where_the_curve_has_it() {
    let curve = |points: &[(u64, u64)]| -> Vec<Moment> {
        points.iter().map(|&(at, live)| Moment { at, live, ..Moment::default() }).collect()
    };
    let fell = curve(&[(10, 50), (20, 100), (30, 95), (40, 20), (50, 60)]);
    assert_eq!(peak_at(39, &fell), 20);
    // While it rises the curve is behind, and what comes later is not this peak.
    assert_eq!(peak_at(19, &fell), 19);
    assert_eq!(peak_at(12, &curve(&[(10, 50), (20, 49), (30, 900)])), 12);
    assert_eq!(peak_at(7, &[]), 7);
}

#[test]
fn what_a_program_wrote_over_its_command_line_has_no_empty_words() {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    assert_eq!(written(&words(&["a b", "", ""])), ["a b"]);
    assert_eq!(written(&words(&["a", "", "b"])), ["a", "", "b"]);
    assert!(written(&words(&["", ""])).is_empty());
}
