//! Any bytes a vendor may send, on any wire: no panic, the same chunks however the bytes are cut, at most one stop and
//! nothing after it.
//!
//! The first byte picks the wire, the second one the size of the pieces. Run for long by `scripts/fuzz`, which is guided by
//! coverage, and for a moment by the tests.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use cobuild::{
    model::{
        endpoint::{Endpoint, ModelSettings},
        provider::Provider,
        sse, wire,
    },
    project::model_provider::{ModelChunk, ModelError},
};
use futures_util::{FutureExt as _, StreamExt as _, stream};

const PROVIDERS: [Provider; 4] = [Provider::Anthropic, Provider::Openai, Provider::Groq, Provider::Google];

/// Panics where one of these does not hold.
pub(crate) fn check(data: &[u8]) {
    let [wire, size, bytes @ ..] = data else { return };
    let provider = PROVIDERS[usize::from(*wire) % PROVIDERS.len()];
    let whole = replay(provider, vec![Bytes::copy_from_slice(bytes)]);
    let pieces = bytes.chunks(usize::from(*size).max(1)).map(Bytes::copy_from_slice).collect();
    assert_eq!(whole, replay(provider, pieces), "the cuts show");
}

/// The chunks, and whether the answer was complete.
fn replay(provider: Provider, pieces: Vec<Bytes>) -> (Vec<ModelChunk>, bool) {
    let bytes = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
    let events: Vec<_> = sse::events(bytes, 1 << 20).collect().now_or_never().expect("the bytes are there");
    let mut settings = ModelSettings::default();
    settings.endpoints.entry(provider).or_default().base_url = Some("http://127.0.0.1:9/v1".to_owned());
    let endpoint = Arc::new(Endpoint::new(provider, &settings).expect("loopback needs no key"));
    let mut reader = wire::reader(&endpoint, "any");
    let mut chunks = Vec::new();
    let mut events = events.into_iter();
    let mut read = || -> Result<(), ModelError> {
        for event in events.by_ref() {
            let event = event.map_err(|_| ModelError::Incomplete)?;
            reader.on_event(&event.event, &event.data, &mut chunks)?;
            if matches!(chunks.last(), Some(ModelChunk::Stop(_))) {
                return Ok(());
            }
        }
        reader.on_end(&mut chunks)
    };
    let complete = read().is_ok();
    if complete {
        // Whatever still comes behind the stop means nothing, and is no error that anybody hears of.
        let said = chunks.len();
        for event in events.map_while(Result::ok) {
            let _ = reader.on_event(&event.event, &event.data, &mut chunks);
        }
        assert_eq!(chunks.len(), said, "nothing comes after the stop: {:?}", &chunks[said..]);
    }
    let stops = chunks.iter().filter(|chunk| matches!(chunk, ModelChunk::Stop(_))).count();
    assert_eq!(stops, usize::from(complete), "complete means one stop, at the end");
    assert!(!complete || matches!(chunks.last(), Some(ModelChunk::Stop(_))));
    (chunks, complete)
}
