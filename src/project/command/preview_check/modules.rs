//! The page's modules as the dev server serves them: from the page on, everything that is imported.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use cobuild_protocol::{FilePath, event::PreviewError, value::PreviewErrorSource};
use futures_util::{StreamExt, stream};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{
    Before, Verdict,
    dev_server::{self, Answer},
    plain, shorten,
};
use crate::{
    codegen::imports,
    project::{sandbox_link::SandboxLink, sandbox_provider::SandboxError},
};

/// Most modules that are looked at: more than any app written here has.
const MODULES_MAX: usize = 400;
/// Modules asked for at once, as a browser does.
const AT_ONCE: usize = 6;
/// How long the dev server may go on serving what a script was before: it watches files, and on a busy machine it takes a
/// while to notice. What it serves says what it was made from, so nobody waits longer than that takes.
const NOTICED_WITHIN: Duration = Duration::from_secs(4);
/// The same for what does not say so: styles whose names are scoped. It prints when it has noticed.
const UNTOLD_WITHIN: Duration = Duration::from_millis(250);
/// Pause between two looks at a file that is still served as it was.
const PAUSE: Duration = Duration::from_millis(30);
/// What the dev server compiles into modules, besides styles and data.
const COMPILED: [&str; 5] = ["js", "jsx", "ts", "tsx", "mjs"];
/// The end of the names of styles whose names are scoped to a module.
const SCOPED_STYLES: &str = ".module.css";

/// Walks through all modules. `written` is what was just changed, and must be served as it is now. `styles` is the number of
/// this look among those at changed styles.
pub(super) async fn look(
    link: &SandboxLink,
    written: &BTreeMap<FilePath, String>,
    before: &Before,
    styles: Option<usize>,
) -> Verdict {
    if let Some(problem) = bad_data(written) {
        return problem;
    }
    until_noticed(link, written, before).await;
    let page = match dev_server::get(link, "/").await {
        Ok(Answer { is_error: true, body, .. }) => return Verdict::Broken(problem(&body, None)),
        Ok(answer) => answer.body,
        Err(error) => return unknown(&error),
    };
    let entries = entries(&page);
    let mut next = entries.clone();
    let own = written.keys().filter(|path| path.as_str().starts_with("src/") && COMPILED.contains(&path.extension()));
    next.extend(own.map(|path| format!("/{path}")));
    let mut seen: HashSet<String> = HashSet::new();
    while !next.is_empty() {
        next.retain(|target| seen.len() < MODULES_MAX && seen.insert(key(target)));
        let answers: Vec<_> = stream::iter(std::mem::take(&mut next))
            .map(|target| async move {
                let answer = get_current(link, &compiled_anew(&target, styles), written).await;
                (target, answer)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        for (target, answer) in answers {
            match answer {
                Ok(Answer { is_error: true, body, .. }) => return Verdict::Broken(problem(&body, Some(key(&target)))),
                // What a module imports in vain is an error of that module; nobody but the browser misses what the page
                // itself loads.
                Ok(answer) if (answer.is_page || answer.is_missing) && entries.contains(&target) => {
                    return super::broken(
                        &format!("index.html loads {target}, but there is no such file"),
                        Some("index.html".into()),
                    );
                }
                Ok(answer) => next.extend(imported(&answer.body)),
                Err(error) => return unknown(&error),
            }
        }
    }
    Verdict::Fine
}

fn unknown(error: &SandboxError) -> Verdict {
    tracing::info!(%error, "the preview could not be checked");
    Verdict::Unknown(error.to_string())
}

/// Data that is none. Nothing that the dev server serves tells what it was made from, so it is read here.
fn bad_data(written: &BTreeMap<FilePath, String>) -> Option<Verdict> {
    let is_data = |path: &&FilePath| path.as_str().starts_with("src/") && path.extension() == "json";
    written.keys().filter(is_data).find_map(|path| {
        let text = written[path].trim_start_matches('\u{feff}');
        let error = serde_json::from_str::<IgnoredAny>(text).err()?;
        Some(super::broken(&format!("{path} is not valid JSON: {error}"), Some(path.to_string())))
    })
}

/// Styles have no source map that tells what they were made from, and for a moment after a change the dev server serves what
/// it remembers. Under a name it has not compiled since the last change it compiles them from the file, and an error is seen
/// for certain. There are two such names, taken in turn: each is forgotten with the change that the other one looks at.
fn compiled_anew(target: &str, look: Option<usize>) -> String {
    let path = key(target);
    match look {
        Some(look) if path.ends_with(".css") && !path.ends_with(SCOPED_STYLES) => {
            format!("/{path}?cobuild-look={}", look % 2)
        }
        _ => target.to_owned(),
    }
}

/// Scoped styles are not asked for under another name: a change would then load the page anew. When the dev server has
/// noticed that they changed, it prints so; what it has not served yet it does not follow, so the wait has an end.
async fn until_noticed(link: &SandboxLink, written: &BTreeMap<FilePath, String>, before: &Before) {
    let is_untold = |path: &&FilePath| path.as_str().starts_with("src/") && path.as_str().ends_with(SCOPED_STYLES);
    let untold: Vec<&FilePath> = written.keys().filter(is_untold).collect();
    let is_noticed =
        |log: &str, path: &FilePath| log.lines().any(|line| is_update(line) && line.contains(path.as_str()));
    let started = tokio::time::Instant::now();
    while started.elapsed() < UNTOLD_WITHIN {
        let log = before.news(link);
        if untold.iter().all(|path| is_noticed(&log, path)) {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_update(line: &str) -> bool {
    line.contains("hmr update") || line.contains("page reload")
}

/// A module as it is now.
///
/// # Errors
///
/// It is not to be had; [`SandboxError::TimedOut`]: what is served is what it was before.
async fn get_current(
    link: &SandboxLink,
    target: &str,
    written: &BTreeMap<FilePath, String>,
) -> Result<Answer, SandboxError> {
    let content = made_from(target, written);
    let started = tokio::time::Instant::now();
    loop {
        let answer = dev_server::get(link, target).await?;
        // Errors are never remembered by the dev server, so they are current.
        let is_old = !answer.is_error && content.is_some_and(|content| is_of(&answer.body, content) == Some(false));
        if !is_old {
            return Ok(answer);
        }
        if started.elapsed() > NOTICED_WITHIN {
            let sentence = format!("the dev server goes on serving {} as it was before the change", key(target));
            return Err(SandboxError::TimedOut(sentence));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a module must have been made from, where it tells. Data comes with a source map, too, but one that holds the script
/// that was made of it.
fn made_from<'a>(target: &str, written: &'a BTreeMap<FilePath, String>) -> Option<&'a String> {
    let path = key(target).parse::<FilePath>().ok()?;
    if COMPILED.contains(&path.extension()) { written.get(&path) } else { None }
}

/// Whether a served module was made from this text, which its source map tells; `None`: it has none.
fn is_of(module: &str, content: &str) -> Option<bool> {
    let (_, map) = module.rsplit_once("//# sourceMappingURL=data:application/json;base64,")?;
    let map = BASE64.decode(map.split_whitespace().next()?).ok()?;
    let map: Value = serde_json::from_slice(&map).ok()?;
    let sources = map.get("sourcesContent")?.as_array()?;
    let source = sources.iter().find_map(Value::as_str)?;
    Some(same_text(source, content))
}

/// Whether two texts are the same but for what compilers leave out: a mark of the byte order, the kind of line ends, blanks
/// around it.
fn same_text(one: &str, other: &str) -> bool {
    let lines = |text: &str| text.trim_start_matches('\u{feff}').trim().lines().map(str::to_owned).collect::<Vec<_>>();
    lines(one) == lines(other)
}

/// A target without leading slash and query: the path of its file.
fn key(target: &str) -> String {
    target.split(['?', '#']).next().unwrap_or_default().trim_start_matches('/').to_owned()
}

/// The scripts of the page that are the project's own.
fn entries(page: &str) -> Vec<String> {
    let scripts = page.match_indices("<script").filter_map(|(at, _)| page[at..].split('>').next());
    let sources = scripts.filter_map(|tag| {
        let behind = tag.split_once("src=")?.1;
        let quote = behind.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        behind[1..].split(quote).next()
    });
    sources.filter(|source| is_own(source)).map(str::to_owned).collect()
}

fn imported(module: &str) -> Vec<String> {
    imports::of_script(module).into_iter().filter(|specifier| is_own(specifier)).map(str::to_owned).collect()
}

/// Whether a target is a file of the project rather than a package or a part of the dev server. What the server injects is
/// served by it, not by the dev server.
fn is_own(target: &str) -> bool {
    target.starts_with('/')
        && !target.starts_with("//")
        && !target.starts_with("/@")
        && !target.starts_with("/node_modules/")
        && !target.starts_with("/__cobuild/")
}

/// The error that an answer of the dev server shows.
fn problem(body: &str, file: Option<String>) -> PreviewError {
    let shown = overlay(body);
    let text = |name: &str| shown.as_ref().and_then(|error| error.get(name)?.as_str()).map(plain);
    let message = match (text("message"), text("frame")) {
        (Some(message), Some(frame)) if !message.contains(frame.trim()) => format!("{message}\n{frame}"),
        (Some(message), _) => message,
        (None, _) => body.to_owned(),
    };
    let named = text("id").and_then(|id| {
        let id = id.split('?').next().unwrap_or_default().to_owned();
        id.find("/src/").map(|at| id[at + 1..].to_owned())
    });
    let file = named.or(file).filter(|file| !file.is_empty());
    PreviewError { message: shorten(&message), file, source: PreviewErrorSource::Build }
}

/// What the page of an error gives to Vite's overlay.
fn overlay(body: &str) -> Option<Value> {
    let (_, json) = body.split_once("const error = ")?;
    serde_json::Deserializer::from_str(json).into_iter::<Value>().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overlays_words_are_found() {
        let body = "<script type=\"module\">\nconst error = {\"message\":\"\\u001b[31mUnexpected token\\u001b[39m\",\
                    \"frame\":\"1 | <\\n  | ^\",\"id\":\"/project/src/a/B.jsx?t=1\",\"stack\":\"x\"}\ntry {";
        let found = problem(body, Some("src/App.jsx".into()));
        assert_eq!(
            (found.message.as_str(), found.file.as_deref()),
            ("Unexpected token\n1 | <\n  | ^", Some("src/a/B.jsx"))
        );
        let found = problem("plain words", Some("src/App.jsx".into()));
        assert_eq!((found.message.as_str(), found.file.as_deref()), ("plain words", Some("src/App.jsx")));
    }

    #[test]
    fn modules_lead_to_modules() {
        let page = "<script type=\"module\" src=\"/@vite/client\"></script><script src='/src/main.jsx' type=module></script>\
                    <script src=\"https://x.y/z.js\"></script><script>1</script>";
        assert_eq!(entries(page), ["/src/main.jsx"]);
        let module = "import { x } from \"/node_modules/.vite/deps/react.js?v=1\";\nimport data from \"/src/data.json?import\";\n\
                      import \"/src/index.css?t=2\";";
        assert_eq!(imported(module), ["/src/data.json?import", "/src/index.css?t=2"]);
        assert_eq!(key("/src/index.css?t=2"), "src/index.css");
    }

    #[test]
    fn styles_are_compiled_anew_at_each_look() {
        for (target, look, expected) in [
            ("/src/index.css", Some(0), "/src/index.css?cobuild-look=0"),
            ("/src/index.css?t=17", Some(3), "/src/index.css?cobuild-look=1"),
            ("/src/index.css", None, "/src/index.css"),
            ("/src/a.module.css", Some(0), "/src/a.module.css"),
            ("/src/App.jsx?t=1", Some(0), "/src/App.jsx?t=1"),
        ] {
            assert_eq!(compiled_anew(target, look), expected);
        }
    }

    #[test]
    fn data_is_read_as_the_browser_would() {
        let check = |path: &str, text: &str, says: Option<&str>| {
            let written = BTreeMap::from([(path.parse().expect("valid"), text.to_owned())]);
            match (bad_data(&written), says) {
                (Some(Verdict::Broken(problem)), Some(says)) => assert!(problem.message.contains(says), "{problem:?}"),
                (None, None) => {}
                _ => panic!("{path} {text}"),
            }
        };
        check("src/a.json", "{ \"a\": 1, }", Some("src/a.json is not valid JSON: key must be a string at line 1"));
        check("src/a.json", "", Some("EOF"));
        check("src/a.json", "\u{feff}[1]\n", None);
        check("public/a.json", "{", None);
    }

    #[test]
    fn only_scripts_tell_what_they_were_made_from() {
        let file = |path: &str| (path.parse().expect("valid"), "text".to_owned());
        let written = BTreeMap::from([file("src/a.jsx"), file("src/a.json"), file("src/a.css")]);
        for (target, tells) in [
            ("/src/a.jsx?t=1", true),
            ("/src/a.json?import", false),
            ("/src/a.css?cobuild-look=1", false),
            ("/src/b.jsx", false),
        ] {
            assert_eq!(made_from(target, &written).is_some(), tells, "{target}");
        }
    }

    #[test]
    fn a_source_map_tells_what_a_module_was_made_from() {
        let map = BASE64.encode(r#"{"version":3,"sourcesContent":["one\n"]}"#);
        let module = format!("code\n//# sourceMappingURL=data:application/json;base64,{map}\n");
        assert_eq!(is_of(&module, "one"), Some(true));
        assert_eq!(is_of(&module, "two"), Some(false));
        assert_eq!(is_of("code", "two"), None);
        assert!(same_text("\u{feff}a\r\nb", "a\nb\n") && !same_text("a\n\nb", "a\nb"));
    }
}
