//! Who may do what.
//!
//! A caller shows a token in `hello.token` or `Authorization: Bearer`, never in a URL; [`Access::admit`] turns it into
//! a [`Grant`], and the grant says which role its holder has in which project. A [`Pass`] carries the grant's end into
//! the connection it opened. No token is ever logged or repeated in an error.
//!
//! Knows nothing of rooms: that an owner has given a participant another role, or removed them, is the project's to
//! say; a [`Pass`] only waits for that word beside the grant's end.

mod grant;
mod jwt;
mod owner_token;
mod pass;
mod private_file;
mod share_links;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use axum::http::{HeaderMap, header};
use cobuild_protocol::{ErrorBody, ErrorCode};
use sha2::{Digest as _, Sha256};

use self::jwt::Verifier;
pub(crate) use self::{
    grant::Grant,
    jwt::{Claims, sign},
    pass::{Pass, Renewed},
    share_links::{NewLink, ShareLinkError, ShareLinks, SharedLink},
};
use crate::config::{Config, Secret};

/// Shortest `JWT_SECRET`, in bytes: HS256 is as strong as its key, and RFC 7518 (3.2) asks for as many bits as the hash
/// has.
const SECRET_LENGTH_MIN: usize = 32;
/// Length of a name's mark. Who tries one has to ask the server, so 64 bits are enough.
const SEAL_BYTES: usize = 8;

/// How callers are let in.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    rule: Rule,
    links: Arc<ShareLinks>,
    on_loopback: bool,
    seal: Secret,
}

#[derive(Debug, Clone)]
enum Rule {
    /// Everybody who can reach the server is owner. Only on loopback, where `Host` and `Origin` are checked instead.
    Open,
    /// Whoever has this token is owner.
    OwnerToken(Secret),
    /// Signed tokens say who may do what.
    Tokens(Arc<Verifier>),
}

/// Why it cannot be decided who may come in. Each is one sentence for the person who started the server.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The owner's token cannot be kept.
    #[error("the owner's token cannot be kept in the data folder {}: {reason}", folder.display())]
    OwnerToken {
        /// As configured.
        folder: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// The secret that seals names cannot be kept.
    #[error("the secret that seals the server's own names cannot be kept in the data folder {}: {reason}", folder.display())]
    Seal {
        /// As configured.
        folder: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// The share links cannot be read.
    #[error("the share links in {} cannot be read: {reason}", path.display())]
    ShareLinks {
        /// Their file.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// `JWT_SECRET` can be guessed.
    #[error("JWT_SECRET needs at least {SECRET_LENGTH_MIN} characters; `openssl rand -hex 32` makes one")]
    ShortSecret,
    /// TLS cannot be set up on this machine.
    #[error("the keys of JWKS_URL cannot be fetched on this machine: {0}")]
    Keys(#[from] reqwest::Error),
}

impl Access {
    /// As configured: by signed tokens; else open on loopback; else by an owner's token, kept in the data folder.
    pub(crate) fn new(address: SocketAddr, config: &Config) -> Result<Self, DoorError> {
        config.jwt_secret.as_ref().map_or(Ok(()), check_secret)?;
        let verifier = Verifier::new(config.jwt_secret.as_ref(), config.jwks_url.as_deref())?;
        let rule = match verifier {
            Some(verifier) => Rule::Tokens(Arc::new(verifier)),
            None if address.ip().is_loopback() => Rule::Open,
            None => {
                let token = owner_token::of_folder(&config.data_dir)
                    .map_err(|reason| DoorError::OwnerToken { folder: config.data_dir.clone(), reason })?;
                Rule::OwnerToken(token)
            }
        };
        let links = ShareLinks::open(&config.data_dir)
            .map_err(|reason| DoorError::ShareLinks { path: ShareLinks::path(&config.data_dir), reason })?;
        let seal = owner_token::seal_of_folder(&config.data_dir)
            .map_err(|reason| DoorError::Seal { folder: config.data_dir.clone(), reason })?;
        Ok(Self { rule, links: Arc::new(links), on_loopback: address.ip().is_loopback(), seal })
    }

    /// What the caller with this token may do. May wait for an identity provider's keys.
    pub(crate) async fn admit(&self, token: Option<&str>) -> Result<Grant, ErrorBody> {
        if let Some(token) = token.filter(|token| ShareLinks::is_token(token)) {
            return self.links.admit(token);
        }
        match (&self.rule, token) {
            (Rule::Open, _) => Ok(Grant::owner()),
            (Rule::OwnerToken(secret), Some(token)) if owner_token::same(secret, token) => Ok(Grant::owner()),
            (Rule::OwnerToken(_), Some(_)) => {
                Err(refused("the token is not valid; use the link the server printed at start"))
            }
            (Rule::OwnerToken(_), None) => {
                Err(refused("this server needs a token; open it by the link it printed at start"))
            }
            (Rule::Tokens(verifier), Some(token)) => verifier.verify(token).await,
            (Rule::Tokens(_), None) => Err(refused("this server needs a token")),
        }
    }

    /// What the sender of an HTTP request may do.
    pub(crate) async fn admit_request(&self, headers: &HeaderMap) -> Result<Grant, ErrorBody> {
        self.admit(bearer(headers)).await
    }

    /// The mark of a name that the server itself makes up: without its secret, nobody can make another such name.
    pub(crate) fn seal_of(&self, name: &str) -> String {
        hex::encode(&Sha256::digest(format!("name\0{}\0{name}", self.seal.expose()))[..SEAL_BYTES])
    }

    /// Whether callers without a token are let in, so that `Host` and `Origin` are the only wall.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.rule, Rule::Open)
    }

    /// Whether only this machine reaches the server, or whatever forwards to it from here.
    pub(crate) const fn is_on_loopback(&self) -> bool {
        self.on_loopback
    }

    /// The owner's token, where that is what counts.
    pub(crate) const fn owner_token(&self) -> Option<&Secret> {
        match &self.rule {
            Rule::OwnerToken(token) => Some(token),
            Rule::Open | Rule::Tokens(_) => None,
        }
    }

    /// The links that let guests in.
    pub(crate) const fn links(&self) -> &Arc<ShareLinks> {
        &self.links
    }
}

/// Fails when a secret is so short that it can be guessed from one token.
pub(crate) fn check_secret(secret: &Secret) -> Result<(), DoorError> {
    if secret.expose().len() < SECRET_LENGTH_MIN { Err(DoorError::ShortSecret) } else { Ok(()) }
}

/// The token of `Authorization: Bearer …`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn refused(message: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::Unauthenticated, message)
}

#[cfg(test)]
pub(crate) mod testing {
    //! Doors for tests of other files.

    use super::*;

    /// An open door.
    pub(crate) fn open() -> Access {
        Access { rule: Rule::Open, links: Arc::new(ShareLinks::in_memory()), on_loopback: true, seal: Secret::new("s") }
    }

    /// A door with an owner's token.
    pub(crate) fn with_owner_token(token: &str) -> Access {
        Access { rule: Rule::OwnerToken(Secret::new(token)), on_loopback: false, ..open() }
    }

    /// A door for signed tokens, reached from this machine or through a proxy on it.
    pub(crate) fn with_tokens_on_loopback() -> Access {
        let secret = Secret::new("x".repeat(SECRET_LENGTH_MIN));
        let verifier = Verifier::new(Some(&secret), None).expect("no client is needed").expect("a secret");
        Access { rule: Rule::Tokens(Arc::new(verifier)), ..open() }
    }
}

#[cfg(test)]
mod tests {
    use cobuild_protocol::value::Role;

    use super::*;

    fn code(result: Result<Grant, ErrorBody>) -> Option<ErrorCode> {
        result.err().map(|error| error.code)
    }

    #[tokio::test]
    async fn open_access_makes_everybody_owner() {
        for token in [None, Some("whatever a page has kept from another server")] {
            let grant = testing::open().admit(token).await.expect("open");
            assert_eq!(grant.role_in(&"p".parse().expect("valid")), Some(Role::Owner));
            assert!(grant.administer().is_ok());
        }
    }

    #[tokio::test]
    async fn the_owner_token_is_asked_for() {
        let access = testing::with_owner_token("abc");
        assert_eq!(code(access.admit(None).await), Some(ErrorCode::Unauthenticated));
        for wrong in ["", "ab", "abcd", "abd"] {
            assert_eq!(code(access.admit(Some(wrong)).await), Some(ErrorCode::Unauthenticated), "{wrong}");
        }
        assert_eq!(code(access.admit(Some("abc")).await), None);
    }

    #[tokio::test]
    async fn requests_carry_it_as_a_bearer_token() {
        let access = testing::with_owner_token("abc");
        for (value, admitted) in
            [("Bearer abc", true), ("bearer abc", true), ("Basic abc", false), ("abc", false), ("Bearer x", false)]
        {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().expect("valid"))]);
            assert_eq!(access.admit_request(&headers).await.is_ok(), admitted, "{value}");
        }
    }
}
