//! Why the kernel does not let us read the memory of a process, in words.
//!
//! It only says that it does not. What it goes by can be read, for most processes by
//! everybody: whose the process is, what it may do beyond its user, and how the kernel
//! is set up. The rules are those of `ptrace(2)`, in their order there.

use std::fs;

/// The lines of `/proc/PID/status` that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rights {
    user: u32,
    /// What it is permitted beyond its user, a bit each.
    capabilities: u64,
}

/// The one that lets a process look at any other.
const SYS_PTRACE: u64 = 1 << 19;

/// What stands in the way of reading process `pid`.
pub(super) fn why(pid: u32) -> String {
    let rights = |who: &str| {
        fs::read_to_string(format!("/proc/{who}/status")).ok().map(|text| rights(&text))
    };
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match (rights(&pid.to_string()), rights("self")) {
        (Some(theirs), Some(ours)) => reason(theirs, ours, scope.trim()),
        _ => "this system hides it from us".to_owned(),
    }
}

fn rights(status: &str) -> Rights {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next().map(str::to_owned))
    };
    let capabilities = field("CapPrm:").and_then(|word| u64::from_str_radix(&word, 16).ok());
    Rights {
        user: field("Uid:").and_then(|word| word.parse().ok()).unwrap_or_default(),
        capabilities: capabilities.unwrap_or_default(),
    }
}

fn reason(theirs: Rights, ours: Rights, scope: &str) -> String {
    let may_all = ours.capabilities & SYS_PTRACE != 0;
    if theirs.user != ours.user && !may_all {
        return format!("it belongs to user {}; ask as that user, or as root", theirs.user);
    }
    if theirs.capabilities & !ours.capabilities != 0 && !may_all {
        return "it may do more than you may: ask as root".to_owned();
    }
    match scope {
        "1" if !may_all => {
            "/proc/sys/kernel/yama/ptrace_scope is 1, so only what has started a process may read \
             it: ask as root, or have 0 written there"
        }
        "2" if !may_all => "/proc/sys/kernel/yama/ptrace_scope is 2: ask as root",
        "3" => "/proc/sys/kernel/yama/ptrace_scope is 3, which forbids it to everybody",
        _ if theirs.capabilities & !ours.capabilities != 0 => {
            "it has more rights than this root has: one of a container can't read processes of \
             the system around it"
        }
        _ if !may_all => {
            "it does not let itself be looked at: it has had the rights of another user, or has \
             asked for that (PR_SET_DUMPABLE); ask as root"
        }
        _ => "something beyond the kernel's usual rules forbids it, such as a security module",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read() {
        let text = "Name:\tx\nUid:\t1000\t0\t0\t0\nCapInh:\t1\nCapPrm:\t0000000000080001\n";
        assert_eq!(rights(text), Rights { user: 1000, capabilities: SYS_PTRACE | 1 });
        assert_eq!(rights(""), Rights::default());
    }

    #[test]
    fn what_stands_in_the_way_is_said() {
        let user = |user| Rights { user, capabilities: 0 };
        let root = Rights { user: 0, capabilities: SYS_PTRACE | 1 };
        let more = Rights { user: 0, capabilities: SYS_PTRACE | 3 };
        for (theirs, ours, scope, word) in [
            (user(7), user(8), "0", "user 7"),
            (Rights { user: 8, capabilities: 1 }, user(8), "0", "more than you may"),
            (user(8), user(8), "1", "ptrace_scope is 1"),
            (user(8), user(8), "2", "ptrace_scope is 2"),
            (user(8), user(8), "", "PR_SET_DUMPABLE"),
            (user(8), root, "3", "forbids it to everybody"),
            (more, root, "", "container"),
            (user(8), root, "1", "security module"),
        ] {
            let said = reason(theirs, ours, scope);
            assert!(said.contains(word), "{word}: {said}");
        }
    }
}
