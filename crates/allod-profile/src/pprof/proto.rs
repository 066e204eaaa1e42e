//! The messages of pprof, and ours within them.
//!
//! The field numbers are those of pprof's published `profile.proto`. What a profile of
//! ours has beyond pprof is a message too, [`Own`], and stands in a comment, as hexadecimal
//! digits behind [`MARK`]: readers show no comment that begins with `#`. Fields that
//! pprof does not have would be more elegant, and there is a reader in use that stops at
//! any field number above 15.
//!
//! ```text
//!   Profile --+-- ValueType
//!             +-- Sample ----+-- Label
//!             +-- Mapping
//!             +-- Location --+-- Line
//!             +-- Function
//!             +-- comment "#allod-own/1 0a1b2c..."
//!                            Own: the ledger, classes, threads, moments, ...
//!                             +-- OwnSample    deviations, lifetimes, history
//!                             +-- OwnMapping   bias, what its names are worth
//! ```
//!
//! Numbers that stand for text are places in the table of strings.

use prost::Message;

/// What our comment begins with; the number is raised when its meaning changes.
pub(super) const MARK: &str = "#allod-own/1 ";

#[derive(Clone, PartialEq, Message)]
pub(super) struct Profile {
    #[prost(message, repeated, tag = "1")]
    pub(super) sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    pub(super) sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub(super) mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    pub(super) location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    pub(super) function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    pub(super) string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    pub(super) time_nanos: i64,
    #[prost(int64, tag = "10")]
    pub(super) duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    pub(super) period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    pub(super) period: i64,
    #[prost(int64, tag = "14")]
    pub(super) default_sample_type: i64,
    #[prost(int64, repeated, tag = "13")]
    pub(super) comment: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct ValueType {
    #[prost(int64, tag = "1")]
    pub(super) kind: i64,
    #[prost(int64, tag = "2")]
    pub(super) unit: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    pub(super) location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    pub(super) value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    pub(super) label: Vec<Label>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Label {
    #[prost(int64, tag = "1")]
    pub(super) key: i64,
    #[prost(int64, tag = "2")]
    pub(super) text: i64,
    #[prost(int64, tag = "3")]
    pub(super) number: i64,
    #[prost(int64, tag = "4")]
    pub(super) unit: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Mapping {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(uint64, tag = "2")]
    pub(super) memory_start: u64,
    #[prost(uint64, tag = "3")]
    pub(super) memory_limit: u64,
    #[prost(uint64, tag = "4")]
    pub(super) file_offset: u64,
    #[prost(int64, tag = "5")]
    pub(super) filename: i64,
    #[prost(int64, tag = "6")]
    pub(super) build_id: i64,
    #[prost(bool, tag = "7")]
    pub(super) has_functions: bool,
    #[prost(bool, tag = "8")]
    pub(super) has_filenames: bool,
    #[prost(bool, tag = "9")]
    pub(super) has_line_numbers: bool,
    #[prost(bool, tag = "10")]
    pub(super) has_inline_frames: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Location {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(uint64, tag = "2")]
    pub(super) mapping_id: u64,
    #[prost(uint64, tag = "3")]
    pub(super) address: u64,
    #[prost(message, repeated, tag = "4")]
    pub(super) line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
pub(super) struct Line {
    #[prost(uint64, tag = "1")]
    pub(super) function_id: u64,
    #[prost(int64, tag = "2")]
    pub(super) line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Function {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(int64, tag = "2")]
    pub(super) name: i64,
    #[prost(int64, tag = "3")]
    pub(super) system_name: i64,
    #[prost(int64, tag = "4")]
    pub(super) filename: i64,
}

/// What pprof has no place for.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Own {
    #[prost(string, tag = "1")]
    pub(super) program: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) command: Vec<String>,
    #[prost(uint32, tag = "3")]
    pub(super) pid: u32,
    #[prost(string, tag = "4")]
    pub(super) reason: String,
    #[prost(uint64, tag = "5")]
    pub(super) started: u64,
    #[prost(uint64, tag = "6")]
    pub(super) elapsed: u64,
    /// Taken, dropped, truncated.
    #[prost(uint64, repeated, tag = "7")]
    pub(super) samples: Vec<u64>,
    /// The fields of the ledger in their order.
    #[prost(uint64, repeated, tag = "8")]
    pub(super) ledger: Vec<u64>,
    /// The fields of each class, one class after the other; likewise the following.
    #[prost(uint64, repeated, tag = "9")]
    pub(super) classes: Vec<u64>,
    #[prost(uint64, repeated, tag = "10")]
    pub(super) threads: Vec<u64>,
    #[prost(uint64, repeated, tag = "11")]
    pub(super) moments: Vec<u64>,
    #[prost(uint64, repeated, tag = "12")]
    pub(super) spans: Vec<u64>,
    #[prost(uint64, repeated, tag = "13")]
    pub(super) history_at: Vec<u64>,
    #[prost(uint64, tag = "14")]
    pub(super) interval: u64,
    /// As many as there are samples, in their order.
    #[prost(message, repeated, tag = "15")]
    pub(super) sample: Vec<OwnSample>,
    /// As many as there are mappings, in their order.
    #[prost(message, repeated, tag = "16")]
    pub(super) mapping: Vec<OwnMapping>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OwnSample {
    /// Count, bytes and variance of: allocated, live, peak, short, remote.
    #[prost(double, repeated, tag = "1")]
    pub(super) amounts: Vec<f64>,
    #[prost(double, tag = "2")]
    pub(super) requested: f64,
    #[prost(double, repeated, tag = "3")]
    pub(super) lifetimes: Vec<f64>,
    #[prost(double, repeated, tag = "4")]
    pub(super) history: Vec<f64>,
    /// The locations that come before the others.
    #[prost(uint64, repeated, tag = "5")]
    pub(super) trimmed: Vec<u64>,
    /// The last of them is a part of the location that follows.
    #[prost(bool, tag = "6")]
    pub(super) cut: bool,
    #[prost(bool, tag = "7")]
    pub(super) truncated: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OwnMapping {
    #[prost(uint64, tag = "1")]
    pub(super) bias: u64,
    #[prost(bool, tag = "2")]
    pub(super) is_allod: bool,
    /// 0 not looked, 1 full, 2 functions, 3 none.
    #[prost(uint32, tag = "3")]
    pub(super) symbols: u32,
    #[prost(string, tag = "4")]
    pub(super) why: String,
}
