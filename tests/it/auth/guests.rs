//! A guest at a server that other machines can reach: the real program, the link it printed for its owner, the link the
//! owner made of it. The guest has nothing but that: no name, no token, no account.

use std::{net::SocketAddr, time::Duration};

use cobuild::client::{Commander, Notice, Reply, Room, RoomOptions, Server};
use cobuild_protocol::{ParticipantId, ProjectId, value::Role};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::signer::{hs256, now};
use crate::support::{ServerProcess, within};

/// The promise: a revoked link's connections end within this.
const REVOKED_WITHIN: Duration = Duration::from_secs(1);
const LINKS: &str = "/api/v1/projects/p/share-links";

/// A request to the program, and its JSON answer.
async fn ask(at: SocketAddr, method: Method, path: &str, token: &str, body: Option<Value>) -> (StatusCode, Value) {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = http.request(method, format!("http://{at}{path}"));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = within("an answer", request.send()).await.expect("an answer");
    let (status, text) = (answer.status(), answer.text().await.expect("a body"));
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Somebody who has opened a link.
struct Guest {
    room: Room,
    me: ParticipantId,
    role: Role,
    /// By what name the room knows them.
    name: String,
}

impl Guest {
    async fn by(link: &str) -> Self {
        let project: ProjectId = "p".parse().expect("an id");
        let server = Server::new(link, None).expect("a link");
        let mut room = server.room(&project, RoomOptions { name: None, ..RoomOptions::named("") });
        let (mut who, mut name) = (None, None);
        while name.is_none() {
            match within("the room", room.next()).await.expect("it goes on") {
                Notice::Welcome(welcome) => who = Some((welcome.participant, welcome.role)),
                Notice::Snapshot { frame, .. } => {
                    let (me, _) = who.expect("welcomed first");
                    name = frame.state.participants.get(&me).map(|known| known.name.clone());
                }
                Notice::Refused(error) => panic!("turned away: {error}"),
                _ => {}
            }
        }
        let (me, role) = who.expect("welcomed");
        Self { room, me, role, name: name.expect("known") }
    }

    /// Sends a command, reading on meanwhile.
    async fn send(&mut self, command: Value) -> Result<Reply, String> {
        let commander: Commander = self.room.commander().clone();
        let command = serde_json::from_value(command).expect("a command");
        let reply = commander.send(command);
        tokio::pin!(reply);
        within("a reply", async {
            loop {
                tokio::select! {
                    reply = &mut reply => return reply.map_err(|error| error.to_string()),
                    notice = self.room.next() => assert!(notice.is_some(), "the room ended"),
                }
            }
        })
        .await
    }

    /// Reads until it is no use coming back; why.
    async fn turned_out(&mut self) -> String {
        loop {
            match self.room.next().await.expect("it says why") {
                Notice::Refused(error) => return error.to_string(),
                // Whoever is to come back has not been told the truth.
                Notice::Phase(phase) => assert!(!format!("{phase:?}").contains("Waiting"), "{phase:?}"),
                _ => {}
            }
        }
    }
}

async fn share(at: SocketAddr, owner: &str, role: &str) -> (Value, String) {
    let (status, link) = ask(at, Method::POST, LINKS, owner, Some(json!({ "role": role }))).await;
    assert_eq!(status, 201, "{link}");
    let url = link["url"].as_str().expect("a link").to_owned();
    // However this machine is called elsewhere, here it is this.
    let (_, rest) = url.split_once(&format!(":{}/", at.port())).unwrap_or_else(|| panic!("{url}"));
    (link["id"].clone(), format!("http://{at}/{rest}"))
}

#[tokio::test]
async fn a_link_is_all_a_guest_needs_and_its_revocation_ends_their_connection_within_a_second() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--host", "0.0.0.0", "--sandbox-provider", "none"];
    let mut server = ServerProcess::spawn(folder.path(), &arguments);
    let (at, owner) = server.ready_for_owners().await;
    assert_eq!(ask(at, Method::GET, "/api/v1/projects", "", None).await.0, 401, "it is open to nobody");
    let forged = hs256(json!({ "sub": "x", "projects": { "*": "owner" }, "exp": now() + 60.0 }));
    assert_eq!(ask(at, Method::GET, "/api/v1/projects", &forged, None).await.0, 401);
    let (status, made) = ask(at, Method::POST, "/api/v1/projects", &owner, Some(json!({ "project": "p" }))).await;
    assert_eq!(status, 201, "{made}");

    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let asked = http.post(format!("http://{at}{LINKS}")).bearer_auth(&owner).header("host", "build.example:3100");
    let link = within("an answer", asked.json(&json!({ "role": "viewer" })).send()).await.expect("an answer");
    let link: Value = link.json().await.expect("JSON");
    let url = link["url"].as_str().expect("a link");
    assert!(url.starts_with("http://build.example:3100/p/p#token="), "as whoever invites reaches us: {url}");
    let (editors, editors_url) = share(at, &owner, "editor").await;
    let (_, viewers_url) = share(at, &owner, "viewer").await;
    let (mut editor, mut viewer) = (Guest::by(&editors_url).await, Guest::by(&viewers_url).await);
    assert_eq!((editor.role, viewer.role), (Role::Editor, Role::Viewer));
    for guest in [&editor, &viewer] {
        assert_eq!(guest.name, format!("Guest {}", guest.me.number()), "whoever gives no name");
    }
    let write = |path: &str| json!({ "type": "write_file", "path": path, "content": "x", "encoding": "utf8" });
    assert!(matches!(editor.send(write("guest.txt")).await, Ok(Reply::Accepted(_))));
    assert!(viewer.send(write("viewer.txt")).await.is_err_and(|error| error.contains("viewer")));

    let path = format!("{LINKS}/{}", editors.as_str().expect("an id"));
    assert_eq!(ask(at, Method::DELETE, &path, &owner, None).await.0, 204);
    let reason = tokio::time::timeout(REVOKED_WITHIN, editor.turned_out()).await.expect("within a second");
    assert!(reason.contains("this share link has been revoked"), "{reason}");
    let mut back =
        Server::new(&editors_url, None).expect("a link").room(&"p".parse().expect("an id"), RoomOptions::named(""));
    let refused = within("a refusal", async {
        loop {
            if let Notice::Refused(error) = back.next().await.expect("it says why") {
                return error.to_string();
            }
        }
    })
    .await;
    assert!(refused.contains("revoked"), "{refused}");
    // The other link has nothing to do with it.
    assert!(viewer.send(json!({ "type": "status" })).await.is_ok());
    server.kill().await;
}
