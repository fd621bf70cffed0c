//! What one command may reach for as long as it runs, beyond what its sandbox always may.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use super::Target;
use crate::project::sandbox_provider::{NetworkRule, SandboxError};

/// The grants of one sandbox. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Grants(Arc<Mutex<Vec<Arc<Grant>>>>);

/// One host, for a while.
#[derive(Debug)]
pub(super) struct Grant {
    target: Target,
    address: Option<SocketAddr>,
    left: AtomicU64,
    exhausted: CancellationToken,
    ended: CancellationToken,
}

/// Grants in force. Dropping it ends them, and every connection made by them.
#[derive(Debug)]
pub(in super::super) struct Granted {
    grants: Grants,
    own: Vec<Arc<Grant>>,
    exhausted: CancellationToken,
}

impl Grants {
    /// Puts rules into force.
    pub(in super::super) fn add(&self, rules: &[NetworkRule]) -> Result<Granted, SandboxError> {
        let exhausted = CancellationToken::new();
        let grant = |rule: &NetworkRule| {
            let target = Target::new(&rule.host, rule.port)
                .ok_or_else(|| SandboxError::Refused(format!("{:?} is not a host's name", rule.host)))?;
            Ok(Arc::new(Grant {
                target,
                address: rule.address,
                left: AtomicU64::new(rule.received_bytes_max),
                exhausted: exhausted.clone(),
                ended: CancellationToken::new(),
            }))
        };
        let own: Vec<Arc<Grant>> = rules.iter().map(grant).collect::<Result<_, SandboxError>>()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(own.iter().cloned());
        Ok(Granted { grants: self.clone(), own, exhausted })
    }

    pub(super) fn find(&self, target: &Target) -> Option<Arc<Grant>> {
        let grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        grants.iter().find(|grant| grant.target == *target).cloned()
    }
}

impl Grant {
    /// Where the host is, if the grant says so.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Counts what came in. False when it was too much.
    pub(super) fn take(&self, size_bytes: u64) -> bool {
        let taken = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(size_bytes));
        if taken.is_err() {
            self.exhausted.cancel();
        }
        taken.is_ok()
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Granted {
    /// Waits until more came than was granted.
    pub(in super::super) async fn exhausted(&self) {
        self.exhausted.cancelled().await;
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        let mut grants = self.grants.0.lock().unwrap_or_else(PoisonError::into_inner);
        grants.retain(|grant| !self.own.iter().any(|own| Arc::ptr_eq(own, grant)));
        self.own.iter().for_each(|grant| grant.ended.cancel());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(host: &str, received_bytes_max: u64) -> NetworkRule {
        NetworkRule { host: host.into(), port: 443, address: None, received_bytes_max }
    }

    fn target(host: &str, port: u16) -> Target {
        Target { host: host.into(), port }
    }

    #[test]
    fn a_grant_is_for_one_host_and_port_while_it_lives() {
        let grants = Grants::default();
        let granted = grants.add(&[rule("git.example.org", 10)]).expect("valid");
        assert!(grants.find(&target("git.example.org", 443)).is_some());
        for other in [target("git.example.org", 80), target("example.org", 443), target("git.example.org.", 443)] {
            assert!(grants.find(&other).is_none(), "{other}");
        }
        let found = grants.find(&target("git.example.org", 443)).expect("granted");
        drop(granted);
        assert!(found.ended.is_cancelled(), "its connections end");
        assert!(grants.find(&target("git.example.org", 443)).is_none());
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for host in ["", "Git.example.org", "a b", "a@b", "[::1]"] {
            assert!(Grants::default().add(&[rule(host, 1)]).is_err(), "{host}");
        }
    }

    #[test]
    fn what_comes_in_is_counted_over_all_connections() {
        let grants = Grants::default();
        let granted = grants.add(&[rule("git.example.org", 10)]).expect("valid");
        let grant = grants.find(&target("git.example.org", 443)).expect("granted");
        assert!(grant.take(6) && grant.take(4));
        assert!(!granted.exhausted.is_cancelled());
        assert!(!grant.take(1));
        assert!(granted.exhausted.is_cancelled());
    }
}
