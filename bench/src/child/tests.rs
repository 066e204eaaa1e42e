//! Who counts and who does not, with shells that burn processor time.
//!
//! One test function: each case waits for every child of this process.

use super::*;
use crate::plan::Plan;

/// A shell that counts for some tenths of a second.
const BURN: &str = "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done";
/// The same, left behind by a parent that does not wait.
const ORPHAN: &str = "(i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done) & exit 3";
/// Seconds of CPU that a shell takes to start, and much less than a burn.
const NOTHING: f64 = 0.03;

fn shell(text: &str) -> [&str; 3] {
    ["/bin/sh", "-c", text]
}

/// Carries out `plan` in a directory of its own.
fn carry_out(plan: Plan, limit: u64) -> Report {
    let directory = tempfile::tempdir().unwrap();
    let order = Order {
        plan,
        work: directory.path().into(),
        logs: directory.path().into(),
        huge_pages: true,
        calls: None,
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        allocator_env: Vec::new(),
        limit,
    };
    Child::new(&order).carry_out().unwrap()
}

fn cpu(report: &Report) -> f64 {
    report.usage.user + report.usage.system
}

#[test]
fn subjects_and_orphans_count_and_clients_do_not() {
    sys::adopt_orphans().unwrap();
    let alone = carry_out(Plan::of([Step::subject(shell(BURN))]), 60);
    let burn = cpu(&alone);
    assert!(burn > 2.0 * NOTHING, "the burn takes {burn} s");
    assert_eq!(alone.ends[0].status, "exit 0");
    assert!(alone.usage.peak > 0 && alone.peak_sum > 0 && !alone.timed_out);

    let client = carry_out(Plan::of([Step::client(shell(BURN))]), 60);
    assert!(cpu(&client) < NOTHING, "a client counted: {}", cpu(&client));
    assert_eq!(client.peak_sum, 0, "a client was sampled");

    let orphan = carry_out(Plan::of([Step::subject(shell(ORPHAN))]), 60);
    assert!(cpu(&orphan) > burn / 2.0, "the orphan was lost: {}", cpu(&orphan));
    assert_eq!(orphan.ends[0].status, "exit 3");

    let server = "touch ready; while :; do sleep 0.01; done";
    let plan = Plan::of([Step::server(shell(server), "ready"), Step::client(shell("exit 0"))]);
    let served = carry_out(plan, 60);
    assert_eq!(served.ends[0].status, "signal 15");
    assert_eq!(served.ends[1].status, "exit 0");

    let dead = carry_out(Plan::of([Step::server(shell("exit 4"), "ready")]), 60);
    assert_eq!(dead.ends[0].status, "exit 4");
    assert!(dead.wall < READY.as_secs_f64() / 2.0, "waited for a dead server");

    let interrupted = || carry_out(Plan::of([Step::subject(shell("kill -INT $$; exit 5"))]), 60);
    sys::ignore_interrupts();
    assert_eq!(interrupted().ends[0].status, "exit 5");
    sys::heed_interrupts();
    assert_eq!(interrupted().ends[0].status, "signal 2");

    let endless = carry_out(Plan::of([Step::subject(shell("sleep 30"))]), 1);
    assert!(endless.timed_out);
    assert_eq!(endless.ends[0].status, "signal 9");
}
