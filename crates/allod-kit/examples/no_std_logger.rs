//! A logger for a machine without an operating system: the last records stay in
//! memory, each as long as it is, and the oldest make room for new ones.
//!
//! The part above `main` uses `core` alone. A record is a block of a `FirstFit`
//! over a buffer of 1 KiB; when the heap says no, the oldest record goes. So the
//! log never fails, never grows, and wastes 8 bytes a record at most.
//!
//! ```text
//! cargo run -p allod-kit --example no_std_logger
//! ```
#![expect(unsafe_code, reason = "records are raw blocks")]

use allod_kit::FirstFit;
use core::alloc::Layout;
use core::fmt::{self, Write};
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// Records that may be kept at once, however short.
const MOST: usize = 32;

/// The newest records that fit.
struct Log<'m> {
    heap: FirstFit<'m>,
    /// A ring: text of the oldest at `oldest`.
    records: [Option<NonNull<[u8]>>; MOST],
    oldest: usize,
    count: usize,
}

/// Counts the bytes of a text, or writes as much of it as there is room for.
struct Text {
    place: Option<NonNull<[u8]>>,
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if let Some(place) = self.place {
            if part.len() > place.len() - self.len {
                return Err(fmt::Error);
            }
            // SAFETY: what is written so far is inside.
            let end = unsafe { place.cast::<u8>().add(self.len) };
            // SAFETY: there is room, and a fresh block overlaps nothing.
            unsafe { end.copy_from_nonoverlapping(NonNull::from(part).cast(), part.len()) };
        }
        self.len += part.len();
        Ok(())
    }
}

impl<'m> Log<'m> {
    fn new(memory: &'m mut [MaybeUninit<u8>]) -> Self {
        let mut heap = FirstFit::new();
        heap.add(memory);
        Self { heap, records: [None; MOST], oldest: 0, count: 0 }
    }

    /// Writes a record. One that is larger than the memory is left out.
    fn write(&mut self, text: fmt::Arguments<'_>) {
        let mut counted = Text { place: None, len: 0 };
        if counted.write_fmt(text).is_err() {
            return;
        }
        let Ok(layout) = Layout::array::<u8>(counted.len) else { return };
        if self.count == MOST {
            self.forget_oldest();
        }
        let block = loop {
            match self.heap.allocate(layout) {
                Ok(block) => break block.cast::<u8>(),
                Err(_) if self.count == 0 => return,
                Err(_) => self.forget_oldest(),
            }
        };
        // A value whose text is another the second time is cut, not trusted.
        let place = NonNull::slice_from_raw_parts(block, counted.len);
        let mut text_of = Text { place: Some(place), len: 0 };
        let _ = text_of.write_fmt(text);
        let rest = counted.len - text_of.len;
        // SAFETY: the rest of the block.
        let end = unsafe { block.add(text_of.len) };
        // SAFETY: the rest of the block.
        unsafe { end.write_bytes(b' ', rest) };
        let record = place;
        self.records[(self.oldest + self.count) % MOST] = Some(record);
        self.count += 1;
    }

    fn forget_oldest(&mut self) {
        if let Some(record) = self.records[self.oldest].take() {
            let Ok(layout) = Layout::array::<u8>(record.len()) else { return };
            // SAFETY: `write` allocated it so, and nobody has it any more.
            unsafe { self.heap.deallocate(record.cast(), layout) };
        }
        self.oldest = (self.oldest + 1) % MOST;
        self.count -= 1;
    }

    /// The records, oldest first.
    fn records(&self) -> impl Iterator<Item = &str> {
        let places = (0..self.count).map(|i| self.records[(self.oldest + i) % MOST]);
        places.flatten().map(|record| {
            // SAFETY: written whole by `write`, and ours as long as it is listed.
            let bytes = unsafe { record.as_ref() };
            core::str::from_utf8(bytes).unwrap_or("(not a text)")
        })
    }
}

fn main() {
    let mut memory = [MaybeUninit::uninit(); 1024];
    let mut log = Log::new(&mut memory);
    for tick in 0..1000u32 {
        match tick % 3 {
            0 => log.write(format_args!("{tick:>4} sensor: {} mV", 3300 + tick % 17)),
            1 => log.write(format_args!(
                "{tick:>4} radio: sent {} bytes to node {}",
                tick * 7,
                tick % 5
            )),
            _ => log.write(format_args!("{tick:>4} idle")),
        }
    }
    log.write(format_args!("{}", "too long ".repeat(200)));
    assert_eq!(log.records().count(), 0, "the memory was emptied for it, in vain");

    for tick in 1000..1100u32 {
        log.write(format_args!("{tick:>4} {}", &"restarted and well again"[..tick as usize % 24]));
    }
    assert_eq!(log.heap.check(), Ok(()));
    assert!(log.records().last().is_some_and(|last| last.starts_with("1099 ")));
    for record in log.records() {
        println!("{record}");
    }
    println!("{} records in {} bytes", log.count, log.heap.used());
}

#[test]
fn it_runs() {
    main();
}
