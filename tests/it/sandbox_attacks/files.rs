//! 49–51: the file API, with an enemy on the other side.

use cobuild::project::sandbox_provider::{FileChange, SandboxError, SandboxFile};
use cobuild_protocol::FilePath;
use nix::libc;

use super::*;

fn path(text: &str) -> FilePath {
    text.parse().expect(text)
}

#[tokio::test]
async fn attack_49_links_out_of_the_project() {
    let Some(arena) = Arena::open("attack 49").await else { return };
    let planted = temporary();
    std::fs::write(planted.path().join("secret"), "planted").expect("planted");
    let planted = planted.path().to_str().expect("UTF-8");
    arena
        .sh(&format!("ln -s {planted}/secret link; ln -s {planted} directory; ln -s /etc/shadow shadow"))
        .await
        .succeeds();
    for name in ["link", "directory/secret", "shadow"] {
        assert!(matches!(arena.sandbox.read(&path(name)).await, Err(SandboxError::NotFound)), "{name}");
    }
    let listed = arena.sandbox.list().await.expect("listed");
    assert!(listed.iter().all(|entry| !["link", "directory/secret", "shadow"].contains(&entry.path.as_str())));
    let write = |name| FileChange::Write(SandboxFile { path: path(name), content: "overwritten".into() });
    arena.sandbox.write(vec![write("link")]).await.expect("replaces the link");
    let refused = arena.sandbox.write(vec![write("directory/new")]).await.expect("tried");
    assert_eq!(refused.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["directory/new"]);
    assert_eq!(std::fs::read_to_string(format!("{planted}/secret")).expect("lives"), "planted");
    assert!(!Path::new(planted).join("new").exists());
    // The twin: by its path on the host, the link does lead out.
    let host = arena.host_directory().await;
    assert_eq!(std::fs::read_to_string(host.join("directory/secret")).expect("read"), "planted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_50_swapping_a_directory_for_a_link() {
    const RACE_TIME: Duration = Duration::from_millis(1500);
    let Some(arena) = Arena::open("attack 50").await else { return };
    let planted = temporary();
    std::fs::write(planted.path().join("file"), "outside").expect("planted");
    let planted_path = planted.path().to_str().expect("UTF-8");
    arena.sh(&format!("mkdir swapped && printf inside > swapped/file && ln -s {planted_path} other")).await.succeeds();
    let host = arena.host_directory().await;
    // RENAME_EXCHANGE, until it is killed.
    let swap = format!(
        "print qq(up\\n); $| = 1; my ($a, $b) = ('swapped', 'other'); while (1) {{ syscall({}, -100, $a, -100, $b, 2) }}",
        libc::SYS_renameat2
    );
    let (sender, mut output) = mpsc::channel(16);
    let program = Program::Argv(["perl", "-e", &format!("$| = 1; {swap}")].map(str::to_owned).to_vec());
    let request = ExecRequest::new(program, PROBE_TIME_MAX);
    let mut racer = arena.sandbox.exec(request, sender).await.expect("started");
    assert_eq!(output.recv().await.expect("output").text, "up\n");

    let deadline = std::time::Instant::now() + RACE_TIME;
    let (mut inside, mut refused, mut through_paths) = (0, 0, 0);
    while std::time::Instant::now() < deadline {
        match arena.sandbox.read(&path("swapped/file")).await {
            Ok(content) => {
                assert_ne!(&content[..], b"outside", "an escape");
                inside += 1;
            }
            Err(SandboxError::NotFound) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        let write = FileChange::Write(SandboxFile { path: path("swapped/written"), content: "x".into() });
        match arena.sandbox.write(vec![write]).await {
            Ok(_) | Err(SandboxError::Failed(_)) => {}
            Err(error) => panic!("{error}"),
        }
        let _ = arena.sandbox.list().await.expect("listed");
        // The twin: the same race by path, on the host.
        through_paths += u32::from(std::fs::read(host.join("swapped/file")).is_ok_and(|content| content == b"outside"));
    }
    racer.kill();
    racer.wait().await;
    assert!(inside > 0 && refused > 0, "both sides of the race were seen: {inside} inside, {refused} refused");
    assert!(through_paths > 0, "the twin escapes");
    assert!(!planted.path().join("written").exists(), "nothing was written outside");
}

#[tokio::test]
async fn attack_51_hard_links_to_the_hosts_files() {
    let Some(arena) = Arena::open("attack 51").await else { return };
    arena.sh("ln /usr/bin/env linked").await.fails("Invalid cross-device link");
    arena.sh("ln node_modules/vite/package.json linked").await.fails("Invalid cross-device link");
    let directory = temporary();
    std::fs::write(directory.path().join("a"), "x").expect("written");
    outside_sh(directory.path(), "ln a linked").succeeds();
}

#[tokio::test]
async fn attack_63_changing_the_template() {
    let Some(arena) = Arena::open("attack 63").await else { return };
    let change = "printf '\\npoison\\n' >> node_modules/vite/package.json && rm -r node_modules/react && echo x > ~/.npm/x && cat node_modules/vite/package.json | tail -1";
    assert_eq!(arena.sh(change).await.succeeds(), "poison");
    let Some(other) = Arena::open("attack 63").await else { return };
    let seen = other.sh("tail -1 node_modules/vite/package.json; ls -d node_modules/react; ls ~/.npm").await;
    assert!(!seen.succeeds().contains("poison") && seen.text.contains("node_modules/react"), "{seen:?}");
    assert!(seen.text.contains("_cacache") && !seen.text.split_whitespace().any(|name| name == "x"), "{seen:?}");
}

#[tokio::test]
async fn attack_64_one_sandbox_and_another() {
    let Some(one) = Arena::open("attack 64").await else { return };
    let two = Arena {
        sandbox: create(&*one._provider, one._provider.template().files).await,
        _provider: one._provider.clone(),
        data_dir: one.data_dir.clone(),
    };
    one.sandbox.start_preview().await.expect("a dev server");
    let probe = "(exec 3<>/dev/tcp/127.0.0.1/5173) 2>/dev/null && echo connected || echo refused";
    assert_eq!(two.run(&["bash", "-c", probe]).await.succeeds(), "refused");
    assert_eq!(one.run(&["bash", "-c", probe]).await.succeeds(), "connected");
    one.sh("echo mine > mine; echo mine > /tmp/mine").await.succeeds();
    two.sh("ls mine").await.fails("No such file");
    two.sh("ls /tmp/mine").await.fails("No such file");
}
