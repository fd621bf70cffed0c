//! Browsers that have no cookie yet.
//!
//! A page's first requests are sent at once and without one. If each were given its own, the browser would keep the last
//! and lose what it did under the others. So those that look alike share one cookie, from the first request until a moment
//! after its last answer – but only where that can show nobody what they might not see anyway: on a server that lets
//! everybody on this machine in and gives them every project. Where a token is asked for, or a request comes from another
//! machine through a proxy, each gets its own.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, Uri, header};

/// For how long after an answer with a new cookie a request without one may still have been sent before it.
const STRAGGLERS_WITHIN: Duration = Duration::from_secs(3);
/// Most newcomers that are remembered; of more at once, each gets its own cookie.
const NEWCOMERS_MAX: usize = 64;
/// What tells two browsers of one machine apart.
const LOOKS: [&str; 4] = ["user-agent", "accept-language", "sec-ch-ua", "sec-ch-ua-platform"];
/// By what a proxy says whom it speaks for: their addresses, and where they meant to go.
const FORWARDED_FOR: [&str; 2] = ["x-forwarded-for", "x-real-ip"];
const FORWARDED_HOST: &str = "x-forwarded-host";
/// The same in ways that development servers do not use.
const FORWARDED_OTHERWISE: [&str; 3] = ["forwarded", "via", "cf-connecting-ip"];

/// Those who have come a moment ago.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    known: Mutex<Vec<Arc<Known>>>,
}

#[derive(Debug)]
struct Known {
    looks: Vec<Vec<u8>>,
    value: String,
    /// When an answer that sets the cookie was last on its way.
    answered_at: Mutex<Option<Instant>>,
}

/// One request of a newcomer, until it is answered.
#[derive(Debug)]
pub(super) struct Newcomer(Arc<Known>);

impl Newcomers {
    /// Whoever a request without a cookie is from.
    pub(super) fn meet(&self, headers: &HeaderMap) -> Newcomer {
        if !is_from_here(headers) {
            return Newcomer::alone();
        }
        let looks: Vec<Vec<u8>> =
            LOOKS.iter().map(|name| headers.get(*name).map_or(Vec::new(), |value| value.as_bytes().to_vec())).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(Known::is_new);
        if let Some(same) = known.iter().find(|one| one.looks == looks) {
            return Newcomer(Arc::clone(same));
        }
        let newcomer = Newcomer::looking(looks);
        if known.len() < NEWCOMERS_MAX {
            known.push(Arc::clone(&newcomer.0));
        }
        newcomer
    }
}

impl Known {
    /// Whether a request of theirs is not answered yet, or was a moment ago. One holder is the list.
    fn is_new(self: &Arc<Self>) -> bool {
        let answered_at = *self.answered_at.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::strong_count(self) > 1 || answered_at.is_some_and(|at| at.elapsed() < STRAGGLERS_WITHIN)
    }
}

impl Newcomer {
    /// One who is like nobody else.
    pub(super) fn alone() -> Self {
        Self::looking(Vec::new())
    }

    fn looking(looks: Vec<Vec<u8>>) -> Self {
        let value = hex::encode(rand::random::<[u8; 16]>());
        Self(Arc::new(Known { looks, value, answered_at: Mutex::default() }))
    }

    /// What their cookie holds.
    pub(super) fn value(&self) -> &str {
        &self.0.value
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        *self.0.answered_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Whether a request comes from this machine and a page of it: directly, or through a proxy that says so.
fn is_from_here(headers: &HeaderMap) -> bool {
    let all = |name: &str, is_local: fn(&str) -> bool| {
        headers.get_all(name).iter().all(|value| value.to_str().is_ok_and(|text| text.split(',').all(is_local)))
    };
    all(header::ORIGIN.as_str(), is_local)
        && all(header::REFERER.as_str(), is_local)
        && all(FORWARDED_HOST, is_local)
        && FORWARDED_FOR.iter().all(|name| all(name, is_local_address))
        && !FORWARDED_OTHERWISE.iter().any(|name| headers.contains_key(*name))
}

/// Whether a page's address, or a host with its port, is one of this machine.
fn is_local(place: &str) -> bool {
    let host = place.trim().parse::<Uri>().ok().and_then(|place| Some(place.host()?.to_ascii_lowercase()));
    host.is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.ends_with(".localhost") || is_local_address(bare)
    })
}

fn is_local_address(address: &str) -> bool {
    address.trim().parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("valid"))).collect()
    }

    #[test]
    fn requests_at_once_are_one_newcomers_and_later_ones_are_not() {
        let newcomers = Newcomers::default();
        let firefox = headers(&[("user-agent", "Firefox"), ("origin", "http://localhost:3000")]);
        let first = newcomers.meet(&firefox);
        let second = newcomers.meet(&headers(&[("user-agent", "Firefox"), ("referer", "http://127.0.0.1:3100/x")]));
        assert_eq!(first.value(), second.value());
        let proxied = headers(&[
            ("user-agent", "Firefox"),
            ("x-forwarded-for", "::ffff:127.0.0.1"),
            ("x-forwarded-host", "localhost:3000"),
        ]);
        assert_eq!(newcomers.meet(&proxied).value(), first.value(), "through a development server");
        let other = newcomers.meet(&headers(&[("user-agent", "Chromium")]));
        assert_ne!(first.value(), other.value());
        let value = first.value().to_owned();
        drop((first, second));
        let straggler = newcomers.meet(&firefox);
        assert_eq!(straggler.value(), value, "it was sent before the answer came");
        let known = Arc::clone(&straggler.0);
        drop(straggler);
        let long_ago = Instant::now().checked_sub(STRAGGLERS_WITHIN).expect("the machine is up");
        *known.answered_at.lock().expect("no panic") = Some(long_ago);
        drop(known);
        assert_ne!(newcomers.meet(&firefox).value(), value, "that is somebody else");
    }

    #[test]
    fn nobody_from_elsewhere_is_taken_for_another() {
        let newcomers = Newcomers::default();
        for elsewhere in [
            headers(&[("x-forwarded-for", "203.0.113.7, 127.0.0.1")]),
            headers(&[("x-forwarded-for", "unknown")]),
            headers(&[("x-real-ip", "203.0.113.7")]),
            headers(&[("x-forwarded-host", "app.example")]),
            headers(&[("forwarded", "for=127.0.0.1")]),
            headers(&[("via", "1.1 proxy")]),
            headers(&[("origin", "https://app.example")]),
            headers(&[("referer", "https://app.example/page")]),
            headers(&[("origin", "null")]),
            headers(&[("referer", "http://localhost,https://app.example")]),
            headers(&[("origin", "https://localhost.app.example")]),
        ] {
            let (one, two) = (newcomers.meet(&elsewhere), newcomers.meet(&elsewhere));
            assert_ne!(one.value(), two.value(), "{elsewhere:?}");
        }
    }

    #[test]
    fn of_too_many_at_once_each_is_alone() {
        let newcomers = Newcomers::default();
        let names: Vec<String> = (0..=NEWCOMERS_MAX).map(|n| format!("browser {n}")).collect();
        let looking = |name: &String| HeaderMap::from_iter([(header::USER_AGENT, name.parse().expect("valid"))]);
        let all: Vec<Newcomer> = names.iter().map(|name| newcomers.meet(&looking(name))).collect();
        let last = names.last().expect("some");
        assert_ne!(newcomers.meet(&looking(last)).value(), all[NEWCOMERS_MAX].value());
        assert_eq!(newcomers.meet(&looking(&names[0])).value(), all[0].value());
    }
}
