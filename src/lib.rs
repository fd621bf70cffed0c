//! Cobuild: rooms in which people and AI models build an app together.
//!
//! ```text
//!                 main.rs            process: arguments, tracing, signals, exit code
//!                    │
//!                 server.rs          composition root: Config → providers → registry → router
//!      ┌─────────────┼──────────┬──────────┐
//!    http/        model/    sandbox/     store/    adapters; they don't know one another
//!      └─────────────┼──────────┴──────────┘
//!                 project/           core: actor, log, commands, conversation, files, the three traits it needs
//!                    │
//!              codegen/  protocol    pure: prompts, reply parsing, edits · crate of wire types
//! ```
//!
//! [`pages`] is one more adapter: it reads web pages. [`public_address`] is what it and the sandboxes' way out agree on,
//! [`tls`] whom all that call others trust.
//!
//! Arrows point down only. [`client`] stands outside: it is what speaks to a server from elsewhere, and `cli` uses it.

pub mod cli;
pub mod client;
pub mod codegen;
pub mod config;
pub mod http;
pub mod model;
pub mod pages;
pub mod project;
pub mod public_address;
pub mod sandbox;
pub mod secret;
pub mod server;
pub mod store;
pub mod tls;
