//! Reads web pages for models to imitate, from the public internet and nowhere else.
//!
//! The address is a stranger's word. So every name is resolved here and only public addresses are connected to – those
//! that were looked at, whatever the name leads to a moment later; every redirect is checked like the first address;
//! nothing of the server – cookies, keys, proxies – goes along; and what comes back is bounded in time and size. Hosts that
//! are not public are reached only where an operator has named them.
//!
//! | room | owns |
//! |---|---|
//! | `charset` | from bytes to text |
//! | [`firecrawl`] | a scraping service, where one is configured |

mod charset;
pub mod firecrawl;

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
    header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE},
    redirect::Policy,
};

use crate::{
    project::page_reader::{PageAddress, PageError, PageHost, PageKind, PageReader, WebPage},
    public_address::is_public,
    tls,
};

/// Longest time for a page, redirects included: somebody waits for it.
const READ_WITHIN: Duration = Duration::from_secs(15);
/// How much of a page is read. Most have a tenth of it; what is behind is not looked at.
const PAGE_SIZE_BYTES_MAX: usize = 1024 * 1024;
/// Most redirects: to https, to www, to a language.
const REDIRECTS_MAX: usize = 4;
/// Ports that pages are on. Others are not web sites but somebody's services.
const PORTS: [u16; 2] = [80, 443];
/// How this server is called where it reads.
const USER_AGENT: &str = concat!("cobuild/", env!("CARGO_PKG_VERSION"));

const NOT_PUBLIC: &str = "it is not a page of the public internet";
const TOO_MANY_REDIRECTS: &str = "too many redirects";

/// Reads pages over HTTP.
#[derive(Debug)]
pub struct WebPages {
    client: Client,
    reach: Reach,
}

/// Where it is gone to.
#[derive(Debug, Clone)]
struct Reach {
    /// Besides the public internet.
    hosts: Arc<[PageHost]>,
}

impl WebPages {
    /// A reader of public pages, and of those on the hosts that are named.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up on this machine.
    pub fn new(hosts: &[PageHost]) -> Result<Self, reqwest::Error> {
        Self::patient_for(READ_WITHIN, hosts)
    }

    fn patient_for(within: Duration, hosts: &[PageHost]) -> Result<Self, reqwest::Error> {
        let reach = Reach { hosts: hosts.into() };
        let along = reach.clone();
        let policy = Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS_MAX {
                attempt.error(TOO_MANY_REDIRECTS)
            } else if along.includes(attempt.url()) {
                attempt.follow()
            } else {
                attempt.error(NOT_PUBLIC)
            }
        });
        let client = tls::client_builder()
            .user_agent(USER_AGENT)
            .no_proxy()
            // A small file can unpack into a large one.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .redirect(policy)
            .dns_resolver(Arc::new(CheckedResolver(reach.clone())))
            .timeout(within)
            .build()?;
        Ok(Self { client, reach })
    }
}

#[async_trait]
impl PageReader for WebPages {
    async fn read(&self, address: &PageAddress, kind: PageKind) -> Result<WebPage, PageError> {
        let sentence = |why: &str| format!("the page {} could not be read: {why}", address.as_str());
        let unreadable = |why: &str| PageError::Unreadable(sentence(why));
        let failed = |error: &reqwest::Error| match reason(error) {
            NOT_PUBLIC => PageError::Refused(sentence(NOT_PUBLIC)),
            why => PageError::Unreadable(sentence(why)),
        };
        let url = Url::parse(address.as_str());
        let url = url.map_err(|_| PageError::Refused(sentence("its address is not valid")))?;
        if !self.reach.includes(&url) {
            return Err(PageError::Refused(sentence(NOT_PUBLIC)));
        }
        let (accepted, wrong) = match kind {
            PageKind::Html => ("text/html,application/xhtml+xml", "it is not HTML"),
            PageKind::Stylesheet => ("text/css", "it is not a style sheet"),
        };
        let answer = self.client.get(url).header(ACCEPT, accepted).send().await.map_err(|error| failed(&error))?;
        if !answer.status().is_success() {
            return Err(unreadable(&format!("it answers {}", answer.status().as_u16())));
        }
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = header(CONTENT_TYPE).to_ascii_lowercase();
        if !accepted.split(',').any(|accepted| content_type.starts_with(accepted)) {
            return Err(unreadable(wrong));
        }
        if !matches!(header(CONTENT_ENCODING), "" | "identity") {
            return Err(unreadable("it is packed, although nobody asked for that"));
        }
        let address = answer.url().as_str().parse().map_err(|_| unreadable("it leads nowhere"))?;
        let (bytes, cut) = body(answer).await.map_err(|error| failed(&error))?;
        Ok(WebPage { address, text: charset::decode(&bytes, &content_type), cut })
    }
}

/// As much of the body as is looked at, and whether there is more.
async fn body(answer: Response) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut bytes = Vec::new();
    let mut chunks = answer.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() > PAGE_SIZE_BYTES_MAX {
            bytes.truncate(PAGE_SIZE_BYTES_MAX);
            return Ok((bytes, true));
        }
    }
    Ok((bytes, false))
}

impl Reach {
    /// Whether a URL may be asked for. Addresses in place of a name never reach the resolver, so they are judged here.
    fn includes(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return false;
        }
        if self.names(host) {
            let named = self.hosts.iter().filter(|named| named.host == host);
            return named.into_iter().any(|named| named.port.map_or(PORTS.contains(&port), |one| one == port));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        PORTS.contains(&port) && bare.parse::<IpAddr>().map_or(true, is_public)
    }

    fn names(&self, host: &str) -> bool {
        self.hosts.iter().any(|named| named.host.eq_ignore_ascii_case(host))
    }

    /// The addresses behind a name that may be connected to. Fails where the name leads nowhere.
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<SocketAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        let is_named = self.names(name);
        Ok(found.filter(|address| is_named || is_public(address.ip())).collect())
    }
}

/// What went wrong, without addresses.
fn reason(error: &reqwest::Error) -> &'static str {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let sentence = error.to_string();
        if let Some(known) = [NOT_PUBLIC, TOO_MANY_REDIRECTS].into_iter().find(|known| *known == sentence) {
            return known;
        }
        cause = error.source();
    }
    if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "nothing answers there"
    } else {
        "it broke off"
    }
}

/// Resolves names, and keeps only the addresses that may be connected to.
#[derive(Debug)]
struct CheckedResolver(Reach);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0.clone();
        Box::pin(async move {
            let admitted = reach.addresses(name.as_str()).await?;
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

    /// A web site on this machine: its host and port.
    async fn site() -> String {
        let html = |text: &'static str| ([("content-type", "text/html; charset=utf-8")], text);
        let router = Router::new()
            .route("/", get(move || async move { html("<h1>Hi</h1>") }))
            .route("/moved", get(|| async { Redirect::temporary("/") }))
            .route("/away", get(|| async { Redirect::temporary("http://10.0.0.1/") }))
            .route("/file", get(|| async { Redirect::temporary("file:///etc/passwd") }))
            .route("/loop", get(|| async { Redirect::temporary("/loop") }))
            .route("/json", get(|| async { ([("content-type", "application/json")], "{}") }))
            .route("/css", get(|| async { ([("content-type", "text/css")], "a{}") }))
            .route(
                "/packed",
                get(|| async { ([("content-type", "text/html"), ("content-encoding", "gzip")], "\u{1f}") }),
            )
            .route("/gone", get(|| async { StatusCode::NOT_FOUND }))
            .route("/silent", get(std::future::pending::<()>))
            .route("/long", get(|| async { ([("content-type", "text/html")], "x".repeat(PAGE_SIZE_BYTES_MAX * 2)) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        address.to_string()
    }

    async fn read(pages: &WebPages, address: &str) -> Result<WebPage, PageError> {
        pages.read(&address.parse().expect("an address"), PageKind::Html).await
    }

    #[tokio::test]
    async fn this_machine_and_its_networks_are_out_of_reach() {
        let site = site().await;
        let pages = WebPages::new(&[]).expect("a client");
        let port = site.rsplit(':').next().expect("a port").to_owned();
        for address in [
            format!("http://{site}/"),
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
            let Err(PageError::Refused(why)) = answer else { panic!("{address}: {answer:?}") };
            assert!(why.ends_with(NOT_PUBLIC), "{why}");
        }
    }

    #[tokio::test]
    async fn pages_are_read_and_what_is_none_is_refused() {
        let site = site().await;
        let pages = WebPages::new(&[site.parse().expect("a host")]).expect("a client");
        for path in ["", "/moved"] {
            let page = read(&pages, &format!("http://{site}{path}")).await.expect("a page");
            assert_eq!((page.text.as_str(), page.cut), ("<h1>Hi</h1>", false));
            assert_eq!(page.address.as_str(), format!("http://{site}/"));
        }
        let long = read(&pages, &format!("http://{site}/long")).await.expect("a page");
        assert_eq!((long.text.len(), long.cut), (PAGE_SIZE_BYTES_MAX, true));
        for (path, why) in [
            ("/loop", TOO_MANY_REDIRECTS),
            ("/json", "it is not HTML"),
            ("/css", "it is not HTML"),
            ("/packed", "it is packed, although nobody asked for that"),
            ("/gone", "it answers 404"),
            ("/file", "it answers 307"),
        ] {
            let answer = read(&pages, &format!("http://{site}{path}")).await;
            let Err(PageError::Unreadable(said)) = answer else { panic!("{path}: {answer:?}") };
            assert!(said.ends_with(why), "{said}");
        }
        let away = read(&pages, &format!("http://{site}/away")).await;
        assert!(matches!(away, Err(PageError::Refused(_))), "{away:?}");
        let sheet = format!("http://{site}/css").parse().expect("an address");
        assert_eq!(pages.read(&sheet, PageKind::Stylesheet).await.expect("a sheet").text, "a{}");
    }

    #[tokio::test]
    async fn a_named_host_is_reached_at_its_own_port_only() {
        let site = site().await;
        let port = site.rsplit(':').next().expect("a port").to_owned();
        let pages = WebPages::new(&[format!("localhost:{port}").parse().expect("a host")]).expect("a client");
        assert!(read(&pages, &format!("http://localhost:{port}/")).await.is_ok());
        for other in [format!("http://{site}/"), "http://localhost/".into(), "http://localhost:22/".into()] {
            assert!(matches!(read(&pages, &other).await, Err(PageError::Refused(_))), "{other}");
        }
    }

    #[tokio::test]
    async fn a_page_that_does_not_come_is_not_waited_for() {
        let site = site().await;
        let host = site.parse().expect("a host");
        let pages = WebPages::patient_for(Duration::from_millis(200), &[host]).expect("a client");
        let answer = read(&pages, &format!("http://{site}/silent")).await;
        assert!(matches!(&answer, Err(PageError::Unreadable(why)) if why.ends_with("it took too long")), "{answer:?}");
    }
}
