//! Answers that are not whole.

use std::collections::BTreeSet;

use cobuild_protocol::FilePath;

use super::talk::Ending;
use crate::{codegen::reply::ParsedReply, project::error::ProjectError};

/// What a run's answers lack. Another answer takes nothing of it back: what was never said is not there because something
/// else is – but a file that was left without its end is there once it was written whole.
#[derive(Debug, Default)]
pub(super) struct Lacking {
    /// The first that broke a limit: what it had still to say, nobody knows.
    limit: Option<(Limit, Whose)>,
    /// Files without their end.
    files: BTreeSet<FilePath>,
    /// Whether those are of the last answer.
    files_of: Whose,
}

/// Which limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// The model could not go on, however often it was continued.
    Output,
    /// More than a reply may say.
    Reply,
}

/// Which answer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The last one.
    #[default]
    Last,
    /// One before.
    Earlier,
}

impl Whose {
    fn words(self) -> &'static str {
        match self {
            Self::Last => "the answer",
            Self::Earlier => "an earlier answer",
        }
    }
}

impl Lacking {
    /// An answer is there as far as it goes; a correction of it is part of it.
    pub(super) fn note(&mut self, ending: Ending, reply: &ParsedReply) {
        let limit = match ending {
            Ending::Cut => Some(Limit::Output),
            Ending::Complete => reply.limit.map(|_| Limit::Reply),
        };
        self.limit = self.limit.or_else(|| Some((limit?, Whose::Last)));
        for file in &reply.files {
            if file.complete {
                self.files.remove(&file.path);
            } else if self.files.insert(file.path.clone()) {
                self.files_of = Whose::Last;
            }
        }
    }

    /// Another answer begins.
    pub(super) fn pass(&mut self) {
        self.limit = self.limit.map(|(limit, _)| (limit, Whose::Earlier));
        self.files_of = Whose::Earlier;
    }

    /// How a run ends by it; `applied`: what there is of the answers is in effect. `Ok`: nothing is lacking.
    pub(super) fn outcome(&self, applied: bool) -> Result<(), ProjectError> {
        let (whose, what) = match self.limit {
            Some((Limit::Output, whose)) => (whose, "reached the model's output limit"),
            Some((Limit::Reply, whose)) => (whose, "is larger than one may be"),
            None if self.files.is_empty() => return Ok(()),
            None => (self.files_of, "left a file without its end"),
        };
        let rest = match (applied, self.limit) {
            (true, Some(_)) => "; its complete files were applied, the rest was not",
            (true, None) => "; its complete files were applied, that one was not",
            (false, Some(_)) => " and is not complete",
            (false, None) => "",
        };
        Err(ProjectError::CutOff(format!("{} {what}{rest}", whose.words())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::reply::parse_reply;

    /// Answers, `true` with those that a limit ended, and what the run says of them.
    fn check(answers: &[(bool, &str)], expected: Option<&str>) {
        let mut lacking = Lacking::default();
        for (at, (is_cut, reply)) in answers.iter().enumerate() {
            if at > 0 {
                lacking.pass();
            }
            lacking.note(if *is_cut { Ending::Cut } else { Ending::Complete }, &parse_reply(reply));
        }
        let said = lacking.outcome(true).err().map(|error| error.to_string());
        assert_eq!(said.as_deref(), expected, "{answers:?}");
    }

    #[test]
    fn what_was_never_said_stays_lacking() {
        let (whole, open) = ("<file path=\"src/a.js\">1</file>", "<file path=\"src/a.js\">1");
        let limit = "reached the model's output limit; its complete files were applied, the rest was not";
        let file = "left a file without its end; its complete files were applied, that one was not";
        check(&[(false, whole)], None);
        check(&[(true, whole)], Some(&format!("the answer {limit}")));
        check(&[(true, open), (false, whole)], Some(&format!("an earlier answer {limit}")));
        check(&[(false, open)], Some(&format!("the answer {file}")));
        check(&[(false, open), (false, "I see.")], Some(&format!("an earlier answer {file}")));
        check(&[(false, open), (false, whole)], None);
        check(&[(false, open), (true, "No")], Some(&format!("the answer {limit}")));
        check(&[(false, whole), (false, open)], Some(&format!("the answer {file}")));
    }

    #[test]
    fn one_that_nothing_was_applied_of_claims_nothing() {
        let mut lacking = Lacking::default();
        lacking.note(Ending::Cut, &parse_reply(""));
        let said = lacking.outcome(false).expect_err("it is cut").to_string();
        assert_eq!(said, "the answer reached the model's output limit and is not complete");
    }
}
