//! Who holds the memory of a server, by route: spans of `tracing` are the labels of its
//! profile.
//!
//! Run it: `cargo run -p allod-tracing --example routes`.

use allod_profile::{Dump, assemble};
use std::collections::BTreeMap;
use tracing_subscriber::layer::SubscriberExt;

#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::builder().profile(16 << 10).build();

/// Answers a request, and keeps something for the next one.
fn answer(route: &'static str, cache: &mut Vec<String>) {
    let _span = tracing::info_span!("request", route).entered();
    let size = if route == "/pictures" { 30_000 } else { 1000 };
    cache.push("x".repeat(size));
}

fn main() {
    let subscriber = tracing_subscriber::registry().with(allod_tracing::Labels::by_field("route"));
    let mut cache = Vec::new();
    tracing::subscriber::with_default(subscriber, || {
        for round in 0..1000 {
            answer(if round % 4 == 0 { "/pictures" } else { "/orders" }, &mut cache);
        }
    });

    // A server would write its profile to whoever asks: `allod_profile::write_pprof`.
    let mut bytes = Vec::new();
    allod::profile::write(&mut |part| bytes.extend_from_slice(part));
    let dump = Dump::parse(&bytes).expect("our own dump");
    let mut live = BTreeMap::new();
    for site in assemble::without_names(&dump).sites {
        *live.entry(site.label).or_insert(0.0) += site.live.bytes;
    }
    for (route, bytes) in &live {
        let route = if route.is_empty() { "(no route)" } else { route };
        println!("{route:12} {:6.1} MB", bytes / 1e6);
    }
}

#[test]
fn it_runs() {
    main();
}
