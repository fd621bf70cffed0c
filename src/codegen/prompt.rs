//! Placeholder of the first commit: signatures.
use crate::project::model_provider::{ContextFile, ModelRequest, Turn};

/// What a model call is built from.
#[derive(Debug, Clone, Default)]
pub struct PromptContext {
    /// `provider/model`, resolved.
    pub model: String,
    /// The project's files, in any order; those without text are only named.
    pub files: Vec<ContextFile>,
    /// Files to keep in full when the budget is short, most important first; others are named only.
    pub important: Vec<cobuild_protocol::FilePath>,
    /// The conversation before this prompt, oldest first.
    pub history: Vec<Turn>,
    /// The prompt to answer.
    pub prompt: String,
}

/// Builds the request within `budget_bytes` of text.
#[must_use]
pub fn build(context: PromptContext, budget_bytes: usize) -> ModelRequest {
    _ = budget_bytes;
    ModelRequest { model: context.model, system: String::new(), files: context.files, turns: context.history }
}
