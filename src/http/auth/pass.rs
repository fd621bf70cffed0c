//! A connection's leave to stay: what ends it before its client does.
//!
//! Both halves of a WebSocket, and every event stream, wait for [`Pass::ended`] beside whatever else they wait for, so
//! that an expired token or a revoked link acts on open connections and not only at the door.

use std::{sync::Arc, time::Duration};

use cobuild_protocol::{ErrorBody, ErrorCode, value::Role};
use jiff::Timestamp;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::grant::Grant;

/// Longest sleep towards an expiry. Timers run on another clock than the one tokens are dated by, and a machine may
/// have been asleep itself.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// What its clones share ends for all of them.
#[derive(Debug, Clone)]
pub(crate) struct Pass(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    subject: Option<String>,
    /// What the token gives in this project.
    role: Role,
    /// How long after its expiry a token still counts here: for a refresh that is on its way.
    grace: Duration,
    validity: watch::Sender<Validity>,
    /// Cancelled when an owner removes whoever holds it from the project.
    removed: CancellationToken,
}

#[derive(Debug, Clone)]
struct Validity {
    expires_at: Option<Timestamp>,
    revoked: Option<CancellationToken>,
}

/// What a new token means for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewed {
    /// It goes on until then; `None`: for ever.
    Until(Option<Timestamp>),
    /// It must be made anew, because its role is another one now.
    AnotherRole(Option<Timestamp>),
}

impl Validity {
    fn of(grant: &Grant) -> Self {
        Self { expires_at: grant.expires_at, revoked: grant.link.as_ref().map(|link| link.revoked.clone()) }
    }
}

impl Pass {
    /// For a connection that came in by this grant, as this. `removed` is its place's in the room, if it has one.
    pub(crate) fn new(grant: &Grant, role: Role, grace: Duration, removed: CancellationToken) -> Self {
        let (validity, _) = watch::channel(Validity::of(grant));
        Self(Arc::new(Shared { subject: grant.subject.clone(), role, grace, validity, removed }))
    }

    /// Waits until the connection must end, and says why. Cancelling changes nothing.
    pub(crate) async fn ended(&self) -> ErrorBody {
        let mut validity = self.0.validity.subscribe();
        loop {
            let Validity { expires_at, revoked } = validity.borrow_and_update().clone();
            tokio::select! {
                () = cancelled(revoked) => {
                    return ErrorBody::new(ErrorCode::Unauthenticated, "this share link has been revoked");
                }
                () = passed(expires_at, self.0.grace) => {
                    return ErrorBody::new(ErrorCode::Unauthenticated, "the token has expired");
                }
                () = self.0.removed.cancelled() => {
                    return ErrorBody::new(ErrorCode::Forbidden, "an owner has removed you from this project");
                }
                // Its sender is part of `self`.
                _ = validity.changed() => {}
            }
        }
    }

    /// Lets another token of the same person take the place of the present one.
    pub(crate) fn renew(&self, grant: &Grant, role: Role) -> Result<Renewed, ErrorBody> {
        if grant.subject != self.0.subject {
            let message = "the new token is somebody else's; open another connection with it";
            return Err(ErrorBody::new(ErrorCode::Forbidden, message));
        }
        if role != self.0.role {
            return Ok(Renewed::AnotherRole(grant.expires_at));
        }
        self.0.validity.send_replace(Validity::of(grant));
        Ok(Renewed::Until(grant.expires_at))
    }
}

async fn cancelled(token: Option<CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

async fn passed(moment: Option<Timestamp>, grace: Duration) {
    let Some(moment) = moment else { return std::future::pending().await };
    loop {
        // Negative once the moment has passed.
        let left = Duration::try_from(moment.duration_since(Timestamp::now())).unwrap_or_default();
        let over = Duration::try_from(Timestamp::now().duration_since(moment)).unwrap_or_default();
        if left.is_zero() && over >= grace {
            return;
        }
        sleep((left + grace.saturating_sub(over)).min(SLEEP_MAX)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::auth::grant::LinkGrant;

    const GRACE: Duration = Duration::from_millis(20);
    const SOON: Duration = Duration::from_secs(10);

    fn expiring(subject: &str, in_ms: i64) -> Grant {
        let expires_at = Timestamp::now() + jiff::SignedDuration::from_millis(in_ms);
        Grant { subject: Some(subject.into()), expires_at: Some(expires_at), ..Grant::owner() }
    }

    async fn is_over(pass: &Pass) -> bool {
        tokio::time::timeout(Duration::from_millis(300), pass.ended()).await.is_ok()
    }

    #[tokio::test]
    async fn it_ends_a_little_after_the_token() {
        let start = std::time::Instant::now();
        let error = tokio::time::timeout(
            SOON,
            Pass::new(&expiring("ada", 50), Role::Owner, GRACE, CancellationToken::new()).ended(),
        )
        .await;
        assert_eq!(error.expect("ended").code, ErrorCode::Unauthenticated);
        assert!(start.elapsed() >= Duration::from_millis(65), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn a_new_token_of_the_same_person_prolongs_it() {
        let pass = Pass::new(&expiring("ada", 50), Role::Editor, GRACE, CancellationToken::new());
        assert!(pass.renew(&expiring("bob", 60_000), Role::Editor).is_err());
        assert!(matches!(pass.renew(&expiring("ada", 60_000), Role::Viewer), Ok(Renewed::AnotherRole(_))));
        assert!(matches!(pass.renew(&expiring("ada", 60_000), Role::Editor), Ok(Renewed::Until(Some(_)))));
        assert!(!is_over(&pass).await, "prolonged");
        let refused = Pass::new(&expiring("ada", 50), Role::Editor, GRACE, CancellationToken::new());
        assert!(refused.renew(&expiring("bob", 60_000), Role::Editor).is_err());
        assert!(is_over(&refused).await, "not prolonged");
    }

    #[tokio::test]
    async fn a_revoked_link_ends_it_at_once_for_all() {
        let revoked = CancellationToken::new();
        let link = LinkGrant { id: "l".into(), revoked: revoked.clone() };
        let pass = Pass::new(
            &Grant { link: Some(link), ..expiring("x", 60_000) },
            Role::Viewer,
            SOON,
            CancellationToken::new(),
        );
        let other = pass.clone();
        revoked.cancel();
        assert!(is_over(&pass).await && is_over(&other).await);
    }

    #[tokio::test]
    async fn a_removal_ends_it_at_once() {
        let removed = CancellationToken::new();
        let pass = Pass::new(&Grant::owner(), Role::Editor, SOON, removed.clone());
        removed.cancel();
        let error = tokio::time::timeout(SOON, pass.ended()).await.expect("ended");
        assert_eq!(error.code, ErrorCode::Forbidden);
    }

    #[tokio::test]
    async fn without_an_end_it_does_not_end() {
        assert!(!is_over(&Pass::new(&Grant::owner(), Role::Owner, Duration::ZERO, CancellationToken::new())).await);
    }
}
