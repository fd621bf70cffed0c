//! Which npm packages a project needs: those somebody names and those its files import, minus what it has. Every name
//! is checked before anybody could put it on a command line.

use std::collections::HashSet;

use cobuild_protocol::{FilePath, PackageSpec, value::Refusal};

use super::{imports, reply_path::refusal};

/// Most packages one run may ask for; a reply that names more is not an app.
pub const PACKAGES_MAX: usize = 100;

/// Modules that come with Node under these names, also as `node:fs` and `fs/promises`. Newer ones exist with `node:` only.
const NODE_BUILT_INS: [&str; 40] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "worker_threads",
];

/// Packages to install.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NeededPackages {
    /// In the order they were first seen, each name once, without those `package.json` has.
    pub packages: Vec<PackageSpec>,
    /// Names that are not valid npm names, each once.
    pub refused: Vec<Refusal>,
}

/// Collects the packages a run needs. Call it in the order of precedence: what was requested, what the reply names,
/// what its files import.
#[derive(Debug)]
pub struct PackageCollector {
    /// What `package.json` has, and what was found.
    known: HashSet<String>,
    needed: NeededPackages,
}

impl PackageCollector {
    /// Starts from the text of the project's `package.json`, if it has a readable one.
    #[must_use]
    pub fn new(package_json: Option<&str>) -> Self {
        Self { known: package_json.map(dependencies).unwrap_or_default(), needed: NeededPackages::default() }
    }

    /// Adds a package somebody named, with or without a version. Versions don't matter in comparisons.
    pub fn add_named(&mut self, spec: &str) {
        let spec = spec.trim();
        match spec.parse::<PackageSpec>() {
            Ok(_) if self.needed.packages.len() == PACKAGES_MAX => {
                self.refuse(spec, format!("a run installs at most {PACKAGES_MAX} packages"));
            }
            Ok(package) => {
                if self.known.insert(package.name().to_owned()) {
                    self.needed.packages.push(package);
                }
            }
            Err(error) => self.refuse(spec, error.to_string()),
        }
    }

    /// Adds what a file imports. Files that are neither script nor style sheet import nothing.
    pub fn add_imports(&mut self, path: &FilePath, text: &str) {
        let specifiers = match path.extension() {
            "js" | "jsx" | "ts" | "tsx" | "mjs" | "cjs" | "mts" | "cts" => imports::of_script(text),
            "css" => imports::of_style(text),
            _ => return,
        };
        for name in specifiers.into_iter().filter_map(package_name) {
            if !self.known.contains(name) {
                self.add_named(name);
            }
        }
    }

    /// The result.
    #[must_use]
    pub fn finish(self) -> NeededPackages {
        self.needed
    }

    fn refuse(&mut self, name: &str, reason: String) {
        let refused = refusal(name, reason);
        if !self.needed.refused.contains(&refused) {
            self.needed.refused.push(refused);
        }
    }
}

/// The package a module specifier belongs to; `None` for everything that does not come from the registry.
fn package_name(specifier: &str) -> Option<&str> {
    let path = specifier.split(['?', '#']).next().unwrap_or_default();
    let is_local = path.is_empty() || path.starts_with(['.', '/']) || path.starts_with("@/") || path.starts_with("~/");
    if is_local
        || path.starts_with("node:")
        || path.starts_with("virtual:")
        || path.starts_with("data:")
        || path.contains("://")
    {
        return None;
    }
    let segments = if path.starts_with('@') { 2 } else { 1 };
    let len = path.match_indices('/').nth(segments - 1).map_or(path.len(), |(at, _)| at);
    let name = &path[..len];
    (!NODE_BUILT_INS.contains(&name)).then_some(name)
}

/// The names in all four groups of dependencies.
fn dependencies(package_json: &str) -> HashSet<String> {
    let Ok(manifest) = serde_json::from_str::<serde_json::Value>(package_json) else { return HashSet::new() };
    ["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"]
        .iter()
        .filter_map(|group| manifest.get(group)?.as_object())
        .flat_map(|group| group.keys().cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE_JSON: &str = r#"{"dependencies":{"react":"^19","react-dom":"^19"},"devDependencies":{"vite":"^8"}}"#;

    fn collect(named: &[&str], files: &[(&str, &str)]) -> NeededPackages {
        let mut collector = PackageCollector::new(Some(PACKAGE_JSON));
        named.iter().for_each(|name| collector.add_named(name));
        for (path, text) in files {
            collector.add_imports(&path.parse().expect("valid"), text);
        }
        collector.finish()
    }

    #[track_caller]
    fn check(named: &[&str], files: &[(&str, &str)], packages: &[&str], refused: &[&str]) {
        let needed = collect(named, files);
        assert_eq!(needed.packages.iter().map(PackageSpec::as_str).collect::<Vec<_>>(), packages);
        assert_eq!(needed.refused.iter().map(|refused| refused.name.as_str()).collect::<Vec<_>>(), refused);
    }

    #[test]
    fn takes_names_from_imports() {
        let code = "import a from 'b/c/d'\nimport e from '@f/g/h'\nexport * from 'a'\nimport 'b'\nconst x = require('lodash.merge')\nimport svg from 'icons/x.svg?raw'";
        check(&[], &[("src/App.jsx", code)], &["b", "@f/g", "a", "lodash.merge", "icons"], &[]);
    }

    #[test]
    fn leaves_out_what_needs_no_install() {
        let code = "import a from './a'\nimport b from '../b'\nimport c from '/c'\nimport d from '@/d'\nimport e from 'fs'\nimport f from 'node:fs/promises'\nimport g from 'path/posix'\nimport h from 'react'\nimport i from 'react-dom/client'\nimport j from 'vite'\nimport k from '#k'\nimport l from 'https://x.y/z.js'\nimport m from '~/m'\nimport n from 'virtual:n'\nimport o from '..'\nimport p from 'node:sqlite'\nimport q from ''";
        check(&[], &[("src/App.jsx", code)], &[], &[]);
    }

    #[test]
    fn requested_comes_first_and_each_once() {
        check(
            &["axios@^1.7", "react@19", " @s/x "],
            &[
                ("a.tsx", "import 'zod'; import 'axios'"),
                ("b.css", "@plugin \"@tailwindcss/forms\";"),
                ("c.md", "import 'no'"),
            ],
            &["axios@^1.7", "@s/x", "zod", "@tailwindcss/forms"],
            &[],
        );
    }

    #[test]
    fn refuses_names_that_are_none() {
        check(
            &["; rm -rf /", "--registry=http://x", "file:../x", "; rm -rf /"],
            &[("a.js", "import 'UPPER'; import '@scope'; import 'a b'; import 'good'")],
            &["good"],
            &["; rm -rf /", "--registry=http://x", "file:../x", "UPPER", "@scope", "a b"],
        );
        let many: Vec<String> = (0..=PACKAGES_MAX).map(|n| format!("p{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let needed = collect(&many, &[]);
        assert_eq!((needed.packages.len(), needed.refused.len()), (PACKAGES_MAX, 1));
    }

    #[test]
    fn works_without_a_manifest() {
        for manifest in [None, Some(""), Some("[]"), Some("{\"dependencies\":3}")] {
            let mut collector = PackageCollector::new(manifest);
            collector.add_imports(&"a.js".parse().expect("valid"), "import 'react'");
            assert_eq!(collector.finish().packages.len(), 1, "{manifest:?}");
        }
    }
}
