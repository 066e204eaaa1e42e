//! Tests of the file's form. What it does in a browser is tested by `cargo xtask pages`.

use super::*;
use crate::synthetic;
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
