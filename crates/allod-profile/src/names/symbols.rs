//! The symbol table: functions by address.

use object::{Object, ObjectSymbol, SymbolKind};

/// The functions of a file and of its debug file, in the order of their addresses.
pub(super) struct Table<'a> {
    functions: Vec<Function<'a>>,
}

struct Function<'a> {
    start: u64,
    /// One past the last byte; the same as `start` where the size is not said.
    end: u64,
    name: &'a str,
}

impl<'a> Table<'a> {
    /// Reads the tables of some files: the full one, and the one for the loader.
    pub(super) fn of(files: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut functions = Vec::new();
        for bytes in files {
            let Ok(file) = object::File::parse(bytes) else { continue };
            let all = file.symbols().chain(file.dynamic_symbols());
            // Functions written in assembly may have no type.
            let kinds = [SymbolKind::Text, SymbolKind::Unknown];
            let code = all.filter(|it| it.is_definition() && kinds.contains(&it.kind()));
            functions.extend(code.filter_map(|symbol| {
                let (start, name) = (symbol.address(), symbol.name().ok()?);
                let end = start.checked_add(symbol.size())?;
                (!name.is_empty()).then_some(Function { start, end, name })
            }));
        }
        // Of several names for one function, the one that is C's own comes last:
        // `malloc` and not `__libc_malloc`.
        functions.sort_by(|a, b| {
            let underscores = |it: &Function<'_>| it.name.starts_with('_');
            (a.start, a.end, underscores(b), b.name).cmp(&(b.start, b.end, underscores(a), a.name))
        });
        Self { functions }
    }

    pub(super) fn len(&self) -> usize {
        self.functions.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// The name of the function that an address is in.
    pub(super) fn containing(&self, address: u64) -> Option<&'a str> {
        let after = self.functions.partition_point(|it| it.start <= address);
        let before = self.functions.get(..after)?;
        // Parts of functions lie within functions, and few within each other. A
        // function of unknown size reaches up to the next one.
        let found = before.iter().rev().take(8).find(|it| address < it.end);
        let found = found.or_else(|| before.last().filter(|it| it.start == it.end));
        found.map(|it| it.name)
    }
}
