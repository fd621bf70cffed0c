//! The text of search/replace blocks.

use super::SearchReplace;

/// Why the text of an edit says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// No block at all.
    #[error("the edit has no search/replace block")]
    None,
    /// A block without its divider or its end.
    #[error("a search/replace block of the edit is not finished")]
    Unfinished,
}

/// Reads the blocks of an edit. What stands between them (blank lines, fences, remarks) has no meaning.
pub fn parse_blocks(text: &str) -> Result<Vec<SearchReplace>, BlockError> {
    let mut blocks = Vec::new();
    let mut part = Part::Outside;
    for line in text.lines() {
        part = match (part, marker(line)) {
            (Part::Outside, Some(Marker::Search)) => Part::Search(Vec::new()),
            (Part::Outside, _) => Part::Outside,
            (Part::Search(search), Some(Marker::Divider)) => Part::Replace(search, Vec::new()),
            (Part::Search(_) | Part::Replace(..), Some(Marker::Search)) | (Part::Search(_), Some(Marker::Replace)) => {
                return Err(BlockError::Unfinished);
            }
            (Part::Search(mut search), None) => {
                search.push(line);
                Part::Search(search)
            }
            (Part::Replace(search, replace), Some(Marker::Replace)) => {
                blocks.push(SearchReplace { search: search.join("\n"), replace: replace.join("\n") });
                Part::Outside
            }
            (Part::Replace(search, mut replace), None | Some(Marker::Divider)) => {
                replace.push(line);
                Part::Replace(search, replace)
            }
        };
    }
    match part {
        Part::Outside if blocks.is_empty() => Err(BlockError::None),
        Part::Outside => Ok(blocks),
        Part::Search(_) | Part::Replace(..) => Err(BlockError::Unfinished),
    }
}

enum Part<'a> {
    Outside,
    Search(Vec<&'a str>),
    Replace(Vec<&'a str>, Vec<&'a str>),
}

#[derive(Clone, Copy)]
enum Marker {
    Search,
    Divider,
    Replace,
}

/// Models miscount the angle brackets, so five to nine of them will do. Equals signs also underline headings, so
/// the divider has exactly seven.
fn marker(line: &str) -> Option<Marker> {
    let line = line.trim_end();
    let named = |bracket: char, name: &str| {
        let rest = line.trim_start_matches(bracket);
        (5..=9).contains(&(line.len() - rest.len())) && rest.trim_start() == name
    };
    match line {
        "=======" => Some(Marker::Divider),
        _ if named('<', "SEARCH") => Some(Marker::Search),
        _ if named('>', "REPLACE") => Some(Marker::Replace),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[(&str, &str)], BlockError>) {
        let block = |(search, replace): &(&str, &str)| SearchReplace {
            search: (*search).to_owned(),
            replace: (*replace).to_owned(),
        };
        assert_eq!(parse_blocks(text), expected.map(|blocks| blocks.iter().map(block).collect()), "{text}");
    }

    #[test]
    fn reads_blocks() {
        check("<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE", Ok(&[("a", "b")]));
        check("<<<<<<< SEARCH\r\n a\r\n\r\n=======\r\n>>>>>>> REPLACE\r\n", Ok(&[(" a\n", "")]));
        check("<<<<<<<SEARCH \n=======\nb\n>>>>>REPLACE", Ok(&[("", "b")]));
        check(
            "First:\n```jsx\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```\n<<<<<< SEARCH\nc\n=======\nd\n=======\ne\n>>>>>> REPLACE",
            Ok(&[("a", "b"), ("c", "d\n=======\ne")]),
        );
        check("<<<<<<< SEARCH\na\n====\n<< x\n=======\n>> y\n>>>>>>> REPLACE", Ok(&[("a\n====\n<< x", ">> y")]));
    }

    #[test]
    fn refuses_half_blocks() {
        check("", Err(BlockError::None));
        check("words", Err(BlockError::None));
        check("<<<<<<< SEARCH\na", Err(BlockError::Unfinished));
        check("<<<<<<< SEARCH\na\n=======\nb", Err(BlockError::Unfinished));
        check("<<<<<<< SEARCH\na\n>>>>>>> REPLACE", Err(BlockError::Unfinished));
        check("<<<<<<< SEARCH\na\n=======\nb\n<<<<<<< SEARCH\n>>>>>>> REPLACE", Err(BlockError::Unfinished));
    }
}
