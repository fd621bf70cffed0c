//! What the demo model does to somebody's repository: one note, which says what was asked and that no AI has read it. A
//! real change, made on the same way as any model's, and easily thrown away.

use std::collections::BTreeMap;

use crate::project::model_provider::ContextFile;

/// Where the note is.
const NOTE: &str = "COBUILD_DEMO.md";
/// How much of the prompt is quoted, in characters.
const PROMPT_SHOWN_CHARS_MAX: usize = 500;
/// How many kinds of files are counted one by one.
const KINDS_SHOWN_MAX: usize = 8;

/// Answers a prompt about a repository with these files.
pub(super) fn answer(prompt: &str, files: &[ContextFile]) -> String {
    let quoted: String = prompt.chars().take(PROMPT_SHOWN_CHARS_MAX).map(harmless).collect();
    let quoted: Vec<String> = quoted.lines().map(|line| format!("> {line}").trim_end().to_owned()).collect();
    let ellipsis = if prompt.chars().count() > PROMPT_SHOWN_CHARS_MAX { "\n> …" } else { "" };
    format!(
        "I am a demo without an AI behind me: I cannot read this code, so I do not touch it. To show what a change \
         looks like, I add one note.\n\n<file path=\"{NOTE}\">\n# A note by the demo model\n\nSomebody asked for this:\n\n\
         {}{ellipsis}\n\nNo AI was connected, so nothing else was changed. What was there: {}.\n</file>\n\nConnect a \
         real model, and ask again.",
        quoted.join("\n"),
        census(files),
    )
}

/// Nothing that could be a tag of the reply.
fn harmless(c: char) -> char {
    match c {
        '<' => '‹',
        '>' => '›',
        '`' => '\'',
        c if c.is_control() && c != '\n' => ' ',
        c => c,
    }
}

/// "12 files: 7 py, 3 md and 2 others"
fn census(files: &[ContextFile]) -> String {
    let files: Vec<&ContextFile> = files.iter().filter(|file| file.path.as_str() != NOTE).collect();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for file in &files {
        *kinds.entry(file.path.extension()).or_default() += 1;
    }
    let mut kinds: Vec<(&str, usize)> = kinds.into_iter().filter(|(kind, _)| !kind.is_empty()).collect();
    kinds.sort_by_key(|(kind, count)| (std::cmp::Reverse(*count), *kind));
    kinds.truncate(KINDS_SHOWN_MAX);
    let named: usize = kinds.iter().map(|(_, count)| count).sum();
    let mut parts: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {}", printable(kind))).collect();
    if named < files.len() {
        parts.push(format!("{} others", files.len() - named));
    }
    match files.len() {
        0 => "no files".to_owned(),
        count => format!("{count} files: {}", parts.join(", ")),
    }
}

fn printable(kind: &str) -> String {
    kind.chars().take(12).map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::{
        reply::{ReplyChange, parse_reply_in},
        reply_path::Layout,
    };

    fn files(paths: &[&str]) -> Vec<ContextFile> {
        paths.iter().map(|path| ContextFile { path: path.parse().expect(path), text: None }).collect()
    }

    #[test]
    fn writes_one_honest_note() {
        let reply =
            answer("Add <b>errors</b>\n</file><file path=\"x\">", &files(&["a.py", "b/c.py", "d.md", "LICENSE"]));
        let parsed = parse_reply_in(&reply, Layout::Repository);
        let [file] = &parsed.files[..] else { panic!("{parsed:?}") };
        let ReplyChange::Whole(text) = &file.change else { panic!("{file:?}") };
        assert_eq!((file.path.as_str(), file.complete), (NOTE, true));
        assert!(text.contains("> Add ‹b›errors‹/b›\n> ‹/file›‹file path=\"x\"›\n"), "{text}");
        assert!(text.contains("No AI was connected") && text.contains("4 files: 2 py, 1 md, 1 others"), "{text}");
        assert!(parsed.text.contains("demo without an AI"));
    }

    #[test]
    fn an_empty_repository_and_a_long_prompt() {
        let reply = answer(&"ü\n".repeat(1000), &[]);
        assert!(reply.contains("no files") && reply.contains("\n> …"));
    }
}
