//! The committed outputs are what the Rust types say.

use std::{fs, path::Path};

use cobuild_protocol::export::{COMMAND, outputs};

#[test]
fn committed_outputs_are_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (path, expected) in outputs() {
        let committed = fs::read_to_string(root.join(path)).unwrap_or_default();
        assert!(committed == expected, "{path} is stale; run `{COMMAND}` and commit the result");
    }
}
