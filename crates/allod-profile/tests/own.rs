//! A program with Allod inside that writes its own profile.

use std::hint::black_box;

use allod_profile::model::Symbols;
use allod_profile::{pprof, write_pprof};

#[global_allocator]
static GLOBAL: allod::Allod = allod::Allod::new();

/// What the profile should show.
struct Ballast {
    bytes: [u8; 4000],
}

#[inline(never)]
#[expect(clippy::vec_box, reason = "each is to be an allocation of its own")]
fn load() -> Vec<Box<Ballast>> {
    (0..4000_u32).map(|i| Box::new(Ballast { bytes: [i as u8; 4000] })).collect()
}

#[test]
fn a_server_shows_its_own_memory() {
    let ballast = black_box(load());
    let sum: u64 = ballast.iter().map(|it| u64::from(it.bytes[7])).sum();
    assert!(sum > 0);
    for names in [true, false] {
        let mut bytes = Vec::new();
        write_pprof(&mut bytes, names).expect("memory takes it");
        let profile = pprof::read(&bytes).expect("a profile");
        assert_eq!((profile.pid, &*profile.reason), (std::process::id(), "demand"));
        assert!(profile.ledger.live > 16_000_000, "{:?}", profile.ledger);
        // 16 MB at one sample in 512 KiB: thirty samples, and none with odds of e^-30.
        let in_load = profile.sites.iter().filter(|site| {
            site.stack.iter().any(|&frame| profile.frames[frame].function.ends_with("::load"))
        });
        let bytes: f64 = in_load.map(|site| site.live.bytes).sum();
        match names {
            true => {
                assert!(bytes > 1e6, "{bytes}");
                let boxes = profile.sites.iter().any(|site| site.rust_type.ends_with("::Ballast"));
                assert!(boxes, "{:?}", profile.sites);
            }
            false => {
                let looked = profile.modules.iter().any(|it| it.symbols != Symbols::NotLooked);
                assert!(!looked && bytes == 0.0, "{bytes}");
            }
        }
    }
}
