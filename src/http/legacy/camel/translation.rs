//! What browsers are told, in the words of a later engine's clients.

use serde_json::{Value, json};

/// Lists of results that these clients know.
const RESULTS: [&str; 5] = ["filesCreated", "filesUpdated", "packagesInstalled", "commandsExecuted", "errors"];
/// Most of a command's output that is told with its end, in bytes.
const OUTPUT_SIZE_BYTES_MAX: usize = 64 * 1024;

/// The translation of one stream.
#[derive(Debug, Default)]
pub(in crate::http::legacy) struct Translation {
    /// Whether it tells of an apply.
    applies: bool,
    /// What the command under way has said.
    output: String,
}

impl Translation {
    /// What an event is for these clients: nothing, another one, or two.
    pub(in crate::http::legacy) fn of(&mut self, mut event: Value) -> Vec<Value> {
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            "start" if event["totalSteps"].is_number() => {
                self.applies = true;
                vec![event, json!({ "type": "info", "message": "Parsing and applying the answer" })]
            }
            "status" if self.applies => vec![json!({ "type": "info", "message": event["message"] })],
            "success" => {
                let packages = event["installedPackages"].take();
                vec![json!({ "type": "package-complete", "packages": packages })]
            }
            "command-output" => {
                if let Some(text) = event["output"].as_str().filter(|_| self.output.len() < OUTPUT_SIZE_BYTES_MAX) {
                    self.output.push_str(text);
                }
                Vec::new()
            }
            "command-complete" => {
                let (command, output) = (event["command"].take(), std::mem::take(&mut self.output));
                vec![if event["success"] == true {
                    json!({ "type": kind, "command": command, "output": output })
                } else {
                    let error = format!("exit code {}", event["exitCode"]);
                    json!({ "type": "command-error", "command": command, "error": error, "output": output })
                }]
            }
            "complete" if event["results"].is_object() => {
                let results = RESULTS.iter().map(|name| ((*name).to_owned(), event["results"][*name].take()));
                let results: serde_json::Map<String, Value> = results.collect();
                vec![json!({ "type": kind, "results": results, "message": event["message"] })]
            }
            "complete" if event["generatedCode"].is_string() => {
                for name in ["packagesToInstall", "warnings"] {
                    if event[name].is_null() {
                        event[name] = json!([]);
                    }
                }
                vec![event]
            }
            "error" => vec![json!({ "type": kind, "error": event["error"] })],
            // What is told of an answer and of packages while they come is not known here.
            "thinking" | "thinking_complete" | "conversation" | "package" | "component" | "app" | "output" => {
                Vec::new()
            }
            _ => vec![event],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(told: Value, expected: Value) {
        let mut translation = Translation { applies: false, output: "said".into() };
        assert_eq!(Value::from(translation.of(told.clone())), expected, "{told}");
    }

    #[test]
    fn what_browsers_are_told_in_other_words() {
        check(
            json!({ "type": "stream", "text": "x", "raw": true }),
            json!([{ "type": "stream", "text": "x", "raw": true }]),
        );
        check(json!({ "type": "component", "name": "x" }), json!([]));
        check(
            json!({ "type": "complete", "generatedCode": "x", "files": 1 }),
            json!([{ "type": "complete", "generatedCode": "x", "files": 1, "packagesToInstall": [], "warnings": [] }]),
        );
        check(
            json!({ "type": "success", "message": "m", "installedPackages": ["axios"] }),
            json!([{ "type": "package-complete", "packages": ["axios"] }]),
        );
        check(
            json!({ "type": "command-complete", "command": "c", "exitCode": 0, "success": true }),
            json!([{ "type": "command-complete", "command": "c", "output": "said" }]),
        );
        check(
            json!({ "type": "command-complete", "command": "c", "exitCode": 2, "success": false }),
            json!([{ "type": "command-error", "command": "c", "error": "exit code 2", "output": "said" }]),
        );
        check(json!({ "type": "error", "error": "e", "message": "e" }), json!([{ "type": "error", "error": "e" }]));
    }
}
