//! Who may do what.
//!
//! A caller shows a token in `hello.token` or `Authorization: Bearer`, never in a URL; [`Access::admit`] turns it into
//! a [`Grant`], and the grant says which role its holder has in which project. Today there are two ways in: an open
//! server on loopback, and the owner's token. Tokens with claims per project become a third kind of grant.

use std::{fs, io, path::Path};

use axum::http::{HeaderMap, header};
use cobuild_protocol::{ErrorBody, ErrorCode, ProjectId, value::Role};
use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use crate::config::Secret;

/// Random bytes of an owner token: 192 bits cannot be guessed and still fit in a link.
const OWNER_TOKEN_BYTES: usize = 24;
/// Where the owner token is kept, below the data folder; removing the file revokes it.
const OWNER_TOKEN_FILE: &str = "owner-token";

/// How callers are let in.
#[derive(Debug, Clone)]
pub(crate) enum Access {
    /// Everybody who can reach the server is owner. Only on loopback, where `Host` and `Origin` are checked instead.
    Open,
    /// Whoever has this token is owner; nobody else gets in.
    OwnerToken(Secret),
}

/// What a caller may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Who a token says the caller is; `None` where everybody shares one token or needs none.
    pub(crate) subject: Option<String>,
    /// The name a token gives the caller.
    pub(crate) name: Option<String>,
    role: Role,
}

impl Grant {
    /// The caller's role in a project; `None` when the project is not theirs to see.
    pub(crate) fn role_in(&self, _project: &ProjectId) -> Option<Role> {
        Some(self.role)
    }

    /// Fails unless the caller may administer the server: create and delete projects.
    pub(crate) fn administer(&self) -> Result<(), ErrorBody> {
        match self.role {
            Role::Owner => Ok(()),
            Role::Editor | Role::Viewer => {
                Err(ErrorBody::new(ErrorCode::Forbidden, "only an owner may create and delete projects"))
            }
        }
    }
}

impl Access {
    /// What the caller with this token may do.
    pub(crate) fn admit(&self, token: Option<&str>) -> Result<Grant, ErrorBody> {
        let owner = Grant { subject: None, name: None, role: Role::Owner };
        let refuse = |message: &str| Err(ErrorBody::new(ErrorCode::Unauthenticated, message));
        match (self, token) {
            (Self::Open, _) => Ok(owner),
            (Self::OwnerToken(_), None) => refuse("this server needs a token; open it by the link it printed at start"),
            (Self::OwnerToken(secret), Some(token)) if same(secret.expose(), token) => Ok(owner),
            (Self::OwnerToken(_), Some(_)) => {
                refuse("the token is not valid; use the link the server printed at start")
            }
        }
    }

    /// What the sender of an HTTP request may do.
    pub(crate) fn admit_request(&self, headers: &HeaderMap) -> Result<Grant, ErrorBody> {
        self.admit(bearer(headers))
    }
}

/// The token of `Authorization: Bearer …`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares in a time that tells nothing about how much of the two is alike: what is compared are digests, which an
/// attacker can neither choose nor predict bit by bit.
fn same(secret: &str, candidate: &str) -> bool {
    let (a, b) = (Sha256::digest(secret.as_bytes()), Sha256::digest(candidate.as_bytes()));
    a.iter().zip(b.iter()).fold(0_u8, |difference, (x, y)| difference | (x ^ y)) == 0
}

/// The owner's token of a data folder, made at first use, so that links and stored tokens outlive a restart.
pub(crate) fn owner_token(data_dir: &Path) -> io::Result<Secret> {
    let path = data_dir.join(OWNER_TOKEN_FILE);
    match fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(Secret::new(text.trim())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut bytes = [0_u8; OWNER_TOKEN_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let token = hex::encode(bytes);
    write_private(&path, &token)?;
    Ok(Secret::new(token))
}

/// Writes a file that only this user may read, from its first byte on.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<Grant, ErrorBody>) -> Option<ErrorCode> {
        result.err().map(|error| error.code)
    }

    #[test]
    fn open_access_makes_everybody_owner() {
        let grant = Access::Open.admit(None).expect("open");
        assert_eq!(grant.role_in(&"p".parse().expect("valid")), Some(Role::Owner));
        assert!(grant.administer().is_ok());
    }

    #[test]
    fn the_owner_token_is_asked_for() {
        let access = Access::OwnerToken(Secret::new("abc"));
        assert_eq!(code(access.admit(None)), Some(ErrorCode::Unauthenticated));
        for wrong in ["", "ab", "abcd", "abd"] {
            assert_eq!(code(access.admit(Some(wrong))), Some(ErrorCode::Unauthenticated), "{wrong}");
        }
        assert_eq!(code(access.admit(Some("abc"))), None);
    }

    #[test]
    fn requests_carry_it_as_a_bearer_token() {
        let access = Access::OwnerToken(Secret::new("abc"));
        for (value, admitted) in
            [("Bearer abc", true), ("bearer abc", true), ("Basic abc", false), ("abc", false), ("Bearer x", false)]
        {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().expect("valid"))]);
            assert_eq!(access.admit_request(&headers).is_ok(), admitted, "{value}");
        }
    }

    #[test]
    fn the_owner_token_outlives_a_restart_and_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("folder");
        let first = owner_token(folder.path()).expect("made");
        assert_eq!(owner_token(folder.path()).expect("read"), first);
        assert_eq!(first.expose().len(), OWNER_TOKEN_BYTES * 2);
        let mode = fs::metadata(folder.path().join(OWNER_TOKEN_FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
