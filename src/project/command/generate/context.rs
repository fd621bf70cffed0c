//! What the model sees of the project and the conversation, within its window.

use cobuild_protocol::FilePath;

use crate::{
    codegen::{
        prompt::{self, PromptContext, PromptFile, PromptParts, PromptTurn},
        relevance,
        reply_path::Layout,
        summary,
    },
    project::{
        conversation::Conversation,
        error::ProjectError,
        model_provider::{ContextFile, ModelInfo, Turn},
        run::{JobContext, Wish},
        sandbox_link::read_content,
    },
};

/// Most bytes of files and conversation in one request, however large the window: more costs more than it helps.
const CONTEXT_SIZE_BYTES_MAX: usize = 400 * 1024;
/// Fewest bytes: with less than this there is no use in asking.
const CONTEXT_SIZE_BYTES_MIN: usize = 8 * 1024;
/// Bytes of code that make a token, at the least; so that what is sent fits for certain.
const BYTES_PER_TOKEN_MIN: u64 = 3;
/// Tokens kept free for the answer when nothing is known of it.
const ANSWER_TOKENS: u64 = 32_000;
/// Files larger than this are named to the model, not shown.
const CONTEXT_FILE_SIZE_BYTES_MAX: u64 = 64 * 1024;
/// Files nobody writes by hand.
const NOT_SHOWN: [&str; 1] = ["package-lock.json"];

/// Everything there is to see, and the part of it that fits.
pub(super) struct View {
    files: Vec<PromptFile>,
    important: Vec<FilePath>,
    conversation: Conversation,
    layout: Layout,
    whole_files: bool,
    prompt_bytes: usize,
    budget_bytes: usize,
    parts: PromptParts,
}

impl View {
    /// Reads the project's files and chooses.
    pub(super) async fn gather(context: &JobContext, model: &ModelInfo, wish: &Wish) -> Result<Self, ProjectError> {
        let tree = context.tree.borrow().clone();
        let mut files = Vec::with_capacity(tree.len());
        for (path, info) in tree.iter() {
            let shown = info.size_bytes <= CONTEXT_FILE_SIZE_BYTES_MAX && !NOT_SHOWN.contains(&path.name());
            let text = match shown {
                true => String::from_utf8(read_content(&context.parts.store, info).await?.to_vec()).ok(),
                false => None,
            };
            files.push(PromptFile { path: path.clone(), text });
        }
        let conversation = context.conversation.clone();
        let texts = files.iter().map(|file| (&file.path, file.text.as_deref()));
        let important = relevance::important(&wish.prompt, texts, &conversation.edited);
        let mut view = Self {
            files,
            important,
            conversation,
            prompt_bytes: wish.prompt.len() + wish.background.as_ref().map_or(0, String::len),
            layout: context.layout,
            whole_files: model.whole_files,
            budget_bytes: budget(model),
            parts: PromptParts::default(),
        };
        view.choose();
        Ok(view)
    }

    /// Instructions, files and turns, most stable first.
    pub(super) fn parts(&self) -> (String, Vec<ContextFile>, Vec<Turn>) {
        let PromptParts { system, files, turns, .. } = self.parts.clone();
        let files = files.into_iter().map(|file| ContextFile { path: file.path, text: file.text }).collect();
        let turns = turns.into_iter().map(|turn| Turn { role: turn.role, text: turn.text }).collect();
        (system, files, turns)
    }

    /// How many messages and files' texts did not fit; `None`: everything did.
    pub(super) fn trimmed(&self) -> Option<(u32, u32)> {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let trimmed = (count(self.parts.turns_dropped), count(self.parts.files_without_text));
        (trimmed != (0, 0)).then_some(trimmed)
    }

    pub(super) fn budget_bytes(&self) -> usize {
        self.budget_bytes
    }

    /// Another model is asked: what it takes and what it is good at counts from now on.
    pub(super) fn adopt(&mut self, model: &ModelInfo) {
        self.whole_files = model.whole_files;
        self.budget_bytes = budget(model);
    }

    /// Chooses anew beside what was said in this run. Says whether that changes what is sent.
    pub(super) fn choose_beside(&mut self, run_bytes: usize) -> bool {
        self.prompt_bytes = run_bytes;
        let before = std::mem::take(&mut self.parts);
        self.choose();
        self.parts != before
    }

    /// Halves what is sent, after the model said that it is too long. False when there is nothing left to take away.
    pub(super) fn halve(&mut self) -> bool {
        let sent = self.parts.size_bytes() + self.prompt_bytes;
        if self.parts.is_bare() {
            return false;
        }
        self.budget_bytes = sent.min(self.budget_bytes) / 2;
        self.choose();
        true
    }

    /// Whether what was said in this run fits besides.
    pub(super) fn has_room_for(&self, run_bytes: usize) -> bool {
        self.parts.size_bytes() + run_bytes <= self.budget_bytes
    }

    /// What was said in this run has grown. Files and conversation stay as they are while that fits, so that vendors' caches
    /// can keep them. Says whether they had to change.
    pub(super) fn make_room(&mut self, run_bytes: usize) -> bool {
        self.prompt_bytes = run_bytes;
        let had_room = self.has_room_for(run_bytes) || self.parts.is_bare();
        if !had_room {
            self.choose();
        }
        !had_room
    }

    /// The turns that do not fit, as far as `keep` of the newest ones may stay; and the message the last of them is.
    pub(super) fn outgrown(&self) -> Option<(&Conversation, usize)> {
        (self.parts.turns_dropped > 0).then_some((&self.conversation, self.parts.turns_dropped))
    }

    /// A summary takes the place of the oldest turns.
    pub(super) fn summed_up(&mut self, summary: String, turns: usize) {
        self.conversation.turns.drain(..turns);
        self.conversation.summary = Some(summary);
        self.choose();
    }

    fn choose(&mut self) {
        let history: Vec<PromptTurn> = self.conversation.turns.iter().map(|(_, turn)| turn.clone()).collect();
        let context = PromptContext {
            layout: self.layout,
            whole_files: self.whole_files,
            files: self.files.clone(),
            important: self.important.clone(),
            summary: self.conversation.summary.as_deref().map(summary::turn),
            history,
            prompt_bytes: self.prompt_bytes,
        };
        self.parts = prompt::build(context, self.budget_bytes);
    }
}

/// How much text is sent: what the window leaves beside the answer, as far as it is known.
fn budget(model: &ModelInfo) -> usize {
    let Some(window) = model.context_tokens_max else { return CONTEXT_SIZE_BYTES_MAX };
    let answer = model.output_tokens_max.unwrap_or(ANSWER_TOKENS).min(ANSWER_TOKENS).min(window / 2);
    let bytes = usize::try_from((window - answer).saturating_mul(BYTES_PER_TOKEN_MIN)).unwrap_or(usize::MAX);
    bytes.clamp(CONTEXT_SIZE_BYTES_MIN, CONTEXT_SIZE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_decides_how_much_is_sent() {
        let budget = |window, output| {
            budget(&ModelInfo { context_tokens_max: window, output_tokens_max: output, ..ModelInfo::default() })
        };
        assert_eq!(budget(None, None), CONTEXT_SIZE_BYTES_MAX);
        assert_eq!(budget(Some(1_000_000), Some(128_000)), CONTEXT_SIZE_BYTES_MAX);
        assert_eq!(budget(Some(32_768), Some(8_192)), 24_576 * 3);
        assert_eq!(budget(Some(32_768), None), 16_384 * 3);
        assert_eq!(budget(Some(10), None), CONTEXT_SIZE_BYTES_MIN);
    }
}
