//! Functions of a few bytes, written by hand, with the counts known.

use super::*;

const RET: u8 = 0xc3;
/// `test rdi, rdi`
const TEST: [u8; 3] = [0x48, 0x85, 0xff];
/// `mov rax, [rdi]`
const LOAD: [u8; 3] = [0x48, 0x8b, 0x07];
/// `mov [rdi], rax`
const STORE: [u8; 3] = [0x48, 0x89, 0x07];

fn walk(code: &[&[u8]]) -> Result<HitPath> {
    hit_path(0x1000, &code.concat(), &|_| false)
}

fn counts(code: &[&[u8]]) -> Counts {
    walk(code).unwrap().counts(true)
}

#[test]
fn a_straight_line_is_its_own_path() {
    let seen = counts(&[&LOAD, &STORE, &[RET]]);
    let expected =
        Counts { instructions: 3, loads: 1, stores: 1, paths: 1, least: 3, ..Counts::default() };
    assert_eq!(seen, expected);
}

#[test]
fn the_ret_can_be_left_out() {
    let path = walk(&[&LOAD, &[RET]]).unwrap();
    assert_eq!(path.counts(true).instructions, 2);
    assert_eq!(path.counts(false).instructions, 1);
    assert_eq!((path.counts(false).loads, path.counts(false).least), (1, 1));
}

#[test]
fn a_jump_to_a_tail_call_is_the_cold_side() {
    // test; je +4; load; ret; jmp out of the function
    let seen = counts(&[&TEST, &[0x74, 4], &LOAD, &[RET], &[0xe9, 0, 1, 0, 0]]);
    assert_eq!((seen.instructions, seen.compares, seen.branches, seen.paths), (4, 1, 1, 1));
}

#[test]
fn the_taken_side_is_hit_when_the_other_one_calls() {
    // test; jne +6; call; ret; load; store; ret
    let code: &[&[u8]] = &[&TEST, &[0x75, 6], &[0xe8, 0, 1, 0, 0], &[RET], &LOAD, &STORE, &[RET]];
    let seen = counts(code);
    assert_eq!((seen.instructions, seen.loads, seen.stores, seen.paths), (5, 1, 1, 1));
}

#[test]
fn an_early_return_hides_behind_the_longer_path() {
    // test; jne +1; ret; load; ret
    let seen = counts(&[&TEST, &[0x75, 1], &[RET], &LOAD, &[RET]]);
    assert_eq!((seen.instructions, seen.paths, seen.least), (4, 2, 3));
}

#[test]
fn a_jump_inside_the_function_is_followed() {
    // jmp +1; int3; load; ret
    assert_eq!(counts(&[&[0xeb, 1], &[0xcc], &LOAD, &[RET]]).instructions, 3);
}

#[test]
fn a_jump_out_is_no_path() {
    assert!(walk(&[&LOAD, &[0xe9, 0, 1, 0, 0]]).is_err(), "direct");
    assert!(walk(&[&LOAD, &[0xff, 0x25, 0, 1, 0, 0]]).is_err(), "through memory");
    assert!(walk(&[&LOAD, &[0x0f, 0x0b]]).is_err(), "trap");
    assert!(walk(&[]).is_err(), "nothing at all");
}

#[test]
fn a_call_is_no_path_unless_it_is_a_marker() {
    let code = [&[0xe8, 0, 1, 0, 0], &LOAD[..], &[RET]].concat();
    assert!(hit_path(0x1000, &code, &|_| false).is_err());
    let seen = hit_path(0x1000, &code, &|_| true).unwrap().counts(true);
    assert_eq!((seen.instructions, seen.calls, seen.stores), (3, 1, 0));
}

#[test]
fn a_loop_has_no_count() {
    // load; test; jne to the load; ret
    assert!(walk(&[&LOAD, &TEST, &[0x75, 0xf8], &[RET]]).is_err());
}

#[test]
fn locked_instructions_are_seen() {
    // lock cmpxchg [rdi], rsi
    assert_eq!(counts(&[&[0xf0, 0x48, 0x0f, 0xb1, 0x37], &[RET]]).locked, 1);
    // xchg [rdi], rax
    assert_eq!(counts(&[&[0x48, 0x87, 0x07], &[RET]]).locked, 1);
    // xchg rsi, rax
    assert_eq!(counts(&[&[0x48, 0x96], &[RET]]).locked, 0);
}

#[test]
fn memory_is_counted_as_the_machine_uses_it() {
    // add [rdi], rax: both
    let both = counts(&[&[0x48, 0x01, 0x07], &[RET]]);
    assert_eq!((both.loads, both.stores), (1, 1));
    // lea rax, [rdi + 8]: neither
    let neither = counts(&[&[0x48, 0x8d, 0x47, 0x08], &[RET]]);
    assert_eq!((neither.loads, neither.stores), (0, 0));
    // push rax; pop rax
    let stack = counts(&[&[0x50, 0x58], &[RET]]);
    assert_eq!((stack.loads, stack.stores), (1, 1));
}

#[test]
fn a_sole_jump_is_another_function() {
    let jump = sole_jump(0x1000, &[0xe9, 0, 1, 0, 0]).unwrap();
    assert_eq!(jump.near_branch_target(), 0x1105);
    assert!(sole_jump(0x1000, &[0xe9, 0, 1, 0, 0, RET]).is_none(), "more than a jump");
    assert!(sole_jump(0x1000, &[RET]).is_none());
    let path = walk(&[&LOAD, &[RET]]).unwrap().entered_by(jump);
    assert_eq!((path.counts(true).instructions, path.counts(true).least), (3, 3));
}
