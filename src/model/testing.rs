//! What the tests of the wires share.

use std::sync::Arc;

use bytes::Bytes;
use cobuild_protocol::value::MessageRole;
use serde_json::Value;

use super::{
    ask::Ask,
    endpoint::{Endpoint, EndpointSettings, ModelSettings},
    provider::{ModelName, Provider},
    wire,
};
use crate::{
    project::model_provider::{Image, ModelChunk, ModelError, Turn},
    secret::Secret,
};

/// The files of [`ask`] as text.
pub(super) const FILES: &str = "The project's files:\n\n<file path=\"a.js\">\n1\n</file>\n";

/// A provider where it usually is, with a key.
pub(super) fn endpoint(provider: Provider) -> Endpoint {
    let base_url = (provider == Provider::Compatible).then(|| "http://127.0.0.1:9/v1".to_owned());
    let set = EndpointSettings { key: Some(Secret::new("test-key")), base_url };
    let settings = ModelSettings { endpoints: [(provider, set)].into(), ..ModelSettings::default() };
    Endpoint::new(provider, &settings).expect("valid")
}

/// Three turns, a file and a picture.
pub(super) fn ask(model: &str) -> Ask {
    let model = ModelName::parse(model).expect("valid");
    let turn = |role, text: &str| Turn { role, text: text.to_owned() };
    Ask {
        show_reasoning: matches!(model.provider, Provider::Anthropic | Provider::Google),
        model,
        system: "Be brief.".to_owned(),
        files: Some(FILES.to_owned()),
        turns: vec![
            turn(MessageRole::User, "one"),
            turn(MessageRole::Assistant, "two"),
            turn(MessageRole::User, "three"),
        ],
        images: vec![Image { media_type: "image/png".to_owned(), data: Bytes::from_static(&[1, 2]) }],
        output_tokens_max: Some(32_000),
        temperature: None,
        top_p: None,
        top_k: None,
        effort: None,
    }
}

/// What a provider's wire makes of these events followed by the end of the bytes. A text frame is sent as it is.
pub(super) fn chunks(provider: Provider, frames: &[Value]) -> Result<Vec<ModelChunk>, ModelError> {
    chunks_of(provider, "any", frames)
}

/// The same when this model was asked.
pub(super) fn chunks_of(provider: Provider, model: &str, frames: &[Value]) -> Result<Vec<ModelChunk>, ModelError> {
    let mut reader = wire::reader(&Arc::new(endpoint(provider)), model);
    let mut out = Vec::new();
    for frame in frames {
        let data = frame.as_str().map_or_else(|| frame.to_string(), str::to_owned);
        reader.on_event("message", &data, &mut out)?;
    }
    if !matches!(out.last(), Some(ModelChunk::Stop(_))) {
        reader.on_end(&mut out)?;
    }
    Ok(out)
}
