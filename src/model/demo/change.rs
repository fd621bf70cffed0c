//! Changes of the catalogue's apps, computed from the files as they are now. Each is a handful of search/replace
//! blocks or a new file; one that does not apply is a sentence instead.

use std::collections::BTreeMap;

use super::{
    catalogue::{App, ENTRY},
    wish::{Accent, Change, Scheme},
};
use crate::codegen::{
    edit_match::{SearchReplace, apply_edits},
    reply::{ReplyChange, parse_reply},
};

/// Where the look of every app of the catalogue is.
const STYLES: &str = "src/index.css";
const FOOTER: &str = "src/components/Footer.jsx";

/// The text files of an app, by path.
pub(super) type Files = BTreeMap<String, String>;

/// A change worked out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Patch {
    /// What it does, as a clause: "switches the palette to dark".
    pub does: String,
    /// New files.
    pub files: Vec<(&'static str, String)>,
    /// Blocks for the files there are.
    pub edits: Vec<(&'static str, Vec<SearchReplace>)>,
}

/// Why a change is not made, as a sentence.
pub(super) type NotApplicable = String;

/// Works a change out and makes it in `files`.
pub(super) fn make(change: &Change, app: &App, files: &mut Files) -> Result<Patch, NotApplicable> {
    let patch = match change {
        Change::Scheme(scheme) => scheme_patch(*scheme, files)?,
        Change::Accent(accent) => accent_patch(accent, files)?,
        Change::Title(title) => title_patch(title, files)?,
        Change::Clear => clear_patch(app, files)?,
        Change::Footer => footer_patch(files)?,
    };
    let mut changed = files.clone();
    for (path, blocks) in &patch.edits {
        let text = changed.get_mut(*path).ok_or_else(|| missing(path))?;
        *text = apply_edits(text, blocks).map_err(|_| {
            format!("I can’t make that change: `{path}` has been edited in a place my canned answer needs.")
        })?;
    }
    changed.extend(patch.files.iter().map(|(path, text)| ((*path).to_owned(), text.clone())));
    *files = changed;
    Ok(patch)
}

fn scheme_patch(scheme: Scheme, files: &Files) -> Result<Patch, NotApplicable> {
    let name = match scheme {
        Scheme::Dark => "dark",
        Scheme::Light => "light",
    };
    let block = line_block(files, STYLES, "color-scheme:", &format!("color-scheme: {name};"))?;
    let Some(block) = block else { return Err(format!("It is {name} already.")) };
    Ok(Patch {
        does: format!("switches the whole palette to {name}"),
        edits: vec![(STYLES, vec![block])],
        ..Patch::default()
    })
}

fn accent_patch(accent: &Accent, files: &Files) -> Result<Patch, NotApplicable> {
    let values = [
        ("--color-accent:", accent.fill),
        ("--color-on-accent:", accent.on_fill),
        ("--color-accent-text:", accent.text),
    ];
    let mut blocks = Vec::new();
    for (variable, [light, dark]) in values {
        blocks.extend(line_block(files, STYLES, variable, &format!("{variable} light-dark({light}, {dark});"))?);
    }
    if blocks.is_empty() {
        return Err(format!("Its accent colour is {} already.", accent.name));
    }
    Ok(Patch {
        does: format!("makes {} the accent colour", accent.name),
        edits: vec![(STYLES, blocks)],
        ..Patch::default()
    })
}

fn title_patch(title: &str, files: &Files) -> Result<Patch, NotApplicable> {
    let literal = title.replace('\\', "\\\\").replace('\'', "\\'");
    let block = line_block(files, ENTRY, "const TITLE =", &format!("const TITLE = '{literal}'"))?;
    let Some(block) = block else { return Err(format!("Its title is “{title}” already.")) };
    Ok(Patch {
        does: format!("changes the title to “{title}”"), edits: vec![(ENTRY, vec![block])], ..Patch::default()
    })
}

fn clear_patch(app: &App, files: &Files) -> Result<Patch, NotApplicable> {
    let clear =
        app.clear.as_ref().ok_or_else(|| format!("There is nothing to clear in {}, so I left it alone.", app.name))?;
    let mut patch = Patch { does: clear.does.to_owned(), ..Patch::default() };
    let mut there_already = true;
    for file in parse_reply(clear.reply).files {
        let ReplyChange::Edit(blocks) = file.change else { continue };
        let Some((path, _)) = app.files.iter().find(|(path, _)| *path == file.path.as_str()) else { continue };
        let text = files.get(*path).ok_or_else(|| missing(path))?;
        there_already &= blocks.iter().all(|block| text.contains(&block.replace));
        patch.edits.push((path, blocks));
    }
    if there_already { Err("The clear button is there already.".to_owned()) } else { Ok(patch) }
}

fn footer_patch(files: &Files) -> Result<Patch, NotApplicable> {
    let entry = files.get(ENTRY).ok_or_else(|| missing(ENTRY))?;
    if entry.contains("<Footer") {
        return Err("There is a footer already.".to_owned());
    }
    let cannot = || "I can’t add a footer: `src/App.jsx` is not as my canned answer knows it.".to_owned();
    let import = entry.lines().rfind(|line| line.starts_with("import ")).ok_or_else(cannot)?;
    let end = entry.lines().rfind(|line| line.trim() == "</main>").ok_or_else(cannot)?;
    let indent = &end[..end.len() - end.trim_start().len()];
    Ok(Patch {
        does: "adds a footer with the name and the year".to_owned(),
        files: vec![(FOOTER, include_str!("apps/Footer.jsx").to_owned())],
        edits: vec![(
            ENTRY,
            vec![
                SearchReplace {
                    search: import.to_owned(),
                    replace: format!("{import}\nimport Footer from './components/Footer.jsx'"),
                },
                SearchReplace { search: end.to_owned(), replace: format!("{end}\n{indent}<Footer name={{TITLE}} />") },
            ],
        )],
    })
}

/// The block that replaces the line beginning with `start`; `None` when it reads so already.
fn line_block(files: &Files, path: &str, start: &str, wanted: &str) -> Result<Option<SearchReplace>, NotApplicable> {
    let text = files.get(path).ok_or_else(|| missing(path))?;
    let line = text.lines().find(|line| line.trim_start().starts_with(start)).ok_or_else(|| {
        format!(
            "I can’t make that change: `{path}` has no line with `{start}` any more, and that is where I would make it."
        )
    })?;
    let indent = &line[..line.len() - line.trim_start().len()];
    let replace = format!("{indent}{wanted}");
    Ok((line.trim_end() != replace).then(|| SearchReplace { search: line.to_owned(), replace }))
}

fn missing(path: &str) -> NotApplicable {
    format!("I can’t make that change: there is no `{path}` any more.")
}
