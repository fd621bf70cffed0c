//! The pages of a project's preview that are open in somebody's browser, and what they say about themselves.
//!
//! Only a page sees an error that is thrown while the app runs. But the page's code was written by a model, so everything
//! it says is a claim: bounded, counted, shown as the page's own words, and never believed against the dev server.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cobuild_protocol::{event::PreviewError, value::PreviewErrorSource};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

/// Pages of one project that are listened to. Whoever opens more sees them work as ever; they are not asked.
const PAGES_MAX: usize = 32;
/// Errors of one page that are kept: the first says what is wrong, the others are its echo.
const ERRORS_PER_PAGE_MAX: usize = 5;
/// Errors that pages may put into a project's log within [`TOLD_WINDOW`], whatever they report. The log is for ever, and a
/// page may throw on every move of the mouse.
const TOLD_MAX: usize = 10;
/// See [`TOLD_MAX`].
const TOLD_WINDOW: Duration = Duration::from_secs(60);
/// How long pages may take to say that they have come to rest after a change: a busy machine takes seconds for that, and
/// where they don't, what one of them threw is not known to be mended.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// How long a page that has gone may take to come back: it is being loaded anew.
const RELOAD_WITHIN: Duration = Duration::from_secs(3);

/// What a page threw, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageError {
    /// What it says, shortened and without control characters.
    pub message: String,
    /// The project's file it names, as far as it names one.
    pub file: Option<String>,
}

impl From<PageError> for PreviewError {
    fn from(PageError { message, file }: PageError) -> Self {
        Self { message, file, source: PreviewErrorSource::Page }
    }
}

/// The pages of one project. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PreviewPages {
    board: Arc<watch::Sender<Board>>,
}

#[derive(Debug, Default)]
struct Board {
    next: u64,
    pages: BTreeMap<u64, Page>,
    /// The last question to all pages; each says once whether it has come to rest since.
    check: u64,
    /// Pages up to this one are to be loaded anew instead.
    reload_through: u64,
    /// Runs that look at the pages themselves: what those report meanwhile is for the run.
    checks_open: usize,
    /// When a page was last closed.
    left: Option<Instant>,
    /// When errors were told to the room.
    told: VecDeque<Instant>,
    /// The last of them, until the pages do without it.
    shown: Option<String>,
}

#[derive(Debug, Default)]
struct Page {
    errors: Vec<(Instant, PageError)>,
    /// The last question it has answered.
    settled: u64,
    /// Nobody sees it at the moment, so that the browser may have put it to sleep.
    hidden: bool,
}

/// One open page. Dropping it says that the page is gone.
#[derive(Debug)]
pub struct OpenPage {
    board: Arc<watch::Sender<Board>>,
    id: u64,
    questions: watch::Receiver<Board>,
    asked: u64,
}

/// What a page is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// To be named in the answer.
    pub number: u64,
    /// It is to be loaded anew; then the new one is asked.
    pub reload: bool,
}

/// What the room is to know of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageNews {
    /// It threw this.
    Threw(PageError),
    /// It no longer shows what threw this.
    Outdated(String),
}

/// What the open pages make of a change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PageVerdict {
    /// Nobody has the preview open.
    Unwatched,
    /// Every page has come to rest without an error.
    Fine,
    /// One threw this.
    Threw(PageError),
    /// None said anything in time.
    Silent,
}

/// A look at the pages after a change. Until it is over, what they report is for whoever looks.
#[derive(Debug)]
pub(crate) struct Look {
    board: Arc<watch::Sender<Board>>,
    since: Instant,
    /// When the verdict was given.
    judged: Mutex<Option<Instant>>,
    is_open: AtomicBool,
}

impl Default for PreviewPages {
    fn default() -> Self {
        Self { board: Arc::new(watch::channel(Board::default()).0) }
    }
}

impl PreviewPages {
    /// A page was opened. `None`: there are too many.
    #[must_use]
    pub fn open(&self) -> Option<OpenPage> {
        let mut opened = None;
        self.board.send_if_modified(|board| {
            if board.pages.len() >= PAGES_MAX {
                return false;
            }
            board.next += 1;
            board.pages.insert(board.next, Page::default());
            opened = Some(board.next);
            true
        });
        let id = opened?;
        Some(OpenPage { board: Arc::clone(&self.board), id, questions: self.board.subscribe(), asked: 0 })
    }

    /// Begins to look; before the change is made, so that nothing it causes is missed.
    pub(crate) fn look(&self) -> Look {
        self.board.send_modify(|board| board.checks_open += 1);
        Look {
            board: Arc::clone(&self.board),
            since: Instant::now(),
            judged: Mutex::new(None),
            is_open: AtomicBool::new(true),
        }
    }

    /// Whether this error of the preview is one that a page claimed, not one that was found.
    pub(crate) fn claimed(&self, error: &str) -> bool {
        self.board.borrow().shown.as_deref() == Some(error)
    }
}

impl OpenPage {
    /// Waits for the next question, which [`OpenPage::settled`] answers. Cancel-safe.
    pub async fn question(&mut self) -> Question {
        let asked = self.asked;
        let next = self.questions.wait_for(|board| board.checks_open > 0 && board.check > asked).await;
        // The board lives as long as the page does.
        let board = next.expect("invariant: this page holds its sender");
        let question = Question { number: board.check, reload: self.id <= board.reload_through };
        drop(board);
        self.asked = question.number;
        question
    }

    /// The page threw something. Returns what the room is to know of it.
    #[must_use]
    pub fn threw(&self, error: PageError) -> Option<PageNews> {
        let mut news = None;
        self.board.send_modify(|board| {
            // Before or after a verdict: decided while nobody else looks at the board.
            let now = Instant::now();
            let Some(page) = board.pages.get_mut(&self.id) else { return };
            if page.errors.len() < ERRORS_PER_PAGE_MAX {
                page.errors.push((now, error.clone()));
            }
            board.told.retain(|at| now.duration_since(*at) < TOLD_WINDOW);
            let is_news = board.shown.as_deref() != Some(&error.message);
            if board.checks_open == 0 && is_news && board.told.len() < TOLD_MAX {
                board.told.push_back(now);
                board.shown = Some(error.message.clone());
                news = Some(PageNews::Threw(error));
            }
        });
        news
    }

    /// The page has another version of the app from here on: what the one before threw no longer counts. Returns what the
    /// room was told and is out of date.
    #[must_use]
    pub fn renewed(&self) -> Option<PageNews> {
        let mut outdated = None;
        self.board.send_modify(|board| {
            if let Some(page) = board.pages.get_mut(&self.id) {
                page.errors.clear();
            }
            if board.checks_open == 0 {
                outdated = board.shown.take().map(PageNews::Outdated);
            }
        });
        outdated
    }

    /// The page has come to rest after this question.
    pub fn settled(&self, question: u64) {
        self.change(|page| page.settled = page.settled.max(question));
    }

    /// Whether somebody sees the page.
    pub fn hidden(&self, hidden: bool) {
        self.change(|page| page.hidden = hidden);
    }

    fn change(&self, change: impl FnOnce(&mut Page)) {
        self.board.send_modify(|board| {
            board.pages.get_mut(&self.id).map(change);
        });
    }
}

impl Drop for OpenPage {
    fn drop(&mut self) {
        self.board.send_modify(|board| {
            board.pages.remove(&self.id);
            board.left = Some(Instant::now());
        });
    }
}

impl Look {
    /// Asks every page, and waits until all have come to rest, within limits. Where one throws, all are loaded anew and
    /// asked once more: what an app throws in the middle of an update is gone with that. Cancel-safe.
    pub(crate) async fn verdict(&self) -> PageVerdict {
        match self.ask(false, self.since).await {
            PageVerdict::Threw(error) => match self.ask(true, Instant::now()).await {
                // They were there a moment ago.
                PageVerdict::Silent | PageVerdict::Unwatched => {
                    self.board.send_modify(|board| board.shown = Some(error.message.clone()));
                    PageVerdict::Threw(error)
                }
                verdict => verdict,
            },
            verdict => verdict,
        }
    }

    /// Ends the look. Returns what was thrown since its verdict, and before this: what is thrown later is for the room.
    pub(crate) fn late(&self) -> Option<PageError> {
        let judged = *self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        let mut late = None;
        self.board.send_modify(|board| {
            self.close(board);
            let Some(judged) = judged else { return };
            let thrown = board.pages.values().flat_map(|page| &page.errors).filter(|(at, _)| *at >= judged);
            late = thrown.min_by_key(|(at, _)| *at).map(|(_, error)| error.clone());
            if let Some(PageError { message, .. }) = &late {
                board.shown = Some(message.clone());
            }
        });
        late
    }

    /// What pages report is no longer for whoever looks.
    fn close(&self, board: &mut Board) {
        if self.is_open.swap(false, Ordering::AcqRel) {
            board.checks_open -= 1;
        }
    }

    async fn ask(&self, reload: bool, since: Instant) -> PageVerdict {
        let mut question = 0;
        self.board.send_modify(|board| {
            board.check += 1;
            question = board.check;
            if reload {
                board.reload_through = board.next;
            }
            // Whoever looks says how the preview is now.
            board.shown = None;
        });
        if !self.is_watched().await {
            return PageVerdict::Unwatched;
        }
        let mut answers = self.board.subscribe();
        let at_rest = |board: &Board| {
            board.is_watched() && board.pages.values().all(|page| page.hidden || page.settled >= question)
        };
        let all = timeout(ANSWER_WITHIN, answers.wait_for(at_rest)).await.is_ok_and(|board| board.is_ok());
        let mut verdict = PageVerdict::Silent;
        self.board.send_modify(|board| {
            *self.judged.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            let thrown = board.pages.values().flat_map(|page| &page.errors).filter(|(at, _)| *at >= since);
            if let Some((_, error)) = thrown.min_by_key(|(at, _)| *at) {
                verdict = PageVerdict::Threw(error.clone());
                board.shown = Some(error.message.clone());
            } else if all || board.pages.values().any(|page| page.settled >= question) {
                verdict = PageVerdict::Fine;
            }
        });
        verdict
    }

    /// Whether a page is there to be asked. One that is being loaded anew is not there for a moment.
    async fn is_watched(&self) -> bool {
        let mut pages = self.board.subscribe();
        loop {
            let back_by = {
                let board = pages.borrow_and_update();
                if board.is_watched() {
                    return true;
                }
                board.left.map(|left| left + RELOAD_WITHIN).filter(|by| *by > Instant::now())
            };
            let Some(back_by) = back_by else { return false };
            tokio::select! {
                _ = pages.changed() => {}
                () = sleep_until(back_by) => {}
            }
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.board.send_modify(|board| self.close(board));
    }
}

impl Board {
    fn is_watched(&self) -> bool {
        self.pages.values().any(|page| !page.hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(message: &str) -> PageError {
        PageError { message: message.to_owned(), file: None }
    }

    fn told(message: &str) -> Option<PageNews> {
        Some(PageNews::Threw(error(message)))
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_looks() {
        let pages = PreviewPages::default();
        assert_eq!(pages.look().verdict().await, PageVerdict::Unwatched);
        let page = pages.open().unwrap();
        page.hidden(true);
        assert_eq!(pages.look().verdict().await, PageVerdict::Unwatched, "a page behind others does not count");
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_comes_to_rest_is_fine() {
        let pages = PreviewPages::default();
        let mut page = pages.open().unwrap();
        let look = pages.look();
        let answer = async {
            let question = page.question().await;
            assert!(!question.reload);
            page.settled(question.number);
        };
        assert_eq!(tokio::join!(look.verdict(), answer).0, PageVerdict::Fine);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_thrown_after_the_verdict_is_not_lost() {
        let pages = PreviewPages::default();
        let mut page = pages.open().unwrap();
        let look = pages.look();
        assert_eq!(page.threw(error("in between")), None);
        let answer = async {
            let question = page.question().await;
            assert_eq!(page.renewed(), None);
            page.settled(question.number);
        };
        assert_eq!(tokio::join!(look.verdict(), answer).0, PageVerdict::Fine);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(page.threw(error("late")), None, "the look is not over");
        assert_eq!(look.late(), Some(error("late")));
        assert!(pages.claimed("late"));
        assert_eq!(page.threw(error("later")), told("later"), "it is over");
        drop(look);
        let look = pages.look();
        assert_eq!(page.threw(error("for the next one")), None);
        assert_eq!(look.late(), None, "there was no verdict");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_version_before_threw_does_not_count() {
        let pages = PreviewPages::default();
        let mut page = pages.open().unwrap();
        assert_eq!(page.threw(error("long ago")), told("long ago"));
        tokio::time::advance(Duration::from_secs(1)).await;
        let look = pages.look();
        assert_eq!(page.threw(error("old")), None, "it is for the look");
        let answer = async {
            let question = page.question().await;
            assert_eq!(page.renewed(), None);
            page.settled(question.number);
        };
        assert_eq!(tokio::join!(look.verdict(), answer).0, PageVerdict::Fine);
    }

    /// A page that throws when it is asked, and when it is loaded anew throws that.
    async fn throws(pages: &PreviewPages, mut page: OpenPage, anew: Option<&str>) -> OpenPage {
        let question = page.question().await;
        assert_eq!(page.threw(error("first")), None);
        page.settled(question.number);
        assert!(page.question().await.reload);
        drop(page);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut page = pages.open().unwrap();
        assert_eq!(anew.and_then(|message| page.threw(error(message))), None);
        let question = page.question().await;
        assert!(!question.reload);
        page.settled(question.number);
        page
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_counts_when_it_is_there_after_loading_anew() {
        let pages = PreviewPages::default();
        let look = pages.look();
        let page = pages.open().unwrap();
        let (verdict, page) = tokio::join!(look.verdict(), throws(&pages, page, Some("again")));
        assert_eq!(verdict, PageVerdict::Threw(error("again")));
        assert!(pages.claimed("again"), "it is what the page says");
        let (verdict, page) = tokio::join!(look.verdict(), throws(&pages, page, None));
        assert_eq!(verdict, PageVerdict::Fine, "it was in the middle of an update");
        assert!(!pages.claimed("first"));
        drop(page);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_does_not_come_back_has_said_enough() {
        let pages = PreviewPages::default();
        let look = pages.look();
        let mut page = pages.open().unwrap();
        let leave = async {
            let question = page.question().await;
            assert_eq!(page.threw(error("last words")), None);
            page.settled(question.number);
            assert!(page.question().await.reload);
            drop(page);
        };
        assert_eq!(tokio::join!(look.verdict(), leave).0, PageVerdict::Threw(error("last words")));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_says_nothing_is_not_waited_for_long() {
        let pages = PreviewPages::default();
        let page = pages.open().unwrap();
        let began = Instant::now();
        let look = pages.look();
        assert_eq!(look.verdict().await, PageVerdict::Silent);
        assert_eq!(began.elapsed(), ANSWER_WITHIN);
        assert_eq!(page.threw(error("and hangs")), None, "it is for the look");
        assert_eq!(look.verdict().await, PageVerdict::Threw(error("and hangs")));
    }

    #[tokio::test(start_paused = true)]
    async fn the_room_hears_of_each_error_once_and_not_without_end() {
        let pages = PreviewPages::default();
        let page = pages.open().unwrap();
        assert_eq!(page.threw(error("a")), told("a"));
        assert_eq!(page.threw(error("a")), None);
        assert!(pages.claimed("a") && !pages.claimed("b"));
        assert_eq!(page.renewed(), Some(PageNews::Outdated("a".into())));
        assert_eq!(page.renewed(), None, "once");
        let many = (0..100).filter(|n| page.threw(error(&n.to_string())).is_some()).count();
        assert_eq!(many, TOLD_MAX - 1);
        tokio::time::advance(TOLD_WINDOW).await;
        assert_eq!(page.threw(error("later")), told("later"));
    }

    #[test]
    fn there_are_not_more_pages_than_are_listened_to() {
        let pages = PreviewPages::default();
        let mut open: Vec<_> = std::iter::from_fn(|| pages.open()).take(PAGES_MAX + 1).collect();
        assert_eq!(open.len(), PAGES_MAX);
        open.pop();
        assert!(pages.open().is_some());
    }
}
