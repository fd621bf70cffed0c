//! Whom this server trusts when it calls others over TLS: the machine's own roots, read once, at the first handshake.
//!
//! reqwest reads them for every client that is built. Each reading takes tens of milliseconds and several megabytes,
//! which a server that talks to nobody, or only over plain HTTP to a model on its own machine, never needs.

use std::sync::{Arc, OnceLock};

use reqwest::{Client, ClientBuilder};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use rustls_platform_verifier::Verifier;

/// What every HTTP client of this server is built from.
pub fn client_builder() -> ClientBuilder {
    match trust() {
        Ok(config) => Client::builder().tls_backend_preconfigured(config.clone()),
        // reqwest meets the same fault, and says so when the client is built.
        Err(_) => Client::builder(),
    }
}

fn trust() -> &'static Result<ClientConfig, Error> {
    static TRUST: OnceLock<Result<ClientConfig, Error>> = OnceLock::new();
    TRUST.get_or_init(|| {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(PlatformRoots { provider: provider.clone(), verifier: OnceLock::new() });
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        // "Dangerous" is whoever verifies by rules of their own: these are the platform's, only later.
        Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    })
}

/// The platform's verifier, made when the first certificate is to be verified.
#[derive(Debug)]
struct PlatformRoots {
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Verifier>,
}

impl PlatformRoots {
    fn verifier(&self) -> Result<&Verifier, Error> {
        if let Some(verifier) = self.verifier.get() {
            return Ok(verifier);
        }
        // No roots, or none that can be read now: this connection cannot be trusted, the next one tries again.
        let made = Verifier::new(self.provider.clone());
        let made = made.map_err(|error| CertificateError::Other(OtherError(Arc::new(error))))?;
        Ok(self.verifier.get_or_init(|| made))
    }
}

impl ServerCertVerifier for PlatformRoots {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    // Signatures and what the handshake offers depend on the cryptography alone, not on the roots.

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
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
