//! Integration tests: one binary.

mod sandbox_contract;
mod sandbox_local;
mod sandbox_support;
