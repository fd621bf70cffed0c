//! `import_repository`: a git repository's files in place of the project's. The sandbox fetches it, with a network rule
//! for the repository's host alone while git runs; its files come into the tree as those of any process do.

mod listing;

use std::time::{Duration, Instant};

use bytes::Bytes;
use cobuild_protocol::{
    Event,
    command::ImportRepository,
    event::{ExecFinished, ExecStarted, ProcessOutput, RepositoryImported},
    value::OutputStream,
};
use tokio::sync::mpsc;

use self::listing::Selection;
use crate::project::{
    error::ProjectError,
    registry::ProjectParts,
    repository::RepositoryUrl,
    run::{JobContext, Work},
    sandbox_link::SandboxLink,
    sandbox_provider::{ExecRequest, Exit, NetworkRule, Program, SandboxError},
};

/// The most that a clone without history may transfer: several times what hosts recommend as a repository's size.
const CLONE_SIZE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// When a clone is given up.
const CLONE_TIME_MAX: Duration = Duration::from_secs(180);
/// When writing the files out is given up; listing them takes a fraction of that.
const CHECKOUT_TIME_MAX: Duration = Duration::from_secs(60);
/// How much of git's last words an error quotes, in characters.
const REASON_CHARS_MAX: usize = 400;
/// What shells say when there is no such program.
const EXIT_NO_PROGRAM: i32 = 127;

/// Where git keeps the clone until its files are out: below the project's root, where neither the file API nor a dev
/// server looks.
const GIT_DIRECTORY: &str = ".git";

/// Git without anything that a machine or a repository could configure: no hooks, no helpers, no monitor, no filters
/// (they need a configuration), HTTPS and nothing else. The proxy is the way out of the sandbox for every host.
const GIT: [&str; 19] = [
    "env",
    "NO_PROXY=",
    "no_proxy=",
    "GIT_CONFIG_NOSYSTEM=1",
    "GIT_CONFIG_GLOBAL=/dev/null",
    "GIT_TERMINAL_PROMPT=0",
    "GIT_ALLOW_PROTOCOL=https",
    "GIT_LITERAL_PATHSPECS=1",
    "git",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.symlinks=false",
    "-c",
    "credential.helper=",
    "-c",
    "pack.threads=1",
];

/// Says branch, commit and files, in a form that a cut would show: the last line is always "end". File names with
/// quotes or control characters come quoted, and are no names of a project's files.
const LIST: &str = r#"
git() { command git --git-dir=.git "$@"; }
git symbolic-ref --short HEAD || echo
git rev-parse --verify --quiet HEAD || { echo; echo end; exit 0; }
git -c core.quotePath=false ls-tree -r -l --full-tree HEAD |
  sed -E 's/^([0-9]+) [a-z]+ [0-9a-f]+ +([0-9-]+)\t/\1 \2 /'
echo end
"#;

/// Puts the files named on standard input in place of what is there, and removes the clone.
const CHECK_OUT: &str = r#"
set -e
find . -mindepth 1 -maxdepth 1 ! -name .git ! -name node_modules -exec rm -rf {} +
if [ "$1" != 0 ]; then
  git --git-dir=.git --work-tree=. -c core.symlinks=false -c core.hooksPath=/dev/null \
    checkout --quiet --force HEAD --pathspec-from-file=- --pathspec-file-nul
fi
rm -rf .git
"#;

pub(super) fn work(parts: &ProjectParts, command: &ImportRepository) -> Result<Work, ProjectError> {
    let url = RepositoryUrl::parse(&command.url, &parts.settings.git_hosts)?;
    Ok(Work::Import { url })
}

pub(crate) async fn perform(context: JobContext, url: RepositoryUrl) -> Result<(), ProjectError> {
    let link = context.link().await?;
    link.push().await?;
    let before = link.held().await?;
    let fetched = fetch(&context, &link, &url).await;
    let imported = match fetched {
        Ok(()) => take_out(&link, &url).await,
        Err(error) => Err(error),
    };
    let (selection, event) = match imported {
        Ok(imported) => imported,
        Err(error) => {
            clean_up(&link).await;
            return Err(error);
        }
    };
    tracing::debug!(files = selection.paths.len(), left_out = selection.left_out_total, "a repository is imported");
    link.pull(context.reporter.clone(), Some(before)).await?;
    context.reporter.event(Event::RepositoryImported(event)).await?;
    Ok(())
}

/// Clones the repository's default branch without its history, before everybody's eyes.
async fn fetch(context: &JobContext, link: &SandboxLink, url: &RepositoryUrl) -> Result<(), ProjectError> {
    let command = format!("git clone --depth=1 --single-branch {url}");
    context.reporter.event(Event::ExecStarted(ExecStarted { command })).await?;
    let started = Instant::now();
    let address = url.to_string();
    let clone =
        ["clone", "--bare", "--depth=1", "--single-branch", "--no-tags", "--template=", "--", &address, GIT_DIRECTORY];
    let words = GIT.iter().chain(&clone).map(|word| (*word).to_owned()).collect();
    let host = url.host();
    let rule = NetworkRule {
        host: host.host.clone(),
        port: host.port,
        address: host.address,
        received_bytes_max: CLONE_SIZE_BYTES_MAX,
    };
    let request = ExecRequest { network: vec![rule], ..ExecRequest::new(Program::Argv(words), CLONE_TIME_MAX) };
    let ended = run(link, request, Some(context)).await;
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let failure = match &ended {
        Ok(Ended { exit: Exit::Code(0), .. }) => None,
        Ok(ended) => Some(failure(ended)),
        Err(error) => Some(error.clone()),
    };
    let exit_code = match &ended {
        Ok(Ended { exit: Exit::Code(code), .. }) => Some(*code),
        _ => None,
    };
    let error = failure.as_ref().filter(|_| exit_code.is_none()).map(ToString::to_string);
    context.reporter.event(Event::ExecFinished(ExecFinished { exit_code, error, duration_ms })).await?;
    failure.map_or(Ok(()), Err)
}

/// Why there is no clone.
fn failure(ended: &Ended) -> ProjectError {
    match &ended.exit {
        Exit::Code(EXIT_NO_PROGRAM) => {
            ProjectError::ProcessFailed("Failed to clone repository: there is no git where the sandbox runs".into())
        }
        Exit::Code(code) => ProjectError::ProcessFailed(format!(
            "Failed to clone repository. Exit code: {code}. Error: {}",
            reason(&ended.errors)
        )),
        Exit::Signal(signal) => {
            ProjectError::ProcessFailed(format!("Failed to clone repository. git was ended by signal {signal}"))
        }
        Exit::TimedOut => SandboxError::TimedOut(format!(
            "Failed to clone repository. It took longer than {} s",
            CLONE_TIME_MAX.as_secs()
        ))
        .into(),
        Exit::ReceivedTooMuch => ProjectError::TooLarge(format!(
            "Failed to clone repository. It is too large: without its history it has more than {} MiB",
            CLONE_SIZE_BYTES_MAX / (1024 * 1024)
        )),
        Exit::Lost => SandboxError::Lost("it ended during the clone".into()).into(),
    }
}

/// What git says went wrong: its `fatal:` line, else its last one.
fn reason(errors: &str) -> String {
    let lines = || errors.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().rev().find(|line| line.starts_with("fatal:")).or_else(|| lines().next_back());
    let said: String = line.unwrap_or("git gave no reason").chars().take(REASON_CHARS_MAX).collect();
    // How git says that the host wants a password: hosts don't tell strangers which of the two it is.
    if said.contains("could not read Username") || said.contains("could not read Password") {
        return "fatal: the repository does not exist, or it is private".into();
    }
    said
}

/// Chooses what becomes the project's, and writes it into the sandbox's project directory.
async fn take_out(link: &SandboxLink, url: &RepositoryUrl) -> Result<(Selection, RepositoryImported), ProjectError> {
    let listed = script(link, LIST, &[], Bytes::new()).await?;
    let listing = listing::parse(&listed.output)?;
    let selection = listing::select(&listing.entries);
    let names = selection.paths.iter().flat_map(|path| [path.as_str().as_bytes(), b"\0"]).flatten().copied();
    let count = selection.paths.len().to_string();
    script(link, CHECK_OUT, &[&count], names.collect()).await?;
    let event = RepositoryImported {
        url: url.to_string(),
        name: url.name().to_owned(),
        branch: listing.branch,
        commit: listing.commit,
        files: u32::try_from(selection.paths.len()).unwrap_or(u32::MAX),
        left_out: selection.left_out.clone(),
        left_out_total: selection.left_out_total,
    };
    Ok((selection, event))
}

/// Removes a clone that comes to nothing. What cannot be removed goes with the sandbox.
async fn clean_up(link: &SandboxLink) {
    let _ = script(link, "rm -rf .git", &[], Bytes::new()).await;
}

async fn script(link: &SandboxLink, text: &str, arguments: &[&str], input: Bytes) -> Result<Ended, ProjectError> {
    let shell = ["sh", "-c", text, "sh"];
    let environment = GIT.iter().take_while(|word| **word != "git");
    let words = environment.chain(&shell).chain(arguments).map(|word| (*word).to_owned()).collect();
    let request = ExecRequest { input, ..ExecRequest::new(Program::Argv(words), CHECKOUT_TIME_MAX) };
    let ended = run(link, request, None).await?;
    match ended.exit {
        Exit::Code(0) => Ok(ended),
        Exit::Lost => Err(SandboxError::Lost("it ended during the import".into()).into()),
        Exit::TimedOut => Err(SandboxError::TimedOut("the repository's files took too long".into()).into()),
        _ => Err(ProjectError::ProcessFailed(format!(
            "the repository's files could not be taken over: {}",
            reason(&ended.errors)
        ))),
    }
}

/// A process that has ended, and what it said.
struct Ended {
    exit: Exit,
    output: String,
    errors: String,
}

/// Runs a process to its end; what it says on standard error is said in the room too, where there is one.
async fn run(link: &SandboxLink, request: ExecRequest, room: Option<&JobContext>) -> Result<Ended, ProjectError> {
    let (sender, mut chunks) = mpsc::channel(16);
    let mut process = link.exec(request, sender).await?;
    let (mut output, mut errors) = (String::new(), String::new());
    while let Some(chunk) = chunks.recv().await {
        if let Some(context) = room {
            let said = ProcessOutput { stream: chunk.stream, text: without_controls(&chunk.text) };
            context.reporter.event(Event::ExecOutput(said)).await?;
        }
        match chunk.stream {
            OutputStream::Stdout => output.push_str(&chunk.text),
            OutputStream::Stderr => errors.push_str(&without_controls(&chunk.text)),
        }
    }
    Ok(Ended { exit: process.wait().await, output, errors })
}

/// A remote host's words go through git unchanged; none of them moves a terminal's cursor.
fn without_controls(text: &str) -> String {
    text.chars().map(|c| if c == '\r' { '\n' } else { c }).filter(|c| !c.is_control() || *c == '\n').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_the_line_that_says_why() {
        for (said, expected) in [
            ("Cloning…\nremote: Not Found\nfatal: repository not found\n", "fatal: repository not found"),
            ("", "git gave no reason"),
            ("warning: x\nerror: y\n", "error: y"),
            (
                "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
                "fatal: the repository does not exist, or it is private",
            ),
        ] {
            assert_eq!(reason(said), expected);
        }
    }

    #[test]
    fn a_host_cannot_move_the_cursor() {
        assert_eq!(without_controls("remote: \u{1b}[2Jx\r50%\u{7}\n"), "remote: [2Jx\n50%\n");
    }
}
