//! Bodies of requests, checked field by field with the complaints that the first engine's clients know.

use axum::{
    body::Bytes,
    extract::{FromRequest as _, Request},
    http::{HeaderMap, StatusCode, header},
};
use serde_json::{Map, Value, json};

use super::refusal::Refusal;

/// A body that is an object, and what is wrong with it so far.
#[derive(Debug)]
pub(crate) struct Fields {
    object: Map<String, Value>,
    complaints: Vec<Value>,
}

impl Fields {
    /// Reads the body of a request.
    pub(crate) async fn read(request: Request) -> Result<Self, Refusal> {
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, &()).await.map_err(|rejection| {
            let sentence = match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => "The body is larger than this server takes",
                _ => "The body could not be read",
            };
            Refusal::Detail(rejection.status(), sentence.into())
        })?;
        Self::parse(&headers, &body)
    }

    fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let missing = || Refusal::Invalid(vec![complaint("missing", json!(["body"]), "Field required", &Value::Null)]);
        if body.is_empty() {
            return Err(missing());
        }
        let value = if is_json(headers) {
            serde_json::from_slice(body).map_err(|error| not_json(body, &error))?
        } else {
            Value::String(String::from_utf8_lossy(body).into_owned())
        };
        match value {
            Value::Object(object) => Ok(Self { object, complaints: Vec::new() }),
            Value::Null => Err(missing()),
            other => {
                let message = "Input should be a valid dictionary or object to extract fields from";
                Err(Refusal::Invalid(vec![complaint("model_attributes_type", json!(["body"]), message, &other)]))
            }
        }
    }

    /// A text that must be there.
    pub(crate) fn string(&mut self, name: &str) -> String {
        match self.object.get(name).cloned() {
            Some(Value::String(text)) => text,
            Some(other) => {
                self.complain("string_type", json!(["body", name]), "Input should be a valid string", &other)
            }
            None => self.complain_missing(name),
        }
    }

    /// A text that may be absent or null.
    pub(crate) fn optional_string(&mut self, name: &str) -> Option<String> {
        self.given(name)?;
        Some(self.string(name))
    }

    /// True or false, in any of the spellings the first engine takes.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let Some(value) = self.object.get(name).cloned() else { return false };
        let read = match &value {
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
        };
        read.unwrap_or_else(|| match value {
            Value::String(_) | Value::Number(_) => {
                let message = "Input should be a valid boolean, unable to interpret input";
                self.complain("bool_parsing", json!(["body", name]), message, &value)
            }
            _ => self.complain("bool_type", json!(["body", name]), "Input should be a valid boolean", &value),
        })
    }

    /// A list of texts that must be there.
    pub(crate) fn strings(&mut self, name: &str) -> Vec<String> {
        match self.object.get(name).cloned() {
            Some(Value::Array(entries)) => {
                let mut texts = Vec::with_capacity(entries.len());
                for (at, entry) in entries.into_iter().enumerate() {
                    match entry {
                        Value::String(text) => texts.push(text),
                        other => {
                            let place = json!(["body", name, at]);
                            () = self.complain("string_type", place, "Input should be a valid string", &other);
                        }
                    }
                }
                texts
            }
            Some(other) => self.complain("list_type", json!(["body", name]), "Input should be a valid list", &other),
            None => self.complain_missing(name),
        }
    }

    /// A list of texts; empty when it is absent.
    pub(crate) fn strings_or_none(&mut self, name: &str) -> Vec<String> {
        if self.object.contains_key(name) { self.strings(name) } else { Vec::new() }
    }

    /// A list of texts that may be absent or null.
    pub(crate) fn optional_strings(&mut self, name: &str) -> Vec<String> {
        if self.given(name).is_some() { self.strings(name) } else { Vec::new() }
    }

    /// Texts by name, which must be there; in the order they were sent.
    pub(crate) fn string_map(&mut self, name: &str) -> Vec<(String, String)> {
        match self.object.get(name).cloned() {
            Some(Value::Object(entries)) => {
                let mut texts = Vec::with_capacity(entries.len());
                for (key, entry) in entries {
                    match entry {
                        Value::String(text) => texts.push((key, text)),
                        other => {
                            let place = json!(["body", name, key]);
                            () = self.complain("string_type", place, "Input should be a valid string", &other);
                        }
                    }
                }
                texts
            }
            Some(other) => {
                self.complain("dict_type", json!(["body", name]), "Input should be a valid dictionary", &other)
            }
            None => self.complain_missing(name),
        }
    }

    /// An object that may be absent or null.
    pub(crate) fn optional_object(&mut self, name: &str) -> Option<Map<String, Value>> {
        match self.given(name)?.clone() {
            Value::Object(object) => Some(object),
            other => self.complain("dict_type", json!(["body", name]), "Input should be a valid dictionary", &other),
        }
    }

    /// One of these words, which must be there.
    pub(crate) fn literal(&mut self, name: &str, words: &[&'static str]) -> &'static str {
        let Some(value) = self.object.get(name).cloned() else { return self.complain_missing(name) };
        match words.iter().find(|word| value.as_str() == Some(word)) {
            Some(word) => word,
            None => {
                self.complain_literal(json!(["body", name]), words, &value);
                ""
            }
        }
    }

    /// Takes down that a value is none of these words.
    pub(crate) fn complain_literal(&mut self, place: Value, words: &[&str], value: &Value) {
        let expected = alternatives(words);
        let mut complaint = complaint("literal_error", place, &format!("Input should be {expected}"), value);
        complaint["ctx"] = json!({ "expected": expected });
        self.complaints.push(complaint);
    }

    /// Takes down what is wrong with a field.
    pub(crate) fn complain<T: Default>(&mut self, kind: &str, place: Value, message: &str, value: &Value) -> T {
        self.complaints.push(complaint(kind, place, message, value));
        T::default()
    }

    fn complain_missing<T: Default>(&mut self, name: &str) -> T {
        let input = Value::Object(self.object.clone());
        self.complain("missing", json!(["body", name]), "Field required", &input)
    }

    fn given(&self, name: &str) -> Option<&Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// Fails when anything was wrong.
    pub(crate) fn finish(self) -> Result<(), Refusal> {
        if self.complaints.is_empty() { Ok(()) } else { Err(Refusal::Invalid(self.complaints)) }
    }
}

/// JSON unless the sender says that it is something else.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return true };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

fn complaint(kind: &str, place: Value, message: &str, input: &Value) -> Value {
    json!({ "type": kind, "loc": place, "msg": message, "input": input })
}

fn not_json(body: &[u8], error: &serde_json::Error) -> Refusal {
    let lines = body.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    let before: usize = lines.map(<[u8]>::len).sum();
    let (column, context) = if error.is_eof() {
        (error.column(), "Expecting value")
    } else {
        (error.column().saturating_sub(1), "Invalid JSON")
    };
    let mut complaint = complaint("json_invalid", json!(["body", before + column]), "JSON decode error", &json!({}));
    complaint["ctx"] = json!({ "error": context });
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

    #[track_caller]
    fn check(kind: Option<&str>, body: &str, read: impl Fn(&mut Fields), expected: Value) {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, kind.parse().expect("valid"));
        }
        let result = Fields::parse(&headers, body.as_bytes()).and_then(|mut fields| {
            read(&mut fields);
            fields.finish()
        });
        match result {
            Err(Refusal::Invalid(complaints)) => assert_eq!(Value::Array(complaints), expected, "{body}"),
            Ok(()) => assert_eq!(expected, Value::Null, "{body}"),
            Err(other) => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn complaints_are_those_that_clients_know() {
        const JSON: Option<&str> = Some("application/json");
        let prompt = |fields: &mut Fields| drop(fields.string("prompt"));
        let action = |fields: &mut Fields| _ = fields.literal("action", &["reset", "clear-old", "update"]);
        check(JSON, r#"{"prompt":"x"}"#, prompt, Value::Null);
        check(None, r#"{"prompt":"x"}"#, prompt, Value::Null);
        check(
            JSON,
            "{}",
            prompt,
            json!([{"type":"missing","loc":["body","prompt"],"msg":"Field required","input":{}}]),
        );
        check(JSON, "", prompt, json!([{"type":"missing","loc":["body"],"msg":"Field required","input":null}]));
        check(
            JSON,
            r#"{"prompt":5}"#,
            prompt,
            json!([{"type":"string_type","loc":["body","prompt"],"msg":"Input should be a valid string","input":5}]),
        );
        check(
            JSON,
            r#"{"action":"nope"}"#,
            action,
            json!([{"type":"literal_error","loc":["body","action"],
                "msg":"Input should be 'reset', 'clear-old' or 'update'","input":"nope",
                "ctx":{"expected":"'reset', 'clear-old' or 'update'"}}]),
        );
        check(
            JSON,
            r#"{"action":"#,
            action,
            json!([{"type":"json_invalid","loc":["body",10],"msg":"JSON decode error","input":{},
                "ctx":{"error":"Expecting value"}}]),
        );
        check(
            Some("text/plain"),
            r#"{"action":"reset"}"#,
            action,
            json!([{"type":"model_attributes_type","loc":["body"],
                "msg":"Input should be a valid dictionary or object to extract fields from",
                "input":"{\"action\":\"reset\"}"}]),
        );
        let packages = |fields: &mut Fields| drop(fields.strings("packages"));
        check(
            JSON,
            r#"{"packages":["a",1]}"#,
            packages,
            json!([{"type":"string_type","loc":["body","packages",1],"msg":"Input should be a valid string","input":1}]),
        );
        check(
            JSON,
            r#"{"packages":"a"}"#,
            packages,
            json!([{"type":"list_type","loc":["body","packages"],"msg":"Input should be a valid list","input":"a"}]),
        );
    }

    #[test]
    fn flags_have_many_spellings() {
        for (text, expected) in [("true", true), ("\"Yes\"", true), ("1", true), ("false", false), ("\"off\"", false)] {
            let mut fields =
                Fields::parse(&HeaderMap::new(), format!("{{\"x\":{text}}}").as_bytes()).expect("an object");
            assert_eq!(fields.flag("x"), expected, "{text}");
            assert!(fields.finish().is_ok(), "{text}");
        }
        for text in ["null", "2", "\"maybe\"", "[]"] {
            let mut fields =
                Fields::parse(&HeaderMap::new(), format!("{{\"x\":{text}}}").as_bytes()).expect("an object");
            assert!(!fields.flag("x"));
            assert!(fields.finish().is_err(), "{text}");
        }
    }
}
