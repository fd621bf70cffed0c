//! Tests of the whole server, through its sockets.

mod auth;
mod cli;
mod crash;
mod drain;
mod examiners;
mod fakes;
mod faults;
mod import_repository;
mod installs;
mod legacy;
mod metrics;
mod models;
mod presence;
mod preview;
mod process;
mod reconnect;
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
