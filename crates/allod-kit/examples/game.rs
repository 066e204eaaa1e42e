//! A game loop with three lifetimes: the game, the level, the frame.
//!
//! Each is a scope in the one before. A frame allocates what it needs to think,
//! and all of it is gone with the frame; what belongs to the level stays in use
//! meanwhile, and so does what belongs to the game. All of it is on one buffer on
//! the stack: there is no heap at all.
//!
//!     cargo run -p allod-kit --features alloc --example game

use core::mem::MaybeUninit;

use allod_kit::{
    Bump,
    bump::{Buffer, Vec},
};

type Arena<'b> = Bump<Buffer<'b>>;

#[derive(Clone, Copy)]
struct Ball {
    at: [f32; 2],
    speed: [f32; 2],
}

/// Every pair of balls that touch, for this frame.
fn touching<'f>(balls: &[Ball], frame: &'f Arena<'_>) -> &'f [(usize, usize)] {
    let mut pairs = Vec::new_in(frame);
    for (i, a) in balls.iter().enumerate() {
        for (j, b) in balls.iter().enumerate().skip(i + 1) {
            if (a.at[0] - b.at[0]).hypot(a.at[1] - b.at[1]) < 1.0 {
                pairs.push((i, j));
            }
        }
    }
    pairs.into_slice()
}

/// Plays a level and returns how often balls have touched.
fn play<'l>(level: &'l Arena<'_>, balls: usize, frames: u32) -> &'l [(u32, &'l str)] {
    let balls = level.alloc_slice_with(balls, |i| Ball {
        at: [i as f32 * 3.0 % 10.0, i as f32 * 7.0 % 10.0],
        speed: [0.1, 0.07 * i as f32],
    });
    // The log belongs to the level, and is written to from within frames. Its
    // room is made before: while a frame is open, the rest of the buffer is its.
    let mut log = Vec::try_with_capacity_in(64, level).expect("the buffer has room");
    for number in 0..frames {
        let frame = level.scope();
        let pairs = touching(balls, &frame);
        let mut name = frame.alloc_fmt(format_args!("frame {number}"));
        for &(i, j) in pairs {
            (balls[i].speed, balls[j].speed) = (balls[j].speed, balls[i].speed);
            name = frame.alloc_fmt(format_args!("{name}: {i} and {j}"));
        }
        for ball in &mut *balls {
            for axis in 0..2 {
                ball.at[axis] = (ball.at[axis] + ball.speed[axis]).rem_euclid(10.0);
            }
        }
        if !pairs.is_empty() && log.len() < log.capacity() {
            // The frame's text ends with the frame; these words are the program's.
            log.push((number, if pairs.len() > 1 { "many" } else { "one" }));
        }
    }
    log.into_slice()
}

fn main() {
    let mut bytes = [MaybeUninit::uninit(); 16 << 10];
    let game = Bump::on(&mut bytes);
    let best = game.alloc([0_usize; 3]);
    let room = game.room();
    for (number, best) in best.iter_mut().enumerate() {
        let level = game.scope();
        let log = play(&level, 16 + 8 * number, 600);
        *best = log.len();
        let first = log.first().map_or("never", |(_, how)| how);
        println!("level {number}: {} frames with touches, the first by {first}", log.len());
        drop(level);
        assert_eq!(game.room(), room, "a level leaves nothing behind");
    }
    assert!(best.iter().all(|frames| *frames > 0), "balls touch");
}

#[test]
fn it_runs() {
    main();
}
