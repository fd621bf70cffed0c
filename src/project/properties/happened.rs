//! What really came about in all samples together: a promise that chance never puts to the test is not kept, only given.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// What must come about. Each does so dozens of times, but for what takes several things at once.
const WANTED: [What; 31] = [
    What::CameNew,
    What::CameBackInStep,
    What::Resumed,
    What::PlaceLost,
    What::Cut,
    What::Lagged,
    What::ReadBehindTheRing,
    What::ReadMerged,
    What::Accepted,
    What::SameReply,
    What::Forbidden,
    What::RefusedByTheDisk,
    What::RoleChanged,
    What::Moved,
    What::Completed,
    What::Failed,
    What::Cancelled,
    What::Interrupted,
    What::CrashedInARun,
    What::CrashedInAnAppend,
    What::CrashedWhileOneWaited,
    What::Unloaded,
    What::MergedInTheStore,
    What::FoldedIntoTheBase,
    What::CancelledAModel,
    What::FileWritten,
    What::Locked,
    What::Restored,
    What::Joined,
    What::Removed,
    What::StoppedWithTheSandbox,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    CameNew,
    /// With nothing missed.
    CameBackInStep,
    Resumed,
    /// What they had was no longer kept.
    PlaceLost,
    Cut,
    Lagged,
    /// From the store, as the ring of recent events began later.
    ReadBehindTheRing,
    ReadMerged,
    Accepted,
    /// To a command that was sent again.
    SameReply,
    Forbidden,
    RefusedByTheDisk,
    RoleChanged,
    /// In the line of what waits.
    Moved,
    Completed,
    Failed,
    Cancelled,
    Interrupted,
    CrashedInARun,
    /// Stored or not, nobody had heard of it.
    CrashedInAnAppend,
    CrashedWhileOneWaited,
    Unloaded,
    MergedInTheStore,
    FoldedIntoTheBase,
    /// While it spoke.
    CancelledAModel,
    FileWritten,
    Locked,
    Restored,
    /// A prompt, to the run under way.
    Joined,
    Removed,
    /// The run that used it.
    StoppedWithTheSandbox,
}

static COUNTS: Mutex<BTreeMap<What, usize>> = Mutex::new(BTreeMap::new());

pub(super) fn note(what: What) {
    *COUNTS.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
}

/// After all samples.
pub(super) fn check() {
    let counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    println!("{counts:?}");
    for what in WANTED {
        let count = counts.get(&what).copied().unwrap_or_default();
        assert!(count > 0, "{what:?} never came about: {counts:?}");
    }
}
