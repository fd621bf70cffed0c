//! The calls by which browser clients have pages of the web read. Described by the types that are read and written.

use schemars::JsonSchema;
use serde_json::json;

use super::{Document, Operation};
use crate::http::legacy::browser::wire::{
    BrowserError, ExtractBrandStylesRequest, ExtractBrandStylesResponse, ScrapeScreenshotResponse, ScrapeUrlRequest,
    ScrapeUrlResponse, ScrapeWebsiteRequest, ScrapeWebsiteResponse, SearchRequest, SearchResponse,
};

const TAG: &str = "Pages of the Web";

/// These clients are switched off.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it only describes")]
pub(super) struct NoSuchPath {
    detail: String,
}

/// A refusal, possibly one that comes before it is known for whom the request is.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "either of two types, which are what is written")]
pub(super) enum AnyRefusal {
    /// As browser clients read it.
    Browser(BrowserError),
    /// As the others do.
    Detail(NoSuchPath),
}

pub(super) fn describe(document: &mut Document) {
    let metadata = || {
        json!({ "scraper": "cobuild", "timestamp": "2026-11-22T05:25:31.676129Z", "contentLength": 21, "cached": false,
            "truncated": false })
    };
    document.describe("post", "/api/scrape-url-enhanced", |op| {
        op.is(TAG, "Read a page for a prompt")
            .details(
                "By the configured scraping service; else by this server itself, which runs no scripts and takes no \
                 pictures. Nothing is made up.",
            )
            .takes::<ScrapeUrlRequest>(json!({ "url": "https://example.com/" }))
            .gives::<ScrapeUrlResponse>(
                200,
                "What the page says.",
                json!({ "success": true, "url": "https://example.com/", "content": "Title: Example Domain\n…",
                    "screenshot": null,
                    "structured": { "title": "Example Domain", "description": "", "content": "…",
                        "url": "https://example.com/", "screenshot": null },
                    "metadata": metadata(), "message": "…" }),
            );
        refusals(op);
    });
    document.describe("post", "/api/scrape-website", |op| {
        let raw =
            json!({ "markdown": "…", "html": "", "metadata": metadata(), "screenshot": null, "links": [] });
        op.is(TAG, "Read a page in several formats")
            .takes::<ScrapeWebsiteRequest>(json!({ "url": "https://example.com/", "formats": ["markdown"] }))
            .gives::<ScrapeWebsiteResponse>(
                200,
                "What was wanted; the rest is empty.",
                json!({ "success": true, "message": "…", "data": { "title": "Example Domain", "description": "",
                    "content": "…", "markdown": "…", "html": "", "metadata": metadata(), "screenshot": null, "links": [],
                    "raw": raw } }),
            );
        refusals(op);
    });
    document.describe("post", "/api/scrape-screenshot", |op| {
        op.is(TAG, "Take a picture of a page")
            .details("Only with a scraping service; this server has no browser and says so with 422.")
            .takes::<ScrapeUrlRequest>(json!({ "url": "https://example.com/" }))
            .gives::<ScrapeScreenshotResponse>(
                200,
                "Where the picture is.",
                json!({ "success": true, "screenshot": "https://example.com/picture.png", "metadata": metadata() }),
            );
        refusals(op);
    });
    document.describe("post", "/api/search", |op| {
        op.is(TAG, "Search the web")
            .details("Only with a scraping service; without one, 422.")
            .takes::<SearchRequest>(json!({ "query": "landing pages of bakeries" }))
            .gives::<SearchResponse>(
                200,
                "What was found, five pages at most.",
                json!({ "results": [{ "url": "https://example.com/", "title": "Example Domain", "description": "",
                    "screenshot": null, "markdown": "…" }] }),
            );
        refusals(op);
    });
    document.describe("post", "/api/extract-brand-styles", |op| {
        op.is(TAG, "Colours and fonts of a page")
            .details("By the scraping service; else what the page's own style sheets state, and nothing else.")
            .takes::<ExtractBrandStylesRequest>(json!({ "url": "https://example.com/" }))
            .gives::<ExtractBrandStylesResponse>(
                200,
                "What it looks like.",
                json!({ "success": true, "url": "https://example.com/", "styleName": "Example Domain",
                    "guidelines": { "colors": { "background": "#eee" }, "palette": ["#eee"], "fonts": [] } }),
            );
        refusals(op);
    });
}

fn refusals(op: &mut Operation<'_>) {
    op.fails_with::<BrowserError>("400", "Something is missing, or the address is none this server goes to.");
    op.fails_with::<NoSuchPath>("404", "Browser clients are switched off (`LEGACY_DIALECT=engine`).");
    op.fails_with::<BrowserError>("422", "The page cannot be read, or this server cannot do that.");
    op.fails_with::<BrowserError>("429", "Too many pages at once.");
    op.fails_with::<BrowserError>("502", "The scraping service does not work.");
    op.fails_with::<AnyRefusal>("default", "Any other refusal.");
}
