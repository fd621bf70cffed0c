//! Model names as clients of the older systems write them.

use cobuild_protocol::ErrorCode;

use crate::{http::HttpState, project::model_provider::ModelError};

/// The providers these clients know, and the variable with each one's key.
const PROVIDERS: [(&str, &str); 6] = [
    ("anthropic", "ANTHROPIC_API_KEY"),
    ("openai", "OPENAI_API_KEY"),
    ("google", "GEMINI_API_KEY"),
    ("gemini", "GEMINI_API_KEY"),
    ("groq", "GROQ_API_KEY"),
    ("openrouter", "OPENROUTER_API_KEY"),
];
/// Whose a model without a provider is.
const PROVIDER_DEFAULT: &str = "anthropic";
/// Longest part of a name that is repeated.
const NAME_SHOWN_CHARS_MAX: usize = 80;

/// A model to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// `provider/model`.
    pub(crate) name: String,
    /// What the asker must know, such as that the answer is canned or comes from another model.
    pub(crate) notice: Option<String>,
}

/// The model a name stands for. The error is the sentence these clients know.
pub(crate) fn choose(state: &HttpState, wanted: Option<&str>) -> Result<Chosen, String> {
    let models = &state.models;
    let default = models.default_model();
    let Some(wanted) = wanted.map(str::trim).filter(|wanted| !wanted.is_empty()) else {
        return Ok(Chosen { name: default.name, notice: default.notice });
    };
    let (provider, name) = split(wanted);
    let full = format!("{provider}/{name}");
    let refusal = match models.resolve(&full) {
        Ok(info) => return Ok(Chosen { name: info.name, notice: info.notice }),
        Err(error) => error,
    };
    let offers = models.models().iter().any(|model| model.name.split('/').next() == Some(&provider));
    let variable = PROVIDERS.iter().find(|(known, _)| *known == provider).map(|(_, variable)| *variable);
    let reason = match (variable, &refusal) {
        (None, _) if !offers => return Err(format!("Unknown AI provider: {}", shown(&provider))),
        (Some(variable), ModelError::Unauthorized(_)) => format!("{variable} not configured"),
        (Some(variable), ModelError::UnknownModel { .. }) if !offers => format!("{variable} not configured"),
        _ => refusal.to_string(),
    };
    if variable.is_none() || !state.legacy.stand_ins {
        return Err(reason);
    }
    let canned = default.notice.map(|notice| format!(" ({notice})")).unwrap_or_default();
    let notice = format!("{reason}; {} answered in place of {}{canned}", default.name, shown(&full));
    tracing::info!(model = default.name, "a model stands in for one this server does not have");
    Ok(Chosen { name: default.name, notice: Some(notice) })
}

/// Provider and name: `Anthropic/x` is `anthropic` and `x`, and so is `x`.
fn split(wanted: &str) -> (String, &str) {
    match wanted.split_once('/') {
        Some((provider, name)) => (provider.trim().to_lowercase(), name.trim()),
        None => (PROVIDER_DEFAULT.to_owned(), wanted),
    }
}

fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_SHOWN_CHARS_MAX).collect()
}

/// Whether a run failed only because the model reached its output limit: what it wrote is there all the same.
pub(crate) fn is_cut_short(code: ErrorCode) -> bool {
    code == ErrorCode::Unsupported
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_provider_is_anthropics() {
        for (wanted, provider, name) in [
            ("claude-x", "anthropic", "claude-x"),
            ("OpenAI/gpt-x", "openai", "gpt-x"),
            ("openrouter/a/b", "openrouter", "a/b"),
        ] {
            assert_eq!(split(wanted), (provider.to_owned(), name), "{wanted}");
        }
    }
}
