//! Share links, from making to revoking.

use std::time::Duration;

use cobuild::project::ProjectSettings;
use cobuild_protocol::{frame::ControlFrame, value::Role};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Guarded,
    signer::{SECRET, hs256, now},
};
use crate::support::{Setup, TestServer, WsClient};

/// The promise: a revoked link's connections end within this.
const REVOKED_WITHIN: Duration = Duration::from_secs(1);

const LINKS: &str = "/api/v1/projects/p/share-links";

impl Guarded {
    async fn share(&self, wanted: Value) -> Value {
        let (status, link) = self.ask(Method::POST, LINKS, &self.owner, Some(wanted)).await;
        assert_eq!(status, 201, "{link}");
        link
    }

    async fn links(&self) -> Vec<Value> {
        let (status, list) = self.get(LINKS, &self.owner).await;
        assert_eq!(status, 200);
        list["links"].as_array().expect("a list").clone()
    }

    async fn revoke(&self, id: &Value) -> u16 {
        let path = format!("{LINKS}/{}", id.as_str().expect("an id"));
        self.ask(Method::DELETE, &path, &self.owner, None).await.0.as_u16()
    }
}

fn token(link: &Value) -> &str {
    link["token"].as_str().expect("a token")
}

#[tokio::test]
async fn a_link_lets_guests_in_until_it_is_revoked() {
    let guarded = Guarded::start().await;
    guarded.create("p").await;
    guarded.create("q").await;
    let link = guarded.share(json!({ "role": "editor", "hours": 2, "label": " for Bob " })).await;
    let url = link["url"].as_str().expect("a link");
    assert!(url.ends_with(&format!("/p/p#token={}", token(&link))) && url.starts_with("http://"), "{url}");
    let listed = guarded.links().await;
    assert_eq!((listed.len(), &listed[0]["id"]), (1, &link["id"]));
    assert_eq!((listed[0]["label"].as_str(), listed[0]["role"].as_str()), (Some("for Bob"), Some("editor")));
    assert!(listed[0].get("token").is_none() && !listed[0].to_string().contains("sha256"), "{}", listed[0]);

    let mut guest = WsClient::attach_with_token(&guarded.server, "p", token(&link)).await;
    assert_eq!(guest.welcome.role, Role::Editor);
    let mut events = guarded.events("p", token(&link)).await.expect("a stream");
    let reply = guest.command(json!({ "type": "write_file", "path": "guest.txt", "content": "x" })).await;
    assert!(matches!(reply, ControlFrame::Accepted(_)), "{reply:?}");
    assert_eq!(guarded.get("/api/v1/projects/p/files", token(&link)).await.0, 200);
    assert_eq!(guarded.get("/api/v1/projects/q/files", token(&link)).await.0, 403);
    assert_eq!(guarded.get(LINKS, token(&link)).await.0, 403, "guests don't share");
    let list = guarded.get("/api/v1/projects", token(&link)).await.1;
    assert_eq!(list["projects"].as_array().map(Vec::len), Some(1));

    assert_eq!(guarded.revoke(&link["id"]).await, 204);
    let ends = async {
        let (code, reason) = guest.closed().await;
        assert_eq!((code, reason.as_str()), (Some(4501), "this share link has been revoked"));
        events.ended().await;
    };
    tokio::time::timeout(REVOKED_WITHIN, ends).await.expect("at once");
    let (code, reason) = guarded.turned_away("p", Some(token(&link))).await.expect("turned away");
    assert_eq!((code, reason.as_str()), (Some(4501), "this share link has been revoked"));
    let (status, problem) = guarded.get("/api/v1/projects/p", token(&link)).await;
    assert_eq!((status.as_u16(), problem["detail"].as_str()), (401, Some("this share link has been revoked")));
    assert!(guarded.links().await.is_empty());
    assert_eq!(guarded.revoke(&link["id"]).await, 404);
}

#[tokio::test]
async fn guests_of_one_link_are_several_people() {
    let guarded = Guarded::start().await;
    guarded.create("p").await;
    let link = guarded.share(json!({ "role": "viewer" })).await;
    let first = WsClient::attach_with_token(&guarded.server, "p", token(&link)).await;
    let second = WsClient::attach_with_token(&guarded.server, "p", token(&link)).await;
    assert_ne!(first.welcome.participant, second.welcome.participant);
    assert_eq!(first.welcome.role, Role::Viewer);
}

#[tokio::test]
async fn the_guests_of_one_link_do_not_fill_the_room() {
    let projects = ProjectSettings { participant_connections_max: 3, ..Setup::default().projects };
    let setup = Setup { projects, ..Setup::with_arguments(&["--jwt-secret", SECRET]) };
    let guarded = Guarded::start_with(setup).await;
    guarded.create("p").await;
    let link = guarded.share(json!({ "role": "viewer" })).await;
    let _guests = [
        WsClient::attach_with_token(&guarded.server, "p", token(&link)).await,
        WsClient::attach_with_token(&guarded.server, "p", token(&link)).await,
    ];
    let _events = guarded.events("p", token(&link)).await.expect("a stream");
    let (code, reason) = guarded.turned_away("p", Some(token(&link))).await.expect("turned away");
    assert_eq!((code, reason.as_str()), (Some(4029), "this share link has too many connections"));
    // A stream that is told to come back later.
    guarded.events("p", token(&link)).await.expect("a stream").ended().await;
    let other = guarded.share(json!({ "role": "viewer" })).await;
    for token in [&guarded.owner, token(&other)] {
        assert_eq!(guarded.turned_away("p", Some(token)).await, None);
    }
}

#[tokio::test]
async fn links_outlive_a_restart_and_end_with_their_project() {
    let mut guarded = Guarded::start().await;
    guarded.create("p").await;
    let link = guarded.share(json!({ "role": "viewer" })).await;
    guarded.server.restart().await;
    let mut guest = WsClient::attach_with_token(&guarded.server, "p", token(&link)).await;
    let (status, _) = guarded.ask(Method::DELETE, "/api/v1/projects/p", &guarded.owner, None).await;
    assert_eq!(status, 204);
    let code = guest.closed().await.0.expect("a code");
    assert!(code >= 4500, "{code}");
    // Another project of that name is not theirs.
    guarded.create("p").await;
    assert_eq!(guarded.turned_away("p", Some(token(&link))).await.and_then(|(code, _)| code), Some(4501));
}

#[tokio::test]
async fn only_owners_share_and_only_what_makes_sense() {
    let guarded = Guarded::start().await;
    guarded.create("p").await;
    let editor = hs256(json!({ "sub": "ed", "projects": { "p": "editor" }, "exp": now() + 600.0 }));
    let local_owner = hs256(json!({ "sub": "own", "projects": { "p": "owner" }, "exp": now() + 600.0 }));
    let wanted = json!({ "role": "viewer" });
    assert_eq!(guarded.ask(Method::POST, LINKS, &editor, Some(wanted.clone())).await.0, 403);
    assert_eq!(guarded.ask(Method::POST, LINKS, &local_owner, Some(wanted.clone())).await.0, 201);
    for bad in [
        json!({ "role": "owner" }),
        json!({ "role": "king" }),
        json!({}),
        json!({ "role": "viewer", "hours": 0 }),
        json!({ "role": "viewer", "hours": 100_000 }),
        json!({ "role": "viewer", "hours": -1 }),
        json!({ "role": "viewer", "label": "x".repeat(101) }),
    ] {
        let (status, problem) = guarded.ask(Method::POST, LINKS, &guarded.owner, Some(bad.clone())).await;
        assert!(status.is_client_error(), "{bad} {problem}");
    }
    let missing = "/api/v1/projects/missing/share-links";
    assert_eq!(guarded.ask(Method::POST, missing, &guarded.owner, Some(wanted)).await.0, 404);
}

#[tokio::test]
async fn an_open_server_has_guests_too() {
    let guarded = Guarded { server: TestServer::start().await, owner: String::new() };
    guarded.create("p").await;
    let link = guarded.share(json!({ "role": "viewer" })).await;
    let guest = WsClient::attach_with_token(&guarded.server, "p", token(&link)).await;
    assert_eq!(guest.welcome.role, Role::Viewer);
    let (status, _) = guarded.ask(Method::DELETE, "/api/v1/projects/p", token(&link), None).await;
    assert_eq!(status, 403);
    assert_eq!(guarded.get("/api/v1/projects/p", "").await.0, 200, "without a token everybody is owner as before");
    guarded.revoke(&link["id"]).await;
    assert_eq!(guarded.get("/api/v1/projects/p", token(&link)).await.0, 401);
}

#[tokio::test]
async fn a_server_with_an_owner_s_token_has_guests_too() {
    let server = TestServer::start_with(Setup::with_arguments(&["--host", "0.0.0.0"])).await;
    let owner = server.running().owner_link().and_then(|link| link.split_once("#token=")).expect("a link").1.to_owned();
    let guarded = Guarded { server, owner };
    guarded.create("p").await;
    let link = guarded.share(json!({ "role": "editor" })).await;
    let guest = WsClient::attach_with_token(&guarded.server, "p", token(&link)).await;
    assert_eq!(guest.welcome.role, Role::Editor);
}
