//! From an HTTP request to a bare socket that speaks WebSocket (RFC 6455, section 4.2).
//!
//! Not axum's upgrade: that hands out a stream that can only be written to through a buffer of its own. A room writes
//! to the sockets themselves, see [`super::caster`].

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, Request, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use cobuild_protocol::ErrorCode;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::{self, error::ProtocolError, handshake::server::create_response};

use super::wire::{Incoming, Wire};
use crate::http::{error::Problem, listener::Metered};

/// A request that asks for a WebSocket, and may have one.
pub(crate) struct Handshake {
    answer: Response,
    upgrade: OnUpgrade,
}

impl<S: Sync> FromRequestParts<S> for Handshake {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let mut request = Request::new(());
        request.method_mut().clone_from(&parts.method);
        *request.version_mut() = parts.version;
        request.headers_mut().clone_from(&parts.headers);
        let answer = create_response(&request).map_err(|error| refusal(status(&error)))?;
        let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or_else(|| refusal(StatusCode::UPGRADE_REQUIRED))?;
        Ok(Self { answer: answer.map(|()| axum::body::Body::empty()), upgrade })
    }
}

impl Handshake {
    /// The answer that changes the protocol, and what has it changed once the answer is out. `None`: the client went
    /// away before.
    pub(super) fn accept(self) -> (Response, impl Future<Output = Option<(Incoming, Wire)>>) {
        let Self { answer, upgrade } = self;
        let opened = async move {
            let parts = upgrade.await.ok()?.downcast::<TokioIo<Metered>>();
            let parts = parts.expect("invariant: every connection of this server is metered");
            let wire = Wire::new(parts.io.into_inner().into_socket());
            Some((Incoming::new(wire.clone(), &parts.read_buf), wire))
        };
        (answer, opened)
    }
}

/// What the request lacks.
const fn status(error: &tungstenite::Error) -> StatusCode {
    match error {
        tungstenite::Error::Protocol(ProtocolError::WrongHttpMethod) => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// The answer to anything else, with the headers that say what would be right.
fn refusal(status: StatusCode) -> Response {
    let problem = Problem::new(ErrorCode::BadRequest, "this address is a WebSocket").with_status(status);
    let mut response = problem.into_response();
    let headers = response.headers_mut();
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
    } else {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}
