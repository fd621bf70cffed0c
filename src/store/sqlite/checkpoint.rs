//! Moving what was committed from the write-ahead log into the database, on a thread of its own.
//!
//! SQLite would do it inside of the commit that makes the log long enough. That waits for the disk – for milliseconds, on a
//! busy disk for seconds –, and with it would everybody who is to see what was committed. A checkpoint from another
//! connection hinders no writer.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, hooks::Wal};

use super::database;

/// Pages in the log from which on they are moved: SQLite's own measure, 4 MiB.
const PAGES_MOVED: i32 = 1000;
/// Pages from which on the writer moves them itself, as it would without us. The log begins anew only when a commit finds
/// all of it moved; while one commit follows another that may never be, and the log would grow without end. From twice as
/// many on it waits for the thread, which may be slow: commits then come as fast as the disk takes them.
const PAGES_MAX: i32 = 4 * PAGES_MOVED;

/// How much others go before it, as `nice` counts.
const NICE: i32 = 10;

/// The thread. Dropping it waits for a checkpoint under way.
#[derive(Debug)]
pub(super) struct Checkpoints {
    words: SyncSender<Word>,
    /// `None` only while being dropped.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Word {
    Due,
    End,
}

impl Checkpoints {
    /// Takes the checkpoints off the hands of the connection that writes to the database at `path`.
    pub(super) fn take_over(writer: &mut Connection, path: &Path) -> io::Result<Self> {
        let connection = database::open_to_checkpoint(path).map_err(io::Error::other)?;
        // One that waits covers all that is committed before it begins; more need not wait.
        let (words, received) = sync_channel(1);
        let ours = Arc::new(Mutex::new(()));
        let theirs = Arc::clone(&ours);
        let checkpoints = move || run(&connection, &received, &theirs);
        let thread = thread::Builder::new().name("store-checkpoint".into()).spawn(checkpoints)?;
        let own = words.clone();
        let committed = move |log: &mut Wal, pages: i32| {
            if pages >= PAGES_MAX {
                // SQLite refuses a second checkpoint at the same time, whatever its mode, and waits for none.
                let turn = if pages < 2 * PAGES_MAX { ours.try_lock().ok() } else { Some(lock(&ours)) };
                if turn.is_some() {
                    // What fails is tried again after the next commit; this one stands.
                    let _ = log.checkpoint();
                }
            } else if pages >= PAGES_MOVED {
                let _ = own.try_send(Word::Due);
            }
            Ok(())
        };
        writer.wal_hook(Some(committed)).map_err(io::Error::other)?;
        Ok(Self { words, thread: Some(thread) })
    }
}

/// `turn` is held while the log is moved.
fn run(connection: &Connection, words: &Receiver<Word>, turn: &Mutex<()>) {
    // On Linux this is the thread's alone: where cores are few, what people wait for goes first.
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut fails = false;
    while let Ok(Word::Due) = words.recv() {
        // The pragma, not the function: that does nothing on a connection which has not read anything yet.
        let turn = lock(turn);
        let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        drop(turn);
        match (&moved, fails) {
            // A full disk, say. The log has everything, and grows; each commit from here on tries again.
            (Err(error), false) => tracing::warn!(%error, "the database does not take what is in its log, which grows"),
            (Ok(()), true) => tracing::info!("the database takes what is in its log again"),
            _ => {}
        }
        fails = moved.is_err();
    }
}

fn lock(turn: &Mutex<()>) -> MutexGuard<'_, ()> {
    turn.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        // Fails only when the thread has panicked.
        let _ = self.words.send(Word::End);
        if let Some(thread) = self.thread.take() {
            // Its panic was reported by the panic hook; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}
