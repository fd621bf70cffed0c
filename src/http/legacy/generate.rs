//! `POST /api/generate-ai-code-stream`: a prompt answered in text. Nothing is applied.

use axum::{
    extract::{Request, State},
    response::Response,
};
use cobuild_protocol::{
    Command, ErrorBody, Event,
    command::{Generate, ModelChoice, Say},
};

use super::{
    background, body,
    caller::Call,
    dialect::Dialect,
    events::{self, Events, Gone},
    models::{self, Chosen},
    packages,
    refusal::Refusal,
    room::{Visit, ended},
    wire::{GenerateCodeRequest, GenerateComplete, GenerateEvent},
};
use crate::{codegen::reply::parse_reply, http::HttpState, project::ProjectHandle};

/// What the stream's failure is called.
const FAILED: &str = "Code generation failed";

/// What is asked.
#[derive(Debug)]
struct Question {
    prompt: String,
    model: Option<String>,
    background: Option<String>,
}

pub(super) async fn stream(State(state): State<HttpState>, request: Request) -> Result<Response, Refusal> {
    let call = Call::of_header(&state, &request).await?;
    let GenerateCodeRequest { prompt, model, context, .. } = body::read(request).await?;
    call.may_change()?;
    let handle = call.handle().await?;
    let question = Question { prompt, model, background: background::of_engine(context) };
    let listener = call.listener();
    Ok(events::respond(
        &state,
        listener,
        |error| events::value(failure(&error.message)),
        |events| async move {
            events.tell(GenerateEvent::Start { message: "Generating code...".into() }).await;
            let last = match answer(&call, &handle, &question, &events).await? {
                Ok(complete) => complete,
                Err(reason) => failure(&reason),
            };
            events.send(last).await
        },
    ))
}

fn failure(reason: &str) -> GenerateEvent {
    GenerateEvent::Error { error: reason.to_owned(), message: FAILED.into() }
}

/// Streams the answer; returns the last event, or why there is no answer.
async fn answer(
    call: &Call,
    handle: &ProjectHandle,
    question: &Question,
    events: &Events,
) -> Result<Result<GenerateEvent, String>, Gone> {
    let mut visit = match call.enter(handle).await {
        Ok(subscription) => Visit::new(handle.clone(), subscription),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let chosen = match models::choose(&call.state, Dialect::Engine, question.model.as_deref()) {
        Ok(chosen) => chosen,
        Err(reason) => {
            // What was asked is part of the conversation even if nobody could be asked.
            let said = visit.submit(Command::Say(Say { text: question.prompt.clone() })).await;
            return Ok(Err(said.err().map_or(reason, |error| error.message)));
        }
    };
    let response = match reply(&mut visit, question, &chosen, events).await? {
        Ok(response) => response,
        Err(error) => return Ok(Err(error.message)),
    };
    let packages = packages::of_reply(handle, &parse_reply(&response)).await;
    if !packages.is_empty() {
        events.send(GenerateEvent::Packages { packages }).await?;
    }
    Ok(Ok(GenerateEvent::Complete(GenerateComplete { response, notice: chosen.notice })))
}

/// The whole answer, with each piece of it sent as it comes.
async fn reply(
    visit: &mut Visit,
    question: &Question,
    chosen: &Chosen,
    events: &Events,
) -> Result<Result<String, ErrorBody>, Gone> {
    let generate = Generate {
        model: Some(ModelChoice::One(chosen.name.clone())),
        apply: false,
        verbatim: true,
        background: question.background.clone(),
        ..Generate::new(question.prompt.clone())
    };
    let run = match visit.begin(Command::Generate(generate)).await {
        Ok(run) => run,
        Err(error) => return Ok(Err(error)),
    };
    let mut response = String::new();
    loop {
        match visit.next_of(run).await {
            Ok(Event::ReplyDelta(delta)) => {
                response.push_str(&delta.text);
                events.send(GenerateEvent::Chunk { content: delta.text }).await?;
            }
            Ok(Event::RunFinished(finished)) => {
                return Ok(match ended(finished.outcome, finished.error) {
                    Ok(()) => Ok(response),
                    // Applying it says which file is incomplete.
                    Err(error) if error.output_limit && !response.is_empty() => Ok(response),
                    Err(error) => Err(error),
                });
            }
            Ok(_) => {}
            Err(error) => return Ok(Err(error)),
        }
    }
}
