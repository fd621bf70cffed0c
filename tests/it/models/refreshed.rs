//! `cobuild models refresh`: from a published list to the prices a server tells, and what stays when the list is none.

use std::{path::Path, process::Output};

use serde_json::{Value, json};
use tokio::process::Command;

use super::{fake_vendors::server::FaultServer, lists::unused_address};
use crate::support::{ServerProcess, within};

async fn refresh(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cobuild"));
    command.current_dir(folder).env_clear().args(["models", "refresh"]).args(arguments).kill_on_drop(true);
    within("the program’s end", command.output()).await.expect("ran")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

/// What a server on this data tells of a model.
async fn told(folder: &Path, arguments: &[&str], model: &str) -> Value {
    let mut server = ServerProcess::spawn(folder, &[&["--sandbox-provider", "none"], arguments].concat());
    let address = server.ready().await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let list = http.get(format!("http://{address}/api/v1/models")).send().await.expect("an answer");
    let list: Value = list.json().await.expect("JSON");
    server.kill().await;
    let models = list["models"].as_array().expect("a list");
    models.iter().find(|entry| entry["model"] == model).cloned().unwrap_or_else(|| panic!("no {model} in {list}"))
}

#[tokio::test]
async fn the_table_is_made_anew_and_ones_own_rows_go_before() {
    let vendors = FaultServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let from = format!("--from=http://{}/api.json?token=abc", vendors.address);
    let dry = refresh(folder.path(), &[&from, "--dry-run"]).await;
    let expected =
        "~ anthropic/claude-sonnet-5-5  $2 / $10 per million → $3 / $15 per million, $0.1 cached → $0.3 cached";
    assert!(dry.status.success() && said(&dry).contains(expected), "{}", said(&dry));
    assert!(said(&dry).contains("+ anthropic/claude-brand-new  $0.0375 / $1 per million"), "{}", said(&dry));
    let file = folder.path().join("data/models.json");
    assert!(!file.exists(), "a dry run writes nothing");
    let done = refresh(folder.path(), &[&from]).await;
    assert!(done.status.success() && said(&done).contains("2 models, 2 of them new or changed"), "{}", said(&done));
    let text = std::fs::read_to_string(&file).expect("written");
    assert!(text.contains("/api.json") && text.contains("models.dev") && !text.contains("token=abc"), "{text}");

    let anthropic = format!("--anthropic-base-url=http://{}", vendors.address);
    let arguments = [anthropic.as_str(), "--anthropic-api-key=test-key"];
    let sonnet = told(folder.path(), &arguments, "anthropic/claude-sonnet-5-5").await;
    let renewed = json!({"input": 3_000_000, "output": 15_000_000, "cache_read": 300_000});
    assert_eq!((&sonnet["price"], &sonnet["default"]), (&renewed, &json!(true)));
    let new = told(folder.path(), &arguments, "anthropic/claude-brand-new").await;
    assert_eq!(new["price"], json!({"input": 37_500, "output": 1_000_000}));

    let own = folder.path().join("own.json");
    let row = json!({"name": "anthropic/claude-sonnet-5-5", "price": {"input": 1, "output": 2}});
    let table = json!({"source": "our contract", "as_of": "2026-11-27", "models": [row]});
    std::fs::write(&own, table.to_string()).expect("written");
    let own = format!("--models-file={}", own.display());
    let arguments = [anthropic.as_str(), "--anthropic-api-key=test-key", own.as_str()];
    let sonnet = told(folder.path(), &arguments, "anthropic/claude-sonnet-5-5").await;
    assert_eq!(sonnet["price"], json!({"input": 1, "output": 2}));
}

#[tokio::test]
async fn what_is_no_list_changes_nothing() {
    let vendors = FaultServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let at = vendors.address;
    assert!(refresh(folder.path(), &[&format!("--from=http://{at}/api.json")]).await.status.success());
    let file = folder.path().join("data/models.json");
    let before = std::fs::read(&file).expect("written");
    std::fs::write(folder.path().join("page.html"), "<html>").expect("written");
    let nobody = unused_address().await;
    for (from, expected) in [
        (format!("http://{at}/wrong"), "answered with the HTTP status 404"),
        (format!("http://{at}/empty"), "neither the list of models.dev nor that of litellm"),
        (format!("http://{nobody}/api.json"), "connection refused"),
        ("http://models.example.com/api.json".to_owned(), "must begin with https://"),
        ("page.html".to_owned(), "it is not JSON"),
        ("none.json".to_owned(), "cannot be read"),
    ] {
        let output = refresh(folder.path(), &["--from", &from]).await;
        assert_eq!(output.status.code(), Some(1), "{from}: {}", said(&output));
        assert!(said(&output).contains(expected), "{from}: {}", said(&output));
        assert_eq!(std::fs::read(&file).expect("there"), before, "{from}");
    }
    // A table that somebody broke is said at the start, with its name, and mended by the next refresh.
    std::fs::write(&file, "{").expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cobuild"));
    command
        .current_dir(folder.path())
        .env_clear()
        .args(["--port", "0", "--sandbox-provider", "none"])
        .kill_on_drop(true);
    let broken = within("the program’s end", command.output()).await.expect("ran");
    assert!(!broken.status.success() && said(&broken).contains("data/models.json"), "{}", said(&broken));
    assert!(refresh(folder.path(), &[&format!("--from=http://{at}/api.json")]).await.status.success());
    assert_eq!(std::fs::read(&file).expect("there"), before);
}
