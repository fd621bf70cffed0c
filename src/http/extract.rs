//! What handlers take from a request, with every failure as a [`Problem`].

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::request::Parts,
};
use cobuild_protocol::{FilePath, ProjectId, value::Role};
use serde::{Deserialize, de::DeserializeOwned};

use super::{HttpState, auth::Grant, error::Problem};

/// The project a route is about. Only its spelling has been checked.
pub(crate) struct InProject(pub(crate) ProjectId);

/// The project and the caller's role in it.
pub(crate) struct Caller {
    pub(crate) project: ProjectId,
    pub(crate) grant: Grant,
    pub(crate) role: Role,
}

/// The caller, for what is not about one project.
pub(crate) struct Admitted(pub(crate) Grant);

/// The file a route is about.
pub(crate) struct InFile(pub(crate) FilePath);

/// The share link a route is about.
pub(crate) struct InLink(pub(crate) String);

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

/// The query's parameters.
pub(crate) struct Parameters<T>(pub(crate) T);

#[derive(Deserialize)]
struct ProjectSegment {
    project: String,
}

#[derive(Deserialize)]
struct FileSegments {
    path: String,
}

#[derive(Deserialize)]
struct LinkSegment {
    link: String,
}

impl<S: Send + Sync> FromRequestParts<S> for InProject {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(ProjectSegment { project }) = Path::from_request_parts(parts, state).await?;
        Ok(Self(project.parse()?))
    }
}

impl FromRequestParts<HttpState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, Problem> {
        let Admitted(grant) = Admitted::from_request_parts(parts, state).await?;
        let InProject(project) = InProject::from_request_parts(parts, state).await?;
        let role = grant.enter(&project)?;
        Ok(Self { project, grant, role })
    }
}

impl FromRequestParts<HttpState> for Admitted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, Problem> {
        Ok(Self(state.access.admit_request(&parts.headers).await?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InFile {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(FileSegments { path }) = Path::from_request_parts(parts, state).await?;
        Ok(Self(path.parse()?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InLink {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(LinkSegment { link }) = Path::from_request_parts(parts, state).await?;
        Ok(Self(link))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(body) = Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::from_request_parts(parts, state).await?;
        Ok(Self(parameters))
    }
}
