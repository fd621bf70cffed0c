//! Bodies of requests, checked against the types they are read as, with the complaints that the first engine's clients know.

use std::{
    any::TypeId,
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::{FromRequest as _, Request},
    http::{HeaderMap, StatusCode, header},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::{refusal::Refusal, wire::ValidationError};
use crate::http::Timing;

/// Longest time a body may take to arrive, on a request that is read here.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyWithin(pub(super) Duration);

impl Default for BodyWithin {
    fn default() -> Self {
        Self(Timing::default().older_body_within)
    }
}

/// A body that is an object.
#[derive(Debug)]
pub(crate) struct Fields {
    object: Map<String, Value>,
}

impl Fields {
    /// Reads the body of a request.
    pub(crate) async fn read(request: Request) -> Result<Self, Refusal> {
        let headers = request.headers().clone();
        Self::parse(&headers, &bytes(request).await?)
    }

    /// The same where nothing at all is as good as an empty object.
    pub(crate) async fn read_or_empty(request: Request) -> Result<Self, Refusal> {
        match Self::read(request).await {
            Err(Refusal::Invalid(complaints)) if complaints.iter().all(|one| one.r#type == "missing") => {
                Ok(Self { object: Map::new() })
            }
            read => read,
        }
    }

    fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let missing =
            || Refusal::Invalid(vec![complaint("missing", vec!["body".into()], "Field required", &Value::Null)]);
        if body.is_empty() {
            return Err(missing());
        }
        let value = if is_json(headers) {
            serde_json::from_slice(body).map_err(|error| not_json(body, &error))?
        } else {
            Value::String(String::from_utf8_lossy(body).into_owned())
        };
        match value {
            Value::Object(object) => Ok(Self { object }),
            Value::Null => Err(missing()),
            other => {
                let message = "Input should be a valid dictionary or object to extract fields from";
                Err(Refusal::Invalid(vec![complaint("model_attributes_type", vec!["body".into()], message, &other)]))
            }
        }
    }

    /// As what it is meant to be: a type of which each field may be absent. For those who complain in their own words.
    pub(crate) fn read_leniently<T: DeserializeOwned + Default>(self) -> T {
        serde_json::from_value(Value::Object(self.object)).unwrap_or_else(|error| {
            tracing::error!(%error, "a body whose fields may all be absent could not be read");
            T::default()
        })
    }

    /// As what it must be; the refusal complains of each field that is not. What the type allows is what counts, so that
    /// the API's description, which is made from the same type, says it too.
    pub(crate) fn read_as<T: DeserializeOwned + JsonSchema + 'static>(self) -> Result<T, Refusal> {
        let schema = schema_of::<T>();
        let (mut body, mut complaints) = (Value::Object(self.object), Vec::new());
        check(&schema, &mut body, &mut vec!["body".into()], &mut complaints);
        if !complaints.is_empty() {
            return Err(Refusal::Invalid(complaints));
        }
        serde_json::from_value(body).map_err(|error| {
            tracing::error!(%error, "a body that was checked could not be read");
            Refusal::bad_request("The body could not be read")
        })
    }
}

/// The body of a request as it is.
pub(crate) async fn bytes(request: Request) -> Result<Bytes, Refusal> {
    let BodyWithin(within) = request.extensions().get().copied().unwrap_or_default();
    let slow = |_| Refusal::Detail(StatusCode::REQUEST_TIMEOUT, "The body took too long to arrive".into());
    timeout(within, Bytes::from_request(request, &())).await.map_err(slow)?.map_err(|rejection| {
        let sentence = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "The body is larger than this server takes",
            _ => "The body could not be read",
        };
        Refusal::Detail(rejection.status(), sentence.into())
    })
}

/// Reads the body of a request as what it must be.
pub(crate) async fn read<T: DeserializeOwned + JsonSchema + 'static>(request: Request) -> Result<T, Refusal> {
    Fields::read(request).await?.read_as()
}

/// What a type allows. Made once: that takes longer than reading a body.
fn schema_of<T: JsonSchema + 'static>() -> Arc<Value> {
    static SCHEMAS: LazyLock<Mutex<HashMap<TypeId, Arc<Value>>>> = LazyLock::new(Mutex::default);
    let mut schemas = SCHEMAS.lock().unwrap_or_else(PoisonError::into_inner);
    let schema = schemas.entry(TypeId::of::<T>()).or_insert_with(|| {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        Arc::new(settings.into_generator().into_root_schema_for::<T>().to_value())
    });
    Arc::clone(schema)
}

/// A field that is needed, in a body whose reader complains in its own words: absent, null or of another type is all the
/// same to it. Described as if it were there.
#[derive(Debug, Clone)]
pub(crate) struct Lenient<T>(pub(crate) Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lenient(deserializer).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Lenient<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A field that is as good as absent when it is of another type.
pub(crate) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}

/// Checks a value against a schema, and puts flags into their one spelling.
fn check(schema: &Value, value: &mut Value, place: &mut Vec<Value>, complaints: &mut Vec<ValidationError>) {
    if let Some(choices) = schema["anyOf"].as_array() {
        let is_null = |choice: &&Value| choice["type"] == "null";
        if !(value.is_null() && choices.iter().any(|choice| is_null(&choice)))
            && let Some(choice) = choices.iter().find(|choice| !is_null(choice))
        {
            check(choice, value, place, complaints);
        }
        return;
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    if value.is_null() && kinds.contains(&"null") {
        return;
    }
    let mut complain = |kind: &str, message: &str, value: &Value| {
        complaints.push(complaint(kind, place.clone(), message, value));
    };
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        if !words.iter().any(|word| value.as_str() == Some(word)) {
            let expected = alternatives(&words);
            let mut complaint =
                complaint("literal_error", place.clone(), &format!("Input should be {expected}"), value);
            complaint.ctx = Some([("expected".to_owned(), expected.into())].into_iter().collect());
            complaints.push(complaint);
        }
        return;
    }
    match kinds.iter().find(|kind| **kind != "null").copied() {
        Some("string") if !value.is_string() => complain("string_type", "Input should be a valid string", value),
        Some("boolean") => match (flag(value), &*value) {
            (Some(flag), _) => *value = flag.into(),
            (None, Value::String(_) | Value::Number(_)) => {
                complain("bool_parsing", "Input should be a valid boolean, unable to interpret input", value);
            }
            (None, _) => complain("bool_type", "Input should be a valid boolean", value),
        },
        Some("array") => match value {
            Value::Array(entries) => {
                for (at, entry) in entries.iter_mut().enumerate() {
                    place.push(at.into());
                    check(&schema["items"], entry, place, complaints);
                    place.pop();
                }
            }
            other => complain("list_type", "Input should be a valid list", other),
        },
        Some("object") => match value {
            Value::Object(object) => check_object(schema, object, place, complaints),
            other => complain("dict_type", "Input should be a valid dictionary", other),
        },
        _ => {}
    }
}

fn check_object(
    schema: &Value,
    object: &mut Map<String, Value>,
    place: &mut Vec<Value>,
    complaints: &mut Vec<ValidationError>,
) {
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(name) {
            let place = place.iter().cloned().chain([name.into()]).collect();
            complaints.push(complaint("missing", place, "Field required", &Value::Object(object.clone())));
        }
    }
    for (name, value) in object {
        let property = &schema["properties"][name];
        let property = if property.is_null() { &schema["additionalProperties"] } else { property };
        place.push(name.as_str().into());
        check(property, value, place, complaints);
        place.pop();
    }
}

/// True or false, in any of the spellings the first engine takes.
fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        },
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// JSON unless the sender says that it is something else.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return true };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

fn complaint(kind: &str, loc: Vec<Value>, message: &str, input: &Value) -> ValidationError {
    ValidationError { r#type: kind.to_owned(), loc, msg: message.to_owned(), input: input.clone(), ctx: None }
}

fn not_json(body: &[u8], error: &serde_json::Error) -> Refusal {
    let lines = body.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    let before: usize = lines.map(<[u8]>::len).sum();
    let (column, context) = if error.is_eof() {
        (error.column(), "Expecting value")
    } else {
        (error.column().saturating_sub(1), "Invalid JSON")
    };
    let place = vec!["body".into(), (before + column).into()];
    let mut complaint = complaint("json_invalid", place, "JSON decode error", &json!({}));
    complaint.ctx = Some([("error".to_owned(), context.into())].into_iter().collect());
    Refusal::Invalid(vec![complaint])
}

/// `'a', 'b' or 'c'`
fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::http::legacy::wire::{
        ApplyCodeRequest, ConversationStateAction, CreateZipRequest, DetectPackagesRequest, GenerateCodeRequest,
        InstallPackagesRequest,
    };

    fn read<T: DeserializeOwned + JsonSchema + 'static>(kind: Option<&str>, body: &str) -> Result<T, Value> {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, kind.parse().expect("valid"));
        }
        Fields::parse(&headers, body.as_bytes()).and_then(Fields::read_as).map_err(|refusal| match refusal {
            Refusal::Invalid(complaints) => serde_json::to_value(complaints).expect("JSON"),
            other => panic!("{body}: {other:?}"),
        })
    }

    #[track_caller]
    fn check<T: DeserializeOwned + JsonSchema + 'static>(kind: Option<&str>, body: &str, expected: Value) {
        assert_eq!(read::<T>(kind, body).err().unwrap_or_default(), expected, "{body}");
    }

    #[test]
    fn complaints_are_those_that_clients_know() {
        const JSON: Option<&str> = Some("application/json");
        check::<GenerateCodeRequest>(JSON, r#"{"prompt":"x","unknown":1}"#, Value::Null);
        check::<GenerateCodeRequest>(None, r#"{"prompt":"x","model":null,"context":null}"#, Value::Null);
        check::<GenerateCodeRequest>(
            JSON,
            "{}",
            json!([{"type":"missing","loc":["body","prompt"],"msg":"Field required","input":{}}]),
        );
        check::<GenerateCodeRequest>(
            JSON,
            "",
            json!([{"type":"missing","loc":["body"],"msg":"Field required","input":null}]),
        );
        check::<GenerateCodeRequest>(
            JSON,
            r#"{"prompt":5}"#,
            json!([{"type":"string_type","loc":["body","prompt"],"msg":"Input should be a valid string","input":5}]),
        );
        check::<GenerateCodeRequest>(
            JSON,
            r#"{"prompt":"x","context":"y"}"#,
            json!([{"type":"dict_type","loc":["body","context"],"msg":"Input should be a valid dictionary","input":"y"}]),
        );
        check::<ConversationStateAction>(
            JSON,
            r#"{"action":"nope"}"#,
            json!([{"type":"literal_error","loc":["body","action"],
                "msg":"Input should be 'reset', 'clear-old' or 'update'","input":"nope",
                "ctx":{"expected":"'reset', 'clear-old' or 'update'"}}]),
        );
        check::<ConversationStateAction>(
            JSON,
            r#"{"action":"update","data":{"userPreferences":{"editStyle":"weird"}}}"#,
            json!([{"type":"literal_error","loc":["body","data","userPreferences","editStyle"],
                "msg":"Input should be 'targeted' or 'comprehensive'","input":"weird",
                "ctx":{"expected":"'targeted' or 'comprehensive'"}}]),
        );
        check::<ConversationStateAction>(
            JSON,
            r#"{"action":"update","data":{"userPreferences":{"editStyle":null,"commonPatterns":["a"]},"x":1}}"#,
            Value::Null,
        );
        check::<ConversationStateAction>(
            JSON,
            r#"{"action":"#,
            json!([{"type":"json_invalid","loc":["body",10],"msg":"JSON decode error","input":{},
                "ctx":{"error":"Expecting value"}}]),
        );
        check::<ConversationStateAction>(
            Some("text/plain"),
            r#"{"action":"reset"}"#,
            json!([{"type":"model_attributes_type","loc":["body"],
                "msg":"Input should be a valid dictionary or object to extract fields from",
                "input":"{\"action\":\"reset\"}"}]),
        );
        check::<InstallPackagesRequest>(
            JSON,
            r#"{"packages":["a",1]}"#,
            json!([{"type":"string_type","loc":["body","packages",1],"msg":"Input should be a valid string","input":1}]),
        );
        check::<InstallPackagesRequest>(
            JSON,
            r#"{"packages":"a"}"#,
            json!([{"type":"list_type","loc":["body","packages"],"msg":"Input should be a valid list","input":"a"}]),
        );
        check::<DetectPackagesRequest>(
            JSON,
            r#"{"files":{"a":1}}"#,
            json!([{"type":"string_type","loc":["body","files","a"],"msg":"Input should be a valid string","input":1}]),
        );
        check::<CreateZipRequest>(JSON, r#"{"files":null}"#, Value::Null);
        check::<ApplyCodeRequest>(
            JSON,
            r#"{"response":"","packages":null}"#,
            json!([{"type":"list_type","loc":["body","packages"],"msg":"Input should be a valid list","input":null}]),
        );
    }

    #[test]
    fn what_a_type_allows_is_worked_out_once() {
        let first = schema_of::<GenerateCodeRequest>();
        assert!(Arc::ptr_eq(&first, &schema_of::<GenerateCodeRequest>()));
        assert_ne!(first, schema_of::<ApplyCodeRequest>());
    }

    #[test]
    fn a_field_of_another_type_is_as_good_as_none() {
        #[derive(Debug, Default, Deserialize, JsonSchema)]
        struct Wish {
            text: Lenient<String>,
            #[serde(default, deserialize_with = "lenient")]
            flag: Option<bool>,
        }
        for (body, text, flag) in [
            (r#"{"text":"x","flag":true}"#, Some("x"), Some(true)),
            (r#"{"text":5,"flag":"yes"}"#, None, None),
            (r#"{"text":null,"flag":null,"more":1}"#, None, None),
            ("{}", None, None),
        ] {
            let fields = Fields::parse(&HeaderMap::new(), body.as_bytes()).expect("an object");
            let wish: Wish = fields.read_leniently();
            assert_eq!((wish.text.0.as_deref(), wish.flag), (text, flag), "{body}");
        }
        let schema = schema_of::<Wish>();
        assert_eq!((&schema["required"], &schema["properties"]["text"]["type"]), (&json!(["text"]), &json!("string")));
    }

    #[test]
    fn flags_have_many_spellings() {
        let of = |text: &str| read::<ApplyCodeRequest>(None, &format!("{{\"response\":\"\",\"is_edit\":{text}}}"));
        for (text, expected) in [("true", true), ("\"Yes\"", true), ("1", true), ("false", false), ("\"off\"", false)] {
            assert_eq!(of(text).expect("a flag").is_edit, expected, "{text}");
        }
        for (text, kind) in
            [("null", "bool_type"), ("2", "bool_parsing"), ("\"maybe\"", "bool_parsing"), ("[]", "bool_type")]
        {
            assert_eq!(of(text).expect_err("no flag")[0]["type"], kind, "{text}");
        }
    }
}
