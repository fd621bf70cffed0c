//! Integration tests: one binary.

mod sandbox_attacks;
mod sandbox_contract;
mod sandbox_local;
mod sandbox_support;
