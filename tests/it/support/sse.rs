//! Server-sent events, as a browser reads them.

use super::schema;

/// One event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct SseEvent {
    pub(crate) event: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

/// Puts events together from pieces that may end anywhere. What has no end yet does not count.
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    rest: Vec<u8>,
}

impl SseParser {
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<SseEvent> {
        self.rest.extend_from_slice(piece);
        let mut events = Vec::new();
        while let Some(end) = self.rest.windows(2).position(|pair| pair == b"\n\n") {
            let block = String::from_utf8(self.rest.drain(..end + 2).collect()).expect("UTF-8");
            // Comments and `retry` have no data.
            let event = event(&block);
            if !event.data.is_empty() {
                schema::examine(&serde_json::from_str(&event.data).expect("JSON"));
                events.push(event);
            }
        }
        events
    }
}

fn event(block: &str) -> SseEvent {
    let mut event = SseEvent::default();
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("event", value)) => event.event = Some(value.into()),
            Some(("id", value)) => event.id = Some(value.into()),
            Some(("data", value)) => event.data.push_str(value),
            _ => {}
        }
    }
    event
}
