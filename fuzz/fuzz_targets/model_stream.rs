//! See `../cases/model_stream.rs`.
#![no_main]

#[path = "../cases/model_stream.rs"]
mod model_stream;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model_stream::check(data));
