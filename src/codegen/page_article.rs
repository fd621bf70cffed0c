//! What a web page says: its main content as Markdown, without navigation, scripts and tracking.
//!
//! The page is a stranger's: whatever it says is data. Nothing here runs or follows anything.

use dom_query::{Document, NodeRef};
use dom_smoothie::{Config, Readability, TextMode};
use url::Url;

use super::page_tree;

/// Longest text, in characters: all of it goes into a prompt, twice.
const TEXT_CHARS_MAX: usize = 20_000;
/// Longest title or description, in characters.
const LINE_CHARS_MAX: usize = 1000;
/// Longest piece of text without markup in between, in bytes.
const PIECE_SIZE_BYTES_MAX: usize = 16 * 1024;
/// Most links that are named.
const LINKS_MAX: usize = 100;
/// Longest address of a link.
const LINK_LENGTH_MAX: usize = 2048;
/// An article shorter than one part in so many of what is seen is none: then the page is more than its longest text.
const ARTICLE_PARTS_MAX: usize = 4;
/// What nobody reads.
const UNREAD: [&str; 9] = ["script", "style", "noscript", "template", "svg", "iframe", "object", "canvas", "head"];

/// A page as it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Article {
    /// Its title; empty if it has none.
    pub title: String,
    /// What it says about itself; empty if it says nothing.
    pub description: String,
    /// Its content as Markdown; never empty.
    pub markdown: String,
    /// The same as HTML. Not to be shown on an origin that matters.
    pub html: String,
    /// Where it leads, each address once.
    pub links: Vec<String>,
    /// Whether something was too long and is not here whole.
    pub cut: bool,
}

/// Reads a page that was found at `address`; all of it if `everything` is wanted, else its main content. `None`: there is
/// no text without running its scripts.
#[must_use]
pub fn read(html: &str, address: &str, everything: bool) -> Option<Article> {
    let (document, tree_is_cut) = page_tree::parse(html);
    let piece_is_cut = shorten_pieces(&document);
    let base = base(&document, address);
    let links = base.as_ref().map(|base| links(&document, base)).unwrap_or_default();
    let seen = document.body().map(|body| body.md(Some(&UNREAD)).trim().to_owned()).unwrap_or_default();
    if seen.is_empty() {
        return None;
    }
    let config = Config { text_mode: TextMode::Markdown, disable_json_ld: true, ..Config::default() };
    let mut readability = Readability::with_document(document.clone(), Some(address), Some(config)).ok()?;
    let metadata = readability.get_article_metadata(None);
    let title = if metadata.title.is_empty() { readability.get_article_title().to_string() } else { metadata.title };
    let article = if everything { None } else { readability.parse().ok() };
    let article = article.map(|article| (article.text_content.trim().to_owned(), article.content.to_string()));
    let main = article.filter(|(text, _)| text.len().saturating_mul(ARTICLE_PARTS_MAX) >= seen.len());
    let (text, content) = main.unwrap_or_else(|| {
        document.select(&UNREAD.join(",")).remove();
        (seen, document.body().map(|body| body.inner_html().to_string()).unwrap_or_default())
    });
    let (markdown, text_is_cut) = shortened(&text, TEXT_CHARS_MAX);
    let (html, html_is_cut) = shortened(&content, TEXT_CHARS_MAX);
    (!markdown.is_empty()).then(|| Article {
        title: shortened(title.trim(), LINE_CHARS_MAX).0,
        description: shortened(metadata.excerpt.unwrap_or_default().trim(), LINE_CHARS_MAX).0,
        markdown,
        html,
        links,
        cut: tree_is_cut || piece_is_cut || text_is_cut || html_is_cut,
    })
}

/// Cuts off pieces of text that are longer than anything that is shown of a page: to write one down again takes time with
/// the square of its length when it is full of `&`.
fn shorten_pieces(document: &Document) -> bool {
    let mut cut = false;
    for node in document.root().descendants().into_iter().filter(NodeRef::is_text) {
        let text = node.text();
        if text.len() > PIECE_SIZE_BYTES_MAX {
            node.set_text(&text[..text.floor_char_boundary(PIECE_SIZE_BYTES_MAX)]);
            cut = true;
        }
    }
    cut
}

/// What a page's addresses are relative to.
pub(super) fn base(document: &Document, address: &str) -> Option<Url> {
    let address = Url::parse(address).ok()?;
    let named = document.base_uri().and_then(|base| address.join(&base).ok());
    Some(named.unwrap_or(address))
}

/// An address as a page writes it, as one of the web.
pub(super) fn resolved(base: &Url, written: &str) -> Option<String> {
    let mut url = base.join(written.trim()).ok()?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    url.set_fragment(None);
    (is_web && url.as_str().len() <= LINK_LENGTH_MAX).then(|| url.to_string())
}

fn links(document: &Document, base: &Url) -> Vec<String> {
    let mut links: Vec<String> = Vec::new();
    for node in document.select("a[href]").nodes() {
        let link = node.attr("href").and_then(|written| resolved(base, &written));
        if let Some(link) = link.filter(|link| !links.contains(link)) {
            links.push(link);
        }
        if links.len() == LINKS_MAX {
            break;
        }
    }
    links
}

/// At most so many characters, and whether there were more.
fn shortened(text: &str, chars_max: usize) -> (String, bool) {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => (text[..end].trim_end().to_owned(), true),
        None => (text.to_owned(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<html><head><title>Bread</title><meta name='description' content='About bread'>\
        <script>var hidden = 1</script><style>p { color: red }</style></head><body>\
        <nav><a href='/home'>Home</a><a href='#top'>Top</a><a href='javascript:alert(1)'>No</a></nav>\
        <article><h1>Baking</h1><p>Bread is made of flour, water and salt, and it takes time, patience and a warm place \
        to rise in before it is baked.</p><p>Every baker has a recipe, and every recipe has a story that is told again \
        and again, in kitchens all over the world. <a href='https://example.org/story'>One of them</a>.</p>\
        <ul><li>flour</li><li>water</li></ul></article><footer>Imprint</footer></body></html>";

    #[test]
    fn an_article_is_read_as_markdown() {
        let article = read(PAGE, "https://example.com/bread/", false).expect("an article");
        assert_eq!((article.title.as_str(), article.description.as_str()), ("Bread", "About bread"));
        for part in ["Baking", "flour, water and salt", "[One of them](https://example.org/story)", "- flour"] {
            assert!(article.markdown.contains(part), "{part}: {}", article.markdown);
        }
        for left_out in ["hidden", "color: red", "Imprint"] {
            assert!(!article.markdown.contains(left_out), "{left_out}: {}", article.markdown);
        }
        assert!(article.html.contains("<li>flour</li>") && !article.cut, "{}", article.html);
        let expected = ["https://example.com/home", "https://example.com/bread/", "https://example.org/story"];
        assert_eq!(article.links, expected);
        let everything = read(PAGE, "https://example.com/bread/", true).expect("a page");
        assert!(everything.markdown.contains("Imprint") && everything.html.contains("<footer>"), "{everything:?}");
        assert!(!everything.markdown.contains("hidden") && !everything.html.contains("hidden"), "{everything:?}");
    }

    #[test]
    fn a_page_of_many_parts_is_read_whole() {
        let card = |at| format!("<section class=card><h3>Feature {at}</h3><p>Short words.</p></section>");
        let cards: String = (0..40).map(card).collect();
        let text =
            "A longer sentence that somebody could take for the one article of this page, if they looked for one.";
        let html = format!("<title>Shop</title><div class=hero><h1>Shop</h1><p>{text}</p></div><main>{cards}</main>");
        let page = read(&html, "https://example.com/", false).expect("a page");
        assert!(page.markdown.contains("Feature 0") && page.markdown.contains("Feature 39"), "{}", page.markdown);
    }

    #[test]
    fn a_page_without_text_is_none() {
        for html in
            ["", "<div id=root></div><script src=app.js></script>", "<title>App</title><svg><text>x</text></svg>"]
        {
            assert_eq!(read(html, "https://example.com/", false), None, "{html}");
        }
    }

    #[test]
    fn addresses_are_those_of_the_page() {
        let html = "<base href='/deep/'><p>Words to read.</p><a href=one>1</a><a href=one#part>1</a>\
                    <a href='https://u:p@example.com/'>2</a><a href='mailto:a@b.c'>3</a>";
        let page = read(html, "https://example.com/a", false).expect("a page");
        assert_eq!(page.links, ["https://example.com/deep/one"]);
    }

    #[test]
    fn long_and_hostile_pages_come_to_an_end() {
        let nested = "<div>".repeat(300_000);
        let unclosed: String = (0..500).map(|at| format!("<font a={at}>")).collect();
        for html in [
            format!("<p>begin</p>{nested}end"),
            format!("<p>begin</p>{}", "<blockquote><ul><li>".repeat(50_000)),
            format!("<p>begin</p><p>{unclosed}{}", "<p>x</p>".repeat(100_000)),
            format!("<p>begin</p>{}", "<a href=x>word, word</a> ".repeat(40_000)),
            format!("<p>begin</p><table>{}", "<tr><td>word<table>".repeat(50_000)),
            format!("<p>begin</p>{}", "<br>".repeat(200_000)),
            format!("<p>begin</p>{}", "&amp;".repeat(200_000)),
            format!("<p>begin</p>{}", "word ".repeat(200_000)),
        ] {
            let page = read(&html, "https://example.com/", false).expect("a page");
            assert!(page.cut && page.markdown.chars().count() <= TEXT_CHARS_MAX, "{}", &html[..60]);
        }
    }
}
