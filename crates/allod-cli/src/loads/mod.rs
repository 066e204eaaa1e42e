//! Loads on `malloc` and `free`, each known to break some allocator.
//!
//! The classics of the field, written anew from their published descriptions:
//!
//! | load | what it does | what it is hard on |
//! |---|---|---|
//! | larson | threads replace blocks at random and leave them to successors | blocks whose owner is gone |
//! | handoff, xmalloc | some threads allocate, others free | central locks, mailboxes |
//! | rptest, crowd | threads free what others allocated, more of them than processors | hoards, waiting for one that sleeps |
//! | mstress | mixed sizes, some giant, in threads that are made anew | coarse spans |
//! | lifo, fifo | batches freed backwards, forwards | order in free lists |
//! | powerlaw | sizes from a power law, replaced at random | the choice of classes |
//! | phases | sixteen threads, each phase has other sizes, a few blocks outlive it | memory bound to a class |
//! | fractions, trees | big numbers; trees of small nodes | the fast path |
//! | large, grow | blocks of many MiB come and go; one grows | giving back and getting again |
//! | scratch, thrash | threads write to small blocks | lines that two threads share |
//!
//! And what is meant to find the weak places, most of it in memory:
//!
//! | load | what it does | what should be small |
//! |---|---|---|
//! | sawtooth | all is freed, then other sizes are wanted | peak over live |
//! | pins | one block in 64 KiB survives | resident for each, two seconds later |
//! | ebb | one block in twenty survives | resident over live, two seconds later |
//! | drain | a thread only frees | peak over live |
//! | sleepers | thousands of threads allocate a little and sleep | resident for each |
//! | churn, teardown | short threads; threads that free in their last moment | growth, time |
//! | creep, double | a block grows by 8 bytes; a block doubles | copies, peak over live |
//! | alternate | 2 MiB come and go | page faults |
//! | edges, aligned | sizes around those of classes; every alignment | peak over live |
//!
//! Two more time each call (`latency.rs`), and one starts many small processes
//! (`startup.rs`).
//!
//! Each does a fixed number of operations, not a fixed time, so that CPU time
//! compares. All blocks are written to, and checked before they are freed. The
//! checksum depends on the sizes and contents alone. What depends on the
//! allocator is printed as figures (`figures.rs`).
//!
//! Everything goes through C's `malloc`, `realloc` and `free`, so a preloaded
//! library serves it. Standard containers here use the same functions.
//!
//! The same files are the loads of `allod bench` and of the repository's `bench/`.

mod big;
mod block;
mod crowd;
mod figures;
mod latency;
mod lines;
mod lives;
mod objects;
mod sawtooth;
mod sizes;
mod small;
mod startup;
mod threads;

/// A load.
#[derive(Debug)]
pub(crate) struct Load {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it does, in a few words.
    pub(crate) about: &'static str,
    /// How much of it takes a few tenths of a second, and how much takes some seconds.
    pub(crate) amounts: (u64, u64),
    /// Takes an amount, returns a checksum.
    run: fn(u64) -> u64,
}

/// The table of loads.
pub(crate) const LOADS: &[Load] = &[
    Load {
        name: "larson",
        about: "threads replace blocks at random and leave them to their successors",
        amounts: (150, 400),
        run: threads::larson,
    },
    Load {
        name: "handoff",
        about: "one thread allocates, another frees",
        amounts: (6_000, 25_000),
        run: threads::handoff,
    },
    Load {
        name: "xmalloc",
        about: "four threads allocate, four free",
        amounts: (6_000, 25_000),
        run: crowd::xmalloc,
    },
    Load {
        name: "rptest",
        about: "eight threads free what their neighbours allocated, at random",
        amounts: (150, 1_500),
        run: crowd::rptest,
    },
    Load {
        name: "mstress",
        about: "small and giant blocks in eight threads that are made anew",
        amounts: (40, 200),
        run: crowd::mstress,
    },
    Load {
        name: "crowd",
        about: "sixteen threads on as many processors as there are",
        amounts: (300, 1_800),
        run: crowd::crowd,
    },
    Load {
        name: "powerlaw",
        about: "blocks are replaced at random, their sizes follow a power law",
        amounts: (3_000, 12_000),
        run: crowd::powerlaw,
    },
    Load {
        name: "lifo",
        about: "batches are freed from the last block to the first",
        amounts: (3_000, 14_000),
        run: small::lifo,
    },
    Load {
        name: "fifo",
        about: "batches are freed from the first block to the last",
        amounts: (3_000, 14_000),
        run: small::fifo,
    },
    Load {
        name: "phases",
        about: "sixteen threads, phases of other sizes, a few blocks outlive each",
        amounts: (30, 90),
        run: threads::phases,
    },
    Load {
        name: "fractions",
        about: "continued fractions of roots in big numbers",
        amounts: (6_000, 30_000),
        run: objects::fractions,
    },
    Load {
        name: "trees",
        about: "trees of small nodes, one long-lived, many short-lived",
        amounts: (8, 40),
        run: objects::trees,
    },
    Load {
        name: "large",
        about: "blocks of 1 to 32 MiB come and go",
        amounts: (150, 600),
        run: big::large,
    },
    Load {
        name: "grow",
        about: "one block grows step by step to its size in MiB",
        amounts: (256, 1024),
        run: big::grow,
    },
    Load {
        name: "scratch",
        about: "two threads write to small blocks, the first from the main thread",
        amounts: (60_000, 250_000),
        run: lines::scratch,
    },
    Load {
        name: "thrash",
        about: "two threads write to small blocks of their own",
        amounts: (60_000, 250_000),
        run: lines::thrash,
    },
    Load {
        name: "sawtooth",
        about: "all is freed, and then blocks of another size are wanted",
        amounts: (12, 60),
        run: sawtooth::sawtooth,
    },
    Load {
        name: "pins",
        about: "one block survives in each 64 KiB, and two seconds pass",
        amounts: (64, 256),
        run: sawtooth::pins,
    },
    Load {
        name: "ebb",
        about: "one block in twenty survives, and two seconds pass",
        amounts: (64, 256),
        run: sawtooth::ebb,
    },
    Load {
        name: "drain",
        about: "one thread allocates, another has never done anything but free",
        amounts: (15, 50),
        run: sawtooth::drain,
    },
    Load {
        name: "sleepers",
        about: "threads allocate 1 KiB each and sleep",
        amounts: (2_000, 10_000),
        run: lives::sleepers,
    },
    Load {
        name: "churn",
        about: "threads that live for twenty blocks",
        amounts: (4_000, 15_000),
        run: lives::churn,
    },
    Load {
        name: "teardown",
        about: "threads whose locals free and allocate when they end",
        amounts: (3_000, 8_000),
        run: lives::teardown,
    },
    Load {
        name: "creep",
        about: "a block grows by eight bytes at a time to 4 MiB",
        amounts: (10, 60),
        run: big::creep,
    },
    Load {
        name: "double",
        about: "a block doubles to its size in MiB",
        amounts: (256, 1024),
        run: big::double,
    },
    Load {
        name: "alternate",
        about: "2 MiB are allocated, written and freed",
        amounts: (500, 20_000),
        run: big::alternate,
    },
    Load {
        name: "edges",
        about: "sizes one byte above and below those of classes",
        amounts: (4, 12),
        run: sizes::edges,
    },
    Load {
        name: "aligned",
        about: "every alignment from 16 bytes to 64 MiB",
        amounts: (50, 400),
        run: sizes::aligned,
    },
    Load {
        name: "startup",
        about: "a process that allocates five blocks, one after the other",
        amounts: (50, 150),
        run: startup::startup,
    },
    Load { name: "tiny", about: "does next to nothing", amounts: (1, 1), run: startup::tiny },
    Load {
        name: "latency",
        about: "each call of one thread is timed",
        amounts: (300, 2_000),
        run: latency::alone,
    },
    Load {
        name: "latency-shared",
        about: "each call of two threads is timed, which free each other's blocks",
        amounts: (200, 1_000),
        run: latency::shared,
    },
];

/// The load called `name`.
pub(crate) fn find(name: &str) -> Option<&'static Load> {
    LOADS.iter().find(|load| load.name == name)
}

impl Load {
    /// Runs it, and prints its checksum and its figures.
    pub(crate) fn run(&self, amount: u64) {
        println!("{} {amount}: checksum {:016x}", self.name, (self.run)(amount));
        figures::figure("peak_mib", figures::times(figures::peak(), figures::MIB));
    }
}
