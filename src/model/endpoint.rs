//! The model vendors this server can speak to: their names, where they are, and which setting holds their key.
//!
//! It knows no wire format and does no IO.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use reqwest::Url;

use crate::{project::model_provider::ModelError, secret::Secret};

/// Version header of the Messages API unless set otherwise: proxies and older models know this one.
pub const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Who answers. The part of a model's name before the first `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Anthropic.
    Anthropic,
    /// OpenAI.
    Openai,
    /// Google's Gemini API; also called `gemini`.
    Google,
    /// Groq.
    Groq,
    /// OpenRouter.
    Openrouter,
    /// Ollama on this machine.
    Ollama,
    /// LM Studio on this machine.
    Lmstudio,
    /// llama.cpp's server on this machine.
    Llamacpp,
    /// vLLM on this machine.
    Vllm,
    /// Any other server that speaks OpenAI's Chat Completions.
    Compatible,
}

/// Which of the four languages a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireKind {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Responses.
    OpenaiResponses,
    /// OpenAI Chat Completions.
    OpenaiChat,
    /// Gemini generateContent.
    Gemini,
}

impl Provider {
    /// All of them, in the order in which a default model is looked for.
    pub const ALL: [Self; 10] = [
        Self::Anthropic,
        Self::Openai,
        Self::Google,
        Self::Groq,
        Self::Openrouter,
        Self::Compatible,
        Self::Ollama,
        Self::Lmstudio,
        Self::Llamacpp,
        Self::Vllm,
    ];

    /// The provider a name stands for.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if name == "gemini" {
            return Some(Self::Google);
        }
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }

    /// As written in a model's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Openai => "openai",
            Self::Google => "google",
            Self::Groq => "groq",
            Self::Openrouter => "openrouter",
            Self::Ollama => "ollama",
            Self::Lmstudio => "lmstudio",
            Self::Llamacpp => "llamacpp",
            Self::Vllm => "vllm",
            Self::Compatible => "compatible",
        }
    }

    /// As people write it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Anthropic => "Anthropic",
            Self::Openai => "OpenAI",
            Self::Google => "Google Gemini",
            Self::Groq => "Groq",
            Self::Openrouter => "OpenRouter",
            Self::Ollama => "Ollama",
            Self::Lmstudio => "LM Studio",
            Self::Llamacpp => "llama.cpp",
            Self::Vllm => "vLLM",
            Self::Compatible => "the compatible server",
        }
    }

    /// The variable that holds its key; none for servers on this machine, which want none.
    #[must_use]
    pub fn key_variable(self) -> Option<&'static str> {
        match self {
            Self::Anthropic => Some("ANTHROPIC_API_KEY"),
            Self::Openai => Some("OPENAI_API_KEY"),
            Self::Google => Some("GEMINI_API_KEY"),
            Self::Groq => Some("GROQ_API_KEY"),
            Self::Openrouter => Some("OPENROUTER_API_KEY"),
            Self::Compatible => Some("COMPATIBLE_API_KEY"),
            Self::Ollama | Self::Lmstudio | Self::Llamacpp | Self::Vllm => None,
        }
    }

    /// The variable that moves it elsewhere.
    #[must_use]
    pub fn base_url_variable(self) -> Option<&'static str> {
        match self {
            Self::Anthropic => Some("ANTHROPIC_BASE_URL"),
            Self::Openai => Some("OPENAI_BASE_URL"),
            Self::Google => Some("GEMINI_BASE_URL"),
            Self::Groq => Some("GROQ_BASE_URL"),
            Self::Openrouter => Some("OPENROUTER_BASE_URL"),
            Self::Compatible => Some("COMPATIBLE_BASE_URL"),
            Self::Ollama | Self::Lmstudio | Self::Llamacpp | Self::Vllm => None,
        }
    }

    /// Where it is unless set otherwise, in the form its vendor's own SDK takes: with or without a version.
    #[must_use]
    pub fn base_url(self) -> Option<&'static str> {
        match self {
            Self::Anthropic => Some("https://api.anthropic.com"),
            Self::Openai => Some("https://api.openai.com/v1"),
            Self::Google => Some("https://generativelanguage.googleapis.com"),
            Self::Groq => Some("https://api.groq.com/openai/v1"),
            Self::Openrouter => Some("https://openrouter.ai/api/v1"),
            Self::Ollama => Some("http://127.0.0.1:11434/v1"),
            Self::Lmstudio => Some("http://127.0.0.1:1234/v1"),
            Self::Llamacpp => Some("http://127.0.0.1:8080/v1"),
            Self::Vllm => Some("http://127.0.0.1:8000/v1"),
            Self::Compatible => None,
        }
    }

    /// The language it speaks.
    #[must_use]
    pub fn wire(self) -> WireKind {
        match self {
            Self::Anthropic => WireKind::Anthropic,
            Self::Openai => WireKind::OpenaiResponses,
            Self::Google => WireKind::Gemini,
            Self::Groq
            | Self::Openrouter
            | Self::Ollama
            | Self::Lmstudio
            | Self::Llamacpp
            | Self::Vllm
            | Self::Compatible => WireKind::OpenaiChat,
        }
    }

    /// Whether it runs on this machine and is looked for there.
    #[must_use]
    pub fn is_local(self) -> bool {
        matches!(self, Self::Ollama | Self::Lmstudio | Self::Llamacpp | Self::Vllm)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A model's name: `provider/id`, split at the first `/`; the rest is the vendor's and goes there verbatim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName {
    /// Who answers.
    pub provider: Provider,
    /// The vendor's own id; may hold further slashes.
    pub id: String,
}

impl ModelName {
    /// Reads a name; `None` when there is no such provider or no id.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (provider, id) = name.split_once('/')?;
        let provider = Provider::parse(provider)?;
        (!id.is_empty()).then(|| Self { provider, id: id.to_owned() })
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.id)
    }
}

/// Key and place of one provider, as set. Blank texts count as not set.
#[derive(Debug, Clone, Default)]
pub struct EndpointSettings {
    /// The key.
    pub key: Option<Secret>,
    /// Where it is, in the form of [`Provider::base_url`].
    pub base_url: Option<String>,
}

/// Keys and places of all vendors, as set in the environment.
#[derive(Debug, Clone, Default)]
pub struct ModelSettings {
    /// What is set for each provider.
    pub endpoints: BTreeMap<Provider, EndpointSettings>,
    /// Version header of Anthropic's API; [`ANTHROPIC_VERSION`] unless set.
    pub anthropic_version: Option<String>,
}

/// Where a provider is reached, and with which key.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Who.
    pub provider: Provider,
    /// Without a slash at its end.
    pub base_url: Url,
    /// Sent in a header to `base_url` and nowhere else.
    pub key: Option<Secret>,
    /// Version header of Anthropic's API.
    pub anthropic_version: String,
}

/// Why a provider cannot be used as it is set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is not set up at all.
    #[error("{} needs a key: set {variable}", provider.title())]
    NoKey {
        /// Who.
        provider: Provider,
        /// The variable to set.
        variable: &'static str,
    },
    /// Nobody said where it is.
    #[error("set {variable} to the server's address, such as http://127.0.0.1:9000/v1")]
    NoBaseUrl {
        /// The variable to set.
        variable: &'static str,
    },
    /// The address is none.
    #[error("{variable} is not an http or https address without a key in it")]
    BadBaseUrl {
        /// The variable to correct.
        variable: &'static str,
    },
}

impl From<EndpointError> for ModelError {
    fn from(error: EndpointError) -> Self {
        Self::Unauthorized(error.to_string())
    }
}

impl Endpoint {
    /// The endpoint of a provider, or what must be set before there is one.
    ///
    /// # Errors
    ///
    /// A key is missing (a server on loopback needs none), or the address is missing or wrong.
    pub fn new(provider: Provider, settings: &ModelSettings) -> Result<Self, EndpointError> {
        let set = settings.endpoints.get(&provider).cloned().unwrap_or_default();
        let key = set.key.filter(|key| !key.expose().trim().is_empty());
        let variable = provider.base_url_variable().unwrap_or("the address");
        let base_url = set.base_url.filter(|url| !url.trim().is_empty());
        let base_url = base_url.as_deref().or(provider.base_url()).ok_or(EndpointError::NoBaseUrl { variable })?;
        let mut base_url = Url::parse(base_url.trim().trim_end_matches('/'))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            // An address gets logged, so nothing secret may be part of it.
            .filter(|url| url.username().is_empty() && url.password().is_none())
            .ok_or(EndpointError::BadBaseUrl { variable })?;
        base_url.set_query(None);
        base_url.set_fragment(None);
        if let (None, Some(variable)) = (&key, provider.key_variable())
            && provider != Provider::Compatible
            && !is_loopback(&base_url)
        {
            return Err(EndpointError::NoKey { provider, variable });
        }
        let anthropic_version = settings.anthropic_version.clone().unwrap_or_else(|| ANTHROPIC_VERSION.to_owned());
        Ok(Self { provider, base_url, key, anthropic_version })
    }

    /// An address below the base.
    #[must_use]
    pub fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.base_url)
    }

    /// A vendor's text without our key or anything that looks like one, cut to what a log line needs.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        const TEXT_SIZE_BYTES_MAX: usize = 400;
        let text = match &self.key {
            Some(key) => text.replace(key.expose(), "***"),
            None => text.to_owned(),
        };
        let words = text.split_inclusive([' ', '\n', '"', '\'', ',', '(', ')', '=', ':']);
        let mut clean: String = words.map(|word| if looks_like_key(word) { "*** " } else { word }).collect();
        clean.truncate(clean.floor_char_boundary(TEXT_SIZE_BYTES_MAX));
        clean
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        None => false,
    }
}

/// Whether a word begins like the keys of the vendors we know; they quote keys in their errors, sometimes in part.
fn looks_like_key(word: &str) -> bool {
    const BEGINNINGS: [&str; 5] = ["sk-", "gsk_", "AIza", "AQ.", "pk-"];
    BEGINNINGS.iter().any(|beginning| word.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(provider: Provider, key: &str, base_url: &str) -> ModelSettings {
        let set = EndpointSettings { key: Some(Secret::new(key)), base_url: Some(base_url.to_owned()) };
        ModelSettings { endpoints: BTreeMap::from([(provider, set)]), anthropic_version: None }
    }

    #[test]
    fn names_split_at_the_first_slash() {
        let parse = |name: &str| ModelName::parse(name).map(|name| name.to_string());
        for (name, expected) in [
            ("anthropic/claude-sonnet-5-5", Some("anthropic/claude-sonnet-5-5")),
            ("openrouter/anthropic/claude-opus-5.5", Some("openrouter/anthropic/claude-opus-5.5")),
            ("groq/qwen/qwen3.8-27b", Some("groq/qwen/qwen3.8-27b")),
            ("gemini/gemini-4-argon", Some("google/gemini-4-argon")),
            ("ollama/qwen3:8b", Some("ollama/qwen3:8b")),
            ("claude-sonnet-5-5", None),
            ("acme/model", None),
            ("openai/", None),
            ("", None),
        ] {
            assert_eq!(parse(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn what_is_needed_before_a_provider_can_be_used() {
        let check = |provider, key: &str, base_url: &str, expected: Result<&str, &str>| {
            let result = Endpoint::new(provider, &settings(provider, key, base_url));
            let result = result.map(|endpoint| endpoint.base_url.to_string()).map_err(|error| error.to_string());
            assert_eq!(result.as_deref().map_err(String::as_str), expected);
        };
        check(Provider::Anthropic, "k", "", Ok("https://api.anthropic.com/"));
        check(Provider::Anthropic, " ", "", Err("Anthropic needs a key: set ANTHROPIC_API_KEY"));
        check(Provider::Anthropic, "", "http://[::1]:99/", Ok("http://[::1]:99/"));
        check(Provider::Google, "", "", Err("Google Gemini needs a key: set GEMINI_API_KEY"));
        let bad = "OPENAI_BASE_URL is not an http or https address without a key in it";
        check(Provider::Openai, "k", "https://u:p@x/v1", Err(bad));
        check(Provider::Openai, "k", "https://x/v1?key=1", Ok("https://x/v1"));
        check(Provider::Openai, "k", "ftp://x", Err(bad));
        check(Provider::Ollama, "", "", Ok("http://127.0.0.1:11434/v1"));
        check(Provider::Compatible, "", "https://models.example.com/v1/", Ok("https://models.example.com/v1"));
        let missing = "set COMPATIBLE_BASE_URL to the server's address, such as http://127.0.0.1:9000/v1";
        check(Provider::Compatible, "k", "", Err(missing));
    }

    #[test]
    fn addresses_keep_the_base_and_escape_ids() {
        let endpoint = Endpoint::new(Provider::Google, &settings(Provider::Google, "k", "https://h/a")).expect("valid");
        let url = endpoint.url(&["v1beta", "models", "x/../y?z:streamGenerateContent"]);
        assert_eq!(url.as_str(), "https://h/a/v1beta/models/x%2F..%2Fy%3Fz:streamGenerateContent");
    }

    #[test]
    fn keys_do_not_survive_in_texts() {
        let endpoint = Endpoint::new(Provider::Openai, &settings(Provider::Openai, "secret-1", "")).expect("valid");
        let scrubbed = endpoint.scrub("Incorrect API key: secret-1 (also sk-ab***yz and AIzaXyz)");
        assert!(!scrubbed.contains("secret-1") && !scrubbed.contains("ab***yz") && !scrubbed.contains("Xyz"));
        assert!(!format!("{endpoint:?}").contains("secret-1"));
        assert!(endpoint.scrub(&"é".repeat(1000)).len() <= 400);
    }
}
