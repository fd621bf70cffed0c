//! Names, keys and lists: what is said before anything is sent, and what vendors say they have.

use std::{collections::BTreeMap, net::SocketAddr};

use cobuild::{
    model::{
        catalogue::Catalogue,
        detect::ProbeFault,
        endpoint::{EndpointSettings, ModelSettings},
        http::{HttpLimits, TransportFault},
        provider::Provider,
        retry::RetryPolicy,
        vendors::Vendors,
    },
    project::model_provider::{ModelError, ModelProvider as _},
};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use super::{
    fake_vendors::server::FaultServer,
    support::{ask, models, only, settings, vendors},
};

#[tokio::test]
async fn without_a_key_nothing_is_sent() {
    let models = models(&vendors(ModelSettings::default()));
    for (model, variable) in [
        ("anthropic/claude-sonnet-5-5", "ANTHROPIC_API_KEY"),
        ("openai/gpt-6-astra", "OPENAI_API_KEY"),
        ("gemini/gemini-4-argon", "GEMINI_API_KEY"),
        ("groq/openai/gpt-oss-20b", "GROQ_API_KEY"),
        ("openrouter/a/b", "OPENROUTER_API_KEY"),
        ("compatible/x", "COMPATIBLE_BASE_URL"),
    ] {
        let Err(ModelError::NotConfigured { variable: named, sentence }) = models.resolve(model) else {
            panic!("{model}")
        };
        assert!(named == variable && sentence.contains(variable), "{sentence}");
    }
    assert!(models.models().is_empty());
}

#[tokio::test]
async fn retired_and_unknown_names_are_answered_with_what_exists() {
    let server = FaultServer::start().await;
    let models = models(&vendors(settings(server.address)));
    let retired = models.resolve("anthropic/claude-3-5-sonnet-20241022").expect_err("retired").to_string();
    assert!(retired.contains("was retired on 2025-10-28. Current: `anthropic/claude-sonnet-5-5`"), "{retired}");
    assert!(server.seen().is_empty(), "nothing is sent for it");
    let unknown = ask(&models, "groq/brand-new", "unknown_model").await.error.expect("an error");
    let expected = "`groq/brand-new` is not a model that Groq has. Current: `groq/openai/gpt-oss-120b`";
    assert!(unknown.to_string().starts_with(expected), "{unknown}");
    assert_eq!(server.seen().len(), 1, "newer than the table, so the vendor was asked");
}

#[tokio::test]
async fn lists_are_read_joined_and_kept() {
    let server = FaultServer::start().await;
    let vendors = vendors(settings(server.address));
    let reports = vendors.refresh().await;
    assert!(reports.iter().all(|report| report.failure.is_none() && report.models > 0), "{reports:?}");
    let calls = server.seen().len();
    vendors.refresh().await;
    assert_eq!(server.seen().len(), calls, "fresh lists are not asked for again");
    let models = models(&vendors);
    let names: Vec<_> = models.models().into_iter().map(|model| model.name).collect();
    for name in
        ["anthropic/claude-sonnet-5-5", "anthropic/claude-brand-new", "google/gemini-4-argon", "openai/gpt-7-new"]
    {
        assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
    }
    assert!(!names.iter().any(|known| known == "anthropic/claude-opus-5-5"), "the vendor no longer lists it");
    let retiring = models.resolve("openai/gpt-7-new").expect("listed");
    assert_eq!(retiring.notice.as_deref(), Some("Retires on 2999-01-01"));
    assert!(!retiring.whole_files);
}

#[tokio::test]
async fn a_list_that_fails_hides_nothing() {
    let server = FaultServer::start().await;
    let mut settings = only(settings(server.address), &[Provider::Anthropic, Provider::Groq]);
    settings.endpoints.get_mut(&Provider::Groq).expect("set").base_url =
        Some(format!("http://{}/wants_key", server.address));
    let vendors = vendors(settings);
    let reports = vendors.refresh().await;
    let failures: Vec<_> = reports.iter().map(|report| (report.provider, report.failure.is_some())).collect();
    assert_eq!(failures, [(Provider::Anthropic, false), (Provider::Groq, true)]);
    let names: Vec<_> = models(&vendors).models().into_iter().map(|model| model.name).collect();
    assert!(names.iter().any(|name| name.starts_with("groq/")), "the table's rows stay: {names:?}");
}

#[tokio::test]
async fn servers_on_this_machine_are_found() {
    let server = FaultServer::start().await;
    let nobody = unused_address().await;
    let mut settings = ModelSettings::default();
    for (provider, address) in [
        (Provider::Ollama, server.address),
        (Provider::Lmstudio, server.address),
        (Provider::Llamacpp, nobody),
        (Provider::Vllm, nobody),
    ] {
        let base_url = Some(format!("http://{address}/v1"));
        settings.endpoints.insert(provider, EndpointSettings { key: None, base_url });
    }
    let vendors = vendors(settings);
    assert!(vendors.default_model().is_none());
    let found: Vec<_> = vendors.find_local().await.iter().map(|server| server.sentence()).collect();
    assert_eq!(found, ["found Ollama with 2 models", "found LM Studio with 2 models"]);
    assert_eq!(vendors.default_model().expect("found").name, "ollama/llama4:70b");
    let models = models(&vendors);
    let window = |name: &str| models.resolve(name).expect("listed").context_tokens_max;
    assert_eq!(window("ollama/qwen3:8b"), Some(8192), "as it is loaded");
    assert_eq!(window("ollama/llama4:70b"), Some(4096), "what it would get");
    let whole_files = |name: &str| models.resolve(name).expect("one can ask for it").whole_files;
    assert!(whole_files("ollama/qwen3:8b") && whole_files("ollama/not-listed"), "small ones are weak at edits");
    assert!(ask(&models, "ollama/qwen3:8b", "normal").await.stop.is_some());
    assert!(server.seen().iter().all(|seen| !seen.headers.contains_key("authorization")), "no key, no header");
}

#[tokio::test]
async fn the_first_vendor_with_a_key_is_the_default() {
    let server = FaultServer::start().await;
    let vendors = vendors(only(settings(server.address), &[Provider::Google, Provider::Groq]));
    assert_eq!(vendors.default_model().expect("set up").name, "google/gemini-3.8-flash");
}

async fn probe(base_url: String) -> Option<Result<usize, ProbeFault>> {
    let endpoint = EndpointSettings { key: None, base_url: Some(base_url) };
    let endpoints = BTreeMap::from([(Provider::Compatible, endpoint)]);
    let settings = ModelSettings { endpoints, ..ModelSettings::default() };
    let limits = HttpLimits::default();
    let vendors = Vendors::new(settings, Catalogue::built_in(), &limits, RetryPolicy::default()).expect("TLS is there");
    vendors.probe_compatible().await
}

/// An address at which nothing listens.
pub(super) async fn unused_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).await.expect("a port").local_addr().expect("bound")
}

#[tokio::test]
async fn a_probe_names_the_layer_that_fails() {
    let server = FaultServer::start().await;
    let at = server.address;
    assert_eq!(probe(format!("http://{at}/v1")).await, Some(Ok(2)));
    assert_eq!(probe(format!("http://{at}/empty")).await, Some(Err(ProbeFault::NoModel)));
    assert_eq!(probe(format!("http://{at}/wants_key")).await, Some(Err(ProbeFault::Unauthorized)));
    assert_eq!(probe(format!("http://{at}/wrong")).await, Some(Err(ProbeFault::NotModels)));
    let transport = |fault| Some(Err(ProbeFault::Transport(fault)));
    assert_eq!(probe(format!("http://{}/v1", unused_address().await)).await, transport(TransportFault::Refused));
    assert_eq!(probe("http://no-such-host.invalid/v1".to_owned()).await, transport(TransportFault::Dns));
    assert_eq!(probe(format!("https://{}/v1", plain_text_server().await)).await, transport(TransportFault::Tls));
    assert_eq!(vendors(ModelSettings::default()).probe_compatible().await, None);
}

/// Answers every connection in plain text.
async fn plain_text_server() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    address
}
