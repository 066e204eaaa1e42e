//! The table of jobs, in the order of the results.
//!
//! * `jobs/debian.rs`: programs as Debian ships them, unmodified;
//! * `jobs/python.rs`: CPython's own tests;
//! * `jobs/own.rs`: our stress loads and our Rust programs.

mod debian;
mod own;
mod python;

use anyhow::{Result, ensure};

use crate::job::{Job, Suite};

/// Every job there is.
fn all() -> impl Iterator<Item = &'static Job> {
    debian::JOBS.iter().chain(python::JOBS).chain(own::JOBS)
}

/// The jobs of `suite` among `only`; an empty `only` means all.
pub(crate) fn of(suite: Suite, only: &[String]) -> Vec<&'static Job> {
    all()
        .filter(|job| job.suite == suite.rows())
        .filter(|job| only.is_empty() || only.iter().any(|name| name == job.name))
        .collect()
}

/// Refuses names that no job of `suites` has, so that a slip does not test nothing.
pub(crate) fn check_names(suites: &[Suite], only: &[String]) -> Result<()> {
    let jobs = || all().filter(|job| suites.iter().any(|suite| suite.rows() == job.suite));
    for name in only {
        let names: Vec<_> = jobs().map(|job| job.name).collect();
        ensure!(
            names.contains(&name.as_str()),
            "no job is called {name}; there are {}",
            names.join(", ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Scrubber;

    #[test]
    fn names_are_unique_and_patterns_compile() {
        let names: Vec<_> = all().map(|job| job.name).collect();
        for (i, name) in names.iter().enumerate() {
            assert!(!names[..i].contains(name), "{name} is there twice");
        }
        for job in all() {
            assert!(Scrubber::new(job.scrub).is_ok(), "{}", job.name);
            assert!(!job.about.is_empty() && job.sizes.0 > 0, "{}", job.name);
        }
    }

    #[test]
    fn a_wrong_name_is_refused() {
        assert!(check_names(&Suite::ALL, &["perl".into()]).is_ok());
        assert!(check_names(&Suite::ALL, &["pearl".into()]).is_err());
        assert!(check_names(&[Suite::Rust], &["perl".into()]).is_err());
    }
}
