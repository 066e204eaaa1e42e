//! Under loom: one holder at a time, who sees what the last one wrote. Each
//! tries once, because a model of waiting has no end.

use super::*;
use loom::cell::UnsafeCell;
use loom::sync::Arc;

#[test]
fn loom_the_next_holder_sees_what_the_last_one_wrote() {
    loom::model(|| {
        let shared = Arc::new((Spin::default(), UnsafeCell::new(0u32)));
        let work = |shared: &(Spin, UnsafeCell<u32>)| {
            if shared.0.take() {
                // Loom objects when two are here at once, or one without seeing
                // the other.
                shared.1.with_mut(|_| ());
                shared.0.give();
            }
        };
        let other = {
            let shared = shared.clone();
            loom::thread::spawn(move || work(&shared))
        };
        work(&shared);
        other.join().unwrap();
    });
}
