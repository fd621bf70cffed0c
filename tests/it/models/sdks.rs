//! The vendors' own SDKs read our stand-in: what it says is the wire, not our idea of it. Where they make something else of
//! it than we do, `expected` says so and why.

use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use super::{
    fake_vendors::{script::PIECES, server::FaultServer},
    node,
    replay::ANSWER,
};

/// What an SDK should make of a mode.
enum Expected {
    /// The whole answer, with the vendor's word for its end.
    Whole,
    /// The whole recorded answer.
    Recorded,
    /// The whole text, which the model's limit ended.
    Truncated,
    /// An error of this class.
    Error(&'static [&'static str]),
    /// The partial text as if it were the answer: the trap we do not fall into.
    FooledByCut,
    /// Waits on, with the partial text: their limits are of the whole call, some minutes. Ours is of the silence.
    Stalled,
}

fn expected(sdk: &str, mode: &str) -> Expected {
    match (mode, sdk) {
        // Gemini sends no comments, and its SDK cannot read any.
        ("comments", "gemini") => Expected::Error(&["Error"]),
        ("normal" | "bytewise" | "crlf" | "cr" | "bom" | "comments" | "giant", _) => Expected::Whole,
        ("stall", _) => Expected::Stalled,
        ("recorded", _) => Expected::Recorded,
        ("truncated", _) => Expected::Truncated,
        ("no_terminal", "anthropic") => Expected::Error(&["AnthropicError"]),
        ("no_terminal", _) => Expected::FooledByCut,
        ("error", "gemini") => Expected::Error(&["ApiError"]),
        ("error", "anthropic") => Expected::Error(&["APIError", "OverloadedError"]),
        ("error", _) => Expected::Error(&["APIError"]),
        ("reset", "anthropic") => Expected::Error(&["AnthropicError"]),
        ("reset", _) => Expected::Error(&["TypeError"]),
        ("overloaded", "anthropic") => Expected::Error(&["OverloadedError", "InternalServerError"]),
        ("overloaded", "gemini") => Expected::Error(&["ApiError"]),
        ("overloaded", _) => Expected::Error(&["InternalServerError"]),
        _ => panic!("{sdk} {mode}"),
    }
}

const MODES: [&str; 14] = [
    "normal",
    "bytewise",
    "crlf",
    "cr",
    "bom",
    "comments",
    "giant",
    "recorded",
    "truncated",
    "no_terminal",
    "error",
    "reset",
    "overloaded",
    "stall",
];

/// The vendor's word for an answer that is complete.
fn end(sdk: &str) -> &'static str {
    match sdk {
        "anthropic" => "end_turn",
        "chat" => "stop",
        "responses" => "completed",
        _ => "STOP",
    }
}

/// The tokens in and out that the stand-in's own answer reports.
fn scripted(sdk: &str) -> (u64, u64) {
    (if sdk == "anthropic" { 5 } else { 8 }, if sdk == "gemini" { 5 } else { 7 })
}

#[track_caller]
fn check(outcome: &Value, text: &str, stop: &str, tokens: (u64, u64)) {
    assert_eq!((outcome["text"].as_str(), outcome["stop"].as_str()), (Some(text), Some(stop)), "{outcome}");
    assert_eq!((outcome["input"].as_u64(), outcome["output"].as_u64()), (Some(tokens.0), Some(tokens.1)), "{outcome}");
}

#[tokio::test]
async fn the_vendors_sdks_read_our_stand_in() {
    let Some(folder) = node::packages() else { return };
    let server = FaultServer::start().await;
    let mut node = Command::new("node");
    node.arg("sdks.mjs").arg(format!("http://{}", server.address)).current_dir(folder).kill_on_drop(true);
    node.args(MODES);
    let output =
        tokio::time::timeout(Duration::from_secs(60), node.output()).await.expect("in time").expect("node runs");
    let lines = String::from_utf8(output.stdout).expect("text");
    let outcomes: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(outcomes.len(), MODES.len() * 4, "{lines}\n{}", String::from_utf8_lossy(&output.stderr));
    for outcome in &outcomes {
        let (sdk, mode) = (outcome["sdk"].as_str().expect("sdk"), outcome["mode"].as_str().expect("mode"));
        match expected(sdk, mode) {
            Expected::Whole => check(outcome, &PIECES.concat(), end(sdk), scripted(sdk)),
            Expected::Recorded => {
                let tokens = (if sdk == "anthropic" { 512 } else { 6656 }, if sdk == "gemini" { 75 } else { 87 });
                check(outcome, ANSWER, end(sdk), tokens);
            }
            Expected::Truncated => {
                let end = match sdk {
                    "anthropic" => "max_tokens",
                    "chat" => "length",
                    "responses" => "incomplete",
                    _ => "MAX_TOKENS",
                };
                check(outcome, &PIECES.concat(), end, scripted(sdk));
            }
            Expected::Error(names) => {
                let name = outcome["error"].as_str().unwrap_or_default();
                assert!(names.contains(&name), "{outcome}");
            }
            Expected::FooledByCut | Expected::Stalled => {
                let partial = PIECES[..2].concat();
                assert_eq!((outcome["text"].as_str(), outcome["stop"].as_str()), (Some(&*partial), None), "{outcome}");
                let stalled = matches!(expected(sdk, mode), Expected::Stalled);
                assert_eq!(outcome["stalled"].as_bool().unwrap_or_default(), stalled, "{outcome}");
            }
        }
    }
}
