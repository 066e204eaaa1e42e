//! The medians of a suite, and every ratio that the tables and plots show.
//!
//! ```text
//!                 peers ──►
//!      jobs   [ Some(Middle)  Some(Middle)  None ]      None: it failed
//!       │     [ ...                              ]
//!       ▼
//! ```
//!
//! A ratio is of one peer to another, or to the best of its row: the least time
//! and the least memory of that row, which two different peers may have. With ten
//! columns the least of ten noisy figures is some percent too good for anybody to
//! reach. Rows where either side failed are left out, and every mean says how many
//! rows it covers.

use crate::measure::{Cell, SuiteResults};
use crate::plan::Report;
use crate::stats::{Summary, float, geometric_mean, summary};

/// The medians of a cell.
#[derive(Debug, Clone)]
pub(super) struct Middle {
    /// Seconds of CPU, with the least and the most.
    pub(super) cpu: Summary,
    /// Seconds by the clock.
    pub(super) wall: f64,
    /// Most resident MiB.
    pub(super) peak: f64,
    /// Page faults.
    pub(super) faults: f64,
    /// Calls of the kernel about memory, by the counted run.
    pub(super) calls: Option<u64>,
}

/// What a ratio is of.
pub(super) type Measure = fn(&Middle) -> f64;
/// CPU time.
pub(super) const TIME: Measure = |middle| middle.cpu.median;
/// Peak memory.
pub(super) const MEMORY: Measure = |middle| middle.peak;
/// Time by the clock.
pub(super) const WALL: Measure = |middle| middle.wall;

/// One row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The job.
    pub(super) name: &'static str,
    /// One entry a peer.
    pub(super) cells: Vec<Option<Middle>>,
}

/// All rows of some suites, with the same columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Grid {
    /// The columns' names.
    pub(super) peers: Vec<String>,
    /// The rows.
    pub(super) rows: Vec<Row>,
}

impl Middle {
    /// `None` when no run went well, or one did not.
    fn of(cell: &Cell) -> Option<Middle> {
        if !cell.failures.is_empty() {
            return None;
        }
        let over = |value: fn(&Report) -> f64| summary(cell.runs.iter().map(value));
        Some(Middle {
            cpu: over(|run| run.usage.user + run.usage.system)?,
            wall: over(|run| run.wall)?.median,
            peak: over(Report::peak)?.median,
            faults: over(|run| float(run.usage.minor_faults + run.usage.major_faults))?.median,
            calls: cell.calls.as_ref().map(|calls| calls.values().sum()),
        })
    }
}

impl Grid {
    /// The grid of one suite.
    pub(super) fn of(suite: &SuiteResults) -> Grid {
        let peers = suite.peers.iter().map(|(name, _)| name.clone()).collect();
        let row =
            |name, cells: &Vec<Cell>| Row { name, cells: cells.iter().map(Middle::of).collect() };
        Grid { peers, rows: suite.jobs.iter().map(|job| row(job.name, &job.cells)).collect() }
    }

    /// The rows of several suites under one another. Peers that are not in all of
    /// them are left out.
    pub(super) fn join(grids: &[Grid]) -> Grid {
        let Some(first) = grids.first() else { return Grid::default() };
        let in_all = |name: &&String| grids.iter().all(|grid| grid.peers.contains(name));
        let peers: Vec<String> = first.peers.iter().filter(in_all).cloned().collect();
        let rows = grids.iter().flat_map(|grid| {
            let places: Vec<usize> = peers.iter().filter_map(|name| grid.column(name)).collect();
            grid.rows.iter().map(move |row| Row {
                name: row.name,
                cells: places.iter().map(|place| row.cells[*place].clone()).collect(),
            })
        });
        let rows = rows.collect();
        Grid { peers, rows }
    }

    /// The column of a peer.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.peers.iter().position(|peer| peer == name)
    }

    /// The geometric mean over the rows of `left` to `right`, and how many rows.
    pub(super) fn mean(&self, left: usize, right: usize, of: Measure) -> (Option<f64>, usize) {
        mean(self.rows.iter().filter_map(|row| row.ratio(left, right, of)))
    }

    /// The same to the best of each row.
    pub(super) fn mean_to_best(&self, column: usize, of: Measure) -> (Option<f64>, usize) {
        mean(self.rows.iter().filter_map(|row| row.to_best(column, of)))
    }
}

fn mean(ratios: impl Iterator<Item = f64>) -> (Option<f64>, usize) {
    let ratios: Vec<f64> = ratios.collect();
    (geometric_mean(&ratios), ratios.len())
}

impl Row {
    /// The ratio of two peers, when both went well.
    pub(super) fn ratio(&self, left: usize, right: usize, of: Measure) -> Option<f64> {
        let value = |column: usize| self.cells.get(column)?.as_ref().map(of);
        Some(value(left)? / value(right)?)
    }

    /// The ratio of a peer to the least of the row.
    pub(super) fn to_best(&self, column: usize, of: Measure) -> Option<f64> {
        let own = self.cells.get(column)?.as_ref().map(of)?;
        let best = self.cells.iter().flatten().map(of).min_by(f64::total_cmp)?;
        Some(own / best)
    }

    /// The widest spread of CPU time in the row, as a part of its median.
    pub(super) fn spread(&self) -> Option<f64> {
        let of = |middle: &Middle| (middle.cpu.max - middle.cpu.min) / middle.cpu.median;
        self.cells.iter().flatten().map(of).max_by(f64::total_cmp)
    }
}
