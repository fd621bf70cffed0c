//! Model names as clients of the older systems write them.

use super::dialect::Dialect;
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
/// The providers that browsers name.
const BROWSER_PREFIXES: [&str; 3] = ["anthropic", "openai", "google"];
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
pub(crate) fn choose(state: &HttpState, dialect: Dialect, wanted: Option<&str>) -> Result<Chosen, String> {
    let models = &state.models;
    let default = models.default_model();
    let Some(wanted) = wanted.map(str::trim).filter(|wanted| !wanted.is_empty()) else {
        return Ok(Chosen { name: default.name, notice: default.notice });
    };
    let (provider, name) = match dialect {
        Dialect::Engine | Dialect::Camel => split(wanted),
        Dialect::Browser => split_for_browsers(wanted, models.models().iter().any(|model| model.name == wanted)),
    };
    let full = format!("{provider}/{name}");
    let refusal = match models.resolve(&full) {
        Ok(info) => return Ok(Chosen { name: info.name, notice: info.notice }),
        Err(error) => error,
    };
    let offers = models.models().iter().any(|model| model.name.split('/').next() == Some(&provider));
    let variable = PROVIDERS.iter().find(|(known, _)| *known == provider).map(|(_, variable)| *variable);
    let reason = match (variable, &refusal) {
        (_, ModelError::NotConfigured { variable, .. }) => format!("{variable} not configured"),
        (None, _) if !offers => return Err(format!("Unknown AI provider: {}", shown(&provider))),
        (Some(variable), ModelError::Unauthorized(_)) => format!("{variable} not configured"),
        (Some(variable), ModelError::UnknownModel { .. }) if !offers => format!("{variable} not configured"),
        _ => refusal.to_string(),
    };
    if variable.is_none() || !state.legacy.stand_ins {
        return Err(match dialect {
            Dialect::Engine | Dialect::Camel => reason,
            // Such pages name models of which they do not know whose they are.
            Dialect::Browser => format!("{reason}: {} cannot be asked", shown(wanted)),
        });
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

/// The same for browsers: what has none of three prefixes, and is nothing this server has, is Groq's, whole.
fn split_for_browsers(wanted: &str, is_ours: bool) -> (String, &str) {
    let (provider, name) = split(wanted);
    let is_prefixed = wanted.contains('/') && BROWSER_PREFIXES.contains(&provider.as_str());
    if is_ours || is_prefixed { (provider, name) } else { ("groq".to_owned(), wanted) }
}

fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_do_not_prefix_is_groqs() {
        for (wanted, provider, name) in [
            ("moonshotai/kimi-k2-instruct-0905", "groq", "moonshotai/kimi-k2-instruct-0905"),
            ("openai/gpt-5", "openai", "gpt-5"),
            ("kimi", "groq", "kimi"),
            ("demo/scripted", "demo", "scripted"),
        ] {
            assert_eq!(split_for_browsers(wanted, wanted == "demo/scripted"), (provider.to_owned(), name), "{wanted}");
        }
    }

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
