//! The points of a project's history that somebody may want to go back to: what each run, each person at the keyboard
//! and each restore made of the files.

use std::collections::{BTreeMap, VecDeque};

use cobuild_protocol::{
    Event, EventFrame, FilePath, ParticipantId, ProjectId, ProjectState, RunId, Seq,
    state::RunState,
    value::{FileOrigin, Outcome, RunKind},
};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::{READ_LIMITS, read_state};
use crate::project::{
    error::ProjectError,
    event_store::{SharedStore, StoreError},
};

/// Most points of one answer.
pub(crate) const POINTS_MAX: usize = 500;
/// Most paths a point names; it counts all.
const PATHS_NAMED_MAX: usize = 20;
/// Saves of one person that follow one another this closely are one point: somebody at work, not a decision each.
const ONE_SITTING: SignedDuration = SignedDuration::from_mins(10);
/// How the events begin that are most of a log and change no file. They are not even parsed.
const NOT_LOOKED_AT: [&[u8]; 5] = [
    br#"{"type":"text_delta""#,
    br#"{"type":"reasoning_delta""#,
    br#"{"type":"file_delta""#,
    br#"{"type":"install_output""#,
    br#"{"type":"exec_output""#,
];

/// A moment to go back to: `restore` with this `seq` brings the files back as they were after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "HistoryPoint")]
pub struct Point {
    /// The event after which the files were so.
    pub seq: Seq,
    /// When: RFC 3339, UTC.
    pub at: String,
    /// Who brought it about; absent: the server or something in the sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<ParticipantId>,
    /// What brought it about.
    #[serde(flatten)]
    pub cause: Cause,
    /// Some of the files it changed, in the order of the log.
    pub files: Vec<FilePath>,
    /// How many files it changed.
    pub files_changed: usize,
}

/// What changed the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "HistoryCause")]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// The project's creation from its template.
    Created,
    /// Everything up to here: of what came before, only the outcome is kept.
    Base,
    /// A run.
    Run {
        /// Which.
        run: RunId,
        /// What it did.
        kind: RunKind,
        /// The prompt, for `generate`.
        #[serde(skip_serializing_if = "Option::is_none")]
        prompt: Option<String>,
        /// How it ended; absent while it goes on.
        #[serde(skip_serializing_if = "Option::is_none")]
        outcome: Option<Outcome>,
    },
    /// Somebody wrote, moved or deleted files.
    Edit,
    /// Somebody brought the files back as they were after event `to`.
    Restore {
        /// That event.
        to: Seq,
    },
}

/// The newest points before event `before`, newest first. Reads the log from its base on: a look into the past is rare
/// and may take a moment.
pub(crate) async fn points(
    store: &SharedStore,
    project: &ProjectId,
    before: Seq,
    limit: usize,
) -> Result<Vec<Point>, ProjectError> {
    loop {
        match find(store, project, before, limit).await {
            // The base has moved on meanwhile; from the new one on, everything is there.
            Err(ProjectError::Store(StoreError::Folded { .. })) => {}
            found => return found,
        }
    }
}

async fn find(store: &SharedStore, project: &ProjectId, before: Seq, limit: usize) -> Result<Vec<Point>, ProjectError> {
    let (mut found, mut last) = (Found::new(before, limit), 0);
    if let Some(base) = store.base(project).await? {
        last = base.seq;
        found.begin_at(last, read_state(&base)?.view);
    }
    loop {
        let events = store.read(project, last + 1, READ_LIMITS).await?;
        if events.is_empty() {
            return Ok(found.finish());
        }
        for stored in events {
            last = stored.seq;
            if NOT_LOOKED_AT.iter().any(|beginning| stored.frame.starts_with(beginning)) {
                continue;
            }
            let frame: EventFrame = serde_json::from_slice(&stored.frame)
                .map_err(|error| StoreError::Corrupt(format!("event {}: {error}", stored.seq).into()))?;
            found.take(frame);
        }
    }
}

/// Collects points while the log goes by.
struct Found {
    /// Points from here on are not wanted. One is known by its last event, so its place shows only when the next begins.
    before: Seq,
    limit: usize,
    /// Oldest first.
    points: VecDeque<Point>,
    /// Runs that have begun and not ended.
    running: BTreeMap<RunId, Point>,
}

impl Found {
    fn new(before: Seq, limit: usize) -> Self {
        Self { before, limit: limit.clamp(1, POINTS_MAX), points: VecDeque::new(), running: BTreeMap::new() }
    }

    /// The log is kept from here on only. What was running then goes on.
    fn begin_at(&mut self, seq: Seq, state: ProjectState) {
        let ended = state.runs.iter().filter_map(|run| run.finished_at.as_ref());
        let said = [&state.created_at, &state.conversation.updated_at];
        // The fold keeps no time of its own: the last it speaks of. They are all of one form, so they compare as text.
        let at = ended.chain(said).max().cloned().unwrap_or_default();
        let mut point = Point { seq, at, by: None, cause: Cause::Base, files: Vec::new(), files_changed: 0 };
        point.files = state.files.keys().take(PATHS_NAMED_MAX).cloned().collect();
        point.files_changed = state.files.len();
        self.push(point);
        for run in state.runs.into_iter().filter(|run| run.state == RunState::Running) {
            let cause = Cause::Run { run: run.run, kind: run.kind, prompt: run.prompt, outcome: None };
            let at = run.started_at.unwrap_or(run.accepted_at);
            let point = Point { seq, at, by: run.by, cause, files: Vec::new(), files_changed: 0 };
            self.running.insert(run.run, point);
        }
    }

    fn take(&mut self, frame: EventFrame) {
        let EventFrame { event, seq, at, run, by, .. } = frame;
        let begin = |cause| Point { seq, at: at.clone(), by, cause, files: Vec::new(), files_changed: 0 };
        match event {
            Event::ProjectCreated(created) => {
                let mut point = begin(Cause::Created);
                created.files.into_iter().for_each(|file| point.add(file.path, seq));
                self.push(point);
            }
            Event::RunStarted(started) => {
                let Some(run) = run else { return };
                let cause = Cause::Run { run, kind: started.kind, prompt: started.prompt, outcome: None };
                self.running.insert(run, begin(cause));
            }
            Event::RunFinished(finished) => {
                let Some(mut point) = run.and_then(|run| self.running.remove(&run)) else { return };
                if let Cause::Run { outcome, .. } = &mut point.cause {
                    *outcome = Some(finished.outcome);
                }
                (point.seq, point.at) = (seq, at);
                if point.files_changed > 0 {
                    self.push(point);
                }
            }
            Event::Restored(restored) => self.push(begin(Cause::Restore { to: restored.to })),
            Event::FileWritten(written) => {
                self.changed(begin(Cause::Edit), run, written.path, written.origin == FileOrigin::Restore);
            }
            Event::FileDeleted(deleted) => {
                self.changed(begin(Cause::Edit), run, deleted.path, deleted.origin == FileOrigin::Restore);
            }
            Event::FileRenamed(renamed) => self.changed(begin(Cause::Edit), run, renamed.to, false),
            _ => {}
        }
    }

    /// A file changed; `edit` is the point it makes if it belongs to no other.
    fn changed(&mut self, mut edit: Point, run: Option<RunId>, path: FilePath, restored: bool) {
        let seq = edit.seq;
        if let Some(point) = run.and_then(|run| self.running.get_mut(&run)) {
            point.add(path, seq);
            return;
        }
        if let Some(last) = self.points.back_mut()
            && (restored && matches!(last.cause, Cause::Restore { .. }) || last.is_one_sitting_with(&edit))
        {
            last.at = edit.at;
            last.add(path, seq);
            return;
        }
        edit.add(path, seq);
        self.push(edit);
    }

    fn push(&mut self, point: Point) {
        self.drop_unwanted();
        self.points.push_back(point);
        // One more than asked for: the newest may turn out not to be wanted.
        if self.points.len() > self.limit + 1 {
            self.points.pop_front();
        }
    }

    fn drop_unwanted(&mut self) {
        if self.points.back().is_some_and(|last| last.seq >= self.before) {
            self.points.pop_back();
        }
    }

    fn finish(mut self) -> Vec<Point> {
        for (_, point) in std::mem::take(&mut self.running) {
            if point.files_changed > 0 {
                self.push(point);
            }
        }
        self.drop_unwanted();
        let mut points: Vec<_> = self.points.into_iter().collect();
        points.sort_by_key(|point| std::cmp::Reverse(point.seq));
        points.truncate(self.limit);
        points
    }
}

impl Point {
    fn add(&mut self, path: FilePath, seq: Seq) {
        self.seq = seq;
        if self.files.contains(&path) {
            return;
        }
        self.files_changed += 1;
        if self.files.len() < PATHS_NAMED_MAX {
            self.files.push(path);
        }
    }

    fn is_one_sitting_with(&self, next: &Self) -> bool {
        let moment = |at: &str| at.parse::<Timestamp>().ok();
        matches!((&self.cause, &next.cause), (Cause::Edit, Cause::Edit))
            && self.by == next.by
            && moment(&self.at).zip(moment(&next.at)).is_some_and(|(a, b)| b.duration_since(a) <= ONE_SITTING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points of a log whose lines are `seq minute by event…`, as `seq cause changed`.
    fn check(lines: &[&str], before: Seq, limit: usize, expected: &[&str]) {
        let mut found = Found::new(before, limit);
        for (line, seq) in lines.iter().zip(1..) {
            let (minute, rest) = line.split_once(' ').expect("a minute");
            let json = format!(r#"{{"seq":{seq},"at":"2026-11-22T08:{minute}:00.000Z",{rest}}}"#);
            found.take(serde_json::from_str(&json).expect("an event"));
        }
        let shown: Vec<_> = found
            .finish()
            .iter()
            .map(|point| {
                let cause = match &point.cause {
                    Cause::Created => "created".to_owned(),
                    Cause::Base => "base".to_owned(),
                    Cause::Run { run, outcome, .. } => format!("{run} {outcome:?}"),
                    Cause::Edit => "edit".to_owned(),
                    Cause::Restore { to } => format!("restore {to}"),
                };
                format!("{} {cause} {}", point.seq, point.files_changed)
            })
            .collect();
        assert_eq!(shown, expected);
    }

    const HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn written(minute: &str, who: &str, path: &str, origin: &str) -> String {
        format!(
            r#"{minute} {who},"type":"file_written","path":"{path}","hash":"{HASH}","size_bytes":1,"origin":"{origin}""#
        )
    }

    #[test]
    fn each_run_sitting_and_restore_is_a_point() {
        let created = format!(
            r#"00 "type":"project_created","name":"p","template":"t","preview_id":"x","files":[{{"path":"a","hash":"{HASH}","size_bytes":1}}]"#
        );
        let (ada, run) = (r#""by":"u1""#, r#""by":"u1","run":"r1""#);
        let lines = [
            created,
            r#"01 "by":"u1","run":"r1","type":"run_started","kind":"generate","prompt":"Hi","model":"m""#.into(),
            written("01", run, "a", "reply"),
            // In the middle of somebody else's run.
            written("01", r#""by":"u2""#, "b", "participant"),
            written("02", run, "c", "reply"),
            r#"02 "run":"r1","type":"run_finished","outcome":"completed""#.into(),
            written("03", ada, "a", "participant"),
            written("04", ada, "a", "participant"),
            written("05", ada, "b", "merge"),
            // After a pause.
            written("30", ada, "a", "participant"),
            r#"31 "by":"u1","type":"restored","to":6"#.into(),
            written("31", ada, "a", "restore"),
            written("31", ada, "b", "restore"),
            r#"32 "by":"u1","run":"r2","type":"run_started","kind":"exec""#.into(),
            r#"32 "run":"r2","type":"run_finished","outcome":"failed""#.into(),
        ];
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let all = ["13 restore 6 2", "10 edit 1", "9 edit 2", "6 r1 Some(Completed) 2", "4 edit 1", "1 created 1"];
        check(&lines, Seq::MAX, 100, &all);
        check(&lines, Seq::MAX, 2, &all[..2]);
        check(&lines, 13, 2, &all[1..3]);
        check(&lines, 6, 9, &all[4..]);
    }

    #[test]
    fn a_run_under_way_is_where_it_has_got_to() {
        let lines = [
            r#"01 "by":"u1","run":"r1","type":"run_started","kind":"apply""#.to_owned(),
            written("01", r#""by":"u1","run":"r1""#, "a", "reply"),
        ];
        check(&[&lines[0], &lines[1]], Seq::MAX, 10, &["2 r1 None 1"]);
    }
}
