//! Integration tests: one binary.

mod sandbox_local;
