//! A conversation that outgrew the model's window: the question for its summary, and what stands in its place afterwards.

use cobuild_protocol::value::MessageRole;

use super::prompt::PromptTurn;

/// The instructions for it.
pub const SYSTEM: &str = "You sum up the beginning of a conversation about building a small web app, for a colleague who goes \
    on with it and cannot read it. Keep what still matters: what the people want and decided, names, numbers and wording they \
    insist on, what was built and where it is, what was tried and did not work, what is open. Leave out code, greetings and \
    what was overtaken. Plain text, at most 400 words, no preamble.";

/// Longest summary that is kept.
pub const SUMMARY_SIZE_BYTES_MAX: usize = 8 * 1024;

/// The question: the earlier summary, if any, and the turns to be summed up.
#[must_use]
pub fn question(earlier: Option<&str>, turns: &[PromptTurn]) -> String {
    let mut text = String::from("Sum up this conversation.\n");
    if let Some(earlier) = earlier {
        text.push_str(&format!("\n[Summary of what came before]\n{earlier}\n"));
    }
    for turn in turns {
        let who = match turn.role {
            MessageRole::User => "Person",
            MessageRole::Assistant => "Assistant",
        };
        text.push_str(&format!("\n[{who}]\n{}\n", turn.text));
    }
    text
}

/// The turn that stands for everything that was summed up.
#[must_use]
pub fn turn(summary: &str) -> PromptTurn {
    let text = format!("[Summary of the conversation so far]\n{summary}");
    PromptTurn { role: MessageRole::User, text }
}

/// Cuts a summary to its limit.
#[must_use]
pub fn limited(summary: &str) -> String {
    let summary = summary.trim();
    summary[..summary.floor_char_boundary(SUMMARY_SIZE_BYTES_MAX.min(summary.len()))].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_has_everything_in_order() {
        let turn = |role, text: &str| PromptTurn { role, text: text.to_owned() };
        let turns = [turn(MessageRole::User, "A shop"), turn(MessageRole::Assistant, "Here it is.")];
        let text = question(Some("They like blue."), &turns);
        let places: Vec<_> = ["They like blue.", "[Person]\nA shop", "[Assistant]\nHere it is."]
            .iter()
            .map(|part| text.find(part))
            .collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
    }

    #[test]
    fn summaries_are_limited() {
        assert_eq!(limited(&"ü".repeat(SUMMARY_SIZE_BYTES_MAX)).len(), SUMMARY_SIZE_BYTES_MAX);
        assert_eq!(limited(" x \n"), "x");
    }
}
