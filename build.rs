//! Lets the server be built without Node: the folder the web demo is embedded from is made when it is missing, and the
//! server is built again when the demo was.

use std::{env, fs, path::PathBuf};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    // Cargo builds again whenever a path it should watch is missing, so an empty folder saves a build each time.
    // Where the sources are read-only the folder stays missing, and that is all.
    let _ = fs::create_dir_all(root.join("web-demo/dist"));
    println!("cargo::rerun-if-changed=web-demo/dist");
    println!("cargo::rerun-if-changed=build.rs");
}
