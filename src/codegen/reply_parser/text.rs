//! Text between the marks: how it joins the events, and where a line begins.

use super::ReplyEvent;

/// How a piece of text joins the events.
pub(super) type AddText = fn(&mut Vec<ReplyEvent>, &str);

/// Grows the last event rather than adding one, so that a long delta does not become one event per line.
pub(super) fn add_prose(out: &mut Vec<ReplyEvent>, text: &str) {
    match out.last_mut() {
        Some(ReplyEvent::Text(last)) => last.push_str(text),
        _ => out.push(ReplyEvent::Text(text.to_owned())),
    }
}

pub(super) fn add_file_text(out: &mut Vec<ReplyEvent>, text: &str) {
    match out.last_mut() {
        Some(ReplyEvent::FileText(last)) => last.push_str(text),
        _ => out.push(ReplyEvent::FileText(text.to_owned())),
    }
}

/// Passes a text on without the blanks at its edges, piece by piece.
#[derive(Debug, Default)]
pub(super) struct EdgeTrimmer {
    begun: bool,
    /// Blanks that are inside the text only if something follows.
    held: String,
}

impl EdgeTrimmer {
    pub(super) fn push(&mut self, text: &str, mut pass: impl FnMut(&str)) {
        let text = if self.begun { text } else { text.trim_start() };
        let solid = text.trim_end().len();
        if solid > 0 {
            if !self.held.is_empty() {
                pass(&self.held);
                self.held.clear();
            }
            self.begun = true;
            pass(&text[..solid]);
        }
        self.held.push_str(&text[solid..]);
    }
}

/// How many backticks a text begins with.
pub(super) fn backticks(text: &str) -> usize {
    text.bytes().take_while(|b| *b == b'`').count()
}

/// Whether only blanks stand before the place behind `text`, when `before` says so of the place in front of it.
pub(super) fn is_line_start(before: bool, text: &str) -> bool {
    let (line, before) = match memchr::memrchr(b'\n', text.as_bytes()) {
        Some(at) => (&text[at + 1..], true),
        None => (text, before),
    };
    before && line.bytes().all(|b| matches!(b, b' ' | b'\t'))
}
