//! Node packages for tests: the vendors' SDKs and a mock of their servers.

use std::path::PathBuf;

use crate::support::node_packages;

/// The folder with the packages; `None`, with a line that says so, where they cannot be installed.
pub(crate) fn packages() -> Option<PathBuf> {
    node_packages("tests/fakes/models", "models: the vendors' SDKs and aimock")
}
