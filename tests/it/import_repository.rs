//! Git repositories become projects: real sandboxes, real git, a git host of the test's own.

use std::{sync::Arc, time::Duration};

use clap::Parser as _;
use cobuild::{
    cli::Cli,
    http::{CONNECTIONS_MAX, Timing},
    model::demo::{DemoConfig, DemoModel},
    project::{ProjectSettings, model_provider::ModelProvider},
    sandbox::local::LocalConfig,
    server::{Providers, RunningServer},
    store::sqlite::{SqliteOptions, SqliteStore},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    fakes::git::{self, GitServer},
    sandbox_support::{local_config, local_provider_with},
    support::not_run,
};

/// Longest an import may take on a busy machine; the first one builds the template.
const IMPORT_TIME_MAX: Duration = Duration::from_secs(300);

/// A server whose sandboxes are real and trust the git host.
pub(crate) struct CodeServer {
    pub(crate) running: RunningServer,
    pub(crate) http: reqwest::Client,
    pub(crate) git: GitServer,
    _folder: TempDir,
}

impl CodeServer {
    /// `None`, said loudly, where there can be none.
    pub(crate) async fn start(suite: &str) -> Option<Self> {
        Self::start_at_speed(suite, 0).await
    }

    /// The same with a demo model of this speed.
    pub(crate) async fn start_at_speed(suite: &str, speed: u32) -> Option<Self> {
        Self::start_with_model(suite, Arc::new(DemoModel::new(DemoConfig { speed }))).await
    }

    /// The same with another model.
    pub(crate) async fn start_with_model(suite: &str, models: Arc<dyn ModelProvider>) -> Option<Self> {
        if !git::can_host() {
            not_run(&format!("{suite}: there is no git with an HTTP backend"));
            return None;
        }
        let git = GitServer::start().await;
        let sandboxes =
            local_provider_with(suite, LocalConfig { ca_file: Some(git.ca_file()), ..local_config() }).await?;
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().to_str().expect("text");
        let arguments = ["cobuild", "--port", "0", "--data-dir", data, "--git-hosts", &git.hosts()];
        let config = Cli::parse_from(arguments).config;
        let providers = Providers {
            store: Arc::new(SqliteStore::open(folder.path(), &SqliteOptions::default()).expect("a store")),
            models,
            sandboxes,
            timing: Timing::default(),
            connections_max: CONNECTIONS_MAX,
            projects: ProjectSettings { sandbox_on_join: false, ..ProjectSettings::default() },
        };
        let running = RunningServer::start_with(&config, providers).await.expect("a server");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Some(Self { running, http, git, _folder: folder })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address())
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        self.http.get(self.url(path)).send().await.expect("an answer").json().await.expect("JSON")
    }

    /// Cancels the newest run of the newest project.
    pub(crate) async fn cancel_newest_run(&self) {
        let projects = self.json("/api/v1/projects").await;
        let project = projects["projects"][0]["project"].as_str().expect("a project");
        let state = self.json(&format!("/api/v1/projects/{project}")).await;
        let run = state["state"]["runs"].as_array().and_then(|runs| runs.last()).expect("a run")["run"].clone();
        let (status, reply) = self.command(project, json!({ "type": "cancel", "id": "stop", "run": run })).await;
        assert_eq!(status, 202, "{reply}");
    }

    async fn command(&self, project: &str, command: Value) -> (u16, Value) {
        let url = self.url(&format!("/api/v1/projects/{project}/commands"));
        let answer = self.http.post(url).json(&command).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    /// Imports a repository into a new project; returns the events of the run.
    async fn import(&self, project: &str, name: &str) -> Vec<Value> {
        let body = json!({ "project": project });
        self.http.post(self.url("/api/v1/projects")).json(&body).send().await.expect("an answer");
        let url = format!("https://github.com/{name}");
        let (status, reply) =
            self.command(project, json!({ "type": "import_repository", "id": "i", "url": url })).await;
        assert_eq!(status, 202, "{reply}");
        self.run(project, reply["run"].as_str().expect("a run")).await
    }

    /// The events of a run that has ended.
    async fn run(&self, project: &str, run: &str) -> Vec<Value> {
        let ended = async {
            loop {
                let log = self.http.get(self.url(&format!("/api/v1/projects/{project}/log"))).send().await;
                let log = log.expect("an answer").text().await.expect("text");
                let frames = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
                let frames: Vec<Value> = frames.filter(|frame| frame["run"] == run).collect();
                if frames.last().is_some_and(|frame| frame["type"] == "run_finished") {
                    return frames;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(IMPORT_TIME_MAX, ended).await.unwrap_or_else(|_| panic!("{project}: {run} does not end"))
    }

    async fn paths(&self, project: &str) -> Vec<String> {
        let files = self.json(&format!("/api/v1/projects/{project}/files")).await;
        let files = files["files"].as_array().expect("a list").iter();
        files.map(|file| file["path"].as_str().expect("text").to_owned()).collect()
    }
}

fn of<'a>(frames: &'a [Value], kind: &str) -> Vec<&'a Value> {
    frames.iter().filter(|frame| frame["type"] == kind).collect()
}

#[track_caller]
fn imported(frames: &[Value]) -> &Value {
    assert_eq!(frames.last().expect("an end")["outcome"], "completed", "{frames:#?}");
    let found = of(frames, "repository_imported");
    assert_eq!(found.len(), 1);
    found[0]
}

#[track_caller]
fn failure(frames: &[Value]) -> (&str, &str) {
    let end = frames.last().expect("an end");
    assert_eq!(end["outcome"], "failed", "{end}");
    assert!(of(frames, "repository_imported").is_empty() && of(frames, "file_written").is_empty());
    (end["error"]["code"].as_str().expect("a code"), end["error"]["message"].as_str().expect("a sentence"))
}

#[tokio::test]
async fn a_repository_becomes_the_projects_files() {
    let Some(server) = CodeServer::start("import").await else { return };
    let commands = "mkdir -p app docs && echo 'print(1)' > app/main.py && echo '# ü ✓' > 'docs/grüße ✓.md'
        echo run > run.sh && chmod +x run.sh && printf '\\0\\1\\377' > logo.bin && head -c 1100000 /dev/zero > big.bin
        ln -s /etc/passwd passwd && ln -s .. up && printf q > 'we\"ird'
        printf '*.py filter=evil\\n' > .gitattributes
        mkdir -p .github && echo on: push > .github/ci.yml";
    server.git.host("a/real", "trunk", Some(commands));
    let frames = server.import("real", "a/real.git").await;
    let event = imported(&frames);
    assert_eq!((&event["name"], &event["branch"], &event["files"]), (&json!("real"), &json!("trunk"), &json!(6)));
    assert_eq!(event["left_out_total"], 4, "{event}");
    let left_out = event["left_out"].to_string();
    for (name, reason) in
        [("passwd", "a symbolic link"), ("up", "a symbolic link"), ("big.bin", "larger than 1024 KiB")]
    {
        assert!(left_out.contains(&format!("{{\"name\":\"{name}\",\"reason\":\"{reason}\"}}")), "{left_out}");
    }
    assert_eq!(
        server.paths("real").await,
        [".gitattributes", ".github/ci.yml", "app/main.py", "docs/grüße ✓.md", "logo.bin", "run.sh"]
    );
    let file = server.http.get(server.url("/api/v1/projects/real/files/logo.bin")).send().await.expect("an answer");
    assert_eq!(file.bytes().await.expect("bytes"), &b"\0\x01\xff"[..]);
    let state = server.json("/api/v1/projects/real").await;
    assert_eq!(
        (&state["state"]["repository"]["seq"], &state["state"]["repository"]["commit"]),
        (&event["seq"], &event["commit"])
    );

    // What changes from here on is what was done here.
    let since = format!("/api/v1/projects/real/diff?from={}", event["seq"]);
    let diff =
        async || server.http.get(server.url(&since)).send().await.expect("an answer").text().await.expect("text");
    assert_eq!(diff().await, "");
    let (_, reply) =
        server.command("real", json!({ "type": "generate", "id": "g", "prompt": "Add error handling" })).await;
    let frames = server.run("real", reply["run"].as_str().expect("a run")).await;
    assert_eq!(frames.last().expect("an end")["outcome"], "completed", "{frames:#?}");
    let text = diff().await;
    assert!(text.starts_with("diff --git a/COBUILD_DEMO.md b/COBUILD_DEMO.md\nnew file mode 100644\n"), "{text}");
    assert!(text.contains("\n+> Add error handling\n"), "{text}");

    // Nothing but the import was let through, and only while it lasted.
    let (_, reply) = server
        .command(
            "real",
            json!({ "type": "exec", "id": "e", "command": "ls -a; NO_PROXY= git ls-remote https://github.com/a/real" }),
        )
        .await;
    let frames = server.run("real", reply["run"].as_str().expect("a run")).await;
    assert_eq!(frames.last().expect("an end")["outcome"], "failed");
    let said: String = of(&frames, "exec_output").iter().map(|frame| frame["text"].as_str().expect("text")).collect();
    assert!(said.contains("403") && !said.contains(".git\n") && !said.contains("passwd"), "{said}");
}

#[tokio::test]
async fn an_empty_repository_is_an_empty_project() {
    let Some(server) = CodeServer::start("import").await else { return };
    server.git.host("a/empty", "main", None);
    let frames = server.import("empty", "a/empty").await;
    let event = imported(&frames);
    assert_eq!((event.get("commit"), &event["files"]), (None, &json!(0)));
    assert!(server.paths("empty").await.is_empty());
}

#[tokio::test]
async fn a_submodule_is_left_out_and_named() {
    let Some(server) = CodeServer::start("import").await else { return };
    let commands = "echo x > file && git init -q vendor/lib
        (cd vendor/lib && echo y > y && git add y && git commit -q -m y)
        printf '[submodule \"lib\"]\\n\\tpath = vendor/lib\\n\\turl = https://evil.example/x\\n' > .gitmodules";
    server.git.host("a/super", "main", Some(commands));
    let frames = server.import("super", "a/super").await;
    let event = imported(&frames);
    assert_eq!(event["left_out"], json!([{ "name": "vendor/lib", "reason": "a submodule" }]));
    assert_eq!(server.paths("super").await, [".gitmodules", "file"]);
}

/// Imports a repository that is too large into the project `large`, which stays as it was.
pub(crate) async fn is_too_large(server: &CodeServer, name: &str) {
    let frames = server.import("large", name).await;
    assert_eq!(failure(&frames).0, "too_large", "{frames:?}");
    assert!(server.paths("large").await.contains(&"src/App.jsx".to_owned()), "the project is as it was");
}

#[tokio::test]
async fn missing_and_private_ones_are_refused_and_change_nothing() {
    let Some(server) = CodeServer::start("import").await else { return };
    let frames = server.import("missing", "a/missing").await;
    let (code, sentence) = failure(&frames);
    assert!(
        code == "unsupported" && sentence.starts_with("Failed to clone repository. Exit code: 128. Error: fatal:"),
        "{sentence}"
    );
    assert!(sentence.contains("not found"), "{sentence}");
    assert_eq!(of(&frames, "exec_finished")[0]["exit_code"], 128);

    let frames = server.import("private", "private/x").await;
    assert!(failure(&frames).1.contains("does not exist, or it is private"), "{frames:?}");

    let command = json!({ "type": "import_repository", "id": "u", "url": "https://127.0.0.1/a/b" });
    let (status, reply) = server.command("missing", command).await;
    assert_eq!((status, &reply["code"]), (400, &json!("bad_request")), "{reply}");
}
