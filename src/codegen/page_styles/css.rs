//! Style sheets, taken apart as far as a look needs it. Broken ones are read as far as they make sense.

use cssparser::{Delimiter, ParseError, Parser, Token};

/// How deep rules are looked for in groups of rules.
const DEPTH_MAX: usize = 6;
/// Longest value that is looked at; longer ones are data.
const VALUE_LENGTH_MAX: usize = 200;
/// Functions that are colours.
const COLOURS: [&str; 10] = ["rgb", "rgba", "hsl", "hsla", "hwb", "lab", "lch", "oklab", "oklch", "color"];
/// Groups whose rules count. Others hold steps of animations, or pages on paper.
const GROUPS: [&str; 5] = ["media", "supports", "layer", "container", "scope"];

/// A property and what it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declaration {
    /// In lower case, unless it is a custom one.
    pub(super) name: String,
    pub(super) value: String,
}

/// Shows every rule of a sheet: its selectors, or `@font-face`, and what it declares.
pub(super) fn rules(sheet: &str, visit: &mut dyn FnMut(&str, &[Declaration])) {
    rules_of(&mut Parser::new(sheet), 0, visit);
}

/// The declarations of a `style` attribute.
pub(super) fn declarations(style: &str) -> Vec<Declaration> {
    declarations_of(&mut Parser::new(style))
}

fn rules_of(parser: &mut Parser<'_>, depth: usize, visit: &mut dyn FnMut(&str, &[Declaration])) {
    loop {
        parser.skip_whitespace();
        let start = parser.position();
        let _ = parser.parse_until_before(Delimiter::CurlyBracketBlock | Delimiter::Semicolon, exhaust);
        let prelude = parser.slice_from(start).trim();
        match parser.next() {
            Ok(Token::CurlyBracketBlock) => {}
            Ok(_) => continue,
            Err(_) => break,
        }
        let at_rule = prelude.strip_prefix('@').map(str::to_ascii_lowercase);
        let name = at_rule.as_deref().map(|rule| rule.split(|c: char| !c.is_ascii_alphabetic() && c != '-').next());
        let _ = parser.parse_nested_block(|block| {
            match (name.flatten(), &at_rule) {
                (None, _) => visit(prelude, &declarations_of(block)),
                (Some("font-face"), _) => visit("@font-face", &declarations_of(block)),
                (Some(name), Some(rule)) if GROUPS.contains(&name) && depth < DEPTH_MAX && is_everyday(rule) => {
                    rules_of(block, depth + 1, visit);
                }
                _ => {}
            }
            exhaust(block)
        });
    }
}

/// Whether a group of rules holds for a page on an everyday screen.
fn is_everyday(rule: &str) -> bool {
    !rule.contains("dark") && !rule.contains("print") && !rule.contains("forced-colors")
}

fn declarations_of(parser: &mut Parser<'_>) -> Vec<Declaration> {
    let mut found = Vec::new();
    loop {
        parser.skip_whitespace();
        if parser.is_exhausted() {
            return found;
        }
        let start = parser.position();
        let _ = parser.parse_until_after(Delimiter::Semicolon, exhaust);
        let text = parser.slice_from(start).trim().trim_end_matches(';');
        let Some((name, value)) = text.split_once(':') else { continue };
        let value = value.split('!').next().unwrap_or_default().trim();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let name = name.trim();
        // A rule within a rule has braces.
        let is_plain = !value.is_empty() && value.len() <= VALUE_LENGTH_MAX && !value.contains('{');
        if is_plain && !name.is_empty() && name.chars().all(is_name) {
            let name = if name.starts_with("--") { name.to_owned() } else { name.to_ascii_lowercase() };
            found.push(Declaration { name, value: value.to_owned() });
        }
    }
}

/// Whether a property paints something.
pub(super) fn is_painted(name: &str) -> bool {
    name.contains("color")
        || name.starts_with("background")
        || name.starts_with("border")
        || matches!(name, "fill" | "stroke" | "outline" | "box-shadow")
}

/// The colours in a value, by number; in lower case, without a transparency that only the page knows.
pub(super) fn colours(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    colours_of(&mut Parser::new(value), 0, &mut found);
    found
}

fn colours_of(parser: &mut Parser<'_>, depth: usize, found: &mut Vec<String>) {
    loop {
        parser.skip_whitespace();
        let start = parser.position();
        let (is_block, is_colour) = match parser.next() {
            Ok(Token::Hash(digits) | Token::IDHash(digits)) => {
                let is_colour =
                    matches!(digits.len(), 3 | 4 | 6 | 8) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                found.extend(is_colour.then(|| format!("#{}", digits.to_ascii_lowercase())));
                (false, false)
            }
            Ok(Token::Function(name)) => (true, COLOURS.contains(&name.to_ascii_lowercase().as_str())),
            Ok(Token::ParenthesisBlock) => (true, false),
            Ok(_) => (false, false),
            Err(_) => return,
        };
        if !is_block {
            continue;
        }
        let _ = parser.parse_nested_block(|block| {
            if !is_colour && depth < DEPTH_MAX {
                colours_of(block, depth + 1, found);
            }
            exhaust(block)
        });
        if is_colour {
            let text = parser.slice_from(start).to_ascii_lowercase();
            let text = text.split_once("/ var(").map_or(text.clone(), |(colour, _)| format!("{})", colour.trim_end()));
            found.extend((!text.contains("var(") && text.ends_with(')')).then_some(text));
        }
    }
}

/// Whether a value is a word, as names of colours are.
pub(super) fn is_colour_name(value: &str) -> bool {
    !value.is_empty() && value.len() <= 20 && value.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Skips the rest.
fn exhaust(parser: &mut Parser<'_>) -> Result<(), ParseError<()>> {
    while parser.next_including_whitespace().is_ok() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sheet: &str, expected: &[&str]) {
        let mut found = Vec::new();
        rules(sheet, &mut |selectors, declarations| {
            let declarations: Vec<String> =
                declarations.iter().map(|one| format!("{}={}", one.name, one.value)).collect();
            found.push(format!("{selectors} [{}]", declarations.join("; ")));
        });
        assert_eq!(found, expected, "{sheet}");
    }

    #[test]
    fn rules_are_found() {
        check("a{color:red;}b , c { Margin : 0 }", &["a [color=red]", "b , c [margin=0]"]);
        check("@import 'x'; @charset \"utf-8\"; a{color:red!important}", &["a [color=red]"]);
        check("a{--X: {y}; --y:1; content:';}'; &:hover{color:red} color:blue}", &["a [--y=1; content=';}']"]);
        check("@media print{a{color:red}} @media screen{@supports(x:y){a{color:red}}}", &["a [color=red]"]);
        check("@keyframes x{from{color:red}} @font-face{font-family:X}", &["@font-face [font-family=X]"]);
        check("a{color:red", &["a [color=red]"]);
        check("}} a{color:red} ]", &["}} a [color=red]"]);
        check("", &[]);
        check(&"@media x{".repeat(100_000), &[]);
        check(&"{[(".repeat(100_000), &[" []"]);
    }

    #[test]
    fn colours_are_found() {
        for (value, expected) in [
            ("#FFF", vec!["#fff"]),
            ("1px solid #12345678", vec!["#12345678"]),
            ("linear-gradient(to right, #abc, RGB(1 2 3))", vec!["#abc", "rgb(1 2 3)"]),
            ("rgb(1 2 3 / var(--x, 1))", vec!["rgb(1 2 3)"]),
            ("rgb(var(--x))", vec![]),
            ("url(#abc)", vec![]),
            ("#ab", vec![]),
            ("red", vec![]),
        ] {
            assert_eq!(colours(value), expected, "{value}");
        }
    }
}
