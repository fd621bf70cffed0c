use futures_util::{FutureExt, StreamExt};

use super::{
    catalogue::{APPS, App},
    wish::{Change, Scheme},
    *,
};
use crate::{
    codegen::{
        edit_match::apply_edits,
        packages::PackageCollector,
        reply::{ParsedReply, ReplyChange, parse_reply},
    },
    project::model_provider::{ContextFile, Turn},
};

fn request(prompt: &str, files: &[ContextFile]) -> ModelRequest {
    let turn = Turn { role: MessageRole::User, text: prompt.to_owned() };
    ModelRequest { model: DEMO_MODEL.to_owned(), files: files.to_vec(), turns: vec![turn], ..ModelRequest::default() }
}

/// A project that takes every reply as a run would.
#[derive(Default)]
struct Project {
    files: Vec<ContextFile>,
}

impl Project {
    fn with(prompt: &str) -> Self {
        let mut project = Self::default();
        project.ask(prompt);
        project
    }

    fn ask(&mut self, prompt: &str) -> ParsedReply {
        let reply = parse_reply(&answer::to(prompt, &self.files));
        assert!(!reply.is_cut() && reply.refused_files.is_empty(), "{prompt}: {reply:?}");
        for file in &reply.files {
            let present = self.files.iter().position(|known| known.path == file.path);
            let text = match &file.change {
                ReplyChange::Whole(text) => text.clone(),
                ReplyChange::Edit(blocks) => {
                    let present = present.expect("an edited file exists");
                    let text = self.files[present].text.as_deref().expect("has text");
                    apply_edits(text, blocks).expect("the edit matches")
                }
            };
            let file = ContextFile { path: file.path.clone(), text: Some(text) };
            match present {
                Some(at) => self.files[at] = file,
                None => self.files.push(file),
            }
        }
        reply
    }

    fn text(&self, path: &str) -> &str {
        let file = self.files.iter().find(|file| file.path.as_str() == path).expect(path);
        file.text.as_deref().expect("has text")
    }
}

fn paths(reply: &ParsedReply) -> Vec<&str> {
    reply.files.iter().map(|file| file.path.as_str()).collect()
}

fn app(name: &str) -> &'static App {
    APPS.iter().find(|app| app.name.contains(name)).expect(name)
}

#[test]
fn finds_the_app_by_the_words_of_the_prompt() {
    for (prompt, expected) in [
        ("A todo list", "todo"),
        ("todo", "todo"),
        ("Build me a to-do app, please!", "todo"),
        ("I need a list of tasks to tick off", "todo"),
        ("a shopping list", "todo"),
        ("something to keep track of my chores", "todo"),
        ("TODOS!!!", "todo"),
        ("A login form with email and password", "login"),
        ("a sign-in page", "login"),
        ("Login", "login"),
        ("a form that asks for my email", "login"),
        ("let users log in to their account", "login"),
        ("A counter", "counter"),
        ("count things with a button", "counter"),
        ("a tally for push-ups", "counter"),
        ("A simple counter with plus and minus", "counter"),
        ("Notes with markdown", "notes"),
        ("a place to write my diary", "notes"),
        ("a markdown editor", "notes"),
        ("Let me take notes.", "notes"),
        ("A kanban board", "kanban"),
        ("a task board with columns", "kanban"),
        ("something like Trello", "kanban"),
        ("plan our sprint", "kanban"),
        ("a board to drag tasks around", "kanban"),
        ("A dashboard with charts", "dashboard"),
        ("show sales and revenue as graphs", "dashboard"),
        ("an analytics page", "dashboard"),
        ("Admin dashboard, please", "dashboard"),
        ("charts for my statistics", "dashboard"),
        ("A landing page", "landing"),
        ("a website for my startup", "landing"),
        ("marketing homepage", "landing"),
        ("a landing page for a todo list", "landing"),
        ("tic-tac-toe", "tic-tac-toe"),
        ("Tic Tac Toe against the computer", "tic-tac-toe"),
        ("TicTacToe game", "tic-tac-toe"),
        ("a simple board game", "tic-tac-toe"),
        ("let us play noughts and crosses", "tic-tac-toe"),
        ("a dashboard and then a todo list", "dashboard"),
    ] {
        assert_eq!(wish::read(prompt).app.map(|app| app.name), Some(app(expected).name), "{prompt}");
    }
}

#[test]
fn admits_what_it_has_no_answer_for() {
    for prompt in [
        "",
        " ",
        "hello",
        "?",
        "a form",
        "a page",
        "write a compiler",
        "an account of the war",
        "my mastodon client",
        "a discounter",
        "a snake game",
        "a weather widget",
        "chess",
        "noteworthy dashboards2",
        "a traffic light simulator",
        "ü",
        "make it better",
        "Fix the bug",
    ] {
        assert_eq!(wish::read(prompt).app, None, "{prompt}");
        let reply = parse_reply(&answer::to(prompt, &[]));
        assert!(reply.files.is_empty() && reply.text.contains("a todo list"), "{prompt}: {}", reply.text);
    }
}

#[test]
fn reads_changes() {
    let title = |text: &str| vec![Change::Title(text.to_owned())];
    let dark = Change::Scheme(Scheme::Dark);
    let light = Change::Scheme(Scheme::Light);
    for (prompt, expected) in [
        ("make it dark", vec![dark.clone()]),
        ("Dark mode please", vec![dark.clone()]),
        ("dark", vec![dark.clone()]),
        ("switch from dark to light", vec![light.clone()]),
        ("back to light", vec![light]),
        ("add a dark mode toggle", vec![]),
        ("I was left in the dark about all of this", vec![]),
        ("change the title to Groceries", title("Groceries")),
        ("Change the title to \"Milk, eggs & more\".", title("Milk, eggs & more")),
        ("please set its headline to “What’s next?”", title("What’s next?")),
        ("rename it to My Day", title("My Day")),
        ("call it The Dark List", title("The Dark List")),
        ("change the title of the page to be Ada's list!", title("Ada's list!")),
        ("change the title to Groceries and make it dark", vec![dark.clone(), Change::Title("Groceries".to_owned())]),
        ("change the title", vec![]),
        ("change the title to", vec![]),
        ("change the title to ''", vec![]),
        ("add a clear button", vec![Change::Clear]),
        ("a button that clears completed ones", vec![Change::Clear]),
        ("add a reset button", vec![Change::Clear]),
        ("it needs a clear structure", vec![]),
        ("remove the clear button", vec![]),
        ("add a footer", vec![Change::Footer]),
        ("no footer", vec![]),
        ("make it dark and add a footer", vec![dark, Change::Footer]),
    ] {
        assert_eq!(wish::read(prompt).changes, expected, "{prompt}");
    }
    for (prompt, expected) in [
        ("make it blue", Some("blue")),
        ("use violet as the accent", Some("purple")),
        ("from blue to GREEN", Some("green")),
        ("make it dark blue", Some("blue")),
        ("a greenhouse", None),
    ] {
        let accent = wish::read(prompt).changes.into_iter().find_map(|change| match change {
            Change::Accent(accent) => Some(accent.name),
            _ => None,
        });
        assert_eq!(accent, expected, "{prompt}");
    }
}

#[test]
fn every_app_is_whole() {
    for app in &APPS {
        let mut project = Project::default();
        let reply = project.ask(app.name);
        assert_eq!(paths(&reply).len(), app.files.len(), "{}", app.name);
        assert!(project.text("src/index.css").starts_with("@import \"tailwindcss\";"), "{}", app.name);
        assert!(reply.text.starts_with(app.intro) && reply.text.ends_with(app.outro), "{}", reply.text);
        assert_eq!(catalogue::app_of(&project.files), Some(app), "{} knows itself", app.name);
        for file in &project.files {
            let text = file.text.as_deref().unwrap_or_default();
            for import in text.lines().filter_map(|line| line.split_once(" from './")?.1.strip_suffix('\'')) {
                let base = if file.path.as_str().starts_with("src/components/") { "src/components/" } else { "src/" };
                let target = format!("{base}{import}");
                assert!(project.files.iter().any(|file| file.path.as_str() == target), "{}: {target}", app.name);
            }
        }
    }
}

#[test]
fn no_app_needs_a_package_but_the_dashboard() {
    for app in &APPS {
        let mut collector = PackageCollector::new(Some(r#"{"dependencies":{"react":"19","tailwindcss":"4"}}"#));
        for (path, text) in app.files {
            collector.add_imports(&path.parse().expect("valid"), text);
        }
        let needed = collector.finish();
        let names: Vec<&str> = needed.packages.iter().map(|package| package.name()).collect();
        let expected: &[&str] = if app.name.contains("dashboard") { &["recharts"] } else { &[] };
        assert_eq!((names.as_slice(), needed.refused.len()), (expected, 0), "{}", app.name);
    }
}

#[test]
fn every_app_takes_every_change_one_after_the_other() {
    for app in &APPS {
        let mut project = Project::with(app.name);
        let mut reply = project.ask("make it dark");
        assert_eq!(paths(&reply), ["src/index.css"], "{}", app.name);
        assert!(matches!(reply.files[0].change, ReplyChange::Edit(_)), "it is an edit");
        assert!(project.text("src/index.css").contains("color-scheme: dark;"));

        project.ask("make it pink");
        assert!(
            project.text("src/index.css").contains("--color-accent: light-dark(#db2777, #db2777);"),
            "{}",
            app.name
        );

        project.ask("change the title to Ada's \\ \"list\"");
        assert!(project.text("src/App.jsx").contains("const TITLE = 'Ada\\'s \\\\ \"list'"), "{}", app.name);
        project.ask("change the title to 'Second'");
        assert!(project.text("src/App.jsx").contains("const TITLE = 'Second'\n"), "{}", app.name);

        reply = project.ask("add a clear button");
        assert_eq!(reply.files.is_empty(), app.clear.is_none(), "{}: {}", app.name, reply.text);
        project.ask("add a footer");
        assert!(project.text("src/App.jsx").contains("<Footer name={TITLE} />"), "{}", app.name);
        assert!(project.text("src/components/Footer.jsx").contains("<footer"), "{}", app.name);

        project.ask("back to light");
        assert!(project.text("src/index.css").contains("color-scheme: light;"), "{}", app.name);
        assert_eq!(catalogue::app_of(&project.files), Some(app), "{} still knows itself", app.name);

        let before = project.files.clone();
        for again in ["make it light", "make it pink", "rename it to Second", "add a clear button", "add a footer"] {
            let reply = project.ask(again);
            assert!(reply.files.is_empty() && !reply.text.is_empty(), "{} {again}: {reply:?}", app.name);
        }
        assert_eq!(project.files, before, "{}", app.name);
    }
}

#[test]
fn several_changes_in_one_prompt_are_one_edit_per_file() {
    let mut project = Project::with("a todo list");
    let reply = project.ask("make it dark and blue, add a footer and change the title to Groceries");
    assert_eq!(paths(&reply), ["src/components/Footer.jsx", "src/index.css", "src/App.jsx"]);
    assert!(project.text("src/App.jsx").contains("const TITLE = 'Groceries'"));
    assert!(project.text("src/index.css").contains("color-scheme: dark;"));
}

#[test]
fn a_new_app_takes_wishes_with_it() {
    let project = Project::with("A dark todo list called Groceries, in green");
    assert!(project.text("src/App.jsx").contains("const TITLE = 'Groceries, in green'"));
    let mut project = Project::with("A dark todo list in green called \"Groceries\"");
    assert!(project.text("src/App.jsx").contains("const TITLE = 'Groceries'"));
    assert!(project.text("src/index.css").contains("color-scheme: dark;"));
    let reply = project.ask("now a login form, light");
    assert!(reply.files.iter().all(|file| matches!(file.change, ReplyChange::Whole(_))), "{reply:?}");
    assert_eq!(catalogue::app_of(&project.files), Some(app("login")));
    let reply = project.ask("make the login form dark");
    assert_eq!(paths(&reply), ["src/index.css"]);
}

#[test]
fn does_not_touch_what_people_made_of_it() {
    let mut project = Project::with("a counter");
    let entry = project.files.iter().position(|file| file.path.as_str() == "src/App.jsx").expect("there");
    let mine = project.text("src/App.jsx").replace("const TITLE = 'Counter'\n", "").replace("{TITLE}", "Mine");
    project.files[entry].text = Some(mine.replace("<History", "<section><History"));
    let reply = project.ask("change the title to X and add a clear button");
    assert!(reply.files.is_empty(), "{reply:?}");
    assert!(reply.text.contains("const TITLE"), "{}", reply.text);
    let reply = project.ask("make it dark");
    assert_eq!(paths(&reply), ["src/index.css"]);

    project.files.retain(|file| file.path.as_str() != "src/index.css");
    assert!(project.ask("make it light").text.contains("no `src/index.css`"));
}

#[test]
fn changes_without_an_app_are_declined() {
    let mut project = Project::default();
    for prompt in ["make it dark", "add a footer", "change the title to X"] {
        let reply = project.ask(prompt);
        assert!(reply.files.is_empty() && reply.text.starts_with("There is no app of mine"), "{}", reply.text);
    }
}

#[tokio::test]
async fn streams_text_usage_and_the_terminal_marker() {
    let model = DemoModel::new(DemoConfig { speed: 0 });
    let chunks: Vec<_> = model.stream(request("a counter", &[])).map(|chunk| chunk.expect("no error")).collect().await;
    let text: String = chunks
        .iter()
        .filter_map(|chunk| if let ModelChunk::Text(text) = chunk { Some(text.as_str()) } else { None })
        .collect();
    assert_eq!(text, answer::to("a counter", &[]));
    let Some([ModelChunk::Usage(usage), ModelChunk::Stop(StopReason::Complete)]) = chunks.last_chunk::<2>() else {
        panic!("{:?}", chunks.last());
    };
    assert!(usage.estimated && usage.output_tokens > Some(1000) && usage.cost_nano_usd == Some(0), "{usage:?}");
    assert_eq!(usage.input_tokens, Some("a counter".len() as u64 / 4));
}

#[tokio::test(start_paused = true)]
async fn the_todo_app_takes_about_thirteen_seconds() {
    let model = DemoModel::new(DemoConfig::default());
    let started = tokio::time::Instant::now();
    let count = model.stream(request("A todo list", &[])).count().await;
    let seconds = started.elapsed().as_secs();
    assert!((12..=15).contains(&seconds) && count > 100, "{seconds} s, {count} chunks");
}

#[tokio::test]
async fn the_first_words_do_not_wait_for_the_last() {
    let model = DemoModel::new(DemoConfig { speed: 0 });
    let mut stream = model.stream(request("a counter", &[]));
    assert!(matches!(stream.next().now_or_never(), Some(Some(Ok(ModelChunk::Text(_))))));
}

#[tokio::test]
async fn other_names_are_unknown() {
    let model = DemoModel::new(DemoConfig::default());
    assert_eq!(model.default_model().notice.as_deref(), Some("Demo – canned answers, no AI"));
    let mut request = request("x", &[]);
    request.model = "demo/other".to_owned();
    assert!(matches!(model.stream(request).next().await, Some(Err(ModelError::UnknownModel { .. }))));
}

/// Writes an app into a Vite project, as replies to a list of prompts would, so that it can be looked at:
/// `APP_DIR=… PROMPTS="a todo list|make it dark" cargo test --lib dump_app -- --ignored`.
#[test]
#[ignore = "writes files; for looking at the apps"]
fn dump_app() {
    let directory = std::path::PathBuf::from(std::env::var("APP_DIR").expect("APP_DIR"));
    let prompts = std::env::var("PROMPTS").expect("PROMPTS");
    let mut project = Project::default();
    for prompt in prompts.split('|') {
        println!("{prompt}: {}", project.ask(prompt).text);
    }
    for file in &project.files {
        let path = directory.join(file.path.as_str());
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("can create");
        std::fs::write(path, file.text.as_deref().unwrap_or_default()).expect("can write");
    }
}
