//! A conversation that outgrew the model's window is summed up, once, by the model itself: its own call, with its reason
//! and its price on record. People still see all of it.

use cobuild_protocol::{Event, event::ConversationCompacted, value::TurnReason};

use super::talk::Talk;
use crate::{
    codegen::{prompt, summary},
    project::error::ProjectError,
};

/// Of what does not fit, this many more of the oldest turns are summed up along: so that the next prompts fit, too.
const TURNS_AHEAD: usize = 4;

/// Sums up what does not fit. Where that cannot be done, the conversation is trimmed instead.
pub(super) async fn compact(talk: &mut Talk<'_>) -> Result<(), ProjectError> {
    if talk.model().canned {
        return Ok(());
    }
    let Some((conversation, outgrown)) = talk.view().outgrown() else { return Ok(()) };
    let count = (outgrown + TURNS_AHEAD).min(conversation.turns.len());
    let Some((through, _)) = conversation.turns[..count].last() else { return Ok(()) };
    let through = *through;
    let turns: Vec<_> = conversation.turns[..count].iter().map(|(_, turn)| turn.clone()).collect();
    let mut question = summary::question(conversation.summary.as_deref(), &turns);
    // The conversation may come from a model with a larger window.
    prompt::shorten(&mut question, talk.view().budget_bytes());
    let text = match talk.ask_aside(TurnReason::Compaction, summary::SYSTEM, question).await {
        // One that reads its answers off has taken the other's place: what it says sums nothing up.
        Ok(text) if !text.trim().is_empty() && !talk.model().canned => summary::limited(&text),
        Err(error @ (ProjectError::QuotaExceeded(_) | ProjectError::Closing)) => return Err(error),
        Ok(_) | Err(_) => {
            tracing::info!(run = %talk.context().run, "the conversation could not be summed up; it is trimmed");
            return talk.announce_prompt().await;
        }
    };
    let messages = u32::try_from(count).unwrap_or(u32::MAX);
    let compacted = ConversationCompacted { through, messages, summary: text.clone() };
    talk.context().reporter.event(Event::ConversationCompacted(compacted)).await?;
    talk.view().summed_up(text, count);
    talk.announce_prompt().await
}
