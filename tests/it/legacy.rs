//! The endpoints of the older systems.

mod browser;
mod browser_checklist;
mod browser_pages;
mod browser_state;
mod camel;
mod checklist;
pub(crate) mod client;
mod conversation;
pub(crate) mod described;
mod engine;
mod errors;
pub(crate) mod examples;
pub(crate) mod raw;
mod streams;
