//! Stand-ins for model vendors.

pub(crate) mod script;
pub(crate) mod server;
