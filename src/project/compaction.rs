//! Compaction: the same history in less space.
//!
//! When a run has ended, its deltas become few large frames in the store; when the log has grown beyond its limits, its
//! oldest part becomes one stored fold, the base. A job reads and prepares, in small steps; the actor alone puts each
//! step on record, between its other appends and like them: in one transaction, under the head it believes in. Nothing of
//! it is an event, and no client notices – except that who comes back from before the base gets a snapshot.

#[cfg(test)]
mod tests;

use cobuild_protocol::{EventFrame, ProjectId, Seq};
use tokio::{sync::oneshot, task::spawn_blocking};

use super::{
    event_log::span,
    event_store::{Compaction, KeptLog, ReadLimits, SharedStore, StoreError, StoredEvent, StoredSnapshot},
    history::read_state,
    run::{ActorGone, Reporter, UpdateBody},
    state::State,
};

/// How much one step looks at: some milliseconds of the store's writer, so that appends hardly wait for it.
const STEP: ReadLimits = ReadLimits { events: 1024, size_bytes: 2 * 1024 * 1024 };
/// After so many events without a run's end – a very long run, or none at all – they are compacted all the same.
const EVENTS_UNMERGED_MAX: Seq = 8192;
/// When a project is loaded, fewer events than this are left for the next run's end.
const EVENTS_UNMERGED_AT_LOAD: Seq = 64;

/// How much of a project's log is kept event by event: what can be replayed, read as it was, and restored. Whichever
/// limit is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Most frames.
    pub frames: u64,
    /// Most bytes of frames.
    pub size_bytes: u64,
}

impl Default for LogLimits {
    /// 65,536 frames: a compacted run is some forty, so this is more than a thousand runs, and more than three times
    /// what is ever replayed to a client. 64 MiB: what a thousand runs that each type a small app come to, and what a
    /// thousand such projects cost is a disk of 64 GB.
    fn default() -> Self {
        Self { frames: 65_536, size_bytes: 64 << 20 }
    }
}

impl LogLimits {
    fn hold(self, frames: u64, size_bytes: u64) -> bool {
        frames <= self.frames && size_bytes <= self.size_bytes
    }

    /// What is aimed at when a limit is exceeded, so that it is not again after the next event.
    const fn target(self) -> Self {
        Self { frames: self.frames - self.frames / 16, size_bytes: self.size_bytes - self.size_bytes / 16 }
    }
}

/// When there is something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// The project was loaded.
    Loaded,
    /// A run has ended.
    RunEnded,
    /// Events came.
    Appended,
}

impl Occasion {
    pub(crate) fn suffices(self, kept: KeptLog, head: Seq, limits: LogLimits) -> bool {
        let unmerged = head.saturating_sub(kept.merged);
        let enough = match self {
            Self::Loaded => EVENTS_UNMERGED_AT_LOAD,
            Self::RunEnded => 1,
            Self::Appended => EVENTS_UNMERGED_MAX,
        };
        unmerged >= enough || !limits.hold(kept.frames, kept.size_bytes)
    }
}

/// A step, ready to be put on record.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) compaction: Compaction,
    /// By how much less is kept.
    pub(crate) freed: Freed,
    /// Told what is kept then; dropped when the store did not take it.
    pub(crate) done: oneshot::Sender<KeptLog>,
}

/// By how much less is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    frames: u64,
    size_bytes: u64,
}

impl Freed {
    fn of(events: &[StoredEvent]) -> Self {
        let size_bytes = events.iter().map(|event| event.frame.len() as u64).sum();
        Self { frames: events.len() as u64, size_bytes }
    }

    fn less(self, other: Self) -> Self {
        Self {
            frames: self.frames.saturating_sub(other.frames),
            size_bytes: self.size_bytes.saturating_sub(other.size_bytes),
        }
    }

    pub(crate) fn from(self, kept: KeptLog) -> KeptLog {
        let frames = kept.frames.saturating_sub(self.frames);
        KeptLog { frames, size_bytes: kept.size_bytes.saturating_sub(self.size_bytes), ..kept }
    }
}

/// Why it stopped before it was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stopped {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the store did not take a step")]
    Refused,
    #[error("the project is closing")]
    Closing,
}

impl From<ActorGone> for Stopped {
    fn from(_: ActorGone) -> Self {
        Self::Closing
    }
}

/// The job.
#[derive(Debug)]
pub(crate) struct Compactor {
    pub(crate) store: SharedStore,
    pub(crate) project: ProjectId,
    pub(crate) limits: LogLimits,
    pub(crate) reporter: Reporter,
}

impl Compactor {
    /// Merges up to event `upto`, then folds what is too much.
    pub(crate) async fn run(self, mut kept: KeptLog, upto: Seq) -> Result<(), Stopped> {
        while kept.merged < upto {
            kept = self.merge_some(kept, upto).await?;
        }
        let mut state = None;
        while !self.limits.hold(kept.frames, kept.size_bytes) && kept.base < kept.merged {
            let (next, folded) = self.fold_some(kept, state.take()).await?;
            (kept, state) = (next, Some(folded));
        }
        Ok(())
    }

    async fn merge_some(&self, kept: KeptLog, upto: Seq) -> Result<KeptLog, Stopped> {
        let mut events = self.store.read(&self.project, kept.merged.max(kept.base) + 1, STEP).await?;
        events.truncate(events.partition_point(|event| event.seq <= upto));
        let Some(merged_upto) = events.last().map(|event| event.seq) else {
            return Err(StoreError::Corrupt("the log ends before its head".into()).into());
        };
        let (merged, freed) = blocking(move || {
            let merged = span::merge(&events);
            let within = |event: &StoredEvent| {
                merged.iter().any(|span: &StoredEvent| span.first() <= event.seq && event.seq <= span.seq)
            };
            events.retain(within);
            let freed = Freed::of(&events).less(Freed::of(&merged));
            (merged, freed)
        })
        .await?;
        self.record(Compaction { merged, merged_upto, base: None }, freed).await
    }

    /// Makes the oldest frames part of the base.
    async fn fold_some(&self, kept: KeptLog, state: Option<State>) -> Result<(KeptLog, State), Stopped> {
        let mut state = match state {
            Some(state) => state,
            None => {
                self.store.base(&self.project).await?.map_or_else(|| Ok(State::default()), |base| read_state(&base))?
            }
        };
        let events = self.store.read(&self.project, kept.base + 1, STEP).await?;
        let target = self.limits.target();
        let (state, encoded, freed) = blocking(move || {
            let mut freed = Freed::default();
            for event in events.into_iter().take_while(|event| event.seq <= kept.merged) {
                let left = freed.from(kept);
                if target.hold(left.frames, left.size_bytes) {
                    break;
                }
                let frame: EventFrame = serde_json::from_slice(&event.frame)
                    .map_err(|error| StoreError::Corrupt(format!("event {}: {error}", event.seq).into()))?;
                state.apply(&frame);
                freed.frames += 1;
                freed.size_bytes += event.frame.len() as u64;
            }
            let encoded = serde_json::to_vec(&state).map_err(|error| StoreError::Corrupt(error.to_string().into()))?;
            Ok::<_, StoreError>((state, encoded, freed))
        })
        .await??;
        let base = StoredSnapshot { seq: state.seq, state: encoded.into() };
        let compaction = Compaction { merged: Vec::new(), merged_upto: kept.merged, base: Some(base) };
        Ok((self.record(compaction, freed).await?, state))
    }

    async fn record(&self, compaction: Compaction, freed: Freed) -> Result<KeptLog, Stopped> {
        let (done, recorded) = oneshot::channel();
        self.reporter.report(UpdateBody::Compact(Step { compaction, freed, done })).await?;
        recorded.await.map_err(|_| Stopped::Refused)
    }
}

/// Work that would hold up whoever shares the thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stopped> {
    spawn_blocking(work).await.map_err(|_| Stopped::Closing)
}
