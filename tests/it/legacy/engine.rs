//! What the first engine's endpoints do when all is well, and how failures within them are told.

use std::{io::Cursor, sync::atomic::Ordering};

use cobuild_protocol::{Event, EventFrame, value::SandboxState};
use serde_json::{Value, json};

use super::client::{call, create_sandbox, post, send, stream, types};
use crate::support::{TestServer, WsClient, eventually, within};

const APPLY: &str = "/api/apply-ai-code-stream";
const INSTALL: &str = "/api/install-packages";
const DETECT: &str = "/api/detect-and-install-packages";
const CREATE: &str = "/api/create-ai-sandbox-v2";
const FILES: &str = "/api/get-sandbox-files";
const STATUS: &str = "/api/sandbox-status";
const KILL: &str = "/api/kill-sandbox";
const ZIP: &str = "/api/create-zip";
const NO_SANDBOX: &str = "400: No sandbox found. Please create a sandbox first.";

async fn files(server: &TestServer, project: &str, query: &str) -> Vec<String> {
    let body = call(server, "GET", &format!("{FILES}{query}"), Some(project), None).await.body;
    let files: Vec<String> = serde_json::from_value(body["files"].clone()).expect("names");
    assert_eq!(body["total_count"], files.len());
    files
}

async fn file(server: &TestServer, project: &str, path: &str) -> String {
    let url = server.url(&format!("/api/v1/projects/{project}/files/{path}"));
    server.http.get(url).send().await.expect("an answer").text().await.expect("text")
}

#[tokio::test]
async fn without_a_sandbox_streams_say_so_and_nothing_else() {
    let server = TestServer::start().await;
    for (path, body, message) in [
        (APPLY, json!({ "response": "<file path=\"src/App.jsx\">x</file>" }), "Failed to apply code"),
        (INSTALL, json!({ "packages": ["axios"] }), "Package installation failed"),
    ] {
        let expected = json!({ "type": "error", "error": NO_SANDBOX, "message": message });
        assert_eq!(stream(&server, path, "p", body.clone()).await, std::slice::from_ref(&expected), "{path}");
        let id = create_sandbox(&server, "p").await;
        let mut unknown = body.clone();
        unknown["sandbox_id"] = "sbx_unknown".into();
        assert_eq!(stream(&server, path, "p", unknown).await, std::slice::from_ref(&expected), "{path}");
        post(&server, KILL, "p", json!({ "sandbox_id": id })).await;
        assert_eq!(stream(&server, path, "p", body).await, [expected], "{path}");
    }
    let detected = post(&server, DETECT, "p", json!({ "files": { "src/App.jsx": "import 'axios'" } })).await;
    let message = format!("Failed to detect packages: {NO_SANDBOX}");
    let expected = json!({
        "success": false, "packages_installed": [], "packages_already_installed": [], "message": message,
    });
    assert_eq!(detected, expected);
}

#[tokio::test]
async fn the_documented_reply_is_applied() {
    let server = TestServer::start().await;
    create_sandbox(&server, "p").await;
    let body = json!({ "response": "<file path=\"src/App.jsx\">...</file>", "is_edit": false });
    for _ in 0..2 {
        let told = stream(&server, APPLY, "p", body.clone()).await;
        let expected = [
            json!({ "type": "start", "message": "Applying code changes..." }),
            json!({ "type": "parsed", "fileCount": 1, "packageCount": 0, "commandCount": 0 }),
            json!({ "type": "stage", "stage": "files", "message": "Creating 1 files..." }),
            json!({ "type": "file_created", "path": "src/App.jsx" }),
            json!({ "type": "files_complete", "created": ["src/App.jsx"] }),
            json!({ "type": "complete", "message": "Code applied successfully", "files_created": 1,
                "packages_installed": 0, "commands_executed": 0 }),
        ];
        assert_eq!(told, expected);
    }
    assert_eq!(file(&server, "p", "src/App.jsx").await, "...");
}

#[tokio::test]
async fn packages_come_before_files_and_files_before_commands() {
    let server = TestServer::start().await;
    create_sandbox(&server, "p").await;
    let reply = "<file path=\"/List.jsx\">import z from 'zod'</file><package>dayjs</package>\
                 <command>echo done</command><file path=\"public/x.txt\">y</file>";
    let told = stream(&server, APPLY, "p", json!({ "response": reply, "packages": ["axios"] })).await;
    let without_output: Vec<String> = types(&told).into_iter().filter(|name| !name.ends_with("_output")).collect();
    assert_eq!(
        without_output,
        [
            "start",
            "parsed",
            "stage:packages",
            "packages_complete",
            "stage:files",
            "file_created",
            "file_created",
            "files_complete",
            "stage:commands",
            "command_start",
            "command_complete",
            "complete"
        ]
    );
    let of = |kind: &str| told.iter().find(|event| event["type"] == kind).expect("told");
    assert_eq!(*of("parsed"), json!({ "type": "parsed", "fileCount": 2, "packageCount": 3, "commandCount": 1 }));
    assert_eq!(of("packages_complete")["installed"], json!(["axios", "dayjs", "zod"]));
    assert_eq!(of("files_complete")["created"], json!(["src/List.jsx", "public/x.txt"]));
    let complete = told.last().expect("events");
    assert_eq!(complete["packages_installed"], 3);
    assert_eq!((&complete["files_created"], &complete["commands_executed"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn what_is_no_package_is_told_before_anything_is_installed() {
    let server = TestServer::start().await;
    create_sandbox(&server, "p").await;
    let named = json!({ "response": "<package>axios</package><package>--registry=evil</package>" });
    let asked = json!({ "response": "<package>axios</package>", "packages": ["--registry=evil"] });
    for body in [named, asked] {
        let told = stream(&server, APPLY, "p", body).await;
        let at = |wanted: &dyn Fn(&Value) -> bool| told.iter().position(wanted).unwrap_or_else(|| panic!("{told:?}"));
        let refused = at(&|event| {
            let output = event["output"].as_str().unwrap_or_default();
            event["type"] == "package_output" && output.starts_with("'--registry=evil' was not installed: ")
        });
        assert_eq!(refused, at(&|event| event["type"] == "parsed") + 1, "{told:?}");
        assert_eq!(told.last().expect("events")["message"], "Code applied with 1 errors", "{told:?}");
        // What was installed already is not installed again.
        let installed = told.iter().position(|event| event["stage"] == "packages");
        assert!(installed.is_none_or(|installed| refused < installed), "{told:?}");
    }
}

#[tokio::test]
async fn what_fails_in_parts_is_told_and_not_counted() {
    let server = TestServer::start().await;
    create_sandbox(&server, "p").await;
    let reply = "<file path=\"../x\">1</file><file path=\"/../y\">1</file><file path=\"src/../../z\">1</file>\
                 <file path=\"src/good.js\">2</file><command>make it fail</command><command>echo fine</command>\
                 <file path=\"src/cut.js\">never ends";
    let told = stream(&server, APPLY, "p", json!({ "response": reply })).await;
    let of = |kind: &str| told.iter().filter(|event| event["type"] == kind).cloned().collect::<Vec<Value>>();
    let refused: Vec<Value> = of("file_error").iter().map(|event| event["path"].clone()).collect();
    for path in ["../x", "/../y", "src/../../z", "src/cut.js"] {
        assert!(refused.contains(&json!(path)), "{path}: {refused:?}");
    }
    assert_eq!(of("file_created"), [json!({ "type": "file_created", "path": "src/good.js" })]);
    let failed = of("command_error");
    assert_eq!((failed.len(), &failed[0]["command"]), (1, &json!("make it fail")));
    assert_eq!(failed[0]["error"], "exit code 127");
    let complete = told.last().expect("events");
    assert_eq!(complete["message"], "Code applied with 5 errors", "{told:?}");
    assert_eq!((&complete["files_created"], &complete["commands_executed"]), (&json!(1), &json!(1)));
    assert!(!files(&server, "p", "").await.contains(&"src/cut.js".to_owned()));
}

#[tokio::test]
async fn a_cut_off_reply_is_applied_as_far_as_it_goes() {
    let server = TestServer::start().await;
    create_sandbox(&server, "p").await;
    let reply = "<file path=\"src/good.js\">2</file><file path=\"src/cut.js\">never ends";
    let told = stream(&server, APPLY, "p", json!({ "response": reply })).await;
    let refused: Vec<&Value> = told.iter().filter(|event| event["type"] == "file_error").collect();
    assert_eq!((refused.len(), &refused[0]["path"]), (1, &json!("src/cut.js")), "{told:?}");
    let complete = told.last().expect("events");
    assert_eq!((&complete["type"], &complete["files_created"]), (&json!("complete"), &json!(1)), "{told:?}");
    assert_eq!(complete["message"], "Code applied with 1 errors");
    let files = files(&server, "p", "").await;
    assert!(files.contains(&"src/good.js".to_owned()) && !files.contains(&"src/cut.js".to_owned()), "{files:?}");
}

#[tokio::test]
async fn a_reply_without_anything_to_do_does_nothing() {
    let server = TestServer::start().await;
    create_sandbox(&server, "p").await;
    let told = stream(&server, APPLY, "p", json!({ "response": "Just words." })).await;
    let expected = [
        json!({ "type": "start", "message": "Applying code changes..." }),
        json!({ "type": "parsed", "fileCount": 0, "packageCount": 0, "commandCount": 0 }),
        json!({ "type": "complete", "message": "Code applied successfully", "files_created": 0,
            "packages_installed": 0, "commands_executed": 0 }),
    ];
    assert_eq!(told, expected);
    let state = call(&server, "GET", "/api/conversation-state", Some("p"), None).await.body;
    assert_eq!(state["edit_history"], json!([]), "nothing applied, nothing recorded");
}

#[tokio::test]
async fn packages_are_installed_once() {
    let server = TestServer::start().await;
    create_sandbox(&server, "p").await;
    let told = stream(&server, INSTALL, "p", json!({ "packages": [] })).await;
    assert_eq!(types(&told), ["start", "complete"]);
    assert_eq!(told[1], json!({ "type": "complete", "message": "No packages to install" }));
    let told = stream(&server, INSTALL, "p", json!({ "packages": ["react-router-dom", "axios", "react"] })).await;
    let shown: Vec<String> =
        types(&told).into_iter().filter(|name| !matches!(name.as_str(), "output" | "vite_output")).collect();
    let stages = ["stage:stop_vite", "stage:install", "stage:restart_vite"];
    assert_eq!(shown, [&["start", "info", "info"][..], &stages, &["complete"]].concat());
    assert_eq!(told[0]["message"], "Starting package installation...");
    assert_eq!(told[1]["message"], "Installing 3 packages: ['react-router-dom', 'axios', 'react']");
    assert_eq!(told[2]["message"], "Already installed: ['react']");
    let complete = json!({ "type": "complete", "message": "Packages installed successfully",
        "installed": ["react-router-dom", "axios"], "count": 2 });
    assert_eq!(*told.last().expect("events"), complete);
    let told = stream(&server, INSTALL, "p", json!({ "packages": ["axios@1", "react"] })).await;
    assert_eq!(types(&told), ["start", "info", "info", "complete"]);
    assert_eq!(told[3]["message"], "All packages already installed");
    for (bad, reason) in [("no-such-package", "404"), ("; rm -rf /", "not an npm package name")] {
        let told = stream(&server, INSTALL, "p", json!({ "packages": [bad] })).await;
        let last = told.last().expect("events");
        assert_eq!(
            (&last["type"], &last["message"]),
            (&json!("error"), &json!("Package installation failed")),
            "{told:?}"
        );
        assert!(last["error"].as_str().is_some_and(|error| error.contains(reason)), "{last}");
        assert_eq!(told.iter().filter(|event| event["type"] == "error").count(), 1);
    }
}

#[tokio::test]
async fn detected_packages_are_installed_for_real() {
    let server = TestServer::start().await;
    create_sandbox(&server, "p").await;
    let detect = |text: &str| post(&server, DETECT, "p", json!({ "files": { "src/App.jsx": text } }));
    let found = detect("import { BrowserRouter } from \"react-router-dom\";").await;
    let expected = json!({
        "success": true, "packages_installed": ["react-router-dom"], "packages_already_installed": [],
        "message": "Detected 1 packages. 1 need installation.",
    });
    assert_eq!(found, expected);
    assert!(file(&server, "p", "package.json").await.contains("react-router-dom"));
    let again = detect("import { BrowserRouter } from \"react-router-dom\";").await;
    assert_eq!(again["packages_installed"], json!([]));
    assert_eq!(again["packages_already_installed"], json!(["react-router-dom"]));
    let none =
        detect("import q from '@/lib/q'; import fs from 'fs'; import y from './y'; import n from 'node:os'").await;
    let expected = json!({
        "success": true, "packages_installed": [], "packages_already_installed": [],
        "message": "No packages detected in provided files",
    });
    assert_eq!(none, expected);
    let failed = detect("import x from 'no-such-package'").await;
    assert_eq!((&failed["success"], &failed["packages_installed"]), (&json!(false), &json!([])));
    assert!(failed["message"].as_str().is_some_and(|message| message.starts_with("Failed to detect packages: ")));
}

#[tokio::test]
async fn a_sandbox_lives_until_it_is_killed() {
    let server = TestServer::start().await;
    let made = post(&server, CREATE, "p", json!({ "template": "react-vite", "provider": null })).await;
    assert_eq!(made["message"], "Sandbox created successfully with memory");
    assert!(made["url"].as_str().is_some_and(|url| url.starts_with("http://")), "{made}");
    let id = made["sandbox_id"].as_str().expect("an id").to_owned();
    assert_eq!(create_sandbox(&server, "p").await, id, "a second create returns the living one");
    let other = create_sandbox(&server, "q").await;
    let running = call(&server, "POST", STATUS, Some("p"), None).await;
    assert_eq!(running.status, 200);
    assert_eq!((&running.body["status"], &running.body["is_running"]), (&json!("running"), &json!(true)));
    assert_eq!((&running.body["sandbox_id"], &running.body["provider"]), (&json!(id), &json!("memory")));
    assert!(running.body["uptime_seconds"].as_f64().is_some_and(|uptime| (0.0..600.0).contains(&uptime)));
    let foreign = call(&server, "POST", KILL, Some("p"), Some(&json!({ "sandbox_id": other }).to_string())).await;
    assert_eq!((foreign.status, foreign.body), (404, json!({ "detail": "Sandbox not found" })));
    let killed = post(&server, KILL, "p", json!({})).await;
    assert_eq!(killed, json!({ "success": true, "message": "Sandbox terminated successfully", "sandbox_id": id }));
    let dead = call(&server, "POST", &format!("{STATUS}?sandbox_id={id}"), Some("p"), None).await;
    assert_eq!((dead.status, &dead.body["status"]), (200, &json!("terminated")));
    assert_eq!(dead.body["is_running"], false);
    assert_eq!(call(&server, "POST", KILL, Some("p"), Some("{}")).await.status, 404);
    assert_eq!(call(&server, "GET", FILES, Some("p"), None).await.status, 404);
    assert_eq!(call(&server, "POST", ZIP, Some("p"), Some("{}")).await.status, 404);
    assert_eq!(call(&server, "POST", STATUS, Some("q"), None).await.body["is_running"], true);
    let next = create_sandbox(&server, "p").await;
    assert_ne!(next, id);
    assert_eq!(call(&server, "POST", &format!("{STATUS}?sandbox_id={id}"), Some("p"), None).await.status, 404);
}

#[tokio::test]
async fn a_sandbox_comes_back_with_the_server_unless_it_was_killed() {
    let mut server = TestServer::start().await;
    let id = create_sandbox(&server, "p").await;
    create_sandbox(&server, "q").await;
    post(&server, KILL, "q", json!({})).await;
    server.restart().await;
    let status = call(&server, "POST", STATUS, Some("p"), None).await.body;
    assert_eq!((&status["sandbox_id"], &status["is_running"]), (&json!(id), &json!(true)));
    assert_eq!(call(&server, "POST", STATUS, Some("q"), None).await.body["status"], "terminated");
    let told = stream(&server, APPLY, "q", json!({ "response": "<file path=\"src/a.js\">x</file>" })).await;
    assert_eq!(told[0]["error"], NO_SANDBOX);
}

#[tokio::test]
async fn a_kill_ends_the_run_that_uses_the_sandbox_and_no_other() {
    let server = TestServer::start().await;
    create_sandbox(&server, "p").await;
    let mut viewer = WsClient::attach(&server, "p").await;
    let run = viewer.ask("hang").await;
    eventually("the model's answer", || server.model.open() == 1).await;
    post(&server, KILL, "p", json!({})).await;
    assert_eq!(server.model.open(), 1, "a text-only answer goes on");
    viewer.command(json!({ "type": "cancel", "run": run })).await;
    viewer.finished(run).await;
    create_sandbox(&server, "p").await;
    let reply = viewer.command(json!({ "type": "generate", "prompt": "hang" })).await;
    let run = crate::support::run_of(reply);
    post(&server, KILL, "p", json!({})).await;
    assert_eq!(viewer.finished(run).await, cobuild_protocol::value::Outcome::Cancelled);
}

#[tokio::test]
async fn files_are_listed_and_archived() {
    let server = TestServer::start().await;
    create_sandbox(&server, "my-project").await;
    stream(&server, APPLY, "my-project", json!({ "response": "<file path=\"src/ui/a.js\">x</file>" })).await;
    let all = files(&server, "my-project", "").await;
    assert!(all.contains(&"package.json".to_owned()) && all.contains(&"src/ui/a.js".to_owned()), "{all:?}");
    assert_eq!(files(&server, "my-project", "?path=src/ui").await, ["src/ui/a.js"]);
    assert!(files(&server, "my-project", "?path=src").await.iter().all(|path| path.starts_with("src/")));
    assert_eq!(files(&server, "my-project", "?path=nowhere").await, Vec::<String>::new());
    assert_eq!(call(&server, "GET", &format!("{FILES}?path=../.."), Some("my-project"), None).await.status, 400);
    for (body, expected) in [
        (json!({}), all.clone()),
        (json!({ "files": null }), all.clone()),
        (json!({ "files": [] }), all.clone()),
        (json!({ "files": ["src/ui/a.js", "nowhere"] }), vec!["src/ui/a.js".to_owned()]),
        (json!({ "files": ["nowhere"] }), Vec::new()),
    ] {
        let answer = send(&server, "POST", ZIP, Some("my-project"), Some(&body.to_string())).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/zip");
        assert_eq!(answer.headers()["content-disposition"], "attachment; filename=my-project-sandbox.zip");
        let bytes = answer.bytes().await.expect("a whole archive");
        let archive = zip::ZipArchive::new(Cursor::new(&bytes)).expect("an archive");
        let names: Vec<String> = archive.file_names().map(|name| name.expect("UTF-8").into_owned()).collect();
        assert_eq!(names, expected, "{body}");
        assert_eq!(expected.is_empty(), bytes.len() == 22, "the empty archive has 22 bytes");
    }
}

#[tokio::test]
async fn whoever_asks_for_a_sandbox_gets_none_that_is_being_ended() {
    let server = TestServer::start().await;
    let first = create_sandbox(&server, "p").await;
    let mut viewer = WsClient::attach(&server, "p").await;
    server.preview.lingers.store(true, Ordering::SeqCst);
    let kill = call(&server, "POST", KILL, Some("p"), Some("{}"));
    let beside = async {
        let parked = |frame: &EventFrame| matches!(&frame.event, Event::SandboxChanged(changed) if changed.parked);
        viewer.event(|frame| parked(frame).then_some(())).await;
        let status = post(&server, STATUS, "p", json!({})).await;
        assert_eq!((&status["status"], &status["is_running"]), (&json!("terminated"), &json!(false)));
        let told = stream(&server, INSTALL, "p", json!({ "packages": ["axios"] })).await;
        assert_eq!((told.len(), &told[0]["error"]), (1, &json!(NO_SANDBOX)));
        create_sandbox(&server, "p").await
    };
    let (killed, second) = tokio::join!(kill, beside);
    assert_eq!((killed.status, &killed.body["sandbox_id"]), (200, &json!(first)));
    assert_ne!(first, second);
    server.preview.lingers.store(false, Ordering::SeqCst);
    let told = stream(&server, APPLY, "p", json!({ "response": "<command>echo hi</command>" })).await;
    assert_eq!(told.last().expect("events")["commands_executed"], 1, "{told:?}");
    let status = post(&server, STATUS, "p", json!({})).await;
    assert_eq!((&status["sandbox_id"], &status["is_running"]), (&json!(second), &json!(true)));
}

#[tokio::test]
async fn a_sandbox_that_is_ended_while_it_is_made_is_waited_for_no_longer() {
    let server = TestServer::start().await;
    server.create("p").await;
    let mut viewer = WsClient::attach(&server, "p").await;
    server.preview.slow.store(true, Ordering::SeqCst);
    let create = call(&server, "POST", CREATE, Some("p"), Some("{}"));
    let kill = async {
        let making = |frame: &EventFrame| matches!(&frame.event, Event::SandboxChanged(changed) if changed.state == SandboxState::Creating);
        viewer.event(|frame| making(frame).then_some(())).await;
        post(&server, KILL, "p", json!({})).await
    };
    let (created, killed) = within("both", async { tokio::join!(create, kill) }).await;
    assert_eq!(killed["success"], true);
    let detail = created.body["detail"].as_str().expect("a sentence");
    assert!(created.status == 500 && detail.contains("was stopped while it was being made"), "{}", created.body);
    server.preview.slow.store(false, Ordering::SeqCst);
    create_sandbox(&server, "p").await;
}
