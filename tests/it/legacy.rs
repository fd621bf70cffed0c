//! The endpoints of the older systems.

mod client;
mod conversation;
mod engine;
mod errors;
mod examples;
mod streams;
