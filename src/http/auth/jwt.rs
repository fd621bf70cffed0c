//! JSON Web Tokens: who signed one, whether it counts now, and what it says.
//!
//! The header of a token is its sender's claim and decides nothing but which of the configured keys is tried. Each
//! algorithm has its own kind of key, so a public key can never be mistaken for a shared secret.

mod claims;
mod key_set;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cobuild_protocol::{ErrorBody, ErrorCode};
use jiff::Timestamp;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    errors::{Error, ErrorKind},
};
use serde::Deserialize;

pub(crate) use self::claims::Claims;
use self::key_set::{KeySet, Keys};
use super::{grant::Grant, refused};
use crate::config::Secret;

/// Longest token that is looked at. An identity provider's have one or two thousand characters; beyond this the list of
/// projects should be a `*`.
const TOKEN_LENGTH_MAX: usize = 16 * 1024;
/// Longest algorithm name that is repeated to its sender, in characters.
const NAME_QUOTED_MAX: usize = 16;

/// Checks tokens against the keys this server was told of.
#[derive(Debug)]
pub(super) struct Verifier {
    secret: Option<DecodingKey>,
    keys: Option<KeySet>,
}

/// Of a token's header, what decides about the key to try.
#[derive(Debug, Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    /// Extensions that whoever does not know them must refuse (RFC 7515, 4.1.11). We know none.
    crit: Option<serde_json::Value>,
}

impl Verifier {
    /// From `JWT_SECRET` and `JWKS_URL`; `None` without either.
    pub(super) fn new(secret: Option<&Secret>, jwks_url: Option<&str>) -> Result<Option<Self>, reqwest::Error> {
        let secret = secret.map(|secret| DecodingKey::from_secret(secret.expose().as_bytes()));
        let keys = jwks_url.map(KeySet::new).transpose()?;
        Ok((secret.is_some() || keys.is_some()).then_some(Self { secret, keys }))
    }

    /// What the holder of this token may do, or the one sentence that says why nothing. May fetch keys.
    pub(super) async fn verify(&self, token: &str) -> Result<Grant, ErrorBody> {
        let head = head(token)?;
        let claims = match (head.alg.as_str(), &self.secret, &self.keys) {
            ("HS256", Some(secret), _) => decode(token, Algorithm::HS256, secret)?,
            ("RS256", _, Some(keys)) => by_key_set(token, &head, Algorithm::RS256, keys).await?,
            ("ES256", _, Some(keys)) => by_key_set(token, &head, Algorithm::ES256, keys).await?,
            _ => return Err(refused(&self.wrong_algorithm(&head.alg))),
        };
        claims.into_grant(Timestamp::now())
    }

    fn wrong_algorithm(&self, algorithm: &str) -> String {
        if algorithm.eq_ignore_ascii_case("none") {
            return "the token is not signed (alg `none`)".into();
        }
        let quoted: String = algorithm.chars().filter(|c| !c.is_control()).take(NAME_QUOTED_MAX).collect();
        let accepted = match (&self.secret, &self.keys) {
            (Some(_), Some(_)) => "HS256, RS256 or ES256",
            (Some(_), None) => "HS256",
            (None, _) => "RS256 or ES256",
        };
        format!("the token is signed with `{quoted}`; this server takes {accepted}")
    }
}

/// Signs a token with `JWT_SECRET`.
pub(crate) fn sign(claims: &Claims, secret: &Secret) -> Result<String, Error> {
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)
}

/// Tries the keys the token may be signed with. If none fits, the provider may have begun to use another: then its keys
/// are fetched once more, if [`KeySet`] allows.
async fn by_key_set(token: &str, head: &Head, algorithm: Algorithm, set: &KeySet) -> Result<Claims, ErrorBody> {
    let keys = set.current().await?;
    let mut outcome = try_keys(token, head, algorithm, &keys);
    if let Err(Unverified::UnknownKey) = outcome
        && let Some(newer) = set.newer_than(&keys).await
    {
        outcome = try_keys(token, head, algorithm, &newer);
    }
    outcome.map_err(|error| match error {
        Unverified::UnknownKey => refused("the token is signed with a key this server does not know"),
        Unverified::Refused(error) => error,
    })
}

enum Unverified {
    UnknownKey,
    Refused(ErrorBody),
}

fn try_keys(token: &str, head: &Head, algorithm: Algorithm, keys: &Keys) -> Result<Claims, Unverified> {
    let mut outcome = Err(Unverified::UnknownKey);
    for key in keys.candidates(head.kid.as_deref(), algorithm) {
        match decode(token, algorithm, key) {
            Ok(claims) => return Ok(claims),
            // Without the key's name any of them may be meant, also one that we have not seen yet.
            Err(_) if head.kid.is_none() => {}
            Err(error) => outcome = Err(Unverified::Refused(error)),
        }
    }
    outcome
}

/// The header, before anything is known to be true.
fn head(token: &str) -> Result<Head, ErrorBody> {
    let not_a_token = || refused("the token is not a signed JSON Web Token");
    if token.len() > TOKEN_LENGTH_MAX {
        return Err(refused(&format!("a token has at most {TOKEN_LENGTH_MAX} characters")));
    }
    let (first, rest) = token.split_once('.').ok_or_else(not_a_token)?;
    if rest.split('.').count() != 2 {
        return Err(not_a_token());
    }
    let json = URL_SAFE_NO_PAD.decode(first).map_err(|_| not_a_token())?;
    let head: Head = serde_json::from_slice(&json).map_err(|_| not_a_token())?;
    if head.crit.is_some() {
        return Err(refused("the token asks for extensions this server does not know (crit)"));
    }
    Ok(head)
}

/// The claims of a token with this key's signature. When they count is for [`Claims::into_grant`] to say.
fn decode(token: &str, algorithm: Algorithm, key: &DecodingKey) -> Result<Claims, ErrorBody> {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    // `projects` says where a token counts; whoever puts it there means this server.
    validation.validate_aud = false;
    match jsonwebtoken::decode(token, key, &validation) {
        Ok(data) => Ok(data.claims),
        Err(error) => Err(match error.kind() {
            ErrorKind::Json(error) => refused(&format!("the token's claims cannot be read: {error}")),
            ErrorKind::Utf8(_) => refused("the token's claims are not UTF-8"),
            ErrorKind::InvalidSignature | ErrorKind::Base64(_) => refused("the token's signature is not valid"),
            kind => {
                tracing::warn!(?kind, "a token could not be checked");
                ErrorBody::new(ErrorCode::Unauthenticated, "the token cannot be checked with this server's keys")
            }
        }),
    }
}
