//! A project's files on the host. Everything goes through one directory handle and `openat2`: names are resolved
//! beneath it, without symbolic links, in one step that sandboxed code cannot race. What processes in the sandbox put
//! there is data: only regular files are read, never more than the limits.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use cobuild_protocol::{FilePath, value::ContentHash};
use rustix::{
    fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid},
    io::Errno,
};
use sha2::{Digest, Sha256};

use super::wire::Identity;
use crate::project::sandbox_provider::{FileChange, RefusedChange, SandboxEntry, SandboxError, SandboxFile};

/// What a project may hold.
#[derive(Debug, Clone, Copy)]
pub struct FileLimits {
    /// Largest single file; larger ones are not listed and cannot be read or written.
    pub file_size_bytes_max: u64,
    /// Most files; what processes make beyond it is not listed.
    pub files_max: usize,
    /// All files together, without what packages bring.
    pub total_size_bytes_max: u64,
}

/// Directories that belong to tools; the file API does not look into them.
const SKIPPED_DIRECTORIES: [&str; 2] = ["node_modules", ".git"];
/// Directory entries looked at in one listing for each file that may be listed: room for directories, links and files
/// left out, an end for a directory made to be endless.
const ENTRIES_PER_FILE: usize = 4;

/// The files of one sandbox.
#[derive(Debug)]
pub(super) struct ProjectFiles {
    root: OwnedFd,
    /// New content is written here, out of the dev server's sight, and moved to its place whole.
    staging: OwnedFd,
    owner: Option<Identity>,
    limits: FileLimits,
    staged: AtomicU64,
}

impl ProjectFiles {
    /// `staging` must be on the same file system and out of the sandbox's reach.
    pub(super) fn open(root: &Path, staging: &Path, owner: Option<Identity>, limits: FileLimits) -> io::Result<Self> {
        let directory =
            |path: &Path| rustix::fs::open(path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        Ok(Self { root: directory(root)?, staging: directory(staging)?, owner, limits, staged: AtomicU64::new(0) })
    }

    /// Changes files in order, each by itself; returns those that something is in the way of. Stops where the disk
    /// itself fails. Blocks.
    pub(super) fn change(&self, changes: &[FileChange]) -> Result<Vec<RefusedChange>, SandboxError> {
        let mut refused = Vec::new();
        for change in changes {
            let made = match change {
                FileChange::Write(file) => self.write(file),
                FileChange::Delete(path) => self.delete(path),
            };
            match made {
                Ok(()) => {}
                Err(SandboxError::Refused(reason)) => {
                    refused.push(RefusedChange { path: change.path().clone(), reason });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(refused)
    }

    /// One file's content. Blocks.
    pub(super) fn read(&self, path: &FilePath) -> Result<Bytes, SandboxError> {
        let file = self.open_regular(path.as_str()).map_err(|_| SandboxError::NotFound)?;
        let size = file.metadata().map_err(failed)?.len();
        if size > self.limits.file_size_bytes_max {
            return Err(SandboxError::Refused(format!("{path} is too large ({size} bytes)")));
        }
        // It may grow while it is read.
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        file.take(self.limits.file_size_bytes_max).read_to_end(&mut content).map_err(failed)?;
        Ok(content.into())
    }

    /// Every regular file, in path order. Blocks.
    pub(super) fn list(&self) -> Result<Vec<SandboxEntry>, SandboxError> {
        let mut entries = Vec::new();
        let mut looked_at = 0;
        let mut directories = vec![String::new()];
        while let Some(directory) = directories.pop() {
            let names = match self.names(&directory) {
                Ok(names) => names,
                // A process removed it meanwhile, or put something else in its place.
                Err(error) if is_elsewhere(&error) => continue,
                Err(error) => return Err(SandboxError::Failed(format!("{directory} cannot be listed: {error}"))),
            };
            for (name, kind) in names {
                looked_at += 1;
                if entries.len() >= self.limits.files_max || looked_at > self.limits.files_max * ENTRIES_PER_FILE {
                    let limit = self.limits.files_max;
                    return Err(SandboxError::Refused(format!("there are more than the {limit} files of a project")));
                }
                let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
                // Also the limit of the depth: a directory whose path is none has no files either.
                let Ok(path) = path.parse::<FilePath>() else { continue };
                match kind {
                    FileType::Directory => directories.push(path.into()),
                    FileType::RegularFile => entries.extend(self.entry(path)),
                    _ => {}
                }
            }
        }
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// The names in a directory; none that is no UTF-8.
    fn names(&self, directory: &str) -> io::Result<Vec<(String, FileType)>> {
        let opened = self.open_directory(directory)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(opened)?.take(self.limits.files_max * ENTRIES_PER_FILE) {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name != "." && name != ".." && !SKIPPED_DIRECTORIES.contains(&name) {
                names.push((name.to_owned(), entry.file_type()));
            }
        }
        Ok(names)
    }

    /// A file that vanished, is no regular one or is too large is left out.
    fn entry(&self, path: FilePath) -> Option<SandboxEntry> {
        let mut file = self.open_regular(path.as_str()).ok()?;
        if file.metadata().ok()?.len() > self.limits.file_size_bytes_max {
            return None;
        }
        let mut hasher = Sha256::new();
        let mut size_bytes = 0;
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = file.read(&mut buffer).ok()?;
            hasher.update(&buffer[..length]);
            size_bytes += length as u64;
            // It may grow while it is read.
            if length == 0 || size_bytes > self.limits.file_size_bytes_max {
                break;
            }
        }
        let hash: ContentHash = hex::encode(hasher.finalize()).parse().ok()?;
        Some(SandboxEntry { path, hash, size_bytes })
    }

    fn write(&self, file: &SandboxFile) -> Result<(), SandboxError> {
        let path = &file.path;
        if file.content.len() as u64 > self.limits.file_size_bytes_max {
            return Err(SandboxError::Refused(format!("{path} is too large ({} bytes)", file.content.len())));
        }
        let present = self.open_regular(path.as_str()).ok();
        if present.as_ref().is_some_and(|present| same_content(present, &file.content)) {
            return Ok(());
        }
        let executable = present
            .and_then(|present| rustix::fs::fstat(&present).ok())
            .is_some_and(|about| about.st_mode & 0o100 != 0);
        let directory = self.make_parents(path).map_err(|error| in_the_way(path, error))?;
        let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
        self.stage(&file.content, mode)
            .and_then(|staged| {
                // Replaces a symbolic link instead of writing through it.
                let moved = rustix::fs::renameat(&self.staging, &staged, &directory, path.name());
                if moved.is_err() {
                    let _ = rustix::fs::unlinkat(&self.staging, &staged, AtFlags::empty());
                }
                Ok(moved?)
            })
            .map_err(|error| in_the_way(path, error))
    }

    /// Writes a new file outside the project and returns its name there.
    fn stage(&self, content: &[u8], mode: Mode) -> io::Result<String> {
        let name = self.staged.fetch_add(1, Ordering::Relaxed).to_string();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let staged = rustix::fs::openat(&self.staging, &name, flags, mode)?;
        self.give_away(staged.as_fd(), mode)?;
        File::from(staged).write_all(content)?;
        Ok(name)
    }

    /// Makes it the sandbox's own, whatever the server's umask.
    fn give_away(&self, file: BorrowedFd<'_>, mode: Mode) -> io::Result<()> {
        rustix::fs::fchmod(file, mode)?;
        if let Some(Identity { uid, gid }) = self.owner {
            rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        Ok(())
    }

    /// Makes the directories above a file and opens the innermost.
    fn make_parents(&self, path: &FilePath) -> io::Result<OwnedFd> {
        let mut parent = self.open_directory("")?;
        for directory in path.ancestors() {
            parent = match self.open_directory(directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let name = directory.rsplit('/').next().unwrap_or(directory);
                    let mode = Mode::from_raw_mode(0o755);
                    match rustix::fs::mkdirat(&parent, name, mode) {
                        // A process may have made it just now.
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    let made = self.open_directory(directory)?;
                    self.give_away(made.as_fd(), mode)?;
                    made
                }
                other => other?,
            };
        }
        Ok(parent)
    }

    fn delete(&self, path: &FilePath) -> Result<(), SandboxError> {
        let parents: Vec<&str> = path.ancestors().collect();
        let removed = self
            .open_directory(parents.last().copied().unwrap_or_default())
            .and_then(|directory| Ok(rustix::fs::unlinkat(directory, path.name(), AtFlags::empty())?));
        match removed {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(in_the_way(path, error)),
        }
        // A tree of files has no empty directories. The first that is not empty ends it.
        for at in (0..parents.len()).rev() {
            let above = at.checked_sub(1).map_or("", |above| parents[above]);
            let name = parents[at].rsplit('/').next().unwrap_or_default();
            let Ok(above) = self.open_directory(above) else { break };
            if rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn open_directory(&self, path: &str) -> io::Result<OwnedFd> {
        self.open_beneath(if path.is_empty() { "." } else { path }, OFlags::DIRECTORY)
    }

    /// Opens a regular file for reading. A fifo does not block it, and is refused.
    fn open_regular(&self, path: &str) -> io::Result<File> {
        let file = File::from(self.open_beneath(path, OFlags::NONBLOCK)?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn open_beneath(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        Ok(rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve)?)
    }
}

fn same_content(mut present: &File, wanted: &[u8]) -> bool {
    if present.metadata().map_or(true, |about| about.len() != wanted.len() as u64) {
        return false;
    }
    let mut content = Vec::with_capacity(wanted.len());
    present.read_to_end(&mut content).is_ok() && content == wanted
}

/// Why a file cannot be changed, in words for the people in the room.
fn in_the_way(path: &FilePath, error: io::Error) -> SandboxError {
    match Errno::from_io_error(&error) {
        Some(Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => {
            SandboxError::Refused(format!("a file or a link is in the way of {path}"))
        }
        Some(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST | Errno::BUSY) => {
            SandboxError::Refused(format!("{path} is a directory"))
        }
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::NAMETOOLONG) => {
            SandboxError::Refused(format!("{path} cannot be changed: {error}"))
        }
        _ => failed(error),
    }
}

fn failed(error: io::Error) -> SandboxError {
    SandboxError::Failed(format!("the sandbox's files: {error}"))
}

/// Whether what was a directory a moment ago is none any more, or one that cannot be reached beneath the root.
fn is_elsewhere(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let elsewhere = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::XDEV, Errno::AGAIN];
    error.raw_os_error().is_some_and(|code| elsewhere.iter().any(|errno| errno.raw_os_error() == code))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FileLimits = FileLimits { file_size_bytes_max: 100, files_max: 10, total_size_bytes_max: 1000 };

    fn project() -> (tempfile::TempDir, ProjectFiles) {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["project", "staging"] {
            std::fs::create_dir(directory.path().join(name)).expect(name);
        }
        let files =
            ProjectFiles::open(&directory.path().join("project"), &directory.path().join("staging"), None, LIMITS);
        (directory, files.expect("opened"))
    }

    fn path(text: &str) -> FilePath {
        text.parse().expect(text)
    }

    fn write(name: &str, text: &str) -> FileChange {
        FileChange::Write(SandboxFile { path: path(name), content: Bytes::copy_from_slice(text.as_bytes()) })
    }

    fn is_refused(files: &ProjectFiles, change: FileChange) -> bool {
        let path = change.path().clone();
        let refused = files.change(&[change]).expect("the disk works");
        refused.iter().map(|change| &change.path).eq([&path])
    }

    fn names(files: &ProjectFiles) -> Vec<String> {
        files.list().expect("listed").into_iter().map(|entry| entry.path.into()).collect()
    }

    #[test]
    fn writes_reads_lists_and_deletes() {
        let (directory, files) = project();
        files.change(&[write("src/a/b.txt", "one"), write("z.txt", ""), write("src/a/b.txt", "two")]).expect("written");
        assert_eq!(files.read(&path("src/a/b.txt")).expect("read"), "two");
        assert_eq!(names(&files), ["src/a/b.txt", "z.txt"]);
        files.change(&[FileChange::Delete(path("src/a/b.txt")), FileChange::Delete(path("gone"))]).expect("deleted");
        assert_eq!(names(&files), ["z.txt"]);
        assert!(!directory.path().join("project/src").exists(), "empty directories go too");
        assert!(matches!(files.read(&path("src/a/b.txt")), Err(SandboxError::NotFound)));
    }

    #[test]
    fn leaves_a_file_that_has_the_content_alone() {
        use std::os::unix::fs::MetadataExt;
        let (directory, files) = project();
        let inode = || std::fs::metadata(directory.path().join("project/a")).expect("there").ino();
        files.change(&[write("a", "same")]).expect("written");
        let before = inode();
        files.change(&[write("a", "same")]).expect("written");
        assert_eq!(inode(), before);
        files.change(&[write("a", "other")]).expect("written");
        assert_ne!(inode(), before);
    }

    #[test]
    fn does_not_follow_what_points_out() {
        let (directory, files) = project();
        let root = directory.path().join("project");
        std::fs::write(directory.path().join("secret"), "secret").expect("planted");
        std::os::unix::fs::symlink("../secret", root.join("link")).expect("link");
        std::os::unix::fs::symlink("..", root.join("up")).expect("link");
        std::os::unix::fs::symlink("/etc", root.join("etc")).expect("link");
        assert!(names(&files).is_empty());
        for out in ["link", "up/secret", "etc/passwd"] {
            assert!(matches!(files.read(&path(out)), Err(SandboxError::NotFound)), "{out}");
        }
        assert!(is_refused(&files, write("up/x", "x")));
        assert!(!directory.path().join("x").exists());
        files.change(&[write("link", "mine")]).expect("replaces the link");
        assert_eq!(std::fs::read_to_string(directory.path().join("secret")).expect("read"), "secret");
        assert_eq!(files.read(&path("link")).expect("read"), "mine");
    }

    #[test]
    fn holds_its_limits() {
        let (directory, files) = project();
        let root = directory.path().join("project");
        assert!(is_refused(&files, write("big", &"x".repeat(101))));
        std::fs::write(root.join("big"), "x".repeat(101)).expect("written");
        assert!(matches!(files.read(&path("big")), Err(SandboxError::Refused(_))));
        for number in 0..10 {
            std::fs::write(root.join(format!("f{number}")), "x").expect("written");
        }
        std::fs::create_dir_all(root.join("node_modules/x")).expect("made");
        std::fs::write(root.join("node_modules/x/index.js"), "x").expect("written");
        let listed = names(&files);
        assert_eq!(listed.len(), 10);
        assert!(!listed.contains(&"big".to_owned()));
        std::fs::write(root.join("one-more"), "x").expect("written");
        assert!(matches!(files.list(), Err(SandboxError::Refused(_))), "a part is never taken for the whole");
    }

    #[test]
    fn a_fifo_neither_blocks_nor_is_listed() {
        let (directory, files) = project();
        nix::unistd::mkfifo(&directory.path().join("project/pipe"), nix::sys::stat::Mode::S_IRWXU).expect("made");
        assert!(names(&files).is_empty());
        assert!(matches!(files.read(&path("pipe")), Err(SandboxError::NotFound)));
    }

    #[test]
    fn a_directory_in_the_way_is_refused() {
        let (_directory, files) = project();
        files.change(&[write("a/b", "x")]).expect("written");
        for change in [write("a", "x"), write("a/b/c", "x"), FileChange::Delete(path("a"))] {
            assert!(is_refused(&files, change.clone()), "{change:?}");
        }
    }

    #[test]
    fn a_change_that_cannot_be_made_keeps_no_other_from_being_made() {
        let (_directory, files) = project();
        files.change(&[write("a/b", "x")]).expect("written");
        let refused = files.change(&[write("first", "1"), write("a", "x"), write("last", "1")]).expect("changed");
        assert_eq!(refused.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(names(&files), ["a/b", "first", "last"]);
    }
}
