//! The keys of an identity provider: fetched from its JWKS address, kept, and fetched again when they get old or a
//! token names one that is not among them.
//!
//! A provider that does not answer costs nobody access: the keys we have stay good until it does.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cobuild_protocol::{ErrorBody, ErrorCode};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::{Client, redirect};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::tls;

/// How old keys may get. A key that its provider withdraws counts for at most this long after.
const AGE_MAX: Duration = Duration::from_secs(600);
/// How often the address is asked, at most. Anybody can show a token with a made-up key name; five times a minute is
/// enough for any rotation and harmless to the provider.
const FETCHES_MAX: usize = 5;
const FETCHES_WINDOW: Duration = Duration::from_secs(60);
/// How long to leave a provider alone that has failed, while old keys do.
const RETRY_PAUSE: Duration = Duration::from_secs(30);
/// Longest time for a connection and for a whole answer: people wait for it.
const CONNECT_MAX: Duration = Duration::from_secs(3);
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Largest answer, and most keys taken from it. Providers have a handful, of about a kilobyte each.
const ANSWER_SIZE_BYTES_MAX: usize = 256 * 1024;
const KEYS_MAX: usize = 64;
/// Sizes of an RSA modulus: below 2048 bits it is not safe, above 8192 checking takes too long.
const MODULUS_SIZE_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Size of a coordinate on P-256.
const COORDINATE_SIZE_BYTES: usize = 32;

/// The provider's keys.
#[derive(Debug)]
pub(super) struct KeySet {
    url: String,
    client: Client,
    keys: RwLock<Keys>,
    /// When the address was asked, newest last. Locked while it is asked, so that one question serves all who wait.
    fetches: Mutex<VecDeque<Instant>>,
}

/// The keys of one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    /// `None`: never.
    fetched: Option<Instant>,
    keys: Arc<[Key]>,
}

#[derive(Debug)]
struct Key {
    name: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Why keys could not be fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("no answer")]
    Http(#[from] reqwest::Error),
    #[error("it answers with status {0}")]
    Status(u16),
    #[error("its answer is larger than {ANSWER_SIZE_BYTES_MAX} bytes")]
    TooLarge,
    #[error("its answer is no JSON Web Key Set")]
    Json(#[from] serde_json::Error),
    #[error("it has no key for RS256 or ES256")]
    NoKeys,
}

impl Keys {
    /// Those a token may be signed with.
    pub(super) fn candidates(&self, name: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &DecodingKey> {
        let fits = move |key: &&Key| key.algorithm == algorithm && (name.is_none() || key.name.as_deref() == name);
        self.keys.iter().filter(fits).map(|key| &key.key)
    }

    fn is_old(&self) -> bool {
        self.fetched.is_none_or(|fetched| fetched.elapsed() > AGE_MAX)
    }
}

impl KeySet {
    /// Fetches nothing yet.
    pub(super) fn new(url: &str) -> Result<Self, reqwest::Error> {
        let mut client = tls::client_builder()
            .user_agent(concat!("cobuild/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .timeout(ANSWER_MAX);
        if is_on_this_machine(url) {
            client = client.no_proxy();
        }
        Ok(Self { url: url.into(), client: client.build()?, keys: RwLock::default(), fetches: Mutex::default() })
    }

    /// The keys; fetched if they are old. Fails only when there have never been any.
    pub(super) async fn current(&self) -> Result<Keys, ErrorBody> {
        let keys = self.kept();
        if !keys.is_old() {
            return Ok(keys);
        }
        match self.fetch_unless_newer(&keys).await {
            Some(newer) => Ok(newer),
            None if keys.fetched.is_some() => Ok(keys),
            None => Err(ErrorBody::new(
                ErrorCode::Internal,
                "the server cannot get the keys to check tokens with; try again in a moment",
            )),
        }
    }

    /// Other keys than these, if there are any or may be fetched now.
    pub(super) async fn newer_than(&self, keys: &Keys) -> Option<Keys> {
        self.fetch_unless_newer(keys).await
    }

    async fn fetch_unless_newer(&self, known: &Keys) -> Option<Keys> {
        let mut fetches = self.fetches.lock().await;
        let kept = self.kept();
        if kept.fetched != known.fetched {
            // Somebody else's question was answered while we waited.
            return Some(kept);
        }
        let now = Instant::now();
        fetches.retain(|fetch| now.duration_since(*fetch) < FETCHES_WINDOW);
        let failed_lately = fetches.back().is_some_and(|last| {
            now.duration_since(*last) < RETRY_PAUSE && kept.fetched.is_some_and(|fetched| fetched < *last)
        });
        if fetches.len() >= FETCHES_MAX || failed_lately {
            return None;
        }
        fetches.push_back(now);
        match self.fetch().await {
            Ok(keys) => {
                tracing::info!(url = self.url, keys = keys.len(), "the keys for tokens were fetched");
                let keys = Keys { fetched: Some(Instant::now()), keys: keys.into() };
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.clone();
                Some(keys)
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(url = self.url, error, "the keys for tokens could not be fetched");
                None
            }
        }
    }

    fn kept(&self) -> Keys {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn fetch(&self) -> Result<Vec<Key>, FetchError> {
        let mut answer = self.client.get(&self.url).send().await?;
        if !answer.status().is_success() {
            return Err(FetchError::Status(answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > ANSWER_SIZE_BYTES_MAX {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let keys = parse(&body)?;
        if keys.is_empty() { Err(FetchError::NoKeys) } else { Ok(keys) }
    }
}

/// Of RFC 7517 and 7518, what the two algorithms need.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<serde_json::Value>,
}

/// The keys of a set that can check a signature of ours; a set may hold any others besides.
fn parse(body: &[u8]) -> Result<Vec<Key>, serde_json::Error> {
    let set: JwkSet = serde_json::from_slice(body)?;
    let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
    Ok(jwks.filter_map(key).take(KEYS_MAX).collect())
}

fn key(jwk: Jwk) -> Option<Key> {
    let signs = jwk.r#use.is_none_or(|purpose| purpose == "sig")
        && jwk.key_ops.is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
    let size_bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_or(0, |bytes| bytes.len());
    let (algorithm, name, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {
            let (n, e) = (jwk.n?, jwk.e?);
            let key = MODULUS_SIZE_BYTES.contains(&size_bytes(&n)).then(|| DecodingKey::from_rsa_components(&n, &e))?;
            (Algorithm::RS256, "RS256", key)
        }
        ("EC", Some("P-256")) => {
            let (x, y) = (jwk.x?, jwk.y?);
            let on_curve = size_bytes(&x) == COORDINATE_SIZE_BYTES && size_bytes(&y) == COORDINATE_SIZE_BYTES;
            (Algorithm::ES256, "ES256", on_curve.then(|| DecodingKey::from_ec_components(&x, &y))?)
        }
        _ => return None,
    };
    let meant = signs && jwk.alg.is_none_or(|alg| alg == name);
    meant.then_some(Key { name: jwk.kid, algorithm, key: key.ok()? })
}

fn is_on_this_machine(url: &str) -> bool {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rsa(changes: Value) -> Value {
        changed(json!({ "kty": "RSA", "kid": "a", "n": URL_SAFE_NO_PAD.encode([0xc1; 256]), "e": "AQAB" }), &changes)
    }

    fn ec(changes: Value) -> Value {
        let coordinate = URL_SAFE_NO_PAD.encode([7; 32]);
        changed(json!({ "kty": "EC", "crv": "P-256", "x": coordinate, "y": coordinate }), &changes)
    }

    fn changed(mut key: Value, changes: &Value) -> Value {
        for (name, value) in changes.as_object().expect("an object") {
            key[name] = value.clone();
        }
        key
    }

    #[test]
    fn only_keys_that_can_check_our_signatures_are_taken() {
        for (key, taken) in [
            (rsa(json!({})), true),
            (rsa(json!({ "alg": "RS256", "use": "sig", "key_ops": ["verify"], "x5c": ["…"] })), true),
            (rsa(json!({ "alg": "PS256" })), false),
            (rsa(json!({ "use": "enc" })), false),
            (rsa(json!({ "key_ops": ["encrypt"] })), false),
            (rsa(json!({ "n": URL_SAFE_NO_PAD.encode([0xc1; 128]) })), false),
            (rsa(json!({ "n": URL_SAFE_NO_PAD.encode([0xc1; 2048]) })), false),
            (rsa(json!({ "n": "not base64!" })), false),
            (rsa(json!({ "n": null })), false),
            (ec(json!({})), true),
            (ec(json!({ "crv": "P-384" })), false),
            (ec(json!({ "x": "AQ" })), false),
            (ec(json!({ "alg": "RS256" })), false),
            (json!({ "kty": "oct", "k": "c2VjcmV0" }), false),
            (json!({ "kty": "OKP", "crv": "Ed25519", "x": "AQ" }), false),
            (json!("no key"), false),
        ] {
            let set = json!({ "keys": [key] }).to_string();
            assert_eq!(parse(set.as_bytes()).expect("a set").len(), usize::from(taken), "{set}");
        }
        assert!(parse(b"{}").is_err());
        assert!(parse(b"<html>").is_err());
    }

    #[test]
    fn a_name_chooses_a_key_and_without_one_any_may_fit() {
        let set =
            json!({ "keys": [rsa(json!({})), rsa(json!({ "kid": "b" })), ec(json!({ "kid": "c" }))] }).to_string();
        let keys = Keys { fetched: None, keys: parse(set.as_bytes()).expect("a set").into() };
        for (name, algorithm, count) in [
            (Some("a"), Algorithm::RS256, 1),
            (Some("a"), Algorithm::ES256, 0),
            (Some("c"), Algorithm::ES256, 1),
            (Some("z"), Algorithm::RS256, 0),
            (None, Algorithm::RS256, 2),
        ] {
            assert_eq!(keys.candidates(name, algorithm).count(), count, "{name:?} {algorithm:?}");
        }
    }

    #[test]
    fn addresses_of_this_machine() {
        for (url, expected) in [
            ("http://127.0.0.1:8080/keys", true),
            ("http://localhost/keys", true),
            ("http://[::1]/keys", true),
            ("https://login.example/keys", false),
            ("https://127.0.0.1.example/keys", false),
        ] {
            assert_eq!(is_on_this_machine(url), expected, "{url}");
        }
    }
}
