//! What a caller may do, once they have shown who they are.

use std::collections::BTreeMap;

use cobuild_protocol::{ErrorBody, ErrorCode, ProjectId, value::Role};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

/// How a program that uses REST is known in a room, where no token says who it is.
const PROGRAM_NAME: &str = "API";
/// Longest text by which a client may be known again: a UUID with room to spare. A longer one is ignored.
const CLIENT_KEY_LENGTH_MAX: usize = 256;

/// What a caller may do.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    /// Who a token says the caller is; `None` where people share a token or need none.
    pub(super) subject: Option<String>,
    /// The name a token gives the caller.
    pub(crate) name: Option<String>,
    pub(super) roles: Roles,
    /// When it ends by itself.
    pub(super) expires_at: Option<Timestamp>,
    /// The share link it comes from.
    pub(super) link: Option<LinkGrant>,
}

/// In which projects, as what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Roles {
    /// In all projects that are not named below.
    pub(super) everywhere: Option<Role>,
    pub(super) projects: BTreeMap<ProjectId, Role>,
}

/// What is special about a grant from a share link.
#[derive(Debug, Clone)]
pub(super) struct LinkGrant {
    pub(super) id: String,
    /// Cancelled when an owner revokes the link.
    pub(super) revoked: CancellationToken,
}

impl Grant {
    /// Everything, everywhere, for as long as the server runs.
    pub(super) fn owner() -> Self {
        let roles = Roles { everywhere: Some(Role::Owner), projects: BTreeMap::new() };
        Self { subject: None, name: None, roles, expires_at: None, link: None }
    }

    /// The caller's role in a project; `None` when the project is not theirs to see.
    pub(crate) fn role_in(&self, project: &ProjectId) -> Option<Role> {
        self.roles.projects.get(project).copied().or(self.roles.everywhere)
    }

    /// The project a token is for, when it is for just one.
    pub(crate) fn only_project(&self) -> Option<&ProjectId> {
        match (self.roles.everywhere, self.roles.projects.len()) {
            (None, 1) => self.roles.projects.keys().next(),
            _ => None,
        }
    }

    /// The same, or the refusal.
    pub(crate) fn enter(&self, project: &ProjectId) -> Result<Role, ErrorBody> {
        let refusal = || ErrorBody::new(ErrorCode::Forbidden, "the token gives no access to this project");
        self.role_in(project).ok_or_else(refusal)
    }

    /// Fails unless the caller may administer the server: create and delete projects.
    pub(crate) fn administer(&self) -> Result<(), ErrorBody> {
        match self.roles.everywhere {
            Some(Role::Owner) => Ok(()),
            Some(Role::Editor | Role::Viewer) | None => Err(ErrorBody::new(
                ErrorCode::Forbidden,
                "only an owner of all projects (`*`) may create and delete them",
            )),
        }
    }

    /// By what the caller is known again in a room, given the random text their client keeps. The prefixes keep the
    /// kinds apart: no client may choose to be the subject of somebody else's token.
    pub(crate) fn participant_key(&self, client: Option<&str>) -> Option<String> {
        match (&self.subject, client) {
            (Some(subject), _) => Some(format!("sub:{subject}")),
            (None, Some(client)) if (1..=CLIENT_KEY_LENGTH_MAX).contains(&client.len()) => {
                Some(format!("client:{client}"))
            }
            (None, _) => None,
        }
    }

    /// The same for a program that sends plain requests and keeps nothing.
    pub(crate) fn program_key(&self) -> String {
        match (&self.subject, &self.link) {
            (Some(subject), _) => format!("sub:{subject}"),
            (None, Some(link)) => format!("link:{}", link.id),
            (None, None) => "program".into(),
        }
    }

    /// The name for such a program; `None` keeps the one its owner has.
    pub(crate) fn program_name(&self) -> Option<&str> {
        self.name.as_deref().or((!self.is_personal()).then_some(PROGRAM_NAME))
    }

    /// The share link, of whose guests anybody may be several.
    pub(crate) fn party(&self) -> Option<String> {
        self.link.as_ref().map(|link| link.id.clone())
    }

    /// Whether a token says who the caller is.
    pub(crate) fn is_personal(&self) -> bool {
        self.subject.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(everywhere: Option<Role>, projects: &[(&str, Role)]) -> Grant {
        let projects = projects.iter().map(|(id, role)| (id.parse().expect("valid"), *role)).collect();
        Grant { roles: Roles { everywhere, projects }, ..Grant::owner() }
    }

    #[test]
    fn a_named_project_goes_before_all_projects() {
        let grant = grant(Some(Role::Viewer), &[("a", Role::Owner)]);
        assert_eq!(grant.role_in(&"a".parse().expect("valid")), Some(Role::Owner));
        assert_eq!(grant.role_in(&"b".parse().expect("valid")), Some(Role::Viewer));
    }

    #[test]
    fn only_owners_of_everything_administer() {
        for (everywhere, projects, expected) in [
            (Some(Role::Owner), &[][..], true),
            (Some(Role::Editor), &[], false),
            (Some(Role::Editor), &[("a", Role::Owner)], false),
            (None, &[("a", Role::Owner)], false),
        ] {
            assert_eq!(grant(everywhere, projects).administer().is_ok(), expected, "{everywhere:?} {projects:?}");
        }
    }

    #[test]
    fn nobody_becomes_somebody_else_by_choosing_a_text() {
        let ada = Grant { subject: Some("ada".into()), ..Grant::owner() };
        let guest = Grant::owner();
        let keys = [
            ada.participant_key(Some("x")),
            guest.participant_key(Some("ada")),
            guest.participant_key(Some("sub:ada")),
            guest.participant_key(Some("program")),
            Some(guest.program_key()),
        ];
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len(), "{keys:?}");
        assert_eq!(ada.participant_key(None).as_deref(), Some(ada.program_key().as_str()), "one person, both ways in");
        assert_eq!(guest.participant_key(Some(&"x".repeat(257))), None);
        assert_eq!(guest.participant_key(Some("")), None);
    }
}
