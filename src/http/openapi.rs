//! The OpenAPI document (3.0) of everything the server answers. A route and its description are one call, so neither is
//! there without the other; the schemas are made from the types that are on the wire.
//!
//! Written here on top of schemars, which the protocol's own schema is made with: utoipa would want a second derive on
//! every type of the protocol and writes OpenAPI 3.1 only; aide, in its stable version, knows an older schemars.

mod browser_calls;
mod browser_pages;
mod camel;
mod either;
mod legacy;
mod native;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    extract::State,
    handler::Handler,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::Response,
    routing::{MethodRouter, delete, get, post},
};
use bytes::Bytes;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{HttpState, assets, error::ProblemDetails, legacy::DialectChoice};

/// The pages that show the document, below the page's own files.
const SWAGGER: &str = "api-docs/swagger.html";
const REDOC: &str = "api-docs/redoc.html";
/// What those pages may load: their own scripts and styles. ReDoc searches in a worker of its own making.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: \
    blob:; font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Groups of operations, in the order in which they are shown.
const TAGS: [(&str, &str); 15] = [
    ("Server", "Whether it is well, and the models it has."),
    ("Projects", "Rooms in which apps are built."),
    ("Events", "What happens in a project, live and as a record. The same events as over the WebSocket."),
    ("Files", "A project's files, now and then."),
    ("Sharing", "Links that let others in."),
    ("AI Generation", "Builder AI Engine: a model's answer."),
    ("Code Application", "Builder AI Engine: an answer put into effect."),
    ("Conversation State", "Builder AI Engine: what was said."),
    ("Package Management", "Builder AI Engine: npm packages."),
    ("Package Detection", "Builder AI Engine: the packages that files import."),
    ("Sandbox Management", "Builder AI Engine: where the app runs."),
    ("File Operations", "Builder AI Engine: the files."),
    ("Code Processing", "The code-processing backend."),
    (
        "Browser Clients",
        "What browser clients of the older systems call beyond the ten endpoints, on which they are known \
        by not sending `X-Project-Id`.",
    ),
    ("Pages of the Web", "Browser clients: pages to work from, read for them."),
];

/// Routes and their descriptions, in the making.
pub(crate) struct Api {
    router: Router<HttpState>,
    /// `None`: only the routes are wanted.
    document: Option<Document>,
}

struct Document {
    generator: SchemaGenerator,
    paths: BTreeMap<String, Map<String, Value>>,
    /// Which of the older systems' clients are answered on the paths they share.
    dialect: DialectChoice,
}

/// One operation's description, in the making.
pub(crate) struct Operation<'a> {
    generator: &'a mut SchemaGenerator,
    object: Map<String, Value>,
    dialect: DialectChoice,
}

/// All documented routes, and those of the document itself.
pub(crate) fn routes(dialect: DialectChoice) -> Router<HttpState> {
    // Made for whoever asks first: it takes tens of milliseconds, which a start need not wait for.
    let text = Arc::new(OnceLock::new());
    let document = async move || {
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
        (headers, text.get_or_init(|| Bytes::from(document(dialect).to_string())).clone())
    };
    native::routes(Api { router: Router::new(), document: None })
        .router
        .route("/api/openapi.json", get(document))
        .route("/api/docs", get(swagger))
        .route("/docs", get(swagger))
        .route("/api/redoc", get(redoc))
}

/// Everything that is described. The older systems' routes are their own façade's.
fn document(dialect: DialectChoice) -> Value {
    let mut document = Document::new(dialect);
    // First: of two types with one name, theirs keeps it, as their clients know it.
    legacy::describe(&mut document);
    let api = native::routes(Api { router: Router::new(), document: Some(document) });
    let mut document = api.document.expect("invariant: it was handed over");
    // Nobody else's calls are answered where the operator has chosen the later engine.
    if dialect != DialectChoice::EngineCamel {
        browser_pages::describe(&mut document);
        browser_calls::describe(&mut document);
    }
    document.finish()
}

async fn swagger(state: State<HttpState>, method: Method, headers: HeaderMap) -> Response {
    page(state, method, SWAGGER, headers).await
}

async fn redoc(state: State<HttpState>, method: Method, headers: HeaderMap) -> Response {
    page(state, method, REDOC, headers).await
}

/// A page of the build, under another address and with a policy of its own.
async fn page(state: State<HttpState>, method: Method, file: &'static str, headers: HeaderMap) -> Response {
    let file = Uri::try_from(format!("/{file}")).expect("invariant: letters, '-', '.' and '/' are a path");
    let mut response = assets::serve(state, method, file, headers).await;
    if response.status() == StatusCode::NOT_FOUND {
        response = assets::not_built();
    }
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    response
}

impl Api {
    fn get<H, T>(self, path: &str, handler: H, describe: impl FnOnce(&mut Operation<'_>)) -> Self
    where
        H: Handler<T, HttpState>,
        T: 'static,
    {
        self.add("get", path, get(handler), describe)
    }

    fn post<H, T>(self, path: &str, handler: H, describe: impl FnOnce(&mut Operation<'_>)) -> Self
    where
        H: Handler<T, HttpState>,
        T: 'static,
    {
        self.add("post", path, post(handler), describe)
    }

    fn delete<H, T>(self, path: &str, handler: H, describe: impl FnOnce(&mut Operation<'_>)) -> Self
    where
        H: Handler<T, HttpState>,
        T: 'static,
    {
        self.add("delete", path, delete(handler), describe)
    }

    fn add(
        mut self,
        method: &str,
        path: &str,
        handler: MethodRouter<HttpState>,
        describe: impl FnOnce(&mut Operation<'_>),
    ) -> Self {
        self.router = self.router.route(path, handler);
        if let Some(document) = &mut self.document {
            document.describe(method, path, describe);
        }
        self
    }
}

impl Document {
    fn new(dialect: DialectChoice) -> Self {
        Self { generator: SchemaSettings::openapi3().into_generator(), paths: BTreeMap::new(), dialect }
    }

    fn describe(&mut self, method: &str, path: &str, describe: impl FnOnce(&mut Operation<'_>)) {
        // A wildcard is a parameter that may hold slashes; OpenAPI has no word for that.
        let path = path.replace("{*", "{");
        let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let id = words.fold(method.to_owned(), |id, word| format!("{id}_{word}"));
        let mut operation = Operation { generator: &mut self.generator, object: Map::new(), dialect: self.dialect };
        operation.object.insert("operationId".into(), id.into());
        for name in path.split('{').skip(1).filter_map(|part| part.split('}').next()) {
            operation.path_parameter(name);
        }
        describe(&mut operation);
        let object = operation.object;
        self.paths.entry(path).or_default().insert(method.to_owned(), object.into());
    }

    fn finish(mut self) -> Value {
        let tags: Vec<Value> =
            TAGS.iter().map(|(name, description)| json!({ "name": name, "description": description })).collect();
        json!({
            "openapi": "3.0.3",
            "info": {
                "title": "Cobuild API",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Projects are rooms in which people and models build an app together. Everything that \
                    happens in one is an event, over a WebSocket (`/api/v1/projects/{project}/ws`, see the protocol) \
                    as over the plain requests described here. A server that asks for a token takes it as \
                    `Authorization: Bearer …`.",
                "license": { "name": "MIT", "url": "https://opensource.org/license/mit" },
            },
            "servers": [{ "url": "/" }],
            "tags": tags,
            "security": [{}, { "bearer": [] }],
            "paths": self.paths,
            "components": {
                "schemas": self.generator.take_definitions(true),
                "securitySchemes": {
                    "bearer": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "Only where the server asks for one: the owner's token, one made by `cobuild \
                            token` or an identity provider, or that of a share link.",
                    },
                },
            },
        })
    }
}

impl Operation<'_> {
    /// The group, and what it does in a few words.
    pub(crate) fn is(&mut self, tag: &str, summary: &str) -> &mut Self {
        self.object.insert("tags".into(), json!([tag]));
        self.object.insert("summary".into(), summary.into());
        self
    }

    pub(crate) fn details(&mut self, text: &str) -> &mut Self {
        self.object.insert("description".into(), text.into());
        self
    }

    fn path_parameter(&mut self, name: &str) {
        let schema = match name {
            "project" => self.schema::<cobuild_protocol::ProjectId>(),
            "path" => self.schema::<cobuild_protocol::FilePath>(),
            _ => json!({ "type": "string" }),
        };
        self.parameter(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    }

    fn parameter(&mut self, parameter: Value) {
        let parameters = self.object.entry("parameters").or_insert_with(|| json!([]));
        parameters.as_array_mut().expect("invariant: it was made as a list").push(parameter);
    }

    /// The fields of `T` as parameters of the query.
    pub(crate) fn query<T: JsonSchema>(&mut self) -> &mut Self {
        let schema = self.generator.root_schema_for::<T>().to_value();
        let required = |name: &str| {
            schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name))
        };
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let mut property = property.clone();
            let description = property.as_object_mut().and_then(|object| object.remove("description"));
            // In a query nothing is null; it is absent.
            if let Some(object) = property.as_object_mut() {
                object.remove("nullable");
                object.remove("default");
            }
            self.parameter(json!({
                "name": name,
                "in": "query",
                "required": required(name),
                "description": description.unwrap_or_default(),
                "schema": property,
            }));
        }
        self
    }

    pub(crate) fn header(&mut self, name: &str, description: &str, required: bool, example: Option<&str>) -> &mut Self {
        let mut parameter = json!({
            "name": name, "in": "header", "required": required, "description": description,
            "schema": { "type": "string" },
        });
        if let Some(example) = example {
            parameter["example"] = example.into();
        }
        self.parameter(parameter);
        self
    }

    /// A JSON body.
    pub(crate) fn takes<T: JsonSchema>(&mut self, example: Value) -> &mut Self {
        let schema = self.schema::<T>();
        let content = json!({ "application/json": { "schema": schema, "example": example } });
        self.object.insert("requestBody".into(), json!({ "required": true, "content": content }));
        self
    }

    /// Nothing at all is as good as an empty object.
    fn needs_no_body(&mut self) -> &mut Self {
        if let Some(body) = self.object.get_mut("requestBody") {
            body["required"] = false.into();
        }
        self
    }

    /// A JSON answer.
    pub(crate) fn gives<T: JsonSchema>(&mut self, status: u16, what: &str, example: Value) -> &mut Self {
        let schema = self.schema::<T>();
        self.answer(
            status.to_string(),
            json!({ "description": what, "content": { "application/json": { "schema": schema, "example": example } } }),
        )
    }

    /// An answer of another kind.
    pub(crate) fn gives_as(&mut self, status: u16, what: &str, content_type: &str, schema: Value) -> &mut Self {
        let content = json!({ content_type: { "schema": schema } });
        self.answer(status.to_string(), json!({ "description": what, "content": content }))
    }

    /// A stream of server-sent events without names. What their data is, OpenAPI 3.0 has no word for: it stands under
    /// `x-event-data`.
    pub(crate) fn gives_events<T: JsonSchema>(&mut self, example: &Value) -> &mut Self {
        let event = self.schema::<T>();
        self.gives_events_of(&event, example)
    }

    fn gives_events_of(&mut self, event: &Value, example: &Value) -> &mut Self {
        let data = json!({ "type": "string", "description": "A JSON object.", "example": example.to_string() });
        let schema = json!({
            "type": "object",
            "description": "One event. Its `data` is JSON, as described under `x-event-data`.",
            "properties": { "data": data },
            "required": ["data"],
            "x-event-data": event,
        });
        self.gives_as(200, "The events, each in a write of its own.", "text/event-stream", schema)
    }

    pub(crate) fn gives_nothing(&mut self, status: u16, what: &str) -> &mut Self {
        self.answer(status.to_string(), json!({ "description": what }))
    }

    /// Failures as RFC 9457 writes them: the likely ones by name, every other by `default`.
    pub(crate) fn fails(&mut self, likely: &[(u16, &str)]) -> &mut Self {
        let schema = self.schema::<ProblemDetails<'static>>();
        let content = json!({ "application/problem+json": { "schema": schema } });
        for (status, what) in likely {
            self.answer(status.to_string(), json!({ "description": what, "content": content.clone() }));
        }
        self.answer("default".into(), json!({ "description": "Any other failure.", "content": content }))
    }

    /// A failure in a shape of its own.
    pub(crate) fn fails_with<T: JsonSchema>(&mut self, status: &str, what: &str) -> &mut Self {
        let schema = self.schema::<T>();
        let content = json!({ "application/json": { "schema": schema } });
        self.answer(status.to_owned(), json!({ "description": what, "content": content }))
    }

    fn answer(&mut self, status: String, answer: Value) -> &mut Self {
        let responses = self.object.entry("responses").or_insert_with(|| json!({}));
        responses.as_object_mut().expect("invariant: it was made as an object").insert(status, answer);
        self
    }

    fn schema<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_every_id_is_one() {
        [DialectChoice::Auto, DialectChoice::Engine, DialectChoice::Browser, DialectChoice::EngineCamel]
            .into_iter()
            .for_each(references_and_ids);
    }

    fn references_and_ids(dialect: DialectChoice) {
        let document = document(dialect);
        let text = document.to_string();
        assert!(!text.contains("$defs") && !text.contains("\"const\""), "that is no OpenAPI 3.0");
        for reference in
            text.split("\"$ref\":\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next())
        {
            assert!(document["components"]["schemas"][reference].is_object(), "{reference}");
        }
        let mut ids: Vec<&str> =
            text.split("\"operationId\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert!(count >= 18 && ids.len() == count, "{count} {ids:?}");
    }

    #[test]
    fn every_stream_of_the_older_systems_says_what_its_events_are() {
        for (dialect, kinds_shared) in [(DialectChoice::Auto, 2), (DialectChoice::EngineCamel, 1)] {
            streams_say(&document(dialect), kinds_shared);
        }
    }

    fn streams_say(document: &Value, kinds_shared: usize) {
        for path in ["/api/generate-ai-code-stream", "/api/apply-ai-code-stream", "/api/install-packages", "/code"] {
            let event = &document["paths"][path]["post"]["responses"]["200"]["content"]["text/event-stream"]["schema"];
            let event = &event["x-event-data"];
            let kinds = event["anyOf"].as_array().cloned().unwrap_or_else(|| vec![event.clone()]);
            assert_eq!(kinds.len(), if path == "/code" { 1 } else { kinds_shared }, "{path}: {event}");
            for kind in kinds {
                let name = kind["$ref"].as_str().and_then(|name| name.rsplit('/').next());
                let schema = &document["components"]["schemas"][name.expect("a type of its own")];
                assert!(schema["oneOf"].is_array() || schema["properties"]["type"].is_object(), "{path}: {schema}");
            }
        }
    }

    /// The operations that clients with a project header share with those without.
    const SHARED: [(&str, &str); 11] = [
        ("/api/generate-ai-code-stream", "post"),
        ("/api/apply-ai-code-stream", "post"),
        ("/api/install-packages", "post"),
        ("/api/detect-and-install-packages", "post"),
        ("/api/conversation-state", "get"),
        ("/api/conversation-state", "post"),
        ("/api/conversation-state", "delete"),
        ("/api/create-ai-sandbox-v2", "post"),
        ("/api/get-sandbox-files", "get"),
        ("/api/kill-sandbox", "post"),
        ("/api/create-zip", "post"),
    ];

    #[test]
    fn what_two_kinds_of_clients_share_is_described_for_both() {
        let document = document(DialectChoice::Auto);
        for (path, method) in SHARED {
            let operation = &document["paths"][path][method];
            let header =
                operation["parameters"].as_array().and_then(|all| all.iter().find(|one| one["in"] == "header"));
            assert_eq!(header.expect("the header")["required"], false, "{method} {path}");
            for status in ["400", "422", "500", "default"] {
                let shapes = &operation["responses"][status]["content"]["application/json"]["schema"]["anyOf"];
                let shapes = shapes.as_array().unwrap_or_else(|| panic!("{method} {path} {status}: one shape"));
                let is_browsers = |shape: &&Value| {
                    shape["$ref"]
                        .as_str()
                        .is_some_and(|it| it.ends_with("/BrowserError") || it.ends_with("/NotApplied"))
                };
                assert!(shapes.iter().any(|shape| is_browsers(&shape)), "{method} {path} {status}: {shapes:?}");
            }
            let body = &operation["requestBody"]["content"]["application/json"];
            if !body.is_null() {
                let given = body["examples"].as_object().expect("examples");
                assert!(given.contains_key("engine") && given.contains_key("browser"), "{method} {path}: {given:?}");
            }
            let answer = &operation["responses"]["200"]["content"];
            if answer["application/json"].is_object() && answer["application/zip"].is_null() {
                let given = answer["application/json"]["examples"].as_object().expect("examples");
                assert!(given.contains_key("engine") && given.contains_key("browser"), "{method} {path}: {given:?}");
            }
        }
        assert!(
            document["paths"]["/api/create-zip"]["post"]["responses"]["200"]["content"]["application/json"].is_object()
        );
    }

    #[test]
    fn where_one_kind_is_chosen_only_that_is_described() {
        for (dialect, header) in [(DialectChoice::Engine, Some(true)), (DialectChoice::Browser, None)] {
            let document = document(dialect);
            for (path, method) in SHARED {
                let operation = &document["paths"][path][method];
                assert!(!operation.to_string().contains("anyOf"), "{method} {path}: {operation}");
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let found = parameters.iter().find(|one| one["in"] == "header").map(|one| one["required"] == true);
                assert_eq!(found, header, "{dialect:?} {method} {path}");
            }
        }
    }

    #[test]
    fn a_later_engine_s_paths_are_described_in_its_own_words() {
        let document = document(DialectChoice::EngineCamel);
        let mut described: Vec<(&str, &str)> = Vec::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                if !path.starts_with("/api/") || path.starts_with("/api/v1/") {
                    continue;
                }
                described.push((path, method));
                let parameters = operation["parameters"].as_array().expect("parameters");
                let names: Vec<&str> = parameters.iter().filter_map(|parameter| parameter["name"].as_str()).collect();
                assert_eq!(names, ["X-Project-Id", "projectId"], "{method} {path}");
                assert!(parameters.iter().all(|parameter| parameter["required"] == false), "{method} {path}");
                assert!(!operation["responses"]["422"].to_string().contains("Browser"), "{method} {path}: {operation}");
            }
        }
        let mut expected: Vec<(&str, &str)> =
            SHARED.iter().copied().filter(|(path, _)| *path != "/api/create-zip").collect();
        expected.push(("/api/sandbox-status", "get"));
        described.sort_unstable();
        expected.sort_unstable();
        assert_eq!(described, expected, "what it answers is described, and nothing else");
        for path in ["/", "/health", "/code", "/stream-dummy", "/api/v1/projects"] {
            assert!(document["paths"][path].is_object(), "{path}");
        }
        let schemas = &document["components"]["schemas"];
        assert!(schemas["GenerateCodeRequest"].is_null() && schemas["BrowserGenerateRequest"].is_null());
        let create = &document["paths"]["/api/create-ai-sandbox-v2"]["post"]["responses"]["200"]["content"];
        let create = create["application/json"]["schema"]["$ref"].as_str().expect("a type of its own");
        let create = &schemas[create.rsplit('/').next().expect("a name")];
        for field in ["projectId", "sandboxId", "url", "provider", "message", "success"] {
            assert!(create["properties"][field].is_object(), "{field}: {create}");
        }
    }

    #[test]
    fn the_older_systems_schemas_have_the_names_they_had() {
        let document = document(DialectChoice::Auto);
        let schemas = &document["components"]["schemas"];
        for name in [
            "GenerateCodeRequest",
            "ApplyCodeRequest",
            "InstallPackagesRequest",
            "DetectPackagesRequest",
            "DetectPackagesResponse",
            "CreateSandboxRequest",
            "CreateSandboxResponse",
            "SandboxStatusResponse",
            "KillSandboxRequest",
            "GetFilesResponse",
            "CreateZipRequest",
            "ConversationState",
            "ConversationStateAction",
            "Message",
            "EditHistory",
            "ProjectEvolution",
            "UserPreferences",
            "HTTPValidationError",
            "ValidationError",
        ] {
            assert!(schemas[name].is_object(), "{name}");
        }
        assert!(schemas["Message"]["properties"]["edited_files"].is_object(), "{}", schemas["Message"]);
    }

    #[test]
    fn every_operation_has_a_known_group_and_says_how_it_answers() {
        for dialect in [DialectChoice::Auto, DialectChoice::EngineCamel] {
            groups_and_answers(&document(dialect));
        }
    }

    fn groups_and_answers(document: &Value) {
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let tag = operation["tags"][0].as_str().unwrap_or_default();
                assert!(TAGS.iter().any(|(known, _)| *known == tag), "{method} {path}: {tag}");
                let responses = operation["responses"].as_object().expect("responses");
                assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path}");
                assert!(operation["summary"].is_string(), "{method} {path}");
            }
        }
    }
}
