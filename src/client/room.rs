//! A project as one client sees it.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use cobuild_protocol::{
    Command, CommandFrame, Cursor, ErrorBody, EventFrame, ProjectId, RequestId, Seq,
    frame::{SnapshotFrame, Welcome},
};
use futures_util::Stream;
use tokio::sync::{mpsc, oneshot};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::AbortOnDropHandle,
};

use super::{
    ClientError, CommandError, Reply, Server,
    outbox::Ask,
    session::{CLOSE_WAIT_MAX, Session},
};

/// What has been received and not yet been asked for. Behind it the socket is no longer read: a reader that stays away
/// is closed by the server as slow, and resumes where it was.
const NOTICES_WAITING_MAX: usize = 256;
/// Commands on their way to the task that sends them, which takes them at once unless it is connecting.
const ASKS_WAITING_MAX: usize = 16;

/// How a client enters a room.
#[derive(Debug, Clone)]
pub struct RoomOptions {
    /// The name to go by.
    pub name: Option<String>,
    /// A random text by which the server knows the participant again.
    pub client: String,
    /// What has been seen already; `None`: the room begins with a snapshot.
    pub since: Option<Cursor>,
    /// For how many milliseconds the server may collect adjacent deltas into one frame; `None`: each comes at once.
    pub rollup_ms: Option<u32>,
}

impl RoomOptions {
    /// Somebody new of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: Some(name.to_owned()), client: random_text(), since: None, rollup_ms: None }
    }
}

/// What a room tells. After a [`Notice::Snapshot`] or none come all events in order, each once.
#[derive(Debug, Clone)]
pub enum Notice {
    /// The connection is in another phase.
    Phase(Phase),
    /// What the server said about itself and us; at each attachment.
    Welcome(Box<Welcome>),
    /// The whole state, in place of what was before.
    Snapshot {
        /// As of its `seq`.
        frame: Box<SnapshotFrame>,
        /// The frame as it came.
        text: String,
    },
    /// The next event.
    Event(Box<Happened>),
    /// The next event, of a kind this client does not know.
    Unknown {
        /// Its place.
        seq: Seq,
        /// The frame as it came.
        text: String,
    },
    /// The server could not read a frame and could not say which.
    Fault(ErrorBody),
    /// It is no use coming back. Nothing follows.
    Refused(ClientError),
}

/// An event.
#[derive(Debug, Clone)]
pub struct Happened {
    /// What happened.
    pub frame: EventFrame,
    /// The frame as it came.
    pub text: String,
}

/// Where a connection is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// A socket is being opened, or is catching up.
    Connecting,
    /// In step with the room.
    Live,
    /// Lost; the next attempt is after this time.
    Waiting {
        /// From now.
        delay: Duration,
        /// Why it was lost.
        reason: String,
    },
}

/// One project over its WebSocket, as a stream of [`Notice`]s. Leaves when it is dropped.
#[derive(Debug)]
pub struct Room {
    notices: mpsc::Receiver<Notice>,
    commander: Commander,
    left: DropGuard,
    session: AbortOnDropHandle<()>,
}

impl Room {
    pub(super) fn enter(server: Server, project: ProjectId, options: RoomOptions) -> Self {
        let (asks, asked) = mpsc::channel(ASKS_WAITING_MAX);
        let (tell, notices) = mpsc::channel(NOTICES_WAITING_MAX);
        let left = CancellationToken::new();
        let session = Session::new(server, project, options, asked, tell, left.clone());
        Self {
            notices,
            commander: Commander { asks },
            left: left.drop_guard(),
            session: AbortOnDropHandle::new(tokio::spawn(session.run())),
        }
    }

    /// What the room tells next; `None` once it is over. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Notice> {
        self.notices.recv().await
    }

    /// What sends commands into this room.
    #[must_use]
    pub const fn commander(&self) -> &Commander {
        &self.commander
    }

    /// Leaves and says so. Commands without a reply fail with [`CommandError::Ended`].
    pub async fn leave(self) {
        let Self { left, mut session, .. } = self;
        drop(left);
        // A server that does not say goodbye is left without.
        let _ = tokio::time::timeout(CLOSE_WAIT_MAX, &mut session).await;
    }
}

impl Stream for Room {
    type Item = Notice;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Notice>> {
        self.notices.poll_recv(context)
    }
}

/// Sends commands into a room. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Commander {
    asks: mpsc::Sender<Ask>,
}

impl Commander {
    /// Sends a command and waits for its reply, however often the connection is lost meanwhile.
    ///
    /// The room must be read beside it: replies come on the same socket as events, which is not read on while
    /// nobody takes what it brought.
    ///
    /// # Errors
    ///
    /// [`CommandError`]: the command was rejected, could not be sent, or got no reply.
    pub async fn send(&self, command: Command) -> Result<Reply, CommandError> {
        self.send_as(new_id(), command).await
    }

    /// The same with an id of the caller's choice: the same id is the same command, also in another process.
    ///
    /// # Errors
    ///
    /// As for [`Commander::send`].
    pub async fn send_as(&self, id: RequestId, command: Command) -> Result<Reply, CommandError> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask { frame: CommandFrame { command, id }, reply };
        self.asks.send(ask).await.map_err(|_| CommandError::Ended)?;
        answer.await.unwrap_or(Err(CommandError::Ended))
    }
}

/// An id no other command has.
#[must_use]
pub fn new_id() -> RequestId {
    random_text().parse().expect("invariant: hexadecimal digits are an id")
}

fn random_text() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}
