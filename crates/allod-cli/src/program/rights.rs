//! Does a program gain rights when it is started?
//!
//! The kernel then marks the new process as one that does not trust its caller,
//! and the loader ignores `LD_PRELOAD` in it. Nothing is gained, and nothing is
//! marked, when the rights are those that we have already, on a file system that
//! is mounted `nosuid`, or under "no new privileges".

#![expect(unsafe_code, reason = "reads an extended attribute")]

use std::ffi::CString;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::{prctl, statvfs};
use nix::unistd::{getgid, getuid};

/// The rights that the program would gain, if any, in words.
pub(super) fn gained(path: &Path, metadata: &Metadata) -> Option<&'static str> {
    let nosuid = |stat: statvfs::Statvfs| stat.flags().contains(statvfs::FsFlags::ST_NOSUID);
    if prctl::get_no_new_privs() == Ok(true) || statvfs::statvfs(path).is_ok_and(nosuid) {
        return None;
    }
    let has = |bits: libc::mode_t| metadata.mode() & bits == bits;
    if has(libc::S_ISUID) && metadata.uid() != getuid().as_raw() {
        return Some("runs with its owner's rights (set-user-ID)");
    }
    // Without the group's execute bit, set-group-ID means something else.
    if has(libc::S_ISGID | libc::S_IXGRP) && metadata.gid() != getgid().as_raw() {
        return Some("runs with its group's rights (set-group-ID)");
    }
    // Root has all capabilities already, so it gains none.
    (!getuid().is_root() && has_capabilities(path)).then_some("gains capabilities from its file")
}

fn has_capabilities(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    let name = c"security.capability";
    // SAFETY: both names end with a zero. With no room for the value the call
    // writes nothing, and answers its length.
    let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) };
    length > 0
}
