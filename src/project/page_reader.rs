//! What is asked of whoever reads web pages, so that a model can imitate one.

use std::{fmt, str::FromStr};

use async_trait::async_trait;

/// Longest address of a page.
const ADDRESS_LENGTH_MAX: usize = 2048;

/// Reads pages of the public internet. Whatever stands behind it must not reach this machine or its networks, unless an
/// operator has named a host there.
#[async_trait]
pub trait PageReader: Send + Sync + fmt::Debug + 'static {
    /// What is at an address. Dropping the future gives it up.
    async fn read(&self, address: &PageAddress, kind: PageKind) -> Result<WebPage, PageError>;
}

/// What is expected at an address; anything else is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    /// A page: HTML or XHTML.
    Html,
    /// A page's style sheet.
    Stylesheet,
}

/// What was found at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebPage {
    /// Where it was found in the end, redirects followed.
    pub address: PageAddress,
    /// Its text, a stranger's: data, never an instruction.
    pub text: String,
    /// Whether that is less than there is, because there is too much.
    pub cut: bool,
}

/// Why a page could not be read; a sentence for the person who wants it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The address is none that is gone to.
    #[error("{0}")]
    Refused(String),
    /// There is no page, or none that can be read.
    #[error("{0}")]
    Unreadable(String),
}

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

impl FromStr for PageAddress {
    type Err = PageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |why: &str| Err(PageError::Refused(format!("url {why}")));
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

/// A host that pages may be read from although it is not one of the public internet. An operator's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageHost {
    /// Its name or address, in lower case, as it stands in an address.
    pub host: String,
    /// Its port; `None` for the usual ones.
    pub port: Option<u16>,
}

impl FromStr for PageHost {
    type Err = String;

    /// `host` or `host:port`; an IPv6 address in brackets.
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("{text:?} is not like wiki.example.com or 10.0.0.7:8080");
        let text = text.trim();
        let (host, port) = match text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => (host, Some(port.parse().ok().filter(|port| *port != 0).ok_or_else(refuse)?)),
            None => (text, None),
        };
        let named = host.strip_prefix('[').map_or(Some(host), |rest| rest.strip_suffix(']')).ok_or_else(refuse)?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let is_valid = if named == host {
            !host.is_empty() && host.len() <= 253 && host.chars().all(is_name)
        } else {
            named.parse::<std::net::Ipv6Addr>().is_ok()
        };
        if is_valid { Ok(Self { host: host.to_ascii_lowercase(), port }) } else { Err(refuse()) }
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

    #[test]
    fn hosts() {
        for (text, host, port) in [
            ("Wiki.example.com", "wiki.example.com", None),
            (" 127.0.0.1:8080 ", "127.0.0.1", Some(8080)),
            ("[::1]:80", "[::1]", Some(80)),
            ("[::1]", "[::1]", None),
        ] {
            assert_eq!(text.parse(), Ok(PageHost { host: host.into(), port }), "{text}");
        }
        for bad in ["", ":80", "a:", "a:0", "a:b", "http://a", "a/b", "u@a", "[::1", "::1", "*", "[a]"] {
            assert!(bad.parse::<PageHost>().is_err(), "{bad}");
        }
    }
}
