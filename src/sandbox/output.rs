//! Turns a process's output into bounded chunks of text. Shared by the providers.

use std::sync::Mutex;

use cobuild_protocol::value::OutputStream;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::project::sandbox_provider::{OUTPUT_SIZE_BYTES_MAX, OutputChunk, OutputSender};

/// Most bytes of one chunk: large enough that a chatty build makes few events, small enough to be shown at once.
const CHUNK_SIZE_BYTES_MAX: usize = 16 * 1024;

/// How much of one process's output may still be passed on, on both streams together.
#[derive(Debug)]
pub struct OutputBudget(Mutex<Left>);

#[derive(Debug)]
struct Left {
    bytes: usize,
    said: bool,
}

impl Default for OutputBudget {
    fn default() -> Self {
        Self(Mutex::new(Left { bytes: OUTPUT_SIZE_BYTES_MAX, said: false }))
    }
}

impl OutputBudget {
    /// The part of `text` that may be passed on; with the sentence that says so once when it is not all of it.
    fn take(&self, mut text: String) -> String {
        let mut left = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if text.len() <= left.bytes {
            left.bytes -= text.len();
            return text;
        }
        if left.said {
            return String::new();
        }
        text.truncate(text.floor_char_boundary(left.bytes));
        *left = Left { bytes: 0, said: true };
        text + &format!("\n[the output is longer than {} KiB; the rest is not kept]\n", OUTPUT_SIZE_BYTES_MAX / 1024)
    }
}

/// Passes on what a process prints until it closes the stream. Beyond the budget, or when nobody listens any more, it
/// goes on reading, so that the process does not stop.
pub async fn pump(mut from: impl AsyncRead + Unpin, stream: OutputStream, budget: &OutputBudget, to: OutputSender) {
    let mut buffer = vec![0; CHUNK_SIZE_BYTES_MAX];
    let mut decoder = Utf8Decoder::default();
    loop {
        // An error ends the stream like its end does; the process's exit says the rest.
        let length = from.read(&mut buffer).await.unwrap_or(0);
        let text = if length == 0 { decoder.finish() } else { decoder.push(&buffer[..length]) };
        let text = budget.take(text);
        if !text.is_empty() {
            let _ = to.send(OutputChunk { stream, text }).await;
        }
        if length == 0 {
            return;
        }
    }
}

/// Decodes UTF-8 that arrives in pieces: a character cut in two comes out whole, with the second piece.
#[derive(Debug, Default)]
pub struct Utf8Decoder {
    rest: Vec<u8>,
}

impl Utf8Decoder {
    /// The text that is complete with these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let incomplete = incomplete_tail(&self.rest);
        let tail = self.rest.split_off(self.rest.len() - incomplete);
        let text = String::from_utf8_lossy(&self.rest).into_owned();
        self.rest = tail;
        text
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned()
    }
}

/// How many bytes at the end are the start of a character that may still become whole.
fn incomplete_tail(bytes: &[u8]) -> usize {
    match bytes.utf8_chunks().last() {
        // An invalid part at the very end: `utf8_chunks` reports a truncated character as one such part.
        Some(chunk) if !chunk.invalid().is_empty() => {
            let invalid = chunk.invalid();
            let wanted = match invalid[0] {
                0xC2..=0xDF => 2,
                0xE0..=0xEF => 3,
                0xF0..=0xF4 => 4,
                _ => 0,
            };
            if invalid.len() < wanted { invalid.len() } else { 0 }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn check(pieces: &[&[u8]], expected: &[&str]) {
        let mut decoder = Utf8Decoder::default();
        let mut texts: Vec<String> = pieces.iter().map(|piece| decoder.push(piece)).collect();
        texts.push(decoder.finish());
        assert_eq!(texts, expected);
    }

    #[test]
    fn characters_are_never_cut() {
        check(&[b"abc"], &["abc", ""]);
        check(&[b"\xC3", b"\xBC!"], &["", "ü!", ""]);
        check(&[b"a\xF0\x9F", b"\x98\x80b"], &["a", "😀b", ""]);
        check(&[b"a\xF0\x9F"], &["a", "\u{FFFD}"]);
        check(&[b"\xFFa\x80"], &["\u{FFFD}a\u{FFFD}", ""]);
    }

    #[tokio::test]
    async fn the_rest_is_dropped_with_one_line() {
        let (sender, mut receiver) = mpsc::channel(1024);
        let budget = OutputBudget::default();
        let printed = vec![b'x'; OUTPUT_SIZE_BYTES_MAX + 100_000];
        pump(&printed[..], OutputStream::Stdout, &budget, sender.clone()).await;
        pump(&b"more"[..], OutputStream::Stderr, &budget, sender).await;
        let mut all = String::new();
        while let Some(chunk) = receiver.recv().await {
            all += &chunk.text;
        }
        assert_eq!(all.matches('x').count(), OUTPUT_SIZE_BYTES_MAX);
        assert_eq!(all.matches("the rest is not kept").count(), 1);
        assert!(!all.contains("more"));
    }

    #[tokio::test]
    async fn goes_on_when_nobody_listens() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let printed = vec![b'x'; 10 * CHUNK_SIZE_BYTES_MAX];
        pump(&printed[..], OutputStream::Stdout, &OutputBudget::default(), sender).await;
    }
}
