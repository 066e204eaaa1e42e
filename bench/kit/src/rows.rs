//! The rows: a file for each family, a function for each row, a contender for
//! each crate. The first contender of a row is ours.

mod bump;
mod fixed;
mod heaps;
mod pools;
mod wrap;

use crate::meter::Row;

/// All rows, in the order of the table.
pub(crate) fn all() -> Vec<Row> {
    [bump::rows(), fixed::rows(), heaps::rows(), pools::rows(), wrap::rows()]
        .into_iter()
        .flatten()
        .collect()
}
