//! Replies that left no event, kept for commands that are sent again.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use cobuild_protocol::{RequestId, frame::ControlFrame};

use super::event_store::{REPLIES_KEPT_MAX, StoredReply};

/// The newest of these replies, by command.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    order: VecDeque<RequestId>,
    replies: HashMap<RequestId, Bytes>,
}

impl Remembered {
    /// Keeps these replies; the oldest make room.
    pub(crate) fn extend(&mut self, replies: Vec<StoredReply>) {
        for StoredReply { id, frame } in replies {
            if self.replies.insert(id.clone(), frame).is_none() {
                self.order.push_back(id);
            }
        }
        while self.order.len() > REPLIES_KEPT_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.replies.remove(&oldest);
            }
        }
    }

    /// The reply this command got.
    pub(crate) fn get(&self, id: &RequestId) -> Option<ControlFrame> {
        self.replies.get(id).and_then(|frame| serde_json::from_slice(frame).ok())
    }
}
