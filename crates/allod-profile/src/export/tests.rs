//! Each format, read back by hand or by its own rules.

use serde_json::Value as Json;

use super::*;
use crate::pprof::tests::sample;

fn written(format: Format, value: Value) -> String {
    let mut bytes = Vec::new();
    write(&sample(), format, value, &mut bytes).expect("memory takes it");
    String::from_utf8(bytes).expect("text")
}

#[test]
fn stacks_are_folded() {
    let lines = written(Format::Folded, Value::Live);
    assert_eq!(lines, "main;app::load;Box::new 645\nmain;app::parse;0xffff0000 194\n");
    assert!(written(Format::Folded, Value::Allocated).contains("Box::new 3225\n"));
    let mut profile = sample();
    trim::restore(&mut profile);
    profile.frames[6].function = "a;b\nc".into();
    let mut bytes = Vec::new();
    write(&profile, Format::Folded, Value::Peak, &mut bytes).expect("memory takes it");
    let lines = String::from_utf8(bytes).expect("text");
    assert!(lines.contains("Box::new;__rust_alloc;liballod.so+0x100 1290\n"), "{lines}");
    assert!(lines.contains("main;a:b c;"), "{lines}");
}

#[test]
fn speedscope_gets_what_its_schema_asks_for() {
    let whole: Json = written(Format::Speedscope, Value::Peak).parse().expect("JSON");
    assert_eq!(whole["activeProfileIndex"], 1);
    let frames = whole["shared"]["frames"].as_array().expect("frames");
    for profile in whole["profiles"].as_array().expect("profiles") {
        assert_eq!((&profile["type"], &profile["unit"]), (&"sampled".into(), &"bytes".into()));
        let samples = profile["samples"].as_array().expect("samples");
        let weights = profile["weights"].as_array().expect("weights");
        assert_eq!(samples.len(), weights.len());
        let sum: f64 = weights.iter().filter_map(Json::as_f64).sum();
        assert_eq!(profile["endValue"].as_f64(), Some(sum));
        let stacks = samples.iter().flat_map(|it| it.as_array().expect("a stack"));
        assert!(stacks.filter_map(Json::as_u64).all(|frame| (frame as usize) < frames.len()));
    }
    let stack = whole["profiles"][1]["samples"][0].as_array().expect("a stack");
    let named = |place: &Json| &whole["shared"]["frames"][place.as_u64().unwrap_or(0) as usize];
    assert_eq!(named(&stack[0])["name"], "main", "outermost first");
    assert_eq!(named(&stack[1])["line"], 6);
}

#[test]
fn rows_have_as_many_fields_as_there_are_columns() {
    let mut profile = sample();
    profile.frames[3].function = "f<a, \"b\">".into();
    let mut bytes = Vec::new();
    write(&profile, Format::Csv, Value::Live, &mut bytes).expect("memory takes it");
    let text = String::from_utf8(bytes).expect("text");
    let mut lines = text.lines();
    let columns = lines.next().expect("columns").split(',').count();
    let first = lines.next().expect("a row");
    assert!(first.starts_with("645,10,10,600,1290,"), "{first}");
    assert!(
        first.contains(",main;\"") || first.contains("\"main;f<a, \"\"b\"\">;Box::new\""),
        "{first}"
    );
    let second = lines.next().expect("a row");
    assert_eq!(second.split(',').count(), columns, "{second}");
    assert_eq!(lines.next(), None);
}

#[test]
fn the_ledger_is_prometheus_text() {
    let text = written(Format::Prometheus, Value::Live);
    assert!(
        text.contains("\nallod_live_bytes{program=\"pro gram\",pid=\"4242\"} 1000\n"),
        "{text}"
    );
    assert!(text.contains(",block_bytes=\"64\"} 100\n"), "{text}");
    let mut described = std::collections::BTreeSet::new();
    for line in text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(line) => assert!(described.insert(line.split(' ').next().expect("a name"))),
            None if line.starts_with('#') => {}
            None => {
                let name = line.split('{').next().expect("a name");
                assert!(described.contains(name), "{line}");
                let number = line.rsplit(' ').next().expect("a number");
                assert!(number.parse::<f64>().is_ok(), "{line}");
            }
        }
    }
}

#[test]
fn everything_is_in_the_json() {
    let whole: Json = written(Format::Json, Value::Live).parse().expect("JSON");
    assert_eq!(whole["schema"], SCHEMA);
    assert_eq!(whole["ledger"]["peak_live"], 2000);
    assert_eq!(whole["sites"][0]["trimmed"][1], 1);
    assert_eq!(whole["sites"][0]["history"][1], 20.0);
    assert_eq!(whole["modules"][1]["symbols"]["None"], "gone");
    assert_eq!(whole["moments"].as_array().map(Vec::len), Some(2));
}

#[test]
fn pprof_shows_the_value_that_was_asked_for() {
    let mut bytes = Vec::new();
    write(&sample(), Format::Pprof, Value::Short, &mut bytes).expect("memory takes it");
    let profile = pprof::read(&bytes).expect("a profile");
    assert_eq!(profile.sites.len(), 2);
}

/// A process's own page of metrics and what is exported of its profile are read by the
/// same dashboards.
#[test]
fn metrics_are_called_what_the_process_calls_them() {
    let metas = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("# ") && !line.contains("_info"));
        lines.map(str::to_owned).collect()
    };
    let mut live = allod::Stats::default();
    live.classes[1].spans = 1;
    let mut text = String::new();
    live.write_prometheus(&mut text).expect("a string takes it");
    let live = metas(&text);
    for line in metas(&written(Format::Prometheus, Value::Live)) {
        let of_the_profile =
            ["requested_bytes", "profiler_bytes", "peak_resident", "samples_total"];
        let is_own = of_the_profile.iter().any(|name| line.contains(name));
        assert!(is_own != live.contains(&line), "{line}");
    }
}
