//! Tests of the whole server, through its sockets.

mod cli;
mod fakes;
mod models;
mod preview;
mod process;
mod rest;
mod resume;
mod sandbox_attacks;
mod sandbox_contract;
mod sandbox_local;
mod sandbox_support;
mod shutdown;
mod support;
mod ws;
mod ws_limits;
