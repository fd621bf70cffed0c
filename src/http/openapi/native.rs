//! The server's own API, one call for each route and its description.

use cobuild_protocol::{CommandFrame, ProjectState, frame::ControlFrame, model::ModelList};
use serde_json::json;

use super::{Api, Operation};
use crate::http::{diff, export, rest, share_links, sse};

const REFUSED: (u16, &str) = (400, "Something in the request is not as it must be; `detail` says what.");
const STRANGER: (u16, &str) = (401, "The server asks for a token, or this one does not count.");
const FORBIDDEN: (u16, &str) = (403, "The caller's role does not allow it.");
const MISSING: (u16, &str) = (404, "There is no such project, or no such part of it.");
const EPOCH: &str = "6f1c2f9c6c7d4b0f8f0e6a2d9b3c4d5e";
const HASH: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

pub(super) fn routes(api: Api) -> Api {
    let api = api
        .get("/ready", rest::ready, |op| {
            op.is("Server", "What works")
                .details("Without sandboxes the rest still works; the body says why there are none.")
                .gives::<rest::Readiness>(200, "It takes writes.", readiness(true))
                .gives::<rest::Readiness>(503, "Its store takes no writes.", readiness(false));
        })
        .get("/api/v1/models", rest::models, |op| {
            op.is("Server", "The models that can be named")
                .gives::<ModelList>(
                    200,
                    "The default, the models, and how each provider is.",
                    json!({ "default": { "model": "demo/scripted", "notice": "Demo – canned answers, no AI" },
                            "models": [{ "model": "demo/scripted", "default": true,
                                         "notice": "Demo – canned answers, no AI" }],
                            "providers": [] }),
                )
                .fails(&[STRANGER]);
        })
        .get("/api/v1/projects", rest::projects, |op| {
            op.is("Projects", "The projects the caller may see, newest activity first")
                .gives::<rest::ProjectList>(
                    200,
                    "The projects.",
                    json!({ "projects": [{ "project": "todo", "name": "A todo list", "head": 57,
                        "created_at": "2026-11-22T08:15:17.042Z", "updated_at": "2026-11-22T08:17:01.310Z" }] }),
                )
                .fails(&[STRANGER]);
        })
        .post("/api/v1/projects", rest::create_project, |op| {
            op.is("Projects", "Make a project from the template")
                .details("Without `project` an id is made up.")
                .takes::<rest::NewProject>(json!({ "project": "todo", "name": "A todo list" }))
                .gives::<rest::ProjectStatus>(201, "It exists; `location` is its address.", status())
                .fails(&[
                    REFUSED,
                    STRANGER,
                    FORBIDDEN,
                    (409, "There is a project with this id."),
                    (415, "The body is not said to be JSON."),
                    (422, "The body lacks a field or has it in another type."),
                ]);
        })
        .get("/api/v1/projects/{project}", rest::project, |op| {
            op.is("Projects", "A project's whole state")
                .gives::<rest::ProjectStatus>(200, "The state after event `seq`.", status())
                .fails(&[REFUSED, STRANGER, FORBIDDEN, MISSING]);
        })
        .delete("/api/v1/projects/{project}", rest::delete_project, |op| {
            op.is("Projects", "Delete a project for good")
                .gives_nothing(204, "It is gone: its room, its sandbox, its log.")
                .fails(&[REFUSED, STRANGER, FORBIDDEN, MISSING]);
        })
        .post("/api/v1/projects/{project}/commands", rest::command, command);
    let api = api
        .get("/api/v1/projects/{project}/events", sse::events, |op| {
            op.is("Events", "The project's events, live")
                .details(
                    "Server-sent events: `id` is `<epoch>:<seq>`, `data` an event as over the WebSocket. A reader that \
                     says what it has seen gets exactly what it missed; any other gets `event: reset` with a snapshot \
                     first. The stream does not end by itself.",
                )
                .query::<sse::Since>()
                .header("Last-Event-ID", "The last `id` a reader has seen; browsers send it by themselves.", false, None)
                .gives_as(200, "The stream.", "text/event-stream", json!({ "type": "string" }))
                .fails(&[REFUSED, STRANGER, FORBIDDEN, MISSING]);
        })
        .get("/api/v1/projects/{project}/log", sse::log, |op| {
            op.is("Events", "The project's events up to now")
                .details("One event per line, byte for byte what clients were sent.")
                .query::<sse::From>()
                .gives_as(200, "The log.", "application/x-ndjson", json!({ "type": "string" }))
                .fails(&[REFUSED, STRANGER, FORBIDDEN, MISSING]);
        })
        .get("/api/v1/projects/{project}/files", rest::files, |op| {
            op.is("Files", "The project's files")
                .query::<rest::At>()
                .gives::<rest::FileList>(
                    200,
                    "The files after event `seq`, in path order.",
                    json!({ "seq": 57, "files": [{ "path": "src/App.jsx", "hash": HASH, "size_bytes": 812 }] }),
                )
                .fails(&[REFUSED, STRANGER, FORBIDDEN, MISSING]);
        })
        .get("/api/v1/projects/{project}/files/{*path}", rest::file, |op| {
            op.is("Files", "One file's bytes")
                .details("`etag` is the content's hash. Images, sound and video have their own type; other text is `text/plain`.")
                .gives_as(200, "The content.", "*/*", json!({ "type": "string", "format": "binary" }))
                .gives_nothing(304, "It is what `if-none-match` names.")
                .fails(&[REFUSED, STRANGER, FORBIDDEN, MISSING]);
        })
        .get("/api/v1/projects/{project}/history", rest::history, |op| {
            op.is("Files", "The points the files can be brought back to")
                .query::<rest::HistoryPage>()
                .gives::<rest::History>(200, "The points, newest first.", json!({ "points": [] }))
                .fails(&[REFUSED, STRANGER, FORBIDDEN, MISSING]);
        })
        .get("/api/v1/projects/{project}/export.zip", export::zip, |op| {
            op.is("Files", "All files as a zip archive")
                .gives_as(200, "The archive.", "application/zip", json!({ "type": "string", "format": "binary" }))
                .fails(&[REFUSED, STRANGER, FORBIDDEN, MISSING, (429, "Too many archives are being written.")]);
        })
        .get("/api/v1/projects/{project}/diff", diff::diff, |op| {
            op.is("Files", "What changed between two events")
                .details("A unified diff that `git apply` takes. `from=<repository.seq>` shows what was done to an imported repository.")
                .query::<diff::Between>()
                .gives_as(200, "The diff; empty when nothing changed.", "text/x-diff", json!({ "type": "string" }))
                .fails(&[REFUSED, STRANGER, FORBIDDEN, MISSING, (413, "The diff is too large."),
                    (429, "Too many diffs are being made.")]);
        });
    api.get("/api/v1/projects/{project}/share-links", share_links::list, |op| {
        op.is("Sharing", "The links that count")
            .gives::<share_links::LinkList>(200, "The links, newest first.", json!({ "links": [link()] }))
            .fails(&[REFUSED, STRANGER, FORBIDDEN, MISSING]);
    })
    .post("/api/v1/projects/{project}/share-links", share_links::make, |op| {
        let mut made = link();
        made["token"] = "eyJhbGciOiJIUzI1NiJ9…".into();
        made["url"] = "http://localhost:3100/p/todo#token=eyJhbGciOiJIUzI1NiJ9…".into();
        op.is("Sharing", "Make a link")
            .takes::<share_links::Wanted>(json!({ "role": "editor", "hours": 24, "label": "For the review" }))
            .gives::<share_links::Made>(201, "The link; no other answer ever holds its token.", made)
            .fails(&[
                REFUSED,
                STRANGER,
                FORBIDDEN,
                MISSING,
                (415, "The body is not said to be JSON."),
                (422, "The body lacks a field or has it in another type."),
                (429, "There are too many links."),
            ]);
    })
    .delete("/api/v1/projects/{project}/share-links/{link}", share_links::revoke, |op| {
        op.is("Sharing", "Revoke a link")
            .gives_nothing(204, "It counts no longer, and whoever came by it is out.")
            .fails(&[REFUSED, STRANGER, FORBIDDEN, MISSING]);
    })
}

fn command(op: &mut Operation<'_>) {
    op.is("Events", "Give a command")
        .details(
            "The same commands as over the WebSocket. What begins a run is accepted at once; the run's events tell the \
             rest. The same `id` sent again gets the same reply and has no second effect.",
        )
        .takes::<CommandFrame>(json!({ "type": "generate", "id": "c1", "prompt": "A login form" }))
        .gives::<ControlFrame>(
            200,
            "The answer to a command that only reads.",
            json!({ "type": "result", "id": "c1", "data": {} }),
        )
        .gives::<ControlFrame>(
            202,
            "It will be carried out, or has been.",
            json!({ "type": "accepted", "id": "c1", "run": "r8", "seq": 58 }),
        )
        .fails(&[
            REFUSED,
            STRANGER,
            FORBIDDEN,
            MISSING,
            (409, "It contradicts what is there now."),
            (412, "The file is not what the write was based on."),
            (413, "Something in it is larger than its limit."),
            (422, "It cannot be done here."),
            (429, "Too many prompts are waiting."),
        ]);
}

fn readiness(ready: bool) -> serde_json::Value {
    let store = if ready { json!({ "ok": true }) } else { json!({ "ok": false, "reason": "the disk is full" }) };
    json!({ "ready": ready, "store": store, "sandbox": { "ok": true } })
}

fn status() -> serde_json::Value {
    let state = ProjectState {
        name: "A todo list".into(),
        template: "react-vite".into(),
        preview_id: "0123456789abcdef0123456789abcdef".into(),
        created_at: "2026-11-22T08:15:17.042Z".into(),
        ..ProjectState::default()
    };
    json!({ "project": "todo", "epoch": EPOCH, "seq": 1, "state": state })
}

fn link() -> serde_json::Value {
    json!({ "id": "Zk3v9Q", "role": "editor", "label": "For the review",
        "created_at": "2026-11-22T08:15:17.042Z", "expires_at": "2026-11-23T08:15:17.042Z" })
}
