//! A model and a sandbox under the tests' control.

pub(crate) mod git;
mod model;
mod sandbox;

pub(crate) use self::{
    model::ScriptedModel,
    sandbox::{FakeSandboxes, PreviewSwitch},
};
