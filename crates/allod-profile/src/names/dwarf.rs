//! Functions, inlined calls, files and lines, from debug information.
//!
//! `addr2line` finds the functions at an address. Of a function with a name for the
//! linker it gives that name alone, and the legacy mangling of Rust has lost the types
//! there; the entry itself has them (`DW_AT_name`), so it is looked up again.
//!
//! What a compiler leaves in other files (split debug information, `.dwo`) is not
//! looked for: names then come from the symbol table.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use addr2line::{Context, Frame};
use gimli::{
    AttributeValue, DebugInfoOffset, Dwarf, DwarfSections, EndianSlice, RunTimeEndian, Unit,
    UnitHeader, UnitOffset, UnitRef,
};
use object::{Object, ObjectSection};

use super::Named;
use super::demangle::{is_legacy_rust, merged, module_path, readable};
use super::symbols::Table;

type Slice<'a> = EndianSlice<'a, RunTimeEndian>;
type Sections<'a> = DwarfSections<Cow<'a, [u8]>>;

/// Entries that refer to entries that refer to entries: no compiler goes deeper.
const REFERENCES: usize = 16;
/// Functions inlined into each other at one address.
const DEEPEST: usize = 512;
/// Addresses between two reports of progress.
const STEP: usize = 64;

/// Fills in what is known of the addresses. Those without a function in the debug
/// information are left out.
pub(super) fn look_up(
    debug: &[u8],
    supplement: Option<&[u8]>,
    table: &Table<'_>,
    addresses: &[u64],
    known: &mut HashMap<u64, Vec<Named>>,
    progress: &mut dyn FnMut(usize),
) -> Result<(), gimli::Error> {
    let (own, endian) = sections(debug)?;
    let common = supplement.map(sections).transpose()?.map(|it| it.0);
    let mut dwarf = own.borrow_with_sup(common.as_ref(), |bytes| EndianSlice::new(bytes, endian));
    dwarf.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::Duplicates);
    let dwarf = Arc::new(dwarf);
    let context = Context::from_arc_dwarf(Arc::clone(&dwarf))?;
    let mut entries = Entries { dwarf: &dwarf, names: HashMap::new(), units: None };
    for (i, &address) in addresses.iter().enumerate() {
        if i % STEP == 0 {
            progress(i);
        }
        // What makes no sense is as good as not there.
        let names = at(&context, &mut entries, table, address).unwrap_or_default();
        if !names.is_empty() {
            known.insert(address, names);
        }
    }
    Ok(())
}

/// The sections of a file; those that are compressed, unpacked.
fn sections(bytes: &[u8]) -> Result<(Sections<'_>, RunTimeEndian), gimli::Error> {
    let object = object::File::parse(bytes).map_err(|_| gimli::Error::Io)?;
    let endian = match object.is_little_endian() {
        true => RunTimeEndian::Little,
        false => RunTimeEndian::Big,
    };
    let sections = DwarfSections::load(|id| {
        let section = object.section_by_name(id.name());
        let data = section.map(|section| section.uncompressed_data());
        data.transpose().map(Option::unwrap_or_default).map_err(|_| gimli::Error::Io)
    })?;
    Ok((sections, endian))
}

/// The functions at one address, innermost first.
fn at<'a>(
    context: &Context<Slice<'a>>,
    entries: &mut Entries<'_, 'a>,
    table: &Table<'_>,
    address: u64,
) -> Result<Vec<Named>, gimli::Error> {
    let mut frames = context.find_frames(address).skip_all_loads()?;
    let mut found = Vec::new();
    while let Some(frame) = frames.next()? {
        found.push(frame);
        if found.len() == DEEPEST {
            break;
        }
    }
    if found.iter().all(|frame| frame.function.is_none()) && table.containing(address).is_none() {
        return Ok(Vec::new());
    }
    let unit = context.find_dwarf_and_unit(address).skip_all_loads();
    let last = found.len().wrapping_sub(1);
    let symbol = table.containing(address);
    let named = found.iter().enumerate().map(|(i, frame)| {
        let symbol = symbol.filter(|_| i == last);
        named(entries, unit, frame, symbol)
    });
    Ok(named.collect())
}

/// One frame's name. `symbol` is what the symbol table says of a function that is not
/// inlined.
fn named<'a>(
    entries: &mut Entries<'_, 'a>,
    unit: Option<UnitRef<'_, Slice<'a>>>,
    frame: &Frame<'_, Slice<'a>>,
    symbol: Option<&str>,
) -> Named {
    let location = frame.location.as_ref();
    let file = location.and_then(|it| it.file).unwrap_or_default().to_owned();
    let line = location.and_then(|it| it.line).unwrap_or(0);
    let raw = frame.function.as_ref().and_then(|it| it.raw_name().ok()).unwrap_or_default();
    let is_rust = frame.function.as_ref().and_then(|it| it.language) == Some(gimli::DW_LANG_Rust);
    let is_mangled = |name: &str| name.starts_with("_Z") || name.starts_with("_R");
    // Debug information with lines alone has the function's own name and no other.
    let linkage = match symbol {
        Some(symbol) if !is_mangled(&raw) => symbol,
        _ => &raw,
    };
    let path = readable(linkage);
    let mut own = || {
        let entry = frame.dw_die_offset.zip(unit);
        entry.and_then(|(offset, unit)| entries.name(unit, offset))
    };
    let function = if is_legacy_rust(linkage) {
        let own = own();
        own.map_or_else(|| path.clone(), |own| merged(&path, &own))
    } else if is_rust && !is_mangled(linkage) && !has_path(&path) {
        module_path(&file).map_or_else(|| path.clone(), |module| format!("{module}::{path}"))
    } else {
        path
    };
    Named { function, linkage: linkage.to_owned(), file, line }
}

/// Whether the name says in which module it is. Its parameters do not.
fn has_path(name: &str) -> bool {
    name.split('<').next().is_some_and(|plain| plain.contains("::"))
}

/// The entries of functions, looked up by their place.
struct Entries<'d, 'a> {
    dwarf: &'d Dwarf<Slice<'a>>,
    /// What was found before, by the place in `.debug_info`.
    names: HashMap<usize, Option<String>>,
    /// All units, by their place, once one refers to another.
    units: Option<Units<'a>>,
}

struct Units<'a> {
    headers: Vec<(usize, UnitHeader<Slice<'a>>)>,
    open: HashMap<usize, Unit<Slice<'a>>>,
}

impl<'a> Entries<'_, 'a> {
    /// The name that the source gives a function, with its generics.
    fn name(&mut self, unit: UnitRef<'_, Slice<'a>>, offset: UnitOffset<usize>) -> Option<String> {
        let place = unit.header.offset().0.checked_add(offset.0)?;
        if let Some(name) = self.names.get(&place) {
            return name.clone();
        }
        let name = self.follow(unit, offset);
        self.names.insert(place, name.clone());
        name
    }

    fn follow(
        &mut self,
        unit: UnitRef<'_, Slice<'a>>,
        offset: UnitOffset<usize>,
    ) -> Option<String> {
        let mut next = step(&unit, offset)?;
        for _ in 0..REFERENCES {
            next = match next {
                Step::Name(name) => return Some(name),
                Step::Here(offset) => step(&unit, offset)?,
                // A reference out of the unit: from then on the other unit counts.
                Step::There(place) => self.elsewhere(place)?,
            };
        }
        None
    }

    /// The name of an entry in another unit.
    fn elsewhere(&mut self, place: usize) -> Option<Step> {
        let units = self.units.get_or_insert_with(|| {
            let mut headers = Vec::new();
            let mut all = self.dwarf.units();
            while let Ok(Some(header)) = all.next() {
                headers.push((header.offset().0, header));
            }
            Units { headers, open: HashMap::new() }
        });
        let after = units.headers.partition_point(|(start, _)| *start <= place);
        let (start, header) = units.headers.get(after.checked_sub(1)?)?;
        if !units.open.contains_key(start) {
            units.open.insert(*start, self.dwarf.unit(*header).ok()?);
        }
        let unit = units.open.get(start)?.unit_ref(self.dwarf);
        let offset = DebugInfoOffset(place).to_unit_offset(&unit.header)?;
        match step(&unit, offset)? {
            Step::Here(offset) => Some(Step::There(start.checked_add(offset.0)?)),
            other => Some(other),
        }
    }
}

/// What an entry says, or where it says to look.
enum Step {
    Name(String),
    Here(UnitOffset<usize>),
    There(usize),
}

fn step(unit: &UnitRef<'_, Slice<'_>>, offset: UnitOffset<usize>) -> Option<Step> {
    let entry = unit.entry(offset).ok()?;
    if let Some(name) = entry.attr_value(gimli::DW_AT_name)
        && let Ok(name) = unit.attr_string(name)
    {
        return Some(Step::Name(name.to_string_lossy().into_owned()));
    }
    let origin = entry.attr_value(gimli::DW_AT_abstract_origin);
    match origin.or_else(|| entry.attr_value(gimli::DW_AT_specification))? {
        AttributeValue::UnitRef(offset) => Some(Step::Here(offset)),
        AttributeValue::DebugInfoRef(DebugInfoOffset(place)) => Some(Step::There(place)),
        _ => None,
    }
}
