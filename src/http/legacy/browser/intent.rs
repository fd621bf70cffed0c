//! `POST analyze-edit-intent`: what a wish for a change is about and what to look for. Found by its words alone; no model
//! is asked, and the answer says so. A hint, as all of it: what a model is shown is the project's to decide.

use axum::{
    Json,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use serde_json::Value;

use super::{
    caller::Browser,
    wire::{AnalyzeEditRequest, AnalyzeEditResponse, SearchPlan},
};
use crate::http::legacy::{body::Fields, refusal::Refusal};

/// Kinds of changes, and words that give them away; the first that fits counts.
const KINDS: [(&str, &[&str]); 7] = [
    ("FULL_REBUILD", &["rebuild", "scratch", "redo"]),
    ("REMOVE_ELEMENT", &["remove", "delete", "hide", "drop"]),
    ("ADD_DEPENDENCY", &["install", "package", "library", "dependency"]),
    ("FIX_ISSUE", &["fix", "bug", "error", "broken", "crash", "crashes", "wrong"]),
    ("REFACTOR", &["refactor", "rename", "extract", "simplify", "restructure"]),
    (
        "UPDATE_STYLE",
        &[
            "color",
            "colour",
            "style",
            "font",
            "background",
            "padding",
            "margin",
            "theme",
            "dark",
            "light",
            "bigger",
            "smaller",
            "blue",
            "red",
            "green",
            "black",
            "white",
            "rounded",
            "border",
        ],
    ),
    ("ADD_FEATURE", &["add", "create", "new", "implement", "include"]),
];
/// What a change is that nothing gives away.
const KIND_DEFAULT: &str = "UPDATE_COMPONENT";
/// Words that say nothing about where to look.
const STOP_WORDS: [&str; 30] = [
    "about", "also", "change", "could", "delete", "from", "have", "into", "it's", "just", "like", "make", "more",
    "please", "remove", "should", "that", "them", "then", "there", "these", "this", "update", "want", "when", "where",
    "which", "with", "would", "your",
];
/// Shortest word that is looked for, in characters.
const TERM_CHARS_MIN: usize = 4;
/// Longest, as it is written down again.
const TERM_CHARS_MAX: usize = 80;
/// Most terms of a plan.
const TERMS_MAX: usize = 8;
/// Kinds of files in which such a page's app is written.
const FILE_TYPES: [&str; 5] = [".jsx", ".tsx", ".js", ".ts", ".css"];

/// Where to look for what is to be changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) kind: &'static str,
    /// What to look for: first what was quoted, then components that were named, then the other words.
    pub(super) terms: Vec<String>,
    /// How many of the components were named.
    named: usize,
}

/// The plan for a wish. `components` are the names there are.
pub(super) fn plan<'a>(prompt: &str, components: impl Iterator<Item = &'a str>) -> Plan {
    let words: Vec<String> = prompt
        .split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '-')
        .map(|word| word.trim_matches(['\'', '-']).to_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    let is_said = |word: &str| words.iter().any(|other| other == word);
    let kind = KINDS.iter().find(|(_, signs)| signs.iter().any(|sign| is_said(sign)));
    let mut terms: Vec<String> = Vec::new();
    let mut add = |term: &str| {
        let term: String = term.trim().chars().take(TERM_CHARS_MAX).collect();
        let is_new = !term.is_empty() && !terms.iter().any(|known| known.to_lowercase() == term.to_lowercase());
        if is_new && terms.len() < TERMS_MAX {
            terms.push(term);
        }
    };
    // The apostrophe quotes nothing: it stands in the middle of words.
    prompt.split(['"', '“', '”', '„']).skip(1).step_by(2).for_each(&mut add);
    let mut named = 0;
    for name in components.filter(|name| is_said(&name.to_lowercase())) {
        named += 1;
        add(name);
    }
    let tells = |word: &&String| word.chars().count() >= TERM_CHARS_MIN && !STOP_WORDS.contains(&word.as_str());
    words.iter().filter(tells).for_each(|word| add(word));
    Plan { kind: kind.map_or(KIND_DEFAULT, |(kind, _)| kind), terms, named }
}

pub(crate) async fn analyze(_: Browser, request: Request) -> Result<Response, Refusal> {
    let AnalyzeEditRequest { prompt, manifest } = Fields::read_or_empty(request).await?.read_leniently();
    let prompt = prompt.0.filter(|prompt| !prompt.trim().is_empty());
    let (Some(prompt), Some(manifest)) = (prompt, manifest.0) else {
        return Err(Refusal::bad_request("prompt and manifest are required"));
    };
    let tree = manifest.get("componentTree").and_then(Value::as_object);
    let plan = plan(&prompt, tree.into_iter().flatten().map(|(name, _)| name.as_str()));
    let reasoning = match plan.named {
        0 => "Found by the words of the request; no model was asked, and no component is named".to_owned(),
        count => format!("Found by the words of the request, which name {count} components; no model was asked"),
    };
    let search_plan = SearchPlan {
        edit_type: plan.kind,
        reasoning,
        search_terms: plan.terms,
        file_types_to_search: FILE_TYPES.to_vec(),
        expected_matches: plan.named.max(1),
    };
    let body = AnalyzeEditResponse { success: true, search_plan };
    Ok(Json(body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prompt: &str, kind: &str, terms: &[&str]) {
        let found = plan(prompt, ["Header", "App", "Card"].into_iter());
        assert_eq!((found.kind, found.terms), (kind, terms.iter().map(ToString::to_string).collect()), "{prompt}");
    }

    #[test]
    fn a_wish_is_told_by_its_words() {
        check("Make the header blue", "UPDATE_STYLE", &["Header", "blue"]);
        check("Change \"Sign up\" to \"Join\"", "UPDATE_COMPONENT", &["Sign up", "Join", "sign"]);
        check("remove the footer, it's wrong", "REMOVE_ELEMENT", &["footer", "wrong"]);
        check("Add a Card with prices", "ADD_FEATURE", &["Card", "prices"]);
        check("Grüße ändern", "UPDATE_COMPONENT", &["grüße", "ändern"]);
        check("!!!", "UPDATE_COMPONENT", &[]);
    }

    #[test]
    fn a_plan_is_bounded() {
        let many: String = (0..100).map(|n| format!("word{n} ")).collect();
        assert_eq!(plan(&many, std::iter::empty()).terms.len(), TERMS_MAX);
        assert_eq!(plan(&"x".repeat(1000), std::iter::empty()).terms[0].chars().count(), TERM_CHARS_MAX);
    }
}
