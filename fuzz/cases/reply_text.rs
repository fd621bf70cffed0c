//! Any text a model may write: no panic, the same reply however it is cut, and no edit of it makes a file that is not text.
//!
//! The first byte is the size of the pieces. Guided by coverage in `scripts/fuzz`, for a moment in the tests.

use cobuild::codegen::{
    edit_match::apply_edits,
    reply::{ParsedReply, ReplyBuilder, ReplyChange},
    reply_parser::ReplyParser,
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
    for file in &whole.files {
        if let ReplyChange::Edit(blocks) = &file.change {
            // Whether they match is another matter.
            let _ = apply_edits(ORIGINAL, blocks);
        }
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
