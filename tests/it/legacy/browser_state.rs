//! What browser clients are told of their conversation, their files and their errors.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::{Value, json};

use super::client::{call, send};
use crate::support::{TestServer, within};

async fn ask(server: &TestServer, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let body = body.map(|body| body.to_string());
    let answer = call(server, method, &format!("/api/{path}"), None, body.as_deref()).await;
    (answer.status, answer.body)
}

/// Has a stream run to its end.
async fn stream(server: &TestServer, path: &str, body: Value) {
    let answer = send(server, "POST", &format!("/api/{path}"), None, Some(&body.to_string())).await;
    assert_eq!(answer.status(), 200, "{path}");
    within("the stream", answer.text()).await.expect("a whole stream");
}

#[tokio::test]
async fn a_conversation_says_what_came_of_each_wish() {
    let server = TestServer::start().await;
    let (_, made) = ask(&server, "POST", "conversation-state", Some(json!({ "action": "clear-old" }))).await;
    assert_eq!((&made["success"], &made["state"]["context"]["messages"]), (&json!(true), &json!([])), "it is made");
    for wish in ["a first", "a second"] {
        stream(&server, "generate-ai-code-stream", json!({ "prompt": wish })).await;
    }
    let reply = "<file path=\"src/One.jsx\">1</file><file path=\"src/Two.jsx\">2</file>";
    stream(&server, "apply-ai-code-stream", json!({ "response": reply, "isEdit": true })).await;
    let (_, now) = ask(&server, "GET", "conversation-state", None).await;
    let messages = now["state"]["context"]["messages"].as_array().expect("messages");
    assert_eq!(messages.len(), 2, "{now}");
    assert_eq!(messages[0]["metadata"], json!({}));
    let written = json!({ "editedFiles": ["src/One.jsx", "src/Two.jsx"], "editType": "UPDATE_COMPONENT" });
    assert_eq!(messages[1]["metadata"], written);
    for message in messages {
        let id = format!("msg-{}", message["timestamp"].as_u64().expect("milliseconds"));
        assert_eq!((&message["id"], &message["role"]), (&json!(id), &json!("user")));
    }
    let changes = &now["state"]["context"]["projectEvolution"]["majorChanges"];
    assert_eq!(changes[0]["filesAffected"], json!(["src/One.jsx", "src/Two.jsx"]), "{now}");
    for at in 0..19 {
        stream(&server, "generate-ai-code-stream", json!({ "prompt": format!("wish {at}") })).await;
    }
    let (_, now) = ask(&server, "GET", "conversation-state", None).await;
    let messages = now["state"]["context"]["messages"].as_array().expect("messages");
    assert_eq!((messages.len(), &messages[14]["content"]), (15, &json!("wish 18")), "above 20 the last 15 are kept");
}

#[tokio::test]
async fn errors_that_a_page_reports_are_kept_until_they_are_cleared() {
    let server = TestServer::start().await;
    for body in [json!({}), json!({ "error": " " }), json!({ "error": 5 })] {
        let (status, refused) = ask(&server, "POST", "report-vite-error", Some(body)).await;
        assert_eq!((status, &refused["error"]), (400, &json!("Error message is required")));
    }
    for at in 0..12 {
        let error = json!({ "error": format!("error {at}"), "file": "src/App.jsx", "type": "npm-missing" });
        let (status, told) = ask(&server, "POST", "report-vite-error", Some(error)).await;
        assert_eq!((status, &told["error"]["message"]), (200, &json!(format!("error {at}"))));
    }
    ask(&server, "POST", "report-vite-error", Some(json!({ "error": "x".repeat(5000) }))).await;
    let (status, known) = ask(&server, "GET", "check-vite-errors", None).await;
    let errors = known["errors"].as_array().expect("errors");
    assert_eq!((status, errors.len(), &known["success"]), (200, 10, &json!(true)), "{known}");
    assert_eq!((&errors[8]["message"], &errors[8]["type"]), (&json!("error 11"), &json!("npm-missing")));
    assert_eq!(errors[9]["message"].as_str().map(str::len), Some(1000));
    let (status, cleared) = ask(&server, "POST", "clear-vite-errors-cache", None).await;
    assert_eq!((status, &cleared["success"]), (200, &json!(true)));
    let (_, known) = ask(&server, "GET", "check-vite-errors", None).await;
    assert_eq!(known["errors"], json!([]));
    let (status, _) = ask(&server, "GET", "monitor-vite-logs", None).await;
    assert_eq!(status, 400, "there is no dev server to ask");
}

#[tokio::test]
async fn other_calls_do_not_wait_for_a_sandbox_in_the_making() {
    let server = TestServer::start().await;
    server.preview.slow.store(true, Ordering::SeqCst);
    let create = server.http.post(server.url("/api/create-ai-sandbox-v2"));
    let making = tokio::spawn(async move { create.send().await });
    within("a sandbox in the making", async {
        loop {
            let status = server.http.get(server.url("/api/v1/projects/default")).send().await.expect("an answer");
            let status: Value = status.json().await.expect("JSON");
            if status["state"]["sandbox"]["state"] == "creating" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    for path in ["conversation-state", "sandbox-status", "check-vite-errors"] {
        let (status, answer) = ask(&server, "GET", path, None).await;
        assert_eq!((status, &answer["success"]), (200, &json!(true)), "{path}: {answer}");
    }
    assert!(!making.is_finished());
    making.abort();
}
