//! Trees of boxed trait objects, as an interpreter or a user interface has them:
//! built, evaluated, rewritten and dropped. The argument is the number of trees.

use allod_programs::{amount, finish, word};
use fastrand::Rng;

/// What every node can do.
trait Node {
    /// Its value for an input.
    fn value(&self, input: u64) -> u64;
    /// The same meaning in another shape. The old one is used up.
    fn rewritten(self: Box<Self>, random: &mut Rng) -> Box<dyn Node>;
}

struct Constant(u64);
struct Input;
struct Named {
    name: String,
    inner: Box<dyn Node>,
}
struct Sum(Vec<Box<dyn Node>>);
struct Choice {
    test: Box<dyn Node>,
    yes: Box<dyn Node>,
    no: Box<dyn Node>,
}

impl Node for Constant {
    fn value(&self, _: u64) -> u64 {
        self.0
    }

    fn rewritten(self: Box<Self>, _: &mut Rng) -> Box<dyn Node> {
        let half = self.0 / 2;
        Box::new(Sum(vec![Box::new(Constant(half)), Box::new(Constant(self.0 - half))]))
    }
}

impl Node for Input {
    fn value(&self, input: u64) -> u64 {
        input
    }

    fn rewritten(self: Box<Self>, _: &mut Rng) -> Box<dyn Node> {
        Box::new(Sum(vec![self, Box::new(Constant(0))]))
    }
}

impl Node for Named {
    fn value(&self, input: u64) -> u64 {
        self.inner.value(input ^ self.name.len() as u64)
    }

    fn rewritten(mut self: Box<Self>, random: &mut Rng) -> Box<dyn Node> {
        self.inner = self.inner.rewritten(random);
        // As long as before, in a string of its own.
        self.name = self.name.chars().rev().collect();
        self
    }
}

impl Node for Sum {
    fn value(&self, input: u64) -> u64 {
        self.0.iter().fold(0, |sum, part| sum.wrapping_add(part.value(input)))
    }

    fn rewritten(self: Box<Self>, random: &mut Rng) -> Box<dyn Node> {
        let mut parts: Vec<_> = self.0.into_iter().collect();
        if let Some(last) = parts.pop() {
            parts.insert(0, last.rewritten(random));
        }
        Box::new(Sum(parts))
    }
}

impl Node for Choice {
    fn value(&self, input: u64) -> u64 {
        let chosen = if self.test.value(input).is_multiple_of(2) { &self.yes } else { &self.no };
        chosen.value(input)
    }

    fn rewritten(self: Box<Self>, random: &mut Rng) -> Box<dyn Node> {
        let Choice { test, yes, no } = *self;
        Box::new(Choice { test, yes: yes.rewritten(random), no: no.rewritten(random) })
    }
}

/// A random tree of that depth.
fn tree(random: &mut Rng, depth: u32) -> Box<dyn Node> {
    match random.u8(..if depth == 0 { 2 } else { 5 }) {
        0 => Box::new(Constant(random.u64(..1_000))),
        1 => Box::new(Input),
        2 => Box::new(Named { name: word(random), inner: tree(random, depth - 1) }),
        3 => Box::new(Sum((0..random.usize(2..6)).map(|_| tree(random, depth - 1)).collect())),
        _ => Box::new(Choice {
            test: tree(random, depth - 1),
            yes: tree(random, depth - 1),
            no: tree(random, depth - 1),
        }),
    }
}

fn main() {
    let mut random = Rng::with_seed(0x5A9E);
    let mut kept: Vec<Box<dyn Node>> = Vec::new();
    let mut sum = 0u64;
    for round in 0..amount() as u64 {
        let mut one = tree(&mut random, 8);
        for _ in 0..4 {
            let before = one.value(round);
            one = one.rewritten(&mut random);
            assert_eq!(before, one.value(round), "a rewritten tree means the same");
        }
        sum = sum.rotate_left(1) ^ one.value(round);
        kept.push(one);
        if kept.len() > 200 {
            drop(kept.swap_remove(random.usize(..kept.len())));
        }
    }
    finish(kept.iter().fold(sum, |sum, tree| sum.wrapping_add(tree.value(1))));
}
