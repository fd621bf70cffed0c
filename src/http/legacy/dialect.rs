//! Which of the older systems a request is written for.

use axum::http::HeaderName;

/// Names the project in requests of the first engine.
pub(crate) const PROJECT_HEADER: HeaderName = HeaderName::from_static("x-project-id");
