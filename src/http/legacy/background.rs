//! What older clients send along with a prompt, worded for a model. What they tell of the project's files is left out: the
//! server shows the files as they are, not as a page remembers them.

use serde_json::{Map, Value};

use super::browser::wire::BrowserContext;
use crate::project::BACKGROUND_SIZE_BYTES_MAX;

/// Copies of what the server has itself, in either spelling.
const OWN: [&str; 12] = [
    "sandboxId",
    "sandbox_id",
    "sandboxUrl",
    "sandboxCreating",
    "structure",
    "files",
    "currentFiles",
    "current_files",
    "currentCode",
    "current_code",
    "recentMessages",
    "recent_messages",
];
/// Pages of which a model is told, the last ones, and most of one's text in bytes.
const PAGES_MAX: usize = 3;
const PAGE_SIZE_BYTES_MAX: usize = 20 * 1024;
/// Longest name of what a page says it is working on.
const NAME_CHARS_MAX: usize = 200;

/// The `context` of the first engine's clients: whatever they put there.
pub(super) fn of_engine(context: Option<Map<String, Value>>) -> Option<String> {
    let mut context = context?;
    context.retain(|name, value| !OWN.contains(&name.as_str()) && !is_empty(value));
    if context.is_empty() {
        return None;
    }
    Some(cut(&format!("{:#}", Value::Object(context)), BACKGROUND_SIZE_BYTES_MAX))
}

/// The `context` of browsers: of its parts, the pages they had read and what they call their work.
pub(super) fn of_browser(context: Option<BrowserContext>) -> Option<String> {
    let conversation = context?.conversation_context?;
    let mut parts = Vec::new();
    if let Some(name) = conversation.current_project.filter(|name| !name.trim().is_empty()) {
        parts.push(format!("They call what they work on: {}", name.chars().take(NAME_CHARS_MAX).collect::<String>()));
    }
    let pages = conversation.scraped_websites.unwrap_or_default();
    let skipped = pages.len().saturating_sub(PAGES_MAX);
    for page in pages.into_iter().skip(skipped).filter_map(|page| page.0) {
        let content = match page.content {
            Some(Value::String(text)) => text,
            None | Some(Value::Null) => continue,
            Some(other) => other.to_string(),
        };
        let address: String = page.url.as_deref().unwrap_or("a page").chars().take(NAME_CHARS_MAX).collect();
        parts.push(format!("{address} says:\n{}", cut(&content, PAGE_SIZE_BYTES_MAX)));
    }
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The beginning of a text.
fn cut(text: &str, size_bytes_max: usize) -> String {
    const MARK: &str = "\n[…]";
    if text.len() <= size_bytes_max {
        return text.to_owned();
    }
    format!("{}{MARK}", &text[..text.floor_char_boundary(size_bytes_max - MARK.len())])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_engines_client_knows_is_told_but_no_copies_of_files() {
        let of = |context: Value| of_engine(context.as_object().cloned());
        assert_eq!(of(json!({})), None);
        assert_eq!(of(json!({ "current_files": { "a": "b" }, "notes": "", "more": null })), None);
        assert_eq!(of(json!({ "brand": "teal", "files": ["a"] })).as_deref(), Some("{\n  \"brand\": \"teal\"\n}"));
        let long = of(json!({ "text": "ü".repeat(BACKGROUND_SIZE_BYTES_MAX) })).expect("something");
        assert!(long.len() <= BACKGROUND_SIZE_BYTES_MAX && long.ends_with("[…]"), "{}", long.len());
    }

    #[test]
    fn of_browsers_the_last_pages_count() {
        let of_browser = |context: Value| of_browser(serde_json::from_value(context).expect("any context is read"));
        assert_eq!(of_browser(Value::Null), None);
        assert_eq!(of_browser(json!({ "currentFiles": {}, "conversationContext": "x" })), None);
        let page = |n: usize| json!({ "url": format!("https://p{n}.example"), "content": "x".repeat(30_000) });
        let pages: Vec<Value> = (0..5).map(page).collect();
        let context = json!({ "conversationContext": { "scrapedWebsites": pages, "currentProject": "A shop" } });
        let told = of_browser(context).expect("something");
        assert!(told.starts_with("They call what they work on: A shop\n\nhttps://p2.example says:\nxxx"), "{told:.80}");
        assert!(told.contains("https://p4.example") && !told.contains("https://p1.example"));
        assert!(told.len() <= BACKGROUND_SIZE_BYTES_MAX);
        let structured = json!({ "conversationContext": { "scrapedWebsites": [{ "content": { "title": "T" } }] } });
        assert_eq!(of_browser(structured).as_deref(), Some("a page says:\n{\"title\":\"T\"}"));
    }
}
