//! What a heap dump tells, put in order for people and their tools.
//!
//! | module | what is in it |
//! |---|---|
//! | `model` | a profile: sites, stacks, names, the ledger, memory over time |
pub mod model;

pub use model::Profile;
