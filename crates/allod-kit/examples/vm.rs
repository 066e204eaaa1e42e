//! A small machine whose values live on a bump stack.
//!
//! A call opens a scope, and everything the call makes is gone when it returns:
//! the machine needs no garbage collector, and no list of what to free. Only the
//! result is copied to the caller's scope, when the call's own has closed.
//!
//!     cargo run -p allod-kit --features alloc --example vm

use allod_kit::{AllocError, Bump, bump::Vec};

/// What a program is made of. Calls take one argument, pushed before.
#[derive(Clone, Copy, Debug)]
enum Op {
    Push(u64),
    Argument,
    Add,
    Subtract,
    /// Leaves out the next so many operations if the value taken is below 2.
    SkipIfSmall(usize),
    /// Calls the program from its first operation.
    Call,
    Return,
}

/// A value. Boxed, as in a machine whose values may be strings and lists too.
type Value<'a> = &'a u64;

#[derive(Debug, PartialEq)]
enum Fault {
    /// A value was taken from an empty stack, or the program just ended.
    Malformed,
    /// There is no memory: the recursion was too deep for the arena's limit.
    NoMemory,
}

impl From<AllocError> for Fault {
    fn from(_: AllocError) -> Self {
        Fault::NoMemory
    }
}

/// Runs one call in a scope of the caller's arena. Its result is in that arena.
fn call<'a>(program: &[Op], argument: u64, caller: &'a Bump) -> Result<Value<'a>, Fault> {
    let result = run(program, argument, &caller.scope())?;
    Ok(caller.try_alloc(result)?)
}

fn run(program: &[Op], argument: u64, frame: &Bump) -> Result<u64, Fault> {
    let mut stack: Vec<Value<'_>, &Bump> = Vec::try_with_capacity_in(4, frame)?;
    let mut at = 0;
    while let Some(&op) = program.get(at) {
        at += 1;
        let value = match op {
            Op::Push(value) => value,
            Op::Argument => argument,
            Op::Add | Op::Subtract => {
                let (b, a) = (*pop(&mut stack)?, *pop(&mut stack)?);
                if matches!(op, Op::Add) { a.wrapping_add(b) } else { a.wrapping_sub(b) }
            }
            Op::SkipIfSmall(count) => {
                if *pop(&mut stack)? < 2 {
                    at += count;
                }
                continue;
            }
            Op::Call => {
                let argument = *pop(&mut stack)?;
                *call(program, argument, frame)?
            }
            Op::Return => return Ok(*pop(&mut stack)?),
        };
        let value: Value<'_> = frame.try_alloc(value)?;
        stack.try_push(value).map_err(|_| Fault::NoMemory)?;
    }
    Err(Fault::Malformed)
}

fn pop<'v>(stack: &mut Vec<Value<'v>, &Bump>) -> Result<Value<'v>, Fault> {
    stack.pop().ok_or(Fault::Malformed)
}

/// The n-th number of Fibonacci, as slowly as it can be had.
const FIBONACCI: [Op; 14] = [
    Op::Argument,
    Op::SkipIfSmall(10),
    Op::Argument,
    Op::Push(1),
    Op::Subtract,
    Op::Call,
    Op::Argument,
    Op::Push(2),
    Op::Subtract,
    Op::Call,
    Op::Add,
    Op::Return,
    Op::Argument,
    Op::Return,
];

fn main() {
    let arena = Bump::new();
    let result = call(&FIBONACCI, 20, &arena).expect("there is memory for 20 frames");
    println!("fib(20) = {result}, in an arena of {} bytes", arena.reserved());
    assert_eq!(*result, 6765);
    // 21,891 calls, of which 20 were open at one time.
    assert!(arena.reserved() <= 8 << 10);

    // A machine that may not have more than 4 KiB says so, and goes on.
    let small = Bump::new();
    small.set_limit(4096);
    let endless = [Op::Argument, Op::Call, Op::Return];
    assert_eq!(call(&endless, 1, &small), Err(Fault::NoMemory));
    assert_eq!(call(&FIBONACCI, 7, &small), Ok(&13));
    println!("an endless recursion ends at {} bytes", small.reserved());
}

#[test]
fn it_runs() {
    main();
}
