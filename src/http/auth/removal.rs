//! Recognises, in the events a connection reads anyway, that its own participant was removed from the project.

use cobuild_protocol::{ErrorBody, ErrorCode, ParticipantId, Seq, value::Role};
use serde::Deserialize;

use crate::project::event_log::Frame;

/// How the encoded event begins; every event begins with its type.
const BEGINNING: &[u8] = br#"{"type":"role_changed""#;

/// Watches one participant's connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RemovalWatch {
    participant: ParticipantId,
    /// Where the log stood when the participant was let in. What is replayed from before does not count any more.
    admitted_at: Seq,
}

/// Of the event, what matters here.
#[derive(Deserialize)]
struct RoleChanged {
    participant: ParticipantId,
    role: Option<Role>,
}

impl RemovalWatch {
    pub(crate) const fn new(participant: ParticipantId, admitted_at: Seq) -> Self {
        Self { participant, admitted_at }
    }

    /// The refusal, if this event is the participant's removal.
    pub(crate) fn check(&self, frame: &Frame) -> Result<(), ErrorBody> {
        if frame.seq() > self.admitted_at && self.is_removal(frame.json()) {
            return Err(ErrorBody::new(ErrorCode::Forbidden, "an owner has removed you from this project"));
        }
        Ok(())
    }

    fn is_removal(&self, json: &[u8]) -> bool {
        json.starts_with(BEGINNING)
            && serde_json::from_slice::<RoleChanged>(json)
                .is_ok_and(|changed| changed.participant == self.participant && changed.role.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_removal_counts() {
        let watch = RemovalWatch::new(ParticipantId::new(3), 10);
        for (json, expected) in [
            (r#"{"type":"role_changed","seq":11,"participant":"u3"}"#, true),
            (r#"{"type":"role_changed","seq":11,"at":"2026-11-22T08:15:17.042Z","by":"u1","participant":"u3"}"#, true),
            (r#"{"type":"role_changed","seq":11,"participant":"u3","role":"viewer"}"#, false),
            (r#"{"type":"role_changed","seq":11,"participant":"u30"}"#, false),
            (r#"{"type":"participant_left","seq":11,"participant":"u3"}"#, false),
            (r#"{"type":"text_delta","seq":11,"text":"{\"type\":\"role_changed\",\"participant\":\"u3\"}"}"#, false),
        ] {
            assert_eq!(watch.is_removal(json.as_bytes()), expected, "{json}");
        }
    }
}
