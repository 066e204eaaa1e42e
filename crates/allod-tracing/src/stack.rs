//! The spans that this thread is in, and its label before each of them.
//!
//! Spans mostly leave in the opposite order of their entering, and then the thread's
//! label before comes back: one that the program has set itself, too. One that leaves
//! earlier hands its label before on to the span entered after it.

use allod::label::{self, Label};
use std::cell::RefCell;
use tracing_core::span::Id;

struct Entered {
    id: Id,
    before: Label,
}

thread_local! {
    static STACK: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

/// Does something with the stack, unless the thread is past its end.
fn with(work: impl FnOnce(&mut Vec<Entered>)) {
    let _ = STACK.try_with(|stack| {
        if let Ok(mut stack) = stack.try_borrow_mut() {
            work(&mut stack);
        }
    });
}

/// The thread enters a span. One without a label leaves it the label it has.
pub(super) fn enter(id: &Id, label: Option<Label>) {
    with(|stack| {
        // Under the label before: what the stack needs is not the span's.
        stack.reserve(1);
        let before = label.map_or_else(label::current, label::set);
        stack.push(Entered { id: id.clone(), before });
    });
}

/// The thread leaves a span.
pub(super) fn exit(id: &Id) {
    with(|stack| {
        let Some(at) = stack.iter().rposition(|entered| entered.id == *id) else { return };
        let Entered { before, .. } = stack.remove(at);
        match stack.get_mut(at) {
            Some(above) => above.before = before,
            None => _ = label::set(before),
        }
    });
}

/// A span has another label from here on. Other threads see it when they enter.
pub(super) fn changed(id: &Id, label: Label) {
    with(|stack| match stack.iter().rposition(|entered| entered.id == *id) {
        Some(at) if at + 1 == stack.len() => _ = label::set(label),
        Some(at) => stack[at + 1].before = label,
        None => {}
    });
}
