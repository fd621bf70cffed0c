//! What is asked of a scraping service: a browser elsewhere that reads pages as people see them, takes pictures of them
//! and searches the web. Servers without one read pages by themselves.

use std::fmt;

use async_trait::async_trait;
use serde_json::Value;

use super::page_reader::PageAddress;

/// A scraping service.
#[async_trait]
pub trait Scraper: Send + Sync + fmt::Debug + 'static {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Reads a page. Dropping the future gives it up.
    async fn scrape(&self, address: &PageAddress, wish: Wish) -> Result<Scraped, ScraperError>;

    /// Searches the web and reads what it finds.
    async fn search(&self, query: &str) -> Result<Vec<Found>, ScraperError>;
}

/// What is wanted of a page, besides who wrote it and what it is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// Its content as Markdown.
    pub markdown: bool,
    /// Its content as HTML.
    pub html: bool,
    /// Where it leads.
    pub links: bool,
    /// A picture of what is seen first.
    pub screenshot: bool,
    /// Its colours, fonts and pictures.
    pub styles: bool,
    /// Navigation, headers and footers, too.
    pub everything: bool,
}

/// A page as a service read it. What was not asked for, or not found, is empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scraped {
    /// Where it was found.
    pub address: String,
    /// Its title.
    pub title: String,
    /// What it says about itself.
    pub description: String,
    /// Its content as Markdown.
    pub markdown: String,
    /// Its content as HTML. Not to be shown on an origin that matters.
    pub html: String,
    /// Where it leads.
    pub links: Vec<String>,
    /// Where a picture of it is.
    pub screenshot: Option<String>,
    /// Its colours, fonts and pictures, as the service writes them.
    pub styles: Option<Value>,
    /// Whether it was read before, for somebody else.
    pub cached: bool,
    /// Whether something was too long and is not here whole.
    pub cut: bool,
}

/// A page that a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub address: String,
    /// Its title.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// Its content.
    pub markdown: String,
    /// Where a picture of it is.
    pub screenshot: Option<String>,
}

/// Why a service gave nothing. Each is a sentence that gives no key and no address away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScraperError {
    /// The address is none that is gone to.
    #[error("{0}")]
    Refused(String),
    /// There is no page, or none that the service can read.
    #[error("{0}")]
    Unreadable(String),
    /// Too many requests.
    #[error("the scraping service asks to wait")]
    Busy {
        /// How long, in milliseconds.
        retry_after_ms: u64,
    },
    /// The service itself does not work, or not with this key.
    #[error("{0}")]
    Failed(String),
}
