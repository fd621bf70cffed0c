//! The way into a project: a cheap handle that talks to its actor.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use cobuild_protocol::{
    Command, CommandFrame, Cursor, Epoch, FilePath, ParticipantId, ProjectId, ProjectState, RequestId, Seq,
    frame::{AttachMode, ControlFrame, Rejected, ResultFrame},
    state::FileInfo,
    value::{ContentHash, Presence, Role},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    error::ProjectError,
    event_log::{EventLogReader, Feed},
    event_store::SharedStore,
    file_tree,
    history::{self, Point},
    places::{Holder, Place, Places},
    presence::PresenceBoard,
    preview_pages::{PageNews, PreviewPages},
    room::Seat,
    sandbox_provider::Sandbox,
};

/// Requests to one actor that may wait. Clients wait for their replies, so only a burst of clients fills it; then they
/// wait here, and nobody else does.
pub(crate) const MAILBOX_MAX: usize = 256;

/// A handle to one project. Cheap to clone; the project lives on without it.
#[derive(Debug, Clone)]
pub struct ProjectHandle {
    pub(crate) project: ProjectId,
    pub(crate) mailbox: mpsc::Sender<Request>,
    pub(crate) log: EventLogReader,
    pub(crate) presence: PresenceBoard,
    pub(crate) pages: PreviewPages,
    pub(crate) places: Places,
    pub(crate) removals: watch::Receiver<()>,
    pub(crate) store: SharedStore,
}

/// A file that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// Where.
    pub path: FilePath,
    /// What it held; `None`: there was no such file.
    pub before: Option<ContentHash>,
    /// What it holds; `None`: it is gone.
    pub after: Option<ContentHash>,
}

/// Who wants to come in.
#[derive(Debug, Clone)]
pub struct Identity {
    /// What stays the same when they come back: the subject of their token, or the client's own random text. `None`: a
    /// new participant every time.
    pub key: Option<String>,
    /// The name to go by.
    pub name: Option<String>,
    /// Those they came with, such as the id of a share link: all of them together have one participant's share of the
    /// queue and of the connections, since anybody can be several of them.
    pub party: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Whether they come to look at the app, so that a sandbox is made for them. A program that does one thing does not.
    pub looks: bool,
}

/// A place in the room. Dropping it leaves the room.
#[derive(Debug)]
pub struct Member {
    participant: ParticipantId,
    role: Role,
    party: Option<Arc<str>>,
    /// Given back with it.
    _place: Place,
    seat: Seat,
    mailbox: mpsc::Sender<Request>,
}

impl Member {
    pub(crate) fn new(
        participant: ParticipantId,
        role: Role,
        party: Option<Arc<str>>,
        place: Place,
        seat: Seat,
        mailbox: mpsc::Sender<Request>,
    ) -> Self {
        Self { participant, role, party, _place: place, seat, mailbox }
    }

    /// Cancelled when an owner removes whoever has this place from the project.
    #[must_use]
    pub fn removed(&self) -> CancellationToken {
        self.seat.removed.clone()
    }

    /// Who.
    #[must_use]
    pub fn participant(&self) -> ParticipantId {
        self.participant
    }

    /// What they may do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let leave = Request::Leave { participant: self.participant };
        if let Err(mpsc::error::TrySendError::Full(leave)) = self.mailbox.try_send(leave)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let mailbox = self.mailbox.clone();
            runtime.spawn(async move {
                // A closed mailbox means there is no room to leave any more.
                let _ = mailbox.send(leave).await;
            });
        }
    }
}

/// Everything a connection needs from its first moment on: nothing is lost or doubled in between.
#[derive(Debug)]
pub struct Subscription {
    /// The place in the room.
    pub member: Member,
    /// How the client catches up.
    pub mode: AttachMode,
    /// The life of the log.
    pub epoch: Epoch,
    /// The last event there was when the subscription was made.
    pub head: Seq,
    /// The encoded `snapshot` frame, for [`AttachMode::Snapshot`].
    pub snapshot: Option<Bytes>,
    /// The events after the client's cursor, or after the snapshot: first the replay up to `head`, then live.
    pub feed: Feed,
}

/// What the actor answers to a join.
#[derive(Debug)]
pub(crate) struct Joined {
    /// Part of the answer, so that an answer nobody reads leaves the room again.
    pub(crate) member: Member,
    pub(crate) mode: AttachMode,
    pub(crate) head: Seq,
    /// The last event the client has before the feed.
    pub(crate) from: Seq,
    pub(crate) snapshot: Option<Bytes>,
}

/// The live preview, now.
#[derive(Debug, Clone)]
pub enum Preview {
    /// Its dev server answers.
    Ready(Arc<dyn Sandbox>),
    /// It will; try again in a moment.
    Starting {
        /// What is being done, for a person.
        detail: Option<String>,
    },
    /// It will not without somebody doing something.
    Failed {
        /// Why, and what to do.
        reason: String,
    },
}

/// What can be asked of an actor.
#[derive(Debug)]
pub(crate) enum Request {
    Join {
        identity: Identity,
        since: Option<Cursor>,
        reply: oneshot::Sender<Result<Joined, ProjectError>>,
    },
    Leave {
        participant: ParticipantId,
    },
    Command {
        by: ParticipantId,
        role: Role,
        /// Those the participant came with.
        party: Option<Arc<str>>,
        frame: CommandFrame,
        reply: oneshot::Sender<ControlFrame>,
    },
    State {
        reply: oneshot::Sender<(Seq, ProjectState)>,
    },
    /// Whether an owner has removed whoever is known by this.
    IsRemoved {
        key: String,
        reply: oneshot::Sender<bool>,
    },
    /// What a command was answered, if it was.
    Recall {
        id: RequestId,
        reply: oneshot::Sender<Option<ControlFrame>>,
    },
    Preview {
        reply: oneshot::Sender<Preview>,
    },
    /// The room is to know something of a page of the preview.
    Page {
        news: PageNews,
    },
    /// The project is about to be deleted.
    Delete,
}

impl ProjectHandle {
    /// Which project.
    #[must_use]
    pub fn project(&self) -> &ProjectId {
        &self.project
    }

    /// Where everybody is and what they are doing.
    #[must_use]
    pub fn presence(&self) -> &PresenceBoard {
        &self.presence
    }

    /// The preview's pages that are open.
    #[must_use]
    pub fn pages(&self) -> &PreviewPages {
        &self.pages
    }

    /// Tells the room of a page of the preview.
    pub async fn tell(&self, news: PageNews) -> Result<(), ProjectError> {
        self.send(Request::Page { news }).await
    }

    /// Returns once the project is no longer in memory. Cancel-safe.
    pub async fn closed(&self) {
        self.mailbox.closed().await;
    }

    /// The log, for readers that are not in the room.
    #[must_use]
    pub fn log(&self) -> &EventLogReader {
        &self.log
    }

    /// Enters the room. Mode, snapshot and feed belong to one moment of the log.
    pub async fn join(&self, identity: Identity, since: Option<Cursor>) -> Result<Subscription, ProjectError> {
        let (reply, joined) = oneshot::channel();
        self.send(Request::Join { identity, since, reply }).await?;
        let joined = joined.await.map_err(|_| ProjectError::Closing)??;
        Ok(Subscription {
            member: joined.member,
            mode: joined.mode,
            epoch: self.log.epoch().clone(),
            head: joined.head,
            snapshot: joined.snapshot,
            feed: self.log.feed(joined.from),
        })
    }

    /// Carries out a command. Exactly one of accepted, rejected and result comes back. Dropping the future does not
    /// take the command back; sending it again with the same id gets the same reply, also where the participant sends too
    /// much.
    pub async fn submit(&self, member: &Member, frame: CommandFrame) -> ControlFrame {
        let id = frame.id.clone();
        if let Err(retry_after) = member.seat.allowance.take(Instant::now()) {
            return self.refuse_for_now(id, "too many commands of one participant", retry_after).await;
        }
        if let Command::SetPresence(presence) = frame.command {
            if member.seat.removed.is_cancelled() {
                let error = ProjectError::removed().body();
                return ControlFrame::Rejected(Rejected { id: Some(id), error });
            }
            self.presence.set(member.participant, shortened(presence));
            return ControlFrame::Result(ResultFrame { id, data: serde_json::json!({}) });
        }
        let (reply, answer) = oneshot::channel();
        let Member { participant: by, role, ref party, .. } = *member;
        let request = Request::Command { by, role, party: party.clone(), frame, reply };
        let answer = match self.send(request).await {
            Ok(()) => answer.await.map_err(|_| ProjectError::Closing),
            Err(error) => Err(error),
        };
        answer.unwrap_or_else(|error| ControlFrame::Rejected(Rejected { id: Some(id), error: error.body() }))
    }

    /// The reply to a command that comes too fast: `rate_limited`, unless it was answered before.
    pub async fn refuse_for_now(&self, id: RequestId, why: &'static str, retry_after: Duration) -> ControlFrame {
        let (reply, earlier) = oneshot::channel();
        let earlier = match self.send(Request::Recall { id: id.clone(), reply }).await {
            Ok(()) => earlier.await.ok().flatten(),
            Err(_) => None,
        };
        earlier.unwrap_or_else(|| {
            let error = ProjectError::RateLimited(why, retry_after).body();
            ControlFrame::Rejected(Rejected { id: Some(id), error })
        })
    }

    /// The committed state.
    pub async fn state(&self) -> Result<(Seq, ProjectState), ProjectError> {
        let (reply, state) = oneshot::channel();
        self.send(Request::State { reply }).await?;
        state.await.map_err(|_| ProjectError::Closing)
    }

    /// One file of the tree.
    pub async fn read_file(&self, path: &FilePath) -> Result<(FileInfo, Bytes), ProjectError> {
        let (_, state) = self.state().await?;
        let info = state.files.get(path).ok_or_else(|| ProjectError::NotFound(format!("there is no file {path}")))?;
        Ok((info.clone(), self.blob(&info.hash).await?))
    }

    /// The tree as it was after event `at`. Reads the log.
    pub async fn files_at(&self, at: Seq) -> Result<BTreeMap<FilePath, FileInfo>, ProjectError> {
        if !(1..=self.log.head()).contains(&at) {
            return Err(ProjectError::NotFound(format!("there is no event {at}")));
        }
        history::tree_at(&self.store, &self.project, at).await
    }

    /// The points the files can be brought back to before event `before`, newest first, at most `limit`. Reads the log.
    pub async fn history(&self, before: Option<Seq>, limit: usize) -> Result<Vec<Point>, ProjectError> {
        history::points(&self.store, &self.project, before.unwrap_or(Seq::MAX), limit).await
    }

    /// Which files differ between two events; the second is now unless it is given. In path order.
    pub async fn changes(&self, from: Seq, to: Option<Seq>) -> Result<Vec<ChangedFile>, ProjectError> {
        let (head, state) = self.state().await?;
        if let Some(seq) = [Some(from), to].into_iter().flatten().find(|seq| !(1..=head).contains(seq)) {
            return Err(ProjectError::NotFound(format!("there is no event {seq}")));
        }
        let before = history::tree_at(&self.store, &self.project, from).await?;
        let after = match to {
            Some(to) => history::tree_at(&self.store, &self.project, to).await?,
            None => state.files,
        };
        let difference = file_tree::difference(&before, &after);
        let hash = |tree: &file_tree::Tree, path: &FilePath| tree.get(path).map(|info| info.hash.clone());
        let paths: BTreeSet<&FilePath> =
            difference.deleted.into_iter().chain(difference.written.into_iter().map(|(path, _)| path)).collect();
        let changed = |path: &FilePath| ChangedFile {
            path: path.clone(),
            before: hash(&before, path),
            after: hash(&after, path),
        };
        Ok(paths.into_iter().map(changed).collect())
    }

    /// One content of the store.
    pub async fn blob(&self, hash: &ContentHash) -> Result<Bytes, ProjectError> {
        self.store.blob(hash).await?.ok_or(ProjectError::Internal)
    }

    /// Fails when an owner has removed whoever is known by this [`Identity::key`].
    pub(crate) async fn check_not_removed(&self, key: String) -> Result<(), ProjectError> {
        let (reply, removed) = oneshot::channel();
        self.send(Request::IsRemoved { key, reply }).await?;
        if removed.await.map_err(|_| ProjectError::Closing)? { Err(ProjectError::removed()) } else { Ok(()) }
    }

    /// Changes with every removal: whoever is not in the room asks again then.
    pub(crate) fn removals(&self) -> watch::Receiver<()> {
        self.removals.clone()
    }

    /// A place for somebody who only reads along and says who they are by nothing but their party.
    pub(crate) fn take_reader_place(&self, party: Option<String>) -> Result<Place, ProjectError> {
        self.places.take(party.map_or(Holder::Anybody, |party| Holder::Party(party.into())))
    }

    /// The live preview. Starts a sandbox when there is none.
    pub async fn preview(&self) -> Result<Preview, ProjectError> {
        let (reply, preview) = oneshot::channel();
        self.send(Request::Preview { reply }).await?;
        preview.await.map_err(|_| ProjectError::Closing)
    }

    /// Closes the room for good. Returns before the actor is gone.
    pub(crate) async fn delete(&self) {
        // A closed mailbox means the actor is going already.
        let _ = self.send(Request::Delete).await;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.mailbox.is_closed()
    }

    async fn send(&self, request: Request) -> Result<(), ProjectError> {
        self.mailbox.send(request).await.map_err(|_| ProjectError::Closing)
    }
}

/// Longest preview path a participant may announce, in characters.
const ROUTE_LENGTH_MAX: usize = 512;

fn shortened(mut presence: Presence) -> Presence {
    if let Some(route) = &mut presence.route {
        *route = route.chars().filter(|c| !c.is_control()).take(ROUTE_LENGTH_MAX).collect();
    }
    presence
}
