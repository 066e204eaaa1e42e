//! Looks at the program while it runs, for when it ends without a word.
//!
//! A program that a signal ends writes no dump, and a server that is stopped with Ctrl-C
//! ends so. Its tables can be read from outside while it runs (`allod_profile::raw`): a
//! thread copies them, soon after the start and then once a second, and keeps the last
//! copy. A signal that the command passes on is held until one more copy is made.
//!
//! The program is not stopped and notices nothing. A look costs the time to copy a
//! megabyte or so; names are looked up in the last copy alone, at the end.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use allod_profile::raw::Dump;

/// Until the first look, and most between two. It doubles in between.
const FIRST: Duration = Duration::from_millis(60);
const LAST: Duration = Duration::from_secs(1);

/// A copy of the program's tables, and when it was made.
pub(crate) struct Look {
    pub(crate) dump: Dump,
    pub(crate) at: Instant,
}

/// The looks at one process.
pub(crate) struct Looks {
    pid: u32,
    last: Arc<Mutex<Option<Look>>>,
    /// Gone, it ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Looks {
    /// Begins to look. Without a thread for it there are no looks but the asked for.
    pub(crate) fn begin(pid: u32) -> Self {
        let last = Arc::new(Mutex::new(None));
        let (stop, stopped) = mpsc::channel::<()>();
        let kept = Arc::clone(&last);
        let thread = thread::Builder::new().name("looks".into()).spawn(move || {
            let mut pause = FIRST;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                look(pid, &kept);
                pause = (pause * 2).min(LAST);
            }
        });
        Self { pid, last, stop: Some(stop), thread: thread.ok() }
    }

    /// Looks once, here and now.
    pub(crate) fn look(&self) {
        look(self.pid, &self.last);
    }

    /// The last look, when the program has ended.
    pub(crate) fn end(mut self) -> Option<Look> {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Copies the tables of a process, if there are any yet.
fn look(pid: u32, last: &Mutex<Option<Look>>) {
    let at = Instant::now();
    if let Ok(dump) = Dump::of_process(pid) {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two at the same time the later counts, whoever is done first.
        if last.as_ref().is_none_or(|it| it.at < at) {
            *last = Some(Look { dump, at });
        }
    }
}
