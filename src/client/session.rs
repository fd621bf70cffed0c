//! The task behind a [`Room`](super::Room): one connection after the other, for as long as somebody listens.

use std::time::Duration;

use cobuild_protocol::{
    CloseCode, PROTOCOL_VERSION, ProjectId, Seq,
    frame::{AttachMode, ControlFrame, HelloFrame, HelloTag, PongFrame, PongTag, SnapshotFrame, Welcome},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    ClientError, Notice, Phase, RoomOptions, Server, backoff,
    connection::{Closed, Connection, Incoming},
    outbox::{Ask, Outbox},
    place::{Place, Verdict},
    room::Happened,
};
use crate::secret::Secret;

/// How long the other side may take to answer a close frame.
pub(super) const CLOSE_WAIT_MAX: Duration = Duration::from_secs(1);
/// A connection that was in step for this long was a good one: the next loss begins with a short wait again.
const STABLE: Duration = Duration::from_secs(5);
/// Close codes in this range are final.
const CODES_FINAL: std::ops::RangeInclusive<u16> = 4500..=4999;

#[derive(Debug)]
pub(super) struct Session {
    server: Server,
    project: ProjectId,
    options: RoomOptions,
    asks: mpsc::Receiver<Ask>,
    notices: mpsc::Sender<Notice>,
    /// Cancelled when nobody listens any more.
    left: CancellationToken,
    outbox: Outbox,
    place: Place,
    attempt: u32,
}

/// Why a connection is no more.
#[derive(Debug)]
enum End {
    /// Come back.
    Lost { reason: String, wait: Option<Duration> },
    /// It is no use.
    Final(ClientError),
    /// Nobody listens any more.
    Left,
}

/// What is known of the present connection.
#[derive(Debug, Default)]
struct Attached {
    welcome: Option<Box<Welcome>>,
    live_since: Option<Instant>,
    /// The head a heartbeat named, and by when it must have been reached.
    behind: Option<(Seq, Instant)>,
}

impl From<Closed> for End {
    fn from(Closed { code, reason }: Closed) -> Self {
        if CODES_FINAL.contains(&code) {
            Self::Final(ClientError::Refused { code, reason })
        } else {
            Self::Lost { wait: backoff::asked_for(&reason), reason }
        }
    }
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        let wait = match &error {
            ClientError::Rejected(body) => body.retry_after_ms.map(Duration::from_millis),
            _ => None,
        };
        if error.is_retryable() { Self::Lost { reason: error.to_string(), wait } } else { Self::Final(error) }
    }
}

impl End {
    fn gap() -> Self {
        Self::Lost { reason: "something was lost on the way".into(), wait: None }
    }
}

impl Session {
    pub(super) fn new(
        server: Server,
        project: ProjectId,
        options: RoomOptions,
        asks: mpsc::Receiver<Ask>,
        notices: mpsc::Sender<Notice>,
        left: CancellationToken,
    ) -> Self {
        let place = Place::at(options.since.clone());
        Self { server, project, options, asks, notices, left, outbox: Outbox::default(), place, attempt: 0 }
    }

    pub(super) async fn run(mut self) {
        loop {
            let end = match self.connect_and_stay().await {
                Ok(never) => match never {},
                Err(end) => end,
            };
            let ended = match end {
                End::Lost { reason, wait } => self.wait(reason, wait).await,
                End::Final(ClientError::Refused { code, reason }) if self.has_another_token(code) => {
                    self.wait(reason, None).await
                }
                End::Final(error) => {
                    let _ = self.tell(Notice::Refused(error)).await;
                    return;
                }
                End::Left => return,
            };
            if ended.is_err() {
                return;
            }
        }
    }

    /// Whether it was the token that was refused, and there is another.
    fn has_another_token(&mut self, code: u16) -> bool {
        code == CloseCode::Token.number() && self.server.renew()
    }

    /// Waits before the next attempt; commands are taken meanwhile.
    async fn wait(&mut self, reason: String, wait: Option<Duration>) -> Result<(), End> {
        let delay = backoff::delay(self.attempt, rand::random()).max(wait.unwrap_or_default());
        self.attempt = self.attempt.saturating_add(1);
        self.tell(Notice::Phase(Phase::Waiting { delay, reason })).await?;
        let over = sleep(delay);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Ok(()),
                () = self.left.cancelled() => return Err(End::Left),
                Some(ask) = self.asks.recv() => self.outbox.add(ask),
            }
        }
    }

    async fn connect_and_stay(&mut self) -> Result<std::convert::Infallible, End> {
        self.tell(Notice::Phase(Phase::Connecting)).await?;
        let mut connection = tokio::select! {
            connection = Connection::open(&self.server, &self.project) => connection?,
            () = self.left.cancelled() => return Err(End::Left),
        };
        connection.send(&self.hello()).await?;
        let mut attached = Attached::default();
        let end = loop {
            match self.step(&mut connection, &mut attached).await {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        self.outbox.recall();
        if attached.live_since.is_some_and(|since| since.elapsed() >= STABLE) {
            self.attempt = 0;
        }
        if matches!(end, End::Left) {
            connection.close().await;
        }
        Err(end)
    }

    fn hello(&self) -> HelloFrame {
        HelloFrame {
            tag: HelloTag::Tag,
            protocol: PROTOCOL_VERSION,
            token: self.server.token().map(Secret::expose).map(str::to_owned),
            name: self.options.name.clone(),
            client: Some(self.options.client.clone()),
            since: self.place.cursor(),
            rollup_ms: self.options.rollup_ms,
        }
    }

    /// Whatever comes next: from the server, from whoever commands, or from the clock.
    async fn step(&mut self, connection: &mut Connection, attached: &mut Attached) -> Result<(), End> {
        // An event that was lost on the way shows in the head of the log, if we don't get there soon.
        let behind = attached.behind.filter(|(head, _)| *head > self.place.seq());
        attached.behind = behind;
        let held = self.outbox.held_until().filter(|_| attached.live_since.is_some());
        tokio::select! {
            () = self.left.cancelled() => Err(End::Left),
            incoming = connection.next() => self.receive(incoming?, connection, attached).await,
            Some(ask) = self.asks.recv() => {
                self.outbox.add(ask);
                self.send_waiting(connection, attached).await
            }
            () = sleep_until(held.unwrap_or_else(Instant::now)), if held.is_some() => {
                self.send_waiting(connection, attached).await
            }
            () = sleep_until(behind.map_or_else(Instant::now, |(_, until)| until)), if behind.is_some() => {
                Err(End::gap())
            }
        }
    }

    async fn receive(
        &mut self,
        incoming: Incoming,
        connection: &mut Connection,
        attached: &mut Attached,
    ) -> Result<(), End> {
        match incoming {
            Incoming::Event(frame, text) => match self.place.step(frame.seq_first, frame.seq) {
                Verdict::Next => self.tell(Notice::Event(Box::new(Happened { frame: *frame, text }))).await,
                Verdict::Repeated => Ok(()),
                Verdict::Gap => Err(End::gap()),
            },
            Incoming::Unknown { seq, seq_first, text } => match self.place.step(seq_first, seq) {
                Verdict::Next => self.tell(Notice::Unknown { seq, text }).await,
                Verdict::Repeated => Ok(()),
                Verdict::Gap => Err(End::gap()),
            },
            Incoming::Control(frame, text) => match *frame {
                ControlFrame::Welcome(welcome) => self.greet(welcome, connection, attached).await,
                ControlFrame::Snapshot(frame) => self.restore(*frame, text, connection, attached).await,
                ControlFrame::Synced(synced) => self.synced(synced.seq, connection, attached).await,
                ControlFrame::Ping(ping) => {
                    if ping.head > self.place.seq() && attached.behind.is_none() {
                        let heartbeat = attached.welcome.as_ref().map_or(0, |welcome| welcome.heartbeat_ms);
                        attached.behind = Some((ping.head, Instant::now() + Duration::from_millis(heartbeat)));
                    }
                    let pong = PongFrame { tag: PongTag::Tag, seq: Some(self.place.seq()) };
                    Ok(connection.send(&pong).await?)
                }
                ControlFrame::Rejected(rejected) if rejected.id.is_none() => {
                    self.tell(Notice::Fault(rejected.error)).await
                }
                // Replies; and whatever a newer server says besides, which is ignored.
                reply => {
                    self.outbox.settle(reply);
                    self.send_waiting(connection, attached).await
                }
            },
        }
    }

    async fn greet(
        &mut self,
        welcome: Welcome,
        connection: &mut Connection,
        attached: &mut Attached,
    ) -> Result<(), End> {
        match welcome.mode {
            AttachMode::Snapshot => connection.expect_snapshot(),
            AttachMode::Live | AttachMode::Resumed => {
                connection.expect_heartbeat(Duration::from_millis(welcome.heartbeat_ms))
            }
        }
        self.outbox.limit(welcome.limits.frame_size_bytes_max);
        if welcome.mode == AttachMode::Snapshot {
            self.place.abandon();
        } else if !self.place.is_in(&welcome.epoch) {
            // It promises to continue a log we have never seen. Without a cursor there can only be a snapshot.
            self.place.abandon();
            return Err(End::Lost { reason: "the project's log is another one".into(), wait: None });
        }
        attached.welcome = Some(Box::new(welcome.clone()));
        self.tell(Notice::Welcome(Box::new(welcome))).await
    }

    async fn restore(
        &mut self,
        frame: SnapshotFrame,
        text: String,
        connection: &mut Connection,
        attached: &Attached,
    ) -> Result<(), End> {
        let Some(welcome) = &attached.welcome else { return Err(End::gap()) };
        connection.expect_heartbeat(Duration::from_millis(welcome.heartbeat_ms));
        self.place.take(welcome.epoch.clone(), frame.seq);
        self.tell(Notice::Snapshot { frame: Box::new(frame), text }).await
    }

    async fn synced(&mut self, seq: Seq, connection: &mut Connection, attached: &mut Attached) -> Result<(), End> {
        if seq != self.place.seq() {
            return Err(End::gap());
        }
        attached.live_since = Some(Instant::now());
        self.send_waiting(connection, attached).await?;
        self.tell(Notice::Phase(Phase::Live)).await
    }

    async fn send_waiting(&mut self, connection: &mut Connection, attached: &Attached) -> Result<(), End> {
        if attached.live_since.is_some() {
            for text in self.outbox.take(Instant::now()) {
                connection.send_text(text).await?;
            }
        }
        Ok(())
    }

    /// Hands a notice on, as soon as there is room for it.
    async fn tell(&self, notice: Notice) -> Result<(), End> {
        tokio::select! {
            sent = self.notices.send(notice) => sent.map_err(|_| End::Left),
            () = self.left.cancelled() => Err(End::Left),
        }
    }
}
