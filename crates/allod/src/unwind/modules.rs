//! The files that are mapped with code in them.
//!
//! No loader is asked: its lists are behind its lock, and the thread that holds it
//! may be the one that allocates. The kernel's list of mappings is read instead,
//! with the files' headers, into a table that readers search without a lock.
//!
//! ```text
//!   current = 8  ---->  tables[7 % 2]   what readers search
//!                       tables[8 % 2]   what the next reading of the list fills
//! ```
//!
//! # When the list is read
//!
//! At the first stack; when a program counter is in no module; and otherwise every
//! second, more often while modules come and go. A reading costs some 100
//! microseconds in a small process and milliseconds in one with ten thousand
//! mappings, so it is paced by what the last one cost: a thousandth of the time.
//! A module that is unloaded is noticed within that time; meanwhile its stale
//! rules may misread a module that was put in its place, but touch no memory that
//! is not the stack.
//!
//! # Invariants
//!
//! * N1. The table of generation g is written before `current` becomes g, and again
//!   only after `current` has become g + 1: a reader that finds `current` unchanged
//!   after its reads has read one table, whole.
//! * N2. One thread writes at a time: the holder of `WRITER`. Nobody waits for it but
//!   `fork`.
//! * N3. Records are sorted by address and do not overlap.
//! * N4. `epoch` changes after `current` when a module that was there is not there any
//!   more.
//!
//! A module that is gone stays in the table as long as nothing takes its place:
//! objects that it allocated outlive it, and somebody will want its name.

use super::cfi::{Index, Memory};
use super::maps::{Image, Mapping};
use super::memory::{ANCHORS, anchors, lasts};
use crate::dump;
use crate::sync::{AtomicU64, Lock, Ordering, Rank, held, put_back};
use core::sync::atomic::fence;

/// Modules that the table has place for; what is above is not followed.
const MODULES: usize = 2048;
/// Modules that are remembered when they are gone.
const GONE: usize = 256;
/// Milliseconds between two readings of the list while it changes.
const PACE_MIN: u64 = 16;
/// The same when it does not.
const PACE_MAX: u64 = 1024;

/// Times that a reader tries to read a table whole.
const TRIES: usize = 4;

/// Who writes the next table (N2).
static WRITER: Lock = Lock::new(Rank::Modules);

/// What a range of code is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file that is mapped.
    #[default]
    File = 1,
    /// Code that a program has made: there are no tables for it.
    Made = 2,
    /// A file that was unmapped.
    Gone = 3,
}

/// A range of addresses with code in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) image: Image,
    /// Differs for different files, and for one file at different places.
    pub(super) identity: u64,
    pub(super) kind: Kind,
    /// It is there as long as the process is, or at least as long as our own code.
    pub(super) stays: bool,
}

/// Words of a [`Record`].
const WORDS: usize = 13;

impl Module {
    fn words(&self) -> [u64; WORDS] {
        let Image { start, end, bias, index, segment, build_id, build_id_len } = self.image;
        let mut id = [0; 4];
        for (word, bytes) in id.iter_mut().zip(build_id.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let [a, b, c, d] = id;
        let len = (build_id_len as u64) << 8 | u64::from(self.stays) << 7 | self.kind as u64;
        let (base, count) = (index.base as u64, index.count as u64);
        let (low, high) = (segment.0 as u64, segment.1 as u64);
        let (start, end, bias) = (start as u64, end as u64, bias as u64);
        [start, end, bias, base, count, low, high, self.identity, len, a, b, c, d]
    }

    fn from_words(words: [u64; WORDS]) -> Self {
        let [start, end, bias, base, count, low, high, identity, len, id @ ..] = words;
        let mut build_id = [0; 32];
        for (word, bytes) in id.iter().zip(build_id.as_chunks_mut().0) {
            *bytes = word.to_le_bytes();
        }
        let stays = len & 0x80 != 0;
        let kind = match len & 0x7f {
            1 => Kind::File,
            2 => Kind::Made,
            _ => Kind::Gone,
        };
        let index = Index { base: base as usize, count: count as usize };
        let image = Image {
            start: start as usize,
            end: end as usize,
            bias: bias as usize,
            index,
            segment: (low as usize, high as usize),
            build_id,
            build_id_len: (len >> 8) as usize,
        };
        Self { image, identity, kind, stays }
    }
}

/// A module, spread over words that are read one by one.
#[repr(C)]
struct Record([AtomicU64; WORDS]);

impl Record {
    fn start(&self) -> usize {
        // ORDERING: Relaxed, N1: whoever reads looks at `current` again.
        self.0.first().map_or(0, |word| word.load(Ordering::Relaxed) as usize)
    }

    fn load(&self) -> Module {
        Module::from_words(core::array::from_fn(|i| {
            // ORDERING: Relaxed, N1.
            self.0.get(i).map_or(0, |word| word.load(Ordering::Relaxed))
        }))
    }

    fn store(&self, module: &Module) {
        for (place, word) in self.0.iter().zip(module.words()) {
            // ORDERING: Relaxed, published with `current`.
            place.store(word, Ordering::Relaxed);
        }
    }
}

#[repr(C)]
struct Table {
    count: AtomicU64,
    records: [Record; MODULES],
}

impl Table {
    fn records(&self) -> &[Record] {
        // ORDERING: Relaxed, N1.
        let count = self.count.load(Ordering::Relaxed) as usize;
        self.records.get(..count.min(MODULES)).unwrap_or_default()
    }

    fn find(&self, pc: usize) -> Option<Module> {
        let records = self.records();
        let above = records.partition_point(|record| record.start() <= pc);
        let module = records.get(above.checked_sub(1)?)?.load();
        (module.image.start <= pc && pc < module.image.end).then_some(module)
    }
}

/// The table in use and the one to come. All zero is empty.
#[repr(C)]
pub(super) struct Modules {
    /// Generation in use; 0 before the first.
    current: AtomicU64,
    epoch: AtomicU64,
    /// When the list was last read, in milliseconds.
    last: AtomicU64,
    /// How long it is good from then on.
    pace: AtomicU64,
    /// The same when a program counter is in no module.
    missed: AtomicU64,
    tables: [Table; 2],
}

/// A table being filled.
struct Filling<'a> {
    table: &'a Table,
    old: &'a [Record],
    /// Records of `old` that were passed.
    passed: usize,
    count: usize,
    gone: usize,
    end: usize,
    /// A module that was there is not there any more.
    lost: bool,
    /// Addresses in modules that stay.
    anchors: [usize; ANCHORS],
}

impl Filling<'_> {
    fn push(&mut self, module: &Module) {
        if module.image.start < self.end || module.image.end <= module.image.start {
            return;
        }
        if let Some(place) = self.table.records.get(self.count) {
            place.store(module);
            self.count += 1;
            self.end = module.image.end;
        }
    }

    /// Passes the old records that start below `start`: their modules are gone,
    /// since those that are not were taken out by [`Filling::known`].
    fn pass(&mut self, start: usize, next: usize) {
        while let Some(record) = self.old.get(self.passed)
            && record.start() < start
        {
            self.passed += 1;
            let mut module = record.load();
            self.lost |= module.kind != Kind::Gone;
            if module.kind != Kind::Made && self.gone < GONE && module.image.end <= next {
                module.kind = Kind::Gone;
                self.gone += 1;
                self.push(&module);
            }
        }
    }

    /// The old record of the same module, which is passed.
    fn known(&mut self, start: usize, identity: u64) -> Option<Module> {
        let module = self.old.get(self.passed)?.load();
        let is_same = module.image.start == start && module.kind != Kind::Gone;
        if !is_same || module.identity != identity {
            return None;
        }
        self.passed += 1;
        Some(module)
    }

    /// Takes in the next range in order of addresses.
    fn add(&mut self, module: Module) {
        let (start, end) = (module.image.start, module.image.end);
        self.pass(start, start);
        let known = self.known(start, module.identity);
        // An old record that starts here and is of something else is gone, and its
        // place taken; and so are those that start within.
        self.pass(end, 0);
        self.lost |= known.is_some_and(|known| known.image != module.image);
        self.push(&module);
    }
}

impl Modules {
    /// Changes when rules read so far may not be true any more (N4).
    #[inline(always)]
    pub(super) fn epoch(&self) -> u64 {
        // ORDERING: Acquire pairs with the Release in `refresh`: the table of this
        // epoch is seen.
        self.epoch.load(Ordering::Acquire)
    }

    /// The table of a generation. The first generation's is next to `current`: one page
    /// holds both in a small process.
    fn table(&self, generation: u64) -> Option<&Table> {
        self.tables.get(generation.wrapping_sub(1) as usize % 2)
    }

    /// Has memory put behind that page, which is read before it is written. Before
    /// anybody knows of it.
    pub(super) fn touch(&self) {
        // ORDERING: Relaxed, published with the tables.
        self.current.store(0, Ordering::Relaxed);
    }

    /// Runs `read` on the table in use until nobody has written meanwhile (N1).
    fn consistent<R>(&self, mut read: impl FnMut(&Table) -> R) -> Option<R> {
        // Tables change some times a second at most: the second try succeeds.
        for _ in 0..TRIES {
            // ORDERING: Acquire pairs with the Release in `refresh`: the table is there.
            let generation = self.current.load(Ordering::Acquire);
            if generation == 0 {
                return None;
            }
            let table = self.table(generation)?;
            let result = read(table);
            // ORDERING: Acquire pairs with the Release fence in `refresh`: whoever has
            // read a word of a later table sees that `current` has moved on.
            fence(Ordering::Acquire);
            // ORDERING: Relaxed, behind the fence.
            if self.current.load(Ordering::Relaxed) == generation {
                return Some(result);
            }
        }
        None
    }

    /// The module that has code at `pc`, as last read.
    pub(super) fn find(&self, pc: usize) -> Option<Module> {
        let module = self.consistent(|table| table.find(pc))??;
        (module.kind != Kind::Gone).then_some(module)
    }

    /// Calls `f` with each file, those that are gone included.
    pub(super) fn each(&self, own: usize, f: &mut dyn FnMut(&dump::Module)) {
        let mut after = 0;
        // One by one: `f` may take long, and a table may change meanwhile.
        while let Some(Some(module)) = self.consistent(|table| {
            let records = table.records();
            let next = records.partition_point(|record| record.start() < after);
            records.get(next).map(Record::load)
        }) {
            let Image { start, end, bias, build_id, build_id_len, .. } = module.image;
            after = start.saturating_add(1);
            if module.kind != Kind::Made {
                f(&dump::Module {
                    start: start as u64,
                    end: end as u64,
                    bias: bias as u64,
                    build_id_len: build_id_len as u32,
                    is_allod: (start <= own && own < end).into(),
                    build_id,
                });
            }
        }
    }

    /// True when it is time to read the list again; `missed` when a program
    /// counter was in no module.
    #[inline]
    pub(super) fn is_due(&self, now: u64, missed: bool) -> bool {
        let pace = if missed { &self.missed } else { &self.pace };
        // ORDERING: Relaxed, numbers that guard no data.
        let (last, pace) = (self.last.load(Ordering::Relaxed), pace.load(Ordering::Relaxed));
        now.wrapping_sub(last) >= pace
    }

    /// Reads the list again, if nobody else does. True when it has changed.
    /// `clock` tells milliseconds and nanoseconds; `staying` is the memory of a mapping
    /// whose file stays: its first address, and its end.
    #[cold]
    pub(super) fn refresh<M: Memory>(
        &self,
        memory: &M,
        staying: impl Fn(usize, usize) -> M,
        list: impl FnOnce(&mut dyn FnMut(&[u8])) -> bool,
        clock: impl Fn() -> (u64, u64),
    ) -> bool {
        let Some(_guard) = WRITER.try_lock() else { return false };
        let (now, started) = clock();
        let anchors = anchors();
        // ORDERING: Relaxed, only the holder of the lock writes it.
        let generation = self.current.load(Ordering::Relaxed);
        let next = generation.wrapping_add(1).max(1);
        let old = self.table(generation).filter(|_| generation != 0);
        let Some(table) = self.table(next) else { return false };
        // ORDERING: Release pairs with the Acquire fence in `consistent`: the words
        // written below come after `current` has left their table.
        fence(Ordering::Release);
        let old = old.map_or(&[][..], Table::records);
        let mut filling =
            Filling { table, old, passed: 0, count: 0, gone: 0, end: 0, lost: false, anchors };
        let mut head: Option<Mapping> = None;
        let done = list(&mut |line| {
            if let Some(mapping) = Mapping::parse(line) {
                filling.take(memory, &staying, &mut head, mapping);
            }
        });
        filling.pass(usize::MAX, usize::MAX);
        let Filling { count, lost, .. } = filling;
        // ORDERING: Relaxed, published below.
        table.count.store(count as u64, Ordering::Relaxed);
        let same = |(a, b): (&Record, &Record)| a.load() == b.load();
        let changed = done
            && (count != old.len() || !table.records().iter().zip(old).all(same));
        if changed {
            // ORDERING: Release pairs with the Acquire in `consistent`: the table is
            // written.
            self.current.store(next, Ordering::Release);
            if lost {
                // ORDERING: Release pairs with the Acquire in `epoch` (N4).
                self.epoch.fetch_add(1, Ordering::Release);
            }
        }
        self.set_pace(changed, now, clock().1.saturating_sub(started));
        changed
    }

    fn set_pace(&self, changed: bool, now: u64, nanoseconds: u64) {
        // ORDERING: Relaxed, numbers that guard no data; the holder of the lock writes.
        let (pace, missed) =
            (self.pace.load(Ordering::Relaxed), self.missed.load(Ordering::Relaxed));
        let next = |pace: u64, least: u64| {
            let pace = if changed { 0 } else { (pace * 2).min(PACE_MAX) };
            pace.max(least)
        };
        // Milliseconds: a thousand times what it has cost, and twenty times when a
        // stack could not be followed.
        let pace = next(pace, PACE_MIN.max(nanoseconds / 1000));
        let missed = next(missed, 1 + nanoseconds / 50_000);
        // ORDERING: Relaxed, as above.
        self.last.store(now, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.pace.store(pace, Ordering::Relaxed);
        // ORDERING: Relaxed, as above.
        self.missed.store(missed, Ordering::Relaxed);
    }
}

impl Filling<'_> {
    /// Takes the next mapping. `head` is the beginning of the file that the last
    /// ones were of, until its code is found.
    fn take<M: Memory>(
        &mut self,
        memory: &M,
        staying: &impl Fn(usize, usize) -> M,
        head: &mut Option<Mapping>,
        mapping: Mapping,
    ) {
        if mapping.file != 0 && mapping.offset == 0 && mapping.is_readable {
            *head = Some(mapping);
        }
        if !mapping.is_code || mapping.start < self.end {
            return;
        }
        let file = head.take_if(|head| head.file == mapping.file);
        let Some(first) = file else {
            let image = Image { start: mapping.start, end: mapping.end, ..Image::default() };
            self.add(Module { image, kind: Kind::Made, ..Module::default() });
            return;
        };
        let base = first.start;
        let identity = first.file ^ (base as u64).rotate_left(32);
        let place = self.old.partition_point(|old| old.start() < base);
        // One without tables may have been read while the loader was still mapping
        // it: such a file is looked at again.
        let known = self.old.get(place).map(Record::load).filter(|old| {
            old.kind == Kind::File && old.identity == identity && old.image.index.count != 0
        });
        let lasts = |start, end| lasts(&self.anchors, start, end);
        let image = known.map(|known| known.image).or_else(|| {
            // Its headers lie in the first mapping, if that is of a file that stays.
            let stays = lasts(base, first.end) || lasts(mapping.start, mapping.end);
            if stays { Image::read(&staying(base, first.end), base) } else { Image::read(memory, base) }
        });
        match image {
            Some(image) => {
                let stays = known.map_or_else(|| lasts(image.start, image.end), |known| known.stays);
                self.add(Module { image, identity, kind: Kind::File, stays });
            }
            None => {
                let image = Image { start: mapping.start, end: mapping.end, ..Image::default() };
                self.add(Module { image, kind: Kind::Made, ..Module::default() });
            }
        }
    }
}

/// Before `fork`: nobody is in the middle of writing.
pub(super) fn hold() {
    let before = held();
    // Where it can't be had (a handler above a lock forks) the child does without the
    // half of a table: `current` leads to a whole one.
    let _had = WRITER.hold();
    // Whatever this thread waits for comes after this lock: it need not count until then.
    put_back(before);
}

/// After `fork`, in both processes.
pub(super) fn release() {
    WRITER.unhold();
}

/// In the child of a fork, after [`release`]: who writes the table may not have come along.
pub(super) fn forget_writer() {
    WRITER.release_lost();
}
