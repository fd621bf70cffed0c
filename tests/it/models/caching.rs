//! Vendors' caches: two prompts in a row begin alike as far as they can, the marks are where the wire wants them, and what
//! was read from a cache is told.

use cobuild_protocol::value::Outcome;
use serde_json::{Value, json};

use super::{
    fake_vendors::server::{FaultServer, Seen},
    served::arguments,
};
use crate::support::{Setup, TestServer, WsClient, run_of};

/// A model on each wire; Claude behind OpenRouter has marks of its own.
const MODELS: [&str; 5] = [
    "anthropic/claude-sonnet-5-5",
    "openai/gpt-6.1-sol",
    "google/gemini-4-argon",
    "groq/openai/gpt-oss-120b",
    "openrouter/anthropic/claude-opus-5.5",
];
const FIRST: &str = "mode:normal first";
const SECOND: &str = "mode:normal second";

/// Every text of a request in the order in which a vendor reads it, whatever the wire calls its parts.
fn texts(seen: &Seen) -> Vec<String> {
    let body = &seen.body;
    let instructions = [body.get("system"), body.get("instructions"), body.get("systemInstruction")];
    let turns = [body.get("messages"), body.get("input"), body.get("contents")];
    let mut texts = Vec::new();
    for value in instructions.into_iter().chain(turns).flatten() {
        collect(value, &mut texts);
    }
    texts
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|item| collect(item, texts)),
        Value::Object(object) => {
            let inner = ["content", "parts", "text"].into_iter().filter_map(|field| object.get(field));
            inner.for_each(|value| collect(value, texts));
        }
        _ => {}
    }
}

/// Where the marks are: the path of each object that has one.
fn marks(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, item)| marks(item, &format!("{path}/{at}"), found))
        }
        Value::Object(object) => {
            if let Some(mark) = object.get("cache_control") {
                assert_eq!(mark, &json!({"type": "ephemeral"}));
                found.push(path.to_owned());
            }
            object.iter().for_each(|(name, value)| marks(value, &format!("{path}/{name}"), found));
        }
        _ => {}
    }
}

async fn ask(client: &mut WsClient, model: &str, prompt: &str) {
    let command = json!({ "type": "generate", "prompt": prompt, "model": model, "apply": false });
    let run = run_of(client.command(command).await);
    assert_eq!(client.finished(run).await, Outcome::Completed, "{model}");
}

async fn write(client: &mut WsClient, path: &str, content: &str, base: Option<&str>) -> String {
    let mut command = json!({ "type": "write_file", "path": path, "content": content });
    if let Some(base) = base {
        command["base"] = json!(base);
    }
    client.command(command).await;
    client
        .event(|frame| match &frame.event {
            cobuild_protocol::Event::FileWritten(written) if written.path.as_str() == path => {
                Some(written.hash.to_string())
            }
            _ => None,
        })
        .await
}

#[tokio::test]
async fn requests_in_a_row_begin_alike_and_marks_are_where_they_belong() {
    for model in MODELS {
        let vendors = FaultServer::start().await;
        let setup = Setup { arguments: arguments(&vendors, &[]), configured_models: true, ..Setup::default() };
        let server = TestServer::start_with(setup).await;
        server.create("p").await;
        let mut client = WsClient::attach(&server, "p").await;
        client.synced().await;
        write(&mut client, "zz/first.txt", "written first\n", None).await;
        let last = write(&mut client, "zz/last.txt", "before\n", None).await;
        ask(&mut client, model, FIRST).await;
        ask(&mut client, model, SECOND).await;
        write(&mut client, "zz/last.txt", "after\n", Some(&last)).await;
        ask(&mut client, model, "mode:normal third").await;
        let asked: Vec<Seen> = vendors.seen().into_iter().filter(|seen| !seen.body.is_null()).collect();
        let [first, second, third] = asked.as_slice() else { panic!("{model}: {} requests", asked.len()) };

        // Everything the first request said stands at the beginning of the second, to the byte.
        let (first_texts, second_texts, third_texts) = (texts(first), texts(second), texts(third));
        assert!(first_texts.last().is_some_and(|text| text.ends_with(FIRST)), "{model}: {first_texts:?}");
        assert_eq!(second_texts[..first_texts.len()], first_texts, "{model}");
        assert!(second_texts.last().is_some_and(|text| text.ends_with(SECOND)), "{model}");
        // A file that changed leaves everything before it as it was: instructions, and the files before it.
        let (second_text, third_text) = (second_texts.concat(), third_texts.concat());
        let alike = second_text.bytes().zip(third_text.bytes()).take_while(|(a, b)| a == b).count();
        let change = second_text.find("before\n").expect("the file's text");
        assert_eq!(alike, change, "{model}: they differ where the file does");
        let common = &second_text[..alike];
        assert!(common.contains(&first_texts[0]) && common.contains("written first"), "{model}");

        // After the instructions and after the files, where the wire has marks.
        let mut found = Vec::new();
        marks(&second.body, "", &mut found);
        let (expected, files): (&[&str], _) = match model.split('/').next() {
            Some("anthropic") => (&["/messages/0/content/0", "/system/0"], Some("/messages/0/content/0/text")),
            Some("openrouter") => {
                (&["/messages/0/content/0", "/messages/1/content/0"], Some("/messages/1/content/0/text"))
            }
            _ => (&[], None),
        };
        assert_eq!(found, expected, "{model}");
        if let Some(files) = files {
            let text = second.body.pointer(files).and_then(Value::as_str).expect("a text");
            assert!(text.starts_with("The project's files:") && text.contains("zz/last.txt"), "{model}");
        }

        // What came from the cache is told: of the call, the message's run, and the project.
        let project = server.json("/api/v1/projects/p").await;
        let runs = project["state"]["runs"].as_array().expect("runs");
        assert!(runs.len() == 3 && runs.iter().all(|run| run["usage"]["cache_read_tokens"] == 3), "{model}: {runs:?}");
        assert!(
            runs.iter().all(|run| run["usage"]["input_tokens"] == 5),
            "{model}: fresh tokens are those that are not"
        );
        assert_eq!(
            project["state"]["usage"]["usage"]["cache_read_tokens"], 9,
            "{model}: {}",
            project["state"]["usage"]
        );
        assert_eq!(project["state"]["usage"]["calls"], 3, "{model}");
    }
}
