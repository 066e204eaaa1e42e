//! Short asynchronous tasks on two threads: each makes a future, a few buffers and
//! two more tasks, and waits for them. The argument is the number of trees of tasks
//! in hundreds.

use std::future::Future;
use std::pin::Pin;

use allod_programs::{amount, finish};
use tokio::sync::oneshot;

/// A future on the heap, as a trait with asynchronous functions returns.
type Boxed = Pin<Box<dyn Future<Output = u64> + Send>>;

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let sum = runtime.block_on(async {
        let mut sum = 0u64;
        for hundred in 0..amount() as u64 {
            let trees: Vec<_> =
                (0..100).map(|tree| tokio::spawn(work(hundred * 100 + tree, 4))).collect();
            for tree in trees {
                sum = sum.wrapping_add(tree.await.expect("no task panics"));
            }
        }
        sum
    });
    finish(sum);
    Ok(())
}

/// A tree of tasks. The answer of one half comes back through a channel.
fn work(seed: u64, depth: u32) -> Boxed {
    Box::pin(async move {
        let buffer: Vec<u64> = (0..8 + seed % 60).map(|i| i ^ seed).collect();
        if depth == 0 {
            return buffer.iter().fold(seed, |sum, word| sum.wrapping_mul(31) ^ word);
        }
        let (give, take) = oneshot::channel();
        tokio::spawn(async move { give.send(work(seed * 2, depth - 1).await) });
        let right = tokio::spawn(work(seed * 2 + 1, depth - 1));
        let left = take.await.expect("the other task sends");
        let right = right.await.expect("no task panics");
        left.rotate_left(1) ^ right ^ buffer.len() as u64
    })
}
