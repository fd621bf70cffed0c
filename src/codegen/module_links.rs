//! Do a project's modules fit together? A dev server compiles each module for itself and does not notice when one
//! imports a name that another does not export: the browser does, and shows nothing at all.
//!
//! It speaks up only where it is certain: both files are the project's own, and all exports of the other are known.

use std::collections::{BTreeMap, HashSet};

use cobuild_protocol::FilePath;

use super::{
    imports::{Kind, Token, is_type_import, source_after_from, tokens},
    relevance::resolve,
};

/// A name that is imported and not exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingExport {
    /// Who imports it.
    pub importer: FilePath,
    /// From where.
    pub module: FilePath,
    /// The name; `default` for a default import.
    pub name: String,
    /// What there is instead.
    pub exports: Vec<String>,
}

impl std::fmt::Display for MissingExport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { importer, module, name, exports } = self;
        let there = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
        match name.as_str() {
            "default" => {
                write!(f, "{importer} imports the default export of {module}, which has none; it exports {there}")
            }
            name => write!(f, "{importer} imports {{ {name} }} from {module}, which exports {there}"),
        }
    }
}

/// Every name that some script of the project imports from another which does not export it, in path order.
#[must_use]
pub fn missing_exports(scripts: &BTreeMap<FilePath, String>) -> Vec<MissingExport> {
    let modules: BTreeMap<&FilePath, Module<'_>> =
        scripts.iter().filter(|(path, _)| is_script(path)).map(|(path, text)| (path, Module::read(text))).collect();
    let mut missing = Vec::new();
    for (importer, module) in &modules {
        for (specifier, name) in &module.imports {
            if !specifier.starts_with(['.', '/']) || specifier.contains('?') {
                continue;
            }
            let found = resolve(importer, specifier, |path| modules.get_key_value(path).map(|(path, it)| (*path, it)));
            let Some((path, other)) = found else { continue };
            if other.is_closed && !other.exports.contains(name) {
                let mut exports: Vec<String> = other.exports.iter().map(|name| (*name).to_owned()).collect();
                exports.sort();
                missing.push(MissingExport {
                    importer: (*importer).clone(),
                    module: path.clone(),
                    name: (*name).to_owned(),
                    exports,
                });
            }
        }
    }
    missing
}

/// Types are gone when a module runs, so TypeScript's exports are more than a browser sees; those are left alone.
fn is_script(path: &FilePath) -> bool {
    matches!(path.extension(), "js" | "jsx" | "mjs")
}

/// What one module imports and exports by name.
#[derive(Debug, Default)]
struct Module<'a> {
    /// Specifier and name.
    imports: Vec<(&'a str, &'a str)>,
    exports: HashSet<&'a str>,
    /// Whether `exports` is all there is.
    is_closed: bool,
}

impl<'a> Module<'a> {
    fn read(code: &'a str) -> Self {
        let tokens = tokens(code);
        let mut module = Self { is_closed: true, ..Self::default() };
        for (at, token) in tokens.iter().enumerate() {
            let rest = &tokens[at + 1..];
            match token.kind {
                Kind::Word("import") if token.starts_line => module.read_import(rest),
                Kind::Word("export") if token.starts_line => module.read_export(rest),
                // CommonJS, or code in which an `export` could hide from a lexer.
                Kind::Word("module" | "exports" | "require") => module.is_closed = false,
                // Said in the middle of a line: a word of prose or JSX, or an export after all.
                Kind::Word("export") => module.is_closed = false,
                _ => {}
            }
        }
        module
    }

    fn read_import(&mut self, rest: &[Token<'a>]) {
        if matches!(rest, [Token { kind: Kind::Word("type"), .. }, next, ..] if is_type_import(next.kind)) {
            return;
        }
        let Some(source) = source_after_from(rest) else { return };
        match rest.first().map(|token| token.kind) {
            Some(Kind::Word(_)) => {
                self.imports.push((source, "default"));
                if let [_, Token { kind: Kind::Punct(','), .. }, Token { kind: Kind::Punct('{'), .. }, names @ ..] =
                    rest
                {
                    self.imports.extend(listed(names).into_iter().map(|(name, _)| (source, name)));
                }
            }
            Some(Kind::Punct('{')) => {
                self.imports.extend(listed(&rest[1..]).into_iter().map(|(name, _)| (source, name)));
            }
            _ => {}
        }
    }

    fn read_export(&mut self, rest: &[Token<'a>]) {
        let word = |at: usize| match rest.get(at).map(|token| token.kind) {
            Some(Kind::Word(word)) => Some(word),
            _ => None,
        };
        match rest.first().map(|token| token.kind) {
            Some(Kind::Word("default")) => {
                self.exports.insert("default");
            }
            Some(Kind::Word("async")) => self.exports.extend(word(2).filter(|_| word(1) == Some("function"))),
            Some(Kind::Word("function" | "class")) => match rest.get(1).map(|token| token.kind) {
                Some(Kind::Punct('*')) => self.exports.extend(word(2)),
                _ => self.exports.extend(word(1)),
            },
            Some(Kind::Word("const" | "let" | "var")) => match word(1) {
                Some(name) => {
                    self.exports.insert(name);
                    // `export const a = 1, b = 2`: where a declaration ends is more than a lexer knows.
                    self.is_closed &= is_single(&rest[2..]);
                }
                None => self.is_closed = false,
            },
            Some(Kind::Punct('{')) => {
                let names = listed(&rest[1..]);
                if let Some(source) = source_after_from(rest) {
                    self.imports.extend(names.iter().map(|(name, _)| (source, *name)));
                }
                self.exports.extend(names.iter().map(|(_, alias)| *alias));
            }
            _ => self.is_closed = false,
        }
    }
}

/// `a, b as c, default as d }`: each name and what it is called on this side.
fn listed<'a>(tokens: &[Token<'a>]) -> Vec<(&'a str, &'a str)> {
    let end = tokens.iter().position(|token| token.kind == Kind::Punct('}')).unwrap_or(0);
    let entry = |entry: &[Token<'a>]| match entry {
        [Token { kind: Kind::Word(name), .. }] => Some((*name, *name)),
        [
            Token { kind: Kind::Word(name), .. },
            Token { kind: Kind::Word("as"), .. },
            Token { kind: Kind::Word(alias), .. },
        ] => Some((*name, *alias)),
        _ => None,
    };
    tokens[..end].split(|token| token.kind == Kind::Punct(',')).filter_map(entry).collect()
}

/// Whether a declaration has no second name: no comma outside of brackets before the next line that begins at the top.
fn is_single(rest: &[Token<'_>]) -> bool {
    let mut depth = 0_i32;
    for token in rest {
        match token.kind {
            Kind::Punct('(' | '[' | '{') => depth += 1,
            Kind::Punct(')' | ']' | '}') => depth -= 1,
            Kind::Punct(';') if depth <= 0 => return true,
            Kind::Punct(',') if depth == 0 => return false,
            Kind::Word("export" | "import" | "function" | "const" | "let" | "var" | "class")
                if depth <= 0 && token.starts_line =>
            {
                return true;
            }
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let scripts = files.iter().map(|(path, text)| (path.parse().expect("valid"), (*text).to_owned())).collect();
        let missing: Vec<String> = missing_exports(&scripts)
            .into_iter()
            .map(|missing| format!("{} {}", missing.module, missing.name))
            .collect();
        assert_eq!(missing, expected, "{files:?}");
    }

    fn check_one(importing: &str, exporting: &str, expected: &[&str]) {
        check(&[("src/App.jsx", importing), ("src/lib.js", exporting)], expected);
    }

    #[test]
    fn a_name_nobody_exports_is_found() {
        check_one("import { add } from './lib'", "export const sub = 1;", &["src/lib.js add"]);
        check_one("import lib from './lib.js'", "export const sub = 1;", &["src/lib.js default"]);
        check_one(
            "import lib, { a, b as c } from '/src/lib.js'",
            "export { a };\nconst a = 1;",
            &["src/lib.js default", "src/lib.js b"],
        );
        check_one("export { x } from './lib'", "export default 1", &["src/lib.js x"]);
        check_one("import { a } from './lib'", "", &["src/lib.js a"]);
    }

    #[test]
    fn what_is_exported_is_not_missing() {
        let exporting = "import x from 'y'\nexport default function App() {}\nexport function a() {}\nexport async function b() {}\n\
                         export class C {}\nexport function* g() {}\nexport const d = (p, q) => p, e = 1;\nconst f = 1;\nexport { f as h, x };";
        check_one("import App, { a, b, C, g, d, e, h, x } from './lib'", exporting, &[]);
        check_one("import * as all from './lib'; import './lib'", "export const a = 1;", &[]);
        check_one(
            "import { a } from './lib'",
            "export const a = [1, 2].map((x, y) => ({ x, y }));\nconst b = 2, c = 3;",
            &[],
        );
    }

    #[test]
    fn it_is_silent_where_it_is_not_certain() {
        check_one("import { a } from './lib'", "export * from 'package'", &[]);
        check_one("import { a } from './lib'", "module.exports = { a: 1 }", &[]);
        check_one("import { a } from './lib'", "export const { a, b } = c;", &[]);
        check_one("import { a } from './lib'", "if (x) {} export const a = 1", &[]);
        check_one("import a from './lib.js?raw'; import b from 'react'; import c from './nowhere'", "", &[]);
        check(&[("src/a.tsx", "import { T } from './b'"), ("src/b.ts", "export type T = 1")], &[]);
    }
}
