//! The fuzz targets without their engine: random damage to the recorded streams, the seeds, and what longer runs have found.
//! `scripts/fuzz` runs the same targets guided by coverage.

#[path = "../../../fuzz/cases/model_stream.rs"]
mod model_stream;
#[path = "../../../fuzz/cases/reply_text.rs"]
mod reply_text;

use std::{panic::catch_unwind, path::Path};

use rand::{RngExt as _, rngs::StdRng};

use super::replay::STREAMS;
use crate::support::Seed;

/// A few seconds of an unoptimised build.
const CASES: usize = 1500;
/// What parsers stumble over.
const TOKENS: [&[u8]; 25] = [
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\n\n",
    b"data: ",
    b"event: ",
    b": ",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"[DONE]",
    b"null",
    b"{}",
    b"[]",
    b"{\"error\":{}}",
    b"\n\n{\"error\":{\"code\":503}}\n\n",
    b"<think>",
    b"</think>",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"\"\\ud800\"",
    b"\"finish_reason\":\"stop\"",
    b"\"type\":\"message_stop\"",
    b"\"index\":-1",
    b"\x00",
];

/// One to eight damages.
fn damage(bytes: &mut Vec<u8>, random: &mut StdRng) {
    for _ in 0..random.random_range(1..=8) {
        let at = random.random_range(0..=bytes.len());
        let end = (at + random.random_range(0..=64)).min(bytes.len());
        match random.random_range(0..7) {
            0 => {
                bytes.drain(at..end);
            }
            1 => bytes.truncate(at),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 => {
                let (_, other) = STREAMS[random.random_range(0..STREAMS.len())];
                let from = random.random_range(0..other.len());
                let to = (from + random.random_range(0..200)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            4 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            _ => {
                let token = TOKENS[random.random_range(0..TOKENS.len())];
                bytes.splice(at..end.min(at + token.len()), token.iter().copied());
            }
        }
    }
}

#[test]
fn damaged_streams_break_no_promise() {
    let mut random = Seed::new().of(0);
    for _ in 0..CASES {
        let number = random.random_range(0..STREAMS.len());
        // Its own wire mostly, another's sometimes.
        let wire = if random.random_ratio(1, 8) { random.random() } else { [0, 1, 2, 2, 3][number] };
        let mut case = vec![wire, random.random()];
        let mut bytes = STREAMS[number].1.to_vec();
        damage(&mut bytes, &mut random);
        case.extend(bytes);
        if catch_unwind(|| model_stream::check(&case)).is_err() {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("model_stream.case");
            std::fs::write(&path, &case).expect("written");
            panic!("the case is in {}", path.display());
        }
    }
}

/// What replies are made of.
const REPLY_TOKENS: [&str; 24] = [
    "\n",
    " ",
    "Hello ü 😀",
    "<file path=\"src/a.js\">",
    "<file path=\"../a\">",
    "</file>",
    "<edit path=\"src/App.jsx\">\n",
    "</edit>",
    "<<<<<<< SEARCH\n",
    "  return <h1>Hi</h1>\n",
    "export default function App() {\n",
    "}\n",
    "import { useState } from 'react'\n",
    "=======\n",
    ">>>>>>> REPLACE\n",
    "<<<<<<< SEARCH\n  return <h1>Hi</h1>\n=======\n  return <h1>Ho</h1>\n>>>>>>> REPLACE\n",
    "<package>a</package>",
    "<command>x</command>",
    "<update>\n",
    "</update>",
    "```js:src/b.js\n",
    "```\n",
    "<",
    "`",
];

#[test]
fn replies_of_anything_break_no_promise() {
    let mut random = Seed::new().of(1);
    for _ in 0..CASES {
        let mut case = vec![random.random()];
        for _ in 0..random.random_range(1..60) {
            case.extend(REPLY_TOKENS[random.random_range(0..REPLY_TOKENS.len())].bytes());
        }
        if catch_unwind(|| reply_text::check(&case)).is_err() {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reply_text.case");
            std::fs::write(&path, &case).expect("written");
            panic!("the case is in {}", path.display());
        }
    }
}

/// The seeds, and what `scripts/fuzz` has kept on this machine, if it ever ran.
#[test]
fn the_corpus_breaks_no_promise() {
    for (target, check) in [("model_stream", model_stream::check as fn(&[u8])), ("reply_text", reply_text::check)] {
        let cases_in = |folder: &str| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target);
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| check(&std::fs::read(entry.path()).expect("read"))).count()
        };
        assert!(cases_in("fuzz/corpus") >= 4, "{target} has seeds");
        // Where `scripts/fuzz` keeps them: in cargo's target folder, wherever that is.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
        cases_in(target.join("fuzz/corpus").to_str().expect("text"));
    }
}
