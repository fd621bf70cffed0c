//! See `../cases/reply_text.rs`.
#![no_main]

#[path = "../cases/reply_text.rs"]
mod reply_text;

libfuzzer_sys::fuzz_target!(|data: &[u8]| reply_text::check(data));
