//! Which of the older systems a request is written for.

use axum::http::{HeaderMap, HeaderName};
use clap::ValueEnum;

/// Names the project in requests of the first engine.
pub(crate) const PROJECT_HEADER: HeaderName = HeaderName::from_static("x-project-id");

/// How a request is to be read and answered. Fixed before its body is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The "Builder AI Engine": `snake_case`, and a header that names the project.
    Engine,
    /// Browser clients without a project: camelCase, and the server knows who they are.
    Browser,
    /// A later engine's clients: camelCase, and a project that is named or `default`.
    Camel,
}

/// How the dialect of a request is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum DialectChoice {
    /// By the header `X-Project-Id`: with it the engine's, without it the browsers'.
    #[default]
    Auto,
    /// Always the engine's; requests without the header are refused.
    Engine,
    /// Always the browsers', for a proxy that adds the header to everything.
    Browser,
    /// Always those of a later engine, in camelCase. Nothing in its requests tells them apart, so they must be chosen.
    EngineCamel,
}

impl Dialect {
    /// The dialect of a request to one of these systems' paths. Outside of `/api` no browser client asks for anything.
    pub(crate) fn of_path(choice: DialectChoice, path: &str, headers: &HeaderMap) -> Self {
        if path.starts_with("/api/") { Self::of(choice, headers) } else { Self::Engine }
    }

    pub(crate) fn of(choice: DialectChoice, headers: &HeaderMap) -> Self {
        match choice {
            DialectChoice::Auto if headers.contains_key(PROJECT_HEADER) => Self::Engine,
            DialectChoice::Auto | DialectChoice::Browser => Self::Browser,
            DialectChoice::Engine => Self::Engine,
            DialectChoice::EngineCamel => Self::Camel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_decides_even_when_it_is_empty() {
        let with = |value: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(PROJECT_HEADER, value.parse().expect("valid"));
            }
            headers
        };
        for (choice, header, expected) in [
            (DialectChoice::Auto, Some("p"), Dialect::Engine),
            (DialectChoice::Auto, Some(""), Dialect::Engine),
            (DialectChoice::Auto, None, Dialect::Browser),
            (DialectChoice::Engine, None, Dialect::Engine),
            (DialectChoice::Browser, Some("p"), Dialect::Browser),
            (DialectChoice::EngineCamel, Some("p"), Dialect::Camel),
            (DialectChoice::EngineCamel, None, Dialect::Camel),
        ] {
            assert_eq!(Dialect::of(choice, &with(header)), expected, "{choice:?} {header:?}");
        }
    }
}
