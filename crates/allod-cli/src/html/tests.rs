//! Tests of the file's form. What it does in a browser is tested by `cargo xtask pages`.

use super::*;
use crate::synthetic;
use allod_profile::export::{self, Format, Value, frame_name};
use allod_profile::model::Site;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;

#[test]
fn nothing_in_a_name_gets_out_of_the_data() {
    let mut profile = synthetic::server();
    profile.frames[0].function = "</script><script>alert(1)</script>@SCRIPT@".into();
    let text = print(&profile, None);
    assert!(!text.contains("</script><script>alert"));
    assert!(text.contains(r"\u003c/script>"));
    assert_eq!(text.matches("function flameGraph()").count(), 1);
}

#[test]
fn the_file_needs_no_network() {
    let text = SKELETON.to_owned() + STYLE + &SCRIPT.concat();
    for word in ["https://", "http://", "@import", "url(/", "fetch(", "XMLHttpRequest", "import("] {
        let known = ["http://www.w3.org/2000/svg"];
        let found = text.matches(word).count();
        let allowed: usize = known.iter().map(|known| known.matches(word).count()).sum();
        assert!(found <= allowed, "{word} is in it");
    }
    assert!(text.contains("default-src 'none'"));
}

#[test]
fn every_section_has_its_sentence() {
    for part in SKELETON.lines().filter(|line| line.contains("<section")) {
        let id = part.split("id=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
        let is_drawn = SCRIPT.iter().any(|script| {
            script.contains(&format!("card(\"{id}\"")) || script.contains(&format!("by(\"{id}\")"))
        });
        assert!(is_drawn, "{id}");
    }
}

/// The files that the test in a browser opens. It names a directory.
#[test]
fn the_files_for_the_browser() {
    let Some(directory) = env::var_os("ALLOD_TEST_REPORTS") else {
        assert!(print(&synthetic::nothing(), None).len() > SKELETON.len());
        return;
    };
    let directory = Path::new(&directory);
    let mut hostile = synthetic::server();
    hostile.frames[6].function = "<img src=x onerror=alert(1)>".into();
    hostile.sites.iter_mut().for_each(|site| site.rust_type.clear());
    for (name, text) in [
        ("server.html", print(&synthetic::server(), None)),
        ("changed.html", print(&synthetic::server_later(), Some(&synthetic::server()))),
        ("nothing.html", print(&synthetic::nothing(), None)),
        ("hostile.html", print(&hostile, None)),
    ] {
        fs::write(directory.join(name), text).expect("a file for the browser");
    }
}

/// The files that other programs read, and what they have to find in them.
#[test]
fn the_files_for_other_readers() {
    let profile = synthetic::server();
    let total = |value: Value| -> f64 {
        profile.sites.iter().map(|site| value.of(site).bytes.round()).sum()
    };
    let names = |site: &Site| -> Vec<String> {
        site.stack.iter().map(|&frame| frame_name(&profile, &profile.frames[frame])).collect()
    };
    // The function that its innermost call is inlined into.
    let outer = |site: &Site| {
        let at = site.stack.iter().position(|&frame| !profile.frames[frame].inlined);
        names(site).remove(at.expect("a stack ends in a function"))
    };
    // What is live at the end: the first value of all, and what speedscope opens with.
    let live = || profile.sites.iter().filter(|site| site.live.bytes >= 1.0);
    let wanted = serde_json::json!({
        "totals": {
            "alloc_space": total(Value::Allocated),
            "inuse_space": total(Value::Live),
            "peak_space": total(Value::Peak),
            "short_space": total(Value::Short),
        },
        "sites": profile.sites.len(),
        "stacks": profile.sites.iter().map(|site| names(site).join(";")).collect::<Vec<_>>(),
        "leaves": live().map(|site| names(site).remove(0)).collect::<BTreeSet<_>>(),
        "outer_leaves": live().map(outer).collect::<BTreeSet<_>>(),
        "modules": profile.modules.iter().map(|module| &module.path).collect::<Vec<_>>(),
    });
    assert!(live().count() > 3 && total(Value::Live) > 0.0);
    let Some(directory) = env::var_os("ALLOD_TEST_REPORTS") else { return };
    let directory = Path::new(&directory);
    fs::write(directory.join("wanted.json"), wanted.to_string()).expect("what is wanted");
    for (name, format) in
        [("server.pb.gz", Format::Pprof), ("server.speedscope.json", Format::Speedscope)]
    {
        let mut bytes = Vec::new();
        export::write(&profile, format, Value::Live, &mut bytes).expect("an export");
        fs::write(directory.join(name), bytes).expect("a file for other readers");
    }
}
