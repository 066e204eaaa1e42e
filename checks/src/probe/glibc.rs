//! Rows 19 to 22: what glibc adds, and newer names of C and POSIX.
//!
//! A function that a preloaded library leaves out is glibc's own, which works
//! on a heap that the program does not use. So these rows also ask who answers.
#![allow(unsafe_code)]

use crate::row::{Context, Outcome, Row, ensure, pass, pass_with};
use allod_checks::block::Block;
use allod_checks::c::{self, functions, served_with_malloc, symbol};
use allod_checks::memory::{self, MIB};
use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};

pub(crate) const ROWS: &[Row] = &[
    Row::new(19, "free_sized", "frees; NULL is allowed", "C23 7.24.3.4", free_sized),
    Row::new(
        19,
        "free_aligned_sized",
        "frees; NULL is allowed",
        "C23 7.24.3.5",
        free_aligned_sized,
    ),
    Row::new(19, "reallocarray", "works as realloc of the product", "POSIX.1-2024", reallocarray),
    Row::new(
        20,
        "statistics-served",
        "malloc_trim, mallinfo, mallinfo2, malloc_info, malloc_stats, mallopt, \
         malloc_usable_size, reallocarray, pvalloc: by the library that has malloc",
        "quality: otherwise glibc's answer about an empty heap",
        statistics_served,
    ),
    Row::new(
        20,
        "trim-returns-memory",
        "after malloc_trim(0), 64 MiB of freed blocks are back at the system",
        "malloc_trim(3)",
        trim,
    ),
    Row::new(
        20,
        "mallinfo2-follows",
        "uordblks + hblkhd rise and fall with 2 MiB, in one block and in many",
        "mallinfo(3)",
        mallinfo2,
    ),
    Row::new(20, "mallinfo", "answers", "mallinfo(3)", mallinfo),
    Row::new(20, "malloc_info", "XML; options other than 0: EINVAL", "malloc_info(3)", malloc_info),
    Row::new(20, "malloc_stats", "prints to descriptor 2", "malloc_stats(3)", malloc_stats),
    Row::new(
        20,
        "statistics-agree",
        "mallinfo2, mallinfo, malloc_info and malloc_stats say the same, and it adds up",
        "quality: ours alone",
        statistics_agree,
    ),
    Row::new(20, "mallopt", "1 for M_MMAP_THRESHOLD and M_ARENA_MAX", "mallopt(3)", mallopt),
    Row::new(
        21,
        "no-hooks",
        "no __malloc_hook, __free_hook, ...: gone since glibc 2.34",
        "glibc NEWS 2.34",
        no_hooks,
    ),
    Row::new(
        22,
        "libc-aliases",
        "__libc_malloc and the others that exist come from the library that has malloc",
        "quality: old programs call them",
        aliases,
    ),
    Row::new(
        22,
        "heap-dump",
        "allod_dump writes a file that begins as dumps do; -1 and errno where it can't; \
         allod_profile_interval takes what is in range",
        "quality: ours alone",
        heap_dump,
    ),
];

fn heap_dump(_: &Context) -> Outcome {
    let dump = functions().allod_dump.ok_or("there is no allod_dump")?;
    let interval =
        functions().allod_profile_interval.ok_or("there is no allod_profile_interval")?;
    // SAFETY: any number is allowed.
    let set = [0, 4096, usize::MAX].map(|bytes| unsafe { interval(bytes) });
    ensure!(set == [0, 0, -1], "{set:?}");
    let path = std::env::temp_dir().join(format!("allod-check-{}.heap", std::process::id()));
    let name = path.to_str().map(|path| format!("{path}\0")).ok_or("no path")?;
    let name = CStr::from_bytes_with_nul(name.as_bytes()).map_err(|why| why.to_string())?;
    // SAFETY: the name ends in a zero.
    let written = unsafe { dump(name.as_ptr()) };
    let bytes = std::fs::read(&path).unwrap_or_default();
    let _ = std::fs::remove_file(&path);
    ensure!(written == 0 && bytes.starts_with(b"allodhd1"), "{written}, {} bytes", bytes.len());
    for name in [c"/nowhere/at/all".as_ptr(), std::ptr::null()] {
        // SAFETY: NULL is allowed, and the name ends in a zero.
        let refused = unsafe { dump(name) };
        ensure!(refused == -1, "{refused}");
    }
    pass()
}

fn free_sized(_: &Context) -> Outcome {
    let free_sized = functions().free_sized.ok_or("there is no free_sized")?;
    ensure!(served_with_malloc(c"free_sized"), "another library answers");
    // SAFETY: NULL is allowed.
    unsafe { free_sized(std::ptr::null_mut(), 100) };
    for round in 0..3 {
        for size in (0..3000).chain([4096, 5000, 40_000, 300_000, 3 << 20, 50 << 20]) {
            let block = match round {
                0 => Block::malloc(size),
                1 => Block::calloc(1, size),
                _ => Block::malloc(10).and_then(|block| block.realloc(size.max(1)).ok()),
            };
            block.ok_or("NULL")?.free_sized();
        }
    }
    pass()
}

fn free_aligned_sized(_: &Context) -> Outcome {
    let free = functions().free_aligned_sized.ok_or("there is no free_aligned_sized")?;
    ensure!(served_with_malloc(c"free_aligned_sized"), "another library answers");
    // SAFETY: NULL is allowed.
    unsafe { free(std::ptr::null_mut(), 64, 100) };
    for bits in 0..22 {
        for size in [0, 1, 100, 1000, 1 << bits, (1 << bits) + 1, 70_000] {
            let align = 1 << bits;
            let block = Block::aligned_alloc(align, size);
            block.ok_or(format!("align {align}, size {size}: NULL"))?.free_aligned_sized(align);
        }
    }
    pass()
}

fn reallocarray(_: &Context) -> Outcome {
    let mut block = Block::malloc(100).ok_or("NULL")?;
    block.fill(1);
    let grown = block.reallocarray(1000, 7).ok_or("there is no reallocarray")?;
    let mut block = grown.map_err(|_| "NULL")?;
    ensure!(block.holds(1, 100), "contents lost");
    block.fill(2);
    let shrunk = block.reallocarray(5, 10).ok_or("there is no reallocarray")?;
    ensure!(shrunk.map_err(|_| "NULL")?.holds(2, 50), "contents lost");
    pass()
}

fn statistics_served(_: &Context) -> Outcome {
    let missing: Vec<_> = [
        c"malloc_trim",
        c"mallinfo",
        c"mallinfo2",
        c"malloc_info",
        c"malloc_stats",
        c"mallopt",
        c"malloc_usable_size",
        c"reallocarray",
        c"pvalloc",
    ]
    .into_iter()
    .filter(|name| !served_with_malloc(name))
    .filter_map(|name| name.to_str().ok())
    .collect();
    ensure!(missing.is_empty(), "another library answers: {}", missing.join(", "));
    pass()
}

fn trim(_: &Context) -> Outcome {
    let trim = functions().malloc_trim.ok_or("there is no malloc_trim")?;
    let mut blocks: Vec<Option<Block>> = Vec::with_capacity(2 * (64 << 10));
    // SAFETY: any number is allowed.
    unsafe { trim(0) };
    let before = memory::resident();
    for _ in 0..64 << 10 {
        let mut block = Block::malloc(1000).ok_or("NULL")?;
        block.touch(500);
        blocks.push(Some(block));
    }
    let full = memory::resident();
    // Every second block first, so that no order is the lucky one.
    blocks.iter_mut().step_by(2).for_each(|block| drop(block.take()));
    blocks.iter_mut().for_each(|block| drop(block.take()));
    // SAFETY: any number is allowed.
    let result = unsafe { trim(0) };
    let after = memory::resident();
    let remark = format!(
        "{} MiB, then {}, then {}",
        before / MIB,
        full.saturating_sub(before) / MIB,
        after.saturating_sub(before) / MIB
    );
    ensure!(full >= before + 48 * MIB, "the blocks were not counted: {remark}");
    ensure!(after <= before + 8 * MIB, "{remark}");
    ensure!(result == 0 || result == 1, "returned {result}");
    // SAFETY: any number is allowed.
    let again = unsafe { trim(0) };
    ensure!(again == 0 || again == 1, "returned {again}");
    pass_with(remark)
}

fn mallinfo2(_: &Context) -> Outcome {
    let mallinfo2 = functions().mallinfo2.ok_or("there is no mallinfo2")?;
    let in_use = || {
        // SAFETY: `mallinfo2` has no conditions.
        let info = unsafe { mallinfo2() };
        info.uordblks + info.hblkhd
    };
    let mut blocks: Vec<Block> = Vec::with_capacity(5000);
    for (what, count, size) in [("one block", 1, 2 * MIB), ("2048 blocks", 2048, 1024)] {
        let before = in_use();
        for _ in 0..count {
            blocks.push(Block::malloc(size).ok_or("NULL")?);
        }
        let with = in_use();
        blocks.clear();
        let after = in_use();
        let rise = with.wrapping_sub(before).cast_signed();
        let fall = with.wrapping_sub(after).cast_signed();
        let about_2_mib = (19 * (MIB / 10)).cast_signed()..=(26 * (MIB / 10)).cast_signed();
        ensure!(about_2_mib.contains(&rise), "{what} of 2 MiB: {rise} bytes more");
        ensure!(about_2_mib.contains(&fall), "{what} of 2 MiB freed: {fall} bytes less");
    }
    // SAFETY: `mallinfo2` has no conditions.
    let info = unsafe { mallinfo2() };
    ensure!(info.arena >= info.uordblks, "arena {} < uordblks {}", info.arena, info.uordblks);
    pass()
}

fn mallinfo(_: &Context) -> Outcome {
    let mallinfo = functions().mallinfo.ok_or("there is no mallinfo")?;
    let _block = Block::malloc(100_000);
    // SAFETY: `mallinfo` has no conditions.
    let info = unsafe { mallinfo() };
    let in_use = info.uordblks + info.hblkhd;
    ensure!(in_use >= 100_000, "{in_use} bytes in use");
    pass()
}

fn malloc_info(_: &Context) -> Outcome {
    let malloc_info = functions().malloc_info.ok_or("there is no malloc_info")?;
    // SAFETY: `tmpfile` has no conditions.
    let stream = unsafe { libc::tmpfile() };
    ensure!(!stream.is_null(), "tmpfile: {}", std::io::Error::last_os_error());
    c::set_errno(0);
    // SAFETY: the stream is open.
    let refused = unsafe { malloc_info(1, stream) };
    let errno = c::errno();
    ensure!(
        refused == libc::EINVAL || (refused == -1 && errno == libc::EINVAL),
        "options 1: {refused}, errno {errno}"
    );
    // SAFETY: the stream is open.
    let result = unsafe { malloc_info(0, stream) };
    ensure!(result == 0, "returned {result}");
    // SAFETY: the stream is open.
    unsafe { libc::rewind(stream) };
    let mut bytes = vec![0_u8; 1 << 20];
    // SAFETY: `bytes` can be written for its length, and the stream is open.
    let count = unsafe { libc::fread(bytes.as_mut_ptr().cast(), 1, bytes.len(), stream) };
    bytes.truncate(count);
    let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
    ensure!(text.starts_with("<malloc"), "it begins with {:?}", text.lines().next());
    well_formed(&text)?;
    pass_with(format!("{count} bytes"))
}

/// Elements nest, attributes are quoted, nothing is between the elements but
/// space. That is all of XML that this output uses.
fn well_formed(mut text: &str) -> Result<(), String> {
    let mut open = Vec::new();
    let mut roots = 0;
    while let Some(begin) = text.find('<') {
        ensure!(text[..begin].trim().is_empty(), "words between elements: {:?}", &text[..begin]);
        let end = text.find('>').ok_or("an element without an end")?;
        let inside = &text[begin + 1..end];
        text = &text[end + 1..];
        if let Some(name) = inside.strip_prefix('/') {
            ensure!(open.pop() == Some(name.trim()), "</{name}> closes another");
            continue;
        }
        let (body, closed) = inside.strip_suffix('/').map_or((inside, false), |body| (body, true));
        let (name, attributes) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
        ensure!(!name.is_empty() && !name.contains(['"', '=', '&']), "an element <{inside}>");
        let quotes = attributes.split('"');
        ensure!(
            attributes.trim().is_empty()
                || quotes.clone().count() % 2 == 1
                    && quotes.step_by(2).all(|key| key.trim().is_empty() || key.ends_with('=')),
            "attributes {attributes}"
        );
        roots += usize::from(open.is_empty());
        if !closed {
            open.push(name);
        }
    }
    ensure!(text.trim().is_empty(), "words after the end: {text:?}");
    ensure!(open.is_empty() && roots == 1, "{roots} roots, open at the end: {open:?}");
    Ok(())
}

fn malloc_stats(_: &Context) -> Outcome {
    let malloc_stats = functions().malloc_stats.ok_or("there is no malloc_stats")?;
    // SAFETY: `malloc_stats` has no conditions.
    let text = printed(|| unsafe { malloc_stats() })?;
    ensure!(text.lines().count() >= 2, "it printed {text:?}");
    pass_with(format!("{} lines", text.lines().count()))
}

/// What `print` writes to descriptor 2, if it fits into a pipe.
fn printed(print: impl FnOnce()) -> Result<String, String> {
    let mut ends = [0; 2];
    // SAFETY: `ends` can be written.
    let result = unsafe { libc::pipe(ends.as_mut_ptr()) };
    ensure!(result == 0, "pipe: {}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is open and nobody else's.
    let mut reader = unsafe { File::from_raw_fd(ends[0]) };
    // SAFETY: the descriptor is open and nobody else's.
    let writer = unsafe { File::from_raw_fd(ends[1]) };
    // SAFETY: both are open descriptors; 2 is put back below.
    let saved = unsafe { libc::dup(2) };
    // SAFETY: as above.
    unsafe { libc::dup2(writer.as_raw_fd(), 2) };
    print();
    // SAFETY: as above.
    unsafe { libc::dup2(saved, 2) };
    // SAFETY: the descriptor is ours, and not used again.
    unsafe { libc::close(saved) };
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// The number in quotes behind `key`, behind `element`.
fn attribute(text: &str, element: &str, key: &str) -> Result<usize, String> {
    let number = || {
        let (_, rest) = text.split_once(element)?;
        let (rest, _) = rest.split_once('>')?;
        let (_, rest) = rest.split_once(&format!(" {key}=\""))?;
        rest.split('"').next()?.parse().ok()
    };
    number().ok_or_else(|| format!("no {key} in {element}: {text}"))
}

fn statistics_agree(_: &Context) -> Outcome {
    let all = functions();
    let mallinfo2 = all.mallinfo2.ok_or("there is no mallinfo2")?;
    let mallinfo = all.mallinfo.ok_or("there is no mallinfo")?;
    let malloc_info = all.malloc_info.ok_or("there is no malloc_info")?;
    let malloc_stats = all.malloc_stats.ok_or("there is no malloc_stats")?;
    let _kept: Vec<_> = (1..3000).filter_map(|i| Block::malloc(i % 700 + 1)).step_by(3).collect();
    // SAFETY: `mallinfo2` has no conditions.
    let before = unsafe { mallinfo2() };
    let _large = (Block::malloc(300_000), Block::malloc(5 * MIB), Block::malloc(3 * MIB));
    let mut bytes = vec![0_u8; 1 << 16];
    // SAFETY: the buffer can be written for its length, and outlives the stream.
    let stream = unsafe { libc::fmemopen(bytes.as_mut_ptr().cast(), bytes.len(), c"w".as_ptr()) };
    ensure!(!stream.is_null(), "fmemopen: {}", std::io::Error::last_os_error());
    // Once before, so that the stream has all it allocates.
    // SAFETY: the stream is open.
    unsafe { malloc_info(0, stream) };
    // SAFETY: the stream is open.
    unsafe { libc::rewind(stream) };
    // SAFETY: `mallinfo2` has no conditions.
    let info = unsafe { mallinfo2() };
    // SAFETY: `mallinfo` has no conditions.
    let old = unsafe { mallinfo() };
    // SAFETY: the stream is open.
    let result = unsafe { malloc_info(0, stream) };
    // SAFETY: the stream is open.
    let end = unsafe { libc::ftell(stream) };
    // SAFETY: `malloc_stats` has no conditions.
    let words = printed(|| unsafe { malloc_stats() });
    // SAFETY: the stream is open, and not used again.
    unsafe { libc::fclose(stream) };
    ensure!(result == 0, "malloc_info: {result}");
    let bytes = usize::try_from(end).ok().and_then(|end| bytes.get(..end)).ok_or("no end")?;
    let text = String::from_utf8_lossy(bytes).into_owned();
    well_formed(&text)?;

    ensure!(info.arena == info.uordblks + info.fordblks, "{info:?} does not add up");
    let huge = (info.hblks - before.hblks, info.hblkhd - before.hblkhd);
    ensure!(huge == (2, 8 * MIB), "{huge:?} is not the two huge objects: {info:?}");
    ensure!(info.ordblks > 0 && info.fordblks >= info.fsmblks + info.keepcost, "{info:?}");
    let olds = [old.arena, old.ordblks, old.smblks, old.hblks, old.hblkhd, old.fsmblks];
    let news = [info.arena, info.ordblks, info.smblks, info.hblks, info.hblkhd, info.fsmblks];
    ensure!(olds.map(|number| number as usize) == news, "{old:?}, {info:?}");
    let olds = [old.uordblks, old.fordblks, old.keepcost].map(|number| number as usize);
    ensure!(olds == [info.uordblks, info.fordblks, info.keepcost], "{old:?}, {info:?}");

    let (_, whole) = text.split_once("</heap>").ok_or("no heap")?;
    for (element, key, number) in [
        ("<total type=\"fast\"", "count", info.smblks),
        ("<total type=\"fast\"", "size", info.fsmblks),
        ("<total type=\"rest\"", "count", info.ordblks),
        ("<total type=\"rest\"", "size", info.fordblks - info.fsmblks),
        ("<total type=\"mmap\"", "count", info.hblks),
        ("<total type=\"mmap\"", "size", info.hblkhd),
        ("<system type=\"current\"", "size", info.arena),
        ("<allod", "allocated", info.uordblks + info.hblkhd),
        ("<allod", "huge", info.hblkhd),
        ("<allod", "retained", info.keepcost),
        ("<allod", "cached", info.fsmblks),
    ] {
        let found = attribute(whole, element, key)?;
        ensure!(found == number, "{element} {key}=\"{found}\", and {number} in {info:?}");
    }
    let of_ours = |key| attribute(whole, "<allod", key);
    let active =
        of_ours("allocated")? + of_ours("cached")? + of_ours("free")? + of_ours("uncarved")?;
    ensure!(active == of_ours("active")?, "the ledger does not add up: {whole}");
    let words = words?;
    for line in words.lines().skip(1) {
        let (name, number) = line.split_once(' ').ok_or(line)?;
        let number = number.trim().parse::<usize>().map_err(|error| error.to_string())?;
        // Looking at what is resident costs a page or two the first time.
        let slack = if name == "resident" { MIB } else { 0 };
        let other = of_ours(name)?;
        ensure!(number.abs_diff(other) <= slack, "{name}: {number} and {other}");
    }
    ensure!(words.lines().count() == 12, "{words}");
    pass()
}

fn mallopt(_: &Context) -> Outcome {
    let mallopt = functions().mallopt.ok_or("there is no mallopt")?;
    for (name, option, value) in [
        ("M_MMAP_THRESHOLD", libc::M_MMAP_THRESHOLD, 256 << 10),
        ("M_ARENA_MAX", libc::M_ARENA_MAX, 2),
    ] {
        // SAFETY: the option exists and takes any positive number.
        let result = unsafe { mallopt(option, value) };
        ensure!(result == 1, "{name}: {result}");
    }
    ensure!(Block::malloc(1000).is_some(), "malloc afterwards: NULL");
    pass()
}

fn no_hooks(_: &Context) -> Outcome {
    for name in [
        c"__malloc_hook",
        c"__free_hook",
        c"__realloc_hook",
        c"__memalign_hook",
        c"__malloc_initialize_hook",
        c"__after_morecore_hook",
    ] {
        ensure!(!served_with_malloc(name), "there is {name:?}");
    }
    pass()
}

fn aliases(_: &Context) -> Outcome {
    let names: [&CStr; 8] = [
        c"__libc_malloc",
        c"__libc_calloc",
        c"__libc_realloc",
        c"__libc_free",
        c"__libc_memalign",
        c"__libc_valloc",
        c"__libc_pvalloc",
        c"__libc_cfree",
    ];
    let present: Vec<_> = names.into_iter().filter(|name| symbol(name).is_some()).collect();
    for name in &present {
        ensure!(served_with_malloc(name), "{name:?} is another library's");
    }
    pass_with(format!("{} of 8 exist", present.len()))
}
