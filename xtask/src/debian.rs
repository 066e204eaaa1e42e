//! Debian's packages: what a step needs and the machine may lack.
//!
//! The gate runs on bare machines, so a step that needs a package installs
//! it. That takes root and `apt-get`; elsewhere the step fails and says what
//! is missing.

use crate::sh::Cmd;
use anyhow::{Result, bail};
use std::path::Path;
use std::sync::Once;

/// Sees to it that these packages are installed.
pub(crate) fn need(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|it| !is_installed(it)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(" ");
    if !can_install() {
        bail!("missing packages: {missing}. Install them, or run this as root on Debian");
    }
    refresh();
    Cmd::new(&format!("apt-get install -y -qq --no-install-recommends {missing}"))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()
}

/// Downloads packages, with the ones they depend on whose names begin with one
/// of `with`, into `folder`. Installs nothing.
pub(crate) fn download(packages: &[&str], with: &[&str], folder: &Path) -> Result<()> {
    if !Cmd::new("apt-get --version").succeeds() {
        bail!("there is no apt-get here to download {} with", packages.join(" "));
    }
    refresh();
    let mut wanted: Vec<String> = packages.iter().map(ToString::to_string).collect();
    let mut next = 0;
    while next < wanted.len() {
        let depends = Cmd::new(&format!("apt-cache depends {}", wanted[next])).output()?;
        for name in dependencies(&depends) {
            let is_new = !wanted.iter().any(|it| it == name);
            if is_new && with.iter().any(|prefix| name.starts_with(prefix)) {
                wanted.push(name.to_owned());
            }
        }
        next += 1;
    }
    Cmd::new(&format!("apt-get download -qq {}", wanted.join(" "))).within(folder).run()
}

/// The names in the `Depends:` lines of `apt-cache depends`.
fn dependencies(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "))
}

fn is_installed(package: &str) -> bool {
    let query = format!("dpkg-query -W -f=${{db:Status-Status}} {package}");
    // An unknown package is one word on the error channel; no need to hear it.
    let query = Cmd::new(&query);
    query.succeeds() && query.output().is_ok_and(|status| status == "installed")
}

fn can_install() -> bool {
    let root = Cmd::new("id -u").output().is_ok_and(|id| id.trim() == "0");
    root && Cmd::new("apt-get --version").succeeds()
}

/// Brings the lists of packages up to date, once per run. Old lists may still
/// do, so a failure is left to the command that follows.
fn refresh() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = Cmd::new("apt-get update -qq").run();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read() {
        let text = "rustc-web\n  Depends: libc6\n |Depends: gcc\n  Recommends: cargo-web\n  Depends: libstd-rust-web-dev\n";
        let names: Vec<_> = dependencies(text).collect();
        assert_eq!(names, ["libc6", "libstd-rust-web-dev"]);
    }
}
