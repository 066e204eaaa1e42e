//! Shared values go through channels: made by one thread, looked at by three, freed
//! by whoever is last. The argument is the number of messages in thousands.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use allod_programs::{amount, checksum, finish, word};
use fastrand::Rng;

/// A message: some text and some numbers that many may hold at once.
struct Message {
    title: String,
    numbers: Arc<[u32]>,
}

/// Threads that look.
const READERS: usize = 3;
/// Messages that may wait for each.
const WAITING: usize = 256;

fn main() {
    let count = amount() * 1_000;
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..READERS).map(|_| mpsc::sync_channel(WAITING)).unzip();
    let writer = thread::spawn(move || write(count, &senders));
    let readers: Vec<_> =
        receivers.into_iter().map(|receiver| thread::spawn(move || read(receiver))).collect();
    let own = writer.join().expect("the writer ends well");
    let sums = readers.into_iter().map(|reader| reader.join().expect("a reader ends well"));
    finish(sums.fold(own, u64::wrapping_add));
}

/// Makes messages. Some share the numbers of the one before.
fn write(count: usize, senders: &[SyncSender<Arc<Message>>]) -> u64 {
    let mut random = Rng::with_seed(0xC4A7);
    let mut numbers: Arc<[u32]> = Arc::new([]);
    for i in 0..count {
        if i % 3 == 0 {
            numbers = (0..random.u32(..40)).collect();
        }
        let message = Arc::new(Message { title: word(&mut random), numbers: Arc::clone(&numbers) });
        for sender in senders {
            sender.send(Arc::clone(&message)).expect("every reader waits for all");
        }
    }
    count as u64
}

/// Looks at each, and keeps the last hundred.
fn read(receiver: Receiver<Arc<Message>>) -> u64 {
    let mut kept = std::collections::VecDeque::new();
    let mut sum = 0u64;
    for message in receiver {
        let numbers: u64 = message.numbers.iter().map(|number| u64::from(*number)).sum();
        sum = sum.wrapping_add(checksum(message.title.as_bytes()) ^ numbers);
        kept.push_back(message);
        if kept.len() > 100 {
            kept.pop_front();
        }
    }
    sum
}
