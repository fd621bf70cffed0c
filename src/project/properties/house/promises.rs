//! The end of a sample: the disk has room, the models end, everybody comes back – and then all that was promised holds.

use cobuild_protocol::{
    RunId,
    frame::ControlFrame,
    state::RunState,
    value::{Message, MessagePart, MessageRole, Outcome, RunKind},
};
use futures_util::FutureExt as _;

use super::{House, LOG_LIMITS, PEOPLE, RETRIED, Step, What, commands::Sent, note};
use crate::project::{
    event_store::{EventStore as _, ReadLimits},
    testing::project,
};

impl House {
    /// The disk has room, the models end, everybody comes back: all that was accepted has happened, and ended.
    pub(in super::super) fn finish(mut self) {
        self.perform(Step::Disk { full: false });
        self.wait(RETRIED);
        self.look();
        self.no_stopped_model_goes_on();
        for number in 0..PEOPLE {
            self.connect(number, false);
        }
        for command in 0..self.sent.len() {
            self.send(0, command);
            self.wait(RETRIED);
            self.calls.clear();
            self.look();
        }
        self.end_runs();
        for number in 0..PEOPLE {
            self.people[number].lags_until = None;
            if self.is_removed(number) {
                continue;
            }
            // A person whose project had left memory meanwhile notices on the first read.
            while self.people[number].last < self.record.head() {
                self.connect(number, false);
                self.read(number, usize::MAX);
                self.look();
            }
        }
        for Sent { frame, reply } in &self.sent {
            let Some(ControlFrame::Accepted(accepted)) = reply else { continue };
            assert!(accepted.run.is_none_or(|run| self.record.runs[&run]), "{frame:?} has no end");
        }
        self.answers_are_what_was_said();
        self.files_are_in_the_store();
        self.what_is_kept_is_the_log();
    }

    /// A base and what follows it, together all that happened, and no more than is to be kept.
    fn what_is_kept_is_the_log(&self) {
        let project = project();
        let (memory, kept) = (&self.disk.memory, self.kept());
        if let Some(base) = memory.base(&project).now_or_never().expect("memory is at hand").unwrap() {
            self.record.check_base(&base);
        }
        let limits = ReadLimits { events: usize::MAX, size_bytes: usize::MAX };
        let read = memory.read(&project, kept.base + 1, limits).now_or_never().expect("memory is at hand").unwrap();
        if kept.base > 0 {
            note(What::FoldedIntoTheBase);
        }
        if read.iter().any(|event| event.span.is_some()) {
            note(What::MergedInTheStore);
        }
        let mut last = kept.base;
        for event in &read {
            assert_eq!(event.first(), last + 1);
            self.record.check(event.first(), event.seq, &event.frame);
            last = event.seq;
        }
        assert_eq!(last, self.record.head());
        let unmerged = last - kept.merged;
        assert!(kept.frames <= LOG_LIMITS.frames + unmerged, "{kept:?} at {last}");
    }

    /// To its last word, or up to where the run was cut off.
    fn answers_are_what_was_said(&self) {
        let view = &self.record.fold.view;
        let mut pairs: Vec<(RunId, &Message, &Message)> = Vec::new();
        for prompt in view.messages.iter().filter(|message| message.role == MessageRole::User) {
            // Several prompts of a run are answered in their order.
            let Some(run) = prompt.run else { continue };
            let earlier = pairs.iter().filter(|(other, ..)| *other == run).count();
            let answers = view.messages.iter().filter(|answer| answer.run == Some(run) && answer.role != prompt.role);
            pairs.extend(answers.skip(earlier).take(1).map(|answer| (run, prompt, answer)));
        }
        for (run, prompt, answer) in pairs {
            let whole = view.runs.iter().any(|info| info.run == run && info.outcome == Some(Outcome::Completed));
            let [MessagePart::Text { text: prompt }] = &prompt.parts[..] else { continue };
            let said = *self.said.get(prompt).unwrap_or(&0);
            let texts = answer.parts.iter().filter_map(|part| match part {
                MessagePart::Text { text } => Some(text.as_str()),
                _ => None,
            });
            let words: Vec<String> = texts.flat_map(str::split_whitespace).map(str::to_owned).collect();
            let expected: Vec<String> = (1..=words.len()).map(|number| format!("word{number}")).collect();
            assert_eq!(words, expected, "the answer to {prompt}");
            assert!(words.len() == said || words.len() < said && !whole, "{} of {said} to {prompt}", words.len());
        }
    }

    /// Whoever was stopped hangs up on the model.
    fn no_stopped_model_goes_on(&self) {
        let runs = &self.record.fold.view.runs;
        let running = runs.iter().filter(|run| run.state == RunState::Running && run.kind == RunKind::Generate).count();
        let open = self.calls.iter().filter(|call| !call.is_closed()).count();
        assert!(open <= running, "{open} calls for {running} runs");
    }

    fn end_runs(&mut self) {
        for _ in 0..100 {
            self.calls.clear();
            self.wait(RETRIED);
            self.look();
            if self.record.fold.view.runs.iter().all(|run| run.state == RunState::Finished) {
                return;
            }
        }
        panic!("runs without an end: {:?}", self.record.fold.view.runs);
    }

    fn files_are_in_the_store(&self) {
        for (path, info) in &self.record.fold.view.files {
            let content = self.disk.memory.blob(&info.hash).now_or_never().expect("memory is at hand").unwrap();
            let content = content.unwrap_or_else(|| panic!("the content of {path} is lost"));
            assert_eq!(crate::project::content_hash(&content), info.hash);
        }
    }
}
