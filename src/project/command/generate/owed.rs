//! What an answer has to say again: changes that could not be put into their files. Leaving them out is no way to have the
//! rest of the answer applied.

use std::collections::BTreeMap;

use cobuild_protocol::FilePath;

use crate::codegen::{feedback::HeldBack, reply::ParsedReply};

/// Why it is still missing.
const NOT_REPEATED: &str = "it was to be written again, and is missing in the answer";

/// The changes that one answer owes.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// With what was wrong with them.
    edits: BTreeMap<FilePath, HeldBack>,
    /// Versions that would have thrown work away. The others can do without them.
    losses: BTreeMap<FilePath, HeldBack>,
}

impl Owed {
    /// These are to be said again.
    pub(super) fn new(unmatched: &[HeldBack], losses: &[HeldBack]) -> Self {
        let by_path = |held: &[HeldBack]| held.iter().map(|held| (held.path.clone(), held.clone())).collect();
        Self { edits: by_path(unmatched), losses: by_path(losses) }
    }

    /// Those that the answer still leaves out: edits, and versions that would have thrown work away.
    pub(super) fn missing(&self, reply: &ParsedReply) -> (Vec<HeldBack>, Vec<HeldBack>) {
        let is_there = |path: &FilePath| {
            reply.files.iter().any(|file| file.complete && file.path == *path)
                || reply.merges.iter().any(|merge| merge.path == *path)
                || reply.unmatched.iter().any(|held| held.path == *path)
        };
        let missing = |held: &BTreeMap<FilePath, HeldBack>| -> Vec<HeldBack> {
            held.values().filter(|held| !is_there(&held.path)).cloned().collect()
        };
        let not_repeated = |held: HeldBack| {
            if held.reason.ends_with(NOT_REPEATED) {
                return held;
            }
            HeldBack { reason: format!("{}; {NOT_REPEATED}", held.reason), ..held }
        };
        (missing(&self.edits).into_iter().map(not_repeated).collect(), missing(&self.losses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::reply::parse_reply;

    #[test]
    fn what_is_left_out_stays_owed() {
        let held =
            |path: &str| HeldBack { path: path.parse().expect("valid"), reason: "no match".to_owned(), hint: None };
        let owed = Owed::new(&[held("src/a.js"), held("src/b.js")], &[held("src/c.js")]);
        let paths = |reply: &str| {
            let (edits, losses) = owed.missing(&parse_reply(reply));
            let path = |held: HeldBack| held.path.to_string();
            (edits.into_iter().map(path).collect::<Vec<_>>(), losses.into_iter().map(path).collect::<Vec<_>>())
        };
        let (all, of) = ("<file path=\"src/a.js\">1</file>", |paths: &[&str]| -> Vec<String> {
            paths.iter().map(|path| (*path).to_owned()).collect()
        });
        assert_eq!(paths("I see."), (of(&["src/a.js", "src/b.js"]), of(&["src/c.js"])));
        assert_eq!(paths(all), (of(&["src/b.js"]), of(&["src/c.js"])));
        // One that was cut off is not there.
        assert_eq!(paths(&format!("{all}<file path=\"src/b.js\">1")), (of(&["src/b.js"]), of(&["src/c.js"])));
        // One that is wrong again is held back for what is wrong with it now.
        let edit = "<edit path=\"src/b.js\">just words</edit><file path=\"src/c.js\">1</file>";
        assert_eq!(paths(&format!("{all}{edit}")), (Vec::new(), Vec::new()));
        let again = Owed::new(&owed.missing(&parse_reply("")).0, &[]).missing(&parse_reply("")).0;
        assert_eq!(again[0].reason, format!("no match; {NOT_REPEATED}"), "said once");
    }
}
