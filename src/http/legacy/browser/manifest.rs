//! What the files are to one another, as these clients' prompts need it. Pure, and no more exact than it must be.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The manifest of these files.
pub(super) fn of(files: &Map<String, Value>) -> Value {
    let now = jiff::Timestamp::now().as_millisecond();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut described = Map::new();
    let mut tree = Map::new();
    for (path, content) in files {
        let content = text(content);
        let kind = kind(path);
        let imports = imports(&content);
        let mut entry = json!({
            "content": content,
            "type": kind,
            "exports": exports(&content),
            "imports": imports,
            "lastModified": now,
            "path": format!("/{path}"),
            "relativePath": path,
        });
        if matches!(kind, "component" | "page" | "layout") {
            let name = name(path);
            entry["componentInfo"] = json!({
                "name": name,
                "hooks": hooks(&content),
                "hasState": content.contains("useState") || content.contains("useReducer"),
                "childComponents": children(&content),
            });
            let local =
                imports.iter().filter(|import| import["isLocal"] == true).map(|import| import["source"].clone());
            let node = json!({ "file": format!("/{path}"), "imports": local.collect::<Vec<_>>(), "importedBy": [], "type": kind });
            tree.insert(name.to_owned(), node);
        }
        described.insert(format!("/{path}"), entry);
    }
    add_importers(&mut tree, files);
    let entry = ["src/main.jsx", "src/main.tsx", "src/index.jsx", "src/index.tsx"]
        .iter()
        .find(|path| files.contains_key(**path))
        .map_or_else(String::new, |path| format!("/{path}"));
    let styles: Vec<String> =
        files.keys().filter(|path| path.ends_with(".css")).map(|path| format!("/{path}")).collect();
    json!({
        "files": described,
        "routes": routes(files),
        "componentTree": tree,
        "entryPoint": entry,
        "styleFiles": styles,
        "timestamp": now,
    })
}

/// Names, at each component, the files that import it.
fn add_importers(tree: &mut Map<String, Value>, files: &Map<String, Value>) {
    for (path, content) in files {
        for import in imports(content.as_str().unwrap_or_default()) {
            let source = import["source"].as_str().unwrap_or_default();
            let imported = name(source.rsplit('/').next().unwrap_or_default());
            if import["isLocal"] == true
                && let Some(importers) = tree.get_mut(imported).and_then(|node| node["importedBy"].as_array_mut())
            {
                importers.push(format!("/{path}").into());
            }
        }
    }
}

fn kind(path: &str) -> &'static str {
    let file = path.rsplit('/').next().unwrap_or(path);
    let ending = file.rsplit('.').next().unwrap_or_default();
    match ending {
        "css" => return "style",
        "json" => return "config",
        _ => {}
    }
    if !path.contains('/') || file.contains(".config.") {
        "config"
    } else if path.contains("/pages/") {
        "page"
    } else if path.contains("/layouts/") || file.starts_with("Layout") {
        "layout"
    } else if file.starts_with("use") && file.chars().nth(3).is_some_and(char::is_uppercase) {
        "hook"
    } else if path.contains("/context") || file.contains("Context") {
        "context"
    } else if matches!(ending, "jsx" | "tsx") {
        "component"
    } else {
        "utility"
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
fn imports(content: &str) -> Vec<Value> {
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
        let named: Vec<&str> = braced.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let is_local = source.starts_with(['.', '/']) || source.starts_with("@/");
        let mut import = json!({ "source": source, "imports": named, "isLocal": is_local });
        if !default.is_empty() {
            import["defaultImport"] = default.into();
        }
        found.push(import);
    }
    found
}

/// `<Route path="/about" element={<About />} />`, as React Router has them.
fn routes(files: &Map<String, Value>) -> Vec<Value> {
    let contents = files.values().filter_map(Value::as_str);
    let tags = contents.flat_map(|content| content.split("<Route").skip(1));
    tags.filter_map(|tag| {
        let path = quoted(tag.split_once("path=")?.1)?;
        let element = tag.split_once("element={").or_else(|| tag.split_once("component={"))?.1;
        let element = element.trim_start().trim_start_matches('<');
        let name = &element[..element.find(|c: char| !c.is_alphanumeric()).unwrap_or(element.len())];
        (!name.is_empty()).then(|| json!({ "path": path, "component": name }))
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
    use super::*;

    #[test]
    fn imports_and_routes_are_found() {
        let app = "import React, {\n  useState,\n  useMemo\n} from 'react'\nimport type { A } from '@/types'\nimport './a.css'\n\
            <Routes><Route path=\"/\" element={<Home />} /><Route index path={'/b'} component={Blog} /><Route element={<X/>} /></Routes>";
        let files: Map<String, Value> = [("src/App.jsx".to_owned(), app.into())].into_iter().collect();
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
        let files: Map<String, Value> = [
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
