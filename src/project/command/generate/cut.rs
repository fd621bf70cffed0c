//! Answers that are not whole.

use super::talk::Ending;
use crate::{codegen::reply::ParsedReply, project::error::ProjectError};

/// Why something of an answer is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The model could not go on, however often it was continued.
    OutputLimit,
    /// It says more than a reply may.
    ReplyLimit,
    /// It leaves a file without its end.
    Unfinished,
}

impl Cut {
    /// `None`: it is whole.
    pub(super) fn of(ending: Ending, reply: &ParsedReply) -> Option<Self> {
        match ending {
            Ending::Cut => Some(Self::OutputLimit),
            Ending::Complete if reply.limit.is_some() => Some(Self::ReplyLimit),
            Ending::Complete => reply.is_cut().then_some(Self::Unfinished),
        }
    }

    /// How a run ends by it; `applied`: what there is of the answer is in effect.
    pub(super) fn error(self, applied: bool) -> ProjectError {
        ProjectError::CutOff(match (self, applied) {
            (Self::OutputLimit, true) => {
                "the answer reached the model's output limit; its complete files were applied, the cut-off one was not"
            }
            (Self::OutputLimit, false) => "the answer reached the model's output limit and is not complete",
            (Self::ReplyLimit, true) => {
                "the answer is larger than one may be; its complete files up to there were applied, the rest was not"
            }
            (Self::ReplyLimit, false) => "the answer is larger than one may be and is not complete",
            (Self::Unfinished, true) => {
                "the answer left a file without its end; its complete files were applied, that one was not"
            }
            (Self::Unfinished, false) => "the answer left a file without its end",
        })
    }
}
