//! Pictures.

use std::path::Path;

use anyhow::Result;

use crate::measure::Results;

/// Draws.
pub(crate) fn draw(_results: &Results, _directory: &Path) -> Result<()> {
    Ok(())
}
