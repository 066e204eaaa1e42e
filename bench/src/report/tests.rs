//! The tables tell failures, and figures go between the right marks.

use super::*;
use crate::measure::{Cell, JobResults};
use crate::plan::Report;
use crate::sys::Usage;

/// A cell with one run that took `seconds` and `mib`.
fn cell(seconds: f64, mib: u64) -> Cell {
    let usage = Usage { user: seconds, peak: mib << 20, ..Usage::default() };
    let report = Report { usage, wall: seconds, ..Report::default() };
    Cell { runs: vec![report], ..Cell::default() }
}

fn suite(cells: Vec<Cell>) -> SuiteResults {
    let peers = ["glibc", BASE, "allod"].map(|name| (name.to_string(), "1".to_string()));
    SuiteResults {
        suite: "stress",
        peers: peers.into(),
        jobs: vec![JobResults { name: "x", cells }],
    }
}

/// The line of a table that begins with `name`, as words of its cells.
fn line(text: &str, name: &str) -> Vec<String> {
    let line = text.lines().find(|line| line.starts_with(&format!("| {name} "))).unwrap();
    line.split('|').map(|cell| cell.trim().to_string()).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn ratios_refer_to_the_base_and_to_the_best() {
    let suite = suite(vec![cell(4.0, 10), cell(2.0, 20), cell(1.0, 5)]);
    let text = times(&Grid::of(&suite)).render();
    assert_eq!(line(&text, "x"), ["x", "2.000", "20.0", "0%", "2.00 / 0.50", "0.50 / 0.25"]);
    let means = line(&text, "geometric mean");
    assert_eq!(means, ["geometric mean", "of 1", "2.00 / 0.50", "0.50 / 0.25"]);
    let ours = line(&text, "allod to each");
    assert_eq!(ours[1..], ["0.50 / 0.25", "of 1", "0.25 / 0.50", "1.00 / 1.00"]);
    let best = line(&text, "to the best of each row");
    assert_eq!(best[1..], ["2.00 / 4.00", "of 1", "4.00 / 2.00", "1.00 / 1.00"]);
}

#[test]
fn a_failure_is_told_and_counts_for_nothing() {
    let mut broken = cell(1.0, 5);
    broken.failures.push("answered differently".into());
    let suite = suite(vec![cell(4.0, 10), cell(2.0, 20), broken]);
    let text = times(&Grid::of(&suite)).render();
    assert_eq!(line(&text, "x")[4..], ["2.00 / 0.50", "FAILED"]);
    assert_eq!(line(&text, "geometric mean")[2..], ["2.00 / 0.50", "– / – of 0"]);
    assert!(failures(&suite).contains("x under allod, 1 times: answered differently"));
}

#[test]
fn a_base_that_failed_leaves_no_ratio_to_it() {
    let mut broken = cell(1.0, 5);
    broken.failures.push("signal 11".into());
    let text = times(&Grid::of(&suite(vec![cell(4.0, 10), broken, cell(1.0, 5)]))).render();
    assert_eq!(line(&text, "x")[1..], ["FAILED", "FAILED", "0%", "– / –", "– / –"]);
    assert_eq!(
        line(&text, "to the best of each row")[3..],
        ["4.00 / 2.00 of 1", "1.00 / 1.00 of 1"]
    );
}

#[test]
fn figures_are_shown_and_the_peak_replaces_the_kernels() {
    let mut cells = vec![cell(1.0, 10), cell(1.0, 10), cell(1.0, 10)];
    let own = &mut cells[2].runs[0].figures;
    own.insert("peak_mib".into(), 5.0);
    own.insert("kib_per_thread".into(), 12.345);
    let suite = suite(cells);
    let text = times(&Grid::of(&suite)).render();
    assert_eq!(line(&text, "x")[5], "1.00 / 0.50");
    let text = figures(&suite).render();
    assert_eq!(line(&text, "x: kib per thread"), ["x: kib per thread", "–", "–", "12.3"]);
    assert!(!text.contains("peak"), "{text}");
}

#[test]
fn suites_join_over_the_peers_that_all_have() {
    let one = Grid::of(&suite(vec![cell(4.0, 10), cell(2.0, 20), cell(1.0, 5)]));
    let mut two = one.clone();
    two.peers.remove(0);
    two.rows[0].cells.remove(0);
    let both = Grid::join(&[one, two]);
    assert_eq!(both.peers, [BASE, "allod"]);
    assert_eq!(both.mean(1, 0, TIME), (Some(0.5), 2));
}

#[test]
fn a_section_replaces_what_stands_between_its_marks() {
    let page = "a\n<!-- rust: begin -->\nold\n<!-- rust: end -->\nz\n";
    let new = replace(page, "rust", "NEW\n").unwrap();
    assert_eq!(new, "a\n<!-- rust: begin -->\n\nNEW\n\n<!-- rust: end -->\nz\n");
    assert_eq!(replace(&new, "rust", "NEW\n").unwrap(), new);
    assert!(replace(page, "stress", "NEW\n").is_none());
}

#[test]
fn pictures_name_allocators_and_workloads() {
    let directory = tempfile::tempdir().unwrap();
    let grid = Grid::of(&suite(vec![cell(4.0, 10), cell(2.0, 20), cell(1.0, 5)]));
    let file = directory.path().join("x.svg");
    plots::against(&grid, "stress", &file).unwrap();
    let picture = fs::read_to_string(&file).unwrap();
    assert!(["glibc", BASE, "allod"].iter().all(|name| picture.contains(name)), "{picture}");
    plots::rows(&grid, "stress", &file).unwrap();
    let picture = fs::read_to_string(&file).unwrap();
    // A point for each of three allocators in both halves, and three in the legend.
    assert_eq!(picture.matches("<circle").count(), 9, "{picture}");
    assert!(picture.lines().any(|line| line.trim() == "x"), "{picture}");
}

#[test]
fn what_ran_without_huge_pages_leaves_the_other_tables_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("B.md");
    let marks =
        |name: &str| format!("<!-- {name}: begin -->\n\nas before\n\n<!-- {name}: end -->\n");
    fs::write(&file, ["summary", "stress", "small-pages"].map(marks).concat()).unwrap();
    let results = Results {
        machine: crate::machine::Machine::here(),
        command: String::new(),
        rounds: 1,
        warm: 0,
        huge_pages: false,
        short: false,
        programs: Vec::new(),
        suites: vec![suite(vec![cell(4.0, 10), cell(2.0, 20), cell(1.0, 5)])],
    };
    write(&results, &file).unwrap();
    let page = fs::read_to_string(&file).unwrap();
    let (others, own) = page.split_at(page.find("<!-- small-pages").unwrap());
    assert_eq!(others.matches("as before").count(), 2, "{page}");
    assert!(!own.contains("as before") && own.contains("off for the measured processes"), "{page}");
    assert_eq!(line(own, "x")[4..], ["2.00 / 0.50", "0.50 / 0.25"]);
    assert_eq!(line(own, "allod")[1..], ["0.50 / 0.25", "0.50", "1.00 / 1.00", "1.00 / 1.00", "1"]);
}
