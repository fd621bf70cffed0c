//! Pure functions between prompts, replies and files: no IO, no tokio.
