//! The whole reply to a prompt: prose and file blocks, as a model would write them.

use std::fmt::Write as _;

use super::{
    catalogue::{APPS, App, app_of},
    change::{self, Files, Patch},
    wish::{self, Change},
};
use crate::{codegen::edit_match::SearchReplace, project::model_provider::ContextFile};

/// Answers a prompt, given the project's files.
pub(super) fn to(prompt: &str, files: &[ContextFile]) -> String {
    let wish = wish::read(prompt);
    let present = app_of(files);
    match (wish.app, present) {
        (named, Some(present)) if !wish.changes.is_empty() && is_edit(&wish, named, present) => {
            edit(present, &wish.changes, text_files(files))
        }
        (Some(app), _) => create(app, &wish.changes),
        (None, _) if !wish.changes.is_empty() => {
            format!("There is no app of mine here that I could change. {}", what_it_can_do())
        }
        (None, _) => format!("I have no canned answer for that. {}", what_it_can_do()),
    }
}

/// Whether the changes are meant for the app that is there rather than for a new one.
fn is_edit(wish: &wish::Wish, named: Option<&App>, present: &App) -> bool {
    let adds = wish.changes.iter().any(|change| matches!(change, Change::Clear | Change::Footer));
    match named {
        None => true,
        Some(named) => named == present || wish.means_present && adds,
    }
}

fn create(app: &App, changes: &[Change]) -> String {
    let own = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    let mut files: Files = app.files.iter().map(own).collect();
    let (patches, refusals) = make_all(app, changes, &mut files);
    let mut reply = app.intro.to_owned();
    if !patches.is_empty() {
        _ = write!(reply, " As you asked, it {}.", clauses(&patches));
    }
    add_sentences(&mut reply, &refusals);
    let added: Vec<&str> = patches.iter().flat_map(|patch| patch.files.iter().map(|(path, _)| *path)).collect();
    for path in app.files.iter().map(|(path, _)| *path).chain(added) {
        let text = files.get(path).map_or("", |text| text.trim());
        _ = write!(reply, "\n\n<file path=\"{path}\">\n{text}\n</file>");
    }
    _ = write!(reply, "\n\n{}", app.outro);
    reply
}

fn edit(app: &App, changes: &[Change], mut files: Files) -> String {
    let (patches, refusals) = make_all(app, changes, &mut files);
    let mut reply = String::new();
    if !patches.is_empty() {
        _ = write!(reply, "This {}.", clauses(&patches));
    }
    add_sentences(&mut reply, &refusals);
    for (path, text) in patches.iter().flat_map(|patch| &patch.files) {
        _ = write!(reply, "\n\n<file path=\"{path}\">\n{}\n</file>", text.trim());
    }
    let mut edits: Vec<(&str, Vec<&SearchReplace>)> = Vec::new();
    for (path, blocks) in patches.iter().flat_map(|patch| &patch.edits) {
        match edits.iter_mut().find(|(known, _)| known == path) {
            Some((_, all)) => all.extend(blocks),
            None => edits.push((path, blocks.iter().collect())),
        }
    }
    for (path, blocks) in edits {
        _ = write!(reply, "\n\n<edit path=\"{path}\">");
        for SearchReplace { search, replace } in blocks {
            _ = write!(reply, "\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE");
        }
        reply.push_str("\n</edit>");
    }
    if !patches.is_empty() {
        reply.push_str("\n\nEverything else stays as it is.");
    }
    reply
}

/// Makes the changes one after the other; those that don't apply are told and skipped.
fn make_all(app: &App, changes: &[Change], files: &mut Files) -> (Vec<Patch>, Vec<String>) {
    let mut patches = Vec::new();
    let mut refusals = Vec::new();
    for change in changes {
        match change::make(change, app, files) {
            Ok(patch) => patches.push(patch),
            Err(sentence) => refusals.push(sentence),
        }
    }
    (patches, refusals)
}

/// "does a, does b and does c"
fn clauses(patches: &[Patch]) -> String {
    let clauses: Vec<&str> = patches.iter().map(|patch| patch.does.as_str()).collect();
    match clauses.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

fn add_sentences(reply: &mut String, sentences: &[String]) {
    for sentence in sentences {
        if !reply.is_empty() {
            reply.push(' ');
        }
        reply.push_str(sentence);
    }
}

/// What is said when there is nothing else to say.
fn what_it_can_do() -> String {
    let mut text = "I am a demo without an AI behind me, and these are the apps I can write:\n".to_owned();
    for app in &APPS {
        _ = write!(text, "\n- {}", app.name);
    }
    text.push_str(
        "\n\nOnce one of them is there, I can change it: “make it dark” (or light), “make it green” (or another \
         colour), “change the title to …”, “add a clear button” and “add a footer”. For everything else, \
         connect a real model.",
    );
    text
}

fn text_files(files: &[ContextFile]) -> Files {
    let text = |file: &ContextFile| Some((file.path.as_str().to_owned(), file.text.clone()?));
    files.iter().filter_map(text).collect()
}
