//! Wrappers that have nothing to do cost nothing: the machine code of a stack of
//! them is that of the bare allocator.
//!
//! The package `tests/zero-cost` has functions in pairs. It is compiled
//! optimized, to assembly; the instructions of each pair are compared. Labels
//! and directives are no instructions, and two names for one function are equal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const OPERATIONS: [&str; 4] = ["alloc", "zeroed", "dealloc", "realloc"];
const STACKS: [&str; 5] = ["there_and_back", "watched", "aligned", "small", "stack"];

/// Compiles the package and returns its assembly.
fn assembly() -> String {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zero-cost/Cargo.toml");
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("zero-cost");
    let cargo = env::var_os("CARGO").expect("tests are run by cargo");
    let status = Command::new(cargo)
        .args(["rustc", "--quiet", "--release", "--manifest-path"])
        .arg(package)
        .arg("--target-dir")
        .arg(&target)
        .args(["--", "--emit=asm"])
        // What this run of the tests is built with is not for that one.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the package does not compile");
    let files = fs::read_dir(target.join("release/deps")).expect("there is what was built");
    let files = files.map(|file| file.expect("it can be read").path());
    let mut assembly: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|it| it == "s")).collect();
    // Older ones lie beside it where the compiler has changed.
    assembly.sort_by_key(|path| path.metadata().and_then(|it| it.modified()).ok());
    fs::read_to_string(assembly.last().expect("assembly was asked for")).expect("it is text")
}

/// The instructions of each function, and the names that stand for others.
fn functions(assembly: &str) -> BTreeMap<String, Vec<String>> {
    let mut functions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut aliases = Vec::new();
    let mut name = String::new();
    for line in assembly.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        if let Some((alias, other)) = line.split_once(" = ") {
            aliases.push((alias.to_owned(), other.to_owned()));
        } else if let Some(label) = line.strip_suffix(':') {
            if !label.starts_with(".L") {
                label.clone_into(&mut name);
            }
        } else if !line.is_empty() && !line.starts_with('.') {
            functions.entry(name.clone()).or_default().push(line.to_owned());
        }
    }
    for (alias, other) in aliases {
        if let Some(instructions) = functions.get(&other).cloned() {
            functions.insert(alias, instructions);
        }
    }
    functions
}

#[test]
fn wrappers_that_do_nothing_are_not_there() {
    let functions = functions(&assembly());
    let mut faults = Vec::new();
    for operation in OPERATIONS {
        let bare = &functions[&format!("bare_{operation}")];
        assert!((1..20).contains(&bare.len()), "the bare allocator is a call: {bare:#?}");
        for stack in STACKS {
            let wrapped = &functions[&format!("{stack}_{operation}")];
            if wrapped != bare {
                faults.push(format!("{stack}_{operation}: {wrapped:#?}\nbare: {bare:#?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn instructions_are_told_from_the_rest() {
    let text =
        "\t.globl\ta\na:\n\t.cfi_startproc\n\tmovl\t$1, %eax # why\n.LBB0_1:\n\tretq\nb = a\n";
    let functions = functions(text);
    assert_eq!(functions["a"], ["movl\t$1, %eax", "retq"]);
    assert_eq!(functions["b"], functions["a"]);
}
