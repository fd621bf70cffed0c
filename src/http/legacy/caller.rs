//! Who asks, and for which project.

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode},
};
use cobuild_protocol::{ErrorBody, ErrorCode, ProjectId, ProjectState, id::PROJECT_ID_LENGTH_MAX, value::Role};

use super::{
    dialect::{Dialect, PROJECT_HEADER},
    events::Listener,
    refusal::Refusal,
};
use crate::{
    http::{HttpState, auth::Grant, listener::Connection},
    project::{Identity, ProjectError, ProjectHandle},
};

/// A request of somebody who was let in, about one project.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) state: HttpState,
    pub(crate) project: ProjectId,
    pub(crate) grant: Grant,
    pub(crate) role: Role,
    /// In which way they are spoken to.
    pub(crate) dialect: Dialect,
    connection: Option<Connection>,
}

impl Call {
    /// The sender of a request that names its project in the header.
    pub(crate) fn of_header(
        state: &HttpState,
        request: &Request,
    ) -> impl Future<Output = Result<Self, Refusal>> + Send + use<> {
        let (state, headers) = (state.clone(), request.headers().clone());
        let connection = request.extensions().get::<Connection>().cloned();
        async move {
            let project = project_of(&headers)?;
            let grant = state.access.admit_request(&headers).await?;
            Self::new(&state, connection, project, grant, Dialect::Engine)
        }
    }

    /// Somebody whose project is known by other means.
    pub(crate) fn new(
        state: &HttpState,
        connection: Option<Connection>,
        project: ProjectId,
        grant: Grant,
        dialect: Dialect,
    ) -> Result<Self, Refusal> {
        let role = grant.enter(&project)?;
        Ok(Self { state: state.clone(), project, grant, role, dialect, connection })
    }

    /// The project; its first mention makes it.
    pub(crate) async fn handle(&self) -> Result<ProjectHandle, Refusal> {
        let handle = match self.state.registry.get(&self.project).await {
            Err(ProjectError::NotFound(_)) if self.role < Role::Editor => {
                let sentence = "a viewer's token does not make projects";
                return Err(ErrorBody::new(ErrorCode::Forbidden, sentence).into());
            }
            Err(ProjectError::NotFound(_)) => self.state.registry.get_or_create(&self.project).await?,
            found => found?,
        };
        if self.grant.is_personal() {
            // Where an owner has removed somebody, entering is how the room is asked whether it was they.
            let (_, view) = handle.state().await?;
            if view.participants.values().any(|participant| participant.removed) {
                self.enter(&handle).await?;
            }
        }
        Ok(handle)
    }

    /// A place in the room, and the events from now on. Nothing is made for them to look at.
    pub(crate) async fn enter(&self, handle: &ProjectHandle) -> Result<crate::project::Subscription, ProjectError> {
        let identity = Identity {
            key: Some(self.grant.program_key()),
            name: self.grant.program_name().map(str::to_owned),
            party: self.grant.party(),
            role: self.role,
            looks: false,
        };
        let seen = cobuild_protocol::Cursor { epoch: handle.log().epoch().clone(), seq: handle.log().head() };
        handle.join(identity, Some(seen)).await
    }

    /// Where the app is seen, from the sandbox's first moment on: the page says itself when it is not there yet.
    pub(crate) fn preview_url(&self, view: &ProjectState) -> String {
        self.state.registry.parts().settings.preview_url(&view.preview_id)
    }

    /// For a stream that answers this request.
    pub(crate) fn listener(&self) -> Listener {
        Listener::new(&self.state, &self.grant, self.role, self.connection.as_ref()).speaking(self.dialect)
    }

    /// Fails for those who may only look, before a stream has begun.
    pub(crate) fn may_change(&self) -> Result<(), Refusal> {
        if self.role < Role::Editor {
            return Err(Refusal::Detail(StatusCode::FORBIDDEN, "a viewer cannot do this".into()));
        }
        Ok(())
    }
}

/// The project a header names.
fn project_of(headers: &HeaderMap) -> Result<ProjectId, Refusal> {
    let named = headers.get(PROJECT_HEADER).map(|value| value.as_bytes()).unwrap_or_default();
    if named.is_empty() {
        return Err(Refusal::bad_request("Missing X-Project-Id header"));
    }
    project_named(named)
}

/// The project of a name: its valid characters, as many as an id may have.
pub(crate) fn project_named(named: &[u8]) -> Result<ProjectId, Refusal> {
    let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let id: String =
        named.iter().filter(|byte| is_valid(byte)).take(PROJECT_ID_LENGTH_MAX).map(|byte| char::from(*byte)).collect();
    id.parse().map_err(|_| Refusal::bad_request("Invalid project ID format"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(value: Option<&[u8]>, expected: Result<&str, &str>) {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(PROJECT_HEADER, HeaderValue::from_bytes(value).expect("valid"));
        }
        let result = project_of(&headers).map(|id| id.to_string()).map_err(|refusal| match refusal {
            Refusal::Detail(StatusCode::BAD_REQUEST, sentence) => sentence,
            other => panic!("{other:?}"),
        });
        assert_eq!(result, expected.map(str::to_owned).map_err(str::to_owned), "{value:?}");
    }

    #[test]
    fn project_ids_are_cleaned() {
        check(None, Err("Missing X-Project-Id header"));
        check(Some(b""), Err("Missing X-Project-Id header"));
        check(Some(b"!!!"), Err("Invalid project ID format"));
        check(Some(b"a b/c!d"), Ok("abcd"));
        check(Some(b"caf\xe9"), Ok("caf"));
        check(Some("x".repeat(80).as_bytes()), Ok(&"x".repeat(64)));
    }
}
