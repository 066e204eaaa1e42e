//! Programs as Debian ships them, with something to do that takes a while.
//!
//! They are called by absolute path, so that another version which comes first
//! in somebody's PATH is not tested in their place. Scripts lie in
//! `bench/inputs` and take their amount as an argument.

use std::fs;

use anyhow::Result;

use super::python::PYTHON;
use crate::inputs;
use crate::job::{Job, Need, Place, USUAL};
use crate::plan::{Plan, Step};

/// The rows.
pub(super) const JOBS: &[Job] = &[
    Job {
        name: "python",
        about: "objects, strings, JSON and sorting, all objects from malloc",
        needs: &[Need { file: PYTHON, package: "python3.11" }],
        sizes: (1, 2),
        prepare: |place| script(place, "churn.py", include_str!("../../inputs/churn.py")),
        plan: |place| {
            let argv = [PYTHON, &place.argument("churn.py"), &place.size.to_string()];
            let step = Step::subject(argv);
            Plan::of([step.env("PYTHONMALLOC", "malloc").env("PYTHONHASHSEED", "0")])
        },
        ..USUAL
    },
    Job {
        name: "arrays",
        about: "numpy: filters, sorts and grids, each step an array of its own",
        needs: &[
            Need { file: PYTHON, package: "python3.11" },
            Need {
                file: "/usr/lib/python3/dist-packages/numpy/__init__.py",
                package: "python3-numpy",
            },
        ],
        sizes: (1, 4),
        prepare: |place| script(place, "arrays.py", include_str!("../../inputs/arrays.py")),
        plan: |place| {
            let argv = [PYTHON, &place.argument("arrays.py"), &place.size.to_string()];
            Plan::of([Step::subject(argv).env("PYTHONHASHSEED", "0")])
        },
        ..USUAL
    },
    Job {
        name: "perl",
        about: "hashes, strings and substitutions",
        needs: &[Need { file: "/usr/bin/perl", package: "perl" }],
        sizes: (1, 3),
        prepare: |place| script(place, "churn.pl", include_str!("../../inputs/churn.pl")),
        plan: |place| {
            let argv = ["/usr/bin/perl", &place.argument("churn.pl"), &place.size.to_string()];
            Plan::of([Step::subject(argv).env("PERL_HASH_SEED", "0")])
        },
        ..USUAL
    },
    Job {
        name: "lua",
        about: "tables, trees and strings",
        needs: &[Need { file: "/usr/bin/lua5.4", package: "lua5.4" }],
        sizes: (1, 4),
        prepare: |place| script(place, "churn.lua", include_str!("../../inputs/churn.lua")),
        plan: |place| {
            let argv = ["/usr/bin/lua5.4", &place.argument("churn.lua"), &place.size.to_string()];
            Plan::of([Step::subject(argv)])
        },
        ..USUAL
    },
    Job {
        name: "node",
        about: "buffers, compression, JSON and worker threads",
        needs: &[Need { file: "/usr/bin/node", package: "nodejs" }],
        sizes: (1, 12),
        prepare: |place| script(place, "churn.js", include_str!("../../inputs/churn.js")),
        plan: |place| {
            let argv = ["/usr/bin/node", &place.argument("churn.js"), &place.size.to_string()];
            Plan::of([Step::subject(argv)])
        },
        ..USUAL
    },
    Job {
        name: "java",
        about: "a compiler and a virtual machine in one process",
        needs: &[Need { file: "/usr/bin/javac", package: "default-jdk-headless" }],
        sizes: (1, 8),
        prepare: |place| script(place, "Churn.java", include_str!("../../inputs/Churn.java")),
        plan: |place| {
            let source = place.argument("Churn.java");
            let size = place.size.to_string();
            Plan::of([
                Step::subject(["/usr/bin/java", "-version"]),
                Step::subject(["/usr/bin/java", "-Xmx512m", &source, &size]),
            ])
        },
        ..USUAL
    },
    Job {
        name: "gcc",
        about: "g++ -O2 on a file that is all templates",
        needs: &[Need { file: "/usr/bin/g++", package: "g++" }],
        sizes: (1, 2),
        prepare: |place| script(place, "heavy.cpp", include_str!("../../inputs/heavy.cpp")),
        plan: |place| {
            let amount = format!("-DAMOUNT={}", place.size);
            let source = place.argument("heavy.cpp");
            let argv =
                ["/usr/bin/g++", "-std=c++17", "-O2", &amount, "-c", &source, "-o", "heavy.o"];
            Plan::of([Step::subject(argv)]).output("heavy.o")
        },
        ..USUAL
    },
    Job {
        name: "sqlite",
        about: "make, index, join, update and delete",
        needs: &[Need { file: "/usr/bin/sqlite3", package: "sqlite3" }],
        sizes: (60_000, 200_000),
        prepare: |place| {
            let text = include_str!("../../inputs/tables.sql");
            script(place, "tables.sql", &text.replace("AMOUNT", &place.size.to_string()))
        },
        plan: |place| {
            let argv = ["/usr/bin/sqlite3", "-batch", "tables.db"];
            Plan::of([Step::subject(argv).stdin(&place.input("tables.sql"))])
        },
        ..USUAL
    },
    Job {
        name: "redis",
        about: "a server under redis-benchmark, then a load whose end is known",
        needs: &[
            Need { file: "/usr/bin/redis-server", package: "redis-server" },
            Need { file: "/usr/bin/redis-benchmark", package: "redis-tools" },
        ],
        sizes: (20_000, 25_000),
        own_allocator: true,
        prepare: |place| inputs::redis(&place.input("commands"), place.size * 2),
        plan: redis,
        ..USUAL
    },
    Job {
        name: "git-gc",
        about: "pack a history, two threads",
        needs: &[Need { file: "/usr/bin/git", package: "git" }],
        sizes: (600, 1_500),
        prepare: |place| inputs::repository(&place.input("history"), place.size),
        plan: |place| {
            Plan::of([
                Step::client(["/bin/cp", "-r", &place.argument("history"), "history"]),
                // How it packs depends on which thread is first. What is packed does not.
                git(&["-c", "pack.threads=2", "gc", "--quiet", "--aggressive", "--prune=now"]),
                git(&["fsck", "--full", "--no-progress"]),
                git(&["cat-file", "--batch-all-objects", "--batch-check"]),
            ])
        },
        ..USUAL
    },
    Job {
        name: "git-log",
        about: "every commit with its patch and its renames",
        needs: &[Need { file: "/usr/bin/git", package: "git" }],
        sizes: (800, 4_000),
        prepare: |place| inputs::repository(&place.input("history"), place.size),
        plan: |place| {
            Plan::of([
                Step::client(["/bin/ln", "-s", &place.argument("history"), "history"]),
                git(&["log", "-p", "--stat", "-M", "-C"]),
                git(&["shortlog", "--summary", "HEAD"]),
            ])
        },
        ..USUAL
    },
    Job {
        name: "ghostscript",
        about: "text, curves and shading on many pages",
        needs: &[Need { file: "/usr/bin/gs", package: "ghostscript" }],
        sizes: (6, 40),
        prepare: |place| script(place, "pages.ps", include_str!("../../inputs/pages.ps")),
        plan: |place| {
            let pages = format!("-dAmount={}", place.size);
            let source = place.argument("pages.ps");
            let argv = [
                "/usr/bin/gs",
                "-q",
                "-dBATCH",
                "-dNOPAUSE",
                "-dSAFER",
                "-sDEVICE=ppmraw",
                "-r100",
                "-dTextAlphaBits=4",
                "-sOutputFile=pages.ppm",
                &pages,
                &source,
            ];
            Plan::of([Step::subject(argv)]).output("pages.ppm")
        },
        ..USUAL
    },
    Job {
        name: "sort",
        about: "shuffle a big file, and sort it with two threads",
        needs: &[Need { file: "/usr/bin/sort", package: "coreutils" }],
        sizes: (150_000, 400_000),
        prepare: |place| inputs::text(&place.input("text"), place.size),
        plan: |place| {
            let text = place.argument("text");
            let random = format!("--random-source={text}");
            let sort = "/usr/bin/sort";
            Plan::of([
                Step::subject([sort, "--parallel=2", "-k2", "-k1n", "-o", "sorted", &text]),
                Step::subject([sort, "-R", &random, "-o", "shuffled", &text]),
            ])
            .output("sorted")
            .output("shuffled")
        },
        ..USUAL
    },
    Job {
        name: "xz",
        about: "compress with two threads, and back",
        needs: &[Need { file: "/usr/bin/xz", package: "xz-utils" }],
        sizes: (50_000, 100_000),
        prepare: |place| inputs::text(&place.input("text"), place.size),
        plan: |place| {
            let xz = "/usr/bin/xz";
            let text = place.argument("text");
            Plan::of([
                Step::client(["/bin/cp", &text, "text"]),
                Step::subject([xz, "-T2", "-4", "--block-size=2MiB", "--keep", "text"]),
                Step::subject([xz, "-T2", "--decompress", "--keep", "--stdout", "text.xz"]),
            ])
            .output("text.xz")
        },
        ..USUAL
    },
    Job {
        name: "openssl",
        about: "digests, ciphers and keys for a second each",
        needs: &[Need { file: "/usr/bin/openssl", package: "openssl" }],
        measured: false,
        plan: |_| {
            let speed = ["/usr/bin/openssl", "speed", "-seconds", "1", "-bytes", "1024"];
            let what = ["sha256", "aes-128-cbc", "rsa2048", "ecdsap256"];
            Plan::of([Step::subject(speed.into_iter().chain(what))])
        },
        // All that it prints besides names is measured.
        scrub: &[(r"[0-9]+(\.[0-9]+)?k?", "N"), (" +", " ")],
        ..USUAL
    },
];

/// Puts a script of ours among the job's inputs.
fn script(place: &Place, name: &str, text: &str) -> Result<()> {
    Ok(fs::write(place.input(name), text)?)
}

/// git on the working copy `history`, without anybody's configuration.
fn git(arguments: &[&str]) -> Step {
    let argv = ["/usr/bin/git", "-C", "history"].iter().chain(arguments).copied();
    Step::subject(argv)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
}

/// The server listens on a socket in the working directory and nowhere else.
fn redis(place: &Place) -> Plan {
    const SOCKET: &str = "redis.sock";
    let requests = place.size.to_string();
    let server = [
        "/usr/bin/redis-server",
        "--port",
        "0",
        "--unixsocket",
        SOCKET,
        "--save",
        "",
        "--appendonly",
        "no",
        "--enable-debug-command",
        "yes",
    ];
    let load = [
        "/usr/bin/redis-benchmark",
        "-s",
        SOCKET,
        "-n",
        &requests,
        "-c",
        "20",
        "-P",
        "8",
        "-r",
        "10000",
        "-d",
        "100",
        "-q",
        "-t",
        "set,get,incr,lpush,rpush,lpop,sadd,hset,spop,zadd,mset",
    ];
    let ask = |question: &[&'static str]| {
        Step::client(["/usr/bin/redis-cli", "-s", SOCKET].iter().chain(question).copied())
    };
    Plan::of([
        Step::server(server, SOCKET),
        // Its keys are random, and what it prints is speed.
        Step::client(load).unheard(),
        ask(&["FLUSHALL"]),
        ask(&[]).stdin(&place.input("commands")),
        ask(&["DBSIZE"]),
        ask(&["DEBUG", "DIGEST"]),
    ])
}
