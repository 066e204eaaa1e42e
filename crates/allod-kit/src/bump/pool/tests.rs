//! Under loom: an arena is one thread's at a time, which sees what the last one did.
//! Each thread asks once, because a model of waiting has no end.

use super::BumpPool;
use crate::bump::Buffer;
use crate::bump::source::Nothing;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use std::vec::Vec;

#[test]
fn loom_the_next_thread_sees_what_the_last_one_did_to_an_arena() {
    loom::model(|| {
        let pool = BumpPool::<Buffer<'static>, 1>::new_with(|| Buffer::new(&mut [], Nothing));
        // What an arena is to loom: it objects when two are in it at once, or one
        // that does not see the other.
        let shared = Arc::new((pool, UnsafeCell::new(0_u32)));
        let work = |shared: &(BumpPool<Buffer<'static>, 1>, UnsafeCell<u32>)| {
            let arena = shared.0.get();
            if arena.is_some() {
                shared.1.with_mut(|_| ());
            }
        };
        let others: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                loom::thread::spawn(move || work(&shared))
            })
            .collect();
        work(&shared);
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}
