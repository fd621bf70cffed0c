//! Which models there are: keys, addresses, defaults.

#![allow(rustdoc::bare_urls, reason = "`--help` shows these sentences as they are")]

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::Secret;
use crate::model::{
    endpoint::{EndpointSettings, ModelSettings},
    provider::Provider,
};

/// Everything that can be set of models. Keys come from the environment; nothing ever prints them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Models")]
pub struct ModelConfig {
    /// Model that answers when a prompt names none: `provider/model`. Unset: the default of the first provider with a
    /// key, else a model found on this machine, else the demo
    #[arg(long, env = "DEFAULT_AI_MODEL", global = true)]
    pub default_ai_model: Option<String>,

    /// Model that merges edits which say only what is new (`<edit target_file>` with an `<update>`), as older clients'
    /// models write them: `provider/model`, such as `compatible/morph-v3-large`. Unset: such edits are refused
    #[arg(long, env = "MERGE_MODEL", global = true)]
    pub merge_model: Option<String>,

    /// Sent, where the model takes it, when a request sets none: 0 to 2. Many current models refuse it
    #[arg(long, env = "DEFAULT_TEMPERATURE", global = true, value_parser = temperature)]
    pub default_temperature: Option<f64>,

    /// Most tokens of an answer, reasoning included; never more than the model can. Unset: 32000
    #[arg(long, env = "MAX_TOKENS", global = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_tokens: Option<u64>,

    /// File with rows that replace or extend the built-in table of models (see docs/models.md)
    #[arg(long, env = "MODELS_FILE", global = true)]
    pub models_file: Option<PathBuf>,

    /// Whether Ollama, LM Studio, llama.cpp and vLLM are looked for on this machine
    #[arg(long, env = "FIND_LOCAL_MODELS", default_value_t = true, action = ArgAction::Set, global = true)]
    pub find_local_models: bool,

    /// Key of Anthropic
    #[arg(long, env = "ANTHROPIC_API_KEY", global = true, hide_env_values = true, value_parser = super::secret)]
    pub anthropic_api_key: Option<Secret>,

    /// Where Anthropic is, without a version. Unset: https://api.anthropic.com
    #[arg(long, env = "ANTHROPIC_BASE_URL", global = true)]
    pub anthropic_base_url: Option<String>,

    /// Version header of Anthropic's API. Unset: 2023-06-01
    #[arg(long, env = "ANTHROPIC_VERSION", global = true)]
    pub anthropic_version: Option<String>,

    /// Key of OpenAI
    #[arg(long, env = "OPENAI_API_KEY", global = true, hide_env_values = true, value_parser = super::secret)]
    pub openai_api_key: Option<Secret>,

    /// Where OpenAI is; ends in /v1. Unset: https://api.openai.com/v1
    #[arg(long, env = "OPENAI_BASE_URL", global = true)]
    pub openai_base_url: Option<String>,

    /// Key of Google's Gemini API
    #[arg(long, env = "GEMINI_API_KEY", global = true, hide_env_values = true, value_parser = super::secret)]
    pub gemini_api_key: Option<Secret>,

    /// Where Gemini is, without a version. Unset: https://generativelanguage.googleapis.com
    #[arg(long, env = "GEMINI_BASE_URL", global = true)]
    pub gemini_base_url: Option<String>,

    /// Key of Groq
    #[arg(long, env = "GROQ_API_KEY", global = true, hide_env_values = true, value_parser = super::secret)]
    pub groq_api_key: Option<Secret>,

    /// Where Groq is; ends in /openai/v1. Unset: https://api.groq.com/openai/v1
    #[arg(long, env = "GROQ_BASE_URL", global = true)]
    pub groq_base_url: Option<String>,

    /// Key of OpenRouter
    #[arg(long, env = "OPENROUTER_API_KEY", global = true, hide_env_values = true, value_parser = super::secret)]
    pub openrouter_api_key: Option<Secret>,

    /// Where OpenRouter is; ends in /api/v1. Unset: https://openrouter.ai/api/v1
    #[arg(long, env = "OPENROUTER_BASE_URL", global = true)]
    pub openrouter_base_url: Option<String>,

    /// Key of the compatible server; may stay unset
    #[arg(long, env = "COMPATIBLE_API_KEY", global = true, hide_env_values = true, value_parser = super::secret)]
    pub compatible_api_key: Option<Secret>,

    /// Where any other server is that speaks OpenAI's Chat Completions; its models are `compatible/<model>`
    #[arg(long, env = "COMPATIBLE_BASE_URL", global = true)]
    pub compatible_base_url: Option<String>,
}

impl ModelConfig {
    /// Keys, addresses and defaults, as the vendors' room wants them.
    #[must_use]
    pub fn settings(&self) -> ModelSettings {
        let set = [
            (Provider::Anthropic, &self.anthropic_api_key, &self.anthropic_base_url),
            (Provider::Openai, &self.openai_api_key, &self.openai_base_url),
            (Provider::Google, &self.gemini_api_key, &self.gemini_base_url),
            (Provider::Groq, &self.groq_api_key, &self.groq_base_url),
            (Provider::Openrouter, &self.openrouter_api_key, &self.openrouter_base_url),
            (Provider::Compatible, &self.compatible_api_key, &self.compatible_base_url),
        ];
        let endpoint = |(provider, key, base_url): (Provider, &Option<Secret>, &Option<String>)| {
            (provider, EndpointSettings { key: key.clone(), base_url: base_url.clone() })
        };
        ModelSettings {
            endpoints: set.into_iter().map(endpoint).collect(),
            anthropic_version: self.anthropic_version.clone().filter(|version| !version.trim().is_empty()),
            temperature: self.default_temperature,
            output_tokens_max: self.max_tokens,
            without_local: !self.find_local_models,
        }
    }

    /// The model that was chosen for prompts that name none; a blank choice is none.
    #[must_use]
    pub fn chosen_default(&self) -> Option<&str> {
        self.default_ai_model.as_deref().map(str::trim).filter(|name| !name.is_empty())
    }
}

fn temperature(text: &str) -> Result<f64, String> {
    let temperature: Option<f64> = text.trim().parse().ok().filter(|value| (0.0..=2.0).contains(value));
    temperature.ok_or_else(|| "a temperature is a number from 0 to 2".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn config(arguments: &[&str]) -> ModelConfig {
        Cli::parse_from(["cobuild"].iter().chain(arguments)).config.models
    }

    #[test]
    fn every_key_reaches_its_own_provider() {
        for provider in Provider::ALL.into_iter().filter(|provider| provider.key_variable().is_some()) {
            let (Some(key), Some(url)) = (provider.key_variable(), provider.base_url_variable()) else { panic!() };
            let flag = |variable: &str| format!("--{}", variable.to_ascii_lowercase().replace('_', "-"));
            let config = config(&[&flag(key), "planted", &flag(url), "http://127.0.0.1:9/v1"]);
            let settings = config.settings();
            let set = &settings.endpoints[&provider];
            assert_eq!(set.key.as_ref().map(Secret::expose), Some("planted"), "{key}");
            assert_eq!(set.base_url.as_deref(), Some("http://127.0.0.1:9/v1"), "{url}");
            let others = settings.endpoints.iter().filter(|(other, _)| **other != provider);
            let has_it = |set: &EndpointSettings| set.key.as_ref().is_some_and(|key| key.expose() == "planted");
            assert!(!others.into_iter().any(|(_, other)| has_it(other)), "{key}");
            assert!(!format!("{config:?} {settings:?}").contains("planted"), "keys are not printed");
        }
    }

    #[test]
    fn defaults_of_parameters() {
        let settings =
            config(&["--default-temperature", "0.7", "--max-tokens", "8000", "--find-local-models", "false"]);
        let settings = settings.settings();
        assert_eq!((settings.temperature, settings.output_tokens_max), (Some(0.7), Some(8000)));
        assert!(settings.without_local);
        let none = config(&[]).settings();
        assert_eq!((none.temperature, none.output_tokens_max, none.without_local), (None, None, false));
        for bad in ["-1", "3", "warm", ""] {
            assert!(temperature(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_blank_default_is_none() {
        assert_eq!(config(&["--default-ai-model", " "]).chosen_default(), None);
        assert_eq!(config(&["--default-ai-model", "a/b"]).chosen_default(), Some("a/b"));
    }
}
