//! The fold of one event into what everybody sees. The TypeScript client folds by the same rules.

mod conversation;

use cobuild_protocol::{
    Event, EventFrame, MessageId, ProjectState, RunId,
    event::{
        FileDelta, FileRefused, FileStarted, FileWritten, MessageAdded, ModelSwitched, ParticipantJoined,
        PreviewChanged, ProjectCreated, TurnStarted, UsageUpdated,
    },
    state::{ConversationSummary, FileInfo, RepositoryInfo, RunInfo, RunState},
    value::{
        FileOrigin, FilePartState, GenerateMode, Message, MessagePart, MessageRole, Participant, PassedOver,
        PreviewInfo, Role, RunKind, RunTurn, SandboxInfo, Step,
    },
};

/// How many messages a snapshot carries: more than anybody scrolls through, small enough to send at once.
const MESSAGES_KEPT_MAX: usize = 500;
/// How many ended runs a snapshot carries.
const RUNS_KEPT_MAX: usize = 100;
/// How many participants are remembered. Beyond that the first of those who are gone is forgotten, and new when they come back.
const PARTICIPANTS_KEPT_MAX: usize = 1000;

/// How many open conflicts are listed; the log has all.
const CONFLICTS_KEPT_MAX: usize = 100;
/// How many of a run's files are listed; the log has all.
const RUN_FILES_KEPT_MAX: usize = 200;
/// How much of a step's output a snapshot carries, in bytes; the log has all of it.
const STEP_OUTPUT_SIZE_BYTES_MAX: usize = 16 * 1024;

/// Folds one event in.
pub(crate) fn apply(view: &mut ProjectState, frame: &EventFrame) {
    match &frame.event {
        Event::ProjectCreated(created) => create(view, created, frame),
        Event::ParticipantJoined(joined) => join(view, joined),
        Event::ParticipantLeft(left) => {
            if let Some(participant) = view.participants.get_mut(&left.participant) {
                participant.present = false;
            }
            view.locks.retain(|_, locker| *locker != left.participant);
        }
        Event::RunQueued(queued) => {
            begin(view, frame, queued.kind, queued.prompt.clone(), queued.mode);
            line_up(view, frame.run, queued.position);
        }
        Event::RunStarted(started) => {
            let (model, edit) = (started.model.clone(), started.edit);
            if let Some(run) = begin(view, frame, started.kind, started.prompt.clone(), started.mode) {
                run.state = RunState::Running;
                run.model = model;
                run.edit = edit;
                run.started_at = Some(frame.at.clone());
            }
        }
        Event::RunFinished(finished) => {
            if let Some(run) = run_mut(view, frame.run) {
                run.state = RunState::Finished;
                run.outcome = Some(finished.outcome);
                run.error = finished.error.clone();
                if finished.usage.is_some() {
                    run.usage.clone_from(&finished.usage);
                }
                run.finished_at = Some(frame.at.clone());
            }
            conversation::record_run(view, frame);
            forget_old_runs(view);
        }
        Event::MessageAdded(added) => add_message(view, added, frame),
        Event::ModelSwitched(switched) => switch_model(view, switched, frame.run),
        Event::ReplyDelta(delta) => {
            if let Some(message) = message_mut(view, delta.message) {
                message.reply.get_or_insert_default().push_str(&delta.text);
            }
        }
        Event::ConversationUpdated(updated) => conversation::update(view, updated, frame),
        Event::ConversationCleared(cleared) => conversation::clear(view, cleared.clear, frame),
        Event::TextDelta(delta) => {
            if let Some(message) = message_mut(view, delta.message) {
                match message.parts.last_mut() {
                    Some(MessagePart::Text { text }) => text.push_str(&delta.text),
                    _ => message.parts.push(MessagePart::Text { text: delta.text.clone() }),
                }
            }
        }
        Event::ReasoningDelta(delta) => {
            if let Some(message) = message_mut(view, delta.message) {
                match message.parts.last_mut() {
                    Some(MessagePart::Reasoning { text }) => text.push_str(&delta.text),
                    _ => message.parts.push(MessagePart::Reasoning { text: delta.text.clone() }),
                }
            }
        }
        Event::FileStarted(started) => start_file(view, started),
        Event::FileDelta(delta) => grow_file(view, delta),
        Event::FileWritten(written) => write_file(view, written, frame.run),
        Event::FileDeleted(deleted) => {
            view.files.remove(&deleted.path);
            view.locks.remove(&deleted.path);
        }
        Event::FileRenamed(renamed) => {
            if let Some(info) = view.files.remove(&renamed.from) {
                view.files.insert(renamed.to.clone(), info);
            }
            if let Some(locker) = view.locks.remove(&renamed.from) {
                view.locks.insert(renamed.to.clone(), locker);
            }
        }
        Event::FileRefused(refused) => refuse_file(view, refused, frame.run),
        Event::InstallStarted(started) => {
            let packages = started.packages.clone();
            push_step(view, frame.run, Step::Install { packages, output: String::new(), finished: false, error: None });
        }
        Event::ExecStarted(started) => {
            let command = started.command.clone();
            let step = Step::Command { command, output: String::new(), finished: false, exit_code: None, error: None };
            push_step(view, frame.run, step);
        }
        Event::InstallOutput(said) | Event::ExecOutput(said) => {
            if let Some(Step::Install { output, .. } | Step::Command { output, .. }) = last_step(view, frame.run) {
                append_tail(output, &said.text);
            }
        }
        Event::InstallFinished(ended) => {
            if let Some(Step::Install { finished, error, .. }) = last_step(view, frame.run) {
                *finished = true;
                error.clone_from(&ended.error);
            }
        }
        Event::ExecFinished(ended) => {
            if let Some(Step::Command { finished, exit_code, error, .. }) = last_step(view, frame.run) {
                *finished = true;
                *exit_code = ended.exit_code;
                error.clone_from(&ended.error);
            }
        }
        Event::SandboxChanged(changed) => {
            let same = changed.sandbox.is_some() && changed.sandbox == view.sandbox.sandbox;
            let created_at = if same { view.sandbox.created_at.take() } else { Some(frame.at.clone()) };
            view.sandbox = SandboxInfo {
                state: changed.state,
                provider: changed.provider.clone(),
                sandbox: changed.sandbox.clone(),
                created_at: created_at.filter(|_| changed.sandbox.is_some()),
                parked: changed.parked,
                detail: changed.detail.clone(),
                error: changed.error.clone(),
            };
        }
        Event::PreviewChanged(changed) => {
            let PreviewChanged { state, url, error } = changed.clone();
            view.preview = PreviewInfo { state, url, error, unchecked: None };
        }
        Event::PreviewError(problem) => {
            view.preview.error = Some(problem.message.clone());
            view.preview.unchecked = None;
        }
        Event::PreviewUnchecked(unchecked) => view.preview.unchecked = Some(unchecked.reason.clone()),
        // The steps that follow say what became of it.
        Event::PackagesDetected(_) => {}
        Event::FileConflicted(conflict) => {
            view.conflicts.push(conflict.clone());
            if view.conflicts.len() > CONFLICTS_KEPT_MAX {
                view.conflicts.remove(0);
            }
        }
        Event::ConflictResolved(resolved) => view.conflicts.retain(|other| other.conflict != resolved.conflict),
        Event::FileLocked(locked) => drop(view.locks.insert(locked.path.clone(), locked.participant)),
        Event::FileUnlocked(unlocked) => drop(view.locks.remove(&unlocked.path)),
        // The changes that make it so follow.
        Event::Restored(_) | Event::Reverted(_) => {}
        Event::TurnStarted(started) => start_turn(view, started, frame.run),
        Event::UsageUpdated(updated) => update_usage(view, updated),
        Event::ContextTrimmed(_) | Event::ModelRetried(_) => {}
        Event::ConversationCompacted(compacted) => {
            let (through, text) = (compacted.through, compacted.summary.clone());
            view.summary = Some(ConversationSummary { through, text });
        }
        Event::RepositoryImported(imported) => {
            view.repository = Some(Box::new(RepositoryInfo {
                url: imported.url.clone(),
                name: imported.name.clone(),
                branch: imported.branch.clone(),
                commit: imported.commit.clone(),
                seq: frame.seq,
            }));
        }
        Event::QueueChanged(changed) => reorder_queue(view, &changed.queue),
        Event::RoleChanged(changed) => {
            if let Some(participant) = view.participants.get_mut(&changed.participant) {
                participant.removed = changed.role.is_none();
                participant.role = changed.role.unwrap_or(Role::Viewer);
            }
        }
    }
}

fn create(view: &mut ProjectState, created: &ProjectCreated, frame: &EventFrame) {
    view.name.clone_from(&created.name);
    view.template.clone_from(&created.template);
    view.preview_id.clone_from(&created.preview_id);
    view.created_at.clone_from(&frame.at);
    view.conversation.created_at.clone_from(&frame.at);
    view.conversation.updated_at.clone_from(&frame.at);
    view.files = created
        .files
        .iter()
        .map(|file| (file.path.clone(), FileInfo { hash: file.hash.clone(), size_bytes: file.size_bytes }))
        .collect();
}

fn join(view: &mut ProjectState, joined: &ParticipantJoined) {
    let participant = Participant {
        participant: joined.participant,
        name: joined.name.clone(),
        role: joined.role,
        removed: false,
        present: true,
    };
    view.participants.insert(joined.participant, participant);
    if view.participants.len() > PARTICIPANTS_KEPT_MAX
        && let Some(gone) = view.participants.values().find(|participant| !participant.present)
    {
        let gone = gone.participant;
        view.participants.remove(&gone);
    }
}

/// Finds the run of a `run_queued` or `run_started`, or adds it.
fn begin<'a>(
    view: &'a mut ProjectState,
    frame: &EventFrame,
    kind: RunKind,
    prompt: Option<String>,
    mode: GenerateMode,
) -> Option<&'a mut RunInfo> {
    let id = frame.run?;
    if !view.runs.iter().any(|run| run.run == id) {
        view.runs.push(RunInfo {
            run: id,
            kind,
            state: RunState::Queued,
            by: frame.by,
            prompt,
            model: None,
            accepted_at: frame.at.clone(),
            started_at: None,
            finished_at: None,
            outcome: None,
            error: None,
            usage: None,
            mode,
            turns: Vec::new(),
            edit: false,
            steps: Vec::new(),
            files: Vec::new(),
        });
    }
    run_mut(view, Some(id))
}

/// Gives a run that has just been queued its place among those that wait: not everybody comes last.
fn line_up(view: &mut ProjectState, run: Option<RunId>, position: u32) {
    let Some(run) = run else { return };
    let waits = |info: &&RunInfo| info.state == RunState::Queued && info.run != run;
    let mut queue: Vec<RunId> = view.runs.iter().filter(waits).map(|info| info.run).collect();
    let place = usize::try_from(position.saturating_sub(1)).unwrap_or(usize::MAX).min(queue.len());
    queue.insert(place, run);
    reorder_queue(view, &queue);
}

/// Puts the waiting runs into the order they will be taken in. Others keep their places.
fn reorder_queue(view: &mut ProjectState, queue: &[RunId]) {
    let places: Vec<usize> = (0..view.runs.len()).filter(|&at| queue.contains(&view.runs[at].run)).collect();
    let mut waiting: Vec<RunInfo> = places.iter().map(|&at| view.runs[at].clone()).collect();
    waiting.sort_by_key(|run| queue.iter().position(|id| *id == run.run));
    for (at, run) in places.into_iter().zip(waiting) {
        view.runs[at] = run;
    }
}

fn forget_old_runs(view: &mut ProjectState) {
    let ended = view.runs.iter().filter(|run| run.state == RunState::Finished).count();
    if ended > RUNS_KEPT_MAX
        && let Some(oldest) = view.runs.iter().position(|run| run.state == RunState::Finished)
    {
        view.runs.remove(oldest);
    }
}

fn add_message(view: &mut ProjectState, added: &MessageAdded, frame: &EventFrame) {
    let parts = match added.role {
        MessageRole::User => vec![MessagePart::Text { text: added.text.clone() }],
        MessageRole::Assistant => Vec::new(),
    };
    view.messages.push(Message {
        message: added.message,
        role: added.role,
        by: frame.by.filter(|_| added.role == MessageRole::User),
        run: frame.run,
        at: frame.at.clone(),
        model: added.model.clone(),
        notice: added.notice.clone(),
        images: added.images.clone(),
        url: added.url.clone(),
        steers: added.steers,
        usage: None,
        passed_over: Vec::new(),
        reply: None,
        parts,
    });
    conversation::touch(view, frame);
    if view.messages.len() > MESSAGES_KEPT_MAX {
        view.messages.remove(0);
        view.messages_dropped += 1;
    }
}

/// How many further turns of one run are listed: more than there can be of one kind, and a limit all the same.
const TURNS_KEPT_MAX: usize = 100;

fn start_turn(view: &mut ProjectState, started: &TurnStarted, run: Option<RunId>) {
    if let Some(run) = run_mut(view, run)
        && run.turns.len() < TURNS_KEPT_MAX
    {
        let TurnStarted { message: _, turn, reason, round, detail } = started.clone();
        run.turns.push(RunTurn { turn, reason, round, detail, usage: None });
    }
}

/// The event may come after its run's end – a cancelled call has a price, too – so the message says which run it is.
fn update_usage(view: &mut ProjectState, updated: &UsageUpdated) {
    view.usage = updated.project_usage.clone();
    let Some(message) = message_mut(view, updated.message) else { return };
    message.usage = Some(updated.message_usage.clone());
    let run = message.run;
    if let Some(run) = run_mut(view, run) {
        run.usage = Some(updated.run_usage.clone());
        if let Some(turn) = run.turns.iter_mut().find(|turn| turn.turn == updated.turn) {
            turn.usage = Some(updated.usage.clone());
        }
    }
}

fn switch_model(view: &mut ProjectState, switched: &ModelSwitched, run: Option<RunId>) {
    if let Some(message) = message_mut(view, switched.message) {
        message.passed_over.push(PassedOver { model: switched.from.clone(), error: switched.error.clone() });
        message.model = Some(switched.to.clone());
        message.notice.clone_from(&switched.notice);
    }
    if let Some(run) = run_mut(view, run) {
        run.model = Some(switched.to.clone());
    }
}

fn start_file(view: &mut ProjectState, started: &FileStarted) {
    if let Some(message) = message_mut(view, started.message) {
        message.parts.push(MessagePart::File {
            path: started.path.clone(),
            action: started.action,
            state: FilePartState::Typing,
            text: Some(String::new()),
            hash: None,
            reason: None,
        });
    }
}

fn grow_file(view: &mut ProjectState, delta: &FileDelta) {
    let Some(message) = message_mut(view, delta.message) else { return };
    let file = message.parts.iter_mut().rev().find_map(|part| match part {
        MessagePart::File { path, text, state, .. } if *path == delta.path => Some((text, state)),
        _ => None,
    });
    if let Some((text, state)) = file {
        text.get_or_insert_default().push_str(&delta.text);
        if delta.done {
            *state = FilePartState::Typed;
        }
    }
}

fn write_file(view: &mut ProjectState, written: &FileWritten, run: Option<RunId>) {
    let info = FileInfo { hash: written.hash.clone(), size_bytes: written.size_bytes };
    view.files.insert(written.path.clone(), info);
    if matches!(written.origin, FileOrigin::Reply | FileOrigin::Merge)
        && let Some(files) = run_mut(view, run).map(|run| &mut run.files)
        && files.len() < RUN_FILES_KEPT_MAX
        && !files.contains(&written.path)
    {
        files.push(written.path.clone());
    }
    if written.origin != FileOrigin::Reply {
        return;
    }
    for part in file_parts_of(view, run) {
        if let MessagePart::File { path, state, text, hash, .. } = part
            && *path == written.path
            && *state == FilePartState::Typed
        {
            *state = FilePartState::Written;
            *text = None;
            *hash = Some(written.hash.clone());
        }
    }
}

fn refuse_file(view: &mut ProjectState, refused: &FileRefused, run: Option<RunId>) {
    for part in file_parts_of(view, run) {
        if let MessagePart::File { path, state, reason, .. } = part
            && path.as_str() == refused.path
            && *state != FilePartState::Written
        {
            *state = FilePartState::Refused;
            *reason = Some(refused.reason.clone());
        }
    }
}

/// The parts of the run's newest message. A run's messages are at the end of the conversation.
fn file_parts_of(view: &mut ProjectState, run: Option<RunId>) -> impl Iterator<Item = &mut MessagePart> {
    view.messages
        .iter_mut()
        .rev()
        .find(|message| run.is_some() && message.run == run && message.role == MessageRole::Assistant)
        .into_iter()
        .flat_map(|message| message.parts.iter_mut())
}

fn message_mut(view: &mut ProjectState, id: MessageId) -> Option<&mut Message> {
    view.messages.iter_mut().rev().find(|message| message.message == id)
}

fn run_mut(view: &mut ProjectState, id: Option<RunId>) -> Option<&mut RunInfo> {
    view.runs.iter_mut().rev().find(|run| Some(run.run) == id)
}

fn push_step(view: &mut ProjectState, run: Option<RunId>, step: Step) {
    if let Some(run) = run_mut(view, run) {
        run.steps.push(step);
    }
}

fn last_step(view: &mut ProjectState, run: Option<RunId>) -> Option<&mut Step> {
    run_mut(view, run).and_then(|run| run.steps.last_mut())
}

/// Appends, then drops whole characters from the front until the limit holds.
fn append_tail(output: &mut String, text: &str) {
    output.push_str(text);
    if output.len() > STEP_OUTPUT_SIZE_BYTES_MAX {
        let cut = output.len() - STEP_OUTPUT_SIZE_BYTES_MAX;
        let cut = (cut..output.len()).find(|&at| output.is_char_boundary(at)).unwrap_or(output.len());
        output.drain(..cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The TypeScript client folds the same events in its own tests and must come to the same state. To change the
    /// rules, change both folds and write the new state with `FOLD_STATE_WRITE=1 cargo test fold`.
    #[test]
    fn fold_of_all_events_is_the_state_that_every_client_comes_to() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/protocol/tests/fold");
        let events = std::fs::read_to_string(format!("{folder}/events.ndjson")).unwrap();
        let mut view = ProjectState::default();
        let mut seen = std::collections::BTreeSet::new();
        for line in events.lines() {
            let frame: EventFrame = serde_json::from_str(line).unwrap();
            seen.insert(frame.event.name());
            apply(&mut view, &frame);
        }
        assert_eq!(seen.len(), cobuild_protocol::event::EVENTS_COUNT, "every kind of event is part of it: {seen:?}");
        let path = format!("{folder}/state.json");
        let state = serde_json::to_string_pretty(&view).unwrap() + "\n";
        if std::env::var_os("FOLD_STATE_WRITE").is_some() {
            std::fs::write(&path, &state).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), state);
    }
}
