//! Who a browser without a project header is, and which project that means.
//!
//! A token's holder has projects by their name, a browser by a cookie of ours, and a program that shows neither is the
//! server's one user. What a client says about a sandbox is a wish, never an authority.
//!
//! A page's first requests come at once, none of them with a cookie yet: see [`Newcomers`].

mod newcomers;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
};
use cobuild_protocol::{ProjectId, ProjectState};
use lru::LruCache;
use sha2::{Digest as _, Sha256};

use self::newcomers::{Newcomer, Newcomers};
use super::wire::ReportedError;
use crate::{
    http::{
        HttpState,
        auth::{Access, Grant},
        legacy::{caller::Call, dialect::Dialect, refusal::Refusal},
        listener::Connection,
    },
    project::{ProjectError, ProjectHandle},
};

/// The cookie by which a browser is known again. Its value is random and goes into no id.
const COOKIE: &str = "cobuild_browser";
/// How long a browser keeps it, in seconds: a year.
const COOKIE_AGE_MAX: u64 = 365 * 24 * 3600;
/// The project of a caller who shows nothing at all.
const PROJECT_DEFAULT: &str = "default";
/// Callers whose present project is remembered; the others' is looked up again.
const CALLERS_MAX: usize = 4096;
/// Within this time after a sandbox was made, the same caller gets the same one: such pages ask for it twice. Later, it
/// is a new app that is wanted.
const SAME_APP_WITHIN: Duration = Duration::from_secs(30);

/// Errors of their app that a caller has reported and that are kept, the last ones.
const REPORTS_MAX: usize = 10;

/// Which project each caller is in.
#[derive(Debug)]
pub(crate) struct Browsers {
    places: Mutex<LruCache<String, Arc<Place>>>,
    newcomers: Newcomers,
}

/// Where a caller is.
#[derive(Debug, Default)]
struct Place {
    seat: Mutex<Seat>,
    /// When a sandbox was made here last. Held while one is made, which other calls need not wait for.
    made_at: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Seat {
    /// `None`: not looked up yet.
    number: Option<u32>,
    reports: VecDeque<ReportedError>,
}

impl Default for Browsers {
    fn default() -> Self {
        let capacity = std::num::NonZeroUsize::new(CALLERS_MAX).expect("invariant: not zero");
        Self { places: Mutex::new(LruCache::new(capacity)), newcomers: Newcomers::default() }
    }
}

/// Somebody who was let in, in the project they are in.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    pub(crate) call: Call,
    base: String,
    /// Whether a token names the one project there is for its holder.
    is_fixed: bool,
    place: Arc<Place>,
}

/// What a request showed of its sender.
pub(crate) struct Shown {
    headers: HeaderMap,
    connection: Option<Connection>,
}

impl Shown {
    pub(crate) fn of(request: &Request) -> Self {
        Self { headers: request.headers().clone(), connection: request.extensions().get::<Connection>().cloned() }
    }
}

/// Finds out who sent a request. The second part is a cookie to be set, for one who has none.
pub(crate) async fn recognise(state: &HttpState, shown: Shown) -> Result<(Browser, Option<Cookie>), Refusal> {
    let grant = state.access.admit_request(&shown.headers).await?;
    let (base, is_fixed, cookie) = base(state, &grant, &shown.headers);
    let place = {
        let mut places = state.legacy.browsers.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.get_or_insert(base.clone(), Arc::default))
    };
    let number = if is_fixed { 0 } else { place.number(state, &base).await? };
    let call = Call::new(state, shown.connection, project(state, &base, number)?, grant, Dialect::Browser)?;
    Ok((Browser { call, base, is_fixed, place }, cookie))
}

/// A cookie to be set; kept until the answer that sets it is on its way.
pub(crate) struct Cookie {
    newcomer: Newcomer,
    is_secure: bool,
}

impl Cookie {
    /// As a header of the answer.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let (value, secure) = (self.newcomer.value(), if self.is_secure { "; Secure" } else { "" });
        let cookie = format!("{COOKIE}={value}; Path=/; Max-Age={COOKIE_AGE_MAX}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(cookie).ok()
    }
}

/// What a caller's projects are called, whether there is only one, and a cookie for a browser that has none yet.
fn base(state: &HttpState, grant: &Grant, headers: &HeaderMap) -> (String, bool, Option<Cookie>) {
    if let Some(project) = grant.only_project() {
        return (project.to_string(), true, None);
    }
    if grant.is_personal() {
        return (format!("user-{}", digest(&grant.program_key())), false, None);
    }
    if let Some(value) = cookie_of(headers) {
        return (format!("browser-{}", digest(value)), false, None);
    }
    // Programs keep no cookies as a rule, and are the server's one user.
    if !is_browser(headers) {
        return (PROJECT_DEFAULT.to_owned(), false, None);
    }
    // Who is let in without a token may open every project there is, so nothing is shown to anybody by a mistake.
    let newcomers = &state.legacy.browsers.newcomers;
    let newcomer = if state.access.is_open() { newcomers.meet(headers) } else { Newcomer::alone() };
    let base = format!("browser-{}", digest(newcomer.value()));
    (base, false, Some(Cookie { newcomer, is_secure: state.url.starts_with("https:") }))
}

/// Whether a request comes from a browser: only they say how it came about – though not to a server in the local network
/// that is reached without TLS –, which page it is from, or call themselves by this old name.
fn is_browser(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes);
    let says = |name: &str| headers.contains_key(name);
    says("sec-fetch-site") || says("origin") || says("referer") || agent.starts_with(b"Mozilla/")
}

fn cookie_of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
    (value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(value)
}

/// Names somebody's projects without telling their cookie.
fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(format!("legacy browser\0{text}"))[..10])
}

/// The project with a number. All but the first have a mark, so that nobody can put one of their own in its place.
fn project(state: &HttpState, base: &str, number: u32) -> Result<ProjectId, Refusal> {
    let id = match u64::from(number) + 1 {
        1 => base.to_owned(),
        place => sealed(&state.access, &format!("{base}-{place}")),
    };
    id.parse().map_err(|_| Refusal::bad_request("this token's project has no room for another app"))
}

fn sealed(access: &Access, name: &str) -> String {
    format!("{name}-{}", access.seal_of(name))
}

impl Place {
    fn seat(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the caller's newest project.
    async fn number(&self, state: &HttpState, base: &str) -> Result<u32, ProjectError> {
        let known = self.seat().number;
        if let Some(number) = known {
            return Ok(number);
        }
        let numbers = state.registry.list().await?;
        let newest = numbers
            .iter()
            .filter_map(|summary| number_of(&state.access, summary.project.as_str(), base))
            .max()
            .unwrap_or(0);
        // Whoever has looked meanwhile may have gone on to the next one.
        Ok(*self.seat().number.get_or_insert(newest))
    }
}

/// The number of a project of this caller; `None` for one that the server has not named itself.
fn number_of(access: &Access, id: &str, base: &str) -> Option<u32> {
    let rest = id.strip_prefix(base)?;
    if rest.is_empty() {
        return Some(0);
    }
    let (place, _) = rest.strip_prefix('-')?.split_once('-')?;
    let place = place.parse::<u32>().ok().filter(|place| *place >= 2)?;
    (sealed(access, &format!("{base}-{place}")) == id).then(|| place - 1)
}

impl Browser {
    /// Somebody who names their project themselves, and has only this one.
    pub(crate) fn of_project(call: Call) -> Self {
        Self { base: call.project.to_string(), call, is_fixed: true, place: Arc::default() }
    }

    /// The project the caller is in.
    pub(crate) async fn handle(&self) -> Result<ProjectHandle, Refusal> {
        self.call.handle().await
    }

    /// The project for a sandbox somebody asks for: the one they are in when they have just been given it or have done
    /// nothing there yet, else another, so that nothing of the last app is lost. `make` is done with it before another
    /// request of the same caller gets an answer to the same question.
    pub(crate) async fn app<F, T>(&mut self, make: impl FnOnce(Call, ProjectHandle) -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        let place = Arc::clone(&self.place);
        let mut made_at = place.made_at.lock().await;
        if !self.is_fixed {
            // Where they are may have changed while they waited.
            self.go_to(place.number(&self.call.state, &self.base).await?)?;
        }
        let handle = self.handle().await?;
        let is_same = made_at.is_some_and(|at| at.elapsed() < SAME_APP_WITHIN);
        let handle = if self.is_fixed || is_same || is_untouched(&handle.state().await?.1) {
            handle
        } else {
            let number = place.number(&self.call.state, &self.base).await?;
            let next = number.checked_add(1).ok_or_else(|| Refusal::bad_request("there are too many apps"))?;
            self.go_to(next)?;
            *place.seat() = Seat { number: Some(next), reports: VecDeque::new() };
            self.handle().await?
        };
        let made = make(self.call.clone(), handle).await;
        *made_at = Some(Instant::now());
        made
    }

    fn go_to(&mut self, number: u32) -> Result<(), Refusal> {
        self.call.project = project(&self.call.state, &self.base, number)?;
        self.call.grant.enter(&self.call.project)?;
        Ok(())
    }

    /// Keeps an error of their app that the caller reports.
    pub(crate) fn report(&self, error: ReportedError) {
        let reports = &mut self.place.seat().reports;
        reports.push_back(error);
        let too_many = reports.len().saturating_sub(REPORTS_MAX);
        reports.drain(..too_many);
    }

    /// What was reported.
    pub(crate) fn reports(&self) -> Vec<ReportedError> {
        self.place.seat().reports.iter().cloned().collect()
    }

    /// Forgets what was reported.
    pub(crate) fn forget_reports(&self) {
        self.place.seat().reports.clear();
    }
}

/// Whether nobody has asked, applied or installed anything here.
fn is_untouched(view: &ProjectState) -> bool {
    view.messages.is_empty() && view.runs.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::auth;

    #[test]
    fn projects_are_counted_from_the_second_on() {
        let access = auth::testing::open();
        let sealed = |name: &str| sealed(&access, name);
        for (id, expected) in [
            ("default".to_owned(), Some(0)),
            (sealed("default-2"), Some(1)),
            (sealed("default-3"), Some(2)),
            (sealed("default-1"), None),
            (sealed("default-02"), None),
            (sealed("defaults-2"), None),
            // Anybody can name a project so.
            ("default-2".into(), None),
            ("default-7".into(), None),
            ("default-4294967295".into(), None),
            ("default-2-0123456789abcdef".into(), None),
            (format!("default-3-{}", access.seal_of("default-2")), None),
            ("defaults".into(), None),
        ] {
            assert_eq!(number_of(&access, &id, "default"), expected, "{id}");
        }
    }

    #[test]
    fn browsers_are_told_from_programs() {
        let with = |name: &'static str, value: &'static str| {
            is_browser(&HeaderMap::from_iter([(
                header::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )]))
        };
        for (name, value, expected) in [
            ("sec-fetch-site", "none", true),
            ("origin", "http://192.168.1.7:3000", true),
            ("referer", "http://192.168.1.7:3000/", true),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", true),
            ("user-agent", "curl/8.14.1", false),
            ("user-agent", "Python/3.13 aiohttp/3.14.5", false),
            ("accept", "*/*", false),
        ] {
            assert_eq!(with(name, value), expected, "{name}: {value}");
        }
    }

    #[test]
    fn only_our_own_cookies_count() {
        let with = |cookies: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, cookies.parse().expect("valid"));
            cookie_of(&headers).map(str::to_owned)
        };
        let value = "0123456789abcdef0123456789abcdef";
        assert_eq!(with(&format!("a=b; {COOKIE}={value}; c=d")).as_deref(), Some(value));
        for bad in ["a=b", &format!("{COOKIE}=short"), &format!("x{COOKIE}={value}")] {
            assert_eq!(with(bad), None, "{bad}");
        }
    }
}
