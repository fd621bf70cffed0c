//! Paths that two kinds of clients share: those that name their project in a header, and browser clients, which do not.
//! What either sends and gets is described, or that of one where the operator has chosen.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::Operation;
use crate::http::legacy::DialectChoice;

/// The same for two kinds of clients on one path.
pub(super) struct Either<T> {
    pub(super) engine: T,
    pub(super) browser: T,
}

impl Operation<'_> {
    /// A stream of events where browser clients get events of another kind.
    pub(super) fn gives_events_to_either<E: JsonSchema, B: JsonSchema>(&mut self, example: Either<Value>) -> &mut Self {
        let event = self.schema_of_either::<E, B>();
        let example = if self.dialect == DialectChoice::Browser { example.browser } else { example.engine };
        self.gives_events_of(&event, &example)
    }

    /// A JSON body of one of two kinds. Whether there must be one depends on both.
    pub(super) fn takes_either<E: JsonSchema, B: JsonSchema>(
        &mut self,
        required: bool,
        examples: Either<Value>,
    ) -> &mut Self {
        let schema = self.schema_of_either::<E, B>();
        let content = self.of_either(schema, examples);
        self.object
            .insert("requestBody".into(), json!({ "required": required, "content": { "application/json": content } }));
        self
    }

    /// A JSON answer of one of two kinds.
    pub(super) fn gives_either<E: JsonSchema, B: JsonSchema>(
        &mut self,
        status: u16,
        what: &str,
        examples: Either<Value>,
    ) -> &mut Self {
        let schema = self.schema_of_either::<E, B>();
        let content = json!({ "application/json": self.of_either(schema, examples) });
        self.answer(status.to_string(), json!({ "description": what, "content": content }))
    }

    /// An archive; to browser clients in JSON, as a text.
    pub(super) fn gives_archive<B: JsonSchema>(&mut self, what: &str, example: Value) -> &mut Self {
        let mut content = Map::new();
        if self.is_answered(DialectChoice::Engine) {
            let schema = json!({ "type": "string", "format": "binary" });
            content.insert("application/zip".into(), json!({ "schema": schema }));
        }
        if self.is_answered(DialectChoice::Browser) {
            let schema = self.schema::<B>();
            content.insert("application/json".into(), json!({ "schema": schema, "example": example }));
        }
        self.answer("200".into(), json!({ "description": what, "content": content }))
    }

    /// A failure in one of two shapes.
    pub(super) fn fails_with_either<E: JsonSchema, B: JsonSchema>(&mut self, status: &str, what: &str) -> &mut Self {
        let content = json!({ "application/json": { "schema": self.schema_of_either::<E, B>() } });
        self.answer(status.to_owned(), json!({ "description": what, "content": content }))
    }

    /// A schema with its examples, by the clients they are for.
    fn of_either(&self, schema: Value, examples: Either<Value>) -> Value {
        let mut named = Map::new();
        if self.is_answered(DialectChoice::Engine) {
            named.insert("engine".into(), json!({ "summary": "With X-Project-Id", "value": examples.engine }));
        }
        if self.is_answered(DialectChoice::Browser) {
            named.insert("browser".into(), json!({ "summary": "Without X-Project-Id", "value": examples.browser }));
        }
        json!({ "schema": schema, "examples": named })
    }

    fn schema_of_either<E: JsonSchema, B: JsonSchema>(&mut self) -> Value {
        let engine = self.is_answered(DialectChoice::Engine).then(|| self.schema::<E>());
        let browser = self.is_answered(DialectChoice::Browser).then(|| self.schema::<B>());
        match (engine, browser) {
            (Some(engine), Some(browser)) if engine != browser => json!({ "anyOf": [engine, browser] }),
            (engine, browser) => engine.or(browser).unwrap_or_default(),
        }
    }

    /// Whether the endpoints that two kinds of clients share answer this one.
    fn is_answered(&self, one: DialectChoice) -> bool {
        match self.dialect {
            DialectChoice::Auto => true,
            DialectChoice::Browser => one == DialectChoice::Browser,
            DialectChoice::Engine => one == DialectChoice::Engine,
            // A later engine's words are those of neither, and described apart.
            DialectChoice::EngineCamel => false,
        }
    }
}
