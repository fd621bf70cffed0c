//! The real `cobuild` process, for tests that take its life.

use std::{net::SocketAddr, path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use super::within;

/// A server on a port of its own. Killed when dropped.
pub(crate) struct ServerProcess {
    child: Child,
}

impl ServerProcess {
    /// Starts it on this data; returns at once.
    pub(crate) fn spawn(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cobuild"));
        command
            .current_dir(folder)
            .env_clear()
            .env("FIND_LOCAL_MODELS", "false")
            // Where the programs that make sandboxes are.
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .args(["--port", "0", "--log-level", "error"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        Self { child: command.spawn().expect("started") }
    }

    /// Waits for the line that says where it is.
    pub(crate) async fn ready(&mut self) -> SocketAddr {
        let line = self.first_line().await;
        let port = line.trim().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        SocketAddr::from(([127, 0, 0, 1], port.unwrap_or_else(|| panic!("not started: {line}"))))
    }

    /// Waits for the line with the owner's link, and takes it apart: where the server is, and the token.
    pub(crate) async fn ready_for_owners(&mut self) -> (SocketAddr, String) {
        let line = self.first_line().await;
        let (before, token) = line.trim().split_once("/#token=").unwrap_or_else(|| panic!("no link: {line}"));
        let port = before.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("no port: {line}"));
        (SocketAddr::from(([127, 0, 0, 1], port)), token.to_owned())
    }

    async fn first_line(&mut self) -> String {
        let mut line = String::new();
        let mut output = BufReader::new(self.child.stdout.take().expect("asked once"));
        within("the first line", output.read_line(&mut line)).await.expect("text");
        line
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it lives")
    }

    /// SIGTERM; returns at once.
    pub(crate) fn terminate(&self) {
        let pid = i32::try_from(self.pid()).expect("a number of the kernel's");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).expect("sent");
    }

    /// Waits for its end; the exit code.
    pub(crate) async fn ended(mut self) -> Option<i32> {
        within("the end of the process", self.child.wait()).await.expect("reaped").code()
    }

    /// SIGKILL, and not before it is gone does this return.
    pub(crate) async fn kill(mut self) {
        within("the end of the process", self.child.kill()).await.expect("killed");
    }
}
