//! One request over one stream to a dev server: HTTP both ways, or the bytes of an upgraded connection.

use std::time::Duration;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use http_body_util::Limited;
use hyper::{
    client::conn::http1,
    upgrade::{OnUpgrade, on},
};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::{headers, inject, page};
use crate::{
    http::{HttpState, listener::Connection, origin::request_authority},
    project::sandbox_provider::ByteStream,
};

/// Longest wait for a dev server's answer to begin. Vite's first transform of a large dependency takes seconds on a
/// busy machine; beyond a minute it hangs.
const ANSWER_BEGINS_MAX: Duration = Duration::from_secs(60);
/// Largest request body: previews are developed apps, whose uploads are tried out with small files.
const BODY_SIZE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Sends the request and streams the answer. The stream serves this one request; opening another costs less than
/// keeping track of idle ones.
pub(super) async fn exchange(state: &HttpState, stream: Box<dyn ByteStream>, mut request: Request) -> Response {
    let authority = request_authority(&request).unwrap_or_default().to_owned();
    let upgrade = headers::upgrade_protocol(request.headers());
    if upgrade.is_some() && !headers::may_upgrade(request.headers(), &authority) {
        return (StatusCode::FORBIDDEN, "pages of another origin may not open a socket here").into_response();
    }
    let browser_side = upgrade.is_some().then(|| on(&mut request));
    let place = request.extensions_mut().remove::<Connection>().map(|connection| connection.place);
    let is_document = inject::asks_for_document(request.method(), request.headers());
    let Some(mut request) = rewrite(request, &authority, upgrade) else {
        return (StatusCode::BAD_REQUEST, "this is not a request for a preview").into_response();
    };
    if is_document {
        inject::ask_for_identity(request.headers_mut());
    }

    let (mut sender, connection) = match http1::handshake(TokioIo::new(stream)).await {
        Ok(ends) => ends,
        Err(error) => return page::bad_gateway(&error),
    };
    // Ends with the exchange: when the answer has been read, the browser goes away or the server stops.
    let stopping = state.shutdown.clone();
    state.tasks.spawn(async move {
        tokio::select! {
            () = stopping.cancelled() => {}
            ended = connection.with_upgrades() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "the connection to a dev server broke");
                }
            }
        }
    });

    let mut response = match timeout(ANSWER_BEGINS_MAX, sender.send_request(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return page::bad_gateway(&error),
        Err(_) => return page::gateway_timeout(),
    };
    match (browser_side, response.status()) {
        (Some(browser_side), StatusCode::SWITCHING_PROTOCOLS) => {
            let sandbox_side = on(&mut response);
            let copied = copy(state.shutdown.clone(), browser_side, sandbox_side);
            state.tasks.spawn(async move {
                copied.await;
                drop(place);
            });
            // Connection and Upgrade are the point of this answer, so they pass.
            let protocol = response.headers().get(header::UPGRADE).cloned();
            headers::to_browser(response.headers_mut());
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            response.headers_mut().extend(protocol.map(|protocol| (header::UPGRADE, protocol)));
            response.map(|_| Body::empty())
        }
        _ => {
            headers::to_browser(response.headers_mut());
            let response = response.map(Body::new);
            if is_document { inject::inject(response, &authority) } else { response }
        }
    }
}

/// The request as the dev server is to see it; `None` if it has no path.
fn rewrite(request: Request, authority: &str, upgrade: Option<HeaderValue>) -> Option<Request<Limited<Body>>> {
    let (mut parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map(|target| Uri::from(target.clone()))?;
    parts.uri = target;
    parts.extensions.clear();
    headers::to_sandbox(&mut parts.headers, authority);
    if let Some(protocol) = upgrade {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(header::UPGRADE, protocol);
    }
    Some(Request::from_parts(parts, Limited::new(body, BODY_SIZE_BYTES_MAX)))
}

/// Copies both ways until one side ends. Hot module replacement lives here: nothing looks at the bytes.
async fn copy(stopping: tokio_util::sync::CancellationToken, browser_side: OnUpgrade, sandbox_side: OnUpgrade) {
    let copied = async {
        let (browser, sandbox) = tokio::try_join!(browser_side, sandbox_side)?;
        let (mut browser, mut sandbox) = (TokioIo::new(browser), TokioIo::new(sandbox));
        // An error here is the ordinary end of a tab or of a dev server.
        let _ = tokio::io::copy_bidirectional(&mut browser, &mut sandbox).await;
        Ok::<_, hyper::Error>(())
    };
    tokio::select! {
        () = stopping.cancelled() => {}
        ended = copied => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a preview's upgrade did not complete");
            }
        }
    }
}
