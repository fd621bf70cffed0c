//! What a token says, and whether that counts now. Pure.

use std::collections::BTreeMap;

use cobuild_protocol::{ErrorBody, ProjectId, value::Role};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::http::auth::{
    grant::{Grant, Roles},
    refused,
};

/// How far the clock of whoever issued a token may be ahead of ours. Only for `nbf`: at its end, a token that lives a
/// little shorter does no harm.
const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_secs(30);
/// Longest subject, in bytes: an address or a URL with an id.
const SUBJECT_LENGTH_MAX: usize = 256;
/// Stands for all projects.
const EVERYWHERE: &str = "*";

/// The claims this server reads. All others are ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Who; the same text is the same participant.
    pub(crate) sub: Option<String>,
    /// The name to go by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Project id or `*` → role.
    pub(crate) projects: Option<BTreeMap<String, Role>>,
    /// When the token ends, in seconds since 1970; may have a fraction (RFC 7519, 2).
    pub(crate) exp: Option<Number>,
    /// When it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nbf: Option<Number>,
}

impl Claims {
    /// What they allow now.
    pub(super) fn into_grant(self, now: Timestamp) -> Result<Grant, ErrorBody> {
        let expires_at = self.exp.ok_or_else(|| refused("the token has no expiry (exp)"))?;
        let expires_at = moment(&expires_at).ok_or_else(|| refused("the token's expiry (exp) is not a time"))?;
        if expires_at <= now {
            return Err(refused("the token has expired"));
        }
        if let Some(begins_at) = self.nbf {
            let begins_at = moment(&begins_at).ok_or_else(|| refused("the token's beginning (nbf) is not a time"))?;
            if begins_at.duration_since(now) > CLOCK_SKEW_MAX {
                return Err(refused("the token is not valid yet"));
            }
        }
        let subject = self.sub.filter(|subject| (1..=SUBJECT_LENGTH_MAX).contains(&subject.len()));
        let subject = subject.ok_or_else(|| {
            refused(&format!("the token needs a subject (sub) of at most {SUBJECT_LENGTH_MAX} characters"))
        })?;
        let projects = self.projects.ok_or_else(|| refused("the token names no projects (projects)"))?;
        let roles = roles(projects)?;
        Ok(Grant { subject: Some(subject), name: self.name, roles, expires_at: Some(expires_at), link: None })
    }
}

fn roles(projects: BTreeMap<String, Role>) -> Result<Roles, ErrorBody> {
    let mut roles = Roles::default();
    for (project, role) in projects {
        if project == EVERYWHERE {
            roles.everywhere = Some(role);
        } else {
            let project: ProjectId = project.parse().map_err(|error| {
                refused(&format!("the token's projects have a name that is neither `*` nor an id: {error}"))
            })?;
            roles.projects.insert(project, role);
        }
    }
    Ok(roles)
}

/// A NumericDate. Ends beyond the calendar are as good as its last day.
fn moment(seconds: &Number) -> Option<Timestamp> {
    let seconds = seconds.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
    #[allow(clippy::cast_possible_truncation)] // saturates
    let milliseconds = (seconds * 1000.0) as i64;
    Some(Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(changes: Value) -> Result<Grant, String> {
        let mut claims = json!({ "sub": "ada", "name": "Ada", "projects": { "p": "editor" }, "exp": 2000 });
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        let claims: Claims = serde_json::from_value(claims).map_err(|error| error.to_string())?;
        claims.into_grant(Timestamp::from_second(1000).expect("valid")).map_err(|error| error.message)
    }

    #[test]
    fn good_ones() {
        let project: ProjectId = "p".parse().expect("valid");
        for (changes, role) in [
            (json!({}), Some(Role::Editor)),
            (json!({ "exp": 1000.5, "nbf": 1030, "aud": "other", "iat": "x" }), Some(Role::Editor)),
            (json!({ "exp": 1e300, "nbf": null, "name": null }), Some(Role::Editor)),
            (json!({ "projects": { "*": "viewer" } }), Some(Role::Viewer)),
            (json!({ "projects": { "*": "viewer", "p": "owner" } }), Some(Role::Owner)),
            (json!({ "projects": { "q": "owner" } }), None),
            (json!({ "projects": {} }), None),
        ] {
            let grant = check(changes.clone()).unwrap_or_else(|error| panic!("{changes}: {error}"));
            assert_eq!(grant.role_in(&project), role, "{changes}");
            assert!(grant.expires_at.is_some() && grant.is_personal());
        }
    }

    #[test]
    fn bad_ones_say_what_is_wrong() {
        for (changes, expected) in [
            (json!({ "exp": null }), "no expiry"),
            (json!({ "exp": 1000 }), "has expired"),
            (json!({ "exp": 0 }), "has expired"),
            (json!({ "exp": -1 }), "not a time"),
            (json!({ "exp": "tomorrow" }), "expected"),
            (json!({ "nbf": 1031 }), "not valid yet"),
            (json!({ "nbf": -5 }), "not a time"),
            (json!({ "sub": null }), "subject"),
            (json!({ "sub": "" }), "subject"),
            (json!({ "sub": "x".repeat(257) }), "subject"),
            (json!({ "sub": 7 }), "expected a string"),
            (json!({ "projects": null }), "names no projects"),
            (json!({ "projects": ["p"] }), "expected a map"),
            (json!({ "projects": { "p": "king" } }), "unknown variant `king`"),
            (json!({ "projects": { "a b": "owner" } }), "a project id"),
        ] {
            let message = check(changes.clone()).expect_err(&changes.to_string());
            assert!(message.contains(expected), "{changes}: {message}");
        }
    }
}
