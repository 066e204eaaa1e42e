//! What kind of file `liballod.so` is.

use crate::library::library;
use object::elf;
use object::read::elf::{Dynamic, ElfFile64, FileHeader, ProgramHeader};
use object::{Object, ObjectSection, ObjectSymbol};
use std::collections::BTreeSet;

type Elf<'data> = ElfFile64<'data>;

/// Everything that the library shows, and nothing else may be.
const SYMBOLS: &str = "
    malloc free calloc realloc reallocarray
    posix_memalign aligned_alloc memalign valloc pvalloc
    free_sized free_aligned_sized cfree
    malloc_usable_size malloc_trim mallinfo mallinfo2 mallopt malloc_info malloc_stats

    __libc_malloc __libc_calloc __libc_realloc __libc_free
    __libc_memalign __libc_valloc __libc_pvalloc __libc_cfree

    _Znwm _ZnwmRKSt9nothrow_t _ZnwmSt11align_val_t _ZnwmSt11align_val_tRKSt9nothrow_t
    _Znam _ZnamRKSt9nothrow_t _ZnamSt11align_val_t _ZnamSt11align_val_tRKSt9nothrow_t

    _ZdlPv _ZdlPvRKSt9nothrow_t _ZdlPvSt11align_val_t _ZdlPvSt11align_val_tRKSt9nothrow_t
    _ZdlPvm _ZdlPvmSt11align_val_t
    _ZdaPv _ZdaPvRKSt9nothrow_t _ZdaPvSt11align_val_t _ZdaPvSt11align_val_tRKSt9nothrow_t
    _ZdaPvm _ZdaPvmSt11align_val_t

    dlopen

    allod_dump allod_profile_interval
";

/// Libraries that every process has anyway.
const MAY_NEED: [&str; 2] = ["libc.so.6", "ld-linux-x86-64.so.2"];

fn with_file(check: impl FnOnce(&Elf<'_>)) {
    let bytes = std::fs::read(library()).expect("the library can be read");
    check(&Elf::parse(&*bytes).expect("an ELF file of 64 bits"));
}

/// The value of one entry of the dynamic section, if there is such an entry.
fn value(file: &Elf<'_>, tag: elf::DynamicTag) -> Option<Dynamic> {
    let table = file.elf_dynamic_table().expect("a dynamic section");
    table.iter().find(|entry| entry.tag == tag)
}

fn number(file: &Elf<'_>, tag: elf::DynamicTag) -> u64 {
    value(file, tag).map_or(0, |entry| entry.val)
}

#[test]
fn shows_these_symbols_and_no_others() {
    with_file(|file| {
        let shown: BTreeSet<_> = file
            .dynamic_symbols()
            .filter(|symbol| symbol.is_definition())
            .map(|symbol| symbol.name().expect("a name").to_owned())
            .collect();
        let meant: BTreeSet<_> = SYMBOLS.split_whitespace().map(str::to_owned).collect();
        assert_eq!(meant.len(), 51, "20 of C, 8 aliases, 20 of C++, the loader's, 2 of ours");
        let more: Vec<_> = shown.difference(&meant).collect();
        let fewer: Vec<_> = meant.difference(&shown).collect();
        assert!(more.is_empty() && fewer.is_empty(), "too many: {more:?}, missing: {fewer:?}");
    });
}

#[test]
fn needs_the_c_library_and_no_other() {
    with_file(|file| {
        for library in file.import_libraries().expect("readable") {
            let library = library.expect("readable");
            let name = String::from_utf8_lossy(library.name());
            assert!(MAY_NEED.contains(&&*name), "it needs {name}");
        }
    });
}

/// A C program has no C++ library: what we want of one is weak.
#[test]
fn asks_for_the_cxx_library_weakly() {
    with_file(|file| {
        for symbol in file.dynamic_symbols().filter(ObjectSymbol::is_undefined) {
            let name = symbol.name().expect("a name");
            let cxx = name.starts_with("_Z") || name.starts_with("__cxa_") || name.contains("gxx");
            let of_libc = matches!(name, "__cxa_atexit" | "__cxa_finalize");
            assert!(!cxx || of_libc || symbol.is_weak(), "{name} is wanted");
        }
    });
}

#[test]
fn is_called_liballod_so() {
    with_file(|file| {
        let name = value(file, elf::DT_SONAME).expect("a name");
        let table = file.elf_dynamic_table().expect("a dynamic section");
        assert_eq!(table.string(name), Ok(&b"liballod.so"[..]));
    });
}

#[test]
fn has_few_thread_local_bytes() {
    with_file(|file| {
        let (endian, data) = (file.endian(), file.data());
        let headers = file.elf_header().program_headers(endian, data).expect("program headers");
        let bytes: u64 = headers
            .iter()
            .filter(|header| header.p_type(endian) == elf::PT_TLS)
            .map(|header| header.p_memsz(endian))
            .sum();
        // A library that is loaded late shares a small reserve with all others.
        assert!(bytes <= 64, "{bytes} bytes");
    });
}

#[test]
fn stays_loaded_comes_first_and_has_no_text_relocations() {
    with_file(|file| {
        let flags = number(file, elf::DT_FLAGS);
        let flags_1 = number(file, elf::DT_FLAGS_1);
        assert_ne!(flags_1 & elf::DF_1_NODELETE.0, 0, "nodelete: {flags_1:#x}");
        assert_ne!(flags_1 & elf::DF_1_INITFIRST.0, 0, "initfirst: {flags_1:#x}");
        assert_eq!(flags_1 & elf::DF_1_NOOPEN.0, 0, "nodlopen: {flags_1:#x}");
        assert_eq!(flags & elf::DF_TEXTREL.0, 0, "text relocations: {flags:#x}");
        assert!(value(file, elf::DT_TEXTREL).is_none(), "text relocations");
    });
}

/// A tiny process pays for the pages of the file that it touches: `layout.ld` has what all
/// run and write lie together.
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
#[test]
fn what_every_process_touches_lies_together() {
    const PAGE: u64 = 4096;
    // The map's two roots, which stand first: every process fills them, so that the loader
    // writes to no page that is not written to anyway.
    const ROOTS: u64 = 8 * PAGE;
    with_file(|file| {
        let (endian, data) = (file.endian(), file.data());
        let headers = file.elf_header().program_headers(endian, data).expect("program headers");
        let range = |kind, flags| {
            headers.iter().filter(move |it| {
                it.p_type(endian) == kind && it.p_flags(endian).0 & elf::PF_W.0 == flags
            })
        };
        let relocated = range(elf::PT_GNU_RELRO, 0).next().expect("what the loader relocates");
        let start = relocated.p_vaddr(endian);
        assert!(start % PAGE == 0 && relocated.p_memsz(endian) <= PAGE, "one page of it");
        let written = range(elf::PT_LOAD, elf::PF_W.0).next_back().expect("data");
        let first = written.p_vaddr(endian);
        assert_eq!(written.p_filesz(endian), written.p_memsz(endian), "zeros are among the data");
        for (place, _) in file.dynamic_relocations().expect("relocations") {
            let is_near = (start..first + ROOTS).contains(&place);
            assert!(is_near, "the loader writes to {place:#x}, not near {first:#x}");
        }
        let section = |name| file.section_by_name(name).expect("a section").index();
        let (common, rare) = (section(".text"), section(".text.rare"));
        let of = |index| file.section_by_index(index).expect("a section").size();
        assert!(of(common) <= 112 << 10, "{} bytes that all run", of(common));
        assert!(of(rare) >= 64 << 10, "{} bytes that few run", of(rare));
        for symbol in file.symbols().filter(|it| it.section_index() == Some(common)) {
            let name = symbol.name().expect("a name");
            let is_rare = ["5allod6harden", "5allod6unwind", "5allod7profile5write"];
            assert!(!is_rare.iter().any(|room| name.contains(room)), "{name} is among them");
        }
    });
}

/// A throwing `new` must have nothing of Rust's on the stack when it throws:
/// from its start to its last `ret` it calls nothing, it only jumps.
#[cfg(target_arch = "x86_64")]
#[test]
fn operator_new_calls_nothing() {
    use iced_x86::{Decoder, DecoderOptions, FlowControl};
    with_file(|file| {
        for name in ["_Znwm", "_Znam"] {
            let symbol = file
                .dynamic_symbols()
                .find(|symbol| symbol.name() == Ok(name))
                .unwrap_or_else(|| panic!("there is no {name}"));
            let section = symbol.section_index().expect("a section");
            let section = file.section_by_index(section).expect("a section");
            let code = section
                .data_range(symbol.address(), symbol.size())
                .expect("readable")
                .expect("inside the section");
            let decoder = Decoder::with_ip(64, code, symbol.address(), DecoderOptions::NONE);
            let mut jumps_out = 0;
            for instruction in decoder {
                match instruction.flow_control() {
                    FlowControl::Call | FlowControl::IndirectCall => {
                        panic!("{name} calls at {:#x}", instruction.ip())
                    }
                    FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
                        let target = instruction.near_branch_target();
                        let inside = symbol.address()..symbol.address() + symbol.size();
                        jumps_out += usize::from(!inside.contains(&target));
                    }
                    _ => {}
                }
            }
            assert!(jumps_out > 0, "{name} has no slow path");
        }
    });
}
