//! Frees of what is not to be freed.

use crate::deed::Deed;
use crate::scene::{self, Object, Scene, realloc};
use crate::trial::Timing;
use allod_checks::c::Pointer;
use std::ptr;

pub(super) fn double(scene: &mut Scene<'_>) {
    let victim = scene.victim(scene.trial.size);
    Deed::Free(victim.start).commit();
    scene.pass_time(victim);
    scene.commit(Deed::Free(victim.start));
}

/// What fooled the oldest checks: the block freed last is not the one freed twice.
pub(super) fn interleaved(scene: &mut Scene<'_>) {
    let size = scene.trial.size;
    let (a, b) = (scene.victim(size), scene.victim(size));
    Deed::Free(a.start).commit();
    Deed::Free(b.start).commit();
    scene.pass_time(a);
    scene.commit(Deed::Free(a.start));
}

pub(super) fn after_realloc(scene: &mut Scene<'_>) {
    let size = scene.trial.size;
    let old = scene.victim(size);
    let larger = size * 4 + 64;
    let moved = scene.fresh(realloc(old, larger), larger);
    moved.fill();
    scene.hold(moved);
    // An object that grew where it was leaves no old pointer behind.
    if !moved.overlaps(old) {
        scene.pass_time(old);
        scene.commit(Deed::Free(old.start));
    } else {
        let victim = scene.victim(size);
        Deed::Free(victim.start).commit();
        scene.pass_time(victim);
        scene.commit(Deed::Free(victim.start));
    }
}

pub(super) fn realloc_freed(scene: &mut Scene<'_>) {
    let size = scene.trial.size;
    let victim = scene.victim(size);
    Deed::Free(victim.start).commit();
    scene.pass_time(victim);
    let wanted = match scene.rng.usize(..3) {
        0 => size,
        1 => size * 2 + 16,
        _ => size / 2 + 1,
    };
    scene.commit(Deed::Realloc(victim.start, wanted));
}

/// Frees what the allocator never gave out, and watches whether it ever does.
fn never_ours(scene: &mut Scene<'_>, start: Pointer, size: usize) {
    scene.target(start, size);
    let place = scene.rng.usize(..size / 32) * 16;
    let seldom = scene.rng.u8(..) < 64;
    let place = if seldom { place + scene.rng.usize(1..16) } else { place };
    scene.commit(Deed::Free(start.wrapping_byte_add(place)));
}

/// Sometimes the words around are what a block of glibc's would have there.
pub(super) fn stack(scene: &mut Scene<'_>) {
    let mut local = [0_usize; 256];
    if scene.rng.bool() {
        let size = (scene.trial.size.min(0x400) | 0x20) & !0xf;
        local.iter_mut().skip(1).step_by(2).for_each(|word| *word = size | 1);
    }
    let local = std::hint::black_box(&raw mut local);
    never_ours(scene, local.cast(), size_of_val(&[0_usize; 256]));
}

pub(super) fn fixed(scene: &mut Scene<'_>) {
    #[repr(align(16))]
    struct Words([u64; 512]);
    static WORDS: Words = Words([0x21; 512]);
    never_ours(scene, ptr::from_ref(&WORDS.0).cast_mut().cast(), size_of::<Words>());
}

pub(super) fn mapping(scene: &mut Scene<'_>) {
    let size = scene.trial.size.next_multiple_of(4096);
    let start = scene::mapping(size);
    never_ours(scene, start, size);
}

fn inside(scene: &mut Scene<'_>, place: impl FnOnce(&mut Scene<'_>, Object) -> usize) {
    let object = scene.keep(scene.trial.size);
    if scene.trial.timing != Timing::AtOnce {
        let nobody = scene.keep(scene.trial.size);
        scene.churn(nobody);
    }
    let place = place(scene, object);
    scene.commit(Deed::Free(object.start.wrapping_byte_add(place)));
}

pub(super) fn near(scene: &mut Scene<'_>) {
    inside(scene, |scene, object| {
        let steps = (object.size - 1).min(256) / 16;
        scene.rng.usize(1..=steps) * 16
    });
}

pub(super) fn far(scene: &mut Scene<'_>) {
    inside(scene, |scene, object| scene.rng.usize(256 / 16..=(object.size - 1) / 16) * 16);
}

pub(super) fn unaligned(scene: &mut Scene<'_>) {
    inside(scene, |scene, object| {
        let place = scene.rng.usize(1..object.size);
        if place.is_multiple_of(16) { place - 1 } else { place }
    });
}
