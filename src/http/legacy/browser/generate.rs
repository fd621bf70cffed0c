//! `POST generate-ai-code-stream`: an answer streamed as text, with what is in it named as it comes.

use std::time::Instant;

use axum::{extract::Request, response::Response};
use cobuild_protocol::{
    Command, ErrorBody, Event, FilePath,
    command::{Generate, ModelChoice},
    event::FileDelta,
};
use serde_json::Value;

use super::{
    caller::Browser,
    intent::{self, Plan},
    wire::{BrowserGenerateComplete, BrowserGenerateEvent, BrowserGenerateRequest},
};
use crate::{
    codegen::reply::{ParsedReply, parse_reply},
    http::legacy::{
        background,
        body::Fields,
        events::{self, Events, Gone},
        models::{self, Chosen},
        packages,
        refusal::Refusal,
        room::{Visit, asked_again, ended},
    },
    project::ProjectHandle,
};

/// What is said when the answer does not explain itself.
const EXPLANATION_DEFAULT: &str = "Code generated successfully!";

pub(crate) async fn stream(browser: Browser, request: Request) -> Result<Response, Refusal> {
    let BrowserGenerateRequest { prompt, model, context, is_edit } =
        Fields::read_or_empty(request).await?.read_leniently();
    let prompt = prompt.0.filter(|prompt| !prompt.trim().is_empty());
    let prompt = prompt.ok_or_else(|| Refusal::bad_request("Prompt is required"))?;
    let background = background::of_browser(context);
    // A hint only: what is there, and what was said, the project itself knows.
    let is_edit = is_edit.unwrap_or(false);
    browser.call.may_change()?;
    let chosen =
        models::choose(&browser.call.state, browser.call.dialect, model.as_deref()).map_err(Refusal::bad_request)?;
    let handle = browser.handle().await?;
    let (state, listener) = (browser.call.state.clone(), browser.call.listener().pinged());
    Ok(events::respond(
        &state,
        listener,
        |error| failure(&error.message),
        move |events| async move {
            events.tell(status("Initializing AI...")).await;
            if is_edit {
                events.tell(status(&planned(&handle, &prompt).await)).await;
            }
            events.tell(status("Planning application structure...")).await;
            let answer = Answer { browser: &browser, handle: &handle, chosen, is_edit, events: &events };
            match answer.give(prompt, background).await? {
                Ok(complete) => events.send(complete).await,
                Err(reason) => {
                    // Such pages show a status and no error.
                    events.send(status(&reason)).await?;
                    events.send(failure(&reason)).await
                }
            }
        },
    ))
}

/// What a change seems to be about. Which files the model is shown, the project finds out for itself.
async fn planned(handle: &ProjectHandle, prompt: &str) -> String {
    let files: Vec<FilePath> =
        handle.state().await.map(|(_, view)| view.files.into_keys().collect()).unwrap_or_default();
    let names = files.iter().filter_map(|path| path.name().split('.').next());
    let Plan { kind, terms, .. } = intent::plan(prompt, names);
    match terms.as_slice() {
        [] => format!("Planned edit: {kind}"),
        terms => format!("Planned edit: {kind}, looking for {}", terms.join(", ")),
    }
}

fn status(message: &str) -> BrowserGenerateEvent {
    BrowserGenerateEvent::Status { message: message.to_owned() }
}

fn failure(reason: &str) -> Value {
    events::value(BrowserGenerateEvent::Error { error: reason.to_owned(), message: reason.to_owned() })
}

struct Answer<'a> {
    browser: &'a Browser,
    handle: &'a ProjectHandle,
    chosen: Chosen,
    is_edit: bool,
    events: &'a Events,
}

impl Answer<'_> {
    /// Streams the answer; returns the last event, or why there is none.
    async fn give(
        &self,
        prompt: String,
        background: Option<String>,
    ) -> Result<Result<BrowserGenerateEvent, String>, Gone> {
        let mut visit = match self.browser.call.enter(self.handle).await {
            Ok(subscription) => Visit::new(self.handle.clone(), subscription),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let model = Some(ModelChoice::One(self.chosen.name.clone()));
        let generate = Generate { model, apply: false, verbatim: true, background, ..Generate::new(prompt) };
        let run = match visit.begin(Command::Generate(generate)).await {
            Ok(run) => run,
            Err(error) => return Ok(Err(error.message)),
        };
        let mut pieces =
            Pieces { events: self.events, prose: String::new(), components: 0, files: 0, thinks_since: None };
        let mut code = String::new();
        let cut: Option<ErrorBody> = loop {
            match visit.next_of(run).await {
                Ok(Event::ModelRetried(retried)) => {
                    self.events.send(BrowserGenerateEvent::Info { message: asked_again(&retried) }).await?;
                }
                Ok(Event::ReasoningDelta(delta)) => pieces.thought(&delta.text).await?,
                Ok(Event::ReplyDelta(delta)) => {
                    pieces.thought_through().await?;
                    code.push_str(&delta.text);
                    self.events.send(BrowserGenerateEvent::Stream { text: delta.text, raw: true }).await?;
                }
                Ok(Event::TextDelta(delta)) => pieces.prose.push_str(&delta.text),
                Ok(Event::FileStarted(_)) => pieces.conversation().await?,
                Ok(Event::FileDelta(delta)) => pieces.file(&delta).await?,
                Ok(Event::RunFinished(finished)) => match ended(finished.outcome, finished.error) {
                    Ok(()) => break None,
                    Err(error) if error.output_limit && !code.is_empty() => break Some(error),
                    Err(error) => return Ok(Err(error.message)),
                },
                Ok(_) => {}
                Err(error) => return Ok(Err(error.message)),
            }
        };
        pieces.conversation().await?;
        let (files, components) = (pieces.files, pieces.components);
        self.complete(code, cut, files, components).await.map(Ok)
    }

    async fn complete(
        &self,
        code: String,
        cut: Option<ErrorBody>,
        files: usize,
        components: usize,
    ) -> Result<BrowserGenerateEvent, Gone> {
        let parsed = parse_reply(&code);
        let needed = packages::of_reply(self.handle, &parsed).await;
        if self.is_edit {
            for name in &needed {
                let message = format!("Package detected: {name}");
                self.events.send(BrowserGenerateEvent::Package { name: name.clone(), message }).await?;
            }
        }
        let warnings = warnings(&parsed, cut);
        for warning in &warnings {
            self.events.send(BrowserGenerateEvent::Warning { message: warning.clone() }).await?;
        }
        let explanation = parsed.explanation.unwrap_or_else(|| EXPLANATION_DEFAULT.to_owned());
        Ok(BrowserGenerateEvent::Complete(BrowserGenerateComplete {
            generated_code: code,
            explanation,
            files,
            components,
            model: self.chosen.name.clone(),
            packages_to_install: Some(needed).filter(|needed| !needed.is_empty()),
            warnings: Some(warnings).filter(|warnings| !warnings.is_empty()),
            structure: parsed.structure,
            template: parsed.template,
            notice: self.chosen.notice.clone(),
        }))
    }
}

/// What of the answer is not whole.
fn warnings(parsed: &ParsedReply, cut: Option<ErrorBody>) -> Vec<String> {
    let files = parsed.files.iter().filter(|file| !file.complete);
    let mut warnings: Vec<String> =
        files.map(|file| format!("{} was cut off before its end and will not be applied", file.path)).collect();
    if cut.is_some() && warnings.is_empty() {
        warnings.push("The answer reached the model's output limit".into());
    }
    warnings
}

/// The parts of an answer as they come.
struct Pieces<'a> {
    events: &'a Events,
    prose: String,
    components: usize,
    files: usize,
    thinks_since: Option<Instant>,
}

impl Pieces<'_> {
    /// The model thinks aloud.
    async fn thought(&mut self, text: &str) -> Result<(), Gone> {
        self.thinks_since.get_or_insert_with(Instant::now);
        self.events.send(BrowserGenerateEvent::Thinking { text: text.to_owned() }).await
    }

    /// It begins to write.
    async fn thought_through(&mut self) -> Result<(), Gone> {
        let Some(since) = self.thinks_since.take() else { return Ok(()) };
        self.events.send(BrowserGenerateEvent::ThinkingComplete { duration: since.elapsed().as_secs() }).await
    }

    /// The prose up to here.
    async fn conversation(&mut self) -> Result<(), Gone> {
        let prose = std::mem::take(&mut self.prose);
        if prose.trim().is_empty() {
            return Ok(());
        }
        self.events.send(BrowserGenerateEvent::Conversation { text: prose.trim().to_owned() }).await
    }

    /// A file, once it is whole.
    async fn file(&mut self, delta: &FileDelta) -> Result<(), Gone> {
        if !delta.done {
            return Ok(());
        }
        self.files += 1;
        let path = delta.path.as_str();
        if path.ends_with("/App.jsx") || path == "App.jsx" {
            let message = "Generated main App.jsx".into();
            return self.events.send(BrowserGenerateEvent::App { message, path: path.to_owned() }).await;
        }
        if !path.contains("components/") {
            return Ok(());
        }
        self.components += 1;
        let name = delta.path.name().split('.').next().unwrap_or_default().to_owned();
        let (path, index) = (path.to_owned(), self.components);
        self.events.send(BrowserGenerateEvent::Component { name, path, index }).await
    }
}
