//! The models of a whole server, set up by its settings: what is listed, who answers, who takes over, and what is said
//! to a name that cannot be used.

use cobuild_protocol::{ErrorBody, ErrorCode, Event, event::ModelSwitched, frame::ControlFrame, value::Outcome};
use serde_json::{Value, json};

use super::{
    fake_vendors::{script::PIECES, server::FaultServer},
    lists::unused_address,
};
use crate::support::{Setup, TestServer, WsClient, run_of};

/// A server whose vendors are all this stand-in, unless the arguments say otherwise.
pub(super) fn arguments(vendors: &FaultServer, others: &[&str]) -> Vec<String> {
    let at = vendors.address;
    let mut arguments: Vec<String> = [
        ("anthropic", ""),
        ("openai", "/v1"),
        ("gemini", ""),
        ("groq", "/openai/v1"),
        ("openrouter", "/api/v1"),
        ("compatible", "/v1"),
    ]
    .into_iter()
    .flat_map(|(name, path)| [format!("--{name}-api-key=test-key"), format!("--{name}-base-url=http://{at}{path}")])
    .collect();
    for other in others {
        // The last one wins, where one may be given once only.
        let name = other.split('=').next().unwrap_or(other);
        arguments.retain(|argument| argument.split('=').next() != Some(name));
        arguments.push((*other).to_owned());
    }
    arguments
}

async fn serve(vendors: &FaultServer, others: &[&str]) -> TestServer {
    let setup = Setup { arguments: arguments(vendors, others), configured_models: true, ..Setup::default() };
    let server = TestServer::start_with(setup).await;
    server.create("p").await;
    server
}

async fn answered(server: &TestServer, model: Option<Value>) -> (WsClient, Outcome) {
    let mut client = WsClient::attach(server, "p").await;
    client.synced().await;
    let mut command = json!({ "type": "generate", "prompt": "mode:normal", "apply": false });
    if let Some(model) = model {
        command["model"] = model;
    }
    let run = run_of(client.command(command).await);
    let outcome = client.finished(run).await;
    (client, outcome)
}

async fn refused(server: &TestServer, model: Option<Value>) -> ErrorBody {
    let mut client = WsClient::attach(server, "p").await;
    client.synced().await;
    let mut command = json!({ "type": "generate", "prompt": "mode:normal", "apply": false });
    if let Some(model) = model {
        command["model"] = model;
    }
    match client.command(command).await {
        ControlFrame::Rejected(rejected) => rejected.error,
        other => panic!("not refused: {other:?}"),
    }
}

/// The newest message of the project, as everybody sees it.
async fn last_message(server: &TestServer) -> Value {
    let project = server.json("/api/v1/projects/p").await;
    project["state"]["messages"].as_array().and_then(|messages| messages.last()).expect("a message").clone()
}

#[tokio::test]
async fn the_first_provider_with_a_key_answers_and_is_billed() {
    let vendors = FaultServer::start().await;
    let server = serve(&vendors, &["--max-tokens=1234", "--default-temperature=0.3"]).await;
    let (client, outcome) = answered(&server, None).await;
    assert_eq!(client.welcome.default_model.model, "anthropic/claude-sonnet-5-5");
    assert_eq!(outcome, Outcome::Completed);
    let message = last_message(&server).await;
    assert_eq!(message["model"], "anthropic/claude-sonnet-5-5");
    assert_eq!(message["parts"][0]["text"], PIECES.concat().trim_end());
    let project = server.json("/api/v1/projects/p").await;
    let usage = &project["state"]["runs"][0]["usage"];
    assert_eq!((&usage["cost_nano_usd"], &usage["prices_as_of"]), (&json!(80_300), &json!("2026-11-22")));
    let asked = vendors.seen().into_iter().find(|seen| seen.path.contains("/messages")).expect("a call");
    assert_eq!(asked.body["max_tokens"], 1234, "MAX_TOKENS counts");
    assert!(asked.body.get("temperature").is_none(), "DEFAULT_TEMPERATURE goes only to models that take it");
    answered(&server, Some(json!("groq/openai/gpt-oss-20b"))).await;
    let asked = vendors.seen().into_iter().find(|seen| seen.path.starts_with("/openai/v1/chat")).expect("a call");
    assert_eq!(asked.body["temperature"], 0.3);
}

#[tokio::test]
async fn the_list_has_everything_and_marks_the_default() {
    let vendors = FaultServer::start().await;
    let broken = format!("--groq-base-url=http://{}/openai/v1", unused_address().await);
    let server = serve(&vendors, &[&broken, "--openai-api-key=", "--openai-base-url="]).await;
    let list = server.json("/api/v1/models").await;
    assert_eq!(list["default"]["model"], "anthropic/claude-sonnet-5-5");
    let models = list["models"].as_array().expect("a list");
    let entry = |name: &str| models.iter().find(|entry| entry["model"] == name).unwrap_or_else(|| panic!("{name}"));
    let marked: Vec<_> = models.iter().filter(|entry| entry["default"] == true).map(|entry| &entry["model"]).collect();
    assert_eq!(marked, ["anthropic/claude-sonnet-5-5"]);
    let sonnet = entry("anthropic/claude-sonnet-5-5");
    assert_eq!((&sonnet["context_tokens_max"], &sonnet["vision"]), (&json!(1_000_000), &json!(true)));
    assert_eq!(
        sonnet["price"],
        json!({"input": 2_000_000, "output": 10_000_000, "cache_read": 100_000,
        "cache_write": 2_500_000})
    );
    assert!(entry("anthropic/claude-brand-new").get("price").is_none(), "unknown, not free");
    assert!(models.iter().any(|entry| entry["model"] == "groq/openai/gpt-oss-20b"), "the table's rows stay");
    assert_eq!(entry("demo/scripted")["notice"], "Demo – canned answers, no AI");
    let report = |name: &str| {
        let providers = list["providers"].as_array().expect("a list");
        providers.iter().find(|report| report["provider"] == name).unwrap_or_else(|| panic!("{name}")).clone()
    };
    assert_eq!(report("anthropic")["state"], "ready");
    assert_eq!(report("groq")["state"], "failing");
    assert!(report("groq")["detail"].as_str().is_some_and(|detail| detail.contains("connection refused")));
    let openai = report("openai");
    assert_eq!((&openai["state"], &openai["variable"]), (&json!("not_configured"), &json!("OPENAI_API_KEY")));
    let calls = vendors.seen().len();
    server.json("/api/v1/models").await;
    assert_eq!(vendors.seen().len(), calls, "lists are kept for a while");
}

#[tokio::test]
async fn the_next_model_answers_and_everybody_sees_why() {
    let vendors = FaultServer::start().await;
    let broken = format!("--groq-base-url=http://{}/openai/v1", unused_address().await);
    let server = serve(&vendors, &[&broken, "--openai-api-key=", "--openai-base-url="]).await;
    let models = json!(["openai/gpt-6.1-sol", "groq/openai/gpt-oss-20b", "anthropic/claude-sonnet-5-5"]);
    let (client, outcome) = answered(&server, Some(models)).await;
    assert_eq!(outcome, Outcome::Completed);
    let switches: Vec<ModelSwitched> = client
        .lines
        .iter()
        .filter_map(|line| match serde_json::from_str(line).ok()? {
            cobuild_protocol::EventFrame { event: Event::ModelSwitched(switched), .. } => Some(switched),
            _ => None,
        })
        .collect();
    let seen: Vec<_> = switches.iter().map(|s| (s.from.as_str(), s.to.as_str(), s.error.code)).collect();
    assert_eq!(
        seen,
        [
            ("openai/gpt-6.1-sol", "groq/openai/gpt-oss-20b", ErrorCode::ModelUnauthorized),
            ("groq/openai/gpt-oss-20b", "anthropic/claude-sonnet-5-5", ErrorCode::ModelOverloaded),
        ]
    );
    assert!(switches[0].error.message.contains("OPENAI_API_KEY"), "{switches:?}");
    let message = last_message(&server).await;
    assert_eq!(message["model"], "anthropic/claude-sonnet-5-5");
    assert_eq!(message["passed_over"].as_array().map(Vec::len), Some(2), "{message}");
    assert_eq!(message["parts"][0]["text"], PIECES.concat().trim_end());
}

#[tokio::test]
async fn a_retired_default_starts_and_is_never_replaced_silently() {
    let vendors = FaultServer::start().await;
    let server = serve(&vendors, &["--default-ai-model=anthropic/claude-3-5-sonnet-20241022"]).await;
    let client = WsClient::attach(&server, "p").await;
    let said = &client.welcome.default_model;
    assert_eq!(said.model, "anthropic/claude-3-5-sonnet-20241022");
    assert!(said.notice.as_ref().is_some_and(|notice| notice.contains("retired on 2025-10-28")), "{said:?}");
    let error = refused(&server, None).await;
    assert_eq!(error.code, ErrorCode::BadRequest);
    assert_eq!(error.models[0], "anthropic/claude-sonnet-5-5");
    assert!(vendors.seen().iter().all(|seen| seen.body.is_null()), "only lists were asked for");
    let (_, outcome) = answered(&server, Some(json!("anthropic/claude-sonnet-5-5"))).await;
    assert_eq!(outcome, Outcome::Completed);
}

#[tokio::test]
async fn names_that_cannot_be_used_are_refused_before_anything_is_sent() {
    let vendors = FaultServer::start().await;
    let server = serve(&vendors, &["--openai-api-key=", "--openai-base-url="]).await;
    let check = async |model: Value, code: ErrorCode, part: &str| {
        let error = refused(&server, Some(model.clone())).await;
        assert_eq!(error.code, code, "{model} {error:?}");
        assert!(error.message.contains(part), "{model} {error:?}");
    };
    check(json!("openai/gpt-6.1-sol"), ErrorCode::ModelUnauthorized, "set OPENAI_API_KEY").await;
    check(json!("foo/bar"), ErrorCode::BadRequest, "no model provider `foo`").await;
    check(json!("gpt-9"), ErrorCode::BadRequest, "`provider/model`").await;
    check(json!(["foo/bar", "openai/gpt-6.1-sol"]), ErrorCode::BadRequest, "no model provider `foo`").await;
    check(json!([]), ErrorCode::BadRequest, "1 to 8").await;
    check(json!(vec!["demo/scripted"; 9]), ErrorCode::BadRequest, "1 to 8").await;
    check(json!("demo/".repeat(100)), ErrorCode::BadRequest, "256 bytes").await;
    assert!(vendors.seen().iter().all(|seen| seen.body.is_null()), "only lists were asked for");
}

#[tokio::test]
async fn the_demo_answers_only_where_there_is_nothing_else() {
    let vendors = FaultServer::start().await;
    let none: Vec<String> = arguments(&vendors, &[])
        .iter()
        .filter_map(|argument| argument.split_once('=').map(|(name, _)| format!("{name}=")))
        .collect();
    let setup = Setup { arguments: none.clone(), configured_models: true, ..Setup::default() };
    let server = TestServer::start_with(setup).await;
    assert_eq!(server.json("/api/v1/models").await["default"]["model"], "demo/scripted");
    // An endpoint that cannot be reached is still an endpoint: nobody is answered by the demo instead.
    let mut broken = none;
    broken.retain(|argument| !argument.starts_with("--compatible-base-url"));
    broken.push(format!("--compatible-base-url=http://{}/v1", unused_address().await));
    let server = TestServer::start_with(Setup { arguments: broken, configured_models: true, ..Setup::default() }).await;
    server.create("p").await;
    let list = server.json("/api/v1/models").await;
    assert_eq!(list["default"]["model"], "compatible/");
    let error = refused(&server, None).await;
    assert_eq!(error.code, ErrorCode::ModelOverloaded, "{error:?}");
    assert!(error.message.contains("connection refused"), "{error:?}");
    let (_, outcome) = answered(&server, Some(json!("demo/scripted"))).await;
    assert_eq!(outcome, Outcome::Completed);
}
