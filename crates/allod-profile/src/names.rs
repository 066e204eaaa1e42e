//! Names for addresses, from the files on this machine.
//!
//! A dump says of each file where it was mapped and, by its build id, exactly which
//! file it was. Names are looked up offline, long after the process has ended if need
//! be, so the first question is whether the file at that path is still the same.
//!
//! ```text
//!   Module --> `files`    the file itself, and where its debug information lies
//!          --> `dwarf`    functions, inlined calls, files and lines
//!          --> `symbols`  the symbol table, where there is nothing better
//!          --> `demangle` names for people
//! ```
//!
//! Debug information can be gigabytes, so files are mapped and not read, one module is
//! open at a time, and only what covers the addresses asked for is looked into. What
//! was found is kept by module and address: looking at a process again asks for what
//! came since.

use std::collections::HashMap;

use crate::model::{Module, Symbols};

mod demangle;
mod dwarf;
mod files;
mod survey;
mod symbols;

pub use survey::Survey;

/// How far the looking up has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The file that is looked into.
    pub module: &'a str,
    /// Addresses that are done.
    pub done: usize,
    /// Addresses in all.
    pub of: usize,
}

/// One function at an address, a caller after what is inlined into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// For people.
    pub function: String,
    /// For the linker.
    pub linkage: String,
    /// Source file.
    pub file: String,
    /// Line in it.
    pub line: u32,
}

/// What is asked for.
pub(crate) struct Wanted<'a> {
    pub(crate) module: &'a Module,
    /// The process, which may still be there to show its file.
    pub(crate) pid: u32,
    /// When it was started, in nanoseconds since 1970.
    pub(crate) started: u64,
    /// Addresses of the file's own.
    pub(crate) addresses: &'a [u64],
}

/// What was found out so far.
#[derive(Debug, Default)]
pub struct Names {
    known: HashMap<Key, Known>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    path: String,
    build_id: String,
}

#[derive(Debug, Default)]
struct Known {
    by_address: HashMap<u64, Vec<Named>>,
    symbols: Symbols,
}

impl Names {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The functions at each address, innermost first, and how much the file tells.
    /// `progress` hears how many are done.
    pub(crate) fn look_up(
        &mut self,
        wanted: &Wanted<'_>,
        progress: &mut dyn FnMut(usize),
    ) -> (Vec<Vec<Named>>, Symbols) {
        let module = wanted.module;
        let key = Key { path: module.path.clone(), build_id: module.build_id.clone() };
        let known = self.known.entry(key).or_default();
        let is_new = |address: &&u64| !known.by_address.contains_key(*address);
        let missing: Vec<u64> = wanted.addresses.iter().filter(is_new).copied().collect();
        if !missing.is_empty() && !matches!(known.symbols, Symbols::None(_)) {
            known.symbols = match files::find(wanted) {
                Ok(found) => found.look_up(&missing, &mut known.by_address, progress),
                Err(why) => Symbols::None(why),
            };
        }
        let answer = |address| known.by_address.get(address).cloned().unwrap_or_default();
        (wanted.addresses.iter().map(answer).collect(), known.symbols.clone())
    }
}

impl files::Found {
    fn look_up(
        &self,
        addresses: &[u64],
        known: &mut HashMap<u64, Vec<Named>>,
        progress: &mut dyn FnMut(usize),
    ) -> Symbols {
        let table = symbols::Table::of(self.images());
        let debug = self.debug();
        let answered = debug.map(|debug| {
            let supplement = self.supplement();
            dwarf::look_up(debug, supplement, &table, addresses, known, progress)
        });
        let complete = matches!(answered, Some(Ok(())));
        let mut any = false;
        for (i, &address) in addresses.iter().enumerate() {
            if known.contains_key(&address) {
                continue;
            }
            if i % 1024 == 0 {
                progress(i);
            }
            let names = table.containing(address).map(|linkage| Named {
                function: demangle::readable(linkage),
                linkage: linkage.to_owned(),
                ..Named::default()
            });
            any |= names.is_some();
            known.insert(address, names.into_iter().collect());
        }
        match (complete, table.is_empty()) {
            (true, _) => Symbols::Full,
            (false, false) if any => Symbols::Functions,
            (false, false) => Symbols::None(format!(
                "no function of the symbol table covers the addresses; {}",
                self.advice()
            )),
            (false, true) => Symbols::None(format!("no symbols in it: {}", self.advice())),
        }
    }
}

#[cfg(test)]
mod tests;
