//! What a file could tell, before anything is asked of it.

use std::path::Path;

use object::{Object, ObjectSection, ObjectSymbol};

use super::{Wanted, files, symbols};
use crate::model::Module;

/// What there is of names, and of what stacks are followed by, in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// The build id in hexadecimal digits; empty when there is none.
    pub build_id: String,
    /// It has debug information itself.
    pub has_debug: bool,
    /// It has none, and a file that belongs to it has.
    pub has_separate_debug: bool,
    /// It names a separate file that is not there, or is not of it.
    pub missing_debug_file: Option<String>,
    /// Functions that the symbol table names.
    pub functions: usize,
    /// It says how to follow its stacks (`.eh_frame`).
    pub has_unwind_tables: bool,
    /// Libraries that it is linked with.
    pub libraries: Vec<String>,
    /// Functions of its own that hand out memory in the place of the C library's.
    pub own_allocator: Vec<String>,
    /// Whether the loader would take these before those of any library.
    pub own_allocator_comes_first: bool,
}

/// Functions by which other allocators are known.
const OTHERS: [&str; 8] = [
    "je_malloc",
    "_rjem_malloc",
    "_rjem_je_malloc_default",
    "mi_malloc",
    "_mi_malloc_generic",
    "tc_malloc",
    "snmalloc_alloc",
    "sn_rust_alloc",
];

impl Survey {
    /// Looks at a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is no ELF file: in words.
    pub fn of(path: &Path) -> Result<Self, String> {
        let module = Module { path: path.to_string_lossy().into_owned(), ..Module::default() };
        let wanted = Wanted { module: &module, pid: 0, started: 0, addresses: &[] };
        let plain = files::find(&wanted)?;
        let Some(bytes) = plain.images().next() else { return Err("it is empty".into()) };
        let object = object::File::parse(bytes).map_err(|error| error.to_string())?;
        let build_id = object.build_id().ok().flatten().unwrap_or_default();
        let build_id: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
        // Once more, since a separate file is found by the build id.
        let module = Module { build_id: build_id.clone(), ..module.clone() };
        let found = files::find(&Wanted { module: &module, ..wanted })?;
        let has_section = |name| object.section_by_name(name).is_some_and(|it| it.size() > 0);
        let has_debug = has_section(".debug_info");
        let named = object.gnu_debuglink().ok().flatten();
        let named = named.map(|(name, _)| String::from_utf8_lossy(name).into_owned());
        let has_separate_debug = !has_debug && found.debug().is_some();
        let exported = |name: &str| {
            object.dynamic_symbols().any(|it| it.is_definition() && it.name() == Ok(name))
        };
        let all = || object.symbols().chain(object.dynamic_symbols());
        let mut own_allocator: Vec<String> = all()
            .filter(|it| it.is_definition())
            .filter_map(|it| it.name().ok())
            .filter(|name| *name == "malloc" || OTHERS.contains(name))
            .map(str::to_owned)
            .collect();
        own_allocator.sort();
        own_allocator.dedup();
        Ok(Self {
            missing_debug_file: named.filter(|_| !has_debug && !has_separate_debug),
            has_debug,
            has_separate_debug,
            functions: symbols::Table::of(found.images()).len(),
            has_unwind_tables: has_section(".eh_frame") || has_section(".debug_frame"),
            libraries: libraries(bytes).unwrap_or_default(),
            own_allocator_comes_first: exported("malloc"),
            own_allocator,
            build_id,
        })
    }
}

/// What the loader is asked to load with it.
fn libraries(bytes: &[u8]) -> Option<Vec<String>> {
    use object::read::elf::{Dyn, ElfFile64, FileHeader};
    let file = ElfFile64::<object::Endianness>::parse(bytes).ok()?;
    let endian = file.endian();
    let sections = file.elf_header().sections(endian, bytes).ok()?;
    let (entries, link) = sections.dynamic(endian, bytes).ok()??;
    let strings = sections.strings(endian, bytes, link).ok()?;
    let needed = entries.iter().filter(|it| it.tag(endian) == object::elf::DT_NEEDED);
    let names = needed.filter_map(|it| it.string(endian, strings).ok());
    Some(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}
