//! Tests of the page: both kinds of file, and what a reader sees in them.

use super::*;
use std::mem::offset_of;
use std::os::unix::fs::MetadataExt;

/// Writes as a process would, through the name.
fn other_side(page: &Page) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).open(page.name()).expect("the page opens by its name")
}

fn put(file: &File, bytes: &[u8], at: usize) {
    file.write_all_at(bytes, at as u64).expect("the page can be written");
}

fn check(page: &Page) {
    assert_eq!(page.slots().count(), 0);
    assert_eq!(page.turned_away(), 0);

    let file = other_side(page);
    let mut magic = [0; 8];
    file.read_exact_at(&mut magic, 0).expect("the page can be read");
    assert_eq!(&magic, b"allodpg1");
    assert_eq!(file.metadata().expect("it is there").len(), SIZE as u64);

    put(&file, &2_u32.to_ne_bytes(), offset_of!(Header, taken));
    let second = HEADER_SIZE + SLOT_SIZE;
    put(&file, &77_u32.to_ne_bytes(), second + offset_of!(Slot, pid));
    put(&file, &4321_u64.to_ne_bytes(), second + offset_of!(Slot, live));

    let slots: Vec<&Slot> = page.slots().collect();
    assert_eq!(slots.len(), 2);
    assert_eq!(slots[0].pid.load(Ordering::Relaxed), 0);
    assert_eq!(slots[1].pid.load(Ordering::Relaxed), 77);
    assert_eq!(slots[1].live.load(Ordering::Relaxed), 4321);

    // More came than there was room for.
    put(&file, &(SLOTS + 5).to_ne_bytes(), offset_of!(Header, taken));
    assert_eq!(page.slots().count(), SLOTS as usize);
    assert_eq!(page.turned_away(), 5);
}

#[test]
fn a_page_in_memory() {
    let page = Page::in_memory().expect("a page in memory");
    check(&page);
    let cut = other_side(&page).set_len(0);
    assert!(cut.is_err(), "a child must not be able to cut the page short");
}

#[test]
fn a_page_in_a_directory() {
    let directory = env::temp_dir();
    let page = Page::in_directory(&directory).expect("a page in a directory");
    check(&page);
    let name = page.name().to_owned();
    assert_eq!(fs::metadata(&name).expect("it is there").mode() & 0o777, 0o600);

    let beside = Page::in_directory(&directory).expect("a second one beside it");
    assert_ne!(beside.name(), name);
    drop(page);
    assert!(!name.exists(), "it is removed at the end");
}
