//! The people of a room under soak: one who prompts, one who comes and goes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cobuild_protocol::{Command, Cursor, Event, ProjectId, Seq, value::Outcome};
use serde_json::json;

use super::{BenchError, unexpected};
use crate::client::{Notice, Room, RoomOptions, Server};

/// What is asked for, in turn: a new app, and changes of it.
const PROMPTS: [&str; 4] = ["A todo list", "Make it dark", "A counter", "Change the title to Hello"];
/// Most events of one visit.
const VISIT_EVENTS_MAX: u64 = 400;

/// What all people together have seen.
#[derive(Debug, Default)]
pub(super) struct Counts {
    visits: AtomicU64,
    events: AtomicU64,
    gaps: AtomicU64,
    failures: AtomicU64,
}

impl Counts {
    pub(super) fn visits(&self) -> u64 {
        self.visits.load(Ordering::Relaxed)
    }

    pub(super) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    pub(super) fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// A room for so many runs.
pub(super) async fn room(server: Server, project: String, runs: usize, counts: Arc<Counts>) -> Result<(), BenchError> {
    let project: ProjectId = project.parse().map_err(unexpected)?;
    server.create(&project).await.map_err(unexpected)?;
    let visitor =
        Visitor { server: server.clone(), project: project.clone(), place: None, counts: Arc::clone(&counts) };
    tokio::select! {
        prompted = prompt(&server, &project, runs, &counts) => prompted,
        never = visitor.come_and_go() => never,
    }
}

async fn prompt(server: &Server, project: &ProjectId, runs: usize, counts: &Counts) -> Result<(), BenchError> {
    let mut room = server.room(project, RoomOptions::named("Prompter"));
    let mut place = Place::default();
    for number in 0..runs {
        let command = json!({ "type": "generate", "prompt": PROMPTS[number % PROMPTS.len()] });
        let command: Command = serde_json::from_value(command).map_err(unexpected)?;
        let commander = room.commander().clone();
        let mut sending = std::pin::pin!(commander.send(command));
        let mut replied = false;
        loop {
            tokio::select! {
                biased;
                reply = &mut sending, if !replied => {
                    reply.map_err(unexpected)?;
                    replied = true;
                }
                notice = room.next() => {
                    let notice = notice.ok_or_else(|| unexpected("the room ended"))?;
                    place.see(&notice, counts)?;
                    if let Notice::Event(happened) = &notice
                        && let Event::RunFinished(finished) = &happened.frame.event
                    {
                        if finished.outcome != Outcome::Completed {
                            counts.failures.fetch_add(1, Ordering::Relaxed);
                        }
                        break;
                    }
                }
            }
        }
    }
    room.leave().await;
    Ok(())
}

/// Somebody who watches a little, again and again.
struct Visitor {
    server: Server,
    project: ProjectId,
    place: Option<Place>,
    counts: Arc<Counts>,
}

impl Visitor {
    async fn come_and_go<T>(mut self) -> Result<T, BenchError> {
        loop {
            self.counts.visits.fetch_add(1, Ordering::Relaxed);
            // Now and then as somebody who has seen nothing.
            let place = self.place.take().filter(|_| rand::random_ratio(3, 4)).unwrap_or_default();
            let options = RoomOptions { since: place.cursor.clone(), ..RoomOptions::named("Visitor") };
            let room = self.server.room(&self.project, options);
            self.place = Some(self.watch(room, place).await?);
        }
    }

    async fn watch(&self, mut room: Room, mut place: Place) -> Result<Place, BenchError> {
        for _ in 0..rand::random_range(1..VISIT_EVENTS_MAX) {
            let notice = room.next().await.ok_or_else(|| unexpected("the room ended"))?;
            place.see(&notice, &self.counts)?;
        }
        if rand::random_ratio(1, 2) {
            room.leave().await;
        }
        // Else without a word.
        Ok(place)
    }
}

/// Where somebody is in the log.
#[derive(Debug, Default)]
struct Place {
    cursor: Option<Cursor>,
}

impl Place {
    fn see(&mut self, notice: &Notice, counts: &Counts) -> Result<(), BenchError> {
        match notice {
            Notice::Welcome(welcome) => {
                let seq = self.cursor.as_ref().map_or(0, |cursor| cursor.seq);
                self.cursor = Some(Cursor { epoch: welcome.epoch.clone(), seq });
            }
            Notice::Snapshot { frame, .. } => self.step(frame.seq),
            Notice::Event(happened) => {
                counts.events.fetch_add(1, Ordering::Relaxed);
                let frame = &happened.frame;
                let last = self.cursor.as_ref().map_or(0, |cursor| cursor.seq);
                if frame.seq_first.unwrap_or(frame.seq) != last + 1 {
                    counts.gaps.fetch_add(1, Ordering::Relaxed);
                }
                self.step(frame.seq);
            }
            Notice::Refused(error) => return Err(unexpected(error)),
            Notice::Phase(_) | Notice::Unknown { .. } | Notice::Fault(_) => {}
        }
        Ok(())
    }

    fn step(&mut self, seq: Seq) {
        if let Some(cursor) = &mut self.cursor {
            cursor.seq = seq;
        }
    }
}
