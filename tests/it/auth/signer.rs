//! Tokens as others make them: put together and signed by hand, with another library than the server's.

use std::sync::{Arc, Mutex};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair},
};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const SECRET: &str = "a secret of the test, long enough to be one";

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// Header and claims with whatever signature.
pub(super) fn token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

pub(crate) fn hs256(claims: Value) -> String {
    hmac_token("HS256", hmac::HMAC_SHA256, SECRET.as_bytes(), &claims)
}

pub(super) fn hmac_token(name: &str, algorithm: hmac::Algorithm, secret: &[u8], claims: &Value) -> String {
    let header = json!({ "typ": "JWT", "alg": name });
    token(&header, claims, |message| hmac::sign(&hmac::Key::new(algorithm, secret), message).as_ref().to_vec())
}

/// A key of an identity provider.
pub(super) enum ProviderKey {
    Rsa { name: String, pair: Box<RsaKeyPair> },
    Ec { name: String, pair: Box<EcdsaKeyPair> },
}

impl ProviderKey {
    pub(super) fn rsa(name: &str) -> Self {
        Self::Rsa { name: name.into(), pair: Box::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")) }
    }

    pub(super) fn ec(name: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self::Ec { name: name.into(), pair: Box::new(pair) }
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_as(claims, Some(self.name()))
    }

    /// With another name of the key in the header, or none.
    pub(super) fn sign_as(&self, claims: &Value, name: Option<&str>) -> String {
        let random = SystemRandom::new();
        let header = |algorithm: &str| match name {
            Some(name) => json!({ "typ": "JWT", "alg": algorithm, "kid": name }),
            None => json!({ "typ": "JWT", "alg": algorithm }),
        };
        match self {
            Self::Rsa { pair, .. } => token(&header("RS256"), claims, |message| {
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signed).expect("signed");
                signed
            }),
            Self::Ec { pair, .. } => token(&header("ES256"), claims, |message| {
                pair.sign(&random, message).expect("signed").as_ref().to_vec()
            }),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Rsa { name, .. } | Self::Ec { name, .. } => name,
        }
    }

    /// The bytes everybody knows.
    pub(super) fn public(&self) -> Vec<u8> {
        match self {
            Self::Rsa { pair, .. } => pair.public_key().as_ref().to_vec(),
            Self::Ec { pair, .. } => pair.public_key().as_ref().to_vec(),
        }
    }

    fn jwk(&self) -> Value {
        let public = self.public();
        match self {
            // DER: a sequence of modulus, with a zero in front, and exponent 65537, whose lengths are known.
            Self::Rsa { name, .. } => {
                let modulus = &public[9..9 + 256];
                assert_eq!(public[9 + 256..], [2, 3, 1, 0, 1], "a key of 2048 bits");
                json!({ "kty": "RSA", "kid": name, "use": "sig", "alg": "RS256", "n": encoded(modulus), "e": "AQAB" })
            }
            // 4, then both coordinates.
            Self::Ec { name, .. } => {
                let (x, y) = (&public[1..33], &public[33..65]);
                json!({ "kty": "EC", "crv": "P-256", "kid": name, "x": encoded(x), "y": encoded(y) })
            }
        }
    }
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An identity provider: an address with its keys.
#[derive(Clone)]
pub(super) struct Provider {
    state: Arc<Mutex<ProviderState>>,
    pub(super) url: String,
}

struct ProviderState {
    status: StatusCode,
    body: String,
    asked: usize,
}

impl Provider {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("bound"));
        let state = ProviderState { status: StatusCode::OK, body: String::new(), asked: 0 };
        let provider = Self { state: Arc::new(Mutex::new(state)), url };
        let answer = |State(provider): State<Self>| async move {
            let mut state = provider.state.lock().expect("not poisoned");
            state.asked += 1;
            (state.status, state.body.clone())
        };
        let router = Router::new().route("/keys", get(answer)).with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub(super) fn has(&self, keys: &[&ProviderKey]) {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        self.answers(StatusCode::OK, json!({ "keys": keys }).to_string());
    }

    pub(super) fn answers(&self, status: StatusCode, body: impl Into<String>) {
        let mut state = self.state.lock().expect("not poisoned");
        (state.status, state.body) = (status, body.into());
    }

    pub(super) fn asked(&self) -> usize {
        self.state.lock().expect("not poisoned").asked
    }
}
