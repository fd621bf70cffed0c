//! Pages of the web, read for browser clients: by the server itself from a site of the test's own, and by a stand-in for
//! the scraping service.

use std::time::Duration;

use axum::{Router, http::StatusCode, response::Redirect, routing::get};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::client::{call, events, send};
use crate::{
    fakes::firecrawl::ScrapingService,
    support::{Setup, TestServer, within},
};

const PAGE: &str = "<html><head><title>Bread</title><meta name=description content='About bread'>\
    <meta property='og:site_name' content='The Bakery'><link rel=stylesheet href=/style.css>\
    <link rel=stylesheet href=/gone.css></head><body><nav><a href=/home>Home</a></nav><article><h1>Baking</h1><p>Bread is \
    made of flour, water and salt, and it takes time, patience and a warm place to rise in before it is baked.</p><p>Every \
    baker has a recipe, and every recipe has a story that is told again and again, in kitchens all over the world. \
    Grüße.</p></article><script>var secret = 'none of the reader’s business'</script></body></html>";
const STYLE: &str = ":root { --primary: #ff8800 } body { background: #fafafa; font-family: Inter, sans-serif }";

/// A web site on this machine.
struct Site {
    host: String,
    _serving: AbortOnDropHandle<()>,
}

impl Site {
    async fn start() -> Self {
        let html = |text: String| ([("content-type", "text/html; charset=utf-8")], text);
        let router = Router::new()
            .route("/", get(move || async move { html(PAGE.into()) }))
            .route("/moved", get(|| async { Redirect::permanent("/") }))
            .route("/away", get(|| async { Redirect::temporary("http://169.254.169.254/latest/meta-data/") }))
            .route("/neighbour", get(|| async { Redirect::temporary("http://127.0.0.1:22/") }))
            .route("/style.css", get(|| async { ([("content-type", "text/css")], STYLE) }))
            .route("/file", get(|| async { ([("content-type", "application/pdf")], "%PDF") }))
            .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
            .route("/empty", get(move || async move { html("<div id=root></div><script>run()</script>".into()) }))
            .route("/large", get(move || async move { html(format!("<p>begin {}", "word ".repeat(1_000_000))) }))
            .route("/silent", get(std::future::pending::<()>));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let host = listener.local_addr().expect("bound").to_string();
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { host, _serving: AbortOnDropHandle::new(serving) }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    /// A server that may read this site.
    async fn server(&self) -> TestServer {
        TestServer::start_with(Setup::with_arguments(&["--page-hosts", &self.host])).await
    }
}

async fn post(server: &TestServer, path: &str, body: Value) -> (u16, Value) {
    let answer = call(server, "POST", &format!("/api/{path}"), None, Some(&body.to_string())).await;
    (answer.status, answer.body)
}

/// The endpoints that read a page by themselves.
const READERS: [&str; 3] = ["scrape-url-enhanced", "scrape-website", "extract-brand-styles"];

#[tokio::test]
async fn a_page_is_read_in_each_shape() {
    let site = Site::start().await;
    let server = site.server().await;
    for path in ["/", "/moved"] {
        let (status, read) = post(&server, "scrape-url-enhanced", json!({ "url": site.url(path) })).await;
        assert_eq!((status, &read["success"], &read["url"]), (200, &json!(true), &json!(site.url("/"))), "{read}");
        let content = read["content"].as_str().expect("a text");
        let head = format!("Title: Bread\nDescription: About bread\nURL: {}\n\nMain Content:\n", site.url("/"));
        assert!(content.starts_with(&head) && content.contains("flour, water and salt"), "{content}");
        assert!(content.contains("Grüße") && !content.contains("secret"), "{content}");
        let structured = &read["structured"];
        assert_eq!((&structured["title"], &structured["description"]), (&json!("Bread"), &json!("About bread")));
        assert_eq!((&structured["screenshot"], &read["screenshot"]), (&Value::Null, &Value::Null));
        assert!(structured["content"].as_str().is_some_and(|text| content.ends_with(text)));
        let metadata = &read["metadata"];
        assert_eq!((&metadata["scraper"], &metadata["cached"]), (&json!("cobuild"), &json!(false)));
        assert_eq!(
            (&metadata["truncated"], metadata["contentLength"].as_u64()),
            (&json!(false), Some(content.chars().count() as u64))
        );
        assert!(read["message"].as_str().is_some_and(|message| message.contains("without a screenshot")));
    }
    let (status, read) = post(&server, "scrape-website", json!({ "url": site.url("/") })).await;
    let data = &read["data"];
    assert_eq!((status, &data["title"], &data["links"]), (200, &json!("Bread"), &json!([])), "{read}");
    assert_eq!(data["content"], data["markdown"]);
    assert!(data["html"].as_str().is_some_and(|html| html.contains("<p>Bread is")), "{read}");
    assert_eq!((&data["metadata"]["sourceURL"], &data["raw"]["markdown"]), (&json!(site.url("/")), &data["markdown"]));
    let wish =
        json!({ "url": site.url("/"), "formats": ["links", "screenshot"], "options": { "onlyMainContent": false } });
    let (_, read) = post(&server, "scrape-website", wish).await;
    let data = &read["data"];
    assert_eq!((&data["links"], &data["markdown"]), (&json!([site.url("/home")]), &json!("")), "{read}");
    let (status, read) =
        post(&server, "extract-brand-styles", json!({ "url": site.url("/"), "prompt": "A shop" })).await;
    assert_eq!((status, &read["success"], &read["styleName"]), (200, &json!(true), &json!("The Bakery")), "{read}");
    let guidelines = &read["guidelines"];
    assert_eq!(guidelines["colors"], json!({ "primary": "#ff8800", "background": "#fafafa" }));
    assert_eq!(guidelines["fonts"], json!([{ "family": "Inter" }]));
}

#[tokio::test]
async fn what_cannot_be_read_is_said_by_each_endpoint() {
    let site = Site::start().await;
    let server = site.server().await;
    let cases = [
        (json!({}), 400, "URL is required"),
        (json!({ "url": " " }), 400, "URL is required"),
        (json!({ "url": 5 }), 400, "URL is required"),
        (json!({ "url": "https://" }), 400, "must name a host"),
        (json!({ "url": "https://[::" }), 400, "its address is not valid"),
        (json!({ "url": "ftp://example.com/" }), 400, "must begin with http:// or https://"),
        (json!({ "url": "file:///etc/passwd" }), 400, "must begin with http:// or https://"),
        (json!({ "url": "javascript:alert(1)" }), 400, "its address is not valid"),
        (json!({ "url": "https://user:secret@example.com/" }), 400, "no user or password"),
        (json!({ "url": format!("https://example.com/{}", "x".repeat(3000)) }), 400, "is too long"),
        (json!({ "url": "http://localhost/" }), 400, "not a page of the public internet"),
        (json!({ "url": "localhost:3100" }), 400, "not a page of the public internet"),
        (json!({ "url": "http://10.0.0.1/" }), 400, "not a page of the public internet"),
        (json!({ "url": "http://[::1]/" }), 400, "not a page of the public internet"),
        (json!({ "url": "http://0x7f000001/" }), 400, "not a page of the public internet"),
        (json!({ "url": "http://169.254.169.254/latest/meta-data" }), 400, "not a page of the public internet"),
        (json!({ "url": site.url("/away") }), 400, "not a page of the public internet"),
        (json!({ "url": site.url("/neighbour") }), 400, "not a page of the public internet"),
        (json!({ "url": site.url("/nowhere") }), 422, "it answers 404"),
        (json!({ "url": site.url("/broken") }), 422, "it answers 500"),
        (json!({ "url": site.url("/file") }), 422, "it is not HTML"),
        (json!([]), 422, "valid dictionary"),
    ];
    for path in READERS {
        for (body, status, why) in &cases {
            let (answered, refused) = post(&server, path, body.clone()).await;
            assert_eq!((answered, &refused["success"]), (*status, &json!(false)), "{path} {body}: {refused}");
            let error = refused["error"].as_str().expect("a sentence");
            assert!(error.contains(why) && !error.contains("secret@"), "{path} {body}: {error}");
        }
        let (status, refused) = post(&server, path, json!({ "url": site.url("/empty") })).await;
        assert_eq!((status, &refused["success"]), (422, &json!(false)), "{path}: {refused}");
        let nothing = call(&server, "POST", &format!("/api/{path}"), None, None).await;
        assert_eq!((nothing.status, nothing.body["error"].as_str()), (400, Some("URL is required")), "{path}");
    }
    let (_, read) = post(&server, "scrape-url-enhanced", json!({ "url": site.url("/large") })).await;
    assert_eq!(read["metadata"]["truncated"], true, "too large a page is cut, and it is said");
    assert!(read["content"].as_str().is_some_and(|text| text.contains("begin word") && text.len() < 30_000));
    for (field, value) in [("formats", json!("markdown")), ("formats", json!([1])), ("options", json!([]))] {
        let (status, refused) = post(&server, "scrape-website", json!({ "url": site.url("/"), field: value })).await;
        assert_eq!((status, &refused["success"]), (400, &json!(false)), "{field}: {refused}");
    }
    for (path, body, status, error) in [
        ("scrape-screenshot", json!({}), 400, "URL is required"),
        ("scrape-screenshot", json!({ "url": site.url("/") }), 422, "takes no screenshots"),
        ("search", json!({}), 400, "Query is required"),
        ("search", json!({ "query": 1 }), 400, "Query is required"),
        ("search", json!({ "query": "x".repeat(501) }), 400, "at most 500 bytes"),
        ("search", json!({ "query": "bread" }), 422, "no scraping service is configured"),
    ] {
        let (answered, refused) = post(&server, path, body).await;
        assert_eq!((answered, &refused["success"]), (status, &json!(false)), "{path}: {refused}");
        assert!(refused["error"].as_str().is_some_and(|sentence| sentence.contains(error)), "{path}: {refused}");
    }
}

#[tokio::test]
async fn a_site_of_this_machine_is_refused_unless_it_is_named() {
    let site = Site::start().await;
    let server = TestServer::start().await;
    for path in READERS {
        let (status, refused) = post(&server, path, json!({ "url": site.url("/") })).await;
        assert_eq!((status, &refused["success"]), (400, &json!(false)), "{path}: {refused}");
    }
}

#[tokio::test]
async fn a_page_that_does_not_come_is_not_waited_for_and_only_so_many_are_read_at_once() {
    let site = Site::start().await;
    let server = site.server().await;
    let ask = |path: &'static str| {
        let (request, url) = (server.http.post(server.url(&format!("/api/{path}"))), site.url("/silent"));
        async move {
            let answer = request.json(&json!({ "url": url })).timeout(Duration::from_mins(1)).send().await;
            let answer = answer.expect("an answer");
            (
                answer.status().as_u16(),
                answer.headers().contains_key("retry-after"),
                answer.text().await.expect("whole"),
            )
        }
    };
    let asked = ["scrape-url-enhanced", "scrape-website", "extract-brand-styles", "scrape-website", "scrape-website"];
    let answers = futures_util::future::join_all(asked.into_iter().map(ask)).await;
    let late = answers.iter().filter(|(status, _, text)| *status == 422 && text.contains("it took too long")).count();
    let refused = answers.iter().filter(|(status, wait, _)| *status == 429 && *wait).count();
    assert_eq!((late, refused), (4, 1), "{answers:?}");
    let (status, _) = post(&server, "scrape-url-enhanced", json!({ "url": site.url("/") })).await;
    assert_eq!(status, 200, "there is room again");
}

#[tokio::test]
async fn a_page_becomes_an_app_as_such_a_client_does_it() {
    let site = Site::start().await;
    let server = site.server().await;
    let (_, read) = post(&server, "scrape-url-enhanced", json!({ "url": site.url("/") })).await;
    let prompt = format!("I want to recreate this website as a complete React application:\n{read:#}");
    let context = json!({ "conversationContext": { "scrapedWebsites":
        [{ "url": site.url("/"), "content": read, "timestamp": "2026-11-22T05:25:31.676Z" }] } });
    let body = json!({ "prompt": prompt, "context": context }).to_string();
    let answer = send(&server, "POST", "/api/generate-ai-code-stream", None, Some(&body)).await;
    assert_eq!(answer.status(), 200);
    let told = events(&within("the stream", answer.text()).await.expect("a whole stream"));
    // The test's model repeats what it is asked.
    let complete = told.last().expect("events");
    assert!(
        complete["generatedCode"].as_str().is_some_and(|code| code.contains("flour, water and salt")),
        "{complete}"
    );
}

#[tokio::test]
async fn a_scraping_service_is_asked_where_there_is_one() {
    let service = ScrapingService::start().await;
    let arguments = ["--firecrawl-base-url", &service.url(), "--firecrawl-api-key", "fc-secret-key"];
    let server = TestServer::start_with(Setup::with_arguments(&arguments)).await;
    let url = "http://93.184.216.34/bread";
    let picture = json!("https://storage.example.com/picture.png");
    let (status, read) = post(&server, "scrape-url-enhanced", json!({ "url": url })).await;
    assert_eq!((status, &read["success"], &read["screenshot"]), (200, &json!(true), &picture), "{read}");
    assert!(read["content"].as_str().is_some_and(|text| text.ends_with("Main Content:\n# Bread\n\nFlour.")), "{read}");
    assert_eq!((&read["structured"]["title"], &read["metadata"]["cached"]), (&json!("Bread"), &json!(true)));
    assert_eq!(read["metadata"]["scraper"], "firecrawl");
    let asked = service.asked();
    assert_eq!((asked.len(), asked[0].path.as_str()), (1, "/v2/scrape"));
    assert_eq!(asked[0].authorization.as_deref(), Some("Bearer fc-secret-key"));
    assert_eq!((&asked[0].body["url"], &asked[0].body["formats"][0]), (&json!(url), &json!("markdown")));
    let (_, read) = post(&server, "scrape-website", json!({ "url": url, "formats": ["html", "links"] })).await;
    let data = &read["data"];
    assert_eq!((&data["html"], &data["content"]), (&json!("<h1>Bread</h1>"), &json!("<h1>Bread</h1>")), "{read}");
    assert_eq!((&data["links"], &data["screenshot"]), (&json!(["https://example.com/next"]), &Value::Null));
    let (status, read) = post(&server, "scrape-screenshot", json!({ "url": url })).await;
    assert_eq!((status, &read["success"], &read["screenshot"]), (200, &json!(true), &picture), "{read}");
    let (_, read) = post(&server, "extract-brand-styles", json!({ "url": url })).await;
    assert_eq!((&read["styleName"], &read["guidelines"]["colors"]["primary"]), (&json!("Bread"), &json!("#ff8800")));
    service.asked();
    let (status, found) = post(&server, "search", json!({ "query": "bread" })).await;
    let expected = json!({ "results": [
        { "url": "https://example.com/a", "title": "A", "description": "About A", "screenshot": picture, "markdown": "# A" },
        { "url": "https://example.com/b", "title": "https://example.com/b", "description": "", "screenshot": null,
          "markdown": "" },
    ] });
    assert_eq!((status, found), (200, expected));
    assert_eq!((service.asked()[0].path.as_str(), service.asked().len()), ("/v2/search", 0));
}

#[tokio::test]
async fn what_a_scraping_service_refuses_is_said_without_its_words() {
    let service = ScrapingService::start().await;
    let server = TestServer::start_with(Setup::with_arguments(&["--firecrawl-base-url", &service.url()])).await;
    for (page, status, why) in [
        ("gone", 422, "the page answers 404"),
        ("unauthorized", 502, "refuses FIRECRAWL_API_KEY"),
        ("poor", 502, "has no credits left"),
        ("slow", 422, "took too long"),
        ("busy", 429, "asks to wait"),
        ("unresolved", 422, "could not be read"),
        ("broken", 502, "answers 500"),
        ("nonsense", 502, "does not understand"),
    ] {
        let url = format!("http://93.184.216.34/{page}");
        for path in ["scrape-url-enhanced", "scrape-website", "scrape-screenshot", "extract-brand-styles"] {
            let (answered, refused) = post(&server, path, json!({ "url": url })).await;
            assert_eq!((answered, &refused["success"]), (status, &json!(false)), "{path} {page}: {refused}");
            let error = refused["error"].as_str().expect("a sentence");
            assert!(error.contains(why) && !error.contains("fc-secret-key"), "{path} {page}: {error}");
        }
    }
    let asked = service.asked();
    assert!(asked.iter().all(|asked| asked.authorization.is_none()), "one's own service needs no key");
    let (status, _) = post(&server, "search", json!({ "query": "broken" })).await;
    assert_eq!(status, 502);
    service.asked();
    for url in ["http://10.0.0.1/", "http://localhost/", &service.url(), "http://[::1]/"] {
        let (status, refused) = post(&server, "scrape-url-enhanced", json!({ "url": url })).await;
        assert_eq!((status, &refused["success"]), (400, &json!(false)), "{url}: {refused}");
    }
    assert!(service.asked().is_empty(), "it is not sent where this server would not go");
}
