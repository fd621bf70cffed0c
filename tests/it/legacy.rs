//! The endpoints of the older systems.

mod browser;
mod browser_pages;
mod checklist;
mod client;
mod conversation;
mod engine;
mod errors;
mod examples;
mod streams;
