//! What a heap dump tells, put in order for people and their tools.
//!
//! | module | what is in it |
//! |---|---|
//! | `model` | a profile: sites, stacks, names, the ledger, memory over time |
//! | `raw` | a heap dump as it is, from a file or out of a running process |
//! | `assemble` | a profile out of a dump |
//! | `names` | functions, files and lines for addresses |
//! | `trim` | which frames are the allocator's own, and which a library's |
//! | `types` | the Rust type of an allocation |
pub mod assemble;
pub mod model;
pub mod names;
pub mod raw;
pub mod trim;
mod types;

pub use model::Profile;
pub use names::Names;
pub use raw::Dump;
