//! Whether samples carry the labels of spans: a program with spans reads its own dump.

use allod_profile::model::Profile;
use allod_profile::{Dump, assemble};
use allod_tracing::Labels;
use tracing::{Level, info_span, span};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

/// A sample every 4 KiB, so that 4 MB under a label are a thousand samples, with a
/// deviation of 3%.
#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::builder().profile(4096).build();

fn profile() -> Profile {
    let mut bytes = Vec::new();
    allod::profile::write(&mut |part| bytes.extend_from_slice(part));
    assemble::without_names(&Dump::parse(&bytes).expect("our own dump"))
}

/// Live bytes under a label.
fn live(profile: &Profile, label: &str) -> f64 {
    let sites = profile.sites.iter().filter(|site| site.label == label);
    sites.map(|site| site.live.bytes).sum()
}

fn blocks() -> Vec<Vec<u8>> {
    (0..4000).map(|_| Vec::with_capacity(1000)).collect()
}

#[test]
fn samples_carry_the_labels_of_spans() {
    let layer = Labels::by_name().with_filter(LevelFilter::INFO);
    let subscriber = tracing_subscriber::registry().with(layer);
    let kept = tracing::subscriber::with_default(subscriber, || {
        let orders = info_span!("orders");
        let mut kept = vec![orders.in_scope(blocks)];
        // A second time, with a span that the filter leaves out within.
        kept.push(orders.in_scope(|| span!(Level::DEBUG, "detail").in_scope(blocks)));
        kept.push(info_span!("invoices").in_scope(blocks));
        kept.push(blocks());
        // Freed outside of its span, and so no longer there.
        drop(info_span!("gone").in_scope(blocks));
        kept
    });
    let profile = profile();
    for (label, count) in [("orders", 2.0), ("invoices", 1.0), ("", 1.0)] {
        let (found, truth) = (live(&profile, label), count * 4000.0 * 1024.0);
        // Six standard deviations, and what the program itself has without a label.
        let error = 6.0 * (truth * 4096.0_f64).sqrt() + 500_000.0;
        assert!((found - truth).abs() < error, "{label:?}: {found} of {truth}");
    }
    assert!(live(&profile, "gone") < 500_000.0, "{}", live(&profile, "gone"));
    assert_eq!(live(&profile, "detail"), 0.0);
    drop(kept);
}
