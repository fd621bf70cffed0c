//! `/__cobuild/` on a preview's origin: the script that every page of the app begins with, and the socket over which that
//! script says how the page is.
//!
//! It is the one thing on that origin that does not go to the sandbox, and it is as little trusted: messages are small and
//! counted, nothing in them names a project – the host does –, and all that comes of them is an entry in that project's log.

use std::time::Duration;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, on};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::time::{Instant, interval_at, timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::server::create_response,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{
    claim::{self, Claim},
    headers,
};
use crate::{
    http::{HttpState, listener::Connection, origin::request_authority},
    project::{
        ProjectHandle,
        preview_pages::{OpenPage, Question},
    },
};

/// Under which everything here is. An app has no use for the name.
pub(super) const PREFIX: &str = "/__cobuild/";
/// The script.
pub(super) const SCRIPT: &str = "/__cobuild/page.js";
const SOCKET: &str = "/__cobuild/page";
const SCRIPT_TEXT: &str = include_str!("page.js");

/// Largest message of a page: an error with its stack is half of that.
const MESSAGE_SIZE_BYTES_MAX: usize = 32 * 1024;
/// Messages within [`MESSAGES_WINDOW`]. A page that updates every second and throws ten errors each time stays below.
const MESSAGES_MAX: u32 = 300;
/// See [`MESSAGES_MAX`].
const MESSAGES_WINDOW: Duration = Duration::from_secs(20);
/// How long a page may take to take what it is sent.
const SEND_WITHIN: Duration = Duration::from_secs(5);

/// Answers what is under [`PREFIX`].
pub(super) async fn serve(state: &HttpState, handle: ProjectHandle, request: Request) -> Response {
    match (request.method(), request.uri().path()) {
        (&Method::GET, SCRIPT) => script(),
        (&Method::GET, SOCKET) => open(state, handle, request),
        _ => (StatusCode::NOT_FOUND, "There is nothing here.\n").into_response(),
    }
}

fn script() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, SCRIPT_TEXT).into_response()
}

fn open(state: &HttpState, handle: ProjectHandle, mut request: Request) -> Response {
    let authority = request_authority(&request).unwrap_or_default();
    if !headers::is_own_origin(request.headers(), authority) {
        return (StatusCode::FORBIDDEN, "only the preview's own pages may open this\n").into_response();
    }
    let mut asked = axum::http::Request::new(());
    *asked.version_mut() = request.version();
    asked.headers_mut().clone_from(request.headers());
    let Ok(answer) = create_response(&asked) else {
        return (StatusCode::UPGRADE_REQUIRED, "this address is a WebSocket\n").into_response();
    };
    let Some(page) = handle.pages().open() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages of this preview are open\n").into_response();
    };
    let upgrade = on(&mut request);
    let place = request.extensions_mut().remove::<Connection>().map(|connection| connection.place);
    let (stopping, heartbeat) = (state.shutdown.clone(), state.timing.heartbeat);
    state.tasks.spawn(async move {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = handle.closed() => {}
            () = listen(upgrade, &handle, page, heartbeat) => {}
        }
        drop(place);
    });
    let mut answer = answer.map(|()| Body::empty());
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Until the page goes, falls silent or says too much.
async fn listen(upgrade: OnUpgrade, handle: &ProjectHandle, mut page: OpenPage, heartbeat: Duration) {
    let Ok(upgraded) = upgrade.await else { return };
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_SIZE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_SIZE_BYTES_MAX));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits)).await;
    let mut beats = interval_at(Instant::now() + heartbeat, heartbeat);
    let (mut window, mut messages) = (Instant::now(), 0);
    let mut heard = Instant::now();
    loop {
        let message = tokio::select! {
            Question { number, reload } = page.question() => {
                Message::text(json!({ "question": number, "reload": reload }).to_string())
            }
            _ = beats.tick() => {
                if heard.elapsed() > 2 * heartbeat {
                    return; // Gone without a word, such as with a laptop that was shut.
                }
                Message::Ping(bytes::Bytes::new())
            }
            message = socket.next() => {
                let Some(Ok(message)) = message else { return };
                heard = Instant::now();
                if window.elapsed() > MESSAGES_WINDOW {
                    (window, messages) = (Instant::now(), 0);
                }
                messages += 1;
                if messages > MESSAGES_MAX {
                    let frame = CloseFrame { code: CloseCode::Policy, reason: "too many messages".into() };
                    let _ = timeout(SEND_WITHIN, socket.close(Some(frame))).await;
                    return;
                }
                let Message::Text(text) = message else { continue };
                if hear(handle, &page, &text).await.is_err() {
                    return;
                }
                continue;
            }
        };
        if !matches!(timeout(SEND_WITHIN, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// What a page says that nobody knows is passed over.
async fn hear(handle: &ProjectHandle, page: &OpenPage, text: &str) -> Result<(), crate::project::ProjectError> {
    let news = match claim::parse(text) {
        Some(Claim::Threw(thrown)) => page.threw(thrown.into()),
        Some(Claim::Renewed) => page.renewed(),
        Some(Claim::Settled { question }) => {
            page.settled(question);
            None
        }
        Some(Claim::Hidden { hidden }) => {
            page.hidden(hidden);
            None
        }
        None => None,
    };
    match news {
        Some(news) => handle.tell(news).await,
        None => Ok(()),
    }
}
