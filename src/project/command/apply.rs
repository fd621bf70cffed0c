//! `apply`: a ready reply put into effect – and the second half of every `generate`.
//!
//! All files of a reply go into the tree in one step, or – when an edit does not match – none of them; then the sandbox
//! gets its packages, the files and the commands, in that order, and the preview is looked at.

use std::collections::BTreeSet;

use bytes::Bytes;
use cobuild_protocol::{
    Event, FilePath, PackageSpec,
    command::{Apply, LeaveOut},
    event::{FileRefused, PackagesDetected},
    value::{ContentHash, FileOrigin},
};

use super::{
    exec,
    generate::Bases,
    install,
    look::{self, Place, Problem, Seen},
    merge::{self, Merging},
    preview_check::Before,
};
use crate::{
    codegen::{
        edit_match::apply_edits,
        feedback::{self, HeldBack},
        lost_content::{self, Extent, Loss},
        packages::{NeededPackages, PackageCollector},
        reply::{ParsedReply, ReplyChange, ReplyFile, parse_reply_in},
        reply_path::Layout,
    },
    project::{
        error::ProjectError,
        file_tree::{Tree, check_place, content_hash},
        reconcile::{Reconciled, Reconciler},
        run::{JobContext, StagedFile, UpdateBody, Work},
        sandbox_link::read_content,
    },
};

/// Largest reply: sixteen files of the largest size would not fit into one anyway.
const REPLY_SIZE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Most files that can be left out of a reply by name.
const FILES_LEFT_OUT_MAX: usize = 256;

pub(super) fn work(command: Apply) -> Result<Work, ProjectError> {
    let Apply { reply, packages, edit, leave_out } = command;
    if reply.len() > REPLY_SIZE_BYTES_MAX {
        return Err(ProjectError::TooLarge(format!("reply has at most {REPLY_SIZE_BYTES_MAX} bytes")));
    }
    if leave_out.files.len() > FILES_LEFT_OUT_MAX {
        return Err(ProjectError::TooLarge(format!("leave_out has at most {FILES_LEFT_OUT_MAX} files")));
    }
    Ok(Work::Apply { reply, packages, edit, leave_out })
}

pub(crate) async fn perform(
    context: JobContext,
    reply: String,
    packages: Vec<PackageSpec>,
    left_out: LeaveOut,
) -> Result<(), ProjectError> {
    let mut reply = parse_reply_in(&reply, context.layout);
    reply.leave_out(&left_out);
    let mut merging = Merging::of(context.message);
    let staging = stage(&context, &reply, None, &BTreeSet::new(), &mut merging).await?;
    refuse_all(&context, &staging.losses).await?;
    refuse_all(&context, &staging.unmerged).await?;
    if !staging.unmatched.is_empty() {
        refuse_all(&context, &staging.unmatched).await?;
        return Err(ProjectError::Conflict(
            "edits of the reply could not be put into their files, so nothing of it was applied".into(),
        ));
    }
    let effect = put_into_effect(&context, staging.files, packages, &reply).await?;
    if let Some(error) = effect.failed {
        return Err(error);
    }
    if let Some(Problem::Process(reason)) = effect.problem {
        // What it printed is in the log.
        return Err(ProjectError::ProcessFailed(reason.lines().next().unwrap_or_default().to_owned()));
    }
    if reply.is_cut() {
        return Err(ProjectError::BadRequest("the reply is cut off; its complete files were applied".into()));
    }
    Ok(())
}

/// A reply worked out against the tree. All of it takes effect together, or – where there is something unmatched – none.
#[derive(Debug, Default)]
pub(super) struct Staging {
    pub(super) files: Vec<StagedFile>,
    /// Edits whose search text is not in their file, or not once.
    pub(super) unmatched: Vec<HeldBack>,
    /// Versions that would throw work away. The others can do without them.
    pub(super) losses: Vec<HeldBack>,
    /// Edits that no model merged.
    pub(super) unmerged: Vec<HeldBack>,
}

/// What became of a reply.
#[derive(Debug)]
pub(super) struct Effect {
    /// The files that are in the tree.
    pub(super) written: Vec<FilePath>,
    /// Why the app does not work, as far as that can be seen.
    pub(super) problem: Option<Problem>,
    /// How much could be seen at all.
    pub(super) seen: Seen,
    /// The files that its commands changed.
    pub(super) changed: Vec<FilePath>,
    /// Whether there was anything to do at all.
    pub(super) acted: bool,
    /// Why it could not be carried out to the end. What it changed until then is in the tree.
    pub(super) failed: Option<ProjectError>,
}

/// Does what a reply says: packages, files, commands, in that order; then looks at the preview.
///
/// # Errors
///
/// Nothing of it is in the tree.
pub(super) async fn put_into_effect(
    context: &JobContext,
    staged: Vec<StagedFile>,
    packages: Vec<PackageSpec>,
    reply: &ParsedReply,
) -> Result<Effect, ProjectError> {
    let now = context.tree.borrow().clone();
    let needed = detect(context, &now, &staged, packages, reply).await?;
    // Held before the tree changes, so that the dev server never sees an import whose package is still missing: it would
    // remember, and fail to find the package even when it is there. So packages wait for a sandbox still being made.
    let link = if needed.packages.is_empty() { context.ready_link() } else { context.link().await.ok() };
    let hold = link.as_ref().filter(|_| !needed.packages.is_empty()).map(|link| link.hold());
    let before = Before::now(context, link.as_deref());
    let written = write(context, staged).await?;
    let acted = !(written.is_empty() && needed.packages.is_empty() && reply.commands.is_empty());
    let mut effect = Effect { written, problem: None, seen: Seen::Nothing, changed: Vec::new(), acted, failed: None };
    if acted {
        let installed =
            if needed.packages.is_empty() { Ok(()) } else { install::install(context, needed.packages).await };
        drop(hold);
        effect.failed = carry_out(context, installed, &reply.commands, &before, &mut effect).await.err();
    }
    Ok(effect)
}

/// What there is to do when the files are in the tree.
async fn carry_out(
    context: &JobContext,
    installed: Result<(), ProjectError>,
    commands: &[String],
    before: &Before,
    effect: &mut Effect,
) -> Result<(), ProjectError> {
    if let Place::None(error) = look::place(context).await? {
        // Without a sandbox the files are all the same safe in the tree; only what needs one fails.
        installed?;
        return if commands.is_empty() { look::unchecked(context, error.to_string()).await } else { Err(error.into()) };
    }
    let ran = match installed {
        Ok(()) => run_commands(context, commands, &mut effect.changed).await,
        Err(error) => Err(error),
    };
    match ran {
        Ok(()) => (effect.problem, effect.seen) = look::at_preview(context, &effect.written, before).await?,
        Err(ProjectError::ProcessFailed(reason)) => {
            (effect.problem, effect.seen) = (Some(Problem::Process(reason)), Seen::All);
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Works out what every file of the reply becomes. `bases` is what its author knew of the files; `None`: what is there
/// now. Files that cannot be in the tree whatever is done are reported and left out. Of those that are `meant`, the author
/// has been told that they lose most of their content, and so may say it again.
pub(super) async fn stage(
    context: &JobContext,
    reply: &ParsedReply,
    bases: Option<&Bases>,
    meant: &BTreeSet<FilePath>,
    merging: &mut Merging,
) -> Result<Staging, ProjectError> {
    let tree = context.tree.borrow().clone();
    let mut staging = Staging { unmatched: reply.unmatched.clone(), ..Staging::default() };
    for file in &reply.files {
        if !file.complete {
            refuse(context, file.path.as_str(), "it was cut off before its end".to_owned()).await?;
            continue;
        }
        let (content, applied_to) = match new_content(context, &tree, reply, file, meant).await? {
            NewContent::Text { content, applied_to } => (content, applied_to),
            NewContent::Unmatched(held) => {
                staging.unmatched.push(held);
                continue;
            }
            NewContent::Loss(held) => {
                staging.losses.push(held);
                continue;
            }
        };
        if let Err(error) = check_place(&tree, &file.path, content.len()) {
            refuse(context, file.path.as_str(), error.to_string()).await?;
            continue;
        }
        let base = match bases {
            _ if applied_to.is_some() => applied_to,
            Some(bases) => bases.get(&file.path).cloned(),
            None => tree.get(&file.path).map(|info| info.hash.clone()),
        };
        staging.files.push(StagedFile { path: file.path.clone(), content: Some(content), base });
    }
    // Where nothing takes effect, nothing is paid for.
    let merges = if staging.unmatched.is_empty() { &reply.merges[..] } else { &[] };
    let merged = merge::merge_all(context, &tree, merges, merging).await?;
    for file in merged.files {
        // What the edit makes of the file counts, not what else the reply writes there.
        staging.files.retain(|other| other.path != file.path);
        let size_bytes = file.content.as_ref().map_or(0, Bytes::len);
        match check_place(&tree, &file.path, size_bytes) {
            Ok(()) => staging.files.push(file),
            Err(error) => refuse(context, file.path.as_str(), error.to_string()).await?,
        }
    }
    // A whole file of the reply can do without the edit of it.
    staging.unmerged = merged.failed;
    staging.unmerged.retain(|held| !staging.files.iter().any(|file| file.path == held.path));
    for refused in &reply.refused_files {
        refuse(context, &refused.name, refused.reason.clone()).await?;
    }
    Ok(staging)
}

/// What a file of a reply becomes.
enum NewContent {
    Text {
        content: Bytes,
        /// What an edit was applied to: the file as it is now, not as the model saw it.
        applied_to: Option<ContentHash>,
    },
    Unmatched(HeldBack),
    Loss(HeldBack),
}

async fn new_content(
    context: &JobContext,
    tree: &Tree,
    reply: &ParsedReply,
    file: &ReplyFile,
    meant: &BTreeSet<FilePath>,
) -> Result<NewContent, ProjectError> {
    let held = |reason: String, hint| HeldBack { path: file.path.clone(), reason, hint };
    let lost = |loss: &Loss, hint| held(format!("{}; the old version was kept", loss.reason()), hint);
    let unmatched = |reason: &str| Ok(NewContent::Unmatched(held(reason.to_owned(), None)));
    match &file.change {
        ReplyChange::Whole(text) => Ok(match loses_content(context, tree, reply, file, text).await? {
            Some(loss @ Loss::Placeholder(_)) => NewContent::Loss(lost(&loss, None)),
            Some(loss @ Loss::Most { .. }) if !meant.contains(&file.path) => {
                NewContent::Loss(lost(&loss, Some(feedback::IF_MEANT.to_owned())))
            }
            _ => NewContent::Text { content: Bytes::from(text.clone()), applied_to: None },
        }),
        ReplyChange::Edit(blocks) => {
            let Some(info) = tree.get(&file.path) else { return unmatched("there is no such file to edit") };
            let original = read_content(&context.parts.store, info).await?;
            let Ok(original) = std::str::from_utf8(&original) else { return unmatched("it is not a text file") };
            Ok(match apply_edits(original, blocks) {
                Ok(text) => match lost_content::placeholder(file.path.as_str(), original, &text) {
                    Some(loss) => NewContent::Loss(lost(&loss, None)),
                    None => NewContent::Text { content: Bytes::from(text), applied_to: Some(info.hash.clone()) },
                },
                Err(error) => NewContent::Unmatched(held(error.to_string(), feedback::hint(&error))),
            })
        }
    }
}

/// Tells the room which changes were not made, and why.
pub(super) async fn refuse_all(context: &JobContext, held: &[HeldBack]) -> Result<(), ProjectError> {
    for HeldBack { path, reason, .. } in held {
        refuse(context, path.as_str(), reason.clone()).await?;
    }
    Ok(())
}

/// What would be lost if a whole file replaced the one there is.
async fn loses_content(
    context: &JobContext,
    tree: &Tree,
    reply: &ParsedReply,
    file: &ReplyFile,
    text: &str,
) -> Result<Option<Loss>, ProjectError> {
    let Some(info) = tree.get(&file.path) else { return Ok(None) };
    let old = read_content(&context.parts.store, info).await?;
    let Ok(old) = std::str::from_utf8(&old) else { return Ok(None) };
    let new_files = reply.files.iter().filter(|other| other.complete && !tree.contains_key(&other.path));
    let moved = new_files.map(|other| match &other.change {
        ReplyChange::Whole(text) => Extent::of(text),
        ReplyChange::Edit(_) => Extent::default(),
    });
    Ok(lost_content::of_replacement(file.path.as_str(), old, text, moved.sum()))
}

/// Puts the files into the tree, all in one step. Returns those that are in.
async fn write(context: &JobContext, mut staged: Vec<StagedFile>) -> Result<Vec<FilePath>, ProjectError> {
    let tree = context.tree.borrow().clone();
    staged.retain(|file| {
        let hash = file.content.as_deref().map(content_hash);
        tree.get(&file.path).map(|info| &info.hash) != hash.as_ref() || hash.is_none()
    });
    if staged.is_empty() {
        return Ok(Vec::new());
    }
    let mut paths: Vec<FilePath> = staged.iter().map(|file| file.path.clone()).collect();
    let reconciler = Reconciler { store: &context.parts.store, tree: &context.tree, reporter: &context.reporter };
    let Reconciled { refused, conflicted } = reconciler.write(staged, FileOrigin::Reply).await?;
    paths.retain(|path| !conflicted.contains(path));
    for (refused, reason) in refused {
        paths.retain(|path| *path != refused);
        refuse(context, refused.as_str(), reason).await?;
    }
    Ok(paths)
}

async fn refuse(context: &JobContext, path: &str, reason: String) -> Result<(), ProjectError> {
    let refused = FileRefused { path: path.to_owned(), reason };
    Ok(context.reporter.event(Event::FileRefused(refused)).await?)
}

/// What has to be installed for the reply: what was asked for, then what the files import.
async fn detect(
    context: &JobContext,
    tree: &Tree,
    staged: &[StagedFile],
    packages: Vec<PackageSpec>,
    reply: &ParsedReply,
) -> Result<NeededPackages, ProjectError> {
    let manifest = manifest(context, tree, staged).await?;
    let mut collector = PackageCollector::new(manifest.as_deref());
    for package in packages.iter().chain(&reply.packages) {
        collector.add_named(package.as_str());
    }
    // A repository that is no npm package has no use for any.
    let imports = context.layout == Layout::App || manifest.is_some();
    for file in staged.iter().filter(|_| imports) {
        if let Some(text) = file.content.as_deref().and_then(|content| std::str::from_utf8(content).ok()) {
            collector.add_imports(&file.path, text);
        }
    }
    let mut needed = collector.finish();
    needed.refused.extend(reply.refused_packages.iter().cloned());
    if !needed.packages.is_empty() || !needed.refused.is_empty() {
        let detected = PackagesDetected {
            packages: needed.packages.iter().map(ToString::to_string).collect(),
            refused: needed.refused.clone(),
        };
        context.reporter.report(UpdateBody::Events(vec![Event::PackagesDetected(detected)])).await?;
    }
    Ok(needed)
}

/// The text of `package.json` as it will be.
async fn manifest(context: &JobContext, tree: &Tree, staged: &[StagedFile]) -> Result<Option<String>, ProjectError> {
    let new = staged.iter().find(|file| file.path.as_str() == "package.json").and_then(|file| file.content.clone());
    let content = match (new, tree.iter().find(|(path, _)| path.as_str() == "package.json")) {
        (Some(content), _) => content,
        (None, Some((_, info))) => read_content(&context.parts.store, info).await?,
        (None, None) => return Ok(None),
    };
    Ok(String::from_utf8(content.to_vec()).ok())
}

/// Runs the reply's commands one after the other, and notes which files they changed. All are tried; the run fails if one
/// did.
async fn run_commands(
    context: &JobContext,
    commands: &[String],
    changed: &mut Vec<FilePath>,
) -> Result<(), ProjectError> {
    let mut failed = None;
    for command in commands {
        let ran = exec::run_shell(context, command, exec::TIMEOUT_MAX).await?;
        changed.extend(ran.changed);
        if let Some(exec::Failure { reason, tail }) = ran.failure {
            failed.get_or_insert(ProjectError::ProcessFailed(format!("`{command}` failed: {reason}\n{tail}")));
        }
    }
    failed.map_or(Ok(()), Err)
}
