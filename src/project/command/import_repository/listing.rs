//! What is in a repository, and which of it a project takes. Pure.

use cobuild_protocol::{FilePath, value::Refusal};

use crate::project::{
    error::ProjectError,
    file_tree::{FILE_SIZE_BYTES_MAX, FILES_MAX},
};

/// All files together: what a project keeps in memory on its way into the store.
const TOTAL_SIZE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How many of the files left out are named.
const NAMED_MAX: usize = 50;
/// Longest part of such a name that is repeated.
const NAME_SHOWN_CHARS_MAX: usize = 120;

/// The last line of a listing that is whole.
const END: &str = "end";

/// A repository as git lists it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) branch: Option<String>,
    pub(super) commit: Option<String>,
    pub(super) entries: Vec<Entry>,
}

/// One entry of a repository's tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    kind: Kind,
    size_bytes: u64,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Link,
    Submodule,
    Other,
}

/// What a project takes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) paths: Vec<FilePath>,
    pub(super) left_out: Vec<Refusal>,
    pub(super) left_out_total: u32,
}

/// Reads what the listing script printed.
pub(super) fn parse(text: &str) -> Result<Listing, ProjectError> {
    let mut lines: Vec<&str> = text.lines().collect();
    if lines.pop() != Some(END) {
        return Err(ProjectError::TooLarge("The repository has too many files".into()));
    }
    let mut lines = lines.into_iter();
    let named = |line: Option<&str>| line.map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
    let branch = named(lines.next());
    let commit = named(lines.next());
    let entries = lines.filter_map(entry).collect();
    Ok(Listing { branch, commit, entries })
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.splitn(3, ' ');
    let kind = match words.next()? {
        "100644" | "100755" | "100664" => Kind::File,
        "120000" => Kind::Link,
        "160000" => Kind::Submodule,
        _ => Kind::Other,
    };
    // What has no size says "-".
    let size_bytes = words.next()?.parse().unwrap_or(0);
    Some(Entry { kind, size_bytes, name: words.next()?.to_owned() })
}

/// Chooses files, those nearest to the root first, as many as a project may have.
pub(super) fn select(entries: &[Entry]) -> Selection {
    let mut selection = Selection::default();
    let mut size_bytes = 0;
    let mut order: Vec<&Entry> = entries.iter().collect();
    order.sort_by_key(|entry| (entry.name.matches('/').count(), &entry.name));
    for entry in order {
        match check(entry, selection.paths.len(), size_bytes) {
            Ok(path) => {
                size_bytes += entry.size_bytes;
                selection.paths.push(path);
            }
            Err(reason) => {
                selection.left_out_total += 1;
                if selection.left_out.len() < NAMED_MAX {
                    let name = entry.name.chars().filter(|c| !c.is_control()).take(NAME_SHOWN_CHARS_MAX).collect();
                    selection.left_out.push(Refusal { name, reason });
                }
            }
        }
    }
    selection
}

fn check(entry: &Entry, taken: usize, size_bytes: u64) -> Result<FilePath, String> {
    match entry.kind {
        Kind::File => {}
        Kind::Link => return Err("a symbolic link".into()),
        Kind::Submodule => return Err("a submodule".into()),
        Kind::Other => return Err("not a file".into()),
    }
    // A quoted name holds what no project's path may hold, and a replacement character stands for what is no text.
    if entry.name.starts_with('"') || entry.name.contains(char::REPLACEMENT_CHARACTER) {
        return Err("its name is not one of a project's file".into());
    }
    let path = entry.name.parse::<FilePath>().map_err(|error| error.to_string())?;
    if entry.size_bytes > FILE_SIZE_BYTES_MAX as u64 {
        return Err(format!("larger than {} KiB", FILE_SIZE_BYTES_MAX / 1024));
    }
    if taken >= FILES_MAX {
        return Err(format!("a project has at most {FILES_MAX} files"));
    }
    if size_bytes + entry.size_bytes > TOTAL_SIZE_BYTES_MAX {
        return Err(format!("the files together are larger than {} MiB", TOTAL_SIZE_BYTES_MAX / (1024 * 1024)));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(lines: &[&str]) -> Listing {
        parse(&format!("trunk\n0123abc\n{}\nend\n", lines.join("\n"))).expect("whole")
    }

    fn taken(lines: &[&str]) -> (Vec<String>, Vec<String>) {
        let selection = select(&listed(lines).entries);
        let left_out = selection.left_out.iter().map(|refusal| format!("{}: {}", refusal.name, refusal.reason));
        (selection.paths.iter().map(ToString::to_string).collect(), left_out.collect())
    }

    #[test]
    fn takes_files_and_says_what_it_leaves() {
        let (taken, left_out) = taken(&[
            "100644 10 src/a b.py",
            "100755 10 run",
            "120000 11 link",
            "160000 - vendor/x",
            "100644 1 \"we\\\"ird\"",
            "100644 1 a\u{fffd}",
            "100644 1 .git/config",
            "100644 1 sub/.GIT/hooks/x",
            "100644 1 ../x",
            "100644 1 /etc/passwd",
            "100644 1 node_modules/x/index.js",
            "100644 1048577 big.bin",
            "100644 1 grüße ✓.txt",
        ]);
        assert_eq!(taken, ["grüße ✓.txt", "run", "src/a b.py"]);
        assert_eq!(left_out.len(), 10, "{left_out:?}");
        assert!(left_out.contains(&"link: a symbolic link".to_owned()), "{left_out:?}");
        assert!(left_out.contains(&"vendor/x: a submodule".to_owned()), "{left_out:?}");
        assert!(left_out.contains(&"big.bin: larger than 1024 KiB".to_owned()), "{left_out:?}");
    }

    #[test]
    fn too_many_and_too_much_are_left_out_from_the_depth() {
        let lines: Vec<String> = (0..FILES_MAX + 60).map(|n| format!("100644 1 d/{n}")).collect();
        let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        lines.push("100644 1 README.md");
        let selection = select(&listed(&lines).entries);
        assert_eq!((selection.paths.len(), selection.left_out_total), (FILES_MAX, 61));
        assert_eq!((selection.paths[0].as_str(), selection.left_out.len()), ("README.md", NAMED_MAX));

        let lines: Vec<String> = (0..70).map(|n| format!("100644 1048576 {n:02}")).collect();
        let selection = select(&listed(&lines.iter().map(String::as_str).collect::<Vec<_>>()).entries);
        assert_eq!((selection.paths.len(), selection.left_out_total), (64, 6));
    }

    #[test]
    fn an_empty_repository_has_a_branch_and_nothing_else() {
        let listing = parse("trunk\n\nend\n").expect("whole");
        assert_eq!(listing, Listing { branch: Some("trunk".into()), commit: None, entries: Vec::new() });
    }

    #[test]
    fn a_listing_that_was_cut_is_refused() {
        for cut in ["", "trunk\nabc\n100644 1 a\n100644 1 b", "trunk\nabc\n100644 1 e\n[the output is longer]\n"] {
            assert!(matches!(parse(cut), Err(ProjectError::TooLarge(_))), "{cut:?}");
        }
    }
}
