//! Where each provider is reached and with which key, as people set it.
//!
//! It knows no wire format and does no IO.

use std::{collections::BTreeMap, net::IpAddr};

use reqwest::Url;

use super::provider::Provider;
use crate::{project::model_provider::ModelError, secret::Secret};

/// Version header of the Messages API unless set otherwise: proxies and older models know this one.
pub const ANTHROPIC_VERSION: &str = "2023-06-01";

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
    /// Sent, where the model takes it, with requests that set none.
    pub temperature: Option<f64>,
    /// Most tokens of an answer, for requests that set none.
    pub output_tokens_max: Option<u64>,
    /// Whether servers on this machine are left alone instead of looked for.
    pub without_local: bool,
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

impl EndpointError {
    /// The variable to set or to correct.
    #[must_use]
    pub fn variable(&self) -> &'static str {
        match self {
            Self::NoKey { variable, .. } | Self::NoBaseUrl { variable } | Self::BadBaseUrl { variable } => variable,
        }
    }
}

impl From<EndpointError> for ModelError {
    fn from(error: EndpointError) -> Self {
        Self::NotConfigured { variable: error.variable(), sentence: error.to_string() }
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
            Some(key) => text.replace(key.expose().trim(), "***"),
            None => text.to_owned(),
        };
        let words = text.split_inclusive([' ', '\n', '"', '\'', ',', '(', ')', '=', ':']);
        let mut clean: String = words.map(|word| if looks_like_key(word) { "*** " } else { word }).collect();
        clean.truncate(clean.floor_char_boundary(TEXT_SIZE_BYTES_MAX));
        clean
    }

    /// Where it is, for everybody who may see which models there are. An address inside of somebody's network, or with a
    /// gateway's secret in its path, is nobody's business but the operator's: it is named by its variable.
    #[must_use]
    pub fn place(&self) -> String {
        let is_public = self.provider.base_url() == Some(self.base_url.as_str().trim_end_matches('/'));
        match self.provider.base_url_variable() {
            Some(variable) if !is_public && !self.is_loopback() => format!("the address in {variable}"),
            _ => self.base_url.to_string(),
        }
    }

    /// A vendor's text, if it is a code that people may see: short, without blanks, and not our key or what looks like
    /// one. Vendors are told keys, and some say what they were told.
    #[must_use]
    pub fn code<'a>(&self, text: &'a str) -> Option<&'a str> {
        const CODE_SIZE_BYTES_MAX: usize = 64;
        let is_code = (1..=CODE_SIZE_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        let has_key = self.key.as_ref().is_some_and(|key| text.contains(key.expose().trim()));
        (is_code && !has_key && !looks_like_key(text)).then_some(text)
    }
}

/// Whether an address is on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
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
        ModelSettings { endpoints: BTreeMap::from([(provider, set)]), ..ModelSettings::default() }
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
        for (text, is_code) in [
            ("rate_limit_error", true),
            ("SAFETY", true),
            ("secret-1", false),
            ("not-secret-1-2", false),
            ("sk-abc", false),
            ("two words", false),
            ("", false),
        ] {
            assert_eq!(endpoint.code(text).is_some(), is_code, "{text}");
        }
    }

    #[test]
    fn addresses_of_others_are_named_not_shown() {
        let place =
            |provider, url: &str| Endpoint::new(provider, &settings(provider, "key", url)).expect("valid").place();
        for (provider, url, expected) in [
            (Provider::Groq, "", "https://api.groq.com/openai/v1"),
            (Provider::Compatible, "http://127.0.0.1:9000/v1", "http://127.0.0.1:9000/v1"),
            (Provider::Compatible, "http://llm.corp.internal:8080/v1", "the address in COMPATIBLE_BASE_URL"),
            (Provider::Anthropic, "https://gateway.example/s3cr3t", "the address in ANTHROPIC_BASE_URL"),
        ] {
            assert_eq!(place(provider, url), expected);
        }
    }
}
