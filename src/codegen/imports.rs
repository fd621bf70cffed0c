//! Finds what JavaScript and TypeScript (with JSX) import, with a lexer just good enough that comments, strings and
//! templates don't fool it. It never fails: what it cannot make sense of, it skips.

/// The module specifiers of a file, in order, as written. Type-only imports are left out.
#[must_use]
pub fn of_script(code: &str) -> Vec<&str> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| tokens[at].kind);
        if before == Some(Kind::Punct('.')) {
            continue; // a property of that name
        }
        let rest = &tokens[at + 1..];
        let specifier = match token.kind {
            Kind::Word("import") => call_argument(rest).or_else(|| token.starts_line.then(|| import_source(rest))?),
            Kind::Word("export") if token.starts_line => export_source(rest),
            Kind::Word("require") => call_argument(rest),
            _ => None,
        };
        found.extend(specifier);
    }
    found
}

/// The package specifiers of a style sheet that uses Tailwind's `@plugin` or imports from a package. A name that ends
/// in `.css` is more likely a neighbour than a package.
#[must_use]
pub fn of_style(css: &str) -> Vec<&str> {
    let specifier = |line: &'_ str| -> Option<std::ops::Range<usize>> {
        let rest = line.trim_start();
        let rest = rest.strip_prefix("@plugin").or_else(|| rest.strip_prefix("@import"))?.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let start = line.len() - rest.len() + 1;
        Some(start..start + rest[1..].find(quote)?)
    };
    css.lines().filter_map(|line| Some(&line[specifier(line)?])).filter(|name| !name.ends_with(".css")).collect()
}

/// `("x")`
fn call_argument<'a>(rest: &[Token<'a>]) -> Option<&'a str> {
    match rest {
        [Token { kind: Kind::Punct('('), .. }, Token { kind: Kind::Text(text), .. }, ..] => Some(text),
        _ => None,
    }
}

/// `"x"`, `a from "x"`, `a, { b as c } from "x"`, `* as d from "x"`; not `type A from "x"`.
fn import_source<'a>(rest: &[Token<'a>]) -> Option<&'a str> {
    match rest {
        [Token { kind: Kind::Text(text), .. }, ..] => Some(text),
        [Token { kind: Kind::Word("type"), .. }, next, ..] if is_type_import(next.kind) => None,
        _ => source_after_from(rest),
    }
}

/// `{ a } from "x"`, `* from "x"`, `* as a from "x"`; not `type { A } from "x"`.
fn export_source<'a>(rest: &[Token<'a>]) -> Option<&'a str> {
    match rest.first()?.kind {
        Kind::Punct('{' | '*') => source_after_from(rest),
        _ => None,
    }
}

/// Behind `import type`, anything but the end of the clause means types: `import type from "x"` is a default import.
pub(super) fn is_type_import(next: Kind<'_>) -> bool {
    !matches!(next, Kind::Word("from") | Kind::Punct(','))
}

pub(super) fn source_after_from<'a>(rest: &[Token<'a>]) -> Option<&'a str> {
    for pair in rest.windows(2) {
        match (pair[0].kind, pair[1].kind) {
            (Kind::Word("from"), Kind::Text(text)) => return Some(text),
            (Kind::Word(_) | Kind::Text(_) | Kind::Punct('{' | '}' | ',' | '*'), _) => {}
            _ => return None,
        }
    }
    None
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// It is the first of its line, or follows a `;`.
    pub(super) starts_line: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Word(&'a str),
    /// A string, or a template without substitutions.
    Text(&'a str),
    Punct(char),
    /// A number, a regular expression, a template with substitutions.
    Other,
}

pub(super) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut starts_line = true;
    let mut rest = code;
    let mut templates_end = false;
    while let Some(c) = rest.chars().next() {
        let mut len = c.len_utf8();
        let kind = match c {
            '\n' => {
                starts_line = true;
                None
            }
            _ if c.is_whitespace() => None,
            '/' if rest.starts_with("//") => {
                len = rest.find('\n').unwrap_or(rest.len());
                None
            }
            '/' if rest.starts_with("/*") => {
                len = rest.find("*/").map_or(2, |at| at + 2);
                None
            }
            '/' => Some(match regex_len(rest).filter(|_| may_be_regex(tokens.last())) {
                Some(regex) => {
                    len = regex;
                    Kind::Other
                }
                None => Kind::Punct('/'),
            }),
            '"' | '\'' => Some(match string_len(rest, c) {
                Some(string) => {
                    len = string;
                    Kind::Text(&rest[1..string - 1])
                }
                None => Kind::Punct(c), // an apostrophe in JSX text
            }),
            '`' if !templates_end => Some(match template_len(rest, 0) {
                Some((template, is_text)) => {
                    len = template;
                    if is_text { Kind::Text(&rest[1..template - 1]) } else { Kind::Other }
                }
                None => {
                    templates_end = true; // no later one can end either
                    Kind::Punct(c)
                }
            }),
            _ if is_word(c) => {
                len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                Some(if c.is_ascii_digit() { Kind::Other } else { Kind::Word(&rest[..len]) })
            }
            _ => Some(Kind::Punct(c)),
        };
        if let Some(kind) = kind {
            tokens.push(Token { kind, starts_line });
            starts_line = kind == Kind::Punct(';');
        }
        rest = &rest[len..];
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

/// A `/` begins a regular expression where a value may stand. Behind `<` it closes a JSX element.
fn may_be_regex(before: Option<&Token<'_>>) -> bool {
    match before.map(|token| token.kind) {
        None => true,
        Some(Kind::Punct(c)) => !matches!(c, ')' | ']' | '}' | '<' | '"' | '\''),
        Some(Kind::Word(word)) => {
            matches!(word, "return" | "typeof" | "case" | "in" | "of" | "void" | "await" | "yield")
        }
        Some(Kind::Text(_) | Kind::Other) => false,
    }
}

fn regex_len(text: &str) -> Option<usize> {
    let mut in_class = false;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '/' if !in_class => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn string_len(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => return None,
            _ if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Deepest nesting of templates within templates; what is deeper is skipped piece by piece.
const TEMPLATE_DEPTH_MAX: usize = 16;

/// The length of a template, and whether it is plain text. What is inside its substitutions is not looked at.
fn template_len(text: &str, depth: usize) -> Option<(usize, bool)> {
    let bytes = text.as_bytes();
    let mut is_text = true;
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'`' => return Some((at + 1, is_text)),
            b'$' if bytes.get(at + 1) == Some(&b'{') && depth < TEMPLATE_DEPTH_MAX => {
                is_text = false;
                at = substitution_end(text, at + 2, depth)?;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where the `}` of a substitution is that begins at `at`.
fn substitution_end(text: &str, mut at: usize, depth: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut braces = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'}' if braces == 0 => return Some(at),
            b'}' => braces -= 1,
            b'{' => braces += 1,
            b'`' => at += template_len(&text[at..], depth + 1)?.0 - 1,
            b'"' | b'\'' => at += string_len(&text[at..], char::from(*byte)).map_or(0, |len| len - 1),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: &str, expected: &[&str]) {
        assert_eq!(of_script(code), expected, "{code}");
    }

    #[test]
    fn reads_every_form() {
        check("import a from 'x'", &["x"]);
        check("import \"x\";import'y'", &["x", "y"]);
        check("import a, { b as c,\n  d\n} from \"x\"\nimport * as e from 'y'", &["x", "y"]);
        check("import{a}from'x'", &["x"]);
        check("import a from 'x' with { type: 'json' };\nimport b from 'y'", &["x", "y"]);
        check("import { type A, b } from 'x'", &["x"]);
        check("import type from 'x'", &["x"]);
        check("import type, { a } from 'x'", &["x"]);
        check("import { \"a b\" as c } from 'x'", &["x"]);
        check("import { from } from 'x'", &["x"]);
        check("export * from 'x'\nexport * as a from 'y'\nexport { b } from 'z'", &["x", "y", "z"]);
        check("const a = require('x'), b = require( \"y\" )", &["x", "y"]);
        check("const a = lazy(() => import('x')); await import(`y`); import(/* note */ 'z')", &["x", "y", "z"]);
        check("import a = require('x')", &["x"]);
        check("'use client';\nimport a from 'x'", &["x"]);
        check("if (a) { b() }\nexport default function () {}\nimport c from 'x'", &["x"]);
    }

    #[test]
    fn leaves_out_types_and_other_things() {
        check("import type A from 'x'\nimport type { B } from 'y'\nimport type * as C from 'z'", &[]);
        check("export type { A } from 'x'\nexport type * from 'y'", &[]);
        check("import.meta.env; a.import('x'); a.require('y'); import(name); require(name); require(`a${b}`)", &[]);
        check("export const from = 'x'\nexport default 'y'\nexport { a }\nconst s = 'z'", &[]);
        check("import", &[]);
        check("import {", &[]);
    }

    #[test]
    fn is_not_fooled() {
        check("// import a from 'x'\n/* import b from 'y'\nimport c from 'z' */ 1", &[]);
        check("const s = \"import a from 'x'\", t = `\nimport b from 'y'\n${`\nimport c from 'z'`}\n`", &[]);
        check("const s = 'it\\'s'; import a from 'x'", &["x"]);
        check("const r = /['\"`]/g\nimport a from 'x'", &["x"]);
        check("const r = a / b; // c\nimport d from 'x' // /", &["x"]);
        check("return <p>Don't</p>\nimport a from 'x'", &["x"]);
        check("return <p>a ` b</p>\nimport a from 'x'", &["x"]);
        check("return <p>please import a from 'x'</p>", &[]);
        check("<a href=\"http://x.y\">z</a>\nimport a from 'x'", &["x"]);
        check("const u = \"https://x.y/*\"\nimport a from 'x'", &["x"]);
        check("`${a ? `${'}'}` : {}}`\nimport a from 'x'", &["x"]);
        check("/* open\nimport a from 'x'", &["x"]);
        check("ü🦀 import\u{2028}", &[]);
    }

    #[test]
    fn reads_styles() {
        let css = "@import \"tailwindcss\";\n  @plugin '@tailwindcss/typography' {\n}\n@import \"./a.css\";\n@import url(x);\n@import \"x.css\";\n@plugin";
        assert_eq!(of_style(css), ["tailwindcss", "@tailwindcss/typography"]);
    }
}
