//! Tests of the JSON: the README names every field, and no other.

use super::*;
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::launch::{Outcome, Usage};
use crate::library::Origin;
use crate::program::Elf;
use crate::report::Profiled;
use crate::synthetic;
use crate::units::{Bytes, Count};

fn example() -> Value {
    let command = std::fs::File::open("/proc/self/exe").expect("our own file");
    let machine = Elf::read(&command).expect("an ELF file").machine;
    let image = Image {
        name: "server".into(),
        faces: vec![Face::Library, Face::Inside],
        ended: true,
        page_size: Bytes(4096),
        figures: Figures { live: Bytes(1 << 60), resident: Bytes(7), ..Figures::default() },
    };
    let report = Report {
        command: vec!["server".into()],
        outcome: Outcome {
            looked: None,
            pid: 4242,
            status: ExitStatus::from_raw(9),
            wall: Duration::from_nanos(123),
            usage: Usage {
                max_resident: Bytes(1),
                minor_faults: Count(2),
                major_faults: Count(3),
                user: Duration::from_nanos(4),
                system: Duration::from_nanos(5),
            },
        },
        processes: vec![Process { pid: 4242, parent: 1, images: vec![image] }],
        turned_away: 0,
        unfilled: 0,
        profile: Some(Profiled {
            profile: synthetic::server(),
            path: Some("allod-server.4242.pb.gz".into()),
            leaks: false,
        }),
        remarks: Vec::new(),
    };
    let text = print(&report, &Library::for_tests(Origin::Carried, machine));
    assert_eq!(text.matches('\n').count(), 1, "one object, one line");
    text.parse().expect("it is JSON")
}

/// The names of all values, as the README writes them.
fn names(value: &Value, name: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let dot = if name.is_empty() { "" } else { "." };
                names(value, &format!("{name}{dot}{field}"), found);
            }
        }
        Value::Array(values) => {
            values.iter().for_each(|value| names(value, &format!("{name}[]"), found));
        }
        _ => _ = found.insert(name.to_owned()),
    }
}

#[test]
fn the_readme_names_every_field() {
    let mut printed = BTreeSet::new();
    names(&example(), "", &mut printed);
    let readme = include_str!("../../README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let told: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(printed, told);
}

#[test]
fn numbers_are_plain() {
    let example = example();
    assert_eq!(example["outcome"]["signal"], 9);
    assert_eq!(example["outcome"]["exit_code"], Value::Null);
    assert_eq!(example["wall_ns"], 123);
    let image = &example["processes"][0]["images"][0];
    assert_eq!(image["live_bytes"], 1_u64 << 60);
    assert_eq!(image["faces"], json!(["library", "inside"]));
    let made = &image["resident_is"];
    assert_eq!(made["not_resident_bytes"], (1_u64 << 60) - 7);
}
