//! Instructions, counted by callgrind.
//!
//! Each contender runs in a process of its own under `valgrind
//! --tool=callgrind`, which counts between entry and exit of one function. The
//! count does not depend on the machine's load, and hardly on the machine. It
//! says nothing about caches, branches and latency: `time` is for that.

use crate::meter::{Contender, Kind, Row};
use crate::table::{Outcome, Result as RowResult};
use anyhow::{Context, Result, bail};
use std::env;
use std::process::Command;

/// Counts all contenders of all rows.
pub(crate) fn all(rows: &[Row]) -> Result<Vec<RowResult>> {
    rows.iter().map(row).collect()
}

fn row(row: &Row) -> Result<RowResult> {
    let outcome = |contender: &Contender| -> Result<Outcome> {
        let number = match row.kind {
            Kind::Work => counted(row, contender)? / f64::from(row.operations),
            Kind::Figure(_) => reported(row, contender)?,
        };
        Ok(Outcome { name: contender.name, number, ratio: None })
    };
    let outcomes = row.contenders.iter().map(outcome).collect::<Result<_>>()?;
    eprintln!("{}", row.name);
    Ok(RowResult { name: row.name, kind: row.kind, outcomes })
}

fn counted(row: &Row, contender: &Contender) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", "--toggle-collect=allod_bench_measured"])
        .arg(env::current_exe()?)
        .args(["--child", row.name, contender.name])
        .output()
        .context("valgrind has to be installed")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{} by {} fails:\n{said}", row.name, contender.name);
    }
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = line.with_context(|| format!("callgrind says nothing:\n{said}"))?;
    let count: f64 = count.trim().parse()?;
    if count == 0.0 {
        bail!("{} by {}: nothing was measured", row.name, contender.name);
    }
    Ok(count)
}

fn reported(row: &Row, contender: &Contender) -> Result<f64> {
    let output =
        Command::new(env::current_exe()?).args(["--child", row.name, contender.name]).output()?;
    if !output.status.success() {
        bail!("{} by {} fails", row.name, contender.name);
    }
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim().parse().with_context(|| format!("{} by {}", row.name, contender.name))
}
