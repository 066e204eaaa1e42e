//! What a profile shows: places, how long objects live, and what only grows.
//!
//! A profile has a row for each stack, size and thread. People think in places:
//! the line of their own program that asked. A [`Place`] takes together all rows
//! whose innermost frame outside the standard library is the same line, and whose
//! objects are of the same type.
//!
//! ```text
//!   alloc::raw_vec::RawVec::grow     library code: passed over
//!   alloc::vec::Vec::push            library code: passed over
//!   lexer::Lexer::run  lex.rs:88     the place
//!   main                             how one came there
//! ```
//!
//! Growth is a straight line through the place's history. It is only called growth
//! when the line explains the points, the rise is far above the noise of sampling,
//! and the last part rises as well: a table that is filled once is no leak.

use std::collections::HashMap;

use allod_profile::Profile;
use allod_profile::export::frame_name;
use allod_profile::model::{Amount, Frame, Site};
use allod_profile::trim;

/// Fewest points of a history that a line is drawn through.
pub(crate) const POINTS: usize = 8;
/// Least share of the points' variance that the line explains.
const EXPLAINED: f64 = 0.9;
/// The rise has to be so many standard deviations of the estimate.
const DEVIATIONS: f64 = 3.0;

/// One line of the program that memory was asked for from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// The frame, or nothing if no frame has a name.
    pub(crate) frame: Option<usize>,
    /// What was allocated, where the names tell.
    pub(crate) rust_type: String,
    pub(crate) allocated: Amount,
    pub(crate) live: Amount,
    pub(crate) peak: Amount,
    pub(crate) short: Amount,
    pub(crate) remote: Amount,
    /// Freed objects by lifetime.
    pub(crate) lifetimes: Vec<f64>,
    /// Live bytes over time.
    pub(crate) history: Vec<f64>,
    pub(crate) growth: Option<Growth>,
}

/// A rise that goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Growth {
    /// Slope of the line.
    pub(crate) bytes_per_second: f64,
    /// Share of the variance that the line explains.
    pub(crate) r2: f64,
    /// How much the line rises over the points.
    pub(crate) rise: f64,
    /// Whether at least half of the rise is alive at the end: nobody has cleaned up.
    pub(crate) is_kept: bool,
}

/// A median of lifetimes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Median {
    /// Nothing was allocated.
    Nothing,
    /// Microseconds.
    Below(f64),
    /// More than half are still alive.
    Alive,
}

/// The places of a profile, and for each of its sites the place it belongs to.
pub(crate) fn places(profile: &Profile) -> (Vec<Place>, Vec<usize>) {
    let library: Vec<bool> = profile.frames.iter().map(is_library).collect();
    let mut known: HashMap<(String, String, u32, &str), usize> = HashMap::new();
    let mut places: Vec<Place> = Vec::new();
    let of_site = profile.sites.iter().map(|site| {
        let frame = own_frame(profile, site, &library);
        let line = frame.map(|frame| &profile.frames[frame]);
        let name = line.map(|line| match line.function.as_str() {
            // Addresses without a name are places of their own.
            "" => frame_name(profile, line),
            name => name.to_owned(),
        });
        let file = line.map_or_else(String::new, |line| line.file.clone());
        let key = (name.unwrap_or_default(), file, line.map_or(0, |it| it.line), &*site.rust_type);
        let index = *known.entry(key).or_insert_with(|| {
            let rust_type = site.rust_type.clone();
            places.push(Place { frame, rust_type, ..Place::default() });
            places.len() - 1
        });
        places[index].add(site, profile.interval as f64);
        index
    });
    let of_site = of_site.collect();
    for place in &mut places {
        place.growth = growth(&profile.history_at, &place.history, place.live);
    }
    (places, of_site)
}

impl Place {
    fn add(&mut self, site: &Site, interval: f64) {
        for (sum, part) in [
            (&mut self.allocated, site.allocated),
            (&mut self.live, site.live),
            (&mut self.peak, with_variance(site.peak, site.block_size as f64, interval)),
            (&mut self.short, site.short),
            (&mut self.remote, site.remote),
        ] {
            *sum = plus(*sum, part);
        }
        add_up(&mut self.lifetimes, &site.lifetimes);
        add_up(&mut self.history, &site.history);
    }

    /// Half of the objects live shorter than this.
    pub(crate) fn median(&self) -> Median {
        median(&self.lifetimes, self.live.count)
    }
}

/// How many bytes the places have gained that only grow, and are not cleaned up.
pub(crate) fn leaked(profile: &Profile) -> f64 {
    let (places, _) = places(profile);
    let growing = places.iter().filter_map(|place| place.growth);
    growing.filter(|growth| growth.is_kept).map(|growth| growth.rise).sum()
}

/// The sum of two estimates. Samples are independent, so variances add.
pub(crate) fn plus(left: Amount, right: Amount) -> Amount {
    Amount {
        count: left.count + right.count,
        bytes: left.bytes + right.bytes,
        variance: left.variance + right.variance,
    }
}

/// Adds a list of numbers to another, which becomes as long as it.
pub(crate) fn add_up(sum: &mut Vec<f64>, part: &[f64]) {
    sum.resize(sum.len().max(part.len()), 0.0);
    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
}

/// What sampling theory says of an estimate that came without its variance: each of its
/// blocks is seen with the probability 1 - e^(-size/interval).
pub(crate) fn with_variance(amount: Amount, size: f64, interval: f64) -> Amount {
    if amount.variance > 0.0 || interval <= 0.0 || size <= 0.0 {
        return amount;
    }
    let missed = (-size / interval).exp();
    let variance = amount.bytes * size * missed / (1.0 - missed);
    Amount { variance: variance.max(0.0), ..amount }
}

/// One standard deviation, as a share of the bytes.
pub(crate) fn deviation(amount: Amount) -> Option<f64> {
    (amount.bytes > 0.0 && amount.variance > 0.0).then(|| amount.variance.sqrt() / amount.bytes)
}

/// The innermost frame that is not of a library below the program. If there is
/// none, the outermost of those that have a name: it is nearest to the program.
fn own_frame(profile: &Profile, site: &Site, library: &[bool]) -> Option<usize> {
    let named = |&&frame: &&usize| !profile.frames[frame].function.is_empty();
    let own = |&&frame: &&usize| !library[frame];
    let frames = &site.stack;
    (frames.iter().filter(named).find(own))
        .or_else(|| frames.iter().find(named))
        .or(frames.first())
        .copied()
}

/// Whether a frame is of the standard library of Rust, C or C++: code that allocates
/// on somebody's behalf, or that started the program.
pub(crate) fn is_library(frame: &Frame) -> bool {
    const BELOW: [&str; 17] = [
        "strdup",
        "strndup",
        "asprintf",
        "vasprintf",
        "getline",
        "getdelim",
        "g_malloc",
        "g_malloc0",
        "g_realloc",
        "_start",
        "__libc_start_main",
        "__libc_start_call_main",
        "start_thread",
        "clone",
        "clone3",
        "__clone",
        "__clone3",
    ];
    // Symbols of the C library can have their version behind them.
    let (name, is_versioned) = match frame.function.split_once('@') {
        Some((name, _)) => (name, true),
        None => (frame.function.as_str(), false),
    };
    let is_below = match is_versioned {
        true => trim::is_library(&Frame { function: name.to_owned(), ..Frame::default() }),
        false => trim::is_library(frame),
    };
    // `<u8 as alloc::vec::spec_from_elem::SpecFromElem>::from_elem`: a trait of the
    // library for a type without a path, which is the library's, too.
    let is_impl =
        name.strip_prefix('<').and_then(|it| it.split_once(" as ")).is_some_and(|(own, by)| {
            let mut paths = ["alloc::", "core::", "std::"].iter();
            !own.contains("::") && paths.any(|path| by.starts_with(path))
        });
    is_below
        || is_impl
        || BELOW.contains(&name)
        || hands_out(name)
        || name.starts_with("operator new")
        || frame.file.contains("/hashbrown-")
        || frame.file.contains("/bits/alloc_traits.h")
}

/// Whether a function of C does nothing but hand out memory, by its name: programs call
/// theirs `zmalloc`, `sqlite3MallocZero`, `ggc_internal_alloc`.
fn hands_out(name: &str) -> bool {
    // Python's objects are made by few functions.
    const OBJECTS: [&str; 5] = [
        "_PyObject_New",
        "_PyObject_NewVar",
        "_PyObject_GC_New",
        "_PyObject_GC_NewVar",
        "PyObject_Init",
    ];
    if name.contains("::") || name.contains(['<', '(']) {
        return false;
    }
    let small = name.to_ascii_lowercase();
    // `reallocate_table` is somebody's own, and `deallocate` hands out nothing.
    let inside = ["malloc", "calloc", "realloc", "zalloc"].iter().any(|word| {
        small.match_indices(word).any(|(at, _)| !small[at + word.len()..].starts_with("at"))
    });
    let ends = small.ends_with("alloc") && !small.ends_with("dealloc");
    inside || ends || OBJECTS.contains(&name)
}

/// A name without generic arguments, and of its path the last two parts.
pub(crate) fn short_name(name: &str) -> String {
    // C++: the arguments of a function are no part of its name.
    let name = name.split_once('(').map_or(name, |(name, _)| {
        if name.is_empty() || name.contains("operator") { name } else { name.trim_end() }
    });
    let name = unwrapped(name);
    let mut depth = 0_i32;
    let mut plain = String::new();
    let mut last = ' ';
    for letter in name.chars() {
        match letter {
            '<' => depth += 1,
            // The arrow of `fn() -> T` closes nothing.
            '>' if last != '-' => depth = (depth - 1).max(0),
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
        last = letter;
    }
    let parts: Vec<&str> = plain.split("::").filter(|part| !part.is_empty()).collect();
    // The hash of older symbol names says nothing, and closures are told by their owner.
    let parts: Vec<&str> = parts.into_iter().filter(|part| !is_hash(part)).collect();
    match parts.as_slice() {
        [.., a, b, closure] if closure.starts_with('{') => format!("{a}::{b}::{{closure}}"),
        [.., a, b] => format!("{a}::{b}"),
        [only] => (*only).to_owned(),
        [] => name.to_owned(),
    }
}

/// A type without the paths of its parts: `Vec<server::lex::Token>` is `Vec<Token>`.
pub(crate) fn short_type(name: &str) -> String {
    let mut short = String::new();
    let mut word = String::new();
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_alphanumeric() || letter == '_' {
            word.push(letter);
        } else if letter == ':' && letters.peek() == Some(&':') {
            letters.next();
            word.clear();
        } else {
            short.push_str(&word);
            word.clear();
            short.push(letter);
        }
    }
    short + &word
}

/// `<T as Trait>::method` is `T::method`, and `<T>::method` too.
fn unwrapped(name: &str) -> String {
    let Some(rest) = name.strip_prefix('<') else { return name.to_owned() };
    let mut depth = 1;
    for (place, letter) in rest.char_indices() {
        depth += match letter {
            '<' => 1,
            '>' => -1,
            _ => 0,
        };
        if depth == 0 {
            let inner = &rest[..place];
            let own = inner.split(" as ").next().unwrap_or(inner);
            return format!("{own}{}", &rest[place + 1..]);
        }
    }
    name.to_owned()
}

fn is_hash(part: &str) -> bool {
    part.len() == 17 && part.starts_with('h') && part[1..].bytes().all(|it| it.is_ascii_hexdigit())
}

/// The name of a frame; code without one is known by its file and the place in it.
pub(crate) fn name(profile: &Profile, frame: &Frame) -> String {
    match (frame.function.as_str(), frame.address) {
        ("", 0) => String::new(),
        ("", _) => frame_name(profile, frame),
        (name, _) => name.to_owned(),
    }
}

/// Where a frame is, for people: file and line, or the module.
pub(crate) fn origin(profile: &Profile, frame: &Frame) -> String {
    let file = short_file(frame);
    let module = frame.module.and_then(|module| profile.modules.get(module));
    match (file.is_empty(), module) {
        (true, Some(module)) => module.path.rsplit('/').next().unwrap_or_default().to_owned(),
        _ => file,
    }
}

/// A source file as people write it: the last two parts of its path, and the line.
pub(crate) fn short_file(frame: &Frame) -> String {
    let parts: Vec<&str> = frame.file.rsplit('/').take(2).collect();
    let name = parts.into_iter().rev().collect::<Vec<_>>().join("/");
    match (name.is_empty(), frame.line) {
        (true, _) => String::new(),
        (false, 0) => name,
        (false, line) => format!("{name}:{line}"),
    }
}

/// Buckets are at 1 us, 4 us, 16 us and so on; within one, lifetimes are taken to
/// be spread evenly over the powers. What is alive has lived longer than any.
pub(crate) fn median(lifetimes: &[f64], alive: f64) -> Median {
    let freed: f64 = lifetimes.iter().sum();
    let half = (freed + alive) / 2.0;
    if half <= 0.0 {
        return Median::Nothing;
    }
    let mut below = 0.0;
    for (bucket, &count) in lifetimes.iter().enumerate() {
        if count > 0.0 && below + count >= half {
            let power = bucket as f64 - 1.0 + (half - below) / count;
            return Median::Below(4_f64.powf(power));
        }
        below += count;
    }
    Median::Alive
}

/// A straight line through a history, if it is one that rises for certain.
pub(crate) fn growth(at: &[u64], bytes: &[f64], live: Amount) -> Option<Growth> {
    if bytes.len() < POINTS || at.len() != bytes.len() {
        return None;
    }
    let seconds: Vec<f64> = at.iter().map(|&nanos| nanos as f64 / 1e9).collect();
    let (slope, r2) = line(&seconds, bytes)?;
    let rise = slope * (seconds[seconds.len() - 1] - seconds[0]);
    let tail = bytes.len() - bytes.len() / 3;
    let (late, _) = line(&seconds[tail - 1..], &bytes[tail - 1..])?;
    let is_certain = rise > 0.0 && r2 >= EXPLAINED && rise >= DEVIATIONS * live.variance.sqrt();
    let is_kept = live.bytes >= rise / 2.0;
    (is_certain && late >= slope / 3.0).then_some(Growth {
        bytes_per_second: slope,
        r2,
        rise,
        is_kept,
    })
}

/// Slope and share of explained variance of the line of least squares.
fn line(x: &[f64], y: &[f64]) -> Option<(f64, f64)> {
    let count = x.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let sum = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
        x.iter().zip(y).map(|(x, y)| term(x - mean_x, y - mean_y)).sum()
    };
    let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
    if xx <= 0.0 {
        return None;
    }
    let r2 = if yy > 0.0 { xy * xy / (xx * yy) } else { 0.0 };
    Some((xy / xx, r2))
}

#[cfg(test)]
mod tests;
