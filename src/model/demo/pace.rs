//! A text as a stream of small pieces, at a human pace.

use std::time::Duration;

use futures_util::{Stream, stream};
use tokio::time::{Instant, sleep_until};

/// Pieces per second at a human pace: as smooth as the eye needs, as few events as possible.
const PIECES_PER_SECOND: u32 = 20;
/// Shortest piece before it is extended to the end of its word.
const PIECE_CHARS_MIN: u32 = 8;
/// Longest piece, also the one at full speed: still small enough to look like a model's delta.
const PIECE_CHARS_MAX: u32 = 64;

/// The pieces of `text` at `speed` characters per second, measured from the first poll so that delays don't add up.
/// At speed 0 there is no timer at all. Dropping the stream ends it at once.
pub(super) fn paced(text: String, speed: u32) -> impl Stream<Item = String> + Send {
    let size = match speed {
        0 => PIECE_CHARS_MAX,
        _ => (speed / PIECES_PER_SECOND).clamp(PIECE_CHARS_MIN, PIECE_CHARS_MAX),
    };
    stream::unfold(Typing { text, at: 0, chars: 0, started: None }, move |mut typing| async move {
        let rest = &typing.text[typing.at..];
        if rest.is_empty() {
            return None;
        }
        let piece = rest[..piece_len(rest, size as usize)].to_owned();
        typing.at += piece.len();
        typing.chars += piece.chars().count();
        if speed > 0 {
            let started = *typing.started.get_or_insert_with(Instant::now);
            #[expect(clippy::cast_precision_loss, reason = "a reply's length is far below 2^52")]
            let due = Duration::from_secs_f64(typing.chars as f64 / f64::from(speed));
            sleep_until(started + due).await;
        }
        Some((piece, typing))
    })
}

struct Typing {
    text: String,
    at: usize,
    chars: usize,
    started: Option<Instant>,
}

/// About `size` characters, to the end of the word, in bytes.
fn piece_len(text: &str, size: usize) -> usize {
    let mut chars = text.char_indices().skip(size);
    let longest = size * 2;
    let mut count = size;
    let end = chars.find(|(_, c)| {
        count += 1;
        c.is_whitespace() || count > longest
    });
    end.map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keeps_the_pace() {
        let text = "one two three four ü ".repeat(100);
        let started = Instant::now();
        let pieces: Vec<String> = paced(text.clone(), 300).collect().await;
        assert_eq!(pieces.concat(), text);
        assert!(pieces.iter().all(|piece| piece.chars().count() <= 30), "{pieces:?}");
        assert_eq!(started.elapsed().as_millis() / 100, 7000 / 100);
    }

    #[tokio::test(start_paused = true)]
    async fn is_instant_at_full_speed() {
        let text = "x".repeat(1000);
        let started = Instant::now();
        let pieces: Vec<String> = paced(text.clone(), 0).collect().await;
        assert_eq!((pieces.concat(), started.elapsed()), (text, Duration::ZERO));
    }

    #[tokio::test]
    async fn an_empty_text_has_no_pieces() {
        assert_eq!(paced(String::new(), 0).count().await, 0);
    }
}
