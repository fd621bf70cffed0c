//! Which files matter most for a prompt: those it mentions, what they import, and what was edited last. When not every
//! file's text fits into a model's window, these come first.

use std::collections::{HashMap, HashSet};

use cobuild_protocol::FilePath;

use super::imports;

/// Shortest name by which a file is taken as mentioned without its extension: `App` is, `a` is not.
const STEM_CHARS_MIN: usize = 3;
/// What may be left out at the end of an import, and what is then tried, in Vite's order.
const ENDINGS: [&str; 9] = ["", ".mjs", ".js", ".mts", ".ts", ".jsx", ".tsx", ".json", "/index.js"];
/// Further endings of directories.
const INDEX_ENDINGS: [&str; 3] = ["/index.jsx", "/index.ts", "/index.tsx"];

/// The files to show first, most important first. `edited` are those changed last, newest first.
#[must_use]
pub fn important<'a>(
    prompt: &str,
    files: impl IntoIterator<Item = (&'a FilePath, Option<&'a str>)>,
    edited: &[FilePath],
) -> Vec<FilePath> {
    let texts: HashMap<&FilePath, Option<&str>> = files.into_iter().collect();
    let mut paths: Vec<&FilePath> = texts.keys().copied().collect();
    paths.sort();
    let mentioned = paths.iter().copied().filter(|path| is_mentioned(prompt, path));
    let mut ordered: Vec<&FilePath> = mentioned.collect();
    let mut seen: HashSet<&FilePath> = ordered.iter().copied().collect();
    // Breadth first: what a mentioned file imports itself says more about it than what that imports.
    let mut at = 0;
    while at < ordered.len() {
        let path = ordered[at];
        let text = texts.get(path).copied().flatten().unwrap_or_default();
        for specifier in local_imports(path, text) {
            if let Some(found) = resolve(path, &specifier, |path| texts.get_key_value(path).map(|(path, _)| *path))
                && seen.insert(found)
            {
                ordered.push(found);
            }
        }
        at += 1;
    }
    ordered.extend(
        edited
            .iter()
            .filter_map(|path| texts.get_key_value(path).map(|(path, _)| *path))
            .filter(|path| seen.insert(path)),
    );
    ordered.into_iter().cloned().collect()
}

/// Whether a prompt speaks of a file: by its path, its name, or – as a word of its own – its name without extension.
fn is_mentioned(prompt: &str, path: &FilePath) -> bool {
    let name = path.name();
    if prompt.contains(path.as_str()) || has_word(prompt, name) {
        return true;
    }
    let stem = name.split('.').next().unwrap_or_default();
    // A lower-case stem is an ordinary word (`index`, `main`, `data`): only with a capital is it a component's name.
    stem.chars().count() >= STEM_CHARS_MIN && stem.starts_with(char::is_uppercase) && has_word(prompt, stem)
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// What a file imports from the project itself, as written.
fn local_imports(path: &FilePath, text: &str) -> Vec<String> {
    let specifiers = match path.extension() {
        "js" | "jsx" | "ts" | "tsx" | "mjs" => imports::of_script(text),
        _ => return Vec::new(),
    };
    specifiers.into_iter().filter(|specifier| specifier.starts_with(['.', '/'])).map(str::to_owned).collect()
}

/// The file that an import means, by Vite's rules: relative to the importer, or to the root; the extension may be
/// missing. `find` says whether there is a file.
pub fn resolve<T>(importer: &FilePath, specifier: &str, find: impl Fn(&FilePath) -> Option<T>) -> Option<T> {
    let specifier = specifier.split(['?', '#']).next().unwrap_or_default();
    let (base, relative) = match specifier.strip_prefix('/') {
        Some(rest) => (Vec::new(), rest),
        None => {
            let directory = importer.as_str().rsplit_once('/').map_or("", |(directory, _)| directory);
            (directory.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>(), specifier)
        }
    };
    let mut parts = base;
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    let candidates = ENDINGS.iter().chain(&INDEX_ENDINGS).map(|ending| format!("{joined}{ending}"));
    candidates.filter_map(|path| path.parse().ok()).find_map(|path: FilePath| find(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [(&str, &str); 7] = [
        ("src/App.jsx", "import Card from './components/Card';\nimport './index.css';"),
        ("src/components/Card.jsx", "import { money } from '../lib/money.js';"),
        ("src/components/Button.jsx", ""),
        ("src/index.css", ""),
        ("src/lib/money.js", "import list from './list'"),
        ("src/lib/list/index.js", ""),
        ("src/main.jsx", "import App from './App.jsx'"),
    ];

    #[track_caller]
    fn check(prompt: &str, edited: &[&str], expected: &[&str]) {
        let files: Vec<(FilePath, &str)> =
            FILES.iter().map(|(path, text)| (path.parse().expect("valid"), *text)).collect();
        let edited: Vec<FilePath> = edited.iter().map(|path| path.parse().expect("valid")).collect();
        let found = important(prompt, files.iter().map(|(path, text)| (path, Some(*text))), &edited);
        assert_eq!(found.iter().map(FilePath::as_str).collect::<Vec<_>>(), expected, "{prompt}");
    }

    #[test]
    fn what_is_mentioned_comes_first_then_what_it_imports_then_what_was_edited() {
        check("make it nice", &[], &[]);
        check("make it nice", &["src/main.jsx", "gone.js"], &["src/main.jsx"]);
        check(
            "the Card is broken",
            &["src/index.css", "src/lib/money.js"],
            &["src/components/Card.jsx", "src/lib/money.js", "src/lib/list/index.js", "src/index.css"],
        );
        check("in src/index.css, please", &[], &["src/index.css"]);
        check("money.js rounds badly", &[], &["src/lib/money.js", "src/lib/list/index.js"]);
    }

    #[test]
    fn ordinary_words_mention_nothing() {
        check("the main thing is money on the index", &[], &[]);
        check("Cards and BigButtons", &[], &[]);
        check("Application", &[], &[]);
    }

    #[test]
    fn imports_lead_to_files() {
        let importer: FilePath = "src/a/b.jsx".parse().expect("valid");
        for (specifier, expected) in [
            ("./c", "src/a/c.js"),
            ("../c.css?inline", "src/c.css"),
            ("/src/x.jsx", "src/x.jsx"),
            ("../../public/y.svg", "public/y.svg"),
        ] {
            let found = resolve(&importer, specifier, |path| (path.as_str() == expected).then_some(()));
            assert!(found.is_some(), "{specifier}");
        }
        assert!(resolve(&importer, "../../../x", |_| Some(())).is_none(), "nothing is above the root");
    }
}
