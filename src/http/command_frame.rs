//! From a client's JSON to a frame, or to the one sentence that says what is wrong with it. Pure.
//!
//! Whatever is wrong, the answer carries the command's id if there is a readable one, and names the field.

use cobuild_protocol::{
    ErrorBody, ErrorCode, RequestId,
    command::COMMAND_NAMES,
    frame::{CommandFrame, HelloFrame, PongFrame, RefreshTokenFrame, Rejected},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// Most fields of a frame that are looked at one by one for the one that is wrong. Every command has fewer.
const FIELDS_EXAMINED_MAX: usize = 16;
/// How much of an unknown name is repeated to its sender, in characters.
const NAME_QUOTED_MAX: usize = 40;

/// What a client sent after its `hello`.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Something to carry out.
    Command(CommandFrame),
    /// A new token for this connection.
    RefreshToken(RefreshTokenFrame),
    /// A sign of life.
    Pong,
}

/// Reads a frame that follows the `hello`.
pub(crate) fn parse(text: &[u8]) -> Result<Incoming, Rejected> {
    let fields = object(text)?;
    match frame_type(&fields)? {
        "pong" => typed::<PongFrame>(fields).map(|_| Incoming::Pong),
        "hello" => Err(rejected(&fields, "hello is only the first frame of a connection")),
        "refresh_token" => {
            check_id(&fields)?;
            typed(fields).map(Incoming::RefreshToken)
        }
        name if COMMAND_NAMES.contains(&name) => {
            check_id(&fields)?;
            typed(fields).map(Incoming::Command)
        }
        unknown => {
            let quoted: String = unknown.chars().filter(|c| !c.is_control()).take(NAME_QUOTED_MAX).collect();
            let known = COMMAND_NAMES.join(", ");
            Err(rejected(&fields, format!("there is no command `{quoted}`; there are {known}")))
        }
    }
}

/// Reads a frame that must be a command: what `POST …/commands` takes.
pub(crate) fn parse_command(text: &[u8]) -> Result<CommandFrame, Rejected> {
    match parse(text)? {
        Incoming::Command(frame) => Ok(frame),
        Incoming::RefreshToken(frame) => {
            let message = "a plain request carries its own token; refresh_token is for WebSockets";
            Err(Rejected { id: Some(frame.id), ..bad_request(message) })
        }
        Incoming::Pong => Err(bad_request("a pong is no command")),
    }
}

/// The id of a frame of which nothing else matters, for little: nothing is kept of the rest.
pub(crate) fn readable_id(text: &[u8]) -> Option<RequestId> {
    #[derive(Deserialize)]
    struct OnlyId {
        id: RequestId,
    }
    serde_json::from_slice(text).ok().map(|OnlyId { id }| id)
}

/// Reads the first frame of a connection.
pub(crate) fn parse_hello(text: &[u8]) -> Result<HelloFrame, Rejected> {
    let fields = object(text)?;
    match frame_type(&fields)? {
        "hello" => typed(fields),
        _ => Err(rejected(&fields, "the first frame must be a hello")),
    }
}

/// What is said to a frame that is not text.
pub(crate) fn not_text() -> Rejected {
    bad_request("a frame is JSON in a text frame, not binary")
}

fn object(text: &[u8]) -> Result<Map<String, Value>, Rejected> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(bad_request("a frame is a JSON object")),
        Err(error) => Err(bad_request(format!("not JSON: {error}"))),
    }
}

fn frame_type(fields: &Map<String, Value>) -> Result<&str, Rejected> {
    match fields.get("type") {
        Some(Value::String(name)) => Ok(name),
        Some(_) => Err(rejected(fields, "`type` is a text")),
        None => Err(rejected(fields, "a frame needs a `type`")),
    }
}

fn check_id(fields: &Map<String, Value>) -> Result<(), Rejected> {
    let id = fields.get("id").ok_or_else(|| rejected(fields, "a command needs an `id`"))?;
    match serde_json::from_value::<RequestId>(id.clone()) {
        Ok(_) => Ok(()),
        Err(error) => Err(rejected(fields, format!("`id`: {error}"))),
    }
}

/// The frame as its Rust type. On failure the fields are tried one by one: whichever makes the complaint change when it
/// is left out is the one complained about. This way a message names its field for every command there will ever be.
fn typed<T: DeserializeOwned>(mut fields: Map<String, Value>) -> Result<T, Rejected> {
    let complaint = match read::<T>(&fields) {
        Ok(frame) => return Ok(frame),
        Err(complaint) => complaint,
    };
    let names: Vec<String> =
        fields.keys().filter(|name| *name != "type" && *name != "id").take(FIELDS_EXAMINED_MAX).cloned().collect();
    let culprit = names.into_iter().find(|name| {
        let Some(value) = fields.remove(name) else { return false };
        let changed = read::<T>(&fields).err().is_none_or(|without| without != complaint);
        fields.insert(name.clone(), value);
        changed
    });
    Err(rejected(&fields, culprit.map_or(complaint.clone(), |name| format!("`{name}`: {complaint}"))))
}

fn read<T: DeserializeOwned>(fields: &Map<String, Value>) -> Result<T, String> {
    T::deserialize(fields).map_err(|error| error.to_string())
}

fn rejected(fields: &Map<String, Value>, message: impl Into<String>) -> Rejected {
    let id = fields.get("id").and_then(Value::as_str).and_then(|id| id.parse().ok());
    Rejected { id, ..bad_request(message) }
}

fn bad_request(message: impl Into<String>) -> Rejected {
    Rejected { id: None, error: ErrorBody::new(ErrorCode::BadRequest, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_frames() {
        for good in [
            r#"{"type":"status","id":"c1"}"#,
            r#"{"type":"generate","id":"c1","prompt":"x","from_the_future":1}"#,
            r#"{"type":"pong"}"#,
            r#"{"type":"pong","seq":3}"#,
            r#"{"type":"refresh_token","id":"c1","token":"x"}"#,
            r#"{"id":"c1","type":"write_file","path":"a","content":"b"}"#,
        ] {
            assert!(parse(good.as_bytes()).is_ok(), "{good}");
        }
        assert!(parse_hello(br#"{"type":"hello","protocol":1,"since":{"epoch":"a","seq":1}}"#).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (bad, id, expected) in [
            ("", None, "not JSON"),
            ("{", None, "not JSON"),
            ("[1]", None, "JSON object"),
            ("3", None, "JSON object"),
            ("{}", None, "`type`"),
            (r#"{"type":7,"id":"c1"}"#, Some("c1"), "`type`"),
            (r#"{"type":"fly","id":"c1"}"#, Some("c1"), "`fly`"),
            (r#"{"type":"hello","protocol":1}"#, None, "first frame"),
            (r#"{"type":"status"}"#, None, "`id`"),
            (r#"{"type":"status","id":7}"#, None, "`id`"),
            (r#"{"type":"refresh_token","token":"x"}"#, None, "`id`"),
            (r#"{"type":"refresh_token","id":"c1"}"#, Some("c1"), "`token`"),
            (r#"{"type":"status","id":"a b"}"#, None, "`id`"),
            (r#"{"type":"generate","id":"c1"}"#, Some("c1"), "`prompt`"),
            (r#"{"type":"generate","id":"c1","prompt":5}"#, Some("c1"), "`prompt`"),
            (r#"{"type":"generate","id":"c1","prompt":"x","apply":"no"}"#, Some("c1"), "`apply`"),
            (r#"{"type":"generate","id":"c1","prompt":"x","model":{}}"#, Some("c1"), "`model`"),
            (r#"{"type":"write_file","id":"c1","path":"../x","content":""}"#, Some("c1"), "`path`"),
            (r#"{"type":"write_file","id":"c1","path":"/etc/x","content":""}"#, Some("c1"), "`path`"),
            (r#"{"type":"install","id":"c1","packages":["; rm -rf /"]}"#, Some("c1"), "`packages`"),
            (r#"{"type":"install","id":"c1","packages":"axios"}"#, Some("c1"), "`packages`"),
            (r#"{"type":"cancel","id":"c1","run":"x7"}"#, Some("c1"), "`run`"),
            (r#"{"type":"exec","id":"c1","command":"ls","timeout_ms":-1}"#, Some("c1"), "`timeout_ms`"),
        ] {
            let rejected = parse(bad.as_bytes()).expect_err(bad);
            assert_eq!(rejected.error.code, ErrorCode::BadRequest);
            assert_eq!(rejected.id.as_ref().map(RequestId::as_str), id, "{bad}");
            assert!(rejected.error.message.contains(expected), "{bad}: {}", rejected.error.message);
        }
    }

    #[test]
    fn the_id_of_a_large_frame_is_read() {
        let frame = format!(r#"{{"type":"write_file","content":"{}","id":"c1"}}"#, "x".repeat(1_000_000));
        assert_eq!(readable_id(frame.as_bytes()).as_ref().map(RequestId::as_str), Some("c1"));
        for none in ["", "[]", r#"{"type":"pong"}"#, r#"{"id":7}"#, r#"{"id":"a b"}"#] {
            assert_eq!(readable_id(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn a_long_unknown_name_is_not_repeated_whole() {
        let frame = format!(r#"{{"type":"{}","id":"c1"}}"#, "x".repeat(10_000));
        let rejected = parse(frame.as_bytes()).expect_err("unknown");
        assert!(rejected.error.message.len() < 400);
    }

    #[test]
    fn hellos_that_are_none() {
        for (bad, expected) in [
            (r#"{"type":"status","id":"c1"}"#, "hello"),
            (r#"{"type":"hello"}"#, "`protocol`"),
            (r#"{"type":"hello","protocol":"1"}"#, "`protocol`"),
            (r#"{"type":"hello","protocol":1,"since":{"epoch":"!","seq":1}}"#, "`since`"),
        ] {
            let message = parse_hello(bad.as_bytes()).expect_err(bad).error.message;
            assert!(message.contains(expected), "{bad}: {message}");
        }
    }
}
