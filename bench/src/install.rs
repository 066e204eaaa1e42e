//! Debian's packages: what is missing is installed, what is there is left alone.

use std::path::Path;
use std::process::Command;
use std::sync::Once;

use anyhow::{Context as _, Result, bail, ensure};

use crate::job::Need;
use crate::sys;

/// The package lists are brought up to date once a run.
static UPDATE: Once = Once::new();

/// Installs the packages of those needs whose file is missing.
pub(crate) fn ensure(needs: &[&Need]) -> Result<()> {
    let mut packages: Vec<&str> = needs
        .iter()
        .filter(|need| !Path::new(need.file).exists())
        .map(|need| need.package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if !sys::is_root() {
        bail!("please install: apt-get install --no-install-recommends {names}");
    }
    eprintln!("installing {names}");
    // A failed update is told by the install that follows.
    UPDATE.call_once(|| drop(apt(&["update"])));
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(&packages);
    apt(&arguments)?;
    for need in needs {
        ensure!(Path::new(need.file).exists(), "{} brought no {}", need.package, need.file);
    }
    Ok(())
}

/// Runs apt-get, silent unless it fails.
fn apt(arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(["-qq"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Installing a server must not start it. Debian's init scripts start
        // nothing in this runlevel.
        .env("RUNLEVEL", "1")
        .output()
        .context("this is no Debian: there is no apt-get")?;
    ensure!(output.status.success(), "apt-get: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The version of an installed package, or a question mark.
pub(crate) fn version(package: &str) -> String {
    let output = Command::new("dpkg-query")
        .args(["--showformat", "${Version}\n", "--show", package])
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok().and_then(|text| text.lines().next().map(Into::into)).unwrap_or_else(|| "?".into())
}
