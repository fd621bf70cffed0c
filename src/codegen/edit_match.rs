//! Placeholder of the first commit: signatures.

/// One search/replace block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchReplace {
    /// Lines to find, without the last line's end.
    pub search: String,
    /// Lines to put in their place; empty removes them.
    pub replace: String,
}

/// Blocks that could not be matched. None of the edit was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} of the edit's blocks do not match the file", failures.len())]
pub struct EditError {
    /// Each block that failed, in order.
    pub failures: Vec<EditFailure>,
}

/// Why a block could not be matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditFailure {
    /// Which block, from 1.
    pub block: usize,
    /// Why.
    pub reason: EditFailureReason,
}

/// Why a block could not be matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditFailureReason {
    /// Nothing in the file is close enough.
    NotFound {
        /// What comes nearest.
        nearest: Option<NearestLines>,
    },
    /// Several places match equally well: their first lines, from 1.
    Ambiguous {
        /// The places' first lines, from 1.
        lines: Vec<usize>,
    },
    /// The search is empty, but the file is not.
    EmptySearch,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearestLines {
    /// The first line's number, from 1.
    pub line: usize,
    /// The lines.
    pub text: String,
}

/// Puts all blocks into the file, in order, or none.
pub fn apply_edits(original: &str, blocks: &[SearchReplace]) -> Result<String, EditError> {
    _ = blocks;
    Ok(original.to_owned())
}
