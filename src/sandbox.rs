//! Sandbox providers: the adapters behind `project::sandbox_provider`.

pub mod none;
pub mod template;
