//! What is the same, what changed, and what is chance.

use super::*;
use crate::pprof::tests::sample;

/// The same program built anew, somewhere else in memory, with lines that moved.
fn moved() -> Profile {
    let mut profile = sample();
    for module in &mut profile.modules {
        module.range.0 += 0x7000_0000;
        module.range.1 += 0x7000_0000;
        module.bias += 0x7000_0000;
    }
    for frame in &mut profile.frames {
        frame.address += 0x7000_0000;
        frame.line += if frame.line > 0 { 3 } else { 0 };
    }
    // An address in no module is another address.
    profile.frames[5].address -= 0x7000_0000;
    profile.frames.reverse();
    let last = profile.frames.len() - 1;
    for site in &mut profile.sites {
        site.stack.iter_mut().chain(&mut site.trimmed).for_each(|it| *it = last - *it);
    }
    profile
}

#[test]
fn the_same_program_is_the_same() {
    let comparison = compare(&sample(), &moved(), Value::Live, false);
    assert_eq!(comparison.changes.len(), 2);
    for change in &comparison.changes {
        assert_eq!((change.fate, change.significant), (Fate::Both, false), "{change:?}");
        assert_eq!(change.amounts.delta(), 0.0);
    }
    let first = &comparison.changes.iter().find(|it| it.function == "Box::new").expect("a site");
    assert_eq!((&*first.file, first.line), ("src/main.rs", 8), "as the second has it");
    let by_line = compare(&sample(), &moved(), Value::Live, true);
    assert_eq!(by_line.changes.len(), 4, "lines moved");
}

#[test]
fn what_is_new_and_what_is_gone_is_told() {
    let (mut before, mut after) = (sample(), moved());
    before.sites.truncate(1);
    after.sites.remove(0);
    after.sites[0].live.variance = 0.0;
    let comparison = compare(&before, &after, Value::Live, false);
    let fate = |function: &str| {
        let found = comparison.changes.iter().find(|it| it.function.contains(function));
        found.map(|it| (it.fate, it.significant))
    };
    assert_eq!(fate("Box::new"), Some((Fate::Gone, true)));
    assert_eq!(fate("0xffff0000").or_else(|| fate("app::parse")), Some((Fate::New, true)));
    assert_eq!(comparison.total.before.bytes, 645.0);
    assert_eq!(comparison.total.after.bytes, 193.5);
}

#[test]
fn chance_is_told_from_change() {
    let pair = |before: f64, after: f64, variance: f64| Pair {
        before: Amount { bytes: before, variance, ..Amount::default() },
        after: Amount { bytes: after, variance, ..Amount::default() },
    };
    // One deviation of the difference is the root of twice the variance: 14.1.
    assert!(!pair(100.0, 142.0, 100.0).is_significant());
    assert!(pair(100.0, 143.0, 100.0).is_significant());
    assert!(pair(143.0, 100.0, 100.0).is_significant());
    // What is known exactly needs no more than a byte.
    assert!(pair(100.0, 101.0, 0.0).is_significant());
    assert!(!pair(100.0, 100.0, 0.0).is_significant());
    let (before, mut after) = (sample(), sample());
    after.sites[0].live.bytes += 30.0;
    after.sites[0].live.variance = 100.0;
    let comparison = compare(&before, &after, Value::Live, false);
    assert!(!comparison.changes.iter().any(|it| it.significant), "{comparison:?}");
    after.sites[0].live.bytes += 300.0;
    let comparison = compare(&before, &after, Value::Live, false);
    assert_eq!(comparison.changes.iter().filter(|it| it.significant).count(), 1);
    assert!(comparison.changes[0].significant, "they come first");
}

#[test]
fn closures_keep_their_name_when_others_come_before_them() {
    assert_eq!(
        without_numbers("app::main::{closure#12}::{closure_env#0}<u8>"),
        "app::main::{closure#}::{closure_env#}<u8>"
    );
    assert_eq!(without_numbers("work.llvm.123"), "work");
    assert_eq!(without_numbers("main"), "main");
}

#[test]
fn conditions_hold_or_do_not() {
    let before = sample();
    let mut after = sample();
    after.ledger.peak_live = 2101;
    after.ledger.live = 900;
    after.ledger.allocations = 100;
    let holds = |text: &str| {
        let condition: Condition = text.parse().unwrap_or_else(|error| panic!("{error}"));
        condition.holds(&before, &after)
    };
    assert!(holds("+5% peak"));
    assert!(!holds("+5.1% peak"));
    assert!(holds("+100B peak"));
    assert!(!holds("+101 peak"));
    assert!(!holds("+1KiB peak"));
    assert!(!holds("+0% live"));
    assert!(holds("-9% live"));
    assert!(!holds("-10% live"));
    assert!(holds("+22 allocations"));
    assert!(!holds("+ 23 allocations"));
    assert!(!holds("+0% resident"));
    // Estimated: what may be chance is forgiven.
    after.sites[0].allocated.bytes += 100.0;
    let holds = |after: &Profile| {
        "+0% allocated".parse::<Condition>().expect("a condition").holds(&before, after)
    };
    assert!(!holds(&after));
    after.sites[0].allocated.bytes += 500.0;
    assert!(holds(&after));
}

#[test]
fn conditions_that_make_no_sense_are_refused() {
    for text in [
        "",
        "peak",
        "5% peak",
        "+5% peek",
        "+x% peak",
        "+5QiB peak",
        "+5MiB allocations",
        "+% peak",
        "+1e9 peak",
        "+-5% peak",
        "+inf peak",
    ] {
        let error = text.parse::<Condition>().expect_err(text).to_string();
        assert!(error.contains("a condition is"), "{error}");
    }
}
