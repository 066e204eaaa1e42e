//! Frees that say something wrong about what they free.

use crate::deed::Deed;
use crate::scene::{Scene, aligned, new};
use crate::trial::logarithmic;

/// Another size, by a factor of two or more, so that it is another class of any
/// allocator's. The least class with room for two is `unit`.
fn wrong(scene: &mut Scene<'_>, size: usize, unit: usize) -> usize {
    if size >= 4 * unit && scene.rng.bool() {
        logarithmic(&mut scene.rng, 1, size / 2)
    } else {
        logarithmic(&mut scene.rng, size.max(unit) * 2, 64 << 20)
    }
}

pub(super) fn size(scene: &mut Scene<'_>) {
    let right = scene.trial.size;
    let wrong = wrong(scene, right, 16);
    match scene.rng.usize(..4) {
        0 => {
            let object = scene.victim(right);
            scene.commit(Deed::FreeSized(object.start, wrong));
            scene.instead(Deed::FreeSized(object.start, right));
        }
        1 => {
            let rounded = right.next_multiple_of(64);
            let start = aligned(64, rounded);
            scene.fresh(start, rounded).fill();
            let wrong = self::wrong(scene, rounded, 64);
            scene.commit(Deed::FreeAlignedSized(start, 64, wrong));
            scene.instead(Deed::FreeAlignedSized(start, 64, rounded));
        }
        _ => {
            let Some(start) = new(right, false) else { return };
            scene.fresh(start, right).fill();
            scene.commit(Deed::DeleteSized(start, wrong));
            scene.instead(Deed::DeleteSized(start, right));
        }
    }
}

/// By a factor of four or more. The size is right, so the memory may well be what
/// the other alignment would have got; then nobody can see it or is harmed.
pub(super) fn alignment(scene: &mut Scene<'_>) {
    let right = 1 << scene.rng.usize(5..=12);
    let wrong = match scene.rng.bool() {
        true => right << scene.rng.usize(2..=4),
        false => right >> scene.rng.usize(2..=4),
    };
    let size = scene.trial.size.next_multiple_of(right);
    let start = aligned(right, size);
    scene.fresh(start, size).fill();
    scene.commit(Deed::FreeAlignedSized(start, wrong, size));
    scene.instead(Deed::FreeAlignedSized(start, right, size));
}

pub(super) fn family(scene: &mut Scene<'_>) {
    let size = scene.trial.size;
    let kind = scene.rng.usize(..5);
    let start = match kind {
        0 | 1 => Some(scene.victim(size).start),
        2 | 3 => new(size, false),
        _ => new(size, true),
    };
    let Some(start) = start else { return };
    scene.fresh(start, size).fill();
    let (wrong, right) = match kind {
        0 => (Deed::Delete(start), Deed::Free(start)),
        1 => (Deed::DeleteArray(start), Deed::Free(start)),
        2 => (Deed::Free(start), Deed::Delete(start)),
        3 => (Deed::DeleteArray(start), Deed::Delete(start)),
        _ => (Deed::Delete(start), Deed::DeleteArray(start)),
    };
    scene.commit(wrong);
    scene.instead(right);
}
