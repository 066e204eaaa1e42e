//! Accesses outside the object.

use crate::deed::Deed;
use crate::scene::{Object, Scene, calloc, malloc, usable};
use crate::trial::Timing;

const PAGE: usize = 4096;

/// The object, with neighbours on both sides if the allocator places it so. At
/// the last timing it lies where another was before.
fn among_neighbours(scene: &mut Scene<'_>) -> Object {
    let size = scene.trial.size;
    let around = if size > 64 << 10 { 1 } else { 8 };
    scene.keep_more(around, size);
    if scene.trial.timing == Timing::Reused {
        let before = scene.victim(size);
        Deed::Free(before.start).commit();
    }
    let object = scene.keep(size);
    scene.keep_more(around, size);
    if scene.trial.timing == Timing::Delayed {
        let other = scene.keep(size);
        scene.churn(other);
    }
    object
}

fn beyond(scene: &mut Scene<'_>, count: impl FnOnce(Object) -> usize) {
    let object = among_neighbours(scene);
    let count = count(object);
    scene.commit(Deed::Write(object.start.wrapping_byte_add(object.size), count));
}

pub(super) fn by_one(scene: &mut Scene<'_>) {
    beyond(scene, |_| 1);
}

pub(super) fn by_eight(scene: &mut Scene<'_>) {
    beyond(scene, |_| 8);
}

/// Eight bytes past the last page that the object has any part of, by the
/// allocator's own word on how large it is.
pub(super) fn past_page(scene: &mut Scene<'_>) {
    beyond(scene, |object| {
        let (start, end) = (object.start.addr(), object.start.addr() + usable(object));
        end.next_multiple_of(PAGE) + 8 - (start + object.size)
    });
}

pub(super) fn under(scene: &mut Scene<'_>) {
    let object = among_neighbours(scene);
    let count = [1, 8, 16][scene.rng.usize(..3)];
    scene.commit(Deed::Write(object.start.wrapping_byte_sub(count), count));
}

/// The neighbours hold a byte that nobody else has.
pub(super) fn over_read(scene: &mut Scene<'_>) {
    const SECRET: u8 = 0xa7;
    let first = scene.kept();
    let size = scene.trial.size;
    let around = if size > 64 << 10 { 1 } else { 8 };
    for _ in 0..=2 * around {
        let object = scene.keep(size);
        scene.secret(object, SECRET);
    }
    let object = scene.at(first + around);
    scene.secret(object, 0);
    let count = scene.rng.usize(64..=PAGE);
    let seen = scene.commit(Deed::Look(object.start.wrapping_byte_add(size), count, SECRET));
    if seen >= 8.min(size) {
        scene.harm();
    }
    for place in first..=first + 2 * around {
        scene.at(place).fill();
    }
}

fn nothing(scene: &mut Scene<'_>) -> Object {
    let start = if scene.rng.bool() { malloc(0) } else { calloc(0, scene.rng.usize(1..100)) };
    let object = scene.fresh(start, 0);
    scene.hold(object);
    scene.keep_more(8, 1);
    if scene.trial.timing != Timing::AtOnce {
        scene.churn(object);
    }
    object
}

pub(super) fn zero_write(scene: &mut Scene<'_>) {
    let object = nothing(scene);
    let count = scene.rng.usize(1..=16);
    scene.commit(Deed::Write(object.start, count));
}

pub(super) fn zero_read(scene: &mut Scene<'_>) {
    let object = nothing(scene);
    let count = scene.rng.usize(1..=16);
    scene.commit(Deed::Look(object.start, count, 0));
}
