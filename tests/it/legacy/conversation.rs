//! The conversation's state.

use serde_json::json;

use super::client::{call, create_sandbox, post, stream};
use crate::support::TestServer;

const STATE: &str = "/api/conversation-state";
const GENERATE: &str = "/api/generate-ai-code-stream";
const APPLY: &str = "/api/apply-ai-code-stream";

#[tokio::test]
async fn a_fresh_state_has_every_key() {
    let server = TestServer::start().await;
    let state = call(&server, "GET", STATE, Some("my-project"), None).await.body;
    let (created, updated) = (state["created_at"].clone(), state["updated_at"].clone());
    assert!(created.as_str().is_some_and(|at| at.len() == "2026-11-22T05:25:31.676129Z".len()), "{created}");
    let expected = json!({
        "project_id": "my-project", "current_topic": "general development", "messages": [], "edit_history": [],
        "project_evolution": [], "user_preferences": { "edit_style": "targeted", "common_patterns": [] },
        "created_at": created, "updated_at": updated,
    });
    assert_eq!(state, expected);
}

#[tokio::test]
async fn updates_change_what_they_name_and_outlive_the_server() {
    let mut server = TestServer::start().await;
    let update = json!({ "action": "update", "data": { "currentTopic": "Building auth" } });
    let state = post(&server, STATE, "p", update).await;
    assert_eq!(state["current_topic"], "Building auth");
    let data = json!({ "userPreferences": { "editStyle": "comprehensive" } });
    post(&server, STATE, "p", json!({ "action": "update", "data": data })).await;
    let data = json!({ "userPreferences": { "commonPatterns": ["dark mode"] }, "unknown": 1 });
    post(&server, STATE, "p", json!({ "action": "update", "data": data })).await;
    server.restart().await;
    let state = call(&server, "GET", STATE, Some("p"), None).await.body;
    assert_eq!(state["user_preferences"], json!({ "edit_style": "comprehensive", "common_patterns": ["dark mode"] }));
    assert_eq!(state["current_topic"], "Building auth");
    let weird = json!({ "action": "update", "data": { "userPreferences": { "editStyle": "weird" } } }).to_string();
    assert_eq!(call(&server, "POST", STATE, Some("p"), Some(&weird)).await.status, 422);
    let other = call(&server, "GET", STATE, Some("other"), None).await.body;
    assert_eq!(other["current_topic"], "general development");
}

#[tokio::test]
async fn clearing_leaves_the_newest() {
    let server = TestServer::start().await;
    create_sandbox(&server, "p").await;
    for number in 0..5 {
        if number < 4 {
            stream(&server, GENERATE, "p", json!({ "prompt": format!("prompt {number}") })).await;
        }
        let reply = format!("<file path=\"src/f{number}.js\">{number}</file>");
        stream(&server, APPLY, "p", json!({ "response": reply, "is_edit": number > 0 })).await;
    }
    let state = call(&server, "GET", STATE, Some("p"), None).await.body;
    let counts = |state: &serde_json::Value| {
        ["messages", "edit_history", "project_evolution"].map(|key| state[key].as_array().expect("a list").len())
    };
    assert_eq!(counts(&state), [8, 5, 5], "{state}");
    let first = &state["messages"][0];
    assert_eq!((&first["role"], &first["content"]), (&json!("user"), &json!("prompt 0")));
    assert_eq!(state["messages"][1]["role"], "assistant");
    for key in ["timestamp", "metadata", "edited_files", "packages_installed", "edit_type"] {
        assert!(first.get(key).is_some(), "{key}");
    }
    let edit = &state["edit_history"][0];
    assert_eq!(edit["files_modified"], json!(["src/f0.js"]));
    assert_eq!((&edit["edit_type"], &edit["outcome"]), (&json!("create"), &json!("success")));
    assert_eq!((&edit["prompt"], &edit["error"]), (&json!("Applied AI-generated code"), &json!(null)));
    assert_eq!(state["edit_history"][1]["edit_type"], "apply");
    let cleared = post(&server, STATE, "p", json!({ "action": "clear-old" })).await;
    assert_eq!(counts(&cleared), [5, 3, 2]);
    assert_eq!(cleared["messages"][4], state["messages"][7]);
    let reset = post(&server, STATE, "p", json!({ "action": "reset" })).await;
    assert_eq!(counts(&reset), [0, 0, 0]);
    assert!(reset["created_at"].as_str() > state["created_at"].as_str());
    let deleted = call(&server, "DELETE", STATE, Some("p"), None).await;
    assert_eq!(
        (deleted.status, deleted.body),
        (200, json!({ "success": true, "message": "Conversation state cleared" }))
    );
    assert_eq!(counts(&call(&server, "GET", STATE, Some("p"), None).await.body), [0, 0, 0]);
    stream(&server, GENERATE, "p", json!({ "prompt": "again" })).await;
    assert_eq!(counts(&call(&server, "GET", STATE, Some("p"), None).await.body), [2, 0, 0]);
}

#[tokio::test]
async fn a_failed_answer_leaves_the_question() {
    let server = TestServer::start().await;
    let table = [
        ("foo/bar", "Unknown AI provider: foo"),
        ("openai/gpt-4o", "OPENAI_API_KEY not configured"),
        ("OpenAI/gpt-4o", "OPENAI_API_KEY not configured"),
        ("claude-3-5-sonnet-20241022", "ANTHROPIC_API_KEY not configured"),
        ("google/gemini-1.5-pro", "GEMINI_API_KEY not configured"),
        ("groq/llama", "GROQ_API_KEY not configured"),
        ("openrouter/a/b", "OPENROUTER_API_KEY not configured"),
    ];
    for (number, (model, error)) in table.into_iter().enumerate() {
        let project = format!("p{number}");
        let events = stream(&server, GENERATE, &project, json!({ "prompt": "hello", "model": model })).await;
        let failure = json!({ "type": "error", "error": error, "message": "Code generation failed" });
        assert_eq!(events, [json!({ "type": "start", "message": "Generating code..." }), failure], "{model}");
        let state = call(&server, "GET", STATE, Some(&project), None).await.body;
        let messages = state["messages"].as_array().expect("messages");
        assert_eq!(messages.len(), 1, "{state}");
        assert_eq!((&messages[0]["role"], &messages[0]["content"]), (&json!("user"), &json!("hello")));
    }
}
