//! The model vendors this server can speak to: their names, the language each speaks, and which setting holds its key.

use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
