//! Which models a `generate` may use: those it names, in order, or the server's default.

use cobuild_protocol::command::ModelChoice;

use crate::project::{
    error::ProjectError,
    model_provider::{ModelError, ModelInfo, ModelProvider},
};

/// Most models of one `generate`. Each may be tried, with its retries, while people wait.
const MODELS_MAX: usize = 8;
/// Longest name; vendors' have some fifty.
const NAME_SIZE_BYTES_MAX: usize = 256;

/// The models that may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    /// All of them, the first one to be asked in front.
    pub(super) names: Vec<String>,
    /// What the users of the first one must know.
    pub(super) notice: Option<String>,
}

/// Decides before anything is sent. Of several, at least one must be usable: the others are passed over in the open, as
/// if they had failed when they were asked.
pub(super) fn choose(models: &dyn ModelProvider, choice: Option<ModelChoice>) -> Result<Chosen, ProjectError> {
    let named = choice.map_or_else(|| vec![models.default_model().name], ModelChoice::into_names);
    if named.is_empty() || named.len() > MODELS_MAX {
        return Err(ProjectError::BadRequest(format!("model is a name or a list of 1 to {MODELS_MAX} names")));
    }
    if named.iter().any(|name| name.len() > NAME_SIZE_BYTES_MAX || name.chars().any(char::is_control)) {
        return Err(ProjectError::BadRequest(format!(
            "a model's name has at most {NAME_SIZE_BYTES_MAX} bytes and no control characters"
        )));
    }
    let resolved: Vec<Result<ModelInfo, ModelError>> = named.iter().map(|name| models.resolve(name)).collect();
    if let Some(Err(error)) = resolved.first().filter(|_| resolved.iter().all(Result::is_err)) {
        return Err(error.clone().into());
    }
    let notice = resolved.first().and_then(|first| first.as_ref().ok()).and_then(|info| info.notice.clone());
    let names = named.into_iter().zip(resolved).map(|(name, info)| info.map_or(name, |info| info.name)).collect();
    Ok(Chosen { names, notice })
}
