//! The witnesses must be able to say no.

use super::*;

/// A probe file with one line for process 7.
fn probe(directory: &Path, origins: &str) -> PathBuf {
    let file = directory.join("probe");
    fs::write(&file, format!("7\t/usr/bin/x\t{origins}\n")).unwrap();
    file
}

#[test]
fn the_probe_accepts_the_right_object_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("liballod.so");
    fs::write(&library, "").unwrap();
    let right = format!("malloc={0}\tfree={0}", library.display());
    let file = probe(directory.path(), &right);
    assert_eq!(check_probe(&file, &[7], Expected::Library(&library)).unwrap(), [7]);
    assert!(check_probe(&file, &[7], Expected::Glibc).is_err(), "not glibc");
    assert!(check_probe(&file, &[8], Expected::Library(&library)).is_err(), "8 is not there");

    let mixed = format!("malloc={}\tfree=/lib/libc.so.6", library.display());
    let file = probe(directory.path(), &mixed);
    assert!(check_probe(&file, &[7], Expected::Library(&library)).is_err(), "free is glibc's");

    let file = probe(directory.path(), "malloc=/lib/libc.so.6\tfree=/lib/libc.so.6");
    assert!(check_probe(&file, &[7], Expected::Glibc).is_ok());
    let nowhere = directory.path().join("nowhere");
    assert!(check_probe(&nowhere, &[], Expected::Glibc).is_err(), "no file, no proof");
}

#[test]
fn the_page_wants_a_slot_a_face_and_allocations() {
    let directory = tempfile::tempdir().unwrap();
    let page = Page::create(directory.path().join("page")).unwrap();
    assert!(page.check(&[7], &[7], 1).is_err(), "nobody came");

    let mut bytes = fs::read(&page.path).unwrap();
    put(&mut bytes, offset_of!(Header, taken), &1u32.to_ne_bytes());
    put(&mut bytes, HEADER_SIZE + offset_of!(Slot, pid), &7u32.to_ne_bytes());
    put(&mut bytes, HEADER_SIZE + offset_of!(Slot, face), &1u32.to_ne_bytes());
    fs::write(&page.path, &bytes).unwrap();
    assert!(page.check(&[], &[7], 1).is_ok());
    assert!(page.check(&[7], &[7], 1).is_err(), "no allocations");

    put(&mut bytes, HEADER_SIZE + offset_of!(Slot, allocations), &5u64.to_ne_bytes());
    fs::write(&page.path, &bytes).unwrap();
    assert!(page.check(&[7], &[7], 1).is_ok());
    assert!(page.check(&[7], &[7], 2).is_err(), "the wrong face");
    assert!(page.check(&[7], &[7, 9], 1).is_err(), "9 has no slot");
}
