//! The records that the server and a sandbox's helper exchange over their SEQPACKET socketpair: one JSON object per
//! record, descriptors beside it.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Largest record: a command line of [`ARGUMENTS_SIZE_BYTES_MAX`] with room for JSON's escapes, and below the
/// kernel's default socket buffer (208 KiB), beyond which a record could never be sent.
pub(super) const RECORD_SIZE_BYTES_MAX: usize = 160 * 1024;
/// Longest command line: what a person or a model may reasonably run, well below the kernel's own limit.
pub(super) const ARGUMENTS_SIZE_BYTES_MAX: usize = 64 * 1024;
/// Most descriptors beside one record: standard input, output and error.
const DESCRIPTORS_MAX: usize = 3;

/// Chosen by the server; names a request and what it started.
pub(super) type Id = u64;

/// What the server says. The first record is [`ToHelper::Setup`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ToHelper {
    /// How to build the sandbox; answered by `Listening` or `Failed`.
    Setup(Box<Setup>),
    /// Connect to 127.0.0.1:`port` inside; answered by `Connected` or `Refused`.
    Connect { id: Id, port: u16 },
    /// Start a command; its standard streams are beside the record. Answered by `Started` and later `Exited`, or by
    /// `NotStarted`.
    Spawn { id: Id, argv: Vec<String> },
    /// Kill a command and everything it started.
    Kill { id: Id },
}

/// What the helper says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FromHelper {
    /// The sandbox stands; the egress listener is beside the record.
    Listening {
        /// Why the layers had to be copied; `None` when they are overlays.
        copied_because: Option<String>,
    },
    /// The sandbox could not be built.
    Failed { step: String, reason: String },
    /// The connected socket is beside the record.
    Connected { id: Id },
    /// Nobody listens there.
    Refused { id: Id, reason: String },
    /// The command runs.
    Started { id: Id },
    /// The command could not be started.
    NotStarted { id: Id, reason: String },
    /// The command ended by itself or was killed.
    Exited { id: Id, code: Option<i32>, signal: Option<i32> },
}

/// How to build one sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Setup {
    /// Whoever started the helper; when that is no longer its parent, the helper ends.
    pub(super) server_pid: i32,
    /// Whom to become first. `None` when the server is an ordinary user already.
    pub(super) identity: Option<Identity>,
    /// `cgroup.procs` or `tasks` files to join.
    pub(super) cgroup_files: Vec<PathBuf>,
    /// The directory that all sandboxes and templates of this server are in; the paths below are relative to it.
    pub(super) base: PathBuf,
    /// The project's files.
    pub(super) project: PathBuf,
    /// What is mounted over the project and the home directory.
    pub(super) layers: Vec<Layer>,
    /// What of the host a command sees.
    pub(super) view: View,
    /// What a command may use.
    pub(super) limits: ProcessLimits,
}

/// A user and a group of the host that own nothing but sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A directory of its own in each sandbox, whose first content is shared by all.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Layer {
    /// Where it appears, as an absolute path in the sandbox.
    pub(super) target: PathBuf,
    /// The shared content, never written to. `None`: `own` is used as it is.
    pub(super) lower: Option<PathBuf>,
    /// What this sandbox changes: a directory with `upper` and `work` in it, or the whole content without `lower`.
    pub(super) own: PathBuf,
}

/// What of the host a command sees, besides `/usr`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct View {
    /// The bubblewrap program.
    pub(super) bubblewrap: PathBuf,
    /// Node's installation, when it is not under `/usr`.
    pub(super) node: Option<PathBuf>,
    /// The certificates that TLS connections are checked against; a relative path counts from the base.
    pub(super) certificates: Option<PathBuf>,
    /// The whole environment of a command.
    pub(super) environment: Vec<(String, String)>,
}

/// Limits that every process carries itself.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct ProcessLimits {
    pub(super) open_files_max: u64,
    pub(super) file_size_bytes_max: u64,
    pub(super) locked_memory_bytes_max: u64,
    pub(super) temporary_size_bytes_max: u64,
    pub(super) home_size_bytes_max: u64,
}

/// Sends one record with its descriptors. `EAGAIN` on a full non-blocking socket.
pub(super) fn send<T: Serialize>(socket: impl AsFd, record: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = serde_json::to_vec(record)?;
    if bytes.len() > RECORD_SIZE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the record is too large"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one record into `buffer`, which holds [`RECORD_SIZE_BYTES_MAX`] bytes. `None` at the end of the stream.
pub(super) fn receive<T: DeserializeOwned>(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut beside, RecvFlags::CMSG_CLOEXEC)?;
    let descriptors = beside
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(rights) => Some(rights),
            _ => None,
        })
        .flatten()
        .collect();
    if received.bytes == 0 {
        return Ok(None);
    }
    Ok(Some((serde_json::from_slice(&buffer[..received.bytes])?, descriptors)))
}
