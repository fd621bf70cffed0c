//! The first engine's documentation, word for word: every curl command in it is run by a real shell with a real curl. Only
//! where its port leads to is ours to say, in curl's own settings.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use super::client::{events, types};
use crate::support::{ServerProcess, not_run, within};

/// The documentation as it was published.
const DOCUMENT: &str = include_str!("../../fixtures/legacy/builder-ai-engine.md");

/// Longest an example may take on a busy machine; the first one may have to build the sandboxes' template.
const STEP_TIME_MAX: Duration = Duration::from_secs(300);

/// The shell blocks that call the API, in the order they stand there.
fn blocks() -> Vec<&'static str> {
    let mut blocks = Vec::new();
    let mut rest = DOCUMENT;
    while let Some((_, after)) = rest.split_once("```bash\n") {
        let (block, behind) = after.split_once("```").expect("a block ends");
        if block.contains("localhost:3100/api/") {
            blocks.push(block);
        }
        rest = behind;
    }
    blocks
}

/// Runs a block as it stands; returns what it printed and the status of its last answer.
async fn run(block: &str, folder: &Path) -> (String, u16) {
    let mut shell = Command::new("bash");
    shell.args(["-euc", block]).current_dir(folder).env("CURL_HOME", folder).env("NO_PROXY", "localhost");
    shell.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(STEP_TIME_MAX, shell.output()).await.expect("the example ends").expect("a shell");
    assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let (text, status) = text.trim_end().rsplit_once("\nHTTP ").expect("curl's last line");
    (text.to_owned(), status.parse().expect("a status"))
}

#[tokio::test]
async fn every_documented_example_runs_as_written() {
    if !has_curl().await {
        return not_run("the documented curl examples: there is no curl here");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut server = ServerProcess::spawn(
        folder.path(),
        &[
            "--data-dir",
            data.to_str().expect("UTF-8"),
            "--sandbox-provider",
            "memory",
            "--demo-speed",
            "0",
            "--legacy-stand-ins",
        ],
    );
    let address = server.ready().await;
    run_every_example(folder.path(), address.port(), "memory").await;
    server.kill().await;
}

#[tokio::test]
async fn the_documented_settings_are_understood() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, settings) = DOCUMENT.split_once("```env\n").expect("documented");
    let (settings, _) = settings.split_once("```").expect("a block ends");
    std::fs::write(folder.path().join(".env"), settings).expect("written");
    let data = folder.path().join("data");
    let arguments = ["--data-dir", data.to_str().expect("UTF-8"), "--sandbox-provider", "memory"];
    let mut server = ServerProcess::spawn(folder.path(), &arguments);
    let address = server.ready().await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let post = async |path: &str, body: Value| {
        let request = http.post(format!("http://{address}/api/{path}")).header("x-project-id", "p").json(&body);
        let answer =
            within("an answer", request.header("origin", "https://any.example").send()).await.expect("an answer");
        // CORS_ORIGINS=*
        assert_eq!(answer.headers()["access-control-allow-origin"], "https://any.example");
        within("the rest", answer.text()).await.expect("text")
    };
    // DEFAULT_AI_MODEL names a model that was retired: nobody answers in its place, and the sentence says who could.
    let told = events(&post("generate-ai-code-stream", json!({ "prompt": "x" })).await);
    let sentence = told.last().expect("events")["error"].as_str().expect("an error");
    assert!(
        sentence.contains("claude-3-5-sonnet-20241022` was retired") && sentence.contains("DEFAULT_AI_MODEL"),
        "{sentence}"
    );
    // E2B_API_KEY is there, but no such sandbox can be made.
    let refused = post("create-ai-sandbox-v2", json!({ "provider": "e2b" })).await;
    assert!(refused.contains("makes no e2b sandboxes") && !refused.contains("your_e2b_api_key"), "{refused}");
    let made = post("create-ai-sandbox-v2", json!({})).await;
    assert!(made.contains("\"success\":true"), "{made}");
    server.kill().await;
}

pub(crate) async fn has_curl() -> bool {
    let curl = Command::new("curl").arg("--version").stdout(Stdio::null()).status().await;
    curl.is_ok_and(|status| status.success())
}

/// Runs them all, in an order in which they make sense, against the server on this port.
pub(crate) async fn run_every_example(folder: &Path, port: u16, provider: &str) {
    let settings = format!(
        "silent\nshow-error\nno-buffer\nconnect-to = \"localhost:3100:127.0.0.1:{}\"\nwrite-out = \"\\nHTTP %{{http_code}}\\n\"\n",
        port
    );
    std::fs::write(folder.join(".curlrc"), settings).expect("written");
    let blocks = blocks();
    assert_eq!(blocks.len(), 10, "all ten endpoints are documented");
    let of = |path: &str| *blocks.iter().find(|block| block.contains(path)).expect("documented");
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}: {text}"));

    let (text, status) = run(of("create-ai-sandbox-v2"), folder).await;
    let made = json(&text);
    assert_eq!((status, &made["success"], &made["provider"]), (200, &json!(true), &json!(provider)), "{made}");
    assert!(made["notice"].as_str().is_some_and(|notice| notice.contains("e2b")), "{made}");

    let (text, status) = run(of("generate-ai-code-stream"), folder).await;
    let told = events(&text);
    assert_eq!((status, &told[0]), (200, &json!({ "type": "start", "message": "Generating code..." })));
    let chunks: String = told.iter().filter_map(|event| event["content"].as_str()).collect();
    let complete = told.last().expect("events");
    assert_eq!((&complete["type"], complete["response"].as_str()), (&json!("complete"), Some(chunks.as_str())));
    assert!(chunks.contains("<file path=\"src/App.jsx\">"), "{chunks}");
    assert!(complete["notice"].as_str().is_some_and(|notice| notice.contains("no AI")), "what answered is said");

    let (text, status) = run(of("apply-ai-code-stream"), folder).await;
    let told = events(&text);
    let expected = ["start", "parsed", "stage:files", "file_created", "files_complete", "complete"];
    assert_eq!((status, types(&told)), (200, expected.map(str::to_owned).to_vec()));
    assert_eq!(told[3]["path"], "src/App.jsx");

    let (text, status) = run(of("conversation-state"), folder).await;
    assert_eq!(status, 200);
    let answers: Vec<Value> = serde_json::Deserializer::from_str(&text.replace("\nHTTP 200", ""))
        .into_iter()
        .map(|answer| answer.expect("JSON"))
        .collect();
    assert_eq!(answers.len(), 2, "{text}");
    assert_eq!(answers[0]["current_topic"], "general development");
    assert_eq!(answers[1]["current_topic"], "Building auth");
    assert_eq!(answers[1]["messages"].as_array().map(Vec::len), Some(2));

    let (text, status) = run(of("/install-packages"), folder).await;
    let told = events(&text);
    assert_eq!(status, 200);
    assert_eq!(told.last().expect("events")["installed"], json!(["react-router-dom", "axios"]));

    let (text, status) = run(of("detect-and-install-packages"), folder).await;
    assert_eq!((status, &json(&text)["success"]), (200, &json!(true)), "{text}");

    let (text, status) = run(of("get-sandbox-files"), folder).await;
    let listed = json(&text);
    assert_eq!((status, &listed["success"]), (200, &json!(true)));
    assert!(listed["files"].as_array().is_some_and(|files| files.contains(&json!("src/App.jsx"))), "{listed}");

    let (text, status) = run(of("sandbox-status"), folder).await;
    assert_eq!((status, &json(&text)["is_running"]), (200, &json!(true)), "{text}");

    let (_, status) = run(of("create-zip"), folder).await;
    assert_eq!(status, 200);
    let archive = std::fs::File::open(folder.join("sandbox.zip")).expect("saved");
    let mut archive = zip::ZipArchive::new(archive).expect("an archive");
    assert!(archive.by_name("src/App.jsx").is_ok());

    let (text, status) = run(of("kill-sandbox"), folder).await;
    assert_eq!((status, &json(&text)["success"]), (200, &json!(true)), "{text}");
}
