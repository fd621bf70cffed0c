//! What streams say, examined by what the served document says of them.

use boon::{Compiler, Draft, Schemas};
use serde_json::{Value, json};

use crate::support::TestServer;

/// Fails the test unless the document allows every event of a stream that this path answered. Where browsers and others
/// share it, each kind of client is held to its own kind of events.
pub(crate) async fn examine(server: &TestServer, method: &str, path: &str, is_browser: bool, told: &[Value]) {
    let document = server.json("/api/openapi.json").await;
    let complaints = complaints(&document, method, path, is_browser, told);
    assert!(complaints.is_empty(), "{method} {path}: the document does not allow {complaints:#?}");
}

fn complaints(document: &Value, method: &str, path: &str, is_browser: bool, told: &[Value]) -> Vec<String> {
    let answer = &document["paths"][path][method]["responses"]["200"]["content"]["text/event-stream"]["schema"];
    let described = &answer["x-event-data"];
    assert!(described.is_object(), "{method} {path} has no events: {answer}");
    let kinds = described["anyOf"].as_array().cloned().unwrap_or_else(|| vec![described.clone()]);
    let is_browsers = |kind: &&Value| kind["$ref"].as_str().is_some_and(|name| name.contains("/Browser"));
    let own = kinds.iter().find(|kind| kinds.len() == 1 || is_browsers(kind) == is_browser);
    let own = own.unwrap_or_else(|| panic!("{method} {path}: none of {kinds:?} is this client's"));
    let mut schema = json!({ "anyOf": [own], "components": document["components"] });
    say_null(&mut schema);
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    // What OpenAPI 3.0 calls a schema is closest to this one.
    compiler.set_default_draft(Draft::V4);
    compiler.add_resource("events:all", schema).expect("a new name");
    let index = compiler.compile("events:all", &mut schemas).expect("the document's schema is one");
    let complaint = |event: &Value| Some(format!("{event}: {:#}", schemas.validate(event, index).err()?));
    told.iter().filter_map(complaint).collect()
}

/// Says `nullable` in the words of JSON Schema.
fn say_null(schema: &mut Value) {
    match schema {
        Value::Array(parts) => parts.iter_mut().for_each(say_null),
        Value::Object(parts) => {
            parts.values_mut().for_each(say_null);
            if parts.get("nullable") == Some(&Value::Bool(true)) {
                parts.remove("nullable");
                *schema = json!({ "anyOf": [schema.take(), { "enum": [null] }] });
            }
        }
        _ => {}
    }
}

/// The examiner can find fault.
#[tokio::test]
async fn bad_events_are_told_from_good_ones() {
    let server = TestServer::start().await;
    let document = server.json("/api/openapi.json").await;
    let path = "/api/apply-ai-code-stream";
    let start = json!({ "type": "start", "message": "x" });
    let count =
        |event: &Value, is_browser| complaints(&document, "post", path, is_browser, std::slice::from_ref(event)).len();
    assert_eq!((count(&start, false), count(&start, true)), (0, 1), "browsers are told how many steps there are");
    for bad in [
        json!({ "type": "start" }),
        json!({ "type": "start", "message": 5 }),
        json!({ "type": "nonsense", "message": "x" }),
        json!({ "message": "x" }),
        json!({ "type": "parsed", "fileCount": "1", "packageCount": 0, "commandCount": 0 }),
    ] {
        assert_eq!((count(&bad, false), count(&bad, true)), (1, 1), "{bad}");
    }
}
