//! A table with even columns, which is Markdown and reads well in a terminal.

use std::fmt::Write as _;

/// Rows of cells. The first is the head, and the first column is words; all others
/// stand to the right.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these heads.
    pub(crate) fn new<S: Into<String>>(heads: impl IntoIterator<Item = S>) -> Table {
        let mut table = Table::default();
        table.row(heads);
        table
    }

    /// Adds a row.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Whether there is nothing below the heads.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// The text.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &Vec<String>, i: usize| row.get(i).cloned().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|i| self.rows.iter().map(|row| cell(row, i).chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            text.push('|');
            for (i, width) in widths.iter().enumerate() {
                // Writing to a string cannot fail.
                let _ = if i == 0 {
                    write!(text, " {:<width$} |", cell(row, i))
                } else {
                    write!(text, " {:>width$} |", cell(row, i))
                };
            }
            text.push('\n');
            if number == 0 {
                text.push('|');
                for (i, width) in widths.iter().enumerate() {
                    let (left, right) = if i == 0 { (":", "-") } else { ("-", ":") };
                    let _ = write!(text, "{left}{}{right}|", "-".repeat(*width));
                }
                text.push('\n');
            }
        }
        text
    }
}
