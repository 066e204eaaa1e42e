//! Nanoseconds, by the clock.
//!
//! The contenders of a row take turns, a few milliseconds each, for many
//! rounds, and begin with another one each round. A contender is compared with
//! ours of the same round, so what the machine did to both cancels. Reported are
//! the median of its times and the median of those ratios.

use crate::meter::{Kind, Meter, Row};
use crate::table::{Outcome, Result as RowResult};

/// Odd, so that a median is one of them.
const ROUNDS: usize = 21;

/// Times all contenders of all rows. Rows of figures are not for the clock.
pub(crate) fn all(rows: &[Row]) -> Vec<RowResult> {
    rows.iter().filter(|row| row.kind == Kind::Work).map(row).collect()
}

fn row(row: &Row) -> RowResult {
    let count = row.contenders.len();
    let mut times = vec![[0.0; ROUNDS]; count];
    for turn in 0..ROUNDS * count {
        let round = turn / count;
        // Each round begins with the next contender.
        let at = (turn + round) % count;
        let mut meter = Meter::timing();
        (row.contenders[at].run)(&mut meter);
        times[at][round] = meter.figure().unwrap_or_default() / f64::from(row.operations);
    }
    let outcome = |at: usize| {
        let ratios = std::array::from_fn(|round| times[at][round] / times[0][round]);
        Outcome {
            name: row.contenders[at].name,
            number: median(times[at]),
            ratio: Some(median(ratios)),
        }
    };
    eprintln!("{}", row.name);
    let outcomes = (0..count).map(outcome).collect();
    RowResult { name: row.name, kind: row.kind, outcomes }
}

fn median(mut numbers: [f64; ROUNDS]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[ROUNDS / 2]
}
