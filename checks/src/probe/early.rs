//! Row 39: allocation before `main`.
//!
//! The moments are made by the programs `early` and `resolver` and by the
//! library `plugin`, which this package builds beside `probe`.

use crate::helper::ask_program;
use crate::row::{Context, Outcome, Row, ensure, pass, skip};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        39,
        "early-constructor",
        "malloc in a constructor of priority 101",
        "quality",
        early_constructor,
    ),
    Row::new(
        39,
        "early-resolver",
        "malloc in an IFUNC resolver of the program",
        "quality: the loader calls it before any constructor",
        early_resolver,
    ),
    Row::new(
        39,
        "early-library",
        "malloc in another library's constructor, in its fork handlers, after dlerror",
        "quality",
        early_library,
    ),
];

/// A file that was built beside this program.
pub(crate) fn beside(name: &str) -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(here.parent().ok_or("no directory")?.join(name))
}

fn early_constructor(_: &Context) -> Outcome {
    run("early", "early ok")
}

fn early_resolver(_: &Context) -> Outcome {
    run("resolver", "resolver ok")
}

fn run(name: &str, expected: &str) -> Outcome {
    let program = beside(name)?;
    if !program.exists() {
        return skip(format!("the program `{name}` is not built"));
    }
    let answer = ask_program(&mut Command::new(program), 20)?;
    ensure!(answer == expected, "{answer:?}");
    pass()
}

fn early_library(context: &Context) -> Outcome {
    let (program, plugin) = (beside("early")?, beside("examples/libplugin.so")?);
    if !program.exists() || !plugin.exists() {
        return skip("the library `plugin` is not built: cargo build --examples");
    }
    let orders = match &context.preload {
        None => vec![vec![&plugin]],
        Some(library) => vec![vec![library, &plugin], vec![&plugin, library]],
    };
    for order in orders {
        let list = order.iter().map(|path| path.as_os_str()).collect::<Vec<_>>();
        let mut command = Command::new(&program);
        command.env("LD_PRELOAD", list.join(&OsString::from(":"))).arg("with-plugin");
        let answer = ask_program(&mut command, 25).map_err(|words| format!("{list:?}: {words}"))?;
        ensure!(answer == "early ok", "{list:?}: {answer:?}");
    }
    pass()
}
