//! Sandbox providers: the adapters behind `project::sandbox_provider`.
