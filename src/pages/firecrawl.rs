//! Firecrawl, a scraping service: its own or one that somebody runs themselves. Version 2 of its API
//! (<https://docs.firecrawl.dev/api-reference/v2-introduction>); its words are known in this file only.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use reqwest::{Client, Response, StatusCode, Url, header::RETRY_AFTER, redirect::Policy};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{NOT_PUBLIC, USER_AGENT, WebPages};
use crate::{
    project::{
        page_reader::PageAddress,
        scraper::{Found, Scraped, Scraper, ScraperError, Wish},
    },
    secret::Secret,
    tls,
};

/// Where the service is when nothing else is said.
pub const FIRECRAWL_URL_DEFAULT: &str = "https://api.firecrawl.dev";
/// How long the service may take over a page; it ends by itself then.
const PAGE_WITHIN: Duration = Duration::from_secs(30);
/// Longest time for an answer: less than one of ours may take to begin.
const ANSWER_WITHIN: Duration = Duration::from_secs(45);
/// How long a page may paint before it is looked at, in milliseconds.
const PAINTED_AFTER_MS: u64 = 2000;
/// A page that was read within this time is not read again, in milliseconds: an hour.
const FRESH_MS: u64 = 3_600_000;
/// Largest answer: a search brings five whole pages.
const ANSWER_SIZE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest text of a page that is passed on, in characters: all of it goes into a prompt.
const TEXT_CHARS_MAX: usize = 20_000;
/// Longest title or description, in characters.
const LINE_CHARS_MAX: usize = 1000;
/// Most links that are passed on.
const LINKS_MAX: usize = 100;
/// Longest address that is passed on.
const ADDRESS_LENGTH_MAX: usize = 2048;
/// Largest set of styles that is passed on, as text.
const STYLES_SIZE_BYTES_MAX: usize = 32 * 1024;
/// Pages that a search finds.
const FOUND_MAX: usize = 5;
/// When to try again if the service does not say, in milliseconds.
const RETRY_AFTER_MS: u64 = 10_000;

/// The service.
#[derive(Debug)]
pub struct Firecrawl {
    client: Client,
    base: Url,
    /// One's own may do without.
    key: Option<Secret>,
    /// Knows which addresses are nobody's business.
    pages: Arc<WebPages>,
}

/// Why the service cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FirecrawlError {
    /// TLS cannot be set up on this machine.
    #[error(transparent)]
    Tls(#[from] reqwest::Error),
    /// That is no address.
    #[error("FIRECRAWL_BASE_URL is no address such as {FIRECRAWL_URL_DEFAULT}")]
    Address,
}

impl Firecrawl {
    /// The service at `base_url`, [`FIRECRAWL_URL_DEFAULT`] if there is none.
    ///
    /// # Errors
    ///
    /// [`FirecrawlError`].
    pub fn new(base_url: Option<&str>, key: Option<Secret>, pages: Arc<WebPages>) -> Result<Self, FirecrawlError> {
        let base = base_url.unwrap_or(FIRECRAWL_URL_DEFAULT).trim_end_matches('/');
        let base = Url::parse(&format!("{base}/")).map_err(|_| FirecrawlError::Address)?;
        // A service on this machine is never reached through a proxy, and the key goes nowhere else.
        let builder = tls::client_builder().user_agent(USER_AGENT).timeout(ANSWER_WITHIN).redirect(Policy::none());
        let is_here = matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let client = if is_here { builder.no_proxy() } else { builder }.build()?;
        Ok(Self { client, base, key, pages })
    }

    async fn ask<T: DeserializeOwned>(&self, what: &str, body: &Value) -> Result<T, ScraperError> {
        let url = self.base.join(&format!("v2/{what}")).map_err(|_| failed("has no such address"))?;
        let mut request = self.client.post(url).json(body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        let answer = request.send().await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let body = whole(answer).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| {
                tracing::warn!(%error, "an answer of Firecrawl could not be read");
                failed("gives answers that this server does not understand")
            });
        }
        let said: Said = serde_json::from_slice(&body).unwrap_or_default();
        tracing::warn!(status = status.as_u16(), code = said.code.as_deref().unwrap_or_default(), "Firecrawl refuses");
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => failed("refuses FIRECRAWL_API_KEY"),
            StatusCode::PAYMENT_REQUIRED => failed("has no credits left"),
            StatusCode::TOO_MANY_REQUESTS => {
                ScraperError::Busy { retry_after_ms: retry_after.map_or(RETRY_AFTER_MS, |seconds| seconds * 1000) }
            }
            StatusCode::REQUEST_TIMEOUT => ScraperError::Unreadable("the page took too long".into()),
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
                ScraperError::Unreadable("the scraping service does not read this".into())
            }
            // It says so when the site behind an address does not work.
            _ if said.code.as_deref().is_some_and(|code| code.starts_with("SCRAPE_")) => {
                ScraperError::Unreadable("the page could not be read".into())
            }
            _ => failed(&format!("answers {}", status.as_u16())),
        })
    }

    /// Fails for what is not public. The service may stand in a network of ours, and would go there for anybody.
    async fn check(&self, address: &PageAddress) -> Result<(), ScraperError> {
        let refused =
            |why: &str| Err(ScraperError::Refused(format!("the page {} could not be read: {why}", address.as_str())));
        let Ok(url) = Url::parse(address.as_str()) else { return refused("its address is not valid") };
        if !self.pages.reach.includes(&url) {
            return refused(NOT_PUBLIC);
        }
        match self.pages.reach.addresses(url.host_str().unwrap_or_default()).await {
            Ok(addresses) if addresses.is_empty() => refused(NOT_PUBLIC),
            // A name that leads nowhere from here may lead somewhere from there: behind a proxy there is no DNS.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

#[async_trait]
impl Scraper for Firecrawl {
    fn name(&self) -> &'static str {
        "firecrawl"
    }

    async fn scrape(&self, address: &PageAddress, wish: Wish) -> Result<Scraped, ScraperError> {
        self.check(address).await?;
        let screenshot = json!({ "type": "screenshot", "fullPage": false });
        let formats = [
            (wish.markdown, json!("markdown")),
            (wish.html, json!("html")),
            (wish.links, json!("links")),
            (wish.screenshot, screenshot),
            (wish.styles, json!("branding")),
        ];
        let formats: Vec<Value> = formats.into_iter().filter(|(wanted, _)| *wanted).map(|(_, format)| format).collect();
        let body = json!({
            "url": address.as_str(),
            "formats": formats,
            "onlyMainContent": !wish.everything,
            "waitFor": PAINTED_AFTER_MS,
            "timeout": u64::try_from(PAGE_WITHIN.as_millis()).expect("invariant: a minute fits"),
            "blockAds": true,
            "maxAge": FRESH_MS,
        });
        let Answer { data } = self.ask::<Answer<Document>>("scrape", &body).await?;
        let data = data.ok_or_else(|| ScraperError::Unreadable("the page could not be read".into()))?;
        if let Some(status) = data.metadata.status_code.filter(|status| *status >= 400) {
            return Err(ScraperError::Unreadable(format!("the page answers {status}")));
        }
        Ok(data.scraped(address))
    }

    async fn search(&self, query: &str) -> Result<Vec<Found>, ScraperError> {
        let body = json!({
            "query": query,
            "limit": FOUND_MAX,
            "timeout": u64::try_from(PAGE_WITHIN.as_millis()).expect("invariant: a minute fits"),
            "scrapeOptions": { "formats": ["markdown", { "type": "screenshot", "fullPage": false }],
                "onlyMainContent": true, "maxAge": FRESH_MS },
        });
        let Answer { data } = self.ask::<Answer<Results>>("search", &body).await?;
        let found = data.unwrap_or_default().web.into_iter().filter_map(Document::found);
        Ok(found.take(FOUND_MAX).collect())
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Option<T>,
}

#[derive(Deserialize, Default)]
struct Said {
    code: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Results {
    web: Vec<Document>,
}

/// A page, and what a search found: there title and address stand outside.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Document {
    url: Option<String>,
    title: Option<String>,
    description: Option<String>,
    markdown: Option<String>,
    html: Option<String>,
    links: Option<Vec<String>>,
    screenshot: Option<String>,
    branding: Option<Value>,
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    /// A text, or a list of them where a page has several.
    title: Value,
    description: Value,
    status_code: Option<u16>,
    #[serde(rename = "sourceURL")]
    source_url: Option<String>,
    url: Option<String>,
    cache_state: Option<String>,
}

impl Document {
    fn scraped(self, address: &PageAddress) -> Scraped {
        let Self { markdown, html, links, screenshot, branding, metadata, .. } = self;
        let (markdown, text_is_cut) = cut(markdown.unwrap_or_default(), TEXT_CHARS_MAX);
        let (html, html_is_cut) = cut(html.unwrap_or_default(), TEXT_CHARS_MAX);
        let found_at = metadata.url.or(metadata.source_url).and_then(web_address);
        Scraped {
            address: found_at.unwrap_or_else(|| address.as_str().to_owned()),
            title: line(&metadata.title),
            description: line(&metadata.description),
            markdown,
            html,
            links: links.unwrap_or_default().into_iter().filter_map(web_address).take(LINKS_MAX).collect(),
            screenshot: screenshot.and_then(web_address),
            styles: branding.filter(|styles| styles.is_object() && styles.to_string().len() <= STYLES_SIZE_BYTES_MAX),
            cached: metadata.cache_state.as_deref() == Some("hit"),
            cut: text_is_cut || html_is_cut,
        }
    }

    fn found(self) -> Option<Found> {
        let address = self.url.or(self.metadata.url).or(self.metadata.source_url).and_then(web_address)?;
        let title = self.title.map_or_else(|| line(&self.metadata.title), |title| cut(title, LINE_CHARS_MAX).0);
        let description = self.description.map(|text| cut(text, LINE_CHARS_MAX).0);
        Some(Found {
            title: if title.is_empty() { address.clone() } else { title },
            address,
            description: description.unwrap_or_else(|| line(&self.metadata.description)),
            markdown: cut(self.markdown.unwrap_or_default(), TEXT_CHARS_MAX).0,
            screenshot: self.screenshot.and_then(web_address),
        })
    }
}

/// One line of a page's metadata.
fn line(value: &Value) -> String {
    let text = value.as_str().or_else(|| value.get(0)?.as_str()).unwrap_or_default();
    cut(text.to_owned(), LINE_CHARS_MAX).0
}

/// A text of at most so many characters, and whether it was longer.
fn cut(mut text: String, chars_max: usize) -> (String, bool) {
    let end = text.char_indices().nth(chars_max).map(|(at, _)| at);
    if let Some(end) = end {
        text.truncate(end);
    }
    (text, end.is_some())
}

/// An address of the web that pages may show.
fn web_address(text: String) -> Option<String> {
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    (is_web && text.len() <= ADDRESS_LENGTH_MAX && !text.contains(|c: char| c.is_control())).then_some(text)
}

async fn whole(answer: Response) -> Result<Vec<u8>, ScraperError> {
    let mut bytes = Vec::new();
    let mut chunks = answer.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.map_err(|error| unreachable(&error))?);
        if bytes.len() > ANSWER_SIZE_BYTES_MAX {
            return Err(failed("answers with more than this server takes"));
        }
    }
    Ok(bytes)
}

fn unreachable(error: &reqwest::Error) -> ScraperError {
    tracing::warn!(error = %error.to_string(), "Firecrawl could not be asked");
    failed(if error.is_timeout() { "took too long" } else { "cannot be reached" })
}

fn failed(why: &str) -> ScraperError {
    ScraperError::Failed(format!("the scraping service {why}"))
}
