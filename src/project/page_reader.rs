//! What the core asks of whoever reads web pages, so that a model can imitate one.

use std::fmt;

use async_trait::async_trait;

/// Longest address of a page.
const ADDRESS_LENGTH_MAX: usize = 2048;

/// Reads pages of the public internet. Whatever stands behind it must not reach this machine or its networks.
#[async_trait]
pub trait PageReader: Send + Sync + fmt::Debug + 'static {
    /// The page's HTML. Dropping the future gives it up.
    async fn read(&self, address: &PageAddress) -> Result<String, PageError>;
}

/// Why a page could not be read; a sentence for the person who wants it imitated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PageError(pub String);

/// The address of a page: `http` or `https`, a host, no user name or password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageAddress(String);

impl PageAddress {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for PageAddress {
    type Err = PageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |why: &str| Err(PageError(format!("url {why}")));
        let text = text.trim();
        if text.len() > ADDRESS_LENGTH_MAX {
            return refuse("is too long");
        }
        let Some((scheme, rest)) = text.split_once("://") else { return refuse("looks like https://example.com/page") };
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return refuse("must begin with http:// or https://");
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.is_empty()
            || authority.contains(['@', '\\'])
            || text.chars().any(|c| c.is_control() || c.is_whitespace())
        {
            return refuse("must name a host, and no user or password");
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["https://example.com", "http://example.com:8080/a?b#c", " HTTPS://example.com/ "] {
            assert!(good.parse::<PageAddress>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https:///x",
            "https://a@b/",
            "https://a b/",
            "file:///etc/passwd",
            "https://a\\@b",
        ] {
            assert!(bad.parse::<PageAddress>().is_err(), "{bad}");
        }
    }
}
