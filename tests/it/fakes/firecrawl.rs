//! A scraping service that answers what its documentation shows, and keeps what it was asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

type Asks = Arc<Mutex<Vec<Asked>>>;

pub(crate) struct ScrapingService {
    address: SocketAddr,
    asks: Asks,
    _serving: AbortOnDropHandle<()>,
}

impl ScrapingService {
    pub(crate) async fn start() -> Self {
        let asks = Asks::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&asks));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { address, asks, _serving: AbortOnDropHandle::new(serving) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn answer(State(asks): State<Asks>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let authorization = headers.get("authorization").map(|value| value.to_str().expect("ASCII").to_owned());
    let asked = Asked { path: uri.path().to_owned(), authorization, body: body.clone() };
    asks.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    let refusal = |status: u16, code: &str| {
        let status = StatusCode::from_u16(status).expect("a status");
        let body = json!({ "success": false, "error": "a sentence with fc-secret-key", "code": code });
        (status, [("retry-after", "7")], Json(body)).into_response()
    };
    let about = body["url"].as_str().or_else(|| body["query"].as_str()).unwrap_or_default();
    match about.rsplit('/').next().unwrap_or_default() {
        "unauthorized" => return refusal(401, "UNAUTHORIZED"),
        "poor" => return refusal(402, "INSUFFICIENT_CREDITS"),
        "slow" => return refusal(408, "SCRAPE_TIMEOUT"),
        "busy" => return refusal(429, "RATE_LIMITED"),
        "unresolved" => return refusal(500, "SCRAPE_DNS_RESOLUTION_ERROR"),
        "broken" => return refusal(500, "UNKNOWN_ERROR"),
        "nonsense" => return "<html>".into_response(),
        _ => {}
    }
    let picture = "https://storage.example.com/picture.png";
    if uri.path() == "/v2/search" {
        let results = json!([
            { "url": "https://example.com/a", "title": "A", "description": "About A", "markdown": "# A",
              "screenshot": picture, "metadata": { "title": "other" } },
            { "url": "javascript:alert(1)", "title": "No page" },
            { "url": "https://example.com/b" },
        ]);
        return Json(json!({ "success": true, "data": { "web": results, "images": [] } })).into_response();
    }
    let wants = |format: &str| {
        body["formats"]
            .as_array()
            .is_some_and(|formats| formats.iter().any(|one| one == format || one["type"] == format))
    };
    let mut data = json!({ "metadata": { "title": ["Bread", "Pain"], "description": "About bread", "statusCode": 200,
        "sourceURL": about, "url": format!("{about}#found"), "cacheState": "hit", "proxyUsed": "basic" } });
    let given = [
        ("markdown", json!("# Bread\n\nFlour.")),
        ("html", json!("<h1>Bread</h1>")),
        ("links", json!(["https://example.com/next", "javascript:alert(1)"])),
        ("screenshot", json!(picture)),
        ("branding", json!({ "colorScheme": "light", "colors": { "primary": "#ff8800" }, "fonts": [] })),
    ];
    for (format, value) in given.into_iter().filter(|(format, _)| wants(format)) {
        data[format] = value;
    }
    if about.ends_with("/gone") {
        data["metadata"]["statusCode"] = 404.into();
    }
    Json(json!({ "success": true, "data": data })).into_response()
}
