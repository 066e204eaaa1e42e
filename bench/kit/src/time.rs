//! Nanoseconds, by the clock.
//!
//! The contenders of a row take turns, a few milliseconds each, for many
//! rounds, and begin with another one each round. A contender is compared with
//! ours of the same round, so what the machine did to both cancels. Reported are
//! the median of its times and the median of those ratios.

use crate::meter::{Kind, Meter, Row};
use crate::table::{Outcome, Result as RowResult};

/// Odd, so that a median is one of them.
pub(crate) const ROUNDS: usize = 21;

/// Times all contenders of all rows. Rows of figures are not for the clock.
pub(crate) fn all(rows: &[Row], rounds: usize) -> Vec<RowResult> {
    rows.iter().filter(|it| it.kind == Kind::Work).map(|it| row(it, rounds)).collect()
}

fn row(row: &Row, rounds: usize) -> RowResult {
    let count = row.contenders.len();
    let mut times = vec![vec![0.0; rounds]; count];
    for turn in 0..rounds * count {
        let round = turn / count;
        // Each round begins with the next contender.
        let at = (turn + round) % count;
        let mut meter = Meter::timing();
        (row.contenders[at].run)(&mut meter);
        times[at][round] = meter.figure().unwrap_or_default() / f64::from(row.operations);
    }
    let outcome = |at: usize| {
        let ratios = times[at].iter().zip(&times[0]).map(|(it, ours)| it / ours).collect();
        Outcome {
            name: row.contenders[at].name,
            number: median(times[at].clone()),
            ratio: Some(median(ratios)),
        }
    };
    eprintln!("{}", row.name);
    let outcomes = (0..count).map(outcome).collect();
    RowResult { name: row.name, kind: row.kind, outcomes }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
