//! The label of this thread, looked at directly. Whether samples carry it:
//! `tests/profile.rs`.

use crate::{LIMIT, Labels};
use allod::label::{self, Label};
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt;

/// The label that this thread has, as a text of `texts`.
fn now(texts: &[&'static str]) -> &'static str {
    let label = label::current();
    if label.is_none() {
        return "";
    }
    texts.iter().find(|text| Label::new(text) == label).copied().expect("one of the texts")
}

fn with(layer: Labels, work: impl FnOnce()) {
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    assert_eq!(label::set(Label::NONE), Label::NONE, "everything was left");
}

#[test]
fn spans_are_labelled_by_name_and_nest() {
    const NAMES: &[&str] = &["outer", "inner"];
    with(Labels::by_name(), || {
        let (outer, inner) = (info_span!("outer"), info_span!("inner"));
        let guard = outer.enter();
        assert_eq!(now(NAMES), "outer");
        inner.in_scope(|| {
            assert_eq!(now(NAMES), "inner");
            outer.in_scope(|| assert_eq!(now(NAMES), "outer", "entered twice"));
            assert_eq!(now(NAMES), "inner");
        });
        assert_eq!(now(NAMES), "outer");
        drop(guard);
        assert_eq!(now(NAMES), "");
    });
}

#[test]
fn spans_may_leave_in_any_order() {
    const NAMES: &[&str] = &["first", "second", "third"];
    with(Labels::by_name(), || {
        let spans = [info_span!("first"), info_span!("second"), info_span!("third")];
        let [first, second, third] = spans.map(tracing::Span::entered);
        let second = second.exit();
        assert_eq!(now(NAMES), "third");
        let first = first.exit();
        assert_eq!(now(NAMES), "third");
        drop(third);
        assert_eq!(now(NAMES), "");
        drop((first, second));
    });
}

#[test]
fn a_label_of_the_programs_own_comes_back() {
    const NAMES: &[&str] = &["own", "span"];
    let own = label::enter("own");
    tracing::subscriber::with_default(
        tracing_subscriber::registry().with(Labels::by_name()),
        || info_span!("span").in_scope(|| assert_eq!(now(NAMES), "span")),
    );
    assert_eq!(now(NAMES), "own");
    drop(own);
}

#[test]
fn spans_are_labelled_by_a_field_or_as_the_span_around() {
    const ROUTES: &[&str] = &["/orders", "42", "/late", "Some(1)"];
    with(Labels::by_field("route"), || {
        let request = info_span!("request", route = "/orders", id = 7);
        let part = request.in_scope(|| info_span!("part", id = 8));
        part.in_scope(|| assert_eq!(now(ROUTES), "/orders", "on its own"));
        let other = info_span!("other");
        request.in_scope(|| other.in_scope(|| assert_eq!(now(ROUTES), "/orders")));
        other.in_scope(|| assert_eq!(now(ROUTES), ""));
        info_span!("number", route = 42).in_scope(|| assert_eq!(now(ROUTES), "42"));
        let debug = info_span!("debug", route = ?Some(1));
        debug.in_scope(|| assert_eq!(now(ROUTES), "Some(1)"));

        let late = info_span!("late", route = tracing::field::Empty);
        late.in_scope(|| {
            assert_eq!(now(ROUTES), "");
            late.record("route", "/late");
            assert_eq!(now(ROUTES), "/late", "at once");
        });
        late.in_scope(|| {
            assert_eq!(now(ROUTES), "/late");
            late.record("route", "/orders");
            assert_eq!(now(ROUTES), "/orders", "at once");
            request.in_scope(|| late.record("route", "/late"));
            assert_eq!(now(ROUTES), "/late", "when the span above is left");
        });
    });
}

#[test]
fn a_span_labels_each_thread_that_is_in_it() {
    const NAMES: &[&str] = &["task"];
    let subscriber = tracing_subscriber::registry().with(Labels::by_name());
    let dispatch = tracing::Dispatch::new(subscriber);
    tracing::dispatcher::with_default(&dispatch, || {
        let task = info_span!("task");
        let guard = task.enter();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                assert_eq!(now(NAMES), "");
                task.in_scope(|| assert_eq!(now(NAMES), "task"));
                assert_eq!(now(NAMES), "");
            });
        });
        assert_eq!(now(NAMES), "task");
        drop(guard);
    });
}

#[test]
fn there_are_no_more_labels_than_the_limit() {
    const NAMES: &[&str] = &["0", "1", "2", "(others)"];
    with(Labels::by_field("id").limit(2), || {
        for (id, text) in [(0, "0"), (1, "1"), (2, "(others)"), (0, "0"), (3, "(others)")] {
            info_span!("x", id).in_scope(|| assert_eq!(now(NAMES), text));
        }
    });
    assert_eq!(Labels::by_name().limit, LIMIT);
}

#[test]
fn long_texts_are_cut_at_a_letter() {
    let (text, cut) = ("é".repeat(100), "é".repeat(60));
    let layer = Labels::by_name();
    assert_eq!(layer.label(&text), Label::new(&cut));
    assert_eq!(layer.label(&format!("x{text}")), Label::new(&format!("x{}", "é".repeat(59))));
}
