//! Browser clients of the open-lovable family: camelCase, no project header. Who they are and which project that means is
//! this server's to decide.
//!
//! | room | owns |
//! |---|---|
//! | `caller` | who somebody is, and which of their projects they are in |
//! | `generate`, `apply`, `install` | the streams |
//! | `sandbox`, `state`, `files`, `manifest` | the answers in one piece |
//! | `intent` | what a wish for a change is about |
//! | `pages` | pages of the web, read for such a client: scraping, search, styles |
//! | `wire` | what they get |
//! | `further` | what else such a page calls |

pub(super) mod apply;
mod caller;
pub(super) mod files;
pub(super) mod further;
pub(super) mod generate;
pub(super) mod install;
pub(super) mod intent;
mod manifest;
pub(super) mod pages;
pub(super) mod sandbox;
pub(super) mod state;
pub(crate) mod wire;

pub(crate) use self::{
    caller::{Browser, Browsers},
    pages::PAGES_MAX,
};
use axum::{
    extract::Request,
    http::header,
    response::{IntoResponse as _, Response},
};

use super::{dialect::Dialect, refusal::Refusal};
use crate::http::HttpState;

/// Answers a request of a browser; gives it a cookie to be known by, when it has none.
pub(super) async fn answer<F>(
    state: HttpState,
    request: Request,
    endpoint: impl FnOnce(Browser, Request) -> F,
) -> Response
where
    F: Future<Output = Result<Response, Refusal>>,
{
    let shown = caller::Shown::of(&request);
    let (browser, cookie) = match caller::recognise(&state, shown).await {
        Ok(recognised) => recognised,
        Err(refusal) => return refusal.in_dialect(Dialect::Browser),
    };
    let answer = endpoint(browser, request).await;
    let mut response = answer.unwrap_or_else(|refusal| refusal.in_dialect(Dialect::Browser)).into_response();
    if let Some(cookie) = cookie.as_ref().and_then(caller::Cookie::header) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
