//! The helper's loop: connections inwards, commands, their ends.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::ExitStatusExt,
    },
    process::{Child, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    net::{AddressFamily, SocketFlags, SocketType},
    process::{Pid, PidfdFlags},
};

use crate::sandbox::local::{
    bubblewrap::{self, Writable},
    wire::{self, FromHelper, Id, ProcessLimits, ToHelper, View},
};

/// How long a connection to a loopback port may take. It is made or refused at once, unless the listener's queue is
/// full; then the caller may try again.
const CONNECT_TIME_MAX: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// What the helper serves.
pub(super) struct Server {
    view: View,
    limits: ProcessLimits,
    writable: Vec<Writable>,
    filters: Vec<Vec<u8>>,
    pub(super) copied_because: Option<String>,
    running: Vec<Running>,
}

struct Running {
    id: Id,
    child: Child,
    ended: OwnedFd,
}

impl Server {
    pub(super) fn new(
        view: View,
        limits: ProcessLimits,
        writable: Vec<Writable>,
        filters: Vec<Vec<u8>>,
        copied_because: Option<String>,
    ) -> Self {
        Self { view, limits, writable, filters, copied_because, running: Vec::new() }
    }

    /// Serves until the server closes the socketpair, then ends every command.
    pub(super) fn serve(mut self, socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<()> {
        let outcome = loop {
            if let Err(error) = self.wait(socket) {
                break Err(error);
            }
            if let Err(error) = self.report_ended(socket) {
                break Err(error);
            }
            match self.take_request(socket, buffer) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        for running in &mut self.running {
            kill(&mut running.child);
        }
        for mut running in self.running.drain(..) {
            // Without it a zombie stays for as long as the helper's own parent does not look.
            let _ = running.child.wait();
        }
        self.end_orphans();
        outcome
    }

    /// Waits until the server says something or a command ends.
    fn wait(&self, socket: &OwnedFd) -> io::Result<()> {
        let mut watched = vec![PollFd::new(socket, PollFlags::IN)];
        watched.extend(self.running.iter().map(|running| PollFd::new(&running.ended, PollFlags::IN)));
        match rustix::event::poll(&mut watched, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn report_ended(&mut self, socket: &OwnedFd) -> io::Result<()> {
        let mut at = 0;
        while let Some(running) = self.running.get_mut(at) {
            let Some(status) = running.child.try_wait()? else {
                at += 1;
                continue;
            };
            let Running { id, .. } = self.running.swap_remove(at);
            self.end_orphans();
            let ended = FromHelper::Exited { id, code: status.code(), signal: status.signal() };
            wire::send(socket, &ended, &[])?;
        }
        Ok(())
    }

    /// Ends the process namespaces whose bubblewrap is gone. It asks the kernel that they end with it, but one that is
    /// killed at its very start has not done so yet. Orphans become children of the helper, which is their subreaper;
    /// when the first process of a namespace has been waited for, all of them are gone.
    fn end_orphans(&self) {
        let ours = |pid: &i32| self.running.iter().any(|running| running.child.id().cast_signed() == *pid);
        for orphan in children().into_iter().filter(|pid| !ours(pid)) {
            let orphan = nix::unistd::Pid::from_raw(orphan);
            let _ = nix::sys::signal::kill(orphan, nix::sys::signal::Signal::SIGKILL);
            let _ = nix::sys::wait::waitpid(orphan, None);
        }
    }

    /// Takes a request, if there is one. False once the server has closed the socketpair.
    fn take_request(&mut self, socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<bool> {
        let mut watched = [PollFd::new(socket, PollFlags::IN)];
        if rustix::event::poll(&mut watched, Some(&Timespec::default()))? == 0 {
            return Ok(true);
        }
        let Some((request, descriptors)) = wire::receive(socket, buffer)? else {
            return Ok(false);
        };
        match request {
            ToHelper::Setup(_) => return Err(io::Error::other("a second set-up")),
            ToHelper::Connect { id, port } => match connect(port) {
                Ok(stream) => wire::send(socket, &FromHelper::Connected { id }, &[stream.as_fd()])?,
                Err(error) => wire::send(socket, &FromHelper::Refused { id, reason: error.to_string() }, &[])?,
            },
            ToHelper::Spawn { id, argv } => match self.spawn(id, &argv, descriptors) {
                Ok(()) => wire::send(socket, &FromHelper::Started { id }, &[])?,
                Err(error) => wire::send(socket, &FromHelper::NotStarted { id, reason: error.to_string() }, &[])?,
            },
            ToHelper::Kill { id } => {
                if let Some(running) = self.running.iter_mut().find(|running| running.id == id) {
                    kill(&mut running.child);
                }
            }
        }
        Ok(true)
    }

    fn spawn(&mut self, id: Id, argv: &[String], streams: Vec<OwnedFd>) -> io::Result<()> {
        let Ok([input, output, error]) = <[OwnedFd; 3]>::try_from(streams) else {
            return Err(io::Error::other("three descriptors are needed"));
        };
        let mut prepared = bubblewrap::prepare(&self.view, &self.limits, &self.writable, &self.filters, argv)?;
        prepared.command.stdin(Stdio::from(input)).stdout(Stdio::from(output)).stderr(Stdio::from(error));
        let child = prepared.command.spawn()?;
        let pid = Pid::from_child(&child);
        let ended = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        self.running.push(Running { id, child, ended });
        Ok(())
    }
}

/// The helper's living and unreaped children.
fn children() -> Vec<i32> {
    let list = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Kills bubblewrap, and with it the command's process namespace.
fn kill(child: &mut Child) {
    // It can only fail because the process has ended and was waited for.
    let _ = child.kill();
}

/// Connects to a port of the sandbox's own loopback interface.
fn connect(port: u16) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let stream = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    let address = std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, port);
    match rustix::net::connect(&stream, &address) {
        Ok(()) => Ok(stream),
        Err(rustix::io::Errno::INPROGRESS) => finish_connecting(stream.as_fd()).map(|()| stream),
        Err(error) => Err(error.into()),
    }
}

fn finish_connecting(stream: BorrowedFd<'_>) -> io::Result<()> {
    let mut watched = [PollFd::new(&stream, PollFlags::OUT)];
    if rustix::event::poll(&mut watched, Some(&CONNECT_TIME_MAX))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(rustix::net::sockopt::socket_error(stream)??)
}
