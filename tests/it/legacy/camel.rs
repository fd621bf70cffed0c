//! The later engine in camelCase, which the operator has to choose.

use std::time::Duration;

use cobuild::http::Timing;
use serde_json::{Value, json};

use super::{
    client::{call, send, types},
    described,
};
use crate::support::{Setup, TestServer, within};

const CHOSEN: [&str; 2] = ["--legacy-dialect", "engine-camel"];
const GENERATE: &str = "/api/generate-ai-code-stream";
const APPLY: &str = "/api/apply-ai-code-stream";
const STATE: &str = "/api/conversation-state";

async fn start() -> TestServer {
    TestServer::start_with(Setup::with_arguments(&CHOSEN)).await
}

/// The events of a stream as its clients read them: an event's name, then its data, with the line ends of Windows.
async fn stream(server: &TestServer, path: &str, project: Option<&str>, body: Value) -> Vec<Value> {
    let answer = send(server, "POST", path, project, Some(&body.to_string())).await;
    assert_eq!(answer.status(), 200, "{path}");
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    let text = within("the end of the stream", answer.text()).await.expect("a whole stream");
    assert!(
        text.is_ascii() && text.ends_with("\r\n\r\n") && text.matches('\n').count() == text.matches("\r\n").count()
    );
    let data = |frame: &str| {
        frame.strip_prefix("event: message\r\ndata: ").map(|data| serde_json::from_str(data).expect("JSON"))
    };
    let frames = text.split("\r\n\r\n").filter(|frame| !frame.is_empty());
    let told: Vec<Value> = frames.map(|frame| data(frame).unwrap_or_else(|| panic!("{frame:?}"))).collect();
    described::examine(server, "post", path, false, &told).await;
    told
}

async fn json_of(
    server: &TestServer,
    method: &str,
    path: &str,
    project: Option<&str>,
    body: Option<Value>,
) -> (u16, Value) {
    let answer = call(server, method, path, project, body.map(|body| body.to_string()).as_deref()).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn an_answer_has_its_words_and_frames() {
    let server = start().await;
    let prompt = "file src/components/Card.jsx import x from 'axios'; Grüße";
    let told = stream(&server, GENERATE, None, json!({ "prompt": prompt, "isEdit": false })).await;
    let kinds = types(&told);
    assert_eq!(kinds, ["status", "status", "stream", "stream", "stream", "complete"]);
    assert!(told[2..5].iter().all(|event| event["raw"] == true));
    let complete = &told[5];
    assert_eq!((&complete["files"], &complete["packagesToInstall"]), (&json!(1), &json!(["axios"])));
    assert_eq!((&complete["warnings"], &complete["model"]), (&json!([]), &json!("test/scripted")));
    assert!(complete["generatedCode"].as_str().is_some_and(|code| code.contains("Grüße")), "{complete}");
    let known = json!({ "scrapedWebsites": [{ "url": "https://teal.example", "content": "All is teal." }] });
    for (place, known) in [("conversationContext", known.clone()), ("context", json!({ "conversationContext": known }))]
    {
        let told = stream(&server, GENERATE, None, json!({ "prompt": "Like that", place: known })).await;
        // The model repeats what it was asked.
        let asked = told.last().expect("events")["generatedCode"].as_str().expect("text");
        assert!(asked.starts_with("Like that") && asked.contains("All is teal."), "{place}: {asked}");
    }
    for body in [json!({ "prompt": "refuse" }), json!({ "prompt": "x", "model": "foo/bar" })] {
        let told = stream(&server, GENERATE, None, body).await;
        assert_eq!(told.iter().filter(|event| event["type"] == "error").count(), 1);
        let last = told.last().expect("events").as_object().expect("an object");
        assert!(last["type"] == "error" && last["error"].is_string() && last.len() == 2, "{last:?}");
    }
    let (status, refused) = json_of(&server, "POST", GENERATE, None, Some(json!({}))).await;
    let missing = json!([{ "type": "missing", "loc": ["body", "prompt"], "msg": "Field required", "input": {} }]);
    assert_eq!((status, &refused["detail"]), (422, &missing));
}

#[tokio::test]
async fn an_apply_is_told_in_its_order() {
    let server = start().await;
    let reply = "<file path=\"src/a.js\">import d from 'dayjs'</file><file path=\"../x\">1</file>\
                 <command>echo hi</command><command>make it fail</command>";
    let told = stream(&server, APPLY, None, json!({ "response": reply, "packages": ["axios"] })).await;
    let kinds: Vec<String> = types(&told).into_iter().filter(|kind| kind != "info").collect();
    let expected = [
        "start",
        "step",
        "package-complete",
        "step",
        "file-progress",
        "file-complete",
        "file-error",
        "step",
        "command-progress",
        "command-complete",
        "command-progress",
        "command-error",
        "complete",
    ];
    assert_eq!(kinds, expected, "{told:#?}");
    assert_eq!((&told[0]["totalSteps"], &told[1]["type"]), (&json!(3), &json!("info")));
    let of = |kind: &str| told.iter().find(|event| event["type"] == kind).expect("told");
    assert_eq!(of("package-complete")["packages"], json!(["axios", "dayjs"]));
    assert_eq!(of("file-complete")["action"], "created");
    assert!(of("command-complete")["output"].as_str().is_some_and(|said| said == "hi\n"), "{told:#?}");
    let results = told.last().expect("events")["results"].as_object().expect("an object");
    let mut lists: Vec<&str> = results.keys().map(String::as_str).collect();
    lists.sort_unstable();
    assert_eq!(lists, ["commandsExecuted", "errors", "filesCreated", "filesUpdated", "packagesInstalled"]);
    assert_eq!((&results["filesCreated"], &results["commandsExecuted"]), (&json!(["src/a.js"]), &json!(["echo hi"])));
    assert_eq!(results["errors"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn its_answers_in_one_piece_name_the_project() {
    let server = start().await;
    let (_, none) = json_of(&server, "GET", STATE, Some("p"), None).await;
    assert_eq!((&none["success"], &none["projectId"], &none["state"]), (&json!(true), &json!("p"), &Value::Null));
    assert!(none["message"].is_string());
    let (_, status) = json_of(&server, "GET", "/api/sandbox-status", Some("p"), None).await;
    assert_eq!(
        (&status["active"], &status["sandboxData"], &status["projectId"]),
        (&json!(false), &Value::Null, &json!("p"))
    );
    let (status, refused) = json_of(&server, "GET", "/api/get-sandbox-files", Some("p"), None).await;
    assert_eq!((status, refused), (404, json!({ "detail": "No active sandbox" })));

    let (status, made) = json_of(&server, "POST", "/api/create-ai-sandbox-v2", Some("p"), Some(json!({}))).await;
    assert_eq!((status, &made["success"], &made["projectId"]), (200, &json!(true), &json!("p")), "{made}");
    assert!(made["sandboxId"].is_string() && made["url"].is_string() && made["provider"] == "memory", "{made}");
    let provider = json!({ "provider": "modal" });
    let (status, refused) = json_of(&server, "POST", "/api/create-ai-sandbox-v2", Some("p"), Some(provider)).await;
    assert_eq!((status, refused), (400, json!({ "detail": "Unknown sandbox provider: modal" })));
    let (_, now) = json_of(&server, "GET", "/api/sandbox-status", Some("p"), None).await;
    assert_eq!((&now["active"], &now["sandboxData"]["sandboxId"]), (&json!(true), &made["sandboxId"]), "{now}");
    let (_, files) = json_of(&server, "GET", "/api/get-sandbox-files", Some("p"), None).await;
    assert!(files["files"]["src/App.jsx"].is_string() && files["manifest"].is_object() && files["projectId"] == "p");
    let detect = json!({ "files": { "a.js": "import 'dayjs'" } });
    let (_, found) = json_of(&server, "POST", "/api/detect-and-install-packages", Some("p"), Some(detect)).await;
    assert_eq!((&found["success"], &found["packagesInstalled"]), (&json!(true), &json!(["dayjs"])), "{found}");

    stream(&server, GENERATE, Some("p"), json!({ "prompt": "hello" })).await;
    let data = json!({ "userPreferences": { "editStyle": "comprehensive", "commonPatterns": ["dark"] } });
    let (_, updated) =
        json_of(&server, "POST", STATE, Some("p"), Some(json!({ "action": "update", "data": data }))).await;
    assert_eq!(
        (&updated["success"], &updated["projectId"], updated["message"].is_string()),
        (&json!(true), &json!("p"), true)
    );
    let state = &updated["state"];
    assert_eq!((&state["projectId"], &state["context"]["currentTopic"]), (&json!("p"), &json!("general development")));
    assert_eq!(
        state["context"]["userPreferences"],
        json!({ "editStyle": "comprehensive", "commonPatterns": ["dark"] })
    );
    assert_eq!(state["context"]["messages"].as_array().map(Vec::len), Some(2), "{state}");
    assert!(state["context"]["projectEvolution"].is_array() && state["context"]["edits"].is_array());
    assert!(state["createdAt"].is_u64() && state["updatedAt"].is_u64());
    let (status, refused) = json_of(&server, "POST", STATE, Some("p"), Some(json!({ "action": "x" }))).await;
    assert_eq!((status, &refused["detail"][0]["type"]), (422, &json!("literal_error")));
    let (_, deleted) = json_of(&server, "DELETE", STATE, Some("p"), None).await;
    assert_eq!((&deleted["success"], &deleted["projectId"]), (&json!(true), &json!("p")));

    let (_, killed) = json_of(&server, "POST", "/api/kill-sandbox", Some("p"), None).await;
    assert_eq!((&killed["sandboxKilled"], &killed["projectId"]), (&json!(true), &json!("p")), "{killed}");
    for (method, path, status) in [
        ("POST", "/api/create-zip", 404),
        ("POST", "/api/create-ai-sandbox", 404),
        ("POST", "/api/restart-vite", 404),
        ("POST", "/api/sandbox-status", 405),
    ] {
        let (answered, body) = json_of(&server, method, path, Some("p"), Some(json!({}))).await;
        assert!(answered == status && body["detail"].is_string(), "{path}: {answered} {body}");
    }
    server.preview.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    let (status, failed) = json_of(&server, "POST", "/api/create-ai-sandbox-v2", Some("q"), Some(json!({}))).await;
    assert_eq!((status, &failed["detail"]["success"]), (500, &json!(false)), "{failed}");
    assert!(failed["detail"]["error"].is_string() && failed["detail"]["details"].is_string(), "{failed}");
    let told = stream(&server, APPLY, Some("q"), json!({ "response": "<file path=\"a.js\">1</file>" })).await;
    assert_eq!(types(&told), ["error"], "{told:?}");
    assert!(told[0]["error"].as_str().is_some_and(|error| error.contains("bubblewrap")), "{told:?}");
}

#[tokio::test]
async fn a_project_is_named_in_any_of_three_places_or_is_the_default() {
    let server = start().await;
    let project = async |path: &str, header: Option<&str>, body: Value| {
        let (status, answer) = json_of(&server, "POST", path, header, Some(body)).await;
        assert_eq!(status, 200, "{answer}");
        answer["projectId"].as_str().expect("a name").to_owned()
    };
    const KILL: &str = "/api/kill-sandbox";
    assert_eq!(project(KILL, None, json!({})).await, "default");
    assert_eq!(project(KILL, None, json!({ "projectId": "of body" })).await, "ofbody");
    assert_eq!(project(&format!("{KILL}?projectId=of-query"), None, json!({})).await, "of-query");
    assert_eq!(project(KILL, Some("of-header"), json!({ "projectId": "of-body" })).await, "of-header");
    let (status, refused) = json_of(&server, "POST", KILL, Some("!!!"), Some(json!({}))).await;
    assert_eq!((status, refused), (400, json!({ "detail": "Invalid project ID format" })));
}

#[tokio::test]
async fn whoever_waits_for_an_answer_is_pinged() {
    let timing = Timing { heartbeat: Duration::from_millis(50), ..Timing::default() };
    let server = TestServer::start_with(Setup { timing, ..Setup::with_arguments(&CHOSEN) }).await;
    let mut answer = send(&server, "POST", GENERATE, None, Some(r#"{"prompt":"hang"}"#)).await;
    let mut text = String::new();
    while !text.contains(": ping\r\n\r\nevent: ping\r\ndata: \r\n\r\n") {
        let piece = within("a ping", answer.chunk()).await.expect("bytes").expect("not the end");
        text.push_str(std::str::from_utf8(&piece).expect("ASCII"));
    }
    assert!(text.contains("event: message\r\n"), "{text}");
}
