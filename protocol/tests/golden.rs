//! One frame per variant, as it stands on the wire: it becomes the Rust type and the same JSON again.
//!
//! A file is named `<group>.<type>.json`, or `<group>.<type>.<what is special>.json` for another frame of that type.

use std::{collections::BTreeSet, fs, path::Path};

use cobuild_protocol::{
    ClientFrame, ServerFrame, command::COMMAND_NAMES, event::Event, export::json_schema, frame::ControlFrame,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// A golden frame: its group (`command`, `event` …), its `type`, and what is in the file.
struct Golden {
    file: String,
    group: String,
    tag: String,
    json: Value,
}

fn golden_frames() -> Vec<Golden> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = fs::read_dir(directory).expect("tests/golden exists");
    let read = |path: &Path| {
        let file = path.file_name().expect("a file").to_string_lossy().into_owned();
        let mut parts = file.split('.').map(str::to_owned);
        let (group, tag) = (parts.next().expect("a group"), parts.next().expect("a type"));
        let json = serde_json::from_slice(&fs::read(path).expect("readable")).expect("JSON");
        Golden { file, group, tag, json }
    };
    entries.map(|entry| read(&entry.expect("readable").path())).collect()
}

fn round_trip<T: Serialize + DeserializeOwned>(json: &Value) -> Value {
    let frame: T = serde_json::from_value(json.clone()).unwrap_or_else(|error| panic!("{error}: {json}"));
    serde_json::to_value(frame).expect("serialises")
}

#[test]
fn every_golden_frame_survives_a_round_trip() {
    for Golden { file, group, tag, json } in golden_frames() {
        assert_eq!(json["type"], tag.as_str(), "{file} holds another type than its name says");
        let again = match group.as_str() {
            "client" | "command" => round_trip::<ClientFrame>(&json),
            "control" | "event" => round_trip::<ServerFrame>(&json),
            _ => panic!("{file}: unknown group"),
        };
        assert_eq!(again, json, "{file} changed on its way through the Rust type");
    }
}

#[test]
fn every_golden_frame_becomes_the_variant_of_its_group() {
    for Golden { file, group, tag, json } in golden_frames() {
        let name = match group.as_str() {
            "client" | "command" => match serde_json::from_value(json).expect("a client frame") {
                ClientFrame::Command(frame) => ("command", frame.command.name()),
                ClientFrame::Hello(_) => ("client", "hello"),
                ClientFrame::Pong(_) => ("client", "pong"),
                ClientFrame::RefreshToken(_) => ("client", "refresh_token"),
            },
            _ => match serde_json::from_value(json).expect("a server frame") {
                ServerFrame::Event(frame) => ("event", event_name(&frame.event)),
                ServerFrame::Control(frame) => ("control", control_name(&frame)),
            },
        };
        assert_eq!(name, (group.as_str(), tag.as_str()), "{file}");
    }
}

#[test]
fn every_variant_has_a_golden_frame() {
    let schema: Value = serde_json::from_str(&json_schema()).expect("JSON");
    let golden: BTreeSet<(String, String)> =
        golden_frames().into_iter().map(|frame| (frame.group, frame.tag)).collect();
    for (group, definition) in [("command", "CommandFrame"), ("event", "EventFrame"), ("control", "ControlFrame")] {
        let tags = variant_tags(&schema["$defs"][definition]);
        assert!(!tags.is_empty(), "{definition} has no variants in the schema");
        for tag in tags {
            let key = (group.to_owned(), tag);
            assert!(golden.contains(&key), "tests/golden/{}.{}.json is missing", key.0, key.1);
        }
    }
    for tag in ["hello", "pong", "refresh_token"] {
        assert!(golden.contains(&("client".to_owned(), tag.to_owned())), "tests/golden/client.{tag}.json is missing");
    }
}

#[test]
fn the_list_of_commands_is_complete() {
    let schema: Value = serde_json::from_str(&json_schema()).expect("JSON");
    let tags: BTreeSet<String> = variant_tags(&schema["$defs"]["CommandFrame"]).into_iter().collect();
    assert_eq!(tags, COMMAND_NAMES.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn unknown_fields_are_ignored() {
    for Golden { file, group, json, .. } in golden_frames() {
        let mut extended = json.clone();
        extended["a_field_of_tomorrow"] = json!({"x": [1]});
        let again = match group.as_str() {
            "client" | "command" => round_trip::<ClientFrame>(&extended),
            _ => round_trip::<ServerFrame>(&extended),
        };
        assert_eq!(again, json, "{file}");
    }
}

#[test]
fn a_bad_frame_is_an_error_that_names_the_reason() {
    let check = |frame: Value, reason: &str| {
        let error = serde_json::from_value::<ClientFrame>(frame.clone()).expect_err(&frame.to_string()).to_string();
        assert!(error.contains(reason), "{frame} was refused with {error:?}, which does not say {reason:?}");
    };
    check(json!([]), "expected a map");
    check(json!({"id": "c"}), "missing field `type`");
    check(json!({"type": "dance", "id": "c"}), "unknown variant `dance`");
    check(json!({"type": "status"}), "missing field `id`");
    check(json!({"type": "status", "id": "a b"}), "a command id is 1 to 128 visible ASCII characters");
    check(json!({"type": "generate", "id": "c"}), "missing field `prompt`");
    check(json!({"type": "generate", "id": "c", "prompt": 7}), "invalid type: integer `7`, expected a string");
    check(json!({"type": "write_file", "id": "c", "path": "../x", "content": ""}), "no '.' or '..' segments");
    check(json!({"type": "write_file", "id": "c", "path": "/x", "content": ""}), "relative to the project's root");
    check(json!({"type": "install", "id": "c", "packages": ["; rm -rf /"]}), "not an npm package name");
    check(json!({"type": "cancel", "id": "c", "run": "7"}), "expected an id like r7");
    check(json!({"type": "hello"}), "missing field `protocol`");
    check(json!({"type": "hello", "protocol": 1, "since": {"epoch": "!", "seq": 1}}), "an epoch is");
}

/// The `type` of each variant of an internally tagged enum, as its schema lists them.
fn variant_tags(definition: &Value) -> Vec<String> {
    let variants = definition["oneOf"].as_array().into_iter().flatten();
    variants.filter_map(|variant| variant["properties"]["type"]["const"].as_str().map(str::to_owned)).collect()
}

const fn event_name(event: &Event) -> &'static str {
    event.name()
}

const fn control_name(frame: &ControlFrame) -> &'static str {
    match frame {
        ControlFrame::Welcome(_) => "welcome",
        ControlFrame::Snapshot(_) => "snapshot",
        ControlFrame::Synced(_) => "synced",
        ControlFrame::Accepted(_) => "accepted",
        ControlFrame::Result(_) => "result",
        ControlFrame::Rejected(_) => "rejected",
        ControlFrame::Ping(_) => "ping",
        ControlFrame::Presence(_) => "presence",
    }
}
