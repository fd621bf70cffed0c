//! What the conversation is about, and what came of it.

use cobuild_protocol::{
    EventFrame, ProjectState,
    command::Clearing,
    event::ConversationUpdated,
    state::RunInfo,
    value::{ConversationInfo, EditRecord, EvolutionRecord, Outcome, RunKind, Step},
};

use super::run_mut;

/// How many edits, and how many steps of the evolution, are kept.
const RECORDS_KEPT_MAX: usize = 50;
/// What [`Clearing::Old`] leaves.
const MESSAGES_LEFT: usize = 5;
const EDITS_LEFT: usize = 3;
const EVOLUTION_LEFT: usize = 2;

/// Something was said.
pub(super) fn touch(view: &mut ProjectState, frame: &EventFrame) {
    view.conversation.active = true;
    view.conversation.updated_at.clone_from(&frame.at);
}

pub(super) fn update(view: &mut ProjectState, updated: &ConversationUpdated, frame: &EventFrame) {
    let conversation = &mut view.conversation;
    if let Some(topic) = &updated.topic {
        conversation.topic = Some(topic.clone());
    }
    if let Some(style) = updated.edit_style {
        conversation.edit_style = style;
    }
    if let Some(patterns) = &updated.common_patterns {
        conversation.common_patterns.clone_from(patterns);
    }
    touch(view, frame);
}

pub(super) fn clear(view: &mut ProjectState, clear: Clearing, frame: &EventFrame) {
    match clear {
        Clearing::Old => {
            let first = view.conversation.first_message;
            let counting: Vec<_> =
                view.messages.iter().map(|message| message.message).filter(|id| Some(*id) >= first).collect();
            if let Some(drop) = counting.len().checked_sub(MESSAGES_LEFT).filter(|drop| *drop > 0) {
                view.conversation.first_message = Some(counting[drop]);
            }
            keep_last(&mut view.conversation.edits, EDITS_LEFT);
            keep_last(&mut view.conversation.evolution, EVOLUTION_LEFT);
            touch(view, frame);
        }
        Clearing::All | Clearing::Delete => {
            let known = view.conversation.first_message;
            let next = view.messages.last().map(|message| message.message.after()).or(known);
            *view.conversation = ConversationInfo {
                active: clear == Clearing::All,
                first_message: next.max(known),
                created_at: frame.at.clone(),
                updated_at: frame.at.clone(),
                ..ConversationInfo::default()
            };
        }
    }
}

/// A run ended: what it changed goes on record.
pub(super) fn record_run(view: &mut ProjectState, frame: &EventFrame) {
    let Some(run) = run_mut(view, frame.run) else { return };
    if !matches!(run.kind, RunKind::Generate | RunKind::Apply) {
        return;
    }
    let record = changed_something(run).then(|| EditRecord {
        run: run.run,
        at: frame.at.clone(),
        edit: run.edit,
        prompt: run.prompt.clone(),
        files: run.files.clone(),
        error: (run.outcome != Some(Outcome::Completed))
            .then(|| run.error.as_ref().map_or_else(String::new, |error| error.message.clone())),
    });
    if let Some(record) = record {
        let conversation = &mut view.conversation;
        if !record.files.is_empty() {
            let (at, edit, files) = (record.at.clone(), record.edit, record.files.clone());
            conversation.evolution.push(EvolutionRecord { at, edit, files });
            keep_last(&mut conversation.evolution, RECORDS_KEPT_MAX);
        }
        conversation.edits.push(record);
        keep_last(&mut conversation.edits, RECORDS_KEPT_MAX);
        touch(view, frame);
    }
}

/// Whether a run wrote a file, installed a package or ran a command that succeeded.
fn changed_something(run: &RunInfo) -> bool {
    let succeeded = |step: &Step| match step {
        Step::Install { finished, error, .. } => *finished && error.is_none(),
        Step::Command { exit_code, .. } => *exit_code == Some(0),
    };
    !run.files.is_empty() || run.steps.iter().any(succeeded)
}

fn keep_last<T>(list: &mut Vec<T>, count: usize) {
    list.drain(..list.len().saturating_sub(count));
}
