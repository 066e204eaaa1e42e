//! `mutants`: do the tests notice when arithmetic is wrong?
//!
//! Where `mutate` weakens the orderings of shared words, this changes everything
//! else: operators, constants, returned values, by `cargo-mutants`, in a copy of
//! the repository. It looks at the files that are arithmetic and nothing more,
//! whose own tests are quick and ought to say all there is to say. A mutant that
//! these tests let pass is a survivor, and the command fails, unless
//! `golden/arithmetic.txt` lists it with a reason. That file has one line a survivor:
//! `path below src | line of code | what was changed | reason`. A mutant that runs for
//! ever is noticed.
//!
//! `cargo-mutants` finds a crate's files by its `mod` lines, and does not look into
//! macros. In the copy, `lib.rs` has the arm of `cfg_select!` that is compiled here,
//! and nothing around it.
//!
//! Not part of the gate: each mutant costs a build.

use crate::mutate::copy_house;
use crate::sh::{Cmd, root, target};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::Path;

/// The version of `cargo-mutants`, which decides what is changed.
const CARGO_MUTANTS: &str = "27.1.0";

/// Survivors that may be.
const LIST: &str = "golden/arithmetic.txt";

/// Seconds for all of them.
const LIMIT_SECONDS: u32 = 4 * 60 * 60;
/// Seconds for the tests of one. Wrong arithmetic may well run for ever.
const EACH_SECONDS: &str = "60";

/// The files of `allod`, and the module that has each one's tests.
const FILES: [(&str, &str); 5] = [
    ("size.rs", "size::"),
    ("units.rs", "units::"),
    ("config.rs", "config::"),
    ("arena/bits.rs", "arena::bits::"),
    ("odds.rs", "odds::"),
];

/// Changes whatever can be changed in the files whose path contains `word`.
pub(crate) fn run(word: &str) -> Result<()> {
    let chosen: Vec<_> = FILES.iter().filter(|(file, _)| file.contains(word)).collect();
    if chosen.is_empty() {
        bail!("none of the files of arithmetic has `{word}` in its path");
    }
    let tools = target().join("tools");
    let program = tools.join("bin/cargo-mutants");
    if !program.exists() {
        let install =
            format!("cargo install --quiet --locked --debug cargo-mutants@{CARGO_MUTANTS}");
        Cmd::new(&install)
            .arg("--root")
            .arg(&tools)
            .env("CARGO_TARGET_DIR", tools.join("build"))
            .run()?;
    }
    let house = target().join("mutants/house");
    copy_house(&house)?;
    let lib = house.join("crates/allod/src/lib.rs");
    let text = fs::read_to_string(&lib)?;
    fs::write(&lib, unfold(&text).context("lib.rs has no `cfg_select!` with an arm `native`")?)?;
    let mut command = Cmd::at(&program)
        .arg("mutants")
        .arg("--package")
        .arg("allod")
        .arg("--no-shuffle")
        .arg("--timeout")
        .arg(EACH_SECONDS)
        .arg("--in-place")
        .arg("--output")
        .arg(target().join("mutants"))
        .env("CARGO_TARGET_DIR", target().join("mutants/build"))
        .limit(LIMIT_SECONDS)
        .within(&house);
    for (file, _) in &chosen {
        command = command.arg("--file").arg(format!("crates/allod/src/{file}"));
    }
    command = command.arg("--").arg("--lib").arg("--");
    for (_, tests) in &chosen {
        command = command.arg(tests);
    }
    // What is true of survivors is for us to say: 2 is for these, 3 for what ran for ever.
    let status = command.bare().status()?;
    ensure!(matches!(status.code(), Some(0 | 2 | 3)), "cargo-mutants: {status}");
    let missed = fs::read_to_string(target().join("mutants/mutants.out/missed.txt"))?;
    let source = house.join("crates/allod/src");
    let found = missed.lines().map(|line| Survivor::found(line, &source));
    let found = found.collect::<Result<Vec<_>>>()?;
    let list = fs::read_to_string(root().join(LIST))?;
    let listed = listed(&list)?;
    let is_chosen = |survivor: &Survivor| chosen.iter().any(|(file, _)| *file == survivor.file);
    let wrong = differences(&found, &listed, is_chosen);
    println!("mutants: {} survivors, {} with a reason", found.len(), listed.len());
    ensure!(wrong.is_empty(), "not as it should be:\n{}", wrong.join("\n"));
    Ok(())
}

/// A mutant that the tests let pass.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Survivor {
    /// Below `crates/allod/src`.
    file: String,
    /// The line that was changed, as it was.
    code: String,
    change: String,
}

impl Survivor {
    /// What a line of `cargo-mutants` says: `path:line:column: change`. The line of code
    /// is looked up: numbers of lines are not to be kept.
    fn found(text: &str, source: &Path) -> Result<Self> {
        let mut parts = text.splitn(4, ':');
        let (Some(path), Some(line), Some(_), Some(change)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            bail!("cargo-mutants says what nobody understands: {text}");
        };
        let file = path.strip_prefix("crates/allod/src/").unwrap_or(path);
        let lines = fs::read_to_string(source.join(file))?;
        let code = line.parse::<usize>().ok().and_then(|line| lines.lines().nth(line - 1));
        let code = code.with_context(|| format!("{file} has no line {line}"))?;
        Ok(Self { file: file.into(), code: code.trim().into(), change: change.trim().into() })
    }

    fn spelled(&self) -> String {
        format!("{} | {} | {}", self.file, self.code, self.change)
    }
}

/// Reads the list. Lines of code may have bars in them, and reasons none.
fn listed(list: &str) -> Result<Vec<Survivor>> {
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let survivor = |line: &str| {
        let (rest, reason) = line.rsplit_once(" | ")?;
        let (rest, change) = rest.split_once(" | replace ").or(rest.split_once(" | delete "))?;
        let word = if line.contains(" | replace ") { "replace" } else { "delete" };
        let (file, code) = rest.split_once(" | ")?;
        let change = format!("{word} {change}");
        (!reason.trim().is_empty()).then(|| Survivor {
            file: file.into(),
            code: code.into(),
            change,
        })
    };
    lines
        .map(|line| survivor(line).with_context(|| format!("{LIST}: `{line}` lacks something")))
        .collect()
}

/// Survivors without a reason, and reasons without a survivor in what was looked at.
fn differences(
    found: &[Survivor],
    listed: &[Survivor],
    is_chosen: impl Fn(&Survivor) -> bool,
) -> Vec<String> {
    let survived = found.iter().filter(|it| !listed.contains(it));
    let survived = survived.map(|it| format!("survived: {}", it.spelled()));
    let stale = listed.iter().filter(|it| is_chosen(it) && !found.contains(it));
    let stale = stale.map(|it| format!("listed, and noticed or not there: {}", it.spelled()));
    survived.chain(stale).collect()
}

/// The text with its first `cfg_select!` replaced by what its arm `native` holds.
fn unfold(text: &str) -> Option<String> {
    let (before, rest) = text.split_once("\ncfg_select! {\n")?;
    let (arms, after) = rest.split_once("\n}\n")?;
    let (_, arm) = arms.split_once("\n    native => {\n")?;
    let (arm, _) = arm.split_once("\n    }\n")?;
    Some(format!("{before}\n{arm}\n{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survivors_are_held_against_the_list() {
        let list = "# Words.\n\nodds.rs | a << 1 | b | replace | with ^ in f | the bit is clear\n";
        let listed = listed(list).unwrap();
        let known = Survivor {
            file: "odds.rs".into(),
            code: "a << 1 | b".into(),
            change: "replace | with ^ in f".into(),
        };
        assert_eq!(listed, std::slice::from_ref(&known));
        let other = Survivor { code: "a - b".into(), ..known.clone() };
        assert!(differences(std::slice::from_ref(&known), &listed, |_| true).is_empty());
        assert_eq!(differences(&[known, other], &listed, |_| true).len(), 1);
        assert_eq!(differences(&[], &listed, |_| true).len(), 1, "stale");
        assert!(differences(&[], &listed, |_| false).is_empty(), "not looked at");
        assert!(super::listed("odds.rs | a | replace x with y |  \n").is_err());
    }

    #[test]
    fn a_survivor_is_known_by_its_line_of_code() {
        let folder = crate::sh::root().join("crates/allod/src");
        let text = "crates/allod/src/odds.rs:1:1: replace a with b in c";
        let found = Survivor::found(text, &folder).unwrap();
        assert_eq!(found.file, "odds.rs");
        assert!(found.code.starts_with("//! The arithmetic of sampling"), "{found:?}");
        assert!(Survivor::found("nonsense", &folder).is_err());
    }

    #[test]
    fn the_list_can_be_read() {
        let text = fs::read_to_string(crate::sh::root().join(LIST)).unwrap();
        assert!(!listed(&text).unwrap().is_empty());
    }

    #[test]
    fn the_arm_that_is_compiled_here_stays() {
        let text = "a\ncfg_select! {\n    loom => {\n        mod x;\n    }\n    native => {\n        mod y;\n    }\n    _ => {\n        mod z;\n    }\n}\nb\n";
        assert_eq!(unfold(text).as_deref(), Some("a\n        mod y;\nb\n"));
        assert_eq!(unfold("mod y;\n"), None);
        let lib = fs::read_to_string(crate::sh::root().join("crates/allod/src/lib.rs")).unwrap();
        let unfolded = unfold(&lib).expect("lib.rs is what is to be unfolded");
        assert!(unfolded.contains("mod size;") && !unfolded.contains("cfg_select!"));
    }
}
