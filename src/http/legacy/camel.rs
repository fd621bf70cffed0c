//! A later variant of the first engine, in camelCase: its project is named by the header, by `projectId` in query or body, or
//! is `default`. Nothing in its requests tells them apart from others', so the operator has to choose it.
//!
//! What it does is what browsers' endpoints do; this room knows its words for that.

mod translation;
pub(crate) mod wire;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::Request,
    http::{Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use cobuild_protocol::{
    ProjectId, ProjectState,
    value::{EditStyle, MessageRole},
};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};

pub(super) use self::translation::Translation;
use self::wire::{
    CamelApplyRequest, CamelChange, CamelContext, CamelConversation, CamelConversationResponse, CamelCreateFailure,
    CamelCreateFailureDetail, CamelCreateRequest, CamelDetectRequest, CamelGenerateRequest, CamelInstallRequest,
    CamelMessage, CamelPreferences, CamelStateRequest,
};
use super::{
    body::{self, Fields},
    browser::{self, Browser},
    caller::{Call, project_named},
    conversation::{self, TOPIC_DEFAULT},
    dialect::{Dialect, PROJECT_HEADER},
    events,
    refusal::{Refusal, no_such_path},
    sandbox,
    wire::{MessageAuthor, PreferredStyle},
};
use crate::http::{HttpState, listener::Connection};

/// The project of those who name none.
const PROJECT_DEFAULT: &str = "default";

/// Answers a request below `/api`.
pub(super) async fn answer(state: HttpState, request: Request) -> Response {
    respond(state, request).await.unwrap_or_else(|refusal| refusal.in_dialect(Dialect::Camel))
}

async fn respond(state: HttpState, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    let endpoint = path.strip_prefix("/api/").unwrap_or_default();
    let grant = state.access.admit_request(&parts.headers).await?;
    let request = Request::from_parts(parts.clone(), body);
    let body = body::bytes(request).await?;
    let request = |body: Bytes| Request::from_parts(parts.clone(), Body::from(body));
    let project = project(&request(Bytes::new()), &body)?;
    let connection = parts.extensions.get::<Connection>().cloned();
    let browser = Browser::of_project(Call::new(&state, connection, project, grant, Dialect::Camel)?);
    check(endpoint, &method, request(body.clone())).await?;
    let request = request(if endpoint == "generate-ai-code-stream" { with_context(body) } else { body });
    match (&method, endpoint) {
        (&Method::POST, "generate-ai-code-stream") => {
            stream(&browser, browser::generate::stream(browser.clone(), request)).await
        }
        (&Method::POST, "apply-ai-code-stream") => {
            stream(&browser, browser::apply::stream(browser.clone(), request)).await
        }
        (&Method::POST, "install-packages") => {
            stream(&browser, browser::install::stream(browser.clone(), request)).await
        }
        (&Method::POST, "detect-and-install-packages") => browser::install::detect(browser, request).await,
        (_, "conversation-state") => state_of(browser, method, request).await,
        (&Method::POST, "create-ai-sandbox-v2") => create(&state, browser, request).await,
        (&Method::GET, "sandbox-status") => named(browser, browser::sandbox::status, request).await,
        (&Method::POST, "kill-sandbox") => named(browser, browser::sandbox::kill, request).await,
        (&Method::GET, "get-sandbox-files") => named(browser, browser::files::list, request).await,
        _ => Ok(no_such_path()),
    }
}

/// The project a request is about.
fn project(request: &Request, body: &[u8]) -> Result<ProjectId, Refusal> {
    if let Some(named) = request.headers().get(PROJECT_HEADER).filter(|named| !named.is_empty()) {
        return project_named(named.as_bytes());
    }
    let of_body =
        serde_json::from_slice::<Value>(body).ok().and_then(|body| Some(body["projectId"].as_str()?.to_owned()));
    let of_query = || sandbox::query_of(request).remove("projectId");
    project_named(of_body.or_else(of_query).unwrap_or_else(|| PROJECT_DEFAULT.to_owned()).as_bytes())
}

/// What a client knows besides the prompt may stand beside it, too.
fn with_context(body: Bytes) -> Bytes {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&body) else { return body };
    let Some(known) = fields.remove("conversationContext") else { return body };
    if fields.get("context").is_some_and(|context| !context.is_null()) {
        return body;
    }
    fields.insert("context".into(), json!({ "conversationContext": known }));
    Value::Object(fields).to_string().into()
}

/// Complains of a body as the first engine does.
async fn check(endpoint: &str, method: &Method, request: Request) -> Result<(), Refusal> {
    if *method != Method::POST {
        return Ok(());
    }
    match endpoint {
        "generate-ai-code-stream" => body::read::<CamelGenerateRequest>(request).await.map(drop),
        "apply-ai-code-stream" => body::read::<CamelApplyRequest>(request).await.map(drop),
        "install-packages" => body::read::<CamelInstallRequest>(request).await.map(drop),
        "detect-and-install-packages" => body::read::<CamelDetectRequest>(request).await.map(drop),
        "conversation-state" => body::read::<CamelStateRequest>(request).await.map(drop),
        _ => Ok(()),
    }
}

/// A stream, in which these clients are told also what others are refused for before it begins.
async fn stream(
    browser: &Browser,
    answer: impl Future<Output = Result<Response, Refusal>>,
) -> Result<Response, Refusal> {
    let reason = match answer.await {
        Err(Refusal::Detail(StatusCode::BAD_REQUEST | StatusCode::INTERNAL_SERVER_ERROR, reason)) => reason,
        Ok(answer) if answer.status().is_server_error() => {
            let body = json_of(answer.into_body()).await?;
            body["error"].as_str().map(str::to_owned).ok_or_else(unreadable)?
        }
        answered => return answered,
    };
    let failure = |reason: &str| json!({ "type": "error", "error": reason });
    let (state, listener) = (browser.call.state.clone(), browser.call.listener());
    Ok(events::respond(
        &state,
        listener,
        move |error| failure(&error.message),
        move |events| async move { events.send(failure(&reason)).await },
    ))
}

async fn json_of(body: Body) -> Result<Value, Refusal> {
    let bytes = body.collect().await.map_err(|_| unreadable())?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|_| unreadable())
}

/// A browser's answer, with the project's name in it.
async fn named<F>(
    browser: Browser,
    endpoint: impl FnOnce(Browser, Request) -> F,
    request: Request,
) -> Result<Response, Refusal>
where
    F: Future<Output = Result<Response, Refusal>>,
{
    let project = browser.call.project.clone();
    let answer = endpoint(browser, request).await?;
    let status = answer.status();
    let mut body = json_of(answer.into_body()).await?;
    body["projectId"] = project.as_str().into();
    Ok((status, Json(body)).into_response())
}

fn unreadable() -> Refusal {
    Refusal::Unexpected("an answer could not be put together".into())
}

async fn create(state: &HttpState, browser: Browser, request: Request) -> Result<Response, Refusal> {
    let CamelCreateRequest { provider, .. } = Fields::read_or_empty(request).await?.read_as()?;
    sandbox::check_provider(state, provider.as_deref())?;
    match named(browser, browser::sandbox::create, Request::new(Body::empty())).await {
        Err(Refusal::Detail(StatusCode::INTERNAL_SERVER_ERROR, reason)) => {
            let error = "Failed to create sandbox";
            let detail = CamelCreateFailureDetail { success: false, error, details: reason };
            Ok((StatusCode::INTERNAL_SERVER_ERROR, Json(CamelCreateFailure { detail })).into_response())
        }
        answered => answered,
    }
}

async fn state_of(browser: Browser, method: Method, request: Request) -> Result<Response, Refusal> {
    let (project, handle) = (browser.call.project.clone(), browser.handle().await?);
    let message = match method {
        Method::GET => None,
        Method::DELETE => {
            browser::state::delete(browser, request).await?;
            let body = json!({ "success": true, "projectId": project, "message": "Conversation state cleared" });
            return Ok(Json(body).into_response());
        }
        _ => {
            browser::state::post(browser, request).await?;
            Some("Conversation state updated")
        }
    };
    let (_, view) = handle.state().await?;
    let state = conversation(&project, &view);
    let message = message.or(state.is_none().then_some("No conversation yet"));
    Ok(Json(CamelConversationResponse { success: true, project_id: project, state, message }).into_response())
}

/// The conversation as these clients know it.
fn conversation(project: &ProjectId, view: &ProjectState) -> Option<CamelConversation> {
    let conversation = &view.conversation;
    if !conversation.active {
        return None;
    }
    let at = browser::state::milliseconds;
    let messages = conversation::messages(view).map(|message| CamelMessage {
        id: format!("msg-{}", message.message),
        role: match message.role {
            MessageRole::User => MessageAuthor::User,
            MessageRole::Assistant => MessageAuthor::Assistant,
        },
        content: conversation::text_of(message),
        timestamp: at(&message.at),
        metadata: Map::new(),
    });
    let changes = conversation.evolution.iter().map(|step| CamelChange {
        timestamp: at(&step.at),
        description: format!("Applied {} files", step.files.len()),
        files_affected: step.files.iter().map(ToString::to_string).collect(),
    });
    Some(CamelConversation {
        project_id: project.clone(),
        context: CamelContext {
            messages: messages.collect(),
            edits: conversation.edits.iter().map(browser::state::edit).collect(),
            project_evolution: changes.collect(),
            user_preferences: CamelPreferences {
                edit_style: match conversation.edit_style {
                    EditStyle::Targeted => PreferredStyle::Targeted,
                    EditStyle::Comprehensive => PreferredStyle::Comprehensive,
                },
                common_patterns: conversation.common_patterns.clone(),
            },
            current_topic: conversation.topic.clone().unwrap_or_else(|| TOPIC_DEFAULT.to_owned()),
        },
        created_at: at(&conversation.created_at),
        updated_at: at(&conversation.updated_at),
    })
}
