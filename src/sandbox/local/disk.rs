//! How much disk a sandbox uses, and its end when that is too much. There is no quota that works on every file
//! system without root, so it is measured: often when the disk fills, rarely when it does not.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::link::Link;

/// What a sandbox may write, with the packages it installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskLimits {
    /// On disk, all together.
    pub size_bytes_max: u64,
    /// Files and directories: a file system runs out of these too.
    pub entries_max: u64,
}

/// How often the file system is asked how much is left: one system call.
const GLANCE_EVERY: Duration = Duration::from_millis(500);
/// A drop of the free space by which the sandbox is measured at once.
const DROP_SIZE_BYTES: u64 = 32 * 1024 * 1024;
/// Measured at least this often; a tree of 10,000 entries takes some 20 ms.
const MEASURE_EVERY: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    size_bytes: u64,
    entries: u64,
}

/// Watches a sandbox until it is gone; ends it when it holds too much.
pub(super) async fn watch(directories: Vec<PathBuf>, limits: DiskLimits, link: Arc<Link>) {
    let mut measured_at = Instant::now();
    let mut free_then = free(&directories);
    loop {
        tokio::select! {
            _ = link.gone() => return,
            () = tokio::time::sleep(GLANCE_EVERY) => {}
        }
        let dropped = free_then.saturating_sub(free(&directories));
        if dropped < DROP_SIZE_BYTES && measured_at.elapsed() < MEASURE_EVERY {
            continue;
        }
        let to_measure = directories.clone();
        let over = tokio::task::spawn_blocking(move || exceeded(&to_measure, limits)).await;
        if let Ok(Some(sentence)) = over {
            tracing::warn!(sentence, "a sandbox is ended");
            link.close(sentence);
            return;
        }
        (measured_at, free_then) = (Instant::now(), free(&directories));
    }
}

/// Why the directories hold too much, if they do. Blocks.
pub(super) fn exceeded(directories: &[PathBuf], limits: DiskLimits) -> Option<String> {
    let mut usage = Usage::default();
    for directory in directories {
        // What cannot be read now vanished just now.
        let _ = measure(directory, limits, &mut usage);
    }
    if usage.size_bytes > limits.size_bytes_max {
        return Some(format!("it wrote more than {} MiB to disk", limits.size_bytes_max / (1024 * 1024)));
    }
    (usage.entries > limits.entries_max).then(|| format!("it made more than {} files", limits.entries_max))
}

fn free(directories: &[PathBuf]) -> u64 {
    let about = directories.first().and_then(|directory| rustix::fs::statvfs(directory).ok());
    about.map_or(u64::MAX, |about| about.f_bfree.saturating_mul(about.f_frsize))
}

/// Adds up a tree without following links; stops when it is over the limits already.
fn measure(directory: &Path, limits: DiskLimits, usage: &mut Usage) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut directories = vec![rustix::fs::open(directory, flags, Mode::empty())?];
    while let Some(directory) = directories.pop() {
        measure_one(&directory, flags, &mut directories, usage);
        if usage.entries > limits.entries_max || usage.size_bytes > limits.size_bytes_max {
            break;
        }
    }
    Ok(())
}

/// Adds up one directory and opens those in it: descriptors, not paths, so that nothing can be swapped meanwhile.
fn measure_one(directory: &OwnedFd, flags: OFlags, found: &mut Vec<OwnedFd>, usage: &mut Usage) {
    /// Bytes that a block of `st_blocks` stands for, on every file system.
    const BLOCK_SIZE: u64 = 512;
    /// Directories held open at once; beyond it they are counted, not entered.
    const OPEN_MAX: usize = 2_000;
    for entry in rustix::fs::Dir::read_from(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        usage.entries += 1;
        if let Ok(about) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            usage.size_bytes += u64::try_from(about.st_blocks).unwrap_or_default() * BLOCK_SIZE;
        }
        if entry.file_type() == FileType::Directory && found.len() < OPEN_MAX {
            found.extend(rustix::fs::openat(directory, name, flags, Mode::empty()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_sizes_and_entries_without_following_links() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("a")).expect("made");
        std::fs::write(directory.path().join("a/b"), vec![1; 100_000]).expect("written");
        std::os::unix::fs::symlink("/usr", directory.path().join("out")).expect("link");
        let mut usage = Usage::default();
        let limits = DiskLimits { size_bytes_max: 1 << 30, entries_max: 100 };
        measure(directory.path(), limits, &mut usage).expect("measured");
        assert_eq!(usage.entries, 3);
        assert!((100_000..200_000).contains(&usage.size_bytes), "{usage:?}");

        let directories = [directory.path().to_owned()];
        assert_eq!(exceeded(&directories, limits), None);
        assert!(exceeded(&directories, DiskLimits { size_bytes_max: 50_000, ..limits }).is_some());
        assert!(exceeded(&directories, DiskLimits { entries_max: 2, ..limits }).is_some());
    }
}
