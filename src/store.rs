//! Stores: the adapters behind `project::event_store`.
//!
//! They know bytes, sequence numbers and hashes. What an event means, they don't know.

pub mod memory;
pub mod sqlite;

#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod testing;

use cobuild_protocol::Seq;

use crate::project::event_store::{AppendBatch, StoreError, StoredEvent};

/// The head after the batch, or a conflict when the batch does not continue the log.
fn head_after(head: Seq, batch: &AppendBatch) -> Result<Seq, StoreError> {
    if batch.expected_head != head {
        return Err(StoreError::Conflict);
    }
    let head = last_of(head, &batch.events)?;
    match &batch.snapshot {
        // A snapshot from the future would hide the events up to it from whoever loads the project next.
        Some(snapshot) if snapshot.seq > head => Err(StoreError::Conflict),
        _ => Ok(head),
    }
}

/// The last seq of events that follow `head` without a gap.
fn last_of(head: Seq, events: &[StoredEvent]) -> Result<Seq, StoreError> {
    events.iter().try_fold(
        head,
        |head, event| {
            if event.seq == head + 1 { Ok(event.seq) } else { Err(StoreError::Conflict) }
        },
    )
}
