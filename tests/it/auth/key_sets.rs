//! Tokens of an identity provider, whose keys are fetched from its address.

use aws_lc_rs::hmac;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{
    Guarded,
    signer::{Provider, ProviderKey, SECRET, hmac_token, now},
};
use crate::support::{Setup, WsClient};

fn claims() -> Value {
    json!({ "sub": "ada", "aud": "other-app", "projects": { "*": "owner" }, "exp": now() + 600.0 })
}

/// A server that knows only this provider's keys.
async fn guarded(provider: &Provider) -> Guarded {
    Guarded::start_with(Setup::with_arguments(&["--jwks-url", &provider.url])).await
}

impl Guarded {
    /// Whether a token is let in, or why not.
    async fn admits(&self, token: &str) -> Result<(), String> {
        match self.get("/api/v1/projects", token).await {
            (StatusCode::OK, _) => Ok(()),
            (status, problem) => Err(format!("{} {}", status.as_u16(), problem["detail"].as_str().unwrap_or_default())),
        }
    }

    async fn refuses(&self, token: &str, expected: &str) {
        let refusal = self.admits(token).await.expect_err(expected);
        assert!(refusal.contains(expected), "{refusal:?} should have {expected:?}");
    }
}

#[tokio::test]
async fn both_algorithms_are_checked_with_the_provider_s_keys() {
    let (rsa, ec, provider) = (ProviderKey::rsa("r1"), ProviderKey::ec("e1"), Provider::start().await);
    provider.has(&[&rsa, &ec]);
    let guarded = guarded(&provider).await;
    for key in [&rsa, &ec] {
        assert_eq!(guarded.admits(&key.sign(&claims())).await, Ok(()));
        assert_eq!(guarded.admits(&key.sign_as(&claims(), None)).await, Ok(()), "without the key's name");
    }
    assert_eq!(provider.asked(), 1, "keys are kept");

    let forged = ProviderKey::ec("e1");
    guarded.refuses(&forged.sign(&claims()), "signature is not valid").await;
    // A public key is not a secret: nobody gets in by signing with what everybody knows.
    let confused = hmac_token("HS256", hmac::HMAC_SHA256, &rsa.public(), &claims());
    guarded.refuses(&confused, "signed with `HS256`; this server takes RS256 or ES256").await;
    let expired = json!({ "sub": "ada", "projects": { "*": "owner" }, "exp": now() - 1.0 });
    guarded.refuses(&rsa.sign(&expired), "has expired").await;
    guarded.refuses("", "needs a token").await;
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let (old, new, provider) = (ProviderKey::ec("old"), ProviderKey::ec("new"), Provider::start().await);
    provider.has(&[&old]);
    let guarded = guarded(&provider).await;
    assert_eq!(guarded.admits(&old.sign(&claims())).await, Ok(()));
    provider.has(&[&new]);
    assert_eq!(guarded.admits(&old.sign(&claims())).await, Ok(()), "known keys are not asked for again");
    assert_eq!(guarded.admits(&new.sign(&claims())).await, Ok(()));
    assert_eq!(provider.asked(), 2);
    guarded.refuses(&old.sign(&claims()), "a key this server does not know").await;
}

#[tokio::test]
async fn made_up_keys_do_not_make_the_server_ask_without_end() {
    let (known, provider) = (ProviderKey::ec("known"), Provider::start().await);
    provider.has(&[&known]);
    let guarded = guarded(&provider).await;
    let stranger = ProviderKey::ec("stranger");
    for n in 0..12 {
        let token = stranger.sign_as(&claims(), Some(&format!("made-up-{n}")));
        guarded.refuses(&token, "a key this server does not know").await;
    }
    assert!(provider.asked() <= 5, "{} times", provider.asked());
    assert_eq!(guarded.admits(&known.sign(&claims())).await, Ok(()));
}

#[tokio::test]
async fn a_provider_that_fails_locks_nobody_out() {
    let (key, provider) = (ProviderKey::ec("k"), Provider::start().await);
    provider.answers(StatusCode::SERVICE_UNAVAILABLE, "");
    let guarded = guarded(&provider).await;
    guarded.refuses(&key.sign(&claims()), "500 the server cannot get the keys").await;
    let (code, _) = guarded.turned_away("p", Some(&key.sign(&claims()))).await.expect("turned away");
    assert_eq!(code, Some(4000), "come back: it is not the token's fault");
    provider.has(&[&key]);
    assert_eq!(guarded.admits(&key.sign(&claims())).await, Ok(()));

    // From now on there are keys to go on with, whatever the provider says.
    for (status, body) in [
        (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        (StatusCode::OK, "<html>".into()),
        (StatusCode::OK, json!({ "keys": [] }).to_string()),
    ] {
        provider.answers(status, body);
        guarded.refuses(&ProviderKey::ec("other").sign(&claims()), "a key this server does not know").await;
        assert_eq!(guarded.admits(&key.sign(&claims())).await, Ok(()));
    }
}

#[tokio::test]
async fn a_secret_and_a_provider_may_both_count() {
    let (key, provider) = (ProviderKey::ec("k"), Provider::start().await);
    provider.has(&[&key]);
    let both = Setup::with_arguments(&["--jwks-url", &provider.url, "--jwt-secret", SECRET]);
    let guarded = Guarded::start_with(both).await;
    guarded.create("p").await;
    for token in [&guarded.owner, &key.sign(&claims())] {
        WsClient::attach_with_token(&guarded.server, "p", token).await;
    }
    let strange = ProviderKey::ec("k").sign(&claims());
    guarded.refuses(&strange, "signature is not valid").await;
}
