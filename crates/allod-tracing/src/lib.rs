//! Memory by span: a layer of `tracing-subscriber` that labels what is allocated.
//!
//! While a thread is in a span, samples that Allod takes on it carry the span's label,
//! and so does the profile: `allod report` and every reader of pprof can then tell
//! requests, jobs and routes apart.
//!
//! ```
//! use tracing_subscriber::layer::SubscriberExt;
//!
//! #[global_allocator]
//! static GLOBAL: allod::Allod = allod::Allod::new();
//!
//! let subscriber = tracing_subscriber::registry().with(allod_tracing::Labels::by_name());
//! tracing::subscriber::with_default(subscriber, || {
//!     let answer = tracing::info_span!("orders").in_scope(|| vec![0_u8; 1000]);
//!     // A sample of `answer` is labelled `orders`, wherever it is freed.
//!     # drop(answer);
//! });
//! ```
//!
//! # Which label
//!
//! | layer | a span's label |
//! |---|---|
//! | [`Labels::by_name`] | its name |
//! | [`Labels::by_field`] | the value of one field; without it, that of the nearest span around it |
//!
//! A span without a label leaves the thread the label it has. To label some spans
//! only, filter: `Labels::by_name().with_filter(..)`.
//!
//! # What it costs
//!
//! A text is looked up when a span is made: in a table under a lock that readers share.
//! Entering and leaving store a number, and a row on a stack of the thread's. An
//! allocation costs what it costs without. The number of different texts is limited
//! ([`Labels::limit`]), because the profile keeps each of them.
#![forbid(unsafe_code)]

mod stack;
#[cfg(test)]
mod tests;

use allod::label::Label;
use std::collections::HashMap;
use std::fmt::{self, Debug, Write};
use std::sync::{PoisonError, RwLock};
use tracing_core::Subscriber;
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Different texts that there are labels for, if nothing else is said.
const LIMIT: usize = 256;
/// Longest text of a label, in bytes.
const LONGEST: usize = 120;
/// The label of all texts beyond the limit.
const OTHERS: &str = "(others)";

/// The layer. See [the crate](crate).
///
/// # When not to use it
///
/// Together with another of its kind in one subscriber: a span has one label.
#[derive(Debug)]
pub struct Labels {
    by: By,
    limit: usize,
    known: RwLock<HashMap<Box<str>, Label>>,
}

#[derive(Clone, Copy, Debug)]
enum By {
    Name,
    Field(&'static str),
}

/// A span's label, kept with it.
#[derive(Clone, Copy, Debug)]
struct Of(Label);

impl Labels {
    /// Spans are labelled with their names.
    #[must_use]
    pub fn by_name() -> Self {
        Self::by(By::Name)
    }

    /// Spans are labelled with the value of the field `name`: as it is, if it is text, and
    /// formatted otherwise. A span that has no such field has the label of its parent.
    ///
    /// ```
    /// # use tracing_subscriber::layer::SubscriberExt;
    /// let layer = allod_tracing::Labels::by_field("route");
    /// # let subscriber = tracing_subscriber::registry().with(layer);
    /// # tracing::subscriber::with_default(subscriber, || {
    /// let request = tracing::info_span!("request", route = "/orders/:id", id = 17);
    /// # request.in_scope(|| {});
    /// # });
    /// ```
    #[must_use]
    pub fn by_field(name: &'static str) -> Self {
        Self::by(By::Field(name))
    }

    /// At most this many different labels, 256 if nothing is said; what is beyond them is
    /// labelled `(others)`.
    #[must_use]
    pub fn limit(mut self, labels: usize) -> Self {
        self.limit = labels;
        self
    }

    fn by(by: By) -> Self {
        Labels { by, limit: LIMIT, known: RwLock::default() }
    }

    /// The label with this text.
    fn label(&self, text: &str) -> Label {
        let text = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or(text);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(&label) = known.get(text) {
            return label;
        }
        let is_full = known.len() >= self.limit;
        drop(known);
        if is_full {
            return Label::new(OTHERS);
        }
        let label = Label::new(text);
        // What was refused may be granted later: the profiler may be off now.
        if !label.is_none() {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            if known.len() < self.limit {
                known.insert(text.into(), label);
            }
        }
        label
    }

    /// The value of the field that labels, if `record` hands it over.
    fn of_field(&self, record: impl FnOnce(&mut Value)) -> Option<Label> {
        let By::Field(name) = self.by else { return None };
        let mut value = Value { name, text: None };
        record(&mut value);
        value.text.map(|text| self.label(&text))
    }
}

/// Takes the text of one field.
struct Value {
    name: &'static str,
    text: Option<String>,
}

impl Value {
    fn take(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if field.name() == self.name {
            let text = self.text.insert(String::new());
            // A value that cannot be formatted is cut off where it failed.
            let _ = text.write_fmt(value);
        }
    }
}

impl Visit for Value {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take(field, format_args!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Labels {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let own = match self.by {
            By::Name => Some(self.label(attributes.metadata().name())),
            By::Field(_) => self.of_field(|value| attributes.record(value)),
        };
        let inherited = || span.parent()?.extensions().get::<Of>().map(|&Of(label)| label);
        if let Some(label) = own.or_else(inherited) {
            span.extensions_mut().replace(Of(label));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(label) = self.of_field(|value| values.record(value)) {
            span.extensions_mut().replace(Of(label));
            stack::changed(id, label);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let label = span.extensions().get::<Of>().map(|&Of(label)| label);
        stack::enter(id, label);
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        stack::exit(id);
    }
}
