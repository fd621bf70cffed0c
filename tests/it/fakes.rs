//! A model, a sandbox and services under the tests' control.

pub(crate) mod firecrawl;
pub(crate) mod git;
mod model;
mod sandbox;
mod tls;

pub(crate) use self::{
    model::ScriptedModel,
    sandbox::{FakeSandboxes, PreviewSwitch},
    tls::TlsListener,
};
