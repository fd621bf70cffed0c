//! `POST scrape-url-enhanced`, `scrape-website`, `scrape-screenshot`, `search` and `extract-brand-styles`: pages of the
//! web for a model to work from.
//!
//! Where a scraping service is configured, it reads them; else this server does, as far as that goes without a browser:
//! public pages only, no scripts, no pictures, no search. What cannot be done is said; nothing is made up.

use std::time::Duration;

use axum::{
    Json,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{
    caller::Browser,
    wire::{
        ExtractBrandStylesRequest, ExtractBrandStylesResponse, PageMetadata, RawPage, ScrapeScreenshotResponse,
        ScrapeUrlRequest, ScrapeUrlResponse, ScrapeWebsiteRequest, ScrapeWebsiteResponse, ScrapedPage, SearchRequest,
        SearchResponse, SearchResult, StructuredPage,
    },
};
use crate::{
    codegen::{
        page_article::{self, Article},
        page_styles::{self, Styles},
    },
    http::legacy::{
        body::{Fields, Lenient},
        refusal::Refusal,
    },
    project::{
        ProjectError,
        page_reader::{PageAddress, PageError, PageKind, WebPage},
        scraper::{Found, Scraped, ScraperError, Wish},
    },
};

/// Pages read at the same time, over all callers. Taking one apart costs some tenths of a second of a processor.
pub(crate) const PAGES_MAX: usize = 4;
/// How long somebody waits for a page to be taken apart. Large ones take a second.
const APART_WITHIN: Duration = Duration::from_secs(20);
/// When to try again if so many are, in milliseconds.
const RETRY_AFTER_MS: u64 = 2000;
/// What reads pages where no service does.
const OWN_SCRAPER: &str = "cobuild";
/// Longest query of a search, in bytes.
const QUERY_SIZE_BYTES_MAX: usize = 500;

const NO_SCREENSHOTS: &str =
    "This server takes no screenshots: that needs a browser, and no scraping service is configured (FIRECRAWL_API_KEY)";
const NO_SEARCH: &str = "This server searches nothing: no scraping service is configured (FIRECRAWL_API_KEY)";
const NO_TEXT: &str = "The page has no text that can be read without running its scripts, and this server runs none";
const TANGLED: &str = "The page is too tangled to be taken apart";
const NO_STYLES: &str = "The page's style sheets state no colours or fonts";

pub(crate) async fn scrape_url(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let ScrapeUrlRequest { url } = Fields::read_or_empty(request).await?.read_leniently();
    let address = address(url)?;
    let wish = Wish { markdown: true, screenshot: true, ..Wish::default() };
    let Read { page, scraper } = read(&browser, &address, wish).await?;
    let Scraped { address: url, title, description, markdown, screenshot, .. } = &page;
    let content = format!("Title: {title}\nDescription: {description}\nURL: {url}\n\nMain Content:\n{markdown}");
    let metadata = metadata(&page, scraper, content.chars().count());
    let body = ScrapeUrlResponse {
        success: true,
        url: url.clone(),
        screenshot: screenshot.clone(),
        structured: StructuredPage {
            title: title.clone(),
            description: description.clone(),
            content: markdown.clone(),
            url: url.clone(),
            screenshot: screenshot.clone(),
        },
        metadata,
        message: message(scraper).to_owned(),
        content,
    };
    Ok(Json(body).into_response())
}

pub(crate) async fn scrape_website(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let asked: ScrapeWebsiteRequest = Fields::read_or_empty(request).await?.read_leniently();
    let address = address(asked.url)?;
    let (formats, options) = (formats(asked.formats)?, options(asked.options)?);
    let wants = |format: &str| formats.iter().any(|wanted| wanted.eq_ignore_ascii_case(format));
    let wish = Wish {
        markdown: wants("markdown"),
        html: wants("html") || wants("rawHtml"),
        links: wants("links"),
        screenshot: wants("screenshot") || wants("screenshot@fullPage"),
        everything: options.get("onlyMainContent").and_then(Value::as_bool) == Some(false),
        styles: false,
    };
    let Read { page, scraper } = read(&browser, &address, wish).await?;
    let content = if page.markdown.is_empty() { page.html.clone() } else { page.markdown.clone() };
    let metadata = PageMetadata {
        title: Some(page.title.clone()),
        description: Some(page.description.clone()),
        source_url: Some(page.address.clone()),
        ..metadata(&page, scraper, content.chars().count())
    };
    let Scraped { title, description, markdown, html, links, screenshot, .. } = page;
    let raw = RawPage { markdown, html, metadata, screenshot, links };
    let RawPage { markdown, html, metadata, screenshot, links } = raw.clone();
    let data = ScrapedPage { title, description, content, markdown, html, metadata, screenshot, links, raw };
    let body = ScrapeWebsiteResponse { success: true, data, message: message(scraper).to_owned() };
    Ok(Json(body).into_response())
}

pub(crate) async fn scrape_screenshot(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let ScrapeUrlRequest { url } = Fields::read_or_empty(request).await?.read_leniently();
    let address = address(url)?;
    if browser.call.state.scraper.is_none() {
        return Err(cannot(NO_SCREENSHOTS));
    }
    let wish = Wish { screenshot: true, everything: true, ..Wish::default() };
    let Read { page, scraper } = read(&browser, &address, wish).await?;
    let screenshot = page.screenshot.as_deref().ok_or_else(|| cannot("The scraping service took no screenshot"))?;
    let metadata = PageMetadata {
        title: Some(page.title.clone()),
        source_url: Some(page.address.clone()),
        ..metadata(&page, scraper, 0)
    };
    Ok(Json(ScrapeScreenshotResponse { success: true, screenshot: screenshot.to_owned(), metadata }).into_response())
}

pub(crate) async fn search(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let SearchRequest { query } = Fields::read_or_empty(request).await?.read_leniently();
    let query = query.0.map(|query| query.trim().to_owned()).filter(|query| !query.is_empty());
    let query = query.ok_or_else(|| Refusal::bad_request("Query is required"))?;
    if query.len() > QUERY_SIZE_BYTES_MAX {
        return Err(Refusal::bad_request(format!("A query has at most {QUERY_SIZE_BYTES_MAX} bytes")));
    }
    browser.call.may_change()?;
    let scraper = browser.call.state.scraper.as_ref().ok_or_else(|| cannot(NO_SEARCH))?;
    let _permit = permit(&browser)?;
    let found = scraper.search(&query).await.map_err(of_service)?;
    let results = found.into_iter().map(|Found { address, title, description, markdown, screenshot }| SearchResult {
        url: address,
        title,
        description,
        screenshot,
        markdown,
    });
    Ok(Json(SearchResponse { results: results.collect() }).into_response())
}

pub(crate) async fn extract_styles(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let ExtractBrandStylesRequest { url } = Fields::read_or_empty(request).await?.read_leniently();
    let address = address(url)?;
    browser.call.may_change()?;
    let permit = permit(&browser)?;
    let Styles { name, guidelines } = match &browser.call.state.scraper {
        Some(scraper) => {
            let page = scraper.scrape(&address, Wish { styles: true, ..Wish::default() }).await.map_err(of_service)?;
            let guidelines = page.styles.ok_or_else(|| cannot("The scraping service found no styles"))?;
            Styles { name: guidelines["name"].as_str().unwrap_or(&page.title).to_owned(), guidelines }
        }
        None => own_styles(&browser, &address, permit).await?,
    };
    let url = address.as_str().to_owned();
    let style_name = if name.is_empty() { url.clone() } else { name };
    let guidelines = guidelines.as_object().cloned().unwrap_or_default();
    let body = ExtractBrandStylesResponse { success: true, url, style_name, guidelines };
    Ok(Json(body).into_response())
}

/// A page, and who read it.
struct Read {
    page: Scraped,
    scraper: &'static str,
}

/// Reads a page by whatever means there are.
async fn read(browser: &Browser, address: &PageAddress, wish: Wish) -> Result<Read, Refusal> {
    browser.call.may_change()?;
    let permit = permit(browser)?;
    if let Some(scraper) = &browser.call.state.scraper {
        let page = scraper.scrape(address, wish).await.map_err(of_service)?;
        return Ok(Read { page, scraper: scraper.name() });
    }
    let WebPage { address, text, cut } = fetch(browser, address, PageKind::Html).await?;
    let url = address.as_str().to_owned();
    let article = apart(permit, move || page_article::read(&text, &url, wish.everything)).await?;
    let Article { title, description, markdown, html, links, cut: article_is_cut } =
        article.ok_or_else(|| cannot(NO_TEXT))?;
    let page = Scraped {
        address: address.as_str().to_owned(),
        title,
        description,
        markdown: if wish.markdown { markdown } else { String::new() },
        html: if wish.html { html } else { String::new() },
        links: if wish.links { links } else { Vec::new() },
        cut: cut || article_is_cut,
        ..Scraped::default()
    };
    Ok(Read { page, scraper: OWN_SCRAPER })
}

/// What a page's own style sheets state. Those that cannot be read are left out.
async fn own_styles(browser: &Browser, address: &PageAddress, permit: OwnedSemaphorePermit) -> Result<Styles, Refusal> {
    let WebPage { address, text, .. } = fetch(browser, address, PageKind::Html).await?;
    let page = page_styles::Page { html: text, address: address.as_str().to_owned(), sheets: Vec::new() };
    let look = move || (page_styles::sheets(&page.html, &page.address), page);
    let (permit, (found, mut page)) = apart_keeping(permit, look).await?;
    let addresses: Vec<PageAddress> = found.iter().filter_map(|address| address.parse().ok()).collect();
    let sheets = addresses.iter().map(|address| fetch(browser, address, PageKind::Stylesheet));
    let sheets = futures_util::future::join_all(sheets).await;
    page.sheets = sheets.into_iter().filter_map(|sheet| Some(sheet.ok()?.text)).collect();
    apart(permit, move || page_styles::styles(&page)).await?.ok_or_else(|| cannot(NO_STYLES))
}

async fn fetch(browser: &Browser, address: &PageAddress, kind: PageKind) -> Result<WebPage, Refusal> {
    let reader = &browser.call.state.registry.parts().pages;
    reader.read(address, kind).await.map_err(|error| match error {
        PageError::Refused(why) => Refusal::bad_request(why),
        PageError::Unreadable(why) => cannot(why),
    })
}

/// Works on a page beside the other requests. The permit is kept as long as that takes, whoever still waits for it.
async fn apart<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    apart_keeping(permit, work).await.map(|(_, result)| result)
}

async fn apart_keeping<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<(OwnedSemaphorePermit, T), Refusal> {
    let working = tokio::task::spawn_blocking(move || (permit, work()));
    let worked = timeout(APART_WITHIN, working).await.map_err(|_| cannot(TANGLED))?;
    worked.map_err(|error| {
        tracing::error!(%error, "a page could not be taken apart");
        ProjectError::Internal.into()
    })
}

fn permit(browser: &Browser) -> Result<OwnedSemaphorePermit, Refusal> {
    let permit = std::sync::Arc::clone(&browser.call.state.page_reads).try_acquire_owned();
    permit.map_err(|_| Refusal::Later("Too many pages are being read; try again".into(), RETRY_AFTER_MS))
}

/// The address of a page; people leave the scheme out.
fn address(url: Lenient<String>) -> Result<PageAddress, Refusal> {
    let url = url.0.map(|url| url.trim().to_owned()).filter(|url| !url.is_empty());
    let url = url.ok_or_else(|| Refusal::bad_request("URL is required"))?;
    let url = if url.contains("://") { url } else { format!("https://{url}") };
    url.parse().map_err(|error: PageError| Refusal::bad_request(error.to_string()))
}

/// What is wanted of a page: Markdown and HTML unless something else is said.
fn formats(formats: Option<Value>) -> Result<Vec<String>, Refusal> {
    let Some(formats) = formats else { return Ok(vec!["markdown".into(), "html".into()]) };
    let formats = formats
        .as_array()
        .and_then(|formats| formats.iter().map(|format| format.as_str().map(str::to_owned)).collect());
    formats.ok_or_else(|| Refusal::bad_request("formats must be a list of names"))
}

fn options(options: Option<Value>) -> Result<Map<String, Value>, Refusal> {
    match options {
        None => Ok(Map::new()),
        Some(Value::Object(options)) => Ok(options),
        Some(_) => Err(Refusal::bad_request("options must be an object")),
    }
}

fn metadata(page: &Scraped, scraper: &str, content_chars: usize) -> PageMetadata {
    PageMetadata {
        scraper: scraper.to_owned(),
        timestamp: jiff::Timestamp::now().to_string(),
        content_length: content_chars,
        cached: page.cached,
        truncated: page.cut,
        title: None,
        description: None,
        source_url: None,
    }
}

fn message(scraper: &str) -> &'static str {
    if scraper == OWN_SCRAPER {
        "The page's text as this server reads it: without running its scripts, and without a screenshot"
    } else {
        "The page as the scraping service reads it"
    }
}

/// A wish that cannot be fulfilled, whoever asks.
fn cannot(why: impl Into<String>) -> Refusal {
    Refusal::Detail(StatusCode::UNPROCESSABLE_ENTITY, why.into())
}

fn of_service(error: ScraperError) -> Refusal {
    match error {
        ScraperError::Refused(why) => Refusal::bad_request(why),
        ScraperError::Unreadable(why) => cannot(why),
        ScraperError::Busy { retry_after_ms } => Refusal::Later(error.to_string(), retry_after_ms),
        ScraperError::Failed(why) => Refusal::Detail(StatusCode::BAD_GATEWAY, why),
    }
}
