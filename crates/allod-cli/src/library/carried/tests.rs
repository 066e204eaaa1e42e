//! Tests of the carried library's file, with bytes that are no library.

use super::*;

/// An empty directory of the test's own, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("allod-carried-{}-{name}", process::id()));
        DirBuilder::new().mode(0o700).create(&path).expect("a directory of our own");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_is_written_once_and_used_again() {
    let directory = Directory::new("again");
    let cache = directory.0.join("deep/allod");
    let path = put_in(&cache, "l.so", b"library").expect("it is put in place");
    let first = fs::metadata(&path).expect("it is there");
    assert_eq!(first.mode() & 0o777, 0o755);
    assert_eq!(fs::metadata(&cache).expect("it is there").mode() & 0o777, 0o700);

    assert_eq!(put_in(&cache, "l.so", b"library").expect("it is there already"), path);
    let second = fs::metadata(&path).expect("it is there");
    assert_eq!(first.ino(), second.ino(), "the same file is used again");
    let left = fs::read_dir(&cache).expect("a directory").count();
    assert_eq!(left, 1, "no draft is left behind");
}

#[test]
fn what_is_not_as_it_should_be_is_replaced() {
    let directory = Directory::new("replaced");
    let cache = directory.0.join("allod");
    let path = put_in(&cache, "l.so", b"library").expect("it is put in place");

    fs::write(&path, b"librarx").expect("we may write our own file");
    assert!(!holds(&path, b"library"), "other bytes of the same length");
    put_in(&cache, "l.so", b"library").expect("it is put in place again");
    assert_eq!(fs::read(&path).expect("it is there"), b"library");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("we own it");
    assert!(!holds(&path, b"library"), "others could have written it");

    fs::rename(&path, cache.join("elsewhere")).expect("we own it");
    std::os::unix::fs::symlink(cache.join("elsewhere"), &path).expect("a link");
    assert!(!holds(&path, b"library"), "a link is no file");
    put_in(&cache, "l.so", b"library").expect("it is put in place again");
    assert!(fs::symlink_metadata(&path).expect("it is there").is_file());
}

#[test]
fn a_directory_that_others_write_is_not_used() {
    let directory = Directory::new("open");
    fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o777)).expect("we own it");
    assert!(put_in(&directory.0, "l.so", b"library").is_err());
}

#[test]
fn the_last_resort_is_a_file_in_memory() {
    let place = put_in_memory(b"library").expect("a file in memory");
    assert!(place.in_memory.is_some());
    assert_eq!(fs::read(&place.path).expect("it has a name"), b"library");
    let write = OpenOptions::new().write(true).open(&place.path);
    let written = write.and_then(|mut file| file.write_all(b"x"));
    assert!(written.is_err(), "it is sealed");
}
