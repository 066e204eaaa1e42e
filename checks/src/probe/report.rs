//! The table, on paper or as JSON.

use crate::Arguments;
use crate::row::Row;
use crate::run::{Outcome, Results};

/// Prints what came of the rows. True when none failed.
pub(crate) fn print(results: &Results, arguments: &Arguments) -> bool {
    let count = |outcome| results.rows.iter().filter(|row| row.outcome == outcome).count();
    let (passed, failed, skipped) =
        (count(Outcome::Pass), count(Outcome::Fail), count(Outcome::Skip));
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(results).unwrap_or_default());
        return failed == 0;
    }
    println!("malloc is served by {}", results.served_by);
    println!();
    for row in &results.rows {
        if arguments.failures && row.outcome == Outcome::Pass {
            continue;
        }
        let word = match row.outcome {
            Outcome::Pass => "pass",
            Outcome::Fail => "FAIL",
            Outcome::Skip => "SKIP",
        };
        println!(
            "{:>2}  {:<26} {word} {:>6} ms  {}",
            row.row, row.check, row.milliseconds, row.remark
        );
        if row.outcome == Outcome::Fail {
            println!("    expected: {} ({})", row.expected, row.source);
        }
    }
    println!();
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    failed == 0
}

/// Prints what would be asked.
pub(crate) fn list(rows: &[&Row]) {
    for row in rows {
        println!("{:>2}  {:<26} {} ({})", row.number, row.name, row.expected, row.source);
    }
}
