//! What the files are to one another, as these clients' prompts need it. Pure, and no more exact than it must be.

use std::collections::{BTreeMap, BTreeSet};

use super::wire::{ComponentInfo, FileKind, Manifest, ManifestFile, ManifestImport, ManifestNode, ManifestRoute};

/// The manifest of these files.
pub(super) fn of(files: &BTreeMap<String, String>) -> Manifest {
    let now = jiff::Timestamp::now().as_millisecond();
    let mut described = BTreeMap::new();
    let mut tree = BTreeMap::new();
    for (path, content) in files {
        let (kind, imports) = (kind(path), imports(content));
        let is_component = matches!(kind, FileKind::Component | FileKind::Page | FileKind::Layout);
        let component_info = is_component.then(|| ComponentInfo {
            name: name(path).to_owned(),
            hooks: hooks(content).into_iter().map(str::to_owned).collect(),
            has_state: content.contains("useState") || content.contains("useReducer"),
            child_components: children(content).into_iter().map(str::to_owned).collect(),
        });
        if is_component {
            let local = imports.iter().filter(|import| import.is_local).map(|import| import.source.clone());
            let node = ManifestNode {
                file: format!("/{path}"),
                imports: local.collect(),
                imported_by: Vec::new(),
                r#type: kind,
            };
            tree.insert(name(path).to_owned(), node);
        }
        let file = ManifestFile {
            content: content.clone(),
            r#type: kind,
            exports: exports(content),
            imports,
            last_modified: now,
            component_info,
            path: format!("/{path}"),
            relative_path: path.clone(),
        };
        described.insert(format!("/{path}"), file);
    }
    add_importers(&mut tree, files);
    let entry_point = ["src/main.jsx", "src/main.tsx", "src/index.jsx", "src/index.tsx"]
        .iter()
        .find(|path| files.contains_key(**path))
        .map_or_else(String::new, |path| format!("/{path}"));
    let style_files = files.keys().filter(|path| path.ends_with(".css")).map(|path| format!("/{path}")).collect();
    Manifest { files: described, routes: routes(files), component_tree: tree, entry_point, style_files, timestamp: now }
}

/// Names, at each component, the files that import it.
fn add_importers(tree: &mut BTreeMap<String, ManifestNode>, files: &BTreeMap<String, String>) {
    for (path, content) in files {
        for import in imports(content).into_iter().filter(|import| import.is_local) {
            let imported = name(import.source.rsplit('/').next().unwrap_or_default());
            if let Some(node) = tree.get_mut(imported) {
                node.imported_by.push(format!("/{path}"));
            }
        }
    }
}

fn kind(path: &str) -> FileKind {
    let file = path.rsplit('/').next().unwrap_or(path);
    let ending = file.rsplit('.').next().unwrap_or_default();
    match ending {
        "css" => return FileKind::Style,
        "json" => return FileKind::Config,
        _ => {}
    }
    if !path.contains('/') || file.contains(".config.") {
        FileKind::Config
    } else if path.contains("/pages/") {
        FileKind::Page
    } else if path.contains("/layouts/") || file.starts_with("Layout") {
        FileKind::Layout
    } else if file.starts_with("use") && file.chars().nth(3).is_some_and(char::is_uppercase) {
        FileKind::Hook
    } else if path.contains("/context") || file.contains("Context") {
        FileKind::Context
    } else if matches!(ending, "jsx" | "tsx") {
        FileKind::Component
    } else {
        FileKind::Utility
    }
}

/// A file's name without its ending.
fn name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file)
}

/// Longest import that is looked at, in lines.
const IMPORT_LINES_MAX: usize = 100;

/// `import a, { b } from 'x'`, at the beginning of a line as everybody writes them; the names may go over several.
fn imports(content: &str) -> Vec<ManifestImport> {
    let mut found = Vec::new();
    let lines: Vec<&str> = content.lines().map(str::trim).collect();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("import ")) {
        let end = (at + IMPORT_LINES_MAX).min(lines.len());
        let Some(last) = lines[at..end].iter().position(|line| quoted(line).is_some()) else { continue };
        let statement = if last == 0 { (*line).to_owned() } else { lines[at..=at + last].join(" ") };
        let Some(source) = quoted(&statement) else { continue };
        let names = statement
            .strip_prefix("import ")
            .and_then(|rest| rest.rsplit_once(" from "))
            .map_or("", |(names, _)| names);
        let names = names.strip_prefix("type ").unwrap_or(names);
        let braced = names.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inner, _)| inner);
        let default = names.split(['{', ',']).next().unwrap_or_default().trim();
        let named = braced.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        found.push(ManifestImport {
            source: source.to_owned(),
            imports: named.collect(),
            default_import: (!default.is_empty()).then(|| default.to_owned()),
            is_local: source.starts_with(['.', '/']) || source.starts_with("@/"),
        });
    }
    found
}

/// `<Route path="/about" element={<About />} />`, as React Router has them.
fn routes(files: &BTreeMap<String, String>) -> Vec<ManifestRoute> {
    let tags = files.values().flat_map(|content| content.split("<Route").skip(1));
    tags.filter_map(|tag| {
        let path = quoted(tag.split_once("path=")?.1)?;
        let element = tag.split_once("element={").or_else(|| tag.split_once("component={"))?.1;
        let element = element.trim_start().trim_start_matches('<');
        let name = &element[..element.find(|c: char| !c.is_alphanumeric()).unwrap_or(element.len())];
        (!name.is_empty()).then(|| ManifestRoute { path: path.to_owned(), component: name.to_owned() })
    })
    .collect()
}

fn quoted(line: &str) -> Option<&str> {
    let start = line.find(['"', '\''])?;
    let mark = line[start..].chars().next()?;
    line[start + 1..].split_once(mark).map(|(text, _)| text)
}

fn exports(content: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in content.lines().map(str::trim) {
        let Some(rest) = line.strip_prefix("export ") else { continue };
        if rest.starts_with("default") {
            found.push("default".to_owned());
            continue;
        }
        let mut words = rest.split_whitespace();
        if matches!(words.next(), Some("const" | "let" | "var" | "function" | "class" | "async"))
            && let Some(name) = words.find(|word| *word != "function")
        {
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(name.len());
            found.push(name[..end].to_owned());
        }
    }
    found
}

/// Words that begin with `use` and are called.
fn hooks(content: &str) -> BTreeSet<&str> {
    let words = content.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("use") && word.chars().nth(3).is_some_and(char::is_uppercase)).collect()
}

/// Tags that begin with a capital letter.
fn children(content: &str) -> BTreeSet<&str> {
    let tags = content.split('<').skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
    tags.map(|rest| &rest[..rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())]).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(files: &BTreeMap<String, String>) -> Value {
        serde_json::to_value(super::of(files)).expect("JSON")
    }

    #[test]
    fn imports_and_routes_are_found() {
        let app = "import React, {\n  useState,\n  useMemo\n} from 'react'\nimport type { A } from '@/types'\nimport './a.css'\n\
            <Routes><Route path=\"/\" element={<Home />} /><Route index path={'/b'} component={Blog} /><Route element={<X/>} /></Routes>";
        let files: BTreeMap<String, String> = [("src/App.jsx".to_owned(), app.into())].into_iter().collect();
        let manifest = of(&files);
        let imports = json!([
            { "source": "react", "imports": ["useState", "useMemo"], "isLocal": false, "defaultImport": "React" },
            { "source": "@/types", "imports": ["A"], "isLocal": true },
            { "source": "./a.css", "imports": [], "isLocal": true },
        ]);
        assert_eq!(manifest["files"]["/src/App.jsx"]["imports"], imports);
        let routes = json!([{ "path": "/", "component": "Home" }, { "path": "/b", "component": "Blog" }]);
        assert_eq!(manifest["routes"], routes);
    }

    #[test]
    fn a_component_is_described() {
        let files: BTreeMap<String, String> = [
            ("src/App.jsx", "import Card from './components/Card'\nexport default function App() { return <Card/> }"),
            ("src/components/Card.jsx", "import { useState } from 'react'\nexport const Card = () => useState(1)"),
            ("src/index.css", "body {}"),
        ]
        .into_iter()
        .map(|(path, text)| (path.to_owned(), text.into()))
        .collect();
        let manifest = of(&files);
        let app = &manifest["files"]["/src/App.jsx"];
        assert_eq!((&app["type"], &app["exports"]), (&json!("component"), &json!(["default"])));
        assert_eq!(
            app["imports"][0],
            json!({ "source": "./components/Card", "imports": [], "defaultImport": "Card", "isLocal": true })
        );
        assert_eq!(app["componentInfo"]["childComponents"], json!(["Card"]));
        let card = &manifest["files"]["/src/components/Card.jsx"];
        assert_eq!((&card["exports"], &card["componentInfo"]["hooks"]), (&json!(["Card"]), &json!(["useState"])));
        assert_eq!(manifest["componentTree"]["Card"]["importedBy"], json!(["/src/App.jsx"]));
        assert_eq!(manifest["styleFiles"], json!(["/src/index.css"]));
    }
}
