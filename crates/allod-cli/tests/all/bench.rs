//! `allod bench`: what it says of allocators, of loads, and of programs that fail.

use serde_json::Value;

use crate::support::allod;

fn text(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = allod().args(arguments).output().expect("the command starts");
    let utf8 = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), utf8(output.stdout), utf8(output.stderr))
}

const SHORT: [&str; 8] = ["bench", "--quick", "--rounds", "1", "--warm", "0", "--with", "system"];

#[test]
fn a_load_is_run_under_each_and_every_run_is_told() {
    let mut arguments = SHORT.to_vec();
    arguments.extend(["--json", "trees"]);
    let (code, out, _) = text(&arguments);
    assert_eq!(code, Some(0));
    let report: Value = serde_json::from_str(&out).expect("JSON");
    let cells = report["rows"][0]["cells"].as_array().expect("cells");
    let names: Vec<_> = cells.iter().map(|cell| cell["allocator"].as_str()).collect();
    assert_eq!(names, [Some("allod"), Some("system")]);
    assert!(cells[0]["library"].as_str().is_some_and(|path| path.contains("liballod")));
    for cell in cells {
        assert_eq!(cell["failures"].as_array().map(Vec::len), Some(0), "{cell}");
        assert_eq!(cell["runs"].as_array().map(Vec::len), Some(1), "{cell}");
        assert!(cell["runs"][0]["peak_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20));
    }
}

#[test]
fn a_program_has_a_row_and_its_failure_a_line() {
    let mut arguments = SHORT.to_vec();
    arguments.extend(["--", "sh", "-c", "exit 3"]);
    let (code, out, _) = text(&arguments);
    assert_eq!(code, Some(1));
    assert!(out.contains("sh under allod: exit code 3"), "{out}");
    assert!(out.contains("sh under system: exit code 3"), "{out}");
    arguments.truncate(SHORT.len());
    arguments.extend(["--", "sort", "/dev/null"]);
    let (code, out, _) = text(&arguments);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.lines().any(|line| line.starts_with("sort ") && line.contains("MiB")), "{out}");
}

#[test]
fn what_is_not_there_is_said() {
    let (code, _, errors) = text(&["bench", "--with", "nothing", "trees"]);
    assert_eq!(code, Some(125));
    assert!(errors.contains("no allocator \"nothing\"") && errors.contains("jemalloc"), "{errors}");
    let (code, _, errors) = text(&["bench", "no-such-load"]);
    assert_eq!(code, Some(125));
    assert!(errors.contains("allod bench --list"), "{errors}");
    let (code, out, _) = text(&["bench", "--list"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("larson") && out.contains("the C library's own"), "{out}");
}
