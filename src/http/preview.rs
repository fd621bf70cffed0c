//! Previews: what arrives at `<preview id>.<domain>` goes to the dev server of that project's sandbox.
//!
//! Each project has its own host, so its pages share no storage, cookie or service worker with the app or with other
//! projects. The id is 128 random bits; knowing it is what lets somebody see the preview. Nothing that identifies a
//! user of the app crosses to the sandbox: cookies, `Authorization` and forwarding headers stay here.
//!
//! | room | owns |
//! |---|---|
//! | `forward`, `headers` | one exchange with the dev server, and which headers cross |
//! | `page` | what is shown while there is no dev server |
//! | `inject` | our script in the app's documents |
//! | `pages`, `claim` | what that script says of the page: how it arrives, and how much of it counts |

mod claim;
mod forward;
mod headers;
mod inject;
mod page;
mod pages;

use axum::{extract::Request, http::HeaderValue, response::Response};

use self::page::Waiting;
pub(super) use self::page::escape;
use super::HttpState;
use crate::project::Preview;

/// Answers a request for a preview.
pub(crate) async fn serve(state: &HttpState, preview_id: &str, request: Request) -> Response {
    let mut response = answer(state, preview_id, request).await;
    let (name, value) = super::OWN_PROCESS;
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

async fn answer(state: &HttpState, preview_id: &str, request: Request) -> Response {
    let handle = match state.registry.find_preview(preview_id).await {
        Ok(Some(handle)) => handle,
        Ok(None) => return page::unknown(),
        Err(error) => return page::waiting(&Waiting::Failed(error.to_string()), request.headers()),
    };
    if request.uri().path().starts_with(pages::PREFIX) {
        return pages::serve(state, handle, request).await;
    }
    let waiting = match handle.preview().await {
        Ok(Preview::Ready(sandbox)) => match sandbox.connect_preview().await {
            Ok(stream) => return forward::exchange(state, stream, request).await,
            // The dev server is between two lives, such as after an install. It will be back.
            Err(error) => {
                tracing::debug!(project = %handle.project(), %error, "the dev server takes no connection");
                Waiting::Starting(Some("The dev server is restarting".into()))
            }
        },
        Ok(Preview::Starting { detail }) => Waiting::Starting(detail),
        Ok(Preview::Failed { reason }) => Waiting::Failed(reason),
        Err(error) => Waiting::Failed(error.to_string()),
    };
    page::waiting(&waiting, request.headers())
}
