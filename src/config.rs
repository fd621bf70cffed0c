//! What can be set, from where, and what it is when nothing is set.
//!
//! The only file that reads the environment. Flags win over variables, variables over `.env`. `.env.example` lists
//! every variable; a test keeps it complete.

#![allow(rustdoc::bare_urls, reason = "`--help` shows these sentences as they are")]

mod models;

use std::{fmt, path::PathBuf};

use clap::{ArgAction, Args, Command, ValueEnum};

pub use self::models::ModelConfig;
pub use crate::{http::legacy::DialectChoice, secret::Secret};
use crate::{
    model::demo::DEMO_SPEED_DEFAULT,
    project::{LogLimits, ProjectSettings, page_reader::PageHost, repository::GitHost},
};

/// Where packages come from when nothing else is said.
const NPM_REGISTRY_DEFAULT: &str = crate::sandbox::local::REGISTRY_DEFAULT;

/// What a server logs when nothing else is said.
pub const LOG_LEVEL_DEFAULT: &str = "info";

/// Fewer frames than this are a few runs: then hardly anybody who was away could resume.
const LOG_FRAMES_MAX_MIN: u64 = 1000;

/// Everything that can be set. Each field is a flag and a variable.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Address or name to listen on. Anything but loopback makes the server ask for a token
    #[arg(long, env = "HOST", default_value = "127.0.0.1", global = true)]
    pub host: String,

    /// Port to listen on; 0 for any free one
    #[arg(long, env = "PORT", default_value_t = 3100, global = true)]
    pub port: u16,

    /// Folder for the database, the sandboxes and the template; made when missing
    #[arg(long, env = "DATA_DIR", default_value = "./data", global = true)]
    pub data_dir: PathBuf,

    /// Where projects run: `local` on this machine, isolated; `memory` nowhere, but files can be looked at; `none` for
    /// everything but running
    #[arg(long, env = "SANDBOX_PROVIDER", default_value = "local", global = true)]
    pub sandbox_provider: SandboxChoice,

    /// How many sandboxes are kept warm for the next project; 0 for none
    #[arg(long, env = "SANDBOX_POOL_SIZE", default_value_t = 1, global = true)]
    pub sandbox_pool_size: usize,

    /// The npm registry that sandboxes install from, and the only place they can connect to
    #[arg(long, env = "NPM_REGISTRY", default_value = NPM_REGISTRY_DEFAULT, global = true, value_parser = registry)]
    pub npm_registry: String,

    /// Proxy through which this server reaches the registry and everything else, such as `http://proxy.example.com:3128`
    #[arg(long, env = "HTTPS_PROXY", global = true, value_parser = proxy)]
    pub https_proxy: Option<String>,

    /// Characters per second the demo model types; 0 for as fast as possible
    #[arg(long, env = "DEMO_SPEED", default_value_t = DEMO_SPEED_DEFAULT, global = true)]
    pub demo_speed: u32,

    /// Most that one run may cost, in US dollars such as `0.50`. Checked before each call of a model; calls of unknown cost
    /// do not count
    #[arg(long, env = "RUN_BUDGET_USD", global = true)]
    pub run_budget_usd: Option<Dollars>,

    /// Most tokens that one run may use, input and output together
    #[arg(long, env = "RUN_BUDGET_TOKENS", global = true)]
    pub run_budget_tokens: Option<u64>,

    /// Most that all runs of one project may cost together, in US dollars
    #[arg(long, env = "PROJECT_BUDGET_USD", global = true)]
    pub project_budget_usd: Option<Dollars>,

    /// Most tokens that all runs of one project may use together
    #[arg(long, env = "PROJECT_BUDGET_TOKENS", global = true)]
    pub project_budget_tokens: Option<u64>,

    /// How people reach the server from outside, such as `https://build.example.com`, when that is not its own address
    #[arg(long, env = "PUBLIC_URL", global = true, value_parser = PublicUrl::parse)]
    pub public_url: Option<PublicUrl>,

    /// Domain below which each project's preview has its own host
    #[arg(long, env = "PREVIEW_DOMAIN", default_value = "cobuild.localhost", global = true, value_parser = domain)]
    pub preview_domain: String,

    /// Origins whose pages may use the API, separated by commas; `*` for all. Loopback origins always may
    /// when the server listens on loopback
    #[arg(long, env = "CORS_ORIGINS", value_delimiter = ',', global = true, value_parser = origin)]
    pub cors_origins: Vec<AllowedOrigin>,

    /// Whether the default model and this server's own sandboxes stand in for those that clients of older systems name
    /// and this server has not; each answer says so
    #[arg(long, env = "LEGACY_STAND_INS", default_value = "false", global = true, action = ArgAction::Set, num_args = 0..=1,
          default_missing_value = "true", value_parser = switch)]
    pub legacy_stand_ins: bool,

    /// For which of the older systems' clients requests are read: `auto` by the header X-Project-Id, `engine` always those
    /// that send it, `browser` always those that do not, `engine-camel` a later engine's, in camelCase
    #[arg(long, env = "LEGACY_DIALECT", default_value = "auto", global = true)]
    pub legacy_dialect: DialectChoice,

    /// Key of E2B. This server makes no E2B sandboxes; with a key, whoever asks for one is told so instead of that the
    /// key is missing
    #[arg(long, env = "E2B_API_KEY", global = true, hide_env_values = true, value_parser = secret)]
    pub e2b_api_key: Option<Secret>,

    /// Token of Vercel. The same holds as for E2B
    #[arg(long, env = "VERCEL_TOKEN", global = true, hide_env_values = true, value_parser = secret)]
    pub vercel_token: Option<Secret>,

    /// Secret that tokens are signed with (HS256), at least 32 characters. With it the server lets in nobody without a
    /// token; `cobuild token` makes them
    #[arg(long, env = "JWT_SECRET", global = true, hide_env_values = true, value_parser = secret)]
    pub jwt_secret: Option<Secret>,

    /// Address of an identity provider's keys (a JSON Web Key Set), for tokens signed with RS256 or ES256. With it the
    /// server lets in nobody without a token
    #[arg(long, env = "JWKS_URL", global = true, value_parser = web_address)]
    pub jwks_url: Option<String>,

    /// Hosts that git repositories may be fetched from, separated by commas: `github.com`, `git.example.com:8443`, or
    /// `git.example.com=10.0.0.7:443` to say where one is. Without that, its name must lead to a public address
    #[arg(long, env = "GIT_HOSTS", default_value = "github.com", value_delimiter = ',', global = true)]
    pub git_hosts: Vec<GitHost>,

    /// Hosts that pages may be read from although they are not of the public internet, separated by commas:
    /// `wiki.example.com`, `10.0.0.7:8080`. Without a port, at 80 and 443
    #[arg(long, env = "PAGE_HOSTS", value_delimiter = ',', global = true)]
    pub page_hosts: Vec<PageHost>,

    /// Key of Firecrawl, a service that reads pages with a browser. With it the `scrape-…` calls of older clients, their
    /// search and their screenshots go there; without it this server reads pages by itself and takes no pictures
    #[arg(long, env = "FIRECRAWL_API_KEY", global = true, hide_env_values = true, value_parser = secret)]
    pub firecrawl_api_key: Option<Secret>,

    /// Where Firecrawl is, without a version; for one of your own, which may need no key. Unset: https://api.firecrawl.dev
    #[arg(long, env = "FIRECRAWL_BASE_URL", global = true)]
    pub firecrawl_base_url: Option<String>,

    /// File of certificates (PEM) that sandboxes trust beside the system's: for a registry or a git host of your own
    #[arg(long, env = "SANDBOX_CA_FILE", global = true)]
    pub sandbox_ca_file: Option<PathBuf>,

    /// How many frames of each project's log are kept one by one. What is older can no longer be read as it was or restored
    #[arg(long, env = "LOG_FRAMES_MAX", default_value_t = LogLimits::default().frames, global = true, value_parser = clap::value_parser!(u64).range(LOG_FRAMES_MAX_MIN..))]
    pub log_frames_max: u64,

    /// How many projects the server keeps at most. Whoever wants one more is told to delete one first
    #[arg(long, env = "PROJECTS_MAX", default_value_t = ProjectSettings::default().projects_max, global = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub projects_max: u64,

    /// How long a server that is told to stop waits for runs under way, in milliseconds; then they are interrupted. Whoever
    /// stops it should wait some seconds longer before killing it
    #[arg(long, env = "DRAIN_MS", default_value_t = 5000, global = true)]
    pub drain_ms: u64,

    /// What to log: error, warn, info, debug, trace, or filters such as `info,cobuild::http=debug`
    #[arg(long, env = "LOG_LEVEL", default_value = LOG_LEVEL_DEFAULT, global = true, value_parser = log_level)]
    pub log_level: String,

    /// Logs more: the level `debug`, unless LOG_LEVEL says otherwise
    #[arg(long, env = "DEBUG", default_value = "false", global = true, action = ArgAction::Set, num_args = 0..=1,
          default_missing_value = "true", value_parser = switch)]
    pub debug: bool,

    /// How to log
    #[arg(long, env = "LOG_FORMAT", default_value = "human", global = true)]
    pub log_format: LogFormat,

    /// Keys, addresses and defaults of models.
    #[command(flatten)]
    pub models: ModelConfig,
}

/// Where projects run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SandboxChoice {
    /// In the embedded sandbox on this machine.
    Local,
    /// In memory: nothing runs, the preview shows the files as they are. For trying the room out.
    Memory,
    /// Nowhere: reading, writing and generating work, running does not.
    None,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

/// An entry of `CORS_ORIGINS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Any origin but a preview's.
    Any,
    /// This one, as browsers write it: `https://app.example.com`.
    Exactly(String),
}

/// An amount of US dollars, exact to 10⁻⁹.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dollars(u64);

impl Dollars {
    /// In 10⁻⁹ dollars.
    #[must_use]
    pub const fn nano(self) -> u64 {
        self.0
    }
}

impl std::str::FromStr for Dollars {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || "an amount looks like 2 or 0.50".to_owned();
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
        if whole.is_empty() || whole.len() > 9 || part.len() > 9 || !is_number(whole) || !is_number(part) {
            return Err(refuse());
        }
        let whole: u64 = whole.parse().map_err(|_| refuse())?;
        let part: u64 = format!("{part:0<9}").parse().map_err(|_| refuse())?;
        Ok(Self(whole * 1_000_000_000 + part))
    }
}

/// Scheme, host and port that people see in their address bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    /// `http` or `https`.
    pub scheme: String,
    /// Without port.
    pub host: String,
    /// `None`: the scheme's own.
    pub port: Option<u16>,
}

impl PublicUrl {
    fn parse(text: &str) -> Result<Self, String> {
        let refuse = || "an address looks like https://build.example.com, without a path".to_owned();
        let (scheme, rest) = text.trim_end_matches('/').split_once("://").ok_or_else(refuse)?;
        let (host, port) = match rest.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| refuse())?)),
            None => (rest, None),
        };
        let valid = matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
        if valid { Ok(Self { scheme: scheme.into(), host: host.into(), port }) } else { Err(refuse()) }
    }

    /// The address of another host of this server, reached the same way; without a slash at the end.
    #[must_use]
    pub fn with_host(&self, host: &str) -> String {
        match self.port {
            Some(port) => format!("{}://{host}:{port}", self.scheme),
            None => format!("{}://{host}", self.scheme),
        }
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_host(&self.host))
    }
}

/// Adds the variables of `.env` in the working directory to the environment; those already set win.
///
/// Must be called before the process has a second thread.
///
/// # Errors
///
/// One sentence, when the file is there but cannot be read as `NAME=value` lines.
pub fn load_env_file() -> Result<(), String> {
    // Not what looks for the file in the folders above, too: those may be somebody else's.
    match dotenvy::from_path(".env") {
        Ok(()) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        // The offending line may hold a key, so it is not repeated.
        Err(dotenvy::Error::LineParse(_, column)) => {
            Err(format!("the file .env has a line that is not NAME=value (at its character {column})"))
        }
        Err(error) => Err(format!("the file .env cannot be read: {error}")),
    }
}

/// Variables that limit something only while they are set: where their value got lost, the server must neither stand open
/// nor spend without end.
const LIMITING: [&str; 6] =
    ["JWT_SECRET", "JWKS_URL", "RUN_BUDGET_USD", "RUN_BUDGET_TOKENS", "PROJECT_BUDGET_USD", "PROJECT_BUDGET_TOKENS"];

/// The same command line, for which a variable that is set to nothing is not set, unless it is a limiting one.
#[must_use]
pub fn without_empty_variables(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let is_empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        let limits = |name: &std::ffi::OsStr| LIMITING.iter().any(|limiting| name == *limiting);
        if arg.get_env().is_some_and(|name| is_empty(name) && !limits(name)) { arg.env(None) } else { arg }
    });
    command.mut_subcommands(without_empty_variables)
}

/// The folder for what this user's programs keep from one run to the next, by the XDG base directory specification;
/// `None` where there is no home.
#[must_use]
pub fn user_folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(folder.join("cobuild"))
}

/// Whether programs may print in colour: `NO_COLOR` (https://no-color.org) forbids it, whatever its value.
#[must_use]
pub fn wants_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn domain(text: &str) -> Result<String, String> {
    let valid = !text.is_empty()
        && text.len() <= 200
        && text
            .split('.')
            .all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    if valid { Ok(text.to_ascii_lowercase()) } else { Err("not a domain name such as previews.example.com".into()) }
}

/// A level or filter for the log; the names that Python programs use for levels are understood, too.
#[allow(clippy::unnecessary_wraps)] // clap's signature
fn log_level(text: &str) -> Result<String, String> {
    Ok(match text.trim().to_ascii_lowercase().as_str() {
        "warning" => "warn".to_owned(),
        "critical" | "fatal" => "error".to_owned(),
        "" => LOG_LEVEL_DEFAULT.to_owned(),
        _ => text.trim().to_owned(),
    })
}

/// True and false, as people and other systems write them.
fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" | "" => Ok(false),
        _ => Err("say true or false".into()),
    }
}

#[allow(clippy::unnecessary_wraps)] // clap's signature
fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

fn web_address(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let valid = !host.is_empty() && !host.starts_with('/') && !text.contains([' ', '#', '@']);
    if valid { Ok(text.into()) } else { Err("an address looks like https://login.example.com/keys".into()) }
}

fn registry(text: &str) -> Result<String, String> {
    crate::sandbox::local::check_registry(text)?;
    Ok(if text.ends_with('/') { text.into() } else { format!("{text}/") })
}

fn proxy(text: &str) -> Result<String, String> {
    crate::sandbox::local::check_proxy(text)?;
    Ok(text.into())
}

fn origin(text: &str) -> Result<AllowedOrigin, String> {
    let text = text.trim().trim_end_matches('/').to_ascii_lowercase();
    if text == "*" {
        return Ok(AllowedOrigin::Any);
    }
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
        return Err("an origin looks like https://app.example.com, or is *".into());
    }
    Ok(AllowedOrigin::Exactly(text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn variables_known() -> BTreeSet<String> {
        Cli::command().get_arguments().filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned)).collect()
    }

    #[test]
    fn env_example_lists_exactly_the_variables_there_are() {
        let example = include_str!("../.env.example");
        let listed: BTreeSet<String> = example
            .lines()
            .filter_map(|line| line.strip_prefix('#').unwrap_or(line).split_once('='))
            .map(|(name, _)| name.trim().to_owned())
            .filter(|name| {
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            })
            .collect();
        assert_eq!(listed, variables_known());
    }

    #[test]
    fn env_example_states_the_defaults() {
        let example = include_str!("../.env.example");
        for arg in Cli::command().get_arguments() {
            let Some(name) = arg.get_env().and_then(|name| name.to_str()) else { continue };
            let default = arg.get_default_values().first().and_then(|value| value.to_str()).unwrap_or_default();
            let line = format!("#{name}={default}");
            assert!(example.lines().any(|l| l == line), "`.env.example` should have the line `{line}`");
        }
    }

    #[test]
    fn amounts_are_exact() {
        for (text, nano) in [("2", 2_000_000_000), ("0.50", 500_000_000), ("0.000000001", 1), ("0.", 0)] {
            assert_eq!(text.parse(), Ok(Dollars(nano)), "{text}");
        }
        for bad in ["", ".5", "-1", "1e3", "1,5", "$2", "0.0000000001", "9999999999"] {
            assert!(bad.parse::<Dollars>().is_err(), "{bad}");
        }
    }

    #[test]
    fn origins() {
        assert_eq!(origin(" * "), Ok(AllowedOrigin::Any));
        assert_eq!(origin("https://A.example/"), Ok(AllowedOrigin::Exactly("https://a.example".into())));
        for bad in ["", "example.com", "https://", "https://a/b", "ftp://a"] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn public_urls() {
        for (text, expected) in [
            ("https://build.example.com/", "https://build.example.com"),
            ("http://build.example.com:8080", "http://build.example.com:8080"),
            ("http://[::1]:3100", "http://[::1]:3100"),
        ] {
            assert_eq!(PublicUrl::parse(text).map(|url| url.to_string()).as_deref(), Ok(expected));
        }
        for bad in ["", "build.example.com", "ftp://a", "http://", "http://a/b", "http://a:b", "http://u@a"] {
            assert!(PublicUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn web_addresses() {
        for good in ["https://login.example.com/.well-known/jwks.json", "http://127.0.0.1:8080/keys?tenant=a"] {
            assert_eq!(web_address(good).as_deref(), Ok(good));
        }
        for bad in ["", "login.example.com", "https://", "https:///keys", "file:///keys", "https://u:p@a/keys"] {
            assert!(web_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn switches() {
        for (text, expected) in
            [("True", true), ("1", true), ("yes", true), ("False", false), ("off", false), ("", false)]
        {
            assert_eq!(switch(text), Ok(expected), "{text}");
        }
        assert!(switch("maybe").is_err());
    }

    #[test]
    fn registries_and_proxies() {
        assert_eq!(registry("https://npm.example.org").as_deref(), Ok("https://npm.example.org/"));
        assert_eq!(registry("https://npm.example.org:8443/team/").as_deref(), Ok("https://npm.example.org:8443/team/"));
        for bad in ["", "npm.example.org", "http://npm.example.org", "https://", "https://u:p@npm.example.org"] {
            assert!(registry(bad).is_err(), "{bad}");
        }
        assert!(proxy("http://proxy.example.org:3128").is_ok());
        for bad in ["", "proxy:3128", "socks5://proxy:1", "http://u:p@proxy.example.org:3128"] {
            let error = proxy(bad).expect_err(bad);
            assert!(!error.contains("u:p"), "{error}");
        }
    }

    #[test]
    fn domains() {
        assert_eq!(domain("Previews.example.com").as_deref(), Ok("previews.example.com"));
        for bad in ["", ".", "a..b", "a b", "http://a", "a:80"] {
            assert!(domain(bad).is_err(), "{bad}");
        }
    }
}
