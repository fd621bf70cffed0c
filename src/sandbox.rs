//! Sandbox providers: the adapters behind `project::sandbox_provider`.

pub mod local;
pub mod memory;
pub mod none;
pub mod output;
pub mod template;
