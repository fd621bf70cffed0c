//! Share links over HTTP: make, list, revoke. For owners of the project.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use cobuild_protocol::{ErrorBody, ErrorCode, value::Role};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    HttpState,
    auth::{NewLink, ShareLinkError, ShareLinks, SharedLink},
    error::Problem,
    extract::{Body, Caller, InLink},
    rest,
};
use crate::project::ProjectError;

/// How long a link counts when nothing is said: long enough to look at something together, too short to be forgotten
/// in a chat for good.
const HOURS_DEFAULT: u32 = 7 * 24;
/// The longest a link may count.
const HOURS_MAX: u32 = 366 * 24;
/// Longest label, in characters.
const LABEL_LENGTH_MAX: usize = 100;

/// What `POST …/share-links` takes.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "WantedShareLink")]
pub(crate) struct Wanted {
    role: Role,
    hours: Option<u32>,
    label: Option<String>,
}

/// Its answer: the only one that ever holds the token.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MadeShareLink")]
pub(crate) struct Made {
    #[serde(flatten)]
    link: SharedLink,
    token: String,
    url: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ShareLinkList")]
pub(crate) struct LinkList {
    links: Vec<SharedLink>,
}

impl From<ShareLinkError> for Problem {
    fn from(error: ShareLinkError) -> Self {
        let code = match &error {
            ShareLinkError::NotFound => ErrorCode::NotFound,
            ShareLinkError::TooMany => ErrorCode::QuotaExceeded,
            ShareLinkError::Store(reason) => {
                tracing::error!(%reason, "the share links could not be stored");
                ErrorCode::Internal
            }
        };
        Self::new(code, error.to_string())
    }
}

/// `POST /api/v1/projects/{project}/share-links`
pub(crate) async fn make(
    State(state): State<HttpState>,
    caller: Caller,
    headers: HeaderMap,
    Body(wanted): Body<Wanted>,
) -> Result<Response, Problem> {
    require_owner(&state, &caller).await?;
    let new = new_link(&caller, wanted)?;
    let (link, token) = blocking(&state, move |links| links.make(new)).await?;
    let url = format!("{}/p/{}#token={token}", state.url_for(&headers), caller.project);
    tracing::info!(project = %caller.project, link = link.id, "a share link was made");
    Ok((StatusCode::CREATED, Json(Made { link, token, url })).into_response())
}

/// `GET /api/v1/projects/{project}/share-links`: those that count, newest first.
pub(crate) async fn list(State(state): State<HttpState>, caller: Caller) -> Result<Json<LinkList>, Problem> {
    require_owner(&state, &caller).await?;
    Ok(Json(LinkList { links: state.access.links().of_project(&caller.project) }))
}

/// `DELETE /api/v1/projects/{project}/share-links/{link}`: whoever came by it is out.
pub(crate) async fn revoke(
    State(state): State<HttpState>,
    caller: Caller,
    InLink(link): InLink,
) -> Result<StatusCode, Problem> {
    require_owner(&state, &caller).await?;
    let (project, id) = (caller.project.clone(), link.clone());
    blocking(&state, move |links| links.revoke(&project, &id)).await?;
    tracing::info!(project = %caller.project, link, "a share link was revoked");
    Ok(StatusCode::NO_CONTENT)
}

/// Revokes all links of a project that is about to be deleted.
pub(crate) async fn revoke_all(state: &HttpState, caller: &Caller) -> Result<(), Problem> {
    let project = caller.project.clone();
    blocking(state, move |links| links.revoke_all(&project)).await
}

/// By the role the caller has in the room, which an owner may have changed since the token was made. Where no token says
/// who the caller is there is nobody in the room to ask about, and nobody is to appear in it: the token's role counts.
async fn require_owner(state: &HttpState, caller: &Caller) -> Result<(), Problem> {
    let handle = state.registry.get(&caller.project).await?;
    let role = if caller.grant.is_personal() { rest::enter(&handle, caller, false).await?.role() } else { caller.role };
    match role {
        Role::Owner => Ok(()),
        Role::Editor | Role::Viewer => Err(Problem::new(ErrorCode::Forbidden, "only owners share a project")),
    }
}

fn new_link(caller: &Caller, wanted: Wanted) -> Result<NewLink, ErrorBody> {
    let refuse = |message: String| Err(ErrorBody::new(ErrorCode::BadRequest, message));
    let Wanted { role, hours, label } = wanted;
    if role == Role::Owner {
        return refuse("a share link is for an editor or a viewer; owners need a token of their own".into());
    }
    let hours = hours.unwrap_or(HOURS_DEFAULT);
    if !(1..=HOURS_MAX).contains(&hours) {
        return refuse(format!("a share link counts for 1 to {HOURS_MAX} hours"));
    }
    let label = label.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
    if label.as_ref().is_some_and(|label| label.chars().count() > LABEL_LENGTH_MAX) {
        return refuse(format!("a label has at most {LABEL_LENGTH_MAX} characters"));
    }
    let expires_at = Timestamp::now() + SignedDuration::from_hours(hours.into());
    Ok(NewLink { project: caller.project.clone(), role, label, expires_at })
}

/// Changes links where waiting for the disk holds nobody up. Goes on when the caller goes away in the middle of it.
async fn blocking<T: Send + 'static>(
    state: &HttpState,
    change: impl FnOnce(&ShareLinks) -> Result<T, ShareLinkError> + Send + 'static,
) -> Result<T, Problem> {
    let links = Arc::clone(state.access.links());
    let changed = state.tasks.spawn_blocking(move || change(&links)).await;
    changed.map_err(|_| Problem::from(ProjectError::Internal))?.map_err(Problem::from)
}
