//! Round trips, profiles of others, and bytes that are none.

use super::proto::MARK;
use super::*;
use crate::assemble::without_names;
use crate::model::{Amount, Frame, Site, Symbols};
use crate::raw::Dump;
use crate::raw::tests::full;

/// A profile in which everything is something, with inlined frames cut by trimming.
pub(crate) fn sample() -> Profile {
    let mut profile = without_names(&Dump::parse(&full()).expect("a dump"));
    profile.modules[0].symbols = Symbols::Full;
    profile.modules[1].symbols = Symbols::None("gone".into());
    let frame = |address, function: &str, line, inlined| Frame {
        address,
        module: Some(0),
        function: function.into(),
        linkage: format!("_Z{function}"),
        file: "src/main.rs".into(),
        line,
        inlined,
    };
    profile.frames = vec![
        Frame { address: 0x7100, module: Some(1), ..Frame::default() },
        frame(0x3100, "__rust_alloc", 4, true),
        frame(0x3100, "Box::new", 5, true),
        frame(0x3100, "app::load", 6, false),
        frame(0x3200, "main", 7, false),
        Frame { address: 0xffff_0000, ..Frame::default() },
        frame(0x3300, "app::parse", 8, false),
    ];
    let amount = |n: f64| Amount { count: n + 0.25, bytes: n * 64.5, variance: n * n };
    let site = |n: f64, trimmed: &[usize], stack: &[usize]| Site {
        stack: stack.to_vec(),
        block_size: 64,
        thread: 11,
        label: "GET /".into(),
        rust_type: "app::Order".into(),
        truncated: n > 5.0,
        allocated: amount(5.0 * n),
        live: amount(n),
        peak: amount(2.0 * n),
        short: amount(n / 2.0),
        remote: amount(n / 4.0),
        requested: n * 60.0,
        lifetimes: vec![n; 16],
        history: vec![n, 2.0 * n],
        trimmed: trimmed.to_vec(),
    };
    profile.sites = vec![site(10.0, &[0, 1], &[2, 3, 4]), site(3.0, &[], &[5, 6, 4])];
    profile.sites[1].label.clear();
    profile.sites[1].rust_type.clear();
    profile.sites[1].thread = 0;
    profile
}

fn written(profile: &Profile) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(profile, &mut bytes).expect("memory takes it");
    bytes
}

#[test]
fn what_is_written_is_read() {
    for profile in [sample(), without_names(&Dump::parse(&full()).expect("a dump"))] {
        let back = read(&written(&profile)).expect("a profile");
        let (before, after) = (format!("{profile:#?}"), format!("{back:#?}"));
        assert!(before == after, "{before}\n\n{after}");
    }
}

#[test]
fn others_find_what_they_know() {
    let message = proto::Profile::decode(&*encode::message(&sample(), SHOWN).encode_to_vec());
    let message = message.expect("a message");
    let text = |place: i64| &*message.string_table[place as usize];
    assert_eq!(text(0), "");
    assert_eq!(text(message.default_sample_type), "inuse_space");
    let kinds: Vec<_> =
        message.sample_type.iter().map(|it| (text(it.kind), text(it.unit))).collect();
    assert_eq!(kinds, VALUES);
    assert_eq!(message.sample[0].value, [50, 3225, 10, 645, 20, 1290, 5, 323, 3, 161]);
    let period = message.period_type.expect("a period");
    assert_eq!((text(period.kind), text(period.unit), message.period), ("space", "bytes", 65536));
    assert_eq!(message.duration_nanos, 5_000_000_000);
    // Two functions at one address are one location.
    assert_eq!(message.sample[0].location_id.len(), 2);
    let id = message.sample[0].location_id[0];
    let location = message.location.iter().find(|it| it.id == id).expect("a location");
    let names = location.line.iter().map(|line| {
        let function = message.function.iter().find(|it| it.id == line.function_id);
        text(function.expect("a function").name)
    });
    assert_eq!(names.collect::<Vec<_>>(), ["Box::new", "app::load"]);
    let labels = message.sample[0].label.iter().map(|it| (text(it.key), text(it.text), it.number));
    let wanted =
        [("bytes", "", 64), ("thread", "11", 0), ("task", "GET /", 0), ("type", "app::Order", 0)];
    assert_eq!(labels.collect::<Vec<_>>(), wanted);
    let mapping = &message.mapping[0];
    assert_eq!((mapping.id, mapping.memory_start, mapping.has_inline_frames), (1, 0x1000, true));
    assert_eq!(text(mapping.filename), "/bin/pro gram");
}

/// The bytes of a message without the comment that is ours.
fn stripped(profile: &Profile) -> Vec<u8> {
    let mut message = encode::message(profile, SHOWN);
    message.comment.clear();
    message.encode_to_vec()
}

#[test]
fn a_profile_of_others_is_read_as_far_as_it_goes() {
    let ours = sample();
    let profile = read(&stripped(&ours)).expect("a profile");
    assert_eq!(profile.program, "/bin/pro gram");
    assert_eq!(profile.interval, 65536);
    assert_eq!(profile.sites[0].live, Amount { count: 10.0, bytes: 645.0, variance: 0.0 });
    assert_eq!(profile.sites[0].rust_type, "app::Order");
    assert_eq!(profile.ledger.live, 645 + 194);
    assert_eq!(profile.modules[0].symbols, Symbols::Full);
    // What was not written cannot be there.
    assert!(profile.sites[0].trimmed.is_empty() && profile.classes.is_empty());
}

#[test]
fn values_that_others_changed_are_believed() {
    let mut message = encode::message(&sample(), SHOWN);
    message.sample[0].value[3] *= 2;
    let profile = read(&message.encode_to_vec()).expect("a profile");
    assert_eq!(profile.sites[0].live, Amount { count: 10.0, bytes: 1290.0, variance: 0.0 });
    assert_eq!(profile.sites[1].live.bytes, 3.0 * 64.5);
}

#[test]
fn no_field_has_a_number_that_others_do_not_know() {
    let bytes = encode::message(&sample(), SHOWN).encode_to_vec();
    let mut rest = &*bytes;
    while !rest.is_empty() {
        let (tag, kind) = prost::encoding::decode_key(&mut rest).expect("a field");
        assert!(tag <= 14, "{tag}");
        prost::encoding::skip_field(kind, tag, &mut rest, Default::default()).expect("a value");
    }
    let message = encode::message(&sample(), SHOWN);
    let comment = &message.string_table[message.comment[0] as usize];
    assert!(comment.starts_with(MARK) && comment.starts_with('#'), "or it is shown");
}

#[test]
fn samples_that_others_took_out_take_what_is_ours_along() {
    let mut message = encode::message(&sample(), SHOWN);
    message.sample.remove(0);
    let profile = read(&message.encode_to_vec()).expect("a profile");
    assert_eq!(profile.sites[0].live, Amount { count: 3.0, bytes: 194.0, variance: 0.0 });
    assert_eq!(profile.ledger.peak_live, 2000, "which is of the whole process");
}

#[test]
fn what_is_no_profile_of_memory_is_refused() {
    let refused = |bytes: &[u8]| read(bytes).expect_err("no profile").to_string();
    assert!(refused(b"").contains("no values"), "{}", refused(b""));
    assert!(refused(b"hello, world").contains("neither"));
    assert!(refused(b"\x1f\x8b\x08\x00 cut").contains("neither"));
    let mut message = encode::message(&sample(), SHOWN);
    for kind in &mut message.sample_type {
        kind.kind = 0;
    }
    message.sample_type.truncate(1);
    message.string_table[0] = "cpu".into();
    let refused = refused(&message.encode_to_vec());
    assert!(refused.ends_with("not of memory: its values are cpu"), "{refused}");
}

#[test]
fn damaged_profiles_do_no_harm() {
    let whole = encode::message(&sample(), SHOWN).encode_to_vec();
    let mut state = 0x1234_5678_9abc_def0_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let mut read_anyway = 0;
    for _ in 0..4000 {
        let mut bytes = whole.clone();
        for _ in 0..=next() % 4 {
            let at = next() % bytes.len();
            bytes[at] = next() as u8;
        }
        if next() % 4 == 0 {
            bytes.truncate(next() % bytes.len());
        }
        let Ok(profile) = read(&bytes) else { continue };
        read_anyway += 1;
        let frames = profile.frames.len();
        let mut places = profile.sites.iter().flat_map(|it| it.stack.iter().chain(&it.trimmed));
        assert!(places.all(|&place| place < frames));
        assert!(
            profile.frames.iter().all(|it| it.module.is_none_or(|it| it < profile.modules.len()))
        );
        let points = profile.history_at.len();
        assert!(profile.sites.iter().all(|it| it.history.len() == points));
    }
    assert!(read_anyway > 100, "{read_anyway}");
}

#[test]
fn a_bomb_does_not_go_off() {
    let bomb = written(&sample());
    let length = encode::message(&sample(), SHOWN).encoded_len() as u64;
    assert!(unpack(&bomb, length).is_ok());
    assert!(matches!(unpack(&bomb, length - 1), Err(NoProfile::TooLarge)));
}
