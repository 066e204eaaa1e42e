//! What the library does by itself when a process starts and ends.
//!
//! A process tells on the shared page that it is there, under which name, and
//! that it has ended in order. So the page shows whether the constructor ran
//! with everything that it needs (it runs before the C library's own), and
//! whether the last handler ran.

use crate::library::library;
use allod::page::{ENV, HEADER_SIZE, Header, MAGIC, NAME_SIZE, SLOT_SIZE, Slot};
use allod_checks::child::{self, End};
use std::ffi::OsStr;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A page for a few processes, in a file that goes away with the value.
struct Page(PathBuf);

impl Page {
    fn new(name: &str) -> Page {
        const SLOTS: u32 = 8;
        let mut bytes = vec![0; HEADER_SIZE + SLOTS as usize * SLOT_SIZE];
        let magic = offset_of!(Header, magic);
        bytes[magic..magic + 8].copy_from_slice(&MAGIC.to_ne_bytes());
        let slots = offset_of!(Header, slots);
        bytes[slots..slots + 4].copy_from_slice(&SLOTS.to_ne_bytes());
        let path = std::env::temp_dir().join(format!("allod-page-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).expect("a page");
        Page(path)
    }

    /// Runs a program that reports to this page.
    fn run(&self, command: &mut Command) -> End {
        command.env(ENV, &self.0).env("LD_PRELOAD", library());
        child::run(command, Duration::from_secs(60)).expect("the program starts").end
    }

    fn number(&self, slot: usize, field: usize) -> u32 {
        let bytes = std::fs::read(&self.0).expect("the page");
        let at = HEADER_SIZE + slot * SLOT_SIZE + field;
        u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
    }

    fn taken(&self) -> u32 {
        let bytes = std::fs::read(&self.0).expect("the page");
        let at = offset_of!(Header, taken);
        u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
    }

    fn name(&self, slot: usize) -> String {
        let bytes = std::fs::read(&self.0).expect("the page");
        let at = HEADER_SIZE + slot * SLOT_SIZE + offset_of!(Slot, name);
        let name = &bytes[at..at + NAME_SIZE];
        String::from_utf8_lossy(name.split(|byte| *byte == 0).next().unwrap_or(name)).into_owned()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_program_that_does_nothing_is_seen_from_start_to_end() {
    let page = Page::new("true");
    assert_eq!(page.run(&mut Command::new("/bin/true")), End::Exit(0));
    assert_eq!(page.taken(), 1, "slots taken");
    assert_ne!(page.number(0, offset_of!(Slot, pid)), 0, "the process id");
    assert_eq!(page.number(0, offset_of!(Slot, face)), 1, "the face is liballod.so");
    assert_eq!(page.name(0), "true");
    assert_eq!(page.number(0, offset_of!(Slot, ended)), 1, "ended in order");
}

#[test]
fn a_program_that_is_killed_has_not_ended() {
    let page = Page::new("killed");
    let end = page.run(Command::new("/bin/sh").args(["-c", "kill -9 $$"]));
    assert_eq!(end, End::Signal(libc::SIGKILL));
    assert_eq!(page.name(0), "sh");
    assert_eq!(page.number(0, offset_of!(Slot, ended)), 0, "ended in order");
}

/// A forked child and a program that replaces another each have a slot.
#[test]
fn a_child_has_a_slot_of_its_own() {
    let page = Page::new("child");
    let end = page.run(Command::new("/bin/sh").args(["-c", "( : ); exec /bin/true"]));
    assert_eq!(end, End::Exit(0));
    let names: Vec<_> = (0..page.taken() as usize).map(|slot| page.name(slot)).collect();
    assert_eq!(names, ["sh", "sh", "true"]);
}

/// Libraries free in their destructors, before and after each other. Whatever
/// their order, the last look comes after all of them.
#[test]
fn a_crime_in_another_librarys_destructor_is_seen() {
    let programs = Path::new(env!("CARGO_BIN_EXE_probe")).parent().expect("a directory");
    let plugin = programs.join("examples/libplugin.so");
    assert!(plugin.exists(), "cargo test builds {}", plugin.display());
    for order in [[library(), &plugin], [&plugin, library()]] {
        let list = order.map(Path::as_os_str).join(OsStr::new(":"));
        let mut command = Command::new("/bin/true");
        command.env("LD_PRELOAD", &list).env("PLUGIN_CRIME", "1");
        let output = child::run(&mut command, Duration::from_secs(60)).expect("it starts");
        assert_eq!(output.end, End::Signal(libc::SIGABRT), "{list:?}: {}", output.stderr);
        assert!(output.stderr.contains("invalid free"), "{list:?}: {}", output.stderr);
    }
}

/// Options are read before `main`, though the C library has no environment yet.
#[test]
fn options_are_read_in_the_constructor() {
    let mut command = Command::new("/bin/true");
    command.env("LD_PRELOAD", library()).env("ALLOD_CONF", "no_such_option:1");
    let output = child::run(&mut command, Duration::from_secs(60)).expect("the program starts");
    assert_eq!(output.end, End::Exit(0));
    assert!(output.stderr.contains("no_such_option"), "said {:?}", output.stderr);
}
