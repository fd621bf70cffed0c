//! Whom this server trusts when it calls others over TLS: the machine's own roots, read once.
//!
//! reqwest reads them anew for every client that is built, which takes milliseconds and megabytes for each.

use std::sync::{Arc, OnceLock};

use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, crypto::aws_lc_rs};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// What every HTTP client of this server is built from.
pub fn client_builder() -> ClientBuilder {
    match trust() {
        Ok(config) => Client::builder().tls_backend_preconfigured(config.clone()),
        // reqwest meets the same fault, and says so when the client is built.
        Err(_) => Client::builder(),
    }
}

fn trust() -> &'static Result<ClientConfig, rustls::Error> {
    static TRUST: OnceLock<Result<ClientConfig, rustls::Error>> = OnceLock::new();
    TRUST.get_or_init(|| {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        Ok(builder.with_safe_default_protocol_versions()?.with_platform_verifier()?.with_no_client_auth())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reqwest_takes_it() {
        // It refuses the configuration of another version of rustls than its own when the client is built.
        client_builder().build().expect("a client");
    }
}
