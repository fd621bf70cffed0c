//! One person's session: the server starts, a prompt is answered, the app is there, a change shows.
//!
//! Everything goes the way a browser's does: the room's WebSocket, and the preview through the server's proxy.

mod browser;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use self::browser::Preview;
use super::{
    BenchError,
    child::{Process, TemporaryFolder},
    http,
    report::{Measure, Report},
    room::Room,
};

/// Until a server that has nothing to do has done what it does after its start.
const SETTLE: Duration = Duration::from_secs(2);
/// Changes per round of the hot reload; the first one warms up and does not count.
const CHANGES: usize = 10;
/// Between two changes, so that no message of the one is taken for the other's.
const BETWEEN_CHANGES: Duration = Duration::from_millis(200);
/// The app that is built.
const PROMPT: &str = "A todo list";
/// The file that is changed.
const CHANGED_FILE: &str = "src/App.jsx";

pub(super) fn measure(rounds: usize, report: &mut Report) -> Result<(), BenchError> {
    let folder = TemporaryFolder::new()?;
    starts(folder.path(), rounds, report)?;
    let server = Process::serve(folder.path(), "local")?;
    eprintln!("building the template, once (not measured)");
    first_answer(&server, "warm-up")?;
    let answers = (0..rounds).map(|n| first_answer(&server, &format!("sandbox-{n}"))).collect::<Result<_, _>>()?;
    report.add(Measure::new("new project to Vite's first 200, from the template", "ms", answers).at_most(1500.0));
    prompts(&server, rounds, report)?;
    changes(&server, rounds, report)
}

/// Process start to the first good answer, with and without anything in the data folder; then what it takes to idle.
fn starts(data: &Path, rounds: usize, report: &mut Report) -> Result<(), BenchError> {
    let (mut samples, mut rss, mut pss) = (Vec::new(), Vec::new(), Vec::new());
    // The first makes the database.
    for round in 0..=rounds {
        let began = Instant::now();
        let server = Process::serve(data, "none")?;
        http::get(server.address(), &server.address().to_string(), "/ready")?.expect_ok()?;
        let elapsed = began.elapsed();
        if round > 0 {
            samples.push(milliseconds(elapsed));
            thread::sleep(SETTLE);
            let memory = server.memory()?;
            rss.push(memory.rss_mib);
            pss.push(memory.pss_mib);
        }
    }
    report.add(Measure::new("server start to ready", "ms", samples).at_most(100.0));
    report.add(Measure::new("idle memory (RSS)", "MiB", rss).at_most(40.0));
    report.add(Measure::new("idle memory (PSS)", "MiB", pss));
    Ok(())
}

/// From somebody entering a new project to the page that Vite serves.
fn first_answer(server: &Process, project: &str) -> Result<f64, BenchError> {
    let began = Instant::now();
    let (mut room, preview) = enter(server, project)?;
    preview.wait_until_up()?;
    let elapsed = milliseconds(began.elapsed());
    room.stop_sandbox()?;
    Ok(elapsed)
}

/// From a prompt in a project nobody has been in to the working app.
fn prompts(server: &Process, rounds: usize, report: &mut Report) -> Result<(), BenchError> {
    let (mut first, mut preview_up) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (mut room, preview) = enter(server, &format!("prompt-{round}"))?;
        let began = Instant::now();
        let id = room.send(json!({ "type": "generate", "prompt": PROMPT }))?;
        let accepted = room.wait(|frame| frame["type"] == "accepted" && frame["id"] == *id)?.at;
        let said = |kind: &str| matches!(kind, "text_delta" | "file_started" | "file_delta");
        let answer = room.wait(|frame| frame["type"].as_str().is_some_and(said))?.at;
        room.finish_run()?;
        preview.wait_until_up()?;
        preview.get(&format!("/{CHANGED_FILE}"))?.expect_ok()?;
        let up = began.elapsed();
        room.stop_sandbox()?;
        if round > 0 {
            first.push(milliseconds(answer.saturating_duration_since(accepted)));
            preview_up.push(milliseconds(up));
        }
    }
    report.add(Measure::new("accepted to the first words of the answer", "ms", first));
    report.add(Measure::new("prompt to working preview, new project", "ms", preview_up).at_most(1500.0));
    Ok(())
}

/// From a file that is written to the message by which Vite tells the page.
fn changes(server: &Process, rounds: usize, report: &mut Report) -> Result<(), BenchError> {
    let (mut room, preview) = enter(server, "changes")?;
    room.send(json!({ "type": "generate", "prompt": PROMPT }))?;
    room.finish_run()?;
    preview.wait_until_up()?;
    let mut page = preview.open(CHANGED_FILE)?;
    let (text, mut base) = room.read_file(CHANGED_FILE)?;
    let mut samples = Vec::new();
    for change in 0..=rounds * CHANGES {
        thread::sleep(BETWEEN_CHANGES);
        page.forget_messages()?;
        let content = format!("{text}\n// {change}\n");
        let began = Instant::now();
        room.send(json!({ "type": "write_file", "path": CHANGED_FILE, "content": content, "base": base }))?;
        let told = page.wait_for_update()?;
        if change > 0 {
            samples.push(milliseconds(told.saturating_duration_since(began)));
        }
        let written = room.wait(|frame| frame["type"] == "file_written" && frame["path"] == CHANGED_FILE)?;
        base = written.frame["hash"].as_str().unwrap_or_default().to_owned();
    }
    report.add(Measure::new("file written to hot-reload message in the page", "ms", samples).at_most(20.0));
    Ok(())
}

/// Makes a project and enters it; entering starts its sandbox.
fn enter(server: &Process, project: &str) -> Result<(Room, Preview), BenchError> {
    let preview_id = http::create_project(server.address(), project)?;
    Ok((Room::join(server.address(), project)?, Preview::new(server.address(), &preview_id)))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
