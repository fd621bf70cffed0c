//! Whether the app works after an answer, and what to do when it does not: ask again, at most so often – and when that is
//! of no use, go back to where it worked.

use std::collections::{BTreeMap, BTreeSet};

use cobuild_protocol::{
    Event, FilePath, MessageId,
    event::{PreviewError, Reverted},
    state::FileInfo,
    value::{ContentHash, FileOrigin, PreviewErrorSource},
};

use super::{Bases, owed::Owed};
use crate::{
    codegen::{
        feedback::{self, HeldBack},
        reply::ParsedReply,
    },
    project::{
        command::{
            apply::{self, Effect},
            look::{self, Problem, Seen},
            merge::Merging,
            preview_check::Before,
        },
        error::ProjectError,
        file_tree::Tree,
        model_provider::ModelInfo,
        reconcile::Reconciler,
        run::{JobContext, StagedFile},
        sandbox_link::read_content,
    },
};

/// How often a model may try to mend what it broke. One attempt with the error's text doubles success; what three don't
/// mend, a fourth hardly does.
const REPAIRS_MAX: u32 = 3;
/// How often one answer's edits may be written again because they don't match.
const CORRECTIONS_MAX: u32 = 2;
/// What a package manager changes besides what a reply asks for.
const MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];

/// How things are after an answer.
#[derive(Debug)]
pub(super) enum Look {
    /// As they should be.
    Fine,
    /// Nothing is in effect: these changes could not be put into their files.
    Unmatched(Vec<HeldBack>),
    /// Everything is in effect, and this is wrong.
    Broken(String),
    /// Everything is in effect; this was wrong before, and whether it still is could not be seen.
    Unsure(String),
}

impl Look {
    pub(super) fn problem(&self) -> Option<&str> {
        match self {
            Self::Broken(problem) | Self::Unsure(problem) => Some(problem),
            Self::Fine | Self::Unmatched(_) => None,
        }
    }
}

/// What is wrong with an app.
#[derive(Debug, Clone)]
struct Trouble {
    /// In words, for the model and for people.
    words: String,
    /// Nobody but a page can see whether it is still there.
    is_on_page: bool,
}

/// What a run changed, and how often it was asked to mend it.
pub(super) struct Mending<'a> {
    context: &'a JobContext,
    /// Whether the model that answers reads its answers off a list: they are no better the second time.
    is_canned: bool,
    /// What the model knows of the files.
    bases: Bases,
    /// What each file that changed since the app worked last was then, and what the run made of it. `None`: no such file.
    touched: BTreeMap<FilePath, (Option<FileInfo>, Option<ContentHash>)>,
    repairs: u32,
    corrections: u32,
    /// Files of which the model has been told that they would lose content. What it says again, it means.
    told: BTreeSet<FilePath>,
    /// What the answer is to say again.
    owed: Owed,
    /// What models merged for the answer.
    merging: Merging,
    /// Whether the app was broken before the files in `touched` changed: then they are not what is to blame.
    was_broken: bool,
    /// What is wrong now.
    trouble: Option<Trouble>,
    /// What the model was asked to mend last.
    to_mend: Option<String>,
}

impl<'a> Mending<'a> {
    pub(super) fn new(context: &'a JobContext, model: &ModelInfo) -> Self {
        let seen = context.tree.borrow().clone();
        let bases = seen.iter().map(|(path, info)| (path.clone(), info.hash.clone())).collect();
        Self {
            context,
            is_canned: model.canned,
            bases,
            touched: BTreeMap::new(),
            repairs: 0,
            corrections: 0,
            told: BTreeSet::new(),
            owed: Owed::default(),
            merging: Merging::of(context.message),
            was_broken: context.was_broken,
            trouble: None,
            to_mend: None,
        }
    }

    /// Another model may have answered than the one that was asked first.
    pub(super) fn answered_by(&mut self, model: &ModelInfo) {
        self.is_canned = model.canned;
    }

    /// Somebody wants something else now: it is tried as often as anything.
    pub(super) fn begin_anew(&mut self) {
        (self.repairs, self.corrections) = (0, 0);
        self.told.clear();
    }

    /// Puts an answer, which is this message, into effect – all of it, or nothing where an edit cannot be matched – and
    /// looks whether the app works. After an error there is nothing left but to give up.
    pub(super) async fn apply(&mut self, mut reply: ParsedReply, message: MessageId) -> Result<Look, ProjectError> {
        let (edits, mut losses) = self.owed.missing(&reply);
        reply.unmatched.extend(edits);
        self.merging.bill(message);
        let staging = apply::stage(self.context, &reply, Some(&self.bases), &self.told, &mut self.merging).await;
        let mut staging = staging?;
        staging.losses.append(&mut losses);
        staging.unmatched.append(&mut staging.unmerged);
        let only_losses = staging.unmatched.is_empty();
        if !only_losses || (!staging.losses.is_empty() && self.can_correct()) {
            self.told.extend(staging.losses.iter().map(|held| held.path.clone()));
            self.owed = Owed::new(&staging.unmatched, &staging.losses);
            let changes = staging.unmatched.into_iter().chain(staging.losses).collect();
            return Ok(Look::Unmatched(changes));
        }
        self.owed = Owed::default();
        apply::refuse_all(self.context, &staging.losses).await?;
        self.corrections = 0;
        let before = self.context.tree.borrow().clone();
        let effect = apply::put_into_effect(self.context, staging.files, Vec::new(), &reply).await?;
        let Effect { written, problem, seen, changed, acted, failed } = effect;
        let now = self.context.tree.borrow().clone();
        let changed_manifests = MANIFESTS
            .iter()
            .filter_map(|name| name.parse::<FilePath>().ok())
            .filter(|path| before.get(path).map(|info| &info.hash) != now.get(path).map(|info| &info.hash));
        for path in written.into_iter().chain(changed_manifests) {
            let hash = now.get(&path).map(|info| info.hash.clone());
            match &hash {
                Some(hash) => drop(self.bases.insert(path.clone(), hash.clone())),
                None => drop(self.bases.remove(&path)),
            }
            self.touch(path, &before, hash);
        }
        // What the model does not know of.
        for path in changed {
            let hash = now.get(&path).map(|info| info.hash.clone());
            self.touch(path, &before, hash);
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if let Some(problem) = problem {
            let trouble = Trouble { is_on_page: problem.is_on_page(), words: in_words(problem) };
            let words = trouble.words.clone();
            self.trouble = Some(trouble);
            return Ok(Look::Broken(words));
        }
        Ok(match (&self.trouble, seen) {
            // Nothing was done about it.
            (Some(trouble), _) if !acted => Look::Broken(trouble.words.clone()),
            (Some(trouble), Seen::Nothing) => Look::Unsure(trouble.words.clone()),
            (Some(trouble), Seen::Served) if trouble.is_on_page => Look::Unsure(trouble.words.clone()),
            (_, seen) => {
                // What is wrong is gone. Only where all was seen, this is where later changes go back to.
                (self.trouble, self.to_mend) = (None, None);
                if seen == Seen::All {
                    self.touched.clear();
                    self.was_broken = false;
                }
                Look::Fine
            }
        })
    }

    /// The run made this of a file.
    fn touch(&mut self, path: FilePath, before: &Tree, made: Option<ContentHash>) {
        let original = before.get(&path).cloned();
        self.touched.entry(path).or_insert((original, None)).1 = made;
    }

    /// Whether edits that don't match may be written again. Counts the attempt when it is made.
    pub(super) fn may_correct(&mut self) -> bool {
        let can = self.can_correct();
        self.corrections += u32::from(can);
        can
    }

    fn can_correct(&self) -> bool {
        !self.is_canned && self.corrections < CORRECTIONS_MAX
    }

    /// Why the model is not asked to mend this; `None`: it is, and the attempt counts.
    pub(super) fn why_not_repair(&mut self, problem: &str) -> Option<ProjectError> {
        let is_same = self.to_mend.as_deref().is_some_and(|before| feedback::is_same_problem(before, problem));
        let reason = if self.is_canned {
            Some("the app does not work".to_owned())
        } else if self.repairs > 0 && is_same {
            Some(format!("the app does not work, and the model's {} did not change that", attempts(self.repairs)))
        } else if self.repairs >= REPAIRS_MAX {
            Some(format!("the app does not work after {}", attempts(self.repairs)))
        } else {
            None
        };
        self.to_mend = Some(problem.to_owned());
        if reason.is_none() {
            self.repairs += 1;
        }
        reason.map(ProjectError::Unrepaired)
    }

    /// The text files that the run touched, as they are now; from here on the model knows them.
    pub(super) async fn touched_files(&mut self) -> Result<Vec<(FilePath, String)>, ProjectError> {
        let now = self.context.tree.borrow().clone();
        let mut files = Vec::new();
        for path in self.touched.keys().filter(|path| path.name() != "package-lock.json") {
            let Some(info) = now.get(path) else { continue };
            self.bases.insert(path.clone(), info.hash.clone());
            if let Ok(text) = String::from_utf8(read_content(&self.context.parts.store, info).await?.to_vec()) {
                files.push((path.clone(), text));
            }
        }
        Ok(files)
    }

    /// Edits that never matched: nothing of them is in effect, and what came before is taken back if it is broken.
    pub(super) async fn refuse(&mut self, changes: Vec<HeldBack>) -> Result<(), ProjectError> {
        apply::refuse_all(self.context, &changes).await?;
        let error = ProjectError::Conflict(
            "changes of the answer could not be put into their files, so nothing of it was applied".into(),
        );
        self.give_up(error).await
    }

    /// The run ends with this error. If the app is broken by it, its files become what they were.
    pub(super) async fn give_up(&mut self, error: ProjectError) -> Result<(), ProjectError> {
        let can_go_back = !self.was_broken && !self.touched.is_empty();
        let Some(Trouble { words: problem, .. }) = self.trouble.take().filter(|_| can_go_back) else {
            return Err(error);
        };
        let paths: Vec<FilePath> = self.touched.keys().cloned().collect();
        let (rounds, usage) = (self.repairs, self.context.spending.total().usage);
        let reverted = Reverted { rounds, problem: feedback::shown(&problem), paths, usage };
        self.context.reporter.event(Event::Reverted(reverted)).await?;
        self.revert().await?;
        Err(match error {
            ProjectError::Unrepaired(sentence) => ProjectError::Unrepaired(format!(
                "{sentence}: {}. Its files are as they were before",
                feedback::first_line(&problem)
            )),
            error => error,
        })
    }

    /// What somebody else changed meanwhile is merged, or kept beside. The files are the project's: whatever is the matter
    /// with the sandbox, they are as they were.
    async fn revert(&mut self) -> Result<(), ProjectError> {
        let context = self.context;
        let mut staged = Vec::new();
        for (path, (original, made)) in std::mem::take(&mut self.touched) {
            let content = match original {
                Some(info) => Some(read_content(&context.parts.store, &info).await?),
                None => None,
            };
            staged.push(StagedFile { path, content, base: made });
        }
        let paths: Vec<FilePath> = staged.iter().map(|file| file.path.clone()).collect();
        let before = Before::now(context, context.ready_link().as_deref());
        let reconciler = Reconciler { store: &context.parts.store, tree: &context.tree, reporter: &context.reporter };
        reconciler.write(staged, FileOrigin::Restore).await?;
        look::at_preview(context, &paths, &before).await.map(drop)
    }
}

/// What is wrong, for the model and for people.
fn in_words(problem: Problem) -> String {
    match problem {
        Problem::Process(sentence) => sentence,
        Problem::Preview(PreviewError { message, file, source }) => {
            let message = match source {
                PreviewErrorSource::Build => message,
                PreviewErrorSource::Page => format!("The app throws an error in the browser: {message}"),
            };
            match file {
                Some(file) if !message.contains(&file) => format!("{file}: {message}"),
                _ => message,
            }
        }
    }
}

/// What a run ends with when nobody can say whether the app works again.
pub(super) fn unsure() -> ProjectError {
    ProjectError::Unrepaired("the app did not work, and it could not be checked whether that is mended".to_owned())
}

fn attempts(count: u32) -> String {
    if count == 1 { "one attempt to mend it".to_owned() } else { format!("{count} attempts to mend it") }
}
