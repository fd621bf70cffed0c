//! Reads web pages for models to imitate, from the public internet and nowhere else.
//!
//! The address is a stranger's word. So every name is resolved here and only public addresses are connected to; every
//! redirect is checked like the first address; nothing of the server – cookies, keys, proxies – goes along; and what comes
//! back is bounded in time and size.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt;
use reqwest::{
    Client, Response, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::CONTENT_TYPE,
    redirect::Policy,
};

use crate::{
    project::page_reader::{PageAddress, PageError, PageReader},
    public_address,
};

/// Longest time for a page, redirects included: somebody waits for it.
const READ_WITHIN: Duration = Duration::from_secs(15);
/// How much of a page is read; more is not looked at anyway.
const PAGE_SIZE_BYTES_MAX: usize = 1024 * 1024;
/// Most redirects: to https, to www, to a language.
const REDIRECTS_MAX: usize = 4;
/// Ports that pages are on. Others are not web sites but somebody's services.
const PORTS: [u16; 2] = [80, 443];

/// Which addresses may be connected to.
type Admits = fn(IpAddr) -> bool;

/// Reads pages over HTTP.
#[derive(Debug)]
pub struct WebPages {
    client: Client,
    admits: Admits,
    ports: &'static [u16],
}

impl WebPages {
    /// A reader of public pages.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up on this machine.
    pub fn new() -> Result<Self, reqwest::Error> {
        Self::admitting(public_address::is_public, &PORTS)
    }

    fn admitting(admits: Admits, ports: &'static [u16]) -> Result<Self, reqwest::Error> {
        let policy = Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS_MAX {
                attempt.error("too many redirects")
            } else if is_admitted(attempt.url(), admits, ports) {
                attempt.follow()
            } else {
                attempt.error(NOT_PUBLIC)
            }
        });
        let client = Client::builder()
            .user_agent(concat!("cobuild/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(policy)
            .dns_resolver(Arc::new(CheckedResolver { admits }))
            .timeout(READ_WITHIN)
            .build()?;
        Ok(Self { client, admits, ports })
    }
}

const NOT_PUBLIC: &str = "it is not a page of the public internet";

#[async_trait]
impl PageReader for WebPages {
    async fn read(&self, address: &PageAddress) -> Result<String, PageError> {
        let refuse = |why: &str| PageError(format!("the page {} could not be read: {why}", address.as_str()));
        let url = Url::parse(address.as_str()).map_err(|_| refuse("its address is not valid"))?;
        if !is_admitted(&url, self.admits, self.ports) {
            return Err(refuse(NOT_PUBLIC));
        }
        let answer = self.client.get(url).send().await.map_err(|error| refuse(&reason(&error)))?;
        if !answer.status().is_success() {
            return Err(refuse(&format!("it answers {}", answer.status().as_u16())));
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/html") && !kind.starts_with("application/xhtml") {
            return Err(refuse("it is not HTML"));
        }
        body(answer).await.map_err(|error| refuse(&reason(&error)))
    }
}

/// As much of the body as is looked at.
async fn body(answer: Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    let mut chunks = answer.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() >= PAGE_SIZE_BYTES_MAX {
            bytes.truncate(PAGE_SIZE_BYTES_MAX);
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a URL may be asked for. Addresses in place of a name never reach the resolver, so they are judged here.
fn is_admitted(url: &Url, admits: Admits, ports: &[u16]) -> bool {
    let Some(host) = url.host_str() else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_web = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    let port = url.port_or_known_default().is_some_and(|port| ports.is_empty() || ports.contains(&port));
    is_web && port && bare.parse::<IpAddr>().map_or(true, admits)
}

/// What went wrong, without addresses.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let sentence = error.to_string();
        if sentence == NOT_PUBLIC || sentence == "too many redirects" {
            return sentence;
        }
        cause = error.source();
    }
    let sentence = if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "nothing answers there"
    } else {
        "it broke off"
    };
    sentence.to_owned()
}

/// Resolves names, and keeps only the addresses that may be connected to.
#[derive(Debug)]
struct CheckedResolver {
    admits: Admits,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let admits = self.admits;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let admitted: Vec<SocketAddr> = found.filter(|address| admits(address.ip())).collect();
            if admitted.is_empty() {
                return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, NOT_PUBLIC).into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, response::Redirect, routing::get};

    use super::*;

    /// A web site on this machine: its address, without a slash at the end.
    async fn site() -> String {
        let html = |text: &'static str| ([("content-type", "text/html; charset=utf-8")], text);
        let router = Router::new()
            .route("/", get(move || async move { html("<h1>Hi</h1>") }))
            .route("/moved", get(|| async { Redirect::temporary("/") }))
            .route("/away", get(|| async { Redirect::temporary("http://10.0.0.1/") }))
            .route("/loop", get(|| async { Redirect::temporary("/loop") }))
            .route("/json", get(|| async { ([("content-type", "application/json")], "{}") }))
            .route("/gone", get(|| async { StatusCode::NOT_FOUND }))
            .route("/long", get(|| async { ([("content-type", "text/html")], "x".repeat(PAGE_SIZE_BYTES_MAX * 2)) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    async fn read(pages: &WebPages, address: &str) -> Result<String, String> {
        pages.read(&address.parse().expect("an address")).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn this_machine_and_its_networks_are_out_of_reach() {
        let site = site().await;
        let pages = WebPages::new().expect("a client");
        let port = site.rsplit(':').next().expect("a port").to_owned();
        for address in [
            site.clone(),
            format!("http://localhost:{port}/"),
            "http://127.0.0.1/".into(),
            "http://localhost/".into(),
            "http://2130706433/".into(),
            "http://0x7f.1/".into(),
            "http://[::1]/".into(),
            "http://[::ffff:127.0.0.1]/".into(),
            "http://169.254.169.254/latest/meta-data/".into(),
            "http://10.0.0.1/".into(),
            "http://93.184.216.34:22/".into(),
        ] {
            let answer = read(&pages, &address).await;
            assert!(answer.as_ref().is_err_and(|error| error.ends_with(NOT_PUBLIC)), "{address}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn pages_are_read_and_what_is_none_is_refused() {
        let site = site().await;
        let here: Admits = |address| address.is_loopback();
        let pages = WebPages::admitting(here, &[]).expect("a client");
        assert_eq!(read(&pages, &site).await.as_deref(), Ok("<h1>Hi</h1>"));
        assert_eq!(read(&pages, &format!("{site}/moved")).await.as_deref(), Ok("<h1>Hi</h1>"));
        assert_eq!(read(&pages, &format!("{site}/long")).await.map(|text| text.len()), Ok(PAGE_SIZE_BYTES_MAX));
        for (path, why) in [
            ("/away", NOT_PUBLIC),
            ("/loop", "too many redirects"),
            ("/json", "it is not HTML"),
            ("/gone", "it answers 404"),
        ] {
            let answer = read(&pages, &format!("{site}{path}")).await;
            assert!(answer.as_ref().is_err_and(|error| error.ends_with(why)), "{path}: {answer:?}");
        }
    }
}
