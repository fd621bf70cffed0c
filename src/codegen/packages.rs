//! Placeholder of the first commit: signatures.
use cobuild_protocol::{FilePath, PackageSpec, value::Refusal};

/// Packages to install.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NeededPackages {
    /// In the order they were first seen, each name once, without those `package.json` has.
    pub packages: Vec<PackageSpec>,
    /// Names that are not valid npm names.
    pub refused: Vec<Refusal>,
}

/// Collects the packages a run needs: call in the order requested, named by the reply, imported by its files.
#[derive(Debug)]
pub struct PackageCollector {}

impl PackageCollector {
    /// Starts from the text of the project's `package.json`, if it has one.
    #[must_use]
    pub fn new(package_json: Option<&str>) -> Self {
        _ = package_json;
        Self {}
    }

    /// Adds a package somebody named, with or without a version.
    pub fn add_named(&mut self, spec: &str) {
        _ = spec;
    }

    /// Adds what a file imports. Files that are not JavaScript, TypeScript or CSS import nothing.
    pub fn add_imports(&mut self, path: &FilePath, text: &str) {
        _ = (path, text);
    }

    /// The result.
    #[must_use]
    pub fn finish(self) -> NeededPackages {
        NeededPackages::default()
    }
}
