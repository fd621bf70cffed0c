//! The core: one actor per project, its log and its state, and the three traits it needs from the outside.
//!
//! It names no vendor, no web framework and no environment variable.

pub mod error;
pub mod event_log;
pub mod event_store;
pub mod model_provider;
pub mod sandbox_provider;

pub use error::ProjectError;
