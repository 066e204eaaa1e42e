//! Settings, names, and which of several dumps is taken.

use super::*;

#[test]
fn what_the_caller_says_wins() {
    let settings = |conf: &str, interval| settings(OsStr::new(conf), interval);
    assert_eq!(settings("", None), "profile:65536,profile_dump:exit+oom");
    assert_eq!(
        settings("guard_pages:off,profile:off", None),
        "profile:65536,profile_dump:exit+oom,guard_pages:off,profile:off"
    );
    assert_eq!(settings("", Some(4096)), "profile:4096,profile_dump:exit+oom");
    assert_eq!(
        settings("profile:off", Some(4096)),
        "profile:4096,profile_dump:exit+oom,profile:off,profile:4096"
    );
}

#[test]
fn intervals_have_units() {
    assert_eq!(interval("4096"), Ok(4096));
    assert_eq!(interval("64K"), Ok(65536));
    assert_eq!(interval("1MiB"), Ok(1 << 20));
    for text in ["", "0", "K", "-1", "1.5M", "64kB", "99999999999999999999", "99999999999G"] {
        assert!(interval(text).is_err(), "{text}");
    }
}

#[test]
fn profiles_are_named_after_the_program() {
    let profile = Profile { program: "/usr/bin/server".into(), pid: 42, ..Profile::default() };
    let path = |given: Option<&str>| Target::new(given.map(Path::new)).path(&profile);
    assert_eq!(path(None), Path::new("allod-server.42.pb.gz"));
    assert_eq!(path(Some("/")), Path::new("/allod-server.42.pb.gz"));
    assert_eq!(path(Some("not-there/")), Path::new("not-there/allod-server.42.pb.gz"));
    assert_eq!(path(Some("some.pb.gz")), Path::new("some.pb.gz"));
}

/// A dump with nothing but a header.
fn dump(pid: u32) -> Vec<u8> {
    let mut bytes = MAGIC.to_ne_bytes().to_vec();
    bytes.extend(1_u32.to_ne_bytes());
    bytes.extend(pid.to_ne_bytes());
    bytes.resize(allod::dump::HEADER_SIZE, 0);
    bytes
}

#[test]
fn the_last_dump_of_each_process_is_taken() {
    let dumps = Dumps::make(None).expect("a directory");
    let place = dumps.place.clone();
    let put = |name: &str, bytes: &[u8]| fs::write(place.join(name), bytes).expect("a file");
    put("allod-sh.7.heap", &dump(7));
    put("allod-sh.7.2.heap", &dump(7));
    put("allod-sh.8.heap", &dump(8));
    put("allod-sh.9.heap", b"something else, of another program");
    put("allod-sh.10.txt", &dump(10));
    // Written at the same moment, as far as the clock can tell.
    for name in ["allod-sh.7.heap", "allod-sh.7.2.heap"] {
        let file = File::options().append(true).open(place.join(name)).expect("a file");
        file.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
    }
    let mut found = dumps.found();
    found.sort();
    let wanted = [(7, place.join("allod-sh.7.2.heap")), (8, place.join("allod-sh.8.heap"))];
    assert_eq!(found, wanted);

    let target = Target::Directory(place.clone());
    let left = dumps.leave(7, false, &target);
    let (path, profile) = left.program.expect("a profile");
    assert_eq!((profile.pid, left.children.len(), left.faults.len()), (7, 0, 0));
    assert_eq!(path, place.join("allod-program.7.pb.gz"));
    assert_eq!(profile_of(&path).expect("a profile").pid, 7);
    let left = dumps.leave(7, true, &target);
    assert_eq!(left.children, [place.join("allod-program.8.pb.gz")]);
    let left = dumps.leave(7, false, &Target::Directory(place.join("not-there")));
    assert!(left.program.is_none() && left.faults[0].contains("No such file"), "{left:?}");
    drop(dumps);
    assert!(!place.exists(), "it is removed with all that is in it");
}
