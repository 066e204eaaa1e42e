//! Freed memory that is read or written.

use crate::deed::Deed;
use crate::scene::{ENDS, Object, Scene, malloc};
use crate::trial::Timing;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) fn write_freed(scene: &mut Scene<'_>) {
    let victim = scene.victim(scene.trial.size);
    Deed::Free(victim.start).commit();
    scene.pass_time(victim);
    let count = scene.rng.usize(8..=64).min(victim.size);
    let place = scene.rng.usize(..=victim.size - count);
    // The ends are what the program compares.
    let place = if place > ENDS - count && scene.rng.bool() { victim.size - count } else { place };
    scene.commit(Deed::Write(victim.start.wrapping_byte_add(place), count));
}

/// Half of the secret is enough of it.
fn look(scene: &mut Scene<'_>, object: Object, secret: u8) {
    let count = object.size.min(4096);
    if scene.commit(Deed::Look(object.start, count, secret)) >= count / 2 {
        scene.harm();
    }
}

pub(super) fn read_freed(scene: &mut Scene<'_>) {
    let victim = scene.victim(scene.trial.size);
    scene.secret(victim, 0xa7);
    Deed::Free(victim.start).commit();
    scene.pass_time(victim);
    look(scene, victim, 0xa7);
}

/// The deed is to look at what was never written; an honest program does not.
pub(super) fn uninitialised(scene: &mut Scene<'_>) {
    let size = scene.trial.size;
    let first = scene.kept();
    for _ in 0..scene.rng.usize(1..=4) {
        let object = scene.keep(size);
        scene.secret(object, 0xa7);
    }
    while scene.kept() > first {
        scene.drop_last();
    }
    if scene.trial.timing == Timing::Delayed {
        let nobody = scene.keep(1);
        scene.churn(nobody);
    }
    for _ in 0..scene.trial.patience().min(16) {
        let start = malloc(size);
        let object = scene.fresh(start, size);
        look(scene, object, 0xa7);
        object.fill();
        scene.hold(object);
    }
}

/// What the attacker knows: the address of the freed object and of his target,
/// and how each allocator links its lists, glibc's mangling included. What he
/// does not know: the process's secrets.
pub(super) fn poison(scene: &mut Scene<'_>) {
    #[repr(align(64))]
    struct Words([AtomicUsize; 256]);
    static WORDS: Words = Words([const { AtomicUsize::new(0) }; 256]);
    let size = scene.trial.size;
    // What a block of glibc's has before it.
    let header = (size + 23) & !15 | 1;
    // ORDERING: Relaxed, one thread.
    WORDS.0.iter().skip(1).step_by(2).for_each(|word| word.store(header, Ordering::Relaxed));
    let target = std::ptr::from_ref(&WORDS).cast_mut();
    scene.target(target.cast(), size_of::<Words>());

    let around = scene.keep(size);
    let (first, victim) = (scene.victim(size), scene.victim(size));
    Deed::Free(first.start).commit();
    Deed::Free(victim.start).commit();
    match scene.trial.timing {
        Timing::AtOnce => {}
        Timing::Delayed => scene.churn(victim),
        // One object of the size is taken, which may move the rest to another list.
        Timing::Reused => {
            let more = [scene.victim(size), scene.victim(size), scene.victim(size)];
            for object in more {
                Deed::Free(object.start).commit();
            }
            scene.keep(size);
        }
    }
    let goal = match scene.rng.usize(..3) {
        // A live object, so that two have it.
        0 => around.start.addr(),
        _ => target.addr() + 64,
    };
    let mangled = goal ^ (victim.start.addr() >> 12);
    let word = if scene.rng.bool() { goal } else { mangled };
    let second = if scene.rng.bool() { goal } else { 0 };
    for object in [victim, first] {
        if !scene.is_kept(object) {
            scene.commit(Deed::Plant(object.start, [word, second]));
        }
    }
}
