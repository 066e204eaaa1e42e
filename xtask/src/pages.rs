//! `pages`: the HTML reports in a real browser.
//!
//! A test of the command writes reports on profiles that are made up. Then
//! `xtask/pages/look.mjs` opens them in Debian's Chromium, headless, and uses them as a
//! reader would, in light and dark, wide and narrow. The browser has no network.
//!
//! Another test writes exports, and `readers.mjs` reads them with a library for pprof and
//! with speedscope, neither of them ours. These two and what drives the browser are what
//! npm is asked for.

use crate::debian;
use crate::sh::{Cmd, OPTIMIZED, root, target};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

const BROWSER: &str = "/usr/bin/chromium";
/// The tests of the command that write the reports and the exports.
const WRITES: [&str; 2] =
    ["html::tests::the_files_for_the_browser", "html::tests::the_files_for_other_readers"];
/// Seconds for the building, and for the browser.
const LIMIT_SECONDS: u32 = 900;
const BROWSER_SECONDS: u32 = 240;

/// Runs the checks, and says how many there were. Pictures are left in `target/pages`
/// if they are wanted.
pub(crate) fn run(with_pictures: bool) -> Result<String> {
    if !Path::new(BROWSER).exists() {
        debian::need(&["chromium"])?;
    }
    if !Cmd::new("node --version").succeeds() || !Cmd::new("npm --version").succeeds() {
        debian::need(&["nodejs", "npm"])?;
    }
    let folder = target().join("pages");
    let reports = folder.join("reports");
    if reports.exists() {
        fs::remove_dir_all(&reports).context("the reports of an earlier run")?;
    }
    fs::create_dir_all(&reports).context("a folder for the reports")?;
    write_reports(&reports)?;
    driver(&folder)?;

    let mut look = Cmd::new("node").arg(folder.join("look.mjs")).arg(&reports);
    if with_pictures {
        let pictures = folder.join("pictures");
        fs::create_dir_all(&pictures).context("a folder for pictures")?;
        look = look.arg(pictures);
    }
    let looked = done(look)?;
    let read = done(Cmd::new("node").arg(folder.join("readers.mjs")).arg(&reports))?;
    Ok(format!("{looked} of reports, {read} of exports"))
}

/// Runs a script, which says at its end how many checks there were.
fn done(script: Cmd) -> Result<String> {
    let said = script.env("CHROMIUM", BROWSER).limit(BROWSER_SECONDS).output()?;
    print!("{said}");
    let Some(last) = said.lines().last().filter(|line| line.ends_with(" checks")) else {
        bail!("the checks did not come to their end");
    };
    Ok(last.to_owned())
}

fn write_reports(reports: &Path) -> Result<()> {
    // The same packages and the same options as the gate's tests: nothing is built twice.
    let packages = "--workspace --exclude allod-capi";
    let line = format!("cargo test --quiet {packages} {OPTIMIZED} --bin allod -- --exact");
    let command = WRITES.iter().fold(Cmd::new(&line), |command, name| command.arg(name));
    let tests = command.env("ALLOD_TEST_REPORTS", reports).limit(LIMIT_SECONDS).test()?;
    if tests != WRITES.len() {
        bail!("{tests} tests have the names {WRITES:?}");
    }
    Ok(())
}

/// The scripts, with what they use beside them.
fn driver(folder: &Path) -> Result<()> {
    let home = root().join("xtask/pages");
    let manifest = fs::read_to_string(home.join("package.json"))?;
    let has_it = fs::read_to_string(folder.join("package.json")).is_ok_and(|it| it == manifest)
        && ["playwright-core", "pprof-format", "speedscope"]
            .iter()
            .all(|name| folder.join("node_modules").join(name).join("package.json").exists());
    if !has_it {
        let install = "npm install --silent --no-audit --no-fund --no-package-lock";
        fs::write(folder.join("package.json"), &manifest)?;
        Cmd::new(install).within(folder).limit(LIMIT_SECONDS).run()?;
    }
    for script in ["look.mjs", "readers.mjs"] {
        fs::copy(home.join(script), folder.join(script))?;
    }
    Ok(())
}
