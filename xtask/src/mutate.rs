//! `mutate`: does each model notice when the order it is about is gone?
//!
//! A model that passes proves nothing until it has been seen to fail. For each
//! source file with loom models, every ordering in it is weakened to `Relaxed`
//! in turn, in a copy of the repository, and the models are run. They must
//! object. First the file's own models are asked, then, if these let it pass,
//! all others.
//!
//! A weakening that nobody notices is a survivor: either the ordering is
//! stronger than it need be, or a model is missing. Survivors fail the run,
//! unless `golden/mutants.txt` lists them with a reason. That file has one line
//! a site: `path | line of code, [the ordering] in brackets | reason`, the path
//! being the crate's name and what is below its `src`.
//!
//! Not part of the gate: each site costs a build and a run of models.

mod site;

use crate::loom;
use crate::sh::{Cmd, passed_in, root, sources, target};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::time::Instant;

const LIST: &str = "golden/mutants.txt";
/// Seconds for the models of one mutant. A weakened spin may spin for ever;
/// being stopped counts as having noticed.
const LIMIT_SECONDS: u32 = 300;

/// What became of one mutant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// A model failed.
    Noticed,
    /// A model did not end.
    Hung,
    /// It does not compile, so it says nothing.
    Broken,
    /// All models passed.
    Survived,
}

/// Weakens every site in the files whose path contains `word`.
pub(crate) fn run(word: &str) -> Result<()> {
    let house = target().join("mutate");
    copy_house(&house)?;
    let list = fs::read_to_string(root().join(LIST)).unwrap_or_default();
    let mut survivors = Survivors::parse(&list)?;
    let mut rows = Vec::new();
    for package in loom::CRATES {
        weaken_all(&House { folder: &house, package }, word, &mut survivors, &mut rows)?;
    }
    if rows.is_empty() {
        bail!("no file with models and orderings has `{word}` in its path");
    }
    println!("\nmutate: {} sites", rows.len());
    for (_, row) in &rows {
        println!("  {row}");
    }
    let wrong = rows.into_iter().filter(|(right, _)| !right).map(|(_, row)| row);
    let wrong: Vec<String> = wrong.chain(survivors.not_met(word)).collect();
    if !wrong.is_empty() {
        bail!("not as it should be:\n{}", wrong.join("\n"));
    }
    Ok(())
}

/// Weakens every site of one crate, and says of each what became of it.
fn weaken_all(
    house: &House<'_>,
    word: &str,
    survivors: &mut Survivors,
    rows: &mut Vec<(bool, String)>,
) -> Result<()> {
    let source = house.folder.join("crates").join(house.package).join("src");
    let mut files = Vec::new();
    for path in sources(&source)? {
        let below = path.strip_prefix(&source)?.to_string_lossy().into_owned();
        let name = format!("{}/{below}", house.package);
        if name.contains(word) && !site::find(&fs::read_to_string(&path)?).is_empty() {
            files.push((path, below, name));
        }
    }
    if files.is_empty() {
        return Ok(());
    }
    let models = all_models(house)?;
    if models.is_empty() {
        bail!("no test of {} whose name begins with `loom_`", house.package);
    }
    models_command(house, "loom_").test().context("before anything was weakened")?;
    for (path, below, name) in files {
        let own = models_of(&below, &models);
        if own.is_empty() {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        for site in site::find(&text) {
            let start = Instant::now();
            fs::write(&path, site::weaken(&text, &site))?;
            let fate = fate(house, &own, &models);
            fs::write(&path, &text)?;
            let (right, verdict) = survivors.judge(&name, &site.label, fate?);
            let seconds = start.elapsed().as_secs_f64();
            let row = format!("{name}:{}  {}  {verdict}, {seconds:.0} s", site.line, site.label);
            println!("{row}");
            rows.push((right, row));
        }
    }
    Ok(())
}

/// The copy of the repository, and one of its crates.
struct House<'a> {
    folder: &'a Path,
    package: &'static str,
}

/// The list of sites that may be weakened, and which of them were met.
struct Survivors(Vec<(String, String, bool)>);

impl Survivors {
    fn parse(list: &str) -> Result<Self> {
        let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let site = |line: &str| {
            let mut parts = line.split(" | ");
            match (parts.next(), parts.next(), parts.next()) {
                (Some(file), Some(label), Some(reason)) if !reason.trim().is_empty() => {
                    Ok((file.to_owned(), label.to_owned(), false))
                }
                _ => bail!("{LIST}: `{line}` is not `path | line of code | reason`"),
            }
        };
        Ok(Self(lines.map(site).collect::<Result<_>>()?))
    }

    /// Whether this fate is as it should be, and how to say it.
    fn judge(&mut self, file: &str, label: &str, fate: Fate) -> (bool, &'static str) {
        let mut listed = false;
        for site in self.0.iter_mut().filter(|site| site.0 == file && site.1 == label) {
            site.2 = true;
            listed = true;
        }
        match (fate, listed) {
            (Fate::Broken, _) => (false, "DOES NOT COMPILE"),
            (Fate::Noticed, false) => (true, "noticed"),
            (Fate::Hung, false) => (true, "noticed (hung)"),
            (Fate::Noticed | Fate::Hung, true) => (false, "noticed, BUT LISTED AS A SURVIVOR"),
            (Fate::Survived, true) => (true, "survived, with a reason"),
            (Fate::Survived, false) => (false, "SURVIVED"),
        }
    }

    /// Sites on the list that are nowhere in the files that were looked at.
    fn not_met(&self, word: &str) -> impl Iterator<Item = String> {
        let sites = self.0.iter().filter(move |(file, _, met)| !met && file.contains(word));
        sites.map(|(file, label, _)| format!("{LIST} lists what is not there: {file} | {label}"))
    }
}

/// Copies what git knows or would take up, as it is in the work tree.
pub(crate) fn copy_house(house: &Path) -> Result<()> {
    let files = Cmd::new("git ls-files --cached --others --exclude-standard").output()?;
    let _ = fs::remove_dir_all(house);
    for file in files.lines() {
        let from = root().join(file);
        if !from.is_file() {
            continue;
        }
        let to = house.join(file);
        fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        fs::copy(&from, &to).with_context(|| format!("cannot copy {file}"))?;
    }
    Ok(())
}

/// The command for the models of the copy. It builds beside the copy: cargo
/// tells two sources apart by their place in the workspace, which is the same.
fn models_command(house: &House<'_>, arguments: &str) -> Cmd {
    loom::cargo_test(house.folder, house.package, arguments)
        .env("CARGO_TARGET_DIR", target().join("mutate-build"))
}

/// The full names of all models, such as `span::remote::tests::loom_push`.
fn all_models(house: &House<'_>) -> Result<Vec<String>> {
    let text = models_command(house, "-q -- --list").output()?;
    let tests = text.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(tests.filter(|name| last(name).starts_with("loom_")).map(str::to_owned).collect())
}

fn last(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}

/// The models that belong to a file: in its own module, or in a module of
/// tests right below it. A build of models may mount the module nearer to the
/// root than it is at home, so the ends of the two paths are compared.
fn models_of<'a>(file: &str, models: &'a [String]) -> Vec<&'a str> {
    let home = file.trim_end_matches(".rs").replace('/', "::");
    let belongs = |model: &str| {
        let module = model.rsplit_once("::").map_or("", |(module, _)| module);
        let mounted = match module.rsplit_once("::") {
            Some((above, last)) if last.contains("test") || last.contains("loom") => above,
            _ => module,
        };
        !mounted.is_empty() && format!("::{home}").ends_with(&format!("::{mounted}"))
    };
    models.iter().map(String::as_str).filter(|model| belongs(model)).collect()
}

/// Builds the copy as it stands and asks its models, the `own` ones first.
fn fate(house: &House<'_>, own: &[&str], models: &[String]) -> Result<Fate> {
    if !models_command(house, "-q --no-run").succeeds() {
        return Ok(Fate::Broken);
    }
    let fate = ask(house, own)?;
    let others: Vec<&str> =
        models.iter().map(String::as_str).filter(|model| !own.contains(model)).collect();
    if fate != Fate::Survived || others.is_empty() {
        return Ok(fate);
    }
    ask(house, &others)
}

fn ask(house: &House<'_>, models: &[&str]) -> Result<Fate> {
    let line = format!("-q -- --exact {}", models.join(" "));
    let output = models_command(house, &line).limit(LIMIT_SECONDS).bare().output()?;
    // What `timeout` says when it had to end the command, politely or not.
    if matches!(output.status.code(), Some(124 | 137)) {
        return Ok(Fate::Hung);
    }
    if !output.status.success() {
        return Ok(Fate::Noticed);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let passed: usize = text.lines().map(passed_in).sum();
    if passed != models.len() {
        bail!("{} models were asked and {passed} answered", models.len());
    }
    Ok(Fate::Survived)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_knows_its_models() {
        let models =
            ["span::loom_a", "span::tests::loom_b", "remote::tests::loom_c", "span::word::loom_d"];
        let models = models.map(str::to_owned);
        assert_eq!(models_of("span.rs", &models), ["span::loom_a", "span::tests::loom_b"]);
        assert_eq!(models_of("span/remote.rs", &models), ["remote::tests::loom_c"]);
        assert_eq!(models_of("span/word.rs", &models), ["span::word::loom_d"]);
        assert!(models_of("pan.rs", &models).is_empty());
        assert!(models_of("lib.rs", &["loom_e".to_owned()]).is_empty(), "nobody's own");
    }

    const LIST: &str = "# Words.\n\nsync.rs | x.load([Ordering::Acquire]) | a hint only\n";

    #[test]
    fn a_survivor_needs_a_reason() {
        assert_eq!(Survivors::parse(LIST).unwrap().0.len(), 1);
        assert!(Survivors::parse("sync.rs | x\n").is_err());
        assert!(Survivors::parse("sync.rs | x | \n").is_err());
    }

    #[test]
    fn what_is_right_depends_on_the_list() {
        let mut list = Survivors::parse(LIST).unwrap();
        let mut right =
            |label: &str, fate: Fate| list.judge("sync.rs", &format!("x.{label}"), fate).0;
        assert!(right("store([Ordering::Release])", Fate::Noticed));
        assert!(right("store([Ordering::Release])", Fate::Hung));
        assert!(!right("store([Ordering::Release])", Fate::Survived));
        assert!(!right("store([Ordering::Release])", Fate::Broken));
        assert!(right("load([Ordering::Acquire])", Fate::Survived));
        assert!(!right("load([Ordering::Acquire])", Fate::Noticed));
    }

    #[test]
    fn a_stale_line_is_told() {
        let mut list = Survivors::parse(LIST).unwrap();
        assert_eq!(list.not_met("sync").count(), 1);
        assert_eq!(list.not_met("span").count(), 0, "not looked at");
        let _ = list.judge("sync.rs", "x.load([Ordering::Acquire])", Fate::Survived);
        assert_eq!(list.not_met("").count(), 0);
    }
}
