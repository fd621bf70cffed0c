//! What a prompt asks for, by its words. Whole words only, no cleverness: what is not understood is admitted.

use super::catalogue::{APPS, App};

/// Fewest points for an app: one strong word, or two weak ones.
const SCORE_MIN: u32 = 2;
/// Longest title; more is a paragraph.
const TITLE_CHARS_MAX: usize = 60;

/// What somebody wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// An app the prompt names.
    pub app: Option<&'static App>,
    /// Changes it asks for, of that app or of the present one.
    pub changes: Vec<Change>,
    /// Whether it says "it", "this" or "the app".
    pub means_present: bool,
}

/// A change of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Scheme(Scheme),
    Accent(&'static Accent),
    Title(String),
    Clear,
    Footer,
}

/// Dark or light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Dark,
    Light,
}

/// An accent colour, for light and dark surfaces.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accent {
    pub name: &'static str,
    /// Behind text: on light, on dark.
    pub fill: [&'static str; 2],
    /// Text on the fill.
    pub on_fill: [&'static str; 2],
    /// As text: on light, on dark.
    pub text: [&'static str; 2],
    /// What people call it.
    words: &'static [&'static str],
}

const WHITE: [&str; 2] = ["#ffffff", "#ffffff"];

static ACCENTS: [Accent; 8] = [
    Accent {
        name: "red",
        fill: ["#dc2626", "#dc2626"],
        on_fill: WHITE,
        text: ["#b91c1c", "#fca5a5"],
        words: &["red", "crimson", "scarlet"],
    },
    Accent {
        name: "orange",
        fill: ["#c2410c", "#cc4a0c"],
        on_fill: WHITE,
        text: ["#b43403", "#fdba74"],
        words: &["orange", "coral"],
    },
    Accent {
        name: "yellow",
        fill: ["#facc15", "#facc15"],
        on_fill: ["#1c1917", "#1c1917"],
        text: ["#854d0e", "#fde047"],
        words: &["yellow", "gold", "golden", "amber"],
    },
    Accent {
        name: "green",
        fill: ["#15803d", "#15843f"],
        on_fill: WHITE,
        text: ["#15803d", "#86efac"],
        words: &["green", "emerald", "lime"],
    },
    Accent {
        name: "teal",
        fill: ["#0f766e", "#0c8178"],
        on_fill: WHITE,
        text: ["#0f766e", "#5eead4"],
        words: &["teal", "turquoise", "cyan", "mint"],
    },
    Accent {
        name: "blue",
        fill: ["#2563eb", "#2f6feb"],
        on_fill: WHITE,
        text: ["#1d4ed8", "#93c5fd"],
        words: &["blue", "navy", "azure", "indigo"],
    },
    Accent {
        name: "purple",
        fill: ["#7e22ce", "#9333ea"],
        on_fill: WHITE,
        text: ["#7e22ce", "#d8b4fe"],
        words: &["purple", "violet", "lavender"],
    },
    Accent {
        name: "pink",
        fill: ["#db2777", "#db2777"],
        on_fill: WHITE,
        text: ["#be185d", "#f9a8d4"],
        words: &["pink", "rose", "magenta", "fuchsia"],
    },
];

/// Words that ask for a change rather than name a thing.
const CHANGE_WORDS: [&str; 24] = [
    "make",
    "turn",
    "switch",
    "change",
    "set",
    "use",
    "go",
    "give",
    "add",
    "put",
    "want",
    "paint",
    "color",
    "colour",
    "mode",
    "theme",
    "back",
    "it",
    "please",
    "background",
    "accent",
    "try",
    "prefer",
    "from",
];
/// Words that take something away, which the demo has no edits for.
const REMOVAL_WORDS: [&str; 7] = ["remove", "delete", "without", "drop", "hide", "no", "not"];

/// Reads a prompt.
pub(super) fn read(prompt: &str) -> Wish {
    let words = words(prompt);
    let (title, title_words) = match title(prompt, &words) {
        Some((title, words)) => (Some(title), words),
        None => (None, words.len()..words.len()),
    };
    // What the title says is not what the prompt asks for.
    let asked: Vec<&str> = words
        .iter()
        .enumerate()
        .filter(|(at, _)| !title_words.contains(at))
        .map(|(_, word)| word.text.as_str())
        .collect();
    let mut changes = Vec::new();
    let is_change = asked.len() <= 3 || has_any(&asked, &CHANGE_WORDS);
    let named = app(&asked);
    if is_change || named.is_some() {
        changes.extend(scheme(&asked).map(Change::Scheme));
        changes.extend(accent(&asked).map(Change::Accent));
    }
    changes.extend(title.map(Change::Title));
    if !has_any(&asked, &REMOVAL_WORDS) {
        changes.extend(wants_clear(&asked).then_some(Change::Clear));
        changes.extend(has_any(&asked, &["footer"]).then_some(Change::Footer));
    }
    Wish { app: named, changes, means_present: has_any(&asked, &["it", "its", "this", "app", "page", "everything"]) }
}

/// The app with most points; of two, the one mentioned first.
fn app(words: &[&str]) -> Option<&'static App> {
    let scored = APPS.iter().map(|app| {
        let places = app.words.iter().filter_map(|(weight, phrase)| Some((*weight, place_of(words, phrase)?)));
        let (points, first) = places.fold((0, usize::MAX), |(sum, first), (weight, at)| (sum + weight, first.min(at)));
        (points, std::cmp::Reverse(first), app)
    });
    scored
        .filter(|(points, ..)| *points >= SCORE_MIN)
        .max_by_key(|(points, first, _)| (*points, *first))
        .map(|(.., app)| app)
}

/// Where a phrase begins. Its words must follow each other; the last may have a plural `s`.
fn place_of(words: &[&str], phrase: &str) -> Option<usize> {
    let wanted: Vec<&str> = phrase.split(' ').collect();
    words.windows(wanted.len()).position(|window| {
        window.iter().zip(&wanted).enumerate().all(|(at, (word, wanted))| {
            word == wanted || (at + 1 == window.len() && word.strip_suffix('s') == Some(wanted))
        })
    })
}

/// The last one named, so that "from dark to light" is light. A toggle between both is more than an edit of ours.
fn scheme(words: &[&str]) -> Option<Scheme> {
    if has_any(words, &["toggle", "toggles", "switcher"]) {
        return None;
    }
    words.iter().enumerate().rev().find_map(|(at, word)| {
        let of_a_colour = words.get(at + 1).is_some_and(|next| colour(next).is_some());
        match *word {
            "dark" | "darker" | "night" if !of_a_colour => Some(Scheme::Dark),
            "light" | "lighter" | "bright" | "day" if !of_a_colour => Some(Scheme::Light),
            _ => None,
        }
    })
}

fn accent(words: &[&str]) -> Option<&'static Accent> {
    words.iter().rev().find_map(|word| colour(word))
}

fn colour(word: &str) -> Option<&'static Accent> {
    ACCENTS.iter().find(|accent| accent.words.contains(&word))
}

fn wants_clear(words: &[&str]) -> bool {
    let clears = has_any(words, &["clear", "clears", "clearing", "reset", "resets"]);
    clears && has_any(words, &["button", "add", "completed", "finished", "done", "all", "everything", "link"])
}

fn has_any(words: &[&str], wanted: &[&str]) -> bool {
    words.iter().any(|word| wanted.contains(word))
}

/// A new title, as in "change the title to …", "rename it to …", "call it …", "… called …", and which words say so.
fn title(prompt: &str, words: &[Word]) -> Option<(String, std::ops::Range<usize>)> {
    let is = |at: usize, wanted: &[&str]| words.get(at).is_some_and(|word| wanted.contains(&word.text.as_str()));
    let changes = (0..words.len())
        .any(|at| is(at, &["change", "set", "rename", "update", "make", "edit", "replace", "give", "use"]));
    let begins = (0..words.len()).find_map(|at| {
        if is(at, &["titled", "called", "named", "entitled"]) {
            return Some(at + 1);
        }
        if is(at, &["call"]) {
            let skipped = match () {
                () if is(at + 1, &["it", "this"]) => 1,
                () if is(at + 1, &["the"]) && is(at + 2, &["app", "page", "thing"]) => 2,
                () => 0,
            };
            return Some(at + 1 + skipped);
        }
        let names_title = is(at, &["title", "heading", "headline", "name"]) && changes;
        let names_title = names_title || is(at, &["rename"]);
        let to = (at + 1..words.len()).take(8).find(|next| is(*next, &["to", "into", "as", "say", "be"]))?;
        names_title.then(|| to + 1 + usize::from(is(to + 1, &["be", "say", "read"])))
    })?;
    let start = words.get(begins)?.start;
    let quoted = prompt[..start].chars().next_back().filter(|c| QUOTES.iter().any(|(open, _)| open == c));
    let text = match quoted.and_then(|open| QUOTES.iter().find(|(known, _)| *known == open)) {
        Some((_, close)) => prompt[start..].split(*close).next().unwrap_or_default(),
        None => unquoted_title(prompt, &words[begins..]),
    };
    let end = start + text.len();
    let taken = words[begins..].iter().take_while(|word| word.start < end).count();
    let title: String =
        text.trim_matches(is_title_edge).chars().filter(|c| !c.is_control()).take(TITLE_CHARS_MAX).collect();
    (!title.is_empty()).then_some((title, begins..begins + taken))
}

const QUOTES: [(char, char); 6] = [('"', '"'), ('\'', '\''), ('“', '”'), ('‘', '’'), ('„', '“'), ('`', '`')];

fn is_title_edge(c: char) -> bool {
    c.is_whitespace() || matches!(c, '.' | ',' | ';' | ':' | '"' | '\'' | '“' | '”' | '‘' | '’' | '`')
}

/// To the end of the sentence, or to where another wish begins.
fn unquoted_title<'a>(prompt: &'a str, words: &[Word]) -> &'a str {
    let start = words[0].start;
    let next_wish = words.windows(2).skip(1).find(|pair| {
        let verbs = ["make", "add", "use", "turn", "set", "change", "switch", "give", "with", "put"];
        matches!(pair[0].text.as_str(), "and" | "then" | "but") && verbs.contains(&pair[1].text.as_str())
    });
    let end = next_wish.map_or(prompt.len(), |pair| pair[0].start);
    let text = &prompt[start..end];
    let sentence = text.char_indices().find(|(at, c)| {
        let ends_line = *c == '\n';
        ends_line || matches!(c, '.' | '!' | '?') && text[at + 1..].starts_with(char::is_whitespace)
    });
    sentence.map_or(text, |(at, _)| &text[..at])
}

/// A word of a prompt: lower case, and where it begins.
struct Word {
    text: String,
    start: usize,
}

fn words(prompt: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut inside = false;
    for (at, c) in prompt.char_indices() {
        if !c.is_alphanumeric() {
            inside = false;
            continue;
        }
        if !inside {
            words.push(Word { text: String::new(), start: at });
            inside = true;
        }
        if let Some(word) = words.last_mut() {
            word.text.extend(c.to_lowercase());
        }
    }
    words
}
