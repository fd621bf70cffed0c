//! A stranger's HTML as a tree, as far as that is reasonable: a page can be written so that a few kilobytes make millions
//! of elements, or a hundred thousand of them one inside the other.

use std::time::{Duration, Instant};

use dom_query::Document;
use html5ever::{
    ParseOpts, parse_document,
    tendril::{StrTendril, TendrilSink as _},
    tree_builder::TreeBuilderOpts,
};

/// After how many bytes it is looked at how far the tree has grown.
const PIECE_SIZE_BYTES: usize = 1024;
/// Most nodes. Long articles with all their comments have about ten thousand.
const NODES_MAX: usize = 50_000;
/// Most elements one inside the other; browsers stop at 512.
const DEPTH_MAX: usize = 256;

/// How long reading may take; the largest page takes a tenth of a second. What takes longer is meant to: a hundred thousand
/// attributes of one element, each compared with all others.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// The tree of a page, and whether the page goes on where the tree ends.
pub(super) fn parse(html: &str) -> (Document, bool) {
    parse_within(html, READ_WITHIN)
}

fn parse_within(html: &str, within: Duration) -> (Document, bool) {
    let begun = Instant::now();
    // Without scripts, what is written for readers without them is part of the page.
    let tree_builder = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let mut parser = parse_document(Document::default(), ParseOpts { tree_builder, ..ParseOpts::default() });
    let mut rest = html;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.floor_char_boundary(PIECE_SIZE_BYTES.min(rest.len())));
        parser.process(StrTendril::from(piece));
        rest = behind;
        let document = &parser.tokenizer.sink.sink;
        if document.tree.len() > NODES_MAX || depth(document) > DEPTH_MAX || begun.elapsed() > within {
            break;
        }
    }
    (parser.finish(), !rest.is_empty())
}

/// How many elements are one inside the other where the page has been read to.
fn depth(document: &Document) -> usize {
    std::iter::successors(Some(document.root()), |node| node.last_child()).take(DEPTH_MAX + 2).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_whole() {
        let html = format!("<p>Grüße</p>{}<p id=end>✓</p>", "<p>ü</p>".repeat(2000));
        let (document, cut) = parse(&html);
        assert!(!cut);
        assert_eq!(document.select("p").length(), 2002);
        assert_eq!(&*document.select("#end").text(), "✓");
        let (document, _) = parse("<noscript><p>for readers</p></noscript>");
        assert_eq!(&*document.select("p").text(), "for readers");
    }

    #[test]
    fn what_grows_without_measure_is_cut_off() {
        let unclosed: String = (0..500).map(|at| format!("<font a={at}>")).collect();
        for html in [
            "<div>".repeat(400_000),
            "<b>".repeat(600_000),
            format!("<p>{unclosed}{}", "<p>x</p>".repeat(200_000)),
            (0..100_000).map(|at| format!("<p><font a={at}>x</p>")).collect(),
            "<table>".repeat(250_000),
            "<p>x".repeat(500_000),
        ] {
            let (document, cut) = parse(&html);
            assert!(cut, "{}", &html[..40]);
            assert!(document.tree.len() < 20 * NODES_MAX, "{}: {}", &html[..40], document.tree.len());
        }
    }

    #[test]
    fn what_takes_too_long_is_cut_off() {
        let attributes: String = (0..150_000).map(|at| format!("a{at} ")).collect();
        let (document, cut) = parse_within(&format!("<p>begin</p><p {attributes}>end</p>"), Duration::from_millis(200));
        assert!(cut);
        assert_eq!(&*document.select("p").text(), "begin");
    }
}
