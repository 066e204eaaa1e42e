//! Which modules the profiler takes for lasting, and reads by loads.
//!
//! Nothing shows which way a table was read but a process that has only one of the two. So the
//! program `lasting` lets the other way fail, and allocates below a frame of the library
//! `plugin` that only its table leads out of: the stack goes on to `main` if the plugin is
//! known to last, and ends at the plugin otherwise.
//!
//! | preloaded | brought by `dlopen` | lasts |
//! |---|---|---|
//! | liballod.so, plugin | | plugin |
//! | liballod.so | plugin | nothing |
//! | | plugin, then liballod.so | nothing |

use crate::library::library;
use allod_checks::child::{self, End};
use allod_profile::{Names, Profile};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How far the stack of a sample below the plugin goes.
#[derive(Debug, PartialEq, Eq)]
enum Reach {
    /// To the end of all, `main` included.
    Main,
    /// To the plugin's own frame.
    Plugin,
}

fn plugin() -> PathBuf {
    let programs = Path::new(env!("CARGO_BIN_EXE_lasting")).parent().expect("a directory");
    let plugin = programs.join("examples/libplugin.so");
    assert!(plugin.exists(), "cargo test builds {}", plugin.display());
    plugin
}

/// Runs the program with these preloaded, and reads its dump. `None` when there are no filters.
fn reach(name: &str, preloaded: &[&Path], flags: &[&str]) -> Option<Reach> {
    let dump = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lasting-{name}.dump"));
    let _ = std::fs::remove_file(&dump);
    let mut command = Command::new(env!("CARGO_BIN_EXE_lasting"));
    command.args([&plugin(), library(), &dump]).args(flags);
    let list = preloaded.iter().map(|path| path.as_os_str()).collect::<Vec<_>>();
    // The first sample is the program's to take, when all is loaded.
    command.env("LD_PRELOAD", list.join(OsStr::new(":"))).env("ALLOD_CONF", "profile:off");
    let output = child::run(&mut command, Duration::from_secs(60)).expect("it starts");
    assert_eq!(output.end, End::Exit(0), "{}", output.stderr);
    if output.stdout.trim_end() == "no filter" {
        println!("SKIP: no filters of system calls");
        return None;
    }
    let bytes = std::fs::read(&dump).expect("a dump");
    let profile = allod_profile::read(&bytes, &mut Names::new(), &mut |_| {});
    Some(in_profile(&profile.expect("a profile")))
}

/// The same of the one site that has the plugin in its stack.
fn in_profile(profile: &Profile) -> Reach {
    let name = |place: &usize| profile.frames[*place].linkage.as_str();
    let stacks = profile.sites.iter().map(|site| (site, site.stack.iter().map(name)));
    let stacks = stacks.map(|(site, names)| (site.truncated, names.collect::<Vec<_>>()));
    let mut below = stacks.filter(|(_, names)| names.contains(&"plugin_calls"));
    let (truncated, names) = below.next().expect("a sample below the plugin");
    assert_eq!(below.count(), 0, "one call, one site");
    match names.last() {
        Some(&"plugin_calls") if truncated => Reach::Plugin,
        Some(_) if !truncated && names.contains(&"main") => Reach::Main,
        _ => panic!("cut: {truncated}, {names:?}"),
    }
}

#[test]
fn a_module_loaded_with_the_program_lasts() {
    let plugin = plugin();
    for (name, order) in [("after", [library(), &plugin]), ("before", [&plugin, library()])] {
        if let Some(reach) = reach(name, &order, &["filter"]) {
            assert_eq!(reach, Reach::Main, "{name}");
        }
    }
}

#[test]
fn a_module_loaded_by_the_program_does_not_last() {
    if let Some(reach) = reach("late-module", &[library()], &["filter"]) {
        assert_eq!(reach, Reach::Plugin);
    }
}

/// It is the filter, and nothing else, that ends the stack in the test above.
#[test]
fn a_module_loaded_by_the_program_can_be_read() {
    assert_eq!(reach("no-filter", &[library()], &[]), Some(Reach::Main));
}

/// The program has run by then, and may have loaded whatever it liked. A cleared environment
/// looks as it does before any program has run.
#[test]
fn nothing_lasts_for_a_library_that_is_loaded_late() {
    for (name, flags) in [("late", &["filter"][..]), ("late-cleared", &["filter", "clear"])] {
        if let Some(reach) = reach(name, &[], flags) {
            assert_eq!(reach, Reach::Plugin, "{name}");
        }
    }
}
