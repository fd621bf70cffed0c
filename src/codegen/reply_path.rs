//! Where a path, as a reply spells it, lies in the project. [`FilePath`] is the judge of what is a path at all.

use cobuild_protocol::{FilePath, value::Refusal};

use super::reply_parser::ReplyFileKind;

/// Longest part of a refused name that is repeated to people.
const NAME_SHOWN_CHARS_MAX: usize = 120;

/// Directories a reply may name from the project's root. Everything else is meant to be below `src/`.
const ROOT_DIRECTORIES: [&str; 2] = ["src/", "public/"];

/// Files that lie in the project's root, by the names existing clients and models use.
const ROOT_FILES: [&str; 12] = [
    ".env",
    ".env.development",
    ".env.local",
    ".env.production",
    ".eslintrc",
    "index.html",
    "package-lock.json",
    "package.json",
    "postcss.config.js",
    "tailwind.config.js",
    "tsconfig.json",
    "vite.config.js",
];

/// How a project's files lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// As the template's: code is below `src/`.
    #[default]
    App,
    /// As whoever wrote the repository wanted it: every path counts from the root.
    Repository,
}

/// Where a path of a reply lies in the project.
///
/// A whole file's path is taken as models mean it: `/App.jsx`, `./App.jsx` and `App.jsx` are all `src/App.jsx`. An
/// edit's path must be the one the project has, so only a leading `/` or `./` is forgiven.
pub fn place(written: &str, kind: ReplyFileKind, layout: Layout) -> Result<FilePath, Refusal> {
    let path = without_root(written.trim());
    let is_placed = layout == Layout::Repository
        || kind == ReplyFileKind::Edit
        || ROOT_DIRECTORIES.iter().any(|directory| path.starts_with(directory))
        || ROOT_FILES.contains(&path);
    let checked = match path {
        "" => path.parse(),
        _ if is_placed => path.parse(),
        _ => format!("src/{path}").parse::<FilePath>(),
    };
    checked.map_err(|error| refusal(written, error.to_string()))
}

/// A refusal that can be shown to people: the name shortened and without control characters.
pub(super) fn refusal(name: &str, reason: String) -> Refusal {
    let name = name.chars().filter(|c| !c.is_control()).take(NAME_SHOWN_CHARS_MAX).collect();
    Refusal { name, reason }
}

fn without_root(mut path: &str) -> &str {
    while let Some(rest) = path.strip_prefix('/').or_else(|| path.strip_prefix("./")) {
        path = rest;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: ReplyFileKind, written: &str, expected: Option<&str>) {
        let placed = place(written, kind, Layout::App);
        assert_eq!(placed.as_ref().ok().map(FilePath::as_str), expected, "{written:?}: {placed:?}");
    }

    #[test]
    fn places_whole_files() {
        for (written, expected) in [
            ("src/App.jsx", "src/App.jsx"),
            ("/App.jsx", "src/App.jsx"),
            ("///App.jsx", "src/App.jsx"),
            ("./App.jsx", "src/App.jsx"),
            ("/./src/App.jsx", "src/App.jsx"),
            (" App.jsx ", "src/App.jsx"),
            ("components/Button.jsx", "src/components/Button.jsx"),
            ("public/logo.svg", "public/logo.svg"),
            ("/public/logo.svg", "public/logo.svg"),
            ("publicity.jsx", "src/publicity.jsx"),
            ("index.html", "index.html"),
            ("package.json", "package.json"),
            ("vite.config.js", "vite.config.js"),
            (".env.local", ".env.local"),
            (".eslintrc", ".eslintrc"),
            ("lib/package.json", "src/lib/package.json"),
            ("src", "src/src"),
        ] {
            check(ReplyFileKind::Whole, written, Some(expected));
        }
    }

    #[test]
    fn refuses_what_is_no_place_in_the_project() {
        for written in [
            "",
            "/",
            "./",
            "../x",
            "/../x",
            "src/../../x",
            "src/../x",
            "a\0b",
            "a\nb",
            "a\\b",
            "src//x",
            "src/",
            "node_modules/x/index.js",
            "/node_modules/x",
            ".git/config",
        ] {
            check(ReplyFileKind::Whole, written, None);
            check(ReplyFileKind::Edit, written, None);
        }
        let refused = place(&"\u{7}a/../".repeat(100), ReplyFileKind::Whole, Layout::App).expect_err("refused");
        assert_eq!((refused.name.chars().count(), refused.name.contains('\u{7}')), (NAME_SHOWN_CHARS_MAX, false));
    }

    #[test]
    fn takes_every_path_of_a_repository_from_its_root() {
        for (written, expected) in [
            ("fastapi/app.py", Some("fastapi/app.py")),
            ("/setup.py", Some("setup.py")),
            ("./README.md", Some("README.md")),
            ("../x", None),
            (".git/hooks/post-checkout", None),
        ] {
            let placed = place(written, ReplyFileKind::Whole, Layout::Repository);
            assert_eq!(placed.as_ref().ok().map(FilePath::as_str), expected, "{written}");
        }
    }

    #[test]
    fn takes_an_edits_path_as_the_project_has_it() {
        check(ReplyFileKind::Edit, "README.md", Some("README.md"));
        check(ReplyFileKind::Edit, "/src/App.jsx", Some("src/App.jsx"));
        check(ReplyFileKind::Edit, "./lib/x.js", Some("lib/x.js"));
    }
}
