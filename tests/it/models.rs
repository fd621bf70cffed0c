//! The four model wires over real connections, against stand-ins for the vendors.

#[path = "../fakes/models/mod.rs"]
pub(crate) mod fake_vendors;

mod aimock;
mod caching;
mod faults;
mod fuzzed;
mod lists;
mod live;
mod node;
mod oracle;
mod recital;
mod recital_app;
mod refreshed;
mod replay;
mod sdks;
mod secrecy;
mod served;
pub(crate) mod support;
