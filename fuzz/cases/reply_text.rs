//! Any text a model may write: no panic, the same reply however it is cut, never more than a reply may hold, and an edit that
//! names one place in a file changes that place alone.
//!
//! The first byte is the size of the pieces. Guided by coverage in `scripts/fuzz`, for a moment in the tests.

use cobuild::codegen::{
    edit_match::{SearchReplace, apply_edits},
    reply::{ParsedReply, ReplyBuilder, ReplyChange},
    reply_parser::{REPLY_FILES_MAX, REPLY_STEPS_MAX, ReplyParser},
    reply_path::Layout,
};

/// What edits are tried on.
const ORIGINAL: &str = "import { useState } from 'react'\n\nexport default function App() {\n  return <h1>Hi</h1>\n}\n";

/// Panics where one of these does not hold.
pub(crate) fn check(data: &[u8]) {
    let [size, bytes @ ..] = data else { return };
    let text = String::from_utf8_lossy(bytes);
    let chars: Vec<char> = text.chars().collect();
    let whole = parse([text.as_ref()]);
    let pieces: Vec<String> = chars.chunks(usize::from(*size).max(1)).map(|piece| piece.iter().collect()).collect();
    assert_eq!(whole, parse(pieces.iter().map(String::as_str)), "the cuts show");
    assert!(whole.files.len() + whole.refused_files.len() <= REPLY_FILES_MAX, "{} files", whole.files.len());
    assert!(whole.commands.len() + whole.packages.len() <= REPLY_STEPS_MAX, "{} commands", whole.commands.len());
    for file in &whole.files {
        if let ReplyChange::Edit(blocks) = &file.change {
            check_edits(blocks);
        }
    }
}

/// All blocks, which must not panic; then each by itself, where what it says is beyond doubt.
fn check_edits(blocks: &[SearchReplace]) {
    let _ = apply_edits(ORIGINAL, blocks);
    let lines: Vec<&str> = ORIGINAL.lines().collect();
    for block in blocks {
        let search: Vec<&str> = block.search.split('\n').map(|line| line.trim_end_matches('\r')).collect();
        let places: Vec<usize> = (0..lines.len()).filter(|at| lines[*at..].starts_with(&search)).collect();
        let [at] = places[..] else { continue };
        if block.search.trim().is_empty() {
            continue;
        }
        let edited = apply_edits(ORIGINAL, std::slice::from_ref(block)).expect("there is one such place");
        let edited: Vec<&str> = edited.lines().collect();
        assert!(edited.starts_with(&lines[..at]), "what comes before {block:?} stays: {edited:?}");
        assert!(edited.ends_with(&lines[at + search.len()..]), "what comes behind {block:?} stays: {edited:?}");
    }
}

fn parse<'a>(pieces: impl IntoIterator<Item = &'a str>) -> ParsedReply {
    let mut parser = ReplyParser::new();
    let mut builder = ReplyBuilder::new(Layout::App);
    let mut events = Vec::new();
    for piece in pieces {
        parser.push(piece, &mut events);
    }
    parser.finish(&mut events);
    events.iter().for_each(|event| builder.push(event));
    builder.finish()
}
