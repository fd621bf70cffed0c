//! How a web page looks, as far as its own style sheets say so: colours, fonts, sizes, pictures of its brand.
//!
//! Nothing is guessed: what no rule states for the page, its headings, links and buttons is not there. The sheets are a
//! stranger's, and everything taken from them is data.

mod css;

use dom_query::Document;
use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use url::Url;

use self::css::Declaration;
use super::{
    page_article::{base, resolved},
    page_tree,
};

/// Most style sheets that are worth fetching for one page.
pub const SHEETS_MAX: usize = 6;
/// Most colours that are named, the most frequent first.
const PALETTE_MAX: usize = 12;
/// Most custom properties that are named.
const CUSTOM_MAX: usize = 40;
/// Most fonts that are named.
const FONTS_MAX: usize = 8;
/// How often one custom property may stand for another.
const VARIABLES_MAX: usize = 5;
/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 200;

/// A page's look.
#[derive(Debug, Clone, PartialEq)]
pub struct Styles {
    /// What the page calls itself; empty if it has no name.
    pub name: String,
    /// Colours, fonts, sizes and pictures, by the names that clients of older systems know.
    pub guidelines: Value,
}

/// A page whose styles are wanted.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Its HTML.
    pub html: String,
    /// Where it was found.
    pub address: String,
    /// Its sheets that could be read, in their order.
    pub sheets: Vec<String>,
}

/// Where a page's style sheets are, [`SHEETS_MAX`] at most.
#[must_use]
pub fn sheets(html: &str, address: &str) -> Vec<String> {
    let (document, _) = page_tree::parse(html);
    let Some(base) = base(&document, address) else { return Vec::new() };
    let links = document.select("link[rel~=stylesheet][href]:not([media=print])");
    let found = links.nodes().iter().filter_map(|link| resolved(&base, &link.attr("href")?));
    found.take(SHEETS_MAX).collect()
}

/// What a page's sheets, and the styles within it, say of its look. `None`: nothing.
#[must_use]
pub fn styles(page: &Page) -> Option<Styles> {
    let (document, _) = page_tree::parse(&page.html);
    let mut looks = Looks::default();
    for sheet in &page.sheets {
        css::rules(sheet, &mut |selectors, declarations| looks.take(selectors, declarations));
    }
    for style in document.select("style").nodes() {
        css::rules(&style.text(), &mut |selectors, declarations| looks.take(selectors, declarations));
    }
    for name in ["html", "body"] {
        if let Some(style) = document.select_single(name).attr("style") {
            looks.take(name, &css::declarations(&style));
        }
    }
    let mut guidelines = looks.guidelines(&document)?;
    if let Some(base) = base(&document, &page.address) {
        put(&mut guidelines, "images", images(&document, &base));
    }
    let name = meta(&document, "og:site_name").unwrap_or_else(|| document.select_single("title").text().to_string());
    Some(Styles { name: name.trim().chars().take(NAME_CHARS_MAX).collect(), guidelines: guidelines.into() })
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Root,
    Body,
    Text,
    Link,
    Button,
    Heading(u8),
}

impl Part {
    fn of(selector: &str) -> Option<Self> {
        Some(match selector.trim().to_ascii_lowercase().as_str() {
            ":root" | "html" | ":host" => Self::Root,
            "body" => Self::Body,
            "p" => Self::Text,
            "a" | "a:link" => Self::Link,
            "button" | ".button" | ".btn" | ".btn-primary" | ".button-primary" | ".button--primary"
            | ".btn.btn-primary" => Self::Button,
            "h1" => Self::Heading(1),
            "h2" => Self::Heading(2),
            "h3" => Self::Heading(3),
            _ => return None,
        })
    }
}

/// What the rules of a page say.
#[derive(Debug, Default)]
struct Looks {
    /// By what they are about and which property; of several the last, as in browsers.
    stated: IndexMap<(Part, String), String>,
    custom: IndexMap<String, String>,
    /// How often each colour is used.
    colours: IndexMap<String, usize>,
    faces: Vec<String>,
}

impl Looks {
    fn take(&mut self, selectors: &str, declarations: &[Declaration]) {
        if selectors.starts_with('@') {
            let family = declarations.iter().find(|declaration| declaration.name == "font-family");
            self.faces.extend(family.map(|declaration| first_family(&declaration.value)));
            return;
        }
        let parts: Vec<Part> = selectors.split(',').filter_map(Part::of).collect();
        for Declaration { name, value } in declarations {
            if name.starts_with("--") || css::is_painted(name) {
                for colour in css::colours(value) {
                    *self.colours.entry(colour).or_default() += 1;
                }
            }
            if name.starts_with("--") {
                // The first is the page's own; what follows are themes and states.
                self.custom.entry(name.clone()).or_insert_with(|| value.clone());
            }
            let name = if name == "background" { "background-color" } else { name };
            for part in &parts {
                self.stated.insert((*part, name.to_owned()), value.clone());
            }
        }
    }

    /// What is stated for the first of these parts that has it.
    fn stated(&self, parts: &[Part], property: &str) -> Option<String> {
        let found = parts.iter().find_map(|part| self.stated.get(&(*part, property.to_owned())))?;
        self.value(found)
    }

    /// A value without custom properties; `None` if it says nothing by itself.
    fn value(&self, written: &str) -> Option<String> {
        let mut value = written.trim();
        for _ in 0..VARIABLES_MAX {
            let Some(inner) = value.strip_prefix("var(").and_then(|rest| rest.strip_suffix(')')) else { break };
            let (name, otherwise) = inner.split_once(',').unwrap_or((inner, ""));
            value = self.custom.get(name.trim()).map_or(otherwise, String::as_str).trim();
        }
        let says_nothing = ["", "inherit", "initial", "unset", "transparent", "none", "currentcolor", "revert"];
        let says = !says_nothing.contains(&value.to_ascii_lowercase().as_str()) && !value.contains("var(");
        says.then(|| value.to_owned())
    }

    fn colour(&self, parts: &[Part], property: &str) -> Option<String> {
        let value = self.stated(parts, property)?;
        css::colours(&value).into_iter().next().or_else(|| css::is_colour_name(&value).then_some(value))
    }

    /// A colour that the page itself calls so.
    fn named(&self, names: &[&str]) -> Option<String> {
        let found = names.iter().find_map(|name| self.custom.get(*name))?;
        css::colours(&self.value(found)?).into_iter().next()
    }

    fn guidelines(&self, document: &Document) -> Option<Map<String, Value>> {
        const PAGE: [Part; 2] = [Part::Body, Part::Root];
        const HEADINGS: [Part; 3] = [Part::Heading(1), Part::Heading(2), Part::Heading(3)];
        let theme = meta(document, "theme-color").filter(|theme| !css::colours(theme).is_empty());
        let colours = object([
            (
                "primary",
                self.named(&[
                    "--primary",
                    "--color-primary",
                    "--primary-color",
                    "--brand",
                    "--color-brand",
                    "--brand-color",
                ]),
            ),
            ("secondary", self.named(&["--secondary", "--color-secondary", "--secondary-color"])),
            ("accent", self.named(&["--accent", "--color-accent", "--accent-color"])),
            ("background", self.colour(&PAGE, "background-color")),
            ("textPrimary", self.colour(&PAGE, "color")),
            ("link", self.colour(&[Part::Link], "color")),
            ("theme", theme),
        ]);
        let mut palette: Vec<(&String, &usize)> = self.colours.iter().collect();
        palette.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let palette: Vec<&String> = palette.into_iter().map(|(colour, _)| colour).take(PALETTE_MAX).collect();
        let body_font = self.stated(&PAGE, "font-family");
        let heading_font = self.stated(&HEADINGS, "font-family");
        let fonts = self.fonts(&[&body_font, &heading_font]);
        if colours.is_empty() && palette.is_empty() && fonts.is_empty() {
            return None;
        }
        let custom = self.custom.iter().filter_map(|(name, value)| {
            let value = self.value(value).filter(|value| !css::colours(value).is_empty())?;
            Some((name.clone(), Value::from(value)))
        });
        let scheme = self.stated(&PAGE, "color-scheme").or_else(|| meta(document, "color-scheme"));
        let families = object([("primary", body_font), ("heading", heading_font)]);
        let sizes = object([
            ("h1", self.stated(&[Part::Heading(1)], "font-size")),
            ("h2", self.stated(&[Part::Heading(2)], "font-size")),
            ("h3", self.stated(&[Part::Heading(3)], "font-size")),
            ("body", self.stated(&[Part::Body, Part::Text, Part::Root], "font-size")),
        ]);
        let button = object([
            ("background", self.colour(&[Part::Button], "background-color")),
            ("textColor", self.colour(&[Part::Button], "color")),
            ("borderRadius", self.stated(&[Part::Button], "border-radius")),
        ]);
        let mut guidelines = Map::new();
        if let Some(scheme) = scheme.filter(|scheme| matches!(scheme.as_str(), "light" | "dark")) {
            guidelines.insert("colorScheme".into(), scheme.into());
        }
        put(&mut guidelines, "colors", colours);
        put(&mut guidelines, "customProperties", custom.take(CUSTOM_MAX).collect());
        guidelines.insert("palette".into(), json!(palette));
        guidelines.insert("fonts".into(), fonts.into_iter().map(|family| json!({ "family": family })).collect());
        let mut typography = Map::new();
        put(&mut typography, "fontFamilies", families);
        put(&mut typography, "fontSizes", sizes);
        put(&mut guidelines, "typography", typography);
        let mut components = Map::new();
        put(&mut components, "buttonPrimary", button);
        put(&mut guidelines, "components", components);
        Some(guidelines)
    }

    /// The fonts that are used or brought along, each once.
    fn fonts(&self, used: &[&Option<String>]) -> Vec<String> {
        let used = used.iter().filter_map(|family| family.as_deref()).map(first_family);
        let mut fonts: Vec<String> = Vec::new();
        for font in used.chain(self.faces.iter().cloned()) {
            if !font.is_empty() && !fonts.contains(&font) && fonts.len() < FONTS_MAX {
                fonts.push(font);
            }
        }
        fonts
    }
}

/// The first of a list of families, without quotes.
fn first_family(value: &str) -> String {
    value.split(',').next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
}

fn images(document: &Document, base: &Url) -> Map<String, Value> {
    let attribute = |selector: &str, name: &str| {
        document.select_single(selector).attr(name).and_then(|written| resolved(base, &written))
    };
    object([
        ("logo", attribute("img[itemprop=logo], img[alt*=logo i], img[class*=logo i], img[id*=logo i]", "src")),
        ("favicon", attribute("link[rel~=icon][href]", "href")),
        ("ogImage", meta(document, "og:image").and_then(|written| resolved(base, &written))),
    ])
}

/// What a `meta` element says.
fn meta(document: &Document, name: &str) -> Option<String> {
    let selector = format!("meta[name=\"{name}\"][content], meta[property=\"{name}\"][content]");
    let content = document.select_single(&selector).attr("content")?;
    let content: String = content.trim().chars().take(NAME_CHARS_MAX).collect();
    (!content.is_empty()).then_some(content)
}

/// The entries that are there.
fn object<const N: usize>(entries: [(&str, Option<String>); N]) -> Map<String, Value> {
    entries.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
}

fn put(object: &mut Map<String, Value>, name: &str, value: Map<String, Value>) {
    if !value.is_empty() {
        object.insert(name.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(html: &str, sheet: &str) -> Page {
        Page { html: html.into(), address: "https://example.com/shop/".into(), sheets: vec![sheet.into()] }
    }

    #[test]
    fn a_look_is_what_the_rules_state() {
        let html = "<title>Shop | Home</title><meta property=og:site_name content='The Shop'>\
            <meta name=theme-color content='#0A0'><link rel='shortcut icon' href=/icon.png>\
            <style>h1 { font-size: 3rem; font-family: 'Fancy', serif }</style><body style='color: #111'>\
            <img src=logo.svg alt='Our Logo'><p>Text</p>";
        let sheet = "@font-face { font-family: \"Inter\"; src: url(x.woff2) }
            :root { --primary: #FF8800; --text: var(--dark); --dark: rgb(20 20 20 / var(--alpha)); color-scheme: light }
            body { margin: 0; background: var(--paper, #fafafa); color: var(--text); font: 16px x; font-family: Inter, sans-serif }
            a, a:visited { color: var(--primary) } /* a { color: red } */
            @media (max-width: 600px) { .btn { border-radius: 8px; background: linear-gradient(#ff8800, hsl(30, 100%, 40%)); color: white } }
            @media (prefers-color-scheme: dark) { body { background: black; color: #fff } }
            @keyframes x { from { color: #123456 } }";
        let styles = styles(&page(html, sheet)).expect("styles");
        let expected = json!({
            "colorScheme": "light",
            "colors": { "primary": "#ff8800", "background": "#fafafa", "textPrimary": "#111", "link": "#ff8800",
                "theme": "#0A0" },
            "customProperties": { "--primary": "#FF8800", "--text": "rgb(20 20 20 / var(--alpha))",
                "--dark": "rgb(20 20 20 / var(--alpha))" },
            "palette": ["#ff8800", "rgb(20 20 20)", "#fafafa", "hsl(30, 100%, 40%)", "#111"],
            "fonts": [{ "family": "Inter" }, { "family": "Fancy" }],
            "typography": { "fontFamilies": { "primary": "Inter, sans-serif", "heading": "'Fancy', serif" },
                "fontSizes": { "h1": "3rem" } },
            "components": { "buttonPrimary": { "background": "#ff8800", "textColor": "white", "borderRadius": "8px" } },
            "images": { "logo": "https://example.com/shop/logo.svg", "favicon": "https://example.com/icon.png" },
        });
        assert_eq!(styles.name, "The Shop");
        assert_eq!(styles.guidelines["palette"], expected["palette"]);
        assert_eq!(styles.guidelines["colors"], expected["colors"]);
        for (name, expected) in
            expected.as_object().expect("an object").iter().filter(|(name, _)| *name != "customProperties")
        {
            assert_eq!(&styles.guidelines[name], expected, "{name}");
        }
        assert_eq!(styles.guidelines["customProperties"]["--primary"], "#FF8800");
    }

    #[test]
    fn a_page_that_says_nothing_has_no_look() {
        assert_eq!(styles(&page("<title>Plain</title><p>Text</p>", "p { margin: 0 }")), None);
        assert_eq!(styles(&page("", "")), None);
    }

    #[test]
    fn sheets_are_found_where_the_page_says() {
        let html = "<link rel=stylesheet href=/a.css><link rel='preload stylesheet' href='https://cdn.example.org/b.css'>\
            <link rel=stylesheet href=print.css media=print><link rel=stylesheet href='data:text/css,a{}'>\
            <link rel=icon href=c.css>";
        assert_eq!(
            sheets(html, "https://example.com/x/"),
            ["https://example.com/a.css", "https://cdn.example.org/b.css"]
        );
        let many = "<link rel=stylesheet href=/a.css>".repeat(50);
        assert_eq!(sheets(&many, "https://example.com/").len(), SHEETS_MAX);
    }
}
