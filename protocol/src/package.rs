//! npm package names. Nothing reaches a package manager's command line that is not a [`PackageSpec`].

use crate::id::{Invalid, string_newtype};

/// Longest name in bytes: npm's own limit.
pub const PACKAGE_NAME_LENGTH_MAX: usize = 214;
/// Longest version or range behind the `@`.
const VERSION_LENGTH_MAX: usize = 64;

string_newtype! {
    /// A package to install from the npm registry: `axios`, `@scope/name`, each with an optional `@version`,
    /// `@range` or `@tag` (`axios@^1.7`, `react@latest`).
    ///
    /// Refused: upper case, URLs, `file:` and `git:` sources, aliases, options (`--registry=…`), shell characters.
    PackageSpec, pattern: r"^(@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*(@[0-9A-Za-z.*^~<>=+-]{1,64})?$", max: 280, check: check
}

impl PackageSpec {
    /// The name without a version: `@scope/name`.
    #[must_use]
    pub fn name(&self) -> &str {
        split(self.as_str()).0
    }

    /// The version, range or tag, if one was given.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        split(self.as_str()).1
    }
}

/// Splits at the `@` in front of the version; the one that starts a scope does not count.
fn split(spec: &str) -> (&str, Option<&str>) {
    match spec.char_indices().skip(1).find(|(_, c)| *c == '@') {
        Some((at, _)) => (&spec[..at], Some(&spec[at + 1..])),
        None => (spec, None),
    }
}

fn check(text: &str) -> Result<(), Invalid> {
    let (name, version) = split(text);
    let valid_name = name.len() <= PACKAGE_NAME_LENGTH_MAX
        && match name.strip_prefix('@') {
            Some(scoped) => {
                scoped.split_once('/').is_some_and(|(scope, name)| valid_segment(scope) && valid_segment(name))
            }
            None => valid_segment(name),
        };
    let valid_version = version.is_none_or(|version| {
        (1..=VERSION_LENGTH_MAX).contains(&version.len())
            && version.bytes().all(|b| b.is_ascii_alphanumeric() || b".*^~<>=+-".contains(&b))
    });
    if valid_name && valid_version {
        Ok(())
    } else {
        let shown: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
        Err(Invalid(format!("'{shown}' is not an npm package name").into()))
    }
}

/// One part of a name: what npm allows in new packages, minus a leading `-`, `.` or `_`.
fn valid_segment(segment: &str) -> bool {
    let starts_well = segment.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'~');
    starts_well && segment.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._~-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_npm_names() {
        for (spec, name, version) in [
            ("axios", "axios", None),
            ("axios@^1.7.0", "axios", Some("^1.7.0")),
            ("@tanstack/react-query", "@tanstack/react-query", None),
            ("@scope/x@latest", "@scope/x", Some("latest")),
            ("lodash.merge", "lodash.merge", None),
        ] {
            let parsed: PackageSpec = spec.parse().expect(spec);
            assert_eq!((parsed.name(), parsed.version()), (name, version));
        }
    }

    #[test]
    fn refuses_everything_else() {
        let long = "a".repeat(215);
        for bad in [
            "",
            " ",
            "; rm -rf /",
            "--registry=http://x",
            "-g",
            "file:../x",
            "git+https://x/y",
            "https://x/y.tgz",
            "a b",
            "A",
            "../x",
            "./x",
            "@scope",
            "@/x",
            "@scope/",
            "a/b",
            "x@",
            "x@npm:y",
            "x@file:..",
            "x@1 2",
            "x@$(id)",
            ".x",
            "_x",
            "a\n",
            "ä",
            long.as_str(),
        ] {
            assert!(bad.parse::<PackageSpec>().is_err(), "{bad:?}");
        }
    }
}
