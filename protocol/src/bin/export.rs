//! Writes the JSON Schema, the AsyncAPI document and the TypeScript types of the protocol to where they are committed.

use std::{fs, io, path::Path};

use cobuild_protocol::export::outputs;

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (path, content) in outputs() {
        let target = root.join(path);
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(&target, content)?;
        println!("wrote {path}");
    }
    Ok(())
}
