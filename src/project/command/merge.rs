//! Edits that a model merges into their files, where the operator has named one that does.

use std::collections::BTreeMap;

use cobuild_protocol::{FilePath, MessageId, value::MessageRole};

use super::aside::{Aside, News};
use crate::{
    codegen::{
        edit_merge::{self, MergeEdit},
        feedback::HeldBack,
        lost_content::{self, Extent},
        reply::ReplyMerge,
    },
    project::{
        error::ProjectError,
        file_tree::Tree,
        model_provider::{ModelError, ModelInfo, ModelRequest, StopReason, Turn},
        run::{JobContext, StagedFile},
        sandbox_link::read_content,
    },
};

/// Why such an edit is not in its file.
const NO_MODEL: &str = "the edit quotes no text to replace, and this server has no model that merges such edits \
    (MERGE_MODEL); send the whole file";
/// Models that were made for nothing else; they want no instructions.
const SPECIALISTS: [&str; 2] = ["morph", "fast-apply"];

/// The merges of one answer. What a model has merged is kept: an answer that is corrected asks for the same again.
#[derive(Debug)]
pub(super) struct Merging {
    /// What they consume is part of this message.
    message: MessageId,
    done: BTreeMap<FilePath, (Vec<MergeEdit>, StagedFile)>,
}

/// What became of a reply's merges.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// The files, each with all of its edits.
    pub(super) files: Vec<StagedFile>,
    /// Edits that are not in their files, and why. The others can do without them.
    pub(super) failed: Vec<HeldBack>,
}

impl Merging {
    /// For the answer that is this message.
    pub(super) fn of(message: MessageId) -> Self {
        Self { message, done: BTreeMap::new() }
    }

    /// What comes from here on is part of this message.
    pub(super) fn bill(&mut self, message: MessageId) {
        self.message = message;
    }

    /// What these edits became, if the file is still the one they were merged into.
    fn known(&self, tree: &Tree, path: &FilePath, edits: &[MergeEdit]) -> Option<StagedFile> {
        let (merged, file) = self.done.get(path)?;
        let is_same = merged == edits && tree.get(path).map(|info| &info.hash) == file.base.as_ref();
        is_same.then(|| file.clone())
    }
}

/// Has every edit merged. What a file was when that began is what the change is based on.
pub(super) async fn merge_all(
    context: &JobContext,
    tree: &Tree,
    merges: &[ReplyMerge],
    merging: &mut Merging,
) -> Result<Merged, ProjectError> {
    let mut all = Merged::default();
    let mut paths: Vec<&FilePath> = Vec::new();
    for ReplyMerge { path, .. } in merges {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    for path in paths {
        let edits: Vec<MergeEdit> =
            merges.iter().filter(|merge| merge.path == *path).map(|merge| merge.edit.clone()).collect();
        if let Some(file) = merging.known(tree, path, &edits) {
            all.files.push(file);
            continue;
        }
        match merge_file(context, tree, path, &edits, merging.message).await {
            Ok(file) => {
                merging.done.insert(path.clone(), (edits, file.clone()));
                all.files.push(file);
            }
            Err(Failure::Edit(reason)) => all.failed.push(HeldBack { path: path.clone(), reason, hint: None }),
            Err(Failure::Run(error)) => return Err(error),
        }
    }
    Ok(all)
}

/// Why an edit could not be merged.
enum Failure {
    /// Something is wrong with it, or with the model; the run goes on without it.
    Edit(String),
    /// Nothing can go on.
    Run(ProjectError),
}

impl From<ProjectError> for Failure {
    fn from(error: ProjectError) -> Self {
        Self::Run(error)
    }
}

async fn merge_file(
    context: &JobContext,
    tree: &Tree,
    path: &FilePath,
    edits: &[MergeEdit],
    message: MessageId,
) -> Result<StagedFile, Failure> {
    let edit_fails = |reason: &str| Failure::Edit(reason.to_owned());
    let model = context.parts.settings.merge_model.as_deref().ok_or_else(|| edit_fails(NO_MODEL))?;
    let info = tree.get(path).ok_or_else(|| edit_fails("there is no such file to edit"))?;
    let original = read_content(&context.parts.store, info).await?;
    let original = std::str::from_utf8(&original).map_err(|_| edit_fails("it is not a text file"))?;
    let mut text = original.to_owned();
    for edit in edits {
        let answer = ask(context, model, message, edit.question(&text)).await?;
        text = edit_merge::merged(&answer, original).ok_or_else(|| edit_fails("the merging model gave no file"))?;
    }
    if let Some(loss) = lost_content::of_replacement(path.as_str(), original, &text, Extent::default()) {
        return Err(Failure::Edit(format!("merged, {}; the old version was kept", loss.reason())));
    }
    Ok(StagedFile { path: path.clone(), content: Some(text.into()), base: Some(info.hash.clone()) })
}

async fn ask(context: &JobContext, model: &str, message: MessageId, question: String) -> Result<String, Failure> {
    let is_specialist = SPECIALISTS.iter().any(|name| model.contains(name));
    let request = ModelRequest {
        model: model.to_owned(),
        system: if is_specialist { String::new() } else { edit_merge::SYSTEM.to_owned() },
        turns: vec![Turn { role: MessageRole::User, text: question }],
        ..ModelRequest::default()
    };
    // Its window is none of the conversation's business.
    let info = context.parts.models.resolve(model).unwrap_or_else(|_| ModelInfo::new(model));
    let info = ModelInfo { context_tokens_max: None, ..info };
    let mut aside = Aside::ask(context, message, &info, request).map_err(|error| match error {
        // The rest of the answer can do without it; the next call of the run says that there can be none.
        ProjectError::QuotaExceeded(sentence) => Failure::Edit(sentence),
        error => Failure::Run(error),
    })?;
    let ended = loop {
        match aside.next().await {
            // There is only this one to ask, and how it does is not the conversation's business.
            News::Switched(_) | News::Retried(_) => {}
            News::Ended(ended) => break ended,
        }
    };
    aside.settle().await?;
    let ended = ended.and_then(|(text, stop)| match stop {
        StopReason::Complete => Ok(text),
        StopReason::Truncated | StopReason::Refused(_) => Err(ModelError::Incomplete),
    });
    ended.map_err(|error| Failure::Edit(format!("{model} did not merge it: {error}")))
}
