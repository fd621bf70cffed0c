//! Stores: the adapters behind `project::event_store`.
