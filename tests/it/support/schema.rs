//! The committed JSON Schema examines every frame that tests receive or send: what it allows must be what travels.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

/// Definitions of frames that are told apart by their `type`.
const TAGGED: [&str; 3] = ["EventFrame", "ControlFrame", "CommandFrame"];
/// Frames of clients that are no commands.
const CLIENT_FRAMES: [(&str, &str); 3] =
    [("hello", "HelloFrame"), ("pong", "PongFrame"), ("refresh_token", "RefreshTokenFrame")];

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../protocol/schema/protocol.json")).expect("JSON"));

/// Frames of one type are examined by their own part of the schema: trying all of them on each frame takes ten times as
/// long, and says of a bad one only that nothing fits.
#[derive(Default)]
struct Parts {
    schemas: Schemas,
    by_type: HashMap<String, Option<SchemaIndex>>,
}

static PARTS: LazyLock<Mutex<Parts>> = LazyLock::new(Mutex::default);

/// What the schema has against a frame; `None` when it is as it should be.
pub(crate) fn complaint(frame: &Value) -> Option<String> {
    let tag = frame["type"].as_str().unwrap_or_default();
    let mut parts = PARTS.lock().expect("no panic");
    let known = match parts.by_type.get(tag) {
        Some(known) => *known,
        None => {
            let compiled = part(tag).map(|part| compile(&mut parts.schemas, tag, part));
            parts.by_type.insert(tag.to_owned(), compiled);
            compiled
        }
    };
    let Some(index) = known else { return Some(format!("no frame is called '{tag}'")) };
    parts.schemas.validate(frame, index).err().map(|error| format!("{error:#}"))
}

/// Fails the test when the schema does not allow this frame.
#[track_caller]
pub(crate) fn examine(frame: &Value) {
    if let Some(complaint) = complaint(frame) {
        panic!("the JSON Schema does not allow this frame: {complaint}: {frame}");
    }
}

/// The schema of frames of one type.
fn part(tag: &str) -> Option<Value> {
    let definitions = &SCHEMA["$defs"];
    let is = |variant: &&Value| variant["properties"]["type"]["const"] == tag;
    let tagged = TAGGED.iter().find_map(|name| {
        let definition = &definitions[name];
        let variant = definition["oneOf"].as_array().expect("variants").iter().find(is)?;
        let mut narrowed = definition.clone();
        narrowed["oneOf"] = json!([variant]);
        Some(narrowed)
    });
    let other = || CLIENT_FRAMES.iter().find(|(name, _)| *name == tag).map(|(_, name)| definitions[*name].clone());
    let mut schema = tagged.or_else(other)?;
    schema["$schema"] = SCHEMA["$schema"].clone();
    schema["$defs"] = definitions.clone();
    Some(schema)
}

fn compile(schemas: &mut Schemas, tag: &str, part: Value) -> SchemaIndex {
    let location = format!("frames:{tag}");
    let mut compiler = Compiler::new();
    compiler.add_resource(&location, part).expect("a new name");
    compiler.compile(&location, schemas).expect("the schema is one")
}

/// The examiner can find fault.
#[test]
fn bad_frames_are_told_from_good_ones() {
    let event =
        json!({ "type": "text_delta", "seq": 7, "at": "2026-11-01T00:00:00.000Z", "message": "m1", "text": "x" });
    let without = |name: &str| {
        let mut frame = event.clone();
        frame.as_object_mut().expect("an object").remove(name);
        frame
    };
    let with = |name: &str, value: Value| {
        let mut frame = event.clone();
        frame[name] = value;
        frame
    };
    assert_eq!(complaint(&event), None);
    for bad in [
        without("seq"),
        without("text"),
        without("type"),
        with("seq", json!("7")),
        with("message", json!(1)),
        with("type", json!("nonsense")),
        json!({ "type": "generate", "id": "c1" }),
        json!({ "type": "hello" }),
        json!({ "type": "rejected", "error": { "code": "no_such_code", "message": "x", "retryable": false } }),
    ] {
        assert!(complaint(&bad).is_some(), "{bad}");
    }
}
