//! `POST /code` and `GET /stream-dummy`: a real sandbox, real git, the demo model.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use cobuild::{
    http::Timing,
    sandbox::memory::{Ending, MemoryProgram, MemoryProvider},
};
use cobuild_protocol::{Event, value::Outcome};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{
    fakes::ScriptedModel,
    import_repository::{self, CodeServer},
    legacy::{
        client,
        raw::{Writes, reads_of, request, written_one_by_one},
    },
    support::{Setup, TestServer, WsClient, within},
};

/// Longest a whole job may take on a busy machine; the first one builds the template.
const JOB_TIME_MAX: Duration = Duration::from_secs(400);

/// What `POST /code` says, event by event, each in a read of its own.
async fn process(server: &CodeServer, url: &str, prompt: &str) -> Vec<Value> {
    let body = json!({ "repoUrl": url, "prompt": prompt }).to_string();
    let reads = reads_of(server.running.address(), &request("POST", "/code", None, &body)).await;
    let events = written_one_by_one(&reads, url);
    for event in &events {
        assert!(event["type"].is_string() && event["message"].is_string() && event["timestamp"].is_u64(), "{event}");
    }
    events
}

#[track_caller]
fn last_error<'a>(events: &'a [Value], step: &str) -> &'a str {
    let errors: Vec<&Value> = events.iter().filter(|event| event["type"] == "error").collect();
    assert_eq!(errors, [events.last().expect("events")], "{events:#?}");
    assert_eq!(errors[0]["step"], step);
    assert!(events.iter().all(|event| event["type"] != "summary"));
    errors[0]["message"].as_str().expect("a sentence")
}

#[tokio::test]
async fn a_good_job_has_the_seven_steps_and_a_summary_of_what_was_done() {
    // The server runs on this thread.
    let writes = Writes::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(writes.clone()));
    let Some(server) = CodeServer::start("code").await else { return };
    let commands = "echo 'print(1)' > main.py && mkdir lib && echo 'x = 1' > lib/x.py && echo '# T' > README.md
        ln -s / root";
    server.git.host("fastapi/fastapi", "master", Some(commands));
    let prompt = "Grüße ✓: add better error handling";
    Writes::begin();
    let body = json!({ "repoUrl": "https://github.com/fastapi/fastapi.git", "prompt": prompt }).to_string();
    let reads = reads_of(server.running.address(), &request("POST", "/code", None, &body)).await;
    let events = written_one_by_one(&reads, "a good job");
    let kinds = writes.one_per_event(&reads.concat(), "a good job");
    assert_eq!(kinds.last(), Some(&json!("summary")));
    assert_eq!(kinds.len(), events.len());

    let mut order: Vec<&str> = events.iter().filter_map(|event| event["step"].as_str()).collect();
    order.dedup();
    assert_eq!(order, ["init", "validation", "clone", "analysis", "planning", "implementation", "complete"]);
    let progress: Vec<u64> = events.iter().filter_map(|event| event["progress"].as_u64()).collect();
    assert!(progress.is_sorted() && progress.first() == Some(&10) && progress.last() == Some(&100), "{progress:?}");
    let said = |kind: &str, step: &str, progress: u64, message: &str| {
        let found = events.iter().any(|event| {
            event["type"] == kind
                && event["step"] == step
                && event["progress"] == progress
                && event["message"] == message
        });
        assert!(found, "{kind} {step} {progress} {message}: {events:#?}");
    };
    said("info", "init", 10, "Initializing local sandbox...");
    said("success", "validation", 30, "Repository URL validated: fastapi");
    said("success", "clone", 50, "Repository cloned successfully: fastapi");
    said("success", "analysis", 65, "Repository analyzed. Found 2 code files");
    said("info", "planning", 70, &format!("Planning changes based on prompt: '{prompt}'"));
    said("success", "planning", 90, "Change plan generated successfully");
    said("info", "implementation", 92, "Implementing planned changes...");
    said("info", "implementation", 93, "Changed COBUILD_DEMO.md");
    said("success", "complete", 100, "Code processing completed successfully!");
    let warnings: Vec<&Value> = events.iter().filter(|event| event["type"] == "warning").collect();
    let warned = |text: &str| warnings.iter().any(|event| event["message"].as_str().expect("text").contains(text));
    assert!(warned("root (a symbolic link)") && warned("Demo – canned answers, no AI"), "{warnings:?}");

    let last = events.last().expect("events");
    assert_eq!((&last["type"], &last["message"]), (&json!("summary"), &json!("Processing completed")));
    let summary = last["summary"].as_object().expect("an object");
    assert_eq!(summary.len(), 5, "{summary:?}");
    assert_eq!((&summary["repository"], &summary["prompt"]), (&json!("fastapi"), &json!(prompt)));
    assert_eq!(summary["files_modified"], 1);
    assert!(summary["duration_ms"].as_u64().is_some_and(|ms| ms > 0) && summary["sandbox_id"].is_string());

    // It is a project like any other, and its sandbox is gone.
    let projects = server.json("/api/v1/projects").await;
    assert_eq!(projects["projects"][0]["name"], "fastapi");
    let project = projects["projects"][0]["project"].as_str().expect("an id");
    let state = server.json(&format!("/api/v1/projects/{project}")).await;
    assert_eq!(state["state"]["sandbox"]["state"], "stopped");
    let diff = format!("/api/v1/projects/{project}/diff?from={}", state["state"]["repository"]["seq"]);
    let diff = server.http.get(server.url(&diff)).send().await.expect("an answer").text().await.expect("text");
    assert!(diff.contains("+> Grüße ✓: add better error handling"), "{diff}");
}

#[tokio::test]
async fn what_cannot_be_ends_in_one_error() {
    let Some(server) = CodeServer::start("code").await else { return };
    for bad in [
        "ftp://x",
        "https://10.0.0.1/a/b",
        "file:///etc",
        "ssh://git@github.com/a/b",
        "https://me:secret@github.com/a/b",
        "--upload-pack=id",
    ] {
        let events = process(&server, bad, "p").await;
        let progress: Vec<&Value> = events.iter().map(|event| &event["progress"]).collect();
        assert_eq!(progress, [&json!(10), &json!(25), &Value::Null], "{bad}");
        let sentence = last_error(&events, "validation");
        assert!(sentence.starts_with("Processing failed: Invalid GitHub repository URL: "), "{sentence}");
        assert!(!sentence.contains("secret"));
    }
    assert_eq!(server.json("/api/v1/projects").await["projects"], json!([]), "nothing was made for any of them");

    let events = process(&server, "git@github.com:a/missing.git", "p").await;
    let sentence = last_error(&events, "clone");
    assert!(
        sentence.starts_with("Processing failed: Failed to clone repository. Exit code: 128. Error: fatal:"),
        "{sentence}"
    );
    assert_eq!(server.json("/api/v1/projects").await["projects"], json!([]), "nothing came, and nothing stays");
}

#[tokio::test]
async fn odd_repositories_are_processed_and_what_is_left_out_is_named() {
    let Some(server) = CodeServer::start("code").await else { return };
    let submodule = "echo x > file && git init -q vendor/lib
        (cd vendor/lib && echo y > y && git add y && git commit -q -m y)
        printf '[submodule \"lib\"]\\n\\tpath = vendor/lib\\n\\turl = https://evil.example/x\\n' > .gitmodules";
    let links = "echo x > x.py && ln -s /etc/passwd passwd && ln -s ../../.. up && ln -s /proc/self/environ env.py";
    for (name, branch, commands, code_files, warnings) in [
        ("empty", "main", None, 0, &["The repository is empty"][..]),
        ("trunk", "release/2.x", Some("echo x > x.py"), 1, &[]),
        ("super", "main", Some(submodule), 0, &["Left out 1 of its entries: vendor/lib (a submodule)"]),
        (
            "links",
            "main",
            Some(links),
            1,
            &[
                "Left out 3 of its entries",
                "passwd (a symbolic link)",
                "up (a symbolic link)",
                "env.py (a symbolic link)",
            ],
        ),
    ] {
        server.git.host(&format!("odd/{name}"), branch, commands);
        let events = process(&server, &format!("https://github.com/odd/{name}"), "Add a note").await;
        let last = events.last().expect("events");
        assert_eq!((&last["type"], &last["summary"]["repository"]), (&json!("summary"), &json!(name)), "{events:#?}");
        assert_eq!(last["summary"]["files_modified"], 1, "{name}: {events:#?}");
        let said: String =
            events.iter().map(|event| format!("{}\n", event["message"].as_str().expect("a sentence"))).collect();
        assert!(said.contains(&format!("Repository analyzed. Found {code_files} code files")), "{name}: {said}");
        for warning in warnings {
            assert!(said.contains(warning), "{name}: {warning}: {said}");
        }
        assert!(!said.contains("root:"), "{name}: {said}");
        let projects = server.json("/api/v1/projects").await["projects"].clone();
        let project = projects[0]["project"].as_str().expect("an id");
        let files = server.json(&format!("/api/v1/projects/{project}/files")).await["files"].to_string();
        assert!(files.contains("COBUILD_DEMO.md"), "{name}: {files}");
        for absent in ["passwd", "\"up", "env.py", "vendor/lib"] {
            assert!(!files.contains(absent), "{name}: {files}");
        }
    }
}

#[tokio::test]
async fn two_jobs_at_once_share_nothing() {
    let Some(server) = CodeServer::start("code").await else { return };
    for name in ["one", "two"] {
        server.git.host(&format!("a/{name}"), "main", Some(&format!("echo x > {name}.py")));
    }
    let (one, two) = tokio::join!(
        process(&server, "https://github.com/a/one", "First"),
        process(&server, "git@github.com:a/two.git", "Second"),
    );
    let mut sandboxes = Vec::new();
    for (events, name, prompt) in [(&one, "one", "First"), (&two, "two", "Second")] {
        let summary = &events.last().expect("events")["summary"];
        assert_eq!((&summary["repository"], &summary["prompt"]), (&json!(name), &json!(prompt)), "{events:#?}");
        sandboxes.push(summary["sandbox_id"].as_str().expect("an id").to_owned());
    }
    assert_ne!(sandboxes[0], sandboxes[1]);
    let projects = server.json("/api/v1/projects").await["projects"].clone();
    for project in projects.as_array().expect("a list") {
        let (id, name) = (project["project"].as_str().expect("an id"), project["name"].as_str().expect("a name"));
        let files = server.json(&format!("/api/v1/projects/{id}/files")).await["files"].to_string();
        let other = if name == "one" { "two.py" } else { "one.py" };
        assert!(files.contains(&format!("{name}.py")) && !files.contains(other), "{name}: {files}");
    }
}

#[tokio::test]
async fn whoever_comes_when_enough_are_processed_is_told_when_to_come_back() {
    let Some(server) = CodeServer::start_at_speed("code", 40).await else { return };
    server.git.host("a/b", "main", Some("echo x > x.py"));
    let ask = || {
        let body = json!({ "repoUrl": "https://github.com/a/b", "prompt": "p" });
        server.http.post(server.url("/code")).json(&body).send()
    };
    let mut streams = Vec::new();
    for _ in 0..4 {
        let answer = ask().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        streams.push(answer);
    }
    let refused = ask().await.expect("an answer");
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().expect("ASCII")), (429, "10"));
    assert!(refused.json::<Value>().await.expect("JSON")["detail"].is_string());
}

#[tokio::test]
async fn repositories_that_cannot_be_fetched_end_in_one_error_each() {
    let Some(mut server) = CodeServer::start("code").await else { return };
    let large = "for n in 1 2 3 4 5 6; do head -c 50000000 /dev/urandom > part$n; done";
    server.git.host("a/large", "main", Some(large));
    for (name, reason) in [
        ("a/large", "MiB"),
        ("a/missing", "Failed to clone repository. Exit code: 128. Error: fatal:"),
        ("private/x", "does not exist, or it is private"),
    ] {
        let events = process(&server, &format!("https://github.com/{name}"), "p").await;
        let sentence = last_error(&events, "clone");
        assert!(sentence.starts_with("Processing failed: ") && sentence.contains(reason), "{name}: {sentence}");
    }
    // The same by the command. It takes long to make one that large, so it is used twice.
    import_repository::is_too_large(&server, "a/large").await;
    server.git.stop().await;
    let events = process(&server, "https://github.com/a/large", "p").await;
    let sentence = last_error(&events, "clone");
    assert!(sentence.contains("Failed to clone repository. Exit code: 128. Error: fatal:"), "no network: {sentence}");
    let projects = server.json("/api/v1/projects").await["projects"].clone();
    let left: Vec<&Value> = projects.as_array().expect("a list").iter().map(|project| &project["project"]).collect();
    assert_eq!(left, ["large"], "what was made for a repository that did not come is gone; what was there is not");
}

/// A server whose sandboxes never get a repository, and jobs that are given up soon.
async fn with_clones_that_hang() -> TestServer {
    with_clones_that_hang_and(&[]).await
}

async fn with_clones_that_hang_and(arguments: &[&str]) -> TestServer {
    let clone = MemoryProgram::new("env NO_PROXY=", "Cloning", Ending::Hang);
    TestServer::start_with(Setup {
        sandboxes: Some(Arc::new(MemoryProvider::new(vec![clone]))),
        timing: Timing { code_job_max: Duration::from_secs(3), ..Timing::default() },
        ..Setup::with_arguments(arguments)
    })
    .await
}

const HANGING: &str = "https://github.com/a/b";

#[tokio::test]
async fn a_job_at_its_limit_ends_its_run_and_says_so_once() {
    let server = with_clones_that_hang().await;
    let body = json!({ "repoUrl": HANGING, "prompt": "p" }).to_string();
    let mut answer = client::send(&server, "POST", "/code", None, Some(&body)).await;
    let mut text = String::new();
    let project = loop {
        let piece = within("an event", answer.chunk()).await.expect("bytes").expect("not the end");
        text.push_str(std::str::from_utf8(&piece).expect("ASCII"));
        if let Some((_, rest)) = text.split_once("/p/") {
            break rest.split('"').next().expect("an id").to_owned();
        }
    };
    // Somebody who looks on keeps the project.
    let mut viewer = WsClient::attach(&server, &project).await;
    let outcome = viewer.event(|frame| match &frame.event {
        Event::RunFinished(finished) => Some(finished.outcome),
        _ => None,
    });
    assert_eq!(within("the end of its run", outcome).await, Outcome::Cancelled);
    text.push_str(&within("the end", answer.text()).await.expect("a whole stream"));
    let told = client::events(&text);
    let sentence = last_error(&told, "clone");
    assert_eq!(sentence, "Processing failed: it took longer than this server lets it take");
    assert!(told.iter().all(|event| event["type"] != "warning"), "its sandbox was released: {told:?}");
    let state = server.json(&format!("/api/v1/projects/{project}")).await;
    assert_eq!(state["state"]["sandbox"]["state"], "stopped");
}

#[tokio::test]
async fn where_no_sandbox_can_be_made_the_job_ends_in_its_first_step() {
    let server = TestServer::start().await;
    server.preview.broken.store(true, Ordering::SeqCst);
    let body = json!({ "repoUrl": HANGING, "prompt": "p" }).to_string();
    let answer = client::send(&server, "POST", "/code", None, Some(&body)).await;
    let told = client::events(&within("the end", answer.text()).await.expect("a whole stream"));
    let sentence = last_error(&told, "init");
    assert!(sentence.starts_with("Processing failed: ") && sentence.contains("bubblewrap"), "{sentence}");
    assert_eq!(server.json("/api/v1/projects").await["projects"], json!([]), "nothing came, and nothing stays");
}

#[tokio::test]
async fn the_project_is_named_as_whoever_asks_reaches_the_server() {
    let server = with_clones_that_hang_and(&["--host", "0.0.0.0"]).await;
    let token = server.running().owner_link().and_then(|link| link.split_once("#token=")).expect("a link").1.to_owned();
    let url = format!("http://127.0.0.1:{}/code", server.address.port());
    // A name that each machine has for itself helps nobody else: then it is the server's own.
    let own = format!(":{}/p/code-", server.address.port());
    for (host, named) in [("build.example:3100", "http://build.example:3100/p/code-"), ("127.0.0.1:3100", own.as_str())]
    {
        let body = json!({ "repoUrl": HANGING, "prompt": "p" });
        let request = server.http.post(&url).header("host", host).bearer_auth(&token).json(&body);
        let answer = within("an answer", request.send()).await.expect("an answer");
        let told = client::events(&within("the end", answer.text()).await.expect("a whole stream"));
        let place = |event: &Value| {
            let said = event["message"].as_str().expect("a sentence");
            said.strip_prefix("Watch and edit it at ").map(str::to_owned)
        };
        let place = told.iter().find_map(place).expect("told");
        assert!(place.contains(named) && !place.contains("127.0.0.1"), "{place}");
    }
}

#[tokio::test]
async fn what_nobody_looks_at_goes_with_the_job_that_failed() {
    let server = with_clones_that_hang().await;
    let body = json!({ "repoUrl": HANGING, "prompt": "p" }).to_string();
    let answer = client::send(&server, "POST", "/code", None, Some(&body)).await;
    let told = client::events(&within("the end", answer.text()).await.expect("a whole stream"));
    last_error(&told, "clone");
    assert_eq!(server.json("/api/v1/projects").await["projects"], json!([]));
}

#[tokio::test]
async fn a_cancelled_job_ends_in_an_error_and_a_lost_client_ends_nothing() {
    let Some(server) = CodeServer::start_at_speed("code", 40).await else { return };
    server.git.host("a/b", "main", Some("echo x > x.py"));
    let body = json!({ "repoUrl": "https://github.com/a/b", "prompt": "p" });

    // Cancelled by somebody else in the room, in the middle of the model's answer.
    let answer = server.http.post(server.url("/code")).json(&body).send().await.expect("an answer");
    let mut chunks = answer.bytes_stream();
    let mut text = String::new();
    let reading = async {
        let mut cancelled = false;
        while let Some(chunk) = chunks.next().await {
            text.push_str(std::str::from_utf8(&chunk.expect("whole")).expect("text"));
            if text.contains("The model is answering") && !cancelled {
                cancelled = true;
                server.cancel_newest_run().await;
            }
        }
    };
    timeout(JOB_TIME_MAX, reading).await.expect("the job ends");
    let last = text.trim_end().lines().last().expect("events");
    assert!(last.contains("\"error\"") && last.contains("cancelled") && last.contains("planning"), "{text}");

    // Left alone by its client as soon as it has begun.
    let mut answer = server.http.post(server.url("/code")).json(&body).send().await.expect("an answer");
    answer.chunk().await.expect("a chunk");
    drop(answer);
    let done = async {
        loop {
            let projects = server.json("/api/v1/projects").await;
            for project in projects["projects"].as_array().expect("a list") {
                let id = project["project"].as_str().expect("an id");
                let files = server.json(&format!("/api/v1/projects/{id}/files")).await.to_string();
                let state = server.json(&format!("/api/v1/projects/{id}")).await;
                if files.contains("COBUILD_DEMO.md") && state["state"]["sandbox"]["state"] == "stopped" {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(JOB_TIME_MAX, done).await.expect("it is done without anybody");
}

#[tokio::test]
async fn a_model_that_fails_ends_the_job_in_one_error() {
    let model = ScriptedModel::new(Duration::ZERO);
    let Some(server) = CodeServer::start_with_model("code", Arc::new(model)).await else { return };
    server.git.host("a/b", "main", Some("echo x > x.py"));
    for (prompt, reason) in [
        ("refuse", "Processing failed: the account has no credit"),
        ("break <file path=\"x.py\">y", "Processing failed: the model's answer was cut off"),
    ] {
        let events = process(&server, "https://github.com/a/b", prompt).await;
        assert_eq!(last_error(&events, "planning"), reason);
        let project = server.json("/api/v1/projects").await["projects"][0]["project"].clone();
        let project = project.as_str().expect("an id");
        let state = server.json(&format!("/api/v1/projects/{project}")).await;
        assert_eq!(state["state"]["sandbox"]["state"], "stopped", "it was released before the client was told");
        let kept = server.http.get(server.url(&format!("/api/v1/projects/{project}/files/x.py"))).send().await;
        assert_eq!(kept.expect("an answer").text().await.expect("text"), "x\n", "nothing half-written");
    }
}

#[tokio::test]
async fn bodies_are_checked_as_the_other_endpoints_check_theirs() {
    let Some(server) = CodeServer::start("code").await else { return };
    let answer = server.http.post(server.url("/code")).json(&json!({ "prompt": "p" })).send().await.expect("an answer");
    assert_eq!(answer.status(), 422);
    let expected = json!({ "detail": [
        { "type": "missing", "loc": ["body", "repoUrl"], "msg": "Field required", "input": { "prompt": "p" } }
    ] });
    assert_eq!(answer.json::<Value>().await.expect("JSON"), expected);
    assert_eq!(server.http.get(server.url("/code")).send().await.expect("an answer").status(), 405);
    for (body, place, kind) in [
        ("", json!(["body"]), "missing"),
        ("{\"repoUrl\":5,\"prompt\":\"p\"}", json!(["body", "repoUrl"]), "string_type"),
        ("{\"repoUrl\":\"x\"}", json!(["body", "prompt"]), "missing"),
        ("[]", json!(["body"]), "model_attributes_type"),
    ] {
        let request = server.http.post(server.url("/code")).header("content-type", "application/json").body(body);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 422, "{body}");
        let said: Value = answer.json().await.expect("JSON");
        assert_eq!((&said["detail"][0]["loc"], &said["detail"][0]["type"]), (&place, &json!(kind)), "{body}");
    }

    let began = std::time::Instant::now();
    let mut dummy = server.http.get(server.url("/stream-dummy")).send().await.expect("an answer");
    let mut reads = Vec::new();
    while let Some(chunk) = timeout(JOB_TIME_MAX, dummy.chunk()).await.expect("in time").expect("a chunk") {
        reads.push(String::from_utf8(chunk.to_vec()).expect("text"));
    }
    let expected: Vec<String> = (0..5).map(|step| format!("data: {{\"step\":{step}}}\n\n")).collect();
    assert_eq!(reads, expected);
    assert!(began.elapsed() >= Duration::from_secs(4), "a second apart");
}
