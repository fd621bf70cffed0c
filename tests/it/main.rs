//! Tests of the whole server, through its sockets.

mod fakes;
mod preview;
mod process;
mod rest;
mod resume;
mod sandbox_local;
mod shutdown;
mod support;
mod ws;
mod ws_limits;
