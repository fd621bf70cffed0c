//! What a new project starts from, built into the binary. Every sandbox provider shares it; it knows none of them.

use bytes::Bytes;

use crate::project::sandbox_provider::{SandboxFile, Template};

/// The files, in path order.
const REACT_VITE: [(&str, &str); 8] = [
    (".gitignore", include_str!("template/react-vite/.gitignore")),
    ("index.html", include_str!("template/react-vite/index.html")),
    (LOCKFILE, LOCKFILE_TEXT),
    ("package.json", include_str!("template/react-vite/package.json")),
    ("src/App.jsx", include_str!("template/react-vite/src/App.jsx")),
    ("src/index.css", include_str!("template/react-vite/src/index.css")),
    ("src/main.jsx", include_str!("template/react-vite/src/main.jsx")),
    ("vite.config.js", include_str!("template/react-vite/vite.config.js")),
];

/// Where npm keeps the exact versions.
pub const LOCKFILE: &str = "package-lock.json";

/// The template's lockfile. It names no download host, so each installation uses its own registry.
pub const LOCKFILE_TEXT: &str = include_str!("template/react-vite/package-lock.json");

/// Port of the template's dev server, inside the sandbox.
pub const DEV_SERVER_PORT: u16 = 5173;

/// React 19 with Vite 8 and Tailwind 4.
#[must_use]
pub fn react_vite() -> Template {
    let files = REACT_VITE
        .iter()
        .map(|(path, text)| SandboxFile {
            path: path.parse().expect("the template's own paths are valid"),
            content: Bytes::from_static(text.as_bytes()),
        })
        .collect();
    Template { name: "react-vite", files }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_files_are_valid_and_in_path_order() {
        let files = react_vite().files;
        assert!(files.is_sorted_by_key(|file| file.path.clone()));
        assert!(files.iter().all(|file| !file.content.is_empty()));
    }

    #[test]
    fn its_lockfile_names_no_download_host() {
        assert!(!LOCKFILE_TEXT.contains("\"resolved\""));
        assert!(!LOCKFILE_TEXT.contains("://registry"));
    }

    #[test]
    fn its_dev_server_listens_where_the_sandbox_expects_it() {
        let config = include_str!("template/react-vite/vite.config.js");
        assert!(config.contains(&format!("host: '127.0.0.1', port: {DEV_SERVER_PORT}, strictPort: true")));
        assert!(!config.contains("allowedHosts"));
    }
}
