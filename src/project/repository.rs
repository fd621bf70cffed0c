//! Git repositories that may be imported: the one type for their addresses, and the hosts an operator allows. Pure.

use std::{fmt, net::SocketAddr, str::FromStr};

use super::error::ProjectError;

/// Longest address. Hosts allow names of about a hundred characters.
const URL_LENGTH_MAX: usize = 512;
/// Most parts of a path: GitLab nests groups twenty deep.
const SEGMENTS_MAX: usize = 22;
/// Longest part of a refused address that is repeated to people.
const URL_SHOWN_CHARS_MAX: usize = 200;
/// The port of HTTPS.
const HTTPS_PORT: u16 = 443;
/// Paths there have exactly an owner and a name.
const GITHUB: &str = "github.com";

/// A host that repositories may be fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHost {
    /// Its name, in lower case.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Where it is, when not where its name leads. Written down by an operator, so it may be any kind of address.
    pub address: Option<SocketAddr>,
}

impl GitHost {
    /// GitHub, the only host unless others are configured.
    #[must_use]
    pub fn github() -> Self {
        Self { host: GITHUB.into(), port: HTTPS_PORT, address: None }
    }
}

impl FromStr for GitHost {
    type Err = String;

    /// `host`, `host:port`, and either with `=address:port`.
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse =
            || format!("{text:?} is not like git.example.com, git.example.com:8443 or git.example.com=10.0.0.7:443");
        let (name, address) = match text.trim().split_once('=') {
            Some((name, address)) => (name, Some(address.parse().map_err(|_| refuse())?)),
            None => (text.trim(), None),
        };
        let (host, port) = authority(name).ok_or_else(refuse)?;
        Ok(Self { host, port, address })
    }
}

/// A repository that may be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryUrl {
    host: GitHost,
    segments: Vec<String>,
    name: String,
}

/// Why an address is none of a repository that may be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid {kind} repository URL: {shown} ({reason})")]
pub struct InvalidRepositoryUrl {
    kind: &'static str,
    /// Shortened, without control characters and credentials.
    shown: String,
    reason: String,
}

impl From<InvalidRepositoryUrl> for ProjectError {
    fn from(invalid: InvalidRepositoryUrl) -> Self {
        Self::BadRequest(invalid.to_string())
    }
}

impl RepositoryUrl {
    /// Takes `https://<host>/<owner>/<name>`, with or without `.git` and a slash, and `git@<host>:<owner>/<name>.git`,
    /// of an allowed host.
    ///
    /// # Errors
    ///
    /// A sentence for whoever sent it; what looks like credentials is not repeated.
    pub fn parse(text: &str, allowed: &[GitHost]) -> Result<Self, InvalidRepositoryUrl> {
        let only_github = allowed.iter().all(|host| host.host == GITHUB);
        Self::read(text, allowed).map_err(|reason| InvalidRepositoryUrl {
            kind: if only_github { "GitHub" } else { "git" },
            shown: shown(text),
            reason,
        })
    }

    fn read(text: &str, allowed: &[GitHost]) -> Result<Self, String> {
        if text.len() > URL_LENGTH_MAX {
            return Err(format!("an address has at most {URL_LENGTH_MAX} characters"));
        }
        let (host, path) = if let Some(rest) = text.strip_prefix("https://") {
            let (host, path) = rest.split_once('/').ok_or("it names no repository")?;
            if host.contains('@') {
                return Err("an address must not hold credentials".into());
            }
            (authority(host).ok_or("that is no host")?, path)
        } else if let Some(rest) = text.strip_prefix("git@") {
            let (host, path) = rest.split_once(':').ok_or("it names no repository")?;
            (authority(host).filter(|(_, port)| *port == HTTPS_PORT).ok_or("that is no host")?, path)
        } else {
            return Err("it must begin with https:// or git@".into());
        };
        let known = allowed.iter().find(|known| (&known.host, known.port) == (&host.0, host.1));
        let known = known.ok_or_else(|| {
            let names: Vec<&str> = allowed.iter().map(|host| host.host.as_str()).collect();
            format!("this server fetches from {} only", names.join(", "))
        })?;
        let segments = segments(path)?;
        if known.host == GITHUB && segments.len() != 2 {
            return Err("a repository of GitHub is owner/name".into());
        }
        let last = segments.last().map_or("", String::as_str);
        let name = last.strip_suffix(".git").unwrap_or(last);
        if name.is_empty() || name.chars().all(|c| c == '.') {
            return Err("it names no repository".into());
        }
        Ok(Self { host: known.clone(), name: name.to_owned(), segments })
    }

    /// The last part of the path without one `.git`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is fetched from.
    #[must_use]
    pub const fn host(&self) -> &GitHost {
        &self.host
    }
}

impl fmt::Display for RepositoryUrl {
    /// As git is given it: always HTTPS.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GitHost { host, port, .. } = &self.host;
        let path = self.segments.join("/");
        match *port {
            HTTPS_PORT => write!(f, "https://{host}/{path}"),
            port => write!(f, "https://{host}:{port}/{path}"),
        }
    }
}

/// A host's name in lower case, and its port.
fn authority(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port.parse().ok()?),
        Some(_) => return None,
        None => (text, HTTPS_PORT),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let valid = host.len() <= 253 && host.split('.').all(label) && port != 0;
    // What reads as a number is an address in one of its many spellings.
    let is_number = host.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
    (valid && !is_number).then(|| (host.to_ascii_lowercase(), port))
}

/// The parts of a path: names as git hosts allow them, none of which could be an option or lead elsewhere.
fn segments(path: &str) -> Result<Vec<String>, String> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
    if segments.len() > SEGMENTS_MAX {
        return Err("its path is too deep".into());
    }
    for segment in &segments {
        let plain = segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+~".contains(&b));
        if segment.is_empty() || !plain || segment.starts_with('-') || segment == "." || segment == ".." {
            return Err("a path is names of letters, digits, '.', '_' and '-', with '/' between them".into());
        }
    }
    Ok(segments)
}

/// An address as it may be repeated.
fn shown(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(URL_SHOWN_CHARS_MAX).collect();
    let (scheme, rest) = text.split_once("://").map_or(("", text.as_str()), |(scheme, rest)| (scheme, rest));
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) if !scheme.is_empty() => format!("{scheme}://…{}", &rest[at..]),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Vec<GitHost> {
        ["github.com", "git.example.org:8443=127.0.0.1:9", "gitlab.com"].map(|host| host.parse().expect(host)).into()
    }

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str)>) {
        let url = RepositoryUrl::parse(text, &hosts());
        let found = url.as_ref().ok().map(|url| (url.to_string(), url.name().to_owned()));
        assert_eq!(found, expected.map(|(url, name)| (url.to_owned(), name.to_owned())), "{text}: {url:?}");
    }

    #[test]
    fn the_usual_spellings() {
        let github = |text, name| check(text, Some((&format!("https://github.com/a/{name}"), name)));
        github("https://github.com/a/fastapi", "fastapi");
        github("https://github.com/a/fastapi/", "fastapi");
        github("https://GitHub.com/a/fastapi", "fastapi");
        github("https://github.com:443/a/fastapi", "fastapi");
        check("https://github.com/a/digit.git", Some(("https://github.com/a/digit.git", "digit")));
        check("https://github.com/fastapi/fastapi.git/", Some(("https://github.com/fastapi/fastapi.git", "fastapi")));
        check("git@github.com:a/missing.git", Some(("https://github.com/a/missing.git", "missing")));
        check("https://github.com/a/x.git.git", Some(("https://github.com/a/x.git.git", "x.git")));
        check("https://git.example.org:8443/x.y_z", Some(("https://git.example.org:8443/x.y_z", "x.y_z")));
        check("https://gitlab.com/a/b/c/d", Some(("https://gitlab.com/a/b/c/d", "d")));
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "ftp://x",
            "http://github.com/a/b",
            "file:///etc/passwd",
            "ssh://git@github.com/a/b",
            "git://github.com/a/b",
            "/etc/passwd",
            "../x",
            "--upload-pack=touch x",
            "-u",
            "ext::sh -c touch% x",
            "https://user:secret@github.com/a/b",
            "https://token@github.com/a/b",
            "https://github.com@127.0.0.1/a/b",
            "https://github.com",
            "https://github.com/",
            "https://github.com/a",
            "https://github.com/a/",
            "https://github.com/a/b/c",
            "https://github.com/a//b",
            "https://github.com/../b",
            "https://github.com/a/..",
            "https://github.com/a/.git",
            "https://github.com/-a/b",
            "https://github.com/a/b?x=1",
            "https://github.com/a/b#x",
            "https://github.com/a/b c",
            "https://github.com/a/%2e%2e",
            "https://github.com/a/b\n",
            "https://github.com/a/b\u{0}",
            "https://github.com/a/ü",
            " https://github.com/a/b",
            "https://github.com:8443/a/b",
            "https://github.com:/a/b",
            "https://github.com.evil.example/a/b",
            "https://github.com./a/b",
            "https://127.0.0.1/a/b",
            "https://10.0.0.1/a/b",
            "https://[::1]/a/b",
            "https://0x7f000001/a/b",
            "https://2130706433/a/b",
            "https://localhost/a/b",
            "https://169.254.169.254/latest/meta-data",
            "git@github.com:/a/b",
            "git@github.com:a",
            "git@github.com/a/b",
            "git@evil.example:a/b",
            "git@-oProxyCommand=x:a/b",
        ] {
            check(bad, None);
        }
        check(&format!("https://github.com/a/{}", "b".repeat(600)), None);
    }

    #[test]
    fn credentials_and_control_characters_are_not_repeated() {
        let error = |text| RepositoryUrl::parse(text, &hosts()).expect_err("refused").to_string();
        assert!(!error("https://me:secret@github.com/a/b").contains("secret"));
        assert!(error("ftp://x\n\u{7}").starts_with("Invalid git repository URL: ftp://x ("));
        let github = RepositoryUrl::parse("ftp://x", &[GitHost::github()]).expect_err("refused").to_string();
        assert!(github.starts_with("Invalid GitHub repository URL: ftp://x ("), "{github}");
    }

    #[test]
    fn hosts_as_they_are_configured() {
        let host = |text: &str| text.parse::<GitHost>().ok().map(|host| (host.host, host.port, host.address));
        assert_eq!(host(" GitHub.com "), Some(("github.com".into(), 443, None)));
        assert_eq!(host("git.corp:8443"), Some(("git.corp".into(), 8443, None)));
        let address = "127.0.0.1:4000".parse().ok();
        assert_eq!(host("github.com=127.0.0.1:4000"), Some(("github.com".into(), 443, address)));
        for bad in ["", "a b", "https://github.com", "x=", "x=localhost:1", "x:0", "10.0.0.1", "x:y", "-x", "a..b"] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }
}
