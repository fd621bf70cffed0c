//! How alike two pieces of code are, for blocks that a model remembers almost right.

/// How alike a window and a search must be, in the share of characters that need no change. Below it, a wrong place
/// is more likely than a slip of the pen.
const SIMILARITY_MIN: f64 = 0.9;
/// Shortest search that may match by likeness: in `let a = 1` and `let b = 1`, the difference is all that counts.
const SEARCH_CHARS_MIN: usize = 24;
/// Most line comparisons per search: 5,000 lines against a search of 40. Beyond, the search counts as not found.
const COMPARISONS_MAX: usize = 200_000;
/// Longer lines (data, minified code) are alike only if they are equal.
const LINE_CHARS_MAX: usize = 512;

/// Where windows of `lines` are like `search`: their first lines, best first. Windows that overlap a better one are
/// left out. Blanks at the edges of lines do not count.
pub(super) fn similar_windows(lines: &[&str], search: &[&str]) -> Vec<usize> {
    let wanted: Vec<Vec<char>> = search.iter().map(|line| line.trim().chars().collect()).collect();
    let wanted_chars: usize = wanted.iter().map(Vec::len).sum();
    if wanted_chars < SEARCH_CHARS_MIN || lines.len().saturating_mul(search.len()) > COMPARISONS_MAX {
        return Vec::new();
    }
    let lines: Vec<Vec<char>> = lines.iter().map(|line| line.trim().chars().collect()).collect();
    let mut found: Vec<(f64, usize)> = lines
        .windows(search.len())
        .enumerate()
        .filter_map(|(at, window)| Some((similarity(window, &wanted)?, at)))
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut kept: Vec<usize> = Vec::new();
    for (_, at) in found {
        if kept.iter().all(|other| at.abs_diff(*other) >= search.len()) {
            kept.push(at);
        }
    }
    kept
}

/// The line most like `wanted`, if one is at all.
pub(super) fn nearest_line(lines: &[&str], wanted: &str) -> Option<usize> {
    let wanted: Vec<char> = wanted.trim().chars().collect();
    if wanted.len() > LINE_CHARS_MAX || lines.len().saturating_mul(wanted.len()) > COMPARISONS_MAX * 10 {
        return None;
    }
    let distance_to = |line: &&str| {
        let line: Vec<char> = line.trim().chars().collect();
        distance(&line, &wanted, line.len().max(wanted.len()) / 2)
    };
    let found = lines.iter().enumerate().filter_map(|(at, line)| Some((distance_to(line)?, at)));
    found.min().map(|(_, at)| at)
}

/// `None` below [`SIMILARITY_MIN`].
fn similarity(window: &[Vec<char>], wanted: &[Vec<char>]) -> Option<f64> {
    let chars: usize = window.iter().zip(wanted).map(|(a, b)| a.len().max(b.len())).sum();
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
    let mut budget = (chars as f64 * (1.0 - SIMILARITY_MIN)) as usize;
    let mut spent = 0;
    for (line, wanted) in window.iter().zip(wanted) {
        let changes = distance(line, wanted, budget)?;
        budget -= changes;
        spent += changes;
    }
    #[expect(clippy::cast_precision_loss, reason = "small")]
    Some(1.0 - spent as f64 / chars.max(1) as f64)
}

/// The number of characters to insert, remove or replace (Levenshtein), if it is at most `max`.
fn distance(a: &[char], b: &[char], max: usize) -> Option<usize> {
    if a == b {
        return Some(0);
    }
    if a.len().abs_diff(b.len()) > max || a.len().max(b.len()) > LINE_CHARS_MAX {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        let mut least = row[0];
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
            least = least.min(row[j + 1]);
        }
        if least > max {
            return None;
        }
    }
    row.last().copied().filter(|changes| *changes <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_changes() {
        let distance = |a: &str, b: &str, max| {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            super::distance(&a, &b, max)
        };
        assert_eq!(distance("", "", 0), Some(0));
        assert_eq!(distance("kitten", "sitting", 3), Some(3));
        assert_eq!(distance("kitten", "sitting", 2), None);
        assert_eq!(distance("äöü", "äou", 5), Some(2));
        assert_eq!(distance("", "abc", 3), Some(3));
    }

    #[test]
    fn overlapping_windows_are_one_place() {
        let lines = ["alpha beta gamma delta", "alpha beta gamma delta", "x"];
        let search = ["alpha beta gamma delto", "alpha beta gamma delta"];
        assert_eq!(similar_windows(&lines, &search), [0]);
        assert_eq!(similar_windows(&lines, &search[..1]), Vec::<usize>::new(), "too short");
    }
}
