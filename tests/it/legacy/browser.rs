//! Browser clients without a project header.

use std::{
    io::Cursor,
    sync::atomic::{AtomicUsize, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    client::{call, events, types},
    described,
};
use crate::support::{Setup, TestServer, WsClient, within};

/// A browser: it says how its requests come about, and keeps the cookie it is given.
struct Browser<'a> {
    server: &'a TestServer,
    http: reqwest::Client,
    /// What it calls itself: no two are the same.
    agent: String,
    cookie: std::sync::Mutex<Option<String>>,
}

impl<'a> Browser<'a> {
    fn new(server: &'a TestServer) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        static BROWSERS: AtomicUsize = AtomicUsize::new(0);
        let agent = format!("Browser/{}", BROWSERS.fetch_add(1, Ordering::Relaxed));
        Self { server, http, agent, cookie: std::sync::Mutex::default() }
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, String) {
        let method = method.parse().expect("a method");
        let mut request =
            self.http.request(method, self.server.url(&format!("/api/{path}"))).header("sec-fetch-site", "same-origin");
        request = request.header("user-agent", &self.agent);
        if let Some(cookie) = self.cookie.lock().expect("not poisoned").as_ref() {
            request = request.header("cookie", cookie);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = within("an answer", request.send()).await.expect("an answer");
        if let Some(cookie) = answer.headers().get("set-cookie") {
            let cookie = cookie.to_str().expect("ASCII");
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
            *self.cookie.lock().expect("not poisoned") = cookie.split(';').next().map(str::to_owned);
        }
        let status = answer.status().as_u16();
        (status, within("the rest", answer.text()).await.expect("a whole answer"))
    }

    async fn json(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let (status, text) = self.send(method, path, body).await;
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}")))
    }

    async fn stream(&self, path: &str, body: Value) -> Vec<Value> {
        let (status, text) = self.send("POST", path, Some(body)).await;
        assert_eq!(status, 200, "{path}: {text}");
        assert!(text.is_ascii());
        let told = events(&text);
        described::examine(self.server, "post", &format!("/api/{path}"), true, &told).await;
        told
    }

    async fn create(&self) -> String {
        let (status, made) = self.json("POST", "create-ai-sandbox-v2", Some(json!({}))).await;
        assert_eq!((status, &made["success"]), (200, &json!(true)), "{made}");
        assert!(made["url"].as_str().is_some_and(|url| url.starts_with("http://")), "{made}");
        made["sandboxId"].as_str().expect("an id").to_owned()
    }
}

#[tokio::test]
async fn the_header_decides_between_the_dialects() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    page.create().await;
    let (status, files) = page.json("GET", "get-sandbox-files", None).await;
    assert!(status == 200 && files["files"].is_object(), "{files}");
    call(&server, "POST", "/api/create-ai-sandbox-v2", Some("p"), Some("{}")).await;
    let listed = call(&server, "GET", "/api/get-sandbox-files", Some("p"), None).await;
    assert!(listed.body["files"].is_array());
    let server = TestServer::start_with(Setup::with_arguments(&["--legacy-dialect", "engine"])).await;
    for path in ["/api/get-sandbox-files", "/api/conversation-state"] {
        let answer = call(&server, "GET", path, None, None).await;
        assert_eq!((answer.status, answer.body), (400, json!({ "detail": "Missing X-Project-Id header" })));
    }
    let server = TestServer::start_with(Setup::with_arguments(&["--legacy-dialect", "browser"])).await;
    let answer = call(&server, "GET", "/api/conversation-state", Some("p"), None).await;
    assert_eq!(answer.body["success"], true);
}

#[tokio::test]
async fn two_creates_are_one_sandbox_and_both_restarts_work() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    let (status, state) = page.json("POST", "conversation-state", Some(json!({ "action": "clear-old" }))).await;
    assert_eq!((status, &state["success"]), (200, &json!(true)));
    let (_, nothing) = page.json("GET", "sandbox-status", None).await;
    assert_eq!((&nothing["active"], &nothing["message"]), (&json!(false), &json!("No active sandbox")));
    let (first, second) = tokio::join!(page.create(), page.create());
    assert_eq!(first, second);
    for _ in 0..2 {
        let (status, restarted) = page.json("POST", "restart-vite", Some(json!({}))).await;
        assert_eq!((status, &restarted["success"]), (200, &json!(true)), "{restarted}");
    }
    let (_, now) = page.json("GET", "sandbox-status", None).await;
    assert_eq!((&now["active"], &now["healthy"]), (&json!(true), &json!(true)), "{now}");
    assert_eq!(now["sandboxData"]["sandboxId"], first);
    for (method, path) in
        [("GET", "get-sandbox-files"), ("POST", "create-zip"), ("POST", "detect-and-install-packages")]
    {
        let body = (method == "POST").then(|| json!({ "files": { "a.js": "" } }));
        let (status, answer) = page.json(method, path, body).await;
        assert_eq!((status, &answer["success"]), (200, &json!(true)), "{path}: {answer}");
    }
}

#[tokio::test]
async fn an_answer_streams_and_ends_in_one_complete() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    let prompt = "file src/components/Card.jsx import x from 'axios'; Grüße";
    let told =
        page.stream("generate-ai-code-stream", json!({ "prompt": prompt, "context": { "sandboxId": null } })).await;
    let kinds = types(&told);
    assert_eq!(kinds[..2], ["status", "status"]);
    assert_eq!(
        (&told[0]["message"], &told[1]["message"]),
        (&json!("Initializing AI..."), &json!("Planning application structure..."))
    );
    let streamed: Vec<&Value> = told.iter().filter(|event| event["type"] == "stream").collect();
    assert!(streamed.iter().all(|event| event["raw"] == true));
    let code: String = streamed.iter().map(|event| event["text"].as_str().expect("text")).collect();
    let complete = told.last().expect("events");
    assert_eq!(kinds.iter().filter(|kind| *kind == "complete").count(), 1);
    assert_eq!((&complete["type"], complete["generatedCode"].as_str()), (&json!("complete"), Some(code.as_str())));
    assert_eq!((&complete["files"], &complete["components"]), (&json!(1), &json!(1)));
    assert_eq!(complete["packagesToInstall"], json!(["axios"]));
    assert_eq!(complete["explanation"], "Code generated successfully!");
    let component = told.iter().find(|event| event["type"] == "component").expect("told");
    assert_eq!((&component["name"], &component["index"]), (&json!("Card"), &json!(1)));
    assert!(kinds.contains(&"conversation".to_owned()), "{kinds:?}");
    let (status, refused) = page.json("POST", "generate-ai-code-stream", Some(json!({ "prompt": " " }))).await;
    assert_eq!((status, refused), (400, json!({ "success": false, "error": "Prompt is required" })));
    let unknown = json!({ "prompt": "x", "model": "moonshotai/kimi-k2-instruct-0905" });
    let (status, refused) = page.json("POST", "generate-ai-code-stream", Some(unknown)).await;
    assert_eq!(
        (status, &refused["error"]),
        (400, &json!("GROQ_API_KEY not configured: moonshotai/kimi-k2-instruct-0905 cannot be asked"))
    );
}

#[tokio::test]
async fn a_model_that_thinks_is_seen_thinking() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    let told = page.stream("generate-ai-code-stream", json!({ "prompt": "think aloud" })).await;
    let kinds = types(&told);
    assert_eq!(kinds[2..5], ["thinking", "thinking_complete", "stream"], "{told:?}");
    assert_eq!((&told[2]["text"], told[3]["duration"].is_u64()), (&json!("aloud"), true));
    assert_eq!(told.last().expect("events")["generatedCode"], "aloud");
}

#[tokio::test]
async fn pages_a_client_has_read_are_shown_to_the_model_and_are_no_part_of_the_conversation() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    let context = json!({
        "sandboxId": null, "currentFiles": { "src/App.jsx": "an old copy" },
        "conversationContext": { "scrapedWebsites": [{ "url": "https://teal.example", "content": "All is teal." }] },
    });
    let told = page.stream("generate-ai-code-stream", json!({ "prompt": "Like that", "context": context })).await;
    // The model repeats what it was asked.
    let asked = told.last().expect("events")["generatedCode"].as_str().expect("text");
    assert!(asked.starts_with("Like that") && asked.contains("https://teal.example says:\nAll is teal."), "{asked}");
    assert!(!asked.contains("an old copy"), "{asked}");
    let (_, now) = page.json("GET", "conversation-state", None).await;
    assert_eq!(now["state"]["context"]["messages"][0]["content"], "Like that");
}

#[tokio::test]
async fn a_model_that_is_asked_again_is_told_of_before_its_answer() {
    let server = TestServer::start().await;
    let told = Browser::new(&server).stream("generate-ai-code-stream", json!({ "prompt": "again Hello" })).await;
    let at = |kind: &str| told.iter().position(|event| event["type"] == kind).unwrap_or_else(|| panic!("{told:?}"));
    let message = "The model did not answer (the model is not available: it is busy); it is asked again in 2 s";
    assert_eq!(told[at("info")], json!({ "type": "info", "message": message }));
    assert!(at("info") < at("stream"), "{told:?}");
    assert_eq!(told.last().expect("events")["generatedCode"], "Hello");
}

#[tokio::test]
async fn an_answer_at_its_limit_is_warned_of_and_a_broken_one_is_an_error() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    let cut = "<file path=\"src/good.js\">1</file><file path=\"src/cut.js\">2";
    let told = page.stream("generate-ai-code-stream", json!({ "prompt": format!("cut {cut}") })).await;
    let complete = told.last().expect("events");
    assert_eq!((&complete["type"], &complete["generatedCode"]), (&json!("complete"), &json!(cut)), "{told:?}");
    let warning = json!("src/cut.js was cut off before its end and will not be applied");
    assert_eq!(complete["warnings"], json!([warning]));
    assert!(told.iter().any(|event| event["type"] == "warning" && event["message"] == warning), "{told:?}");
    let told = page.stream("generate-ai-code-stream", json!({ "prompt": format!("break {cut}") })).await;
    let kinds = types(&told);
    assert!(
        !kinds.contains(&"complete".to_owned()) && kinds.ends_with(&["status".into(), "error".into()]),
        "{kinds:?}"
    );
    assert_eq!(kinds.iter().filter(|kind| *kind == "error").count(), 1);
}

#[tokio::test]
async fn an_apply_reaches_the_callers_sandbox_and_counts_what_is_new() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    page.create().await;
    let reply = "<file path=\"src/App.jsx\">import z from 'zod'; 1</file><file path=\"vite.config.js\">bad</file>\
                 <command>echo hi</command><command>make it fail</command>";
    let mut lists = Vec::new();
    for id in [json!(null), json!("pending"), json!("sbx_replaced")] {
        let body = json!({ "response": reply, "sandboxId": id, "isEdit": false });
        let told = page.stream("apply-ai-code-stream", body).await;
        let kinds = types(&told);
        assert_eq!((kinds[0].as_str(), &told[0]["totalSteps"]), ("start", &json!(3)));
        assert_eq!(kinds.iter().filter(|kind| *kind == "complete").count(), 1, "{kinds:?}");
        let steps: Vec<&Value> =
            told.iter().filter(|event| event["type"] == "step").map(|event| &event["step"]).collect();
        assert_eq!(steps, [1, 2, 3]);
        let complete = told.last().expect("events");
        let results = &complete["results"];
        for list in [
            "filesCreated",
            "filesUpdated",
            "packagesInstalled",
            "packagesAlreadyInstalled",
            "packagesFailed",
            "commandsExecuted",
            "errors",
        ] {
            assert!(results[list].is_array(), "{list}: {complete}");
        }
        assert_eq!(results["commandsExecuted"], json!(["echo hi"]));
        assert_eq!(results["errors"].as_array().map(Vec::len), Some(1), "{results}");
        let failed = told.iter().find(|event| event["type"] == "command-complete" && event["success"] == false);
        assert_eq!(failed.expect("told")["exitCode"], 127);
        assert!(told.iter().any(|event| event["type"] == "warning"), "configuration is left out aloud");
        lists.push((results["filesCreated"].clone(), results["filesUpdated"].clone()));
    }
    let (one, none) = (json!(["src/App.jsx"]), json!([]));
    assert_eq!(lists[0], (one.clone(), none.clone()));
    assert_eq!(lists[1], (none.clone(), one.clone()));
    let (_, files) = page.json("GET", "get-sandbox-files", None).await;
    assert_eq!(files["files"]["src/App.jsx"], "import z from 'zod'; 1");
    assert_ne!(files["files"]["vite.config.js"], "bad");
    assert_eq!(files["manifest"]["files"]["/src/App.jsx"]["type"], "component");
    assert!(files["structure"].as_str().is_some_and(|structure| structure.contains("./src")));
    let (status, refused) = page.json("POST", "apply-ai-code-stream", Some(json!({}))).await;
    assert_eq!((status, &refused["error"]), (400, &json!("response is required")));
}

#[tokio::test]
async fn what_is_left_out_of_a_reply_changes_nothing_of_the_rest() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    page.create().await;
    let docs = "export const tag = '</file>'\nexport const command = '<command>no</command>'\nexport default () => tag";
    for (with, left_out) in [
        ("<file path=\"package.json\">{}</file>", "package.json"),
        ("<edit target_file=\"src/App.jsx\"><instructions>i</instructions><update>u</update></edit>", "src/App.jsx"),
        ("<edit path=\"src/App.jsx\">just words</edit>", "src/App.jsx"),
    ] {
        let reply = format!(
            "```jsx path=\"src/Docs.jsx\"\n{docs}\n```\n{with}\n<file path='src/an\"odd.js'>1</file>\
             <package>zod</package><package>Not A Name</package><package>react</package><package>zod@3</package>\
             <command>echo hi</command>"
        );
        let told = page.stream("apply-ai-code-stream", json!({ "response": reply, "isEdit": true })).await;
        let complete = told.last().expect("events");
        let results = &complete["results"];
        assert_eq!(complete["type"], "complete", "{complete}");
        assert!(told.iter().any(|event| event["type"] == "warning"
            && event["message"].as_str().is_some_and(|message| message.starts_with(left_out))));
        assert_eq!(results["commandsExecuted"], json!(["echo hi"]), "{with}: {results}");
        assert_eq!(results["packagesFailed"], json!(["Not A Name"]), "{with}: {results}");
        let known = |name: &str| results["packagesAlreadyInstalled"].as_array().expect("a list").contains(&json!(name));
        assert!(known("react") && !known("Not A Name"), "{results}");
        assert_ne!(known("zod"), results["packagesInstalled"] == json!(["zod"]), "one or the other: {results}");
        let (_, files) = page.json("GET", "get-sandbox-files", None).await;
        assert_eq!(files["files"]["src/Docs.jsx"], docs, "{with}");
        assert_eq!(files["files"]["src/an\"odd.js"], "1", "{with}");
        let manifest = files["files"]["package.json"].as_str().expect("text");
        assert!(manifest.contains("react") && manifest.contains("zod"), "{with}: {manifest}");
    }
}

#[tokio::test]
async fn a_file_that_is_cut_off_swallows_nothing_of_what_stood_before_it() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    page.create().await;
    let reply = "<package>zod</package><command>echo hi</command><file path=\"package.json\">{}</file>\
                 <file path=\"src/A.jsx\">cut";
    let told = page.stream("apply-ai-code-stream", json!({ "response": reply })).await;
    let complete = told.last().expect("events");
    assert_eq!(complete["results"]["packagesInstalled"], json!(["zod"]), "{complete}");
    let failed: Vec<&Value> = told.iter().filter(|event| event["type"] == "file-error").collect();
    assert_eq!((failed.len(), &failed[0]["fileName"]), (1, &json!("src/A.jsx")), "{told:?}");
    assert_eq!(complete["results"]["commandsExecuted"], json!(["echo hi"]), "{complete}");
    assert_eq!(complete["results"]["filesCreated"], json!([]), "{complete}");
    assert!(complete["message"].as_str().is_some_and(|message| message.ends_with("with 1 errors")), "{complete}");
}

#[tokio::test]
async fn an_edit_that_needs_a_merging_model_is_told_and_the_rest_applied() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    page.create().await;
    let reply = "<edit target_file=\"src/App.jsx\"><instructions>blue</instructions><update>// ... existing code\n\
                 </update></edit><file path=\"src/New.jsx\">1</file>";
    let told = page.stream("apply-ai-code-stream", json!({ "response": reply, "isEdit": true })).await;
    let of = |kind: &str| told.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    assert_eq!((of("warning").len(), of("file-error").len()), (1, 1), "{told:?}");
    assert_eq!(of("file-error")[0]["fileName"], "src/App.jsx");
    let results = &told.last().expect("events")["results"];
    assert_eq!((&results["filesCreated"], &results["filesUpdated"]), (&json!(["src/New.jsx"]), &json!([])));
    assert_eq!(results["errors"].as_array().map(Vec::len), Some(1), "{results}");
    let (_, files) = page.json("GET", "get-sandbox-files", None).await;
    assert!(files["files"]["src/App.jsx"].as_str().is_some_and(|text| !text.contains("existing code")), "{files}");
}

#[tokio::test]
async fn an_edit_is_merged_where_a_model_does_that() {
    let server = TestServer::start_with(Setup::with_arguments(&["--merge-model", "test/scripted"])).await;
    let page = Browser::new(&server);
    page.create().await;
    let app = "<file path=\"src/App.jsx\">const one = 1\nconst two = 2</file><file path=\"src/Bad.jsx\">bad</file>";
    page.stream("apply-ai-code-stream", json!({ "response": app })).await;
    let edit = |path: &str, update: &str| {
        format!("<edit target_file=\"{path}\"><instructions>three</instructions><update>{update}</update></edit>")
    };
    let reply = format!(
        "{}{}<file path=\"src/App.jsx\">skipped</file><file path=\"src/New.jsx\">new</file><package>react</package>",
        edit("src/App.jsx", "// ... existing code ...\nconst three = 3"),
        edit("src/Bad.jsx", "refuse"),
    );
    let told = page.stream("apply-ai-code-stream", json!({ "response": reply, "isEdit": true })).await;
    let of = |kind: &str| told.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    assert_eq!(
        *of("file-progress")[0],
        json!({ "type": "file-progress", "current": 1, "total": 3, "action": "morph-applying", "fileName": "src/App.jsx" })
    );
    let complete = json!({ "type": "file-complete", "fileName": "src/App.jsx", "action": "morph-updated" });
    assert_eq!(*of("file-complete")[0], complete, "{told:?}");
    assert_eq!((of("file-error").len(), &of("file-error")[0]["fileName"]), (1, &json!("src/Bad.jsx")));
    let results = &told.last().expect("events")["results"];
    assert_eq!(
        (&results["filesCreated"], &results["filesUpdated"]),
        (&json!(["src/New.jsx"]), &json!(["src/App.jsx"]))
    );
    assert_eq!(results["packagesAlreadyInstalled"], json!(["react"]));
    let (_, files) = page.json("GET", "get-sandbox-files", None).await;
    // The model repeats what it was asked, which has the old code and the new.
    let merged = files["files"]["src/App.jsx"].as_str().expect("text");
    assert!(merged.contains("const one = 1\nconst two = 2</code>") && merged.contains("const three = 3"), "{merged}");
    assert_eq!(files["files"]["src/Bad.jsx"], "bad");

    let reply = edit("src/App.jsx", "const four = 4");
    let told = page.stream("apply-ai-code-stream", json!({ "response": reply, "isEdit": false })).await;
    assert!(told.iter().any(|event| event["type"] == "warning"), "it does not count: {told:?}");
    let (_, files) = page.json("GET", "get-sandbox-files", None).await;
    assert_eq!(files["files"]["src/App.jsx"].as_str(), Some(merged));

    // The first engine's clients see a file as any other.
    call(&server, "POST", "/api/create-ai-sandbox-v2", Some("p"), Some("{}")).await;
    let body = json!({ "response": edit("src/App.jsx", "const five = 5"), "is_edit": true }).to_string();
    let told = call(&server, "POST", "/api/apply-ai-code-stream", Some("p"), Some(&body)).await.body;
    let told = events(told.as_str().expect("a stream"));
    assert_eq!(types(&told), ["start", "parsed", "stage:files", "file_created", "files_complete", "complete"]);
    assert_eq!((&told[1]["fileCount"], &told[5]["files_created"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn the_plan_of_an_edit_is_told_and_can_be_asked_for() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    page.create().await;
    let body = json!({ "prompt": "Make the App blue", "isEdit": true });
    let told = page.stream("generate-ai-code-stream", body).await;
    assert_eq!(told[1], json!({ "type": "status", "message": "Planned edit: UPDATE_STYLE, looking for App, blue" }));
    let (_, files) = page.json("GET", "get-sandbox-files", None).await;
    let body = json!({ "prompt": "Make the App blue", "manifest": files["manifest"], "model": "any" });
    let (status, plan) = page.json("POST", "analyze-edit-intent", Some(body)).await;
    assert_eq!((status, &plan["success"]), (200, &json!(true)), "{plan}");
    assert_eq!(plan["searchPlan"]["searchTerms"], json!(["App", "blue"]));
    assert_eq!(
        (&plan["searchPlan"]["editType"], &plan["searchPlan"]["expectedMatches"]),
        (&json!("UPDATE_STYLE"), &json!(1))
    );
    for body in [
        json!({}),
        json!({ "prompt": "x" }),
        json!({ "prompt": " ", "manifest": {} }),
        json!({ "prompt": "x", "manifest": [] }),
    ] {
        let (status, refused) = page.json("POST", "analyze-edit-intent", Some(body)).await;
        assert_eq!((status, &refused["error"]), (400, &json!("prompt and manifest are required")));
    }
}

#[tokio::test]
async fn packages_are_installed_in_one_piece() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    for (body, error) in [
        (json!({}), "Packages array is required"),
        (json!({ "packages": "axios" }), "Packages array is required"),
        (json!({ "packages": [";"] }), "No valid package names provided"),
        (json!({ "packages": ["axios"] }), "No active sandbox"),
    ] {
        let (status, refused) = page.json("POST", "install-packages-v2", Some(body)).await;
        assert_eq!((status, &refused["error"]), (400, &json!(error)));
    }
    page.create().await;
    for (packages, success, message) in [
        (json!(["axios", "react"]), true, "Packages installed successfully: axios"),
        (json!(["axios@1"]), true, "All packages are already installed: axios"),
        (json!(["no-such-package"]), false, "Package installation failed"),
        (json!(["dayjs", "; rm -rf /"]), false, "Package installation failed"),
    ] {
        let (status, answer) = page.json("POST", "install-packages-v2", Some(json!({ "packages": packages }))).await;
        assert_eq!(
            (status, &answer["success"], &answer["message"]),
            (200, &json!(success), &json!(message)),
            "{answer}"
        );
        assert_eq!(answer["error"] == "", success, "{answer}");
    }
}

#[tokio::test]
async fn the_first_apply_makes_a_sandbox_or_says_why_not() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    let body = json!({ "response": "<file path=\"src/a.js\">1</file>" });
    let told = page.stream("apply-ai-code-stream", body.clone()).await;
    assert_eq!(told.last().expect("events")["results"]["filesCreated"], json!(["src/a.js"]));
    server.preview.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    let other = Browser::new(&server);
    let (status, failed) = other.json("POST", "apply-ai-code-stream", Some(body)).await;
    assert_eq!((status, &failed["success"], &failed["results"]["filesCreated"]), (500, &json!(false), &json!([])));
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("bubblewrap")), "{failed}");
    assert_eq!(failed["parsedFiles"], json!(["src/a.js"]));
}

#[tokio::test]
async fn packages_are_installed_and_the_server_restarted() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    for (body, error) in [
        (json!({}), "Packages array is required"),
        (json!({ "packages": [] }), "Packages array is required"),
        (json!({ "packages": ["; rm -rf /"] }), "No valid package names provided"),
        (json!({ "packages": ["axios"] }), "No active sandbox"),
    ] {
        let (status, refused) = page.json("POST", "install-packages", Some(body)).await;
        assert_eq!((status, &refused["error"]), (400, &json!(error)));
    }
    page.create().await;
    let told = page.stream("install-packages", json!({ "packages": ["axios", "react"] })).await;
    let complete = told.last().expect("events");
    assert_eq!(
        (&complete["type"], &complete["installedPackages"]),
        (&json!("complete"), &json!(["axios"])),
        "{told:?}"
    );
    assert_eq!(complete["message"], "Package installation complete and dev server restarted!");
    let told = page.stream("install-packages", json!({ "packages": ["axios@1"] })).await;
    assert_eq!(types(&told), ["start", "status", "status", "info", "success", "status", "complete"]);
    let told = page.stream("install-packages", json!({ "packages": ["no-such-package"] })).await;
    assert_eq!(told.iter().filter(|event| event["type"] == "error").count(), 1);
    assert_eq!(told.last().expect("events")["type"], "error");
    let files = json!({ "files": { "src/App.jsx": "import d from 'dayjs'; import n from 'no-such-thing'" } });
    let (_, detected) = page.json("POST", "detect-and-install-packages", Some(files)).await;
    assert_eq!(detected["success"], false, "one of them does not exist: {detected}");
    let (status, ran) = page.json("POST", "run-command", Some(json!({ "command": "echo hi" }))).await;
    assert_eq!((status, &ran["success"], &ran["exitCode"]), (200, &json!(true), &json!(0)), "{ran}");
    let (_, ran) = page.json("POST", "run-command", Some(json!({ "command": "make it fail" }))).await;
    assert_eq!((&ran["success"], &ran["exitCode"]), (&json!(false), &json!(127)));
}

#[tokio::test]
async fn archives_states_and_kills_have_their_shapes() {
    let server = TestServer::start().await;
    let page = Browser::new(&server);
    for (method, path, body, status, error) in [
        ("POST", "create-zip", None, 400, "No active sandbox"),
        ("GET", "get-sandbox-files", None, 404, "No active sandbox"),
        ("POST", "detect-and-install-packages", Some(json!({ "files": {} })), 404, "No active sandbox"),
        ("POST", "detect-and-install-packages", Some(json!({})), 400, "Files object is required"),
        (
            "POST",
            "conversation-state",
            Some(json!({ "action": "update", "data": {} })),
            400,
            "No active conversation to update",
        ),
        (
            "POST",
            "conversation-state",
            Some(json!({ "action": "x" })),
            400,
            "Invalid action. Use \"reset\" or \"update\"",
        ),
        ("POST", "run-command", Some(json!({})), 400, "Command is required"),
    ] {
        let (answered, body) = page.json(method, path, body).await;
        assert_eq!((answered, body), (status, json!({ "success": false, "error": error })), "{method} {path}");
    }
    let (_, none) = page.json("GET", "conversation-state", None).await;
    assert_eq!(none, json!({ "success": true, "state": null, "message": "No active conversation" }));
    let (status, killed) = page.json("POST", "kill-sandbox", None).await;
    assert_eq!((status, &killed["success"], &killed["sandboxKilled"]), (200, &json!(true), &json!(false)));
    page.create().await;
    page.stream("generate-ai-code-stream", json!({ "prompt": "hello" })).await;
    let update = json!({ "action": "update", "data": { "currentTopic": "auth" } });
    let (_, updated) = page.json("POST", "conversation-state", Some(update)).await;
    let context = &updated["state"]["context"];
    assert_eq!(
        (&context["currentTopic"], context["messages"].as_array().map(Vec::len)),
        (&json!("auth"), Some(1)),
        "{updated}"
    );
    assert!(context["projectEvolution"]["majorChanges"].is_array());
    let (_, zipped) = page.json("POST", "create-zip", None).await;
    let data = zipped["dataUrl"].as_str().expect("a URL").strip_prefix("data:application/zip;base64,").expect("a zip");
    let archive = zip::ZipArchive::new(Cursor::new(STANDARD.decode(data).expect("base64"))).expect("an archive");
    assert!(archive.len() > 3);
    let (_, killed) = page.json("POST", "kill-sandbox", None).await;
    assert_eq!(killed["sandboxKilled"], true);
    let (_, status) = page.json("GET", "sandbox-status", None).await;
    assert_eq!(status["active"], false);
}

#[tokio::test]
async fn browsers_share_nothing_and_a_program_is_the_default() {
    let server = TestServer::start().await;
    let (ada, bob) = (Browser::new(&server), Browser::new(&server));
    assert_ne!(ada.create().await, bob.create().await);
    ada.stream("apply-ai-code-stream", json!({ "response": "<file path=\"src/ada.js\">1</file>" })).await;
    let (_, of_bob) = bob.json("GET", "get-sandbox-files", None).await;
    assert!(of_bob["files"]["src/ada.js"].is_null() && of_bob["files"]["src/App.jsx"].is_string());
    let made = call(&server, "POST", "/api/create-ai-sandbox-v2", None, Some("{}")).await;
    assert_eq!(made.status, 200);
    assert!(!made.headers.contains_key("set-cookie"), "a program keeps no cookies");
    let viewer = WsClient::attach(&server, "default").await;
    let sandbox = viewer.snapshot.as_ref().and_then(|snapshot| snapshot.state.sandbox.sandbox.clone());
    assert_eq!(sandbox.as_deref(), made.body["sandboxId"].as_str(), "a viewer sees what it did");
}

/// The value of the cookie an answer sets.
async fn cookie_of(request: reqwest::RequestBuilder) -> String {
    let answer = within("an answer", request.send()).await.expect("an answer");
    let cookie = answer.headers()["set-cookie"].to_str().expect("ASCII");
    cookie.split(';').next().expect("a cookie").to_owned()
}

#[tokio::test]
async fn a_pages_first_requests_are_one_browsers() {
    let server = TestServer::start().await;
    let first = |agent: &str| {
        let request = server.http.post(server.url("/api/create-ai-sandbox-v2")).header("sec-fetch-site", "same-origin");
        request.header("user-agent", agent).header("origin", "http://localhost:5173")
    };
    let (one, two, other) = tokio::join!(
        cookie_of(first("Firefox")),
        cookie_of(
            server
                .http
                .get(server.url("/api/sandbox-status"))
                .header("sec-fetch-site", "same-origin")
                .header("user-agent", "Firefox")
        ),
        cookie_of(first("Chromium")),
    );
    assert_eq!(one, two);
    assert_ne!(one, other);
    // What either did is where the browser is.
    let status = server.http.get(server.url("/api/sandbox-status")).header("cookie", &two).send().await;
    let status: Value = status.expect("an answer").json().await.expect("JSON");
    assert_eq!(status["active"], true, "{status}");
}

#[tokio::test]
async fn where_a_token_is_asked_for_nobody_is_taken_for_another() {
    let server = TestServer::start_with(Setup::with_arguments(&["--host", "0.0.0.0"])).await;
    let link = server.running().owner_link().expect("a link").to_owned();
    let (_, token) = link.split_once("/#token=").expect("a token");
    let url = format!("http://127.0.0.1:{}/api/sandbox-status", server.address.port());
    let first = || server.http.get(&url).bearer_auth(token).header("sec-fetch-site", "same-origin");
    let (one, two) = tokio::join!(cookie_of(first()), cookie_of(first()));
    assert_ne!(one, two);
}
