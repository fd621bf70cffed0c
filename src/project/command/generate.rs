//! `generate`: a prompt, a model's answer, and what the answer does to the project – as often as it takes, within limits.
//!
//! | room | owns |
//! |---|---|
//! | `talk` | the calls of the model: their budget, their continuation, what they consume |
//! | `context` | what the model sees of the project and the conversation |
//! | `compaction` | the summary of a conversation that outgrew the window |
//! | `answer` | what the model says → events for the room, and a reply to apply |
//! | `cut` | answers that are not whole |
//! | `owed` | what an answer has to say again before any of it counts |
//! | `mending` | whether the app works after an answer, and the way back when it cannot be made to |

mod answer;
mod compaction;
mod context;
mod cut;
mod joining;
mod mending;
mod owed;
mod talk;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use cobuild_protocol::{
    Event, FilePath, MessageId,
    command::Generate,
    event::MessageAdded,
    value::{ContentHash, ImageData, ImageInfo, MessageRole, TurnReason},
};
use tokio::sync::mpsc;

use self::{
    answer::Answer,
    cut::Lacking,
    joining::Joining,
    mending::{Look, Mending},
    talk::Talk,
};
use super::{
    Acceptance, BACKGROUND_SIZE_BYTES_MAX, IMAGE_SIZE_BYTES_MAX, IMAGES_MAX, PROMPT_SIZE_BYTES_MAX,
    model_choice::{self, Chosen},
};
use crate::{
    codegen::feedback,
    project::{
        batch::{After, Batch, Stamp},
        error::ProjectError,
        model_provider::ModelInfo,
        page_reader::PageAddress,
        registry::ProjectParts,
        run::{GenerateWork, JobContext, Picture, Steered, Wish, Work},
        state::State,
    },
};

/// What the base of each file was when the model saw it.
pub(super) type Bases = BTreeMap<FilePath, ContentHash>;

pub(super) fn work(parts: &ProjectParts, command: Generate) -> Result<Work, ProjectError> {
    let Generate { prompt, model, apply, verbatim, delivery: _, mode, images, url, background } = command;
    if prompt.trim().is_empty() {
        return Err(ProjectError::BadRequest("prompt must not be blank".into()));
    }
    if prompt.len() > PROMPT_SIZE_BYTES_MAX {
        return Err(ProjectError::TooLarge(format!("prompt has at most {PROMPT_SIZE_BYTES_MAX} bytes")));
    }
    if background.as_ref().is_some_and(|text| text.len() > BACKGROUND_SIZE_BYTES_MAX) {
        return Err(ProjectError::TooLarge(format!("background has at most {BACKGROUND_SIZE_BYTES_MAX} bytes")));
    }
    let models = parts.models.as_ref();
    let Chosen { names, notice } = model_choice::choose(models, model)?;
    let mut names = names.into_iter();
    let first = names.next().unwrap_or_default();
    // One that cannot be used is passed over when it is asked.
    let model = models.resolve(&first).unwrap_or_else(|_| ModelInfo { notice, ..ModelInfo::new(first) });
    let fallbacks: Vec<String> = names.collect();
    let images = pictures(images)?;
    if !images.is_empty() && model.vision == Some(false) && fallbacks.is_empty() {
        return Err(ProjectError::BadRequest(format!(
            "{} does not see pictures; choose a model that does",
            model.name
        )));
    }
    let url = url.map(|url| url.parse::<PageAddress>()).transpose();
    let url = url.map_err(|error| ProjectError::BadRequest(error.to_string()))?;
    let wish = Wish { prompt, images, url, background };
    Ok(Work::Generate(GenerateWork { wish, model, fallbacks, apply, verbatim, mode }))
}

/// The pictures of a prompt, as bytes; each is what it says it is.
fn pictures(images: Vec<ImageData>) -> Result<Vec<Picture>, ProjectError> {
    if images.len() > IMAGES_MAX {
        return Err(ProjectError::TooLarge(format!("a prompt has at most {IMAGES_MAX} pictures")));
    }
    let picture = |ImageData { media_type, data }: ImageData| {
        let bad = |why: &str| ProjectError::BadRequest(format!("a picture's data {why}"));
        if data.len() / 4 * 3 > IMAGE_SIZE_BYTES_MAX + 2 {
            return Err(ProjectError::TooLarge(format!("a picture has at most {IMAGE_SIZE_BYTES_MAX} bytes")));
        }
        let data = BASE64.decode(data).map_err(|_| bad("must be Base64 with padding"))?;
        if !media_type.fits(&data) {
            return Err(bad(&format!("is not {}", media_type.as_str())));
        }
        Ok(Picture { media_type, data: Bytes::from(data) })
    };
    images.into_iter().map(picture).collect()
}

/// Puts the prompt and the answer to come into the conversation.
pub(super) fn open_messages(batch: &mut Batch, state: &State, stamp: Stamp, work: &GenerateWork) {
    let run = stamp.run;
    let prompt = prompt_message(batch, state.next_message(0), &work.wish, false);
    batch.push(Event::MessageAdded(prompt), stamp);
    let answer = answer_message(state.next_message(1), &work.model);
    batch.push(Event::MessageAdded(answer), Stamp { run, ..Stamp::default() });
}

/// Puts a prompt into a run under way.
pub(super) fn join(
    batch: &mut Batch,
    state: &State,
    stamp: Stamp,
    place: mpsc::OwnedPermit<Steered>,
    work: GenerateWork,
) -> Acceptance {
    let run = stamp.run;
    let prompt = prompt_message(batch, state.next_message(0), &work.wish, true);
    let seq = batch.push(Event::MessageAdded(prompt), stamp);
    batch.after.push(After::Steer(place, work.wish));
    Acceptance { run, seq: Some(seq) }
}

fn prompt_message(batch: &mut Batch, message: MessageId, wish: &Wish, steers: bool) -> MessageAdded {
    let image = |picture: &Picture| ImageInfo {
        media_type: picture.media_type,
        hash: batch.keep_blob(picture.data.clone()),
        size_bytes: picture.data.len() as u64,
    };
    MessageAdded {
        message,
        role: MessageRole::User,
        text: wish.prompt.clone(),
        model: None,
        notice: None,
        images: wish.images.iter().map(image).collect(),
        url: wish.url.as_ref().map(|url| url.as_str().to_owned()),
        steers,
    }
}

/// An answer that is still empty.
pub(crate) fn answer_message(message: MessageId, model: &ModelInfo) -> MessageAdded {
    MessageAdded {
        message,
        role: MessageRole::Assistant,
        text: String::new(),
        model: Some(model.name.clone()),
        notice: model.notice.clone(),
        images: Vec::new(),
        url: None,
        steers: false,
    }
}

/// The job: ask, apply, look – and ask again while something is wrong that a model can mend, or somebody joins.
pub(crate) async fn perform(mut context: JobContext, work: GenerateWork) -> Result<(), ProjectError> {
    let mut joining = Joining::new(context.steers.take());
    let context = &context;
    let mut talk = Talk::begin(context, &work).await?;
    let mut answer = Answer::new(context, context.message, work.verbatim);
    let mut mending = Mending::new(context, &work.model);
    let mut lacking = Lacking::default();
    loop {
        let asked = talk.ask(&mut answer).await;
        mending.answered_by(talk.model());
        let ending = match asked {
            Ok(ending) => ending,
            Err(error) => return mending.give_up(error).await,
        };
        let reply = answer.reply();
        lacking.note(ending, &reply);
        let look = if work.changes_files() { mending.apply(reply, talk.message()).await } else { Ok(Look::Fine) };
        let look = match look {
            Ok(look) => look,
            Err(error) => return mending.give_up(error).await,
        };
        let joined = if matches!(look, Look::Unmatched(_)) { None } else { joining.next() };
        match (look, joined) {
            (look, Some(wish)) => {
                mending.begin_anew();
                talk.join(wish, look.problem()).await?;
                lacking.pass();
                answer = Answer::new(context, talk.message(), work.verbatim);
            }
            (Look::Unmatched(changes), None) => {
                if !mending.may_correct() {
                    return mending.refuse(changes).await;
                }
                let detail =
                    changes.iter().map(|change| format!("{}: {}", change.path, change.reason)).collect::<Vec<_>>();
                answer.forget(changes.iter().map(|change| &change.path));
                talk.say(TurnReason::EditUnmatched, feedback::unmatched(&changes), detail.join("; ")).await?;
            }
            (Look::Broken(problem), None) => {
                if let Some(error) = mending.why_not_repair(&problem) {
                    return mending.give_up(error).await;
                }
                let files = mending.touched_files().await?;
                talk.say(TurnReason::Repair, feedback::repair(&problem, &files), problem).await?;
                lacking.pass();
                answer = Answer::new(context, talk.message(), work.verbatim);
            }
            (Look::Unsure(_), None) => return mending.give_up(mending::unsure()).await,
            (Look::Fine, None) => match joining.last().await {
                None => return lacking.outcome(work.changes_files()),
                Some(wish) => {
                    mending.begin_anew();
                    talk.join(wish, None).await?;
                    lacking.pass();
                    answer = Answer::new(context, talk.message(), work.verbatim);
                }
            },
        }
    }
}
