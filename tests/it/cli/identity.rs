//! As whom the command line enters a room.

use serde_json::Value;

use super::*;

/// The names of those who have been in the room, one for each participant.
async fn participants(server: &TestServer) -> Vec<String> {
    let status = server.json("/api/v1/projects/p").await;
    let known = status["state"]["participants"].as_object().expect("participants");
    let mut names: Vec<String> = known.values().filter_map(|who| who["name"].as_str()).map(str::to_owned).collect();
    names.sort_unstable();
    names
}

async fn generate(server: &TestServer, home: &Path, further: &[&str]) -> Vec<Value> {
    let arguments = [&["generate", "p", "words 3"], further].concat();
    let ended = within("the run", command(server.address, &arguments).env("HOME", home).output()).await.expect("ran");
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    frames(&ended)
}

#[tokio::test]
async fn one_machine_is_one_participant_however_often_it_asks() {
    let server = TestServer::start().await;
    let (mine, another) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let by = |frames: &[Value]| frames[0]["by"].as_str().expect("somebody").to_owned();
    let first = by(&generate(&server, mine.path(), &[]).await);
    let second = by(&generate(&server, mine.path(), &[]).await);
    assert_eq!(first, second);
    assert_eq!(participants(&server).await, ["Terminal"]);
    assert_ne!(by(&generate(&server, another.path(), &[]).await), first, "another machine is somebody else");
    assert_ne!(by(&generate(&server, mine.path(), &["--name", "Ada"]).await), first, "by another name, too");
    assert_eq!(participants(&server).await, ["Ada", "Terminal", "Terminal"]);
    assert!(mine.path().join(".config/cobuild/client-id").exists());
}

#[tokio::test]
async fn where_nothing_can_be_kept_it_works_all_the_same() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    std::fs::write(&home, "no folder").expect("written");
    for _ in 0..2 {
        generate(&server, &home, &[]).await;
    }
    assert_eq!(participants(&server).await, ["Terminal", "Terminal"]);
}
