//! A short soak of the real process, by the same tool that soaks it for an hour's worth: `cobuild bench soak`.

use std::{process::Command, time::Duration};

/// Longest time it may take on a busy machine.
const TIME_MAX: Duration = Duration::from_secs(500);

#[tokio::test]
async fn memory_and_log_stay_within_their_bounds() {
    let soak = tokio::task::spawn_blocking(|| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cobuild"));
        // The warm-up fills whatever has a limit that so few runs reach: rings, logs, and conversations of 500 messages.
        let size = ["--rooms", "3", "--warm-up-runs", "250", "--runs", "60", "--log-frames", "1000"];
        command.args(["bench", "soak", "--any-load"]).args(size).output().expect("it runs")
    });
    let output = tokio::time::timeout(TIME_MAX, soak).await.expect("it ends").expect("no panic");
    let report = String::from_utf8_lossy(&output.stdout);
    println!("{report}");
    // It ends with 2 when an event was missed or doubled, a run did not complete, memory grew or too much was kept.
    assert_eq!(output.status.code(), Some(0), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(report.matches(" ✓").count(), 4, "{report}");
}
