//! What a row is written with.
//!
//! A row is one operation, and its contenders do the same thing each with its
//! own crate. A contender prepares what it needs, and hands the part that
//! counts to [`Meter::measure`] as a closure:
//!
//! ```text
//! fn bumpalo(meter: &mut Meter) {
//!     let mut bump = bumpalo::Bump::with_capacity(1 << 20);     // not measured
//!     meter.measure(|| {                                        // measured
//!         for number in 0..1000u64 {
//!             black_box(bump.alloc(black_box(number)));
//!         }
//!         bump.reset();
//!     });
//! }
//! ```
//!
//! The closure runs many times, so it ends in the state in which it began. It
//! runs once before it is measured, so that memory is warm. Inputs go through
//! `black_box`, and so do results, in the same places for all contenders.
//!
//! A row whose result is no speed, such as bytes refused, calls
//! [`Meter::report`].

use std::hint::black_box;
use std::time::{Duration, Instant};

/// One operation and all who do it.
pub(crate) struct Row {
    /// Family, slash, operation in plain words.
    pub(crate) name: &'static str,
    /// Operations in one run of the closure.
    pub(crate) operations: u32,
    /// What the number is.
    pub(crate) kind: Kind,
    /// Ours first.
    pub(crate) contenders: Vec<Contender>,
}

/// What a row's number is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Work for each operation: instructions or nanoseconds. Less is better.
    Work,
    /// A figure that a contender reports, in this unit. Less is better.
    #[allow(dead_code, reason = "families that measure memory use it")]
    Figure(&'static str),
}

/// One crate's way.
pub(crate) struct Contender {
    /// The crate, or what of ours it is.
    pub(crate) name: &'static str,
    /// Prepares and measures.
    pub(crate) run: fn(&mut Meter),
}

/// A contender as a row's author writes it: its name and what it runs.
pub(crate) type Way = (&'static str, fn(&mut Meter));

impl Row {
    /// A row of work.
    pub(crate) fn work(name: &'static str, operations: u32, contenders: &[Way]) -> Self {
        Row { name, operations, kind: Kind::Work, contenders: named(contenders) }
    }

    /// A row of figures that contenders report.
    #[allow(dead_code, reason = "families that measure memory use it")]
    pub(crate) fn figure(name: &'static str, unit: &'static str, contenders: &[Way]) -> Self {
        Row { name, operations: 1, kind: Kind::Figure(unit), contenders: named(contenders) }
    }
}

fn named(contenders: &[Way]) -> Vec<Contender> {
    contenders.iter().map(|(name, run)| Contender { name, run: *run }).collect()
}

/// Measures a closure, in whichever way this run of the program does.
pub(crate) struct Meter {
    clock: bool,
    /// Nanoseconds of one run of the closure, or what was reported.
    figure: Option<f64>,
}

/// By the clock, the closure is repeated for so long.
const SPELL: Duration = Duration::from_millis(4);

impl Meter {
    /// Runs the closure once where callgrind sees it.
    pub(crate) fn counting() -> Self {
        Meter { clock: false, figure: None }
    }

    /// Runs the closure for a while by the clock.
    pub(crate) fn timing() -> Self {
        Meter { clock: true, figure: None }
    }

    /// Nanoseconds of one run of the closure, or what was reported.
    pub(crate) fn figure(&self) -> Option<f64> {
        self.figure
    }

    /// Measures the closure. Once in each contender.
    pub(crate) fn measure(&mut self, mut body: impl FnMut()) {
        body();
        if !self.clock {
            allod_bench_measured(&mut body);
            return;
        }
        let start = Instant::now();
        let mut runs = 0u32;
        while start.elapsed() < SPELL {
            body();
            runs += 1;
        }
        self.figure = Some(start.elapsed().as_secs_f64() * 1e9 / f64::from(runs.max(1)));
    }

    /// Reports a figure that is no speed.
    #[allow(dead_code, reason = "families that measure memory use it")]
    pub(crate) fn report(&mut self, figure: f64) {
        self.figure = Some(figure);
    }
}

/// Callgrind counts from the entry of this function to its exit. The name is
/// what it knows it by.
#[expect(unsafe_code, reason = "a symbol of this name exists nowhere else")]
#[unsafe(no_mangle)]
#[inline(never)]
fn allod_bench_measured(body: &mut dyn FnMut()) {
    black_box(body)();
}
