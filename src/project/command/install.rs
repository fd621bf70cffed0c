//! `install`: npm packages into the project. `package.json` and its lockfile come back into the tree.

use std::time::Duration;

use cobuild_protocol::{
    Event, PackageSpec,
    command::Install,
    event::{InstallFinished, InstallStarted, ProcessOutput},
};

use super::exec;
use crate::project::{
    error::ProjectError,
    run::{JobContext, Work},
    sandbox_provider::{Exit, Program},
};

/// Most packages of one command: more than any app has, few enough to read.
const PACKAGES_MAX: usize = 50;
/// How much of the package manager's last words an error quotes, in bytes.
const REASON_SIZE_BYTES_MAX: usize = 600;

pub(super) fn work(command: Install) -> Result<Work, ProjectError> {
    if command.packages.is_empty() {
        return Err(ProjectError::BadRequest("packages must name at least one package".into()));
    }
    if command.packages.len() > PACKAGES_MAX {
        return Err(ProjectError::TooLarge(format!("packages has at most {PACKAGES_MAX} names")));
    }
    Ok(Work::Install { packages: command.packages })
}

pub(crate) async fn perform(context: JobContext, packages: Vec<PackageSpec>) -> Result<(), ProjectError> {
    install(&context, packages).await
}

/// Runs the package manager and takes over what it changed.
pub(super) async fn install(context: &JobContext, packages: Vec<PackageSpec>) -> Result<(), ProjectError> {
    let names: Vec<String> = packages.iter().map(ToString::to_string).collect();
    context.reporter.event(Event::InstallStarted(InstallStarted { packages: names.clone() })).await?;
    let result = run_npm(context, &names).await;
    let finished = match &result {
        Ok(()) => InstallFinished { installed: names, error: None },
        Err(error) => InstallFinished { installed: Vec::new(), error: Some(error.to_string()) },
    };
    context.reporter.event(Event::InstallFinished(finished)).await?;
    result
}

async fn run_npm(context: &JobContext, packages: &[String]) -> Result<(), ProjectError> {
    let link = context.link().await?;
    link.push().await?;
    let before = link.held().await?;
    let mut tail = String::new();
    let limit = context.parts.settings.install_time_max;
    let exit = exec::stream(context, &link, Program::Argv(npm_install(packages, limit)), limit, |chunk| {
        tail.push_str(&chunk.text);
        keep_tail(&mut tail);
        Event::InstallOutput(ProcessOutput { stream: chunk.stream, text: chunk.text })
    })
    .await?;
    match exit {
        Exit::Code(0) => link.pull(context.reporter.clone(), Some(before)).await.map(drop),
        Exit::Code(_) => Err(ProjectError::ProcessFailed(reason(&tail))),
        Exit::TimedOut => {
            let limit = limit.as_secs();
            Err(crate::project::sandbox_provider::SandboxError::TimedOut(format!("npm took longer than {limit} s"))
                .into())
        }
        Exit::Signal(signal) => Err(ProjectError::ProcessFailed(format!("npm was ended by signal {signal}"))),
        Exit::ReceivedTooMuch => {
            Err(ProjectError::TooLarge("the packages are larger than the sandbox may fetch".into()))
        }
        Exit::Lost => {
            Err(crate::project::sandbox_provider::SandboxError::Lost("it ended during the install".into()).into())
        }
    }
}

/// The command line. Names are [`PackageSpec`]s: none can be an option, a path or a URL. Install scripts stay off. npm gives
/// a registry up that does not answer, with its own reason, well before `time_max`: all its tries together take half of
/// that, and the pauses between them seconds.
pub(crate) fn npm_install(packages: &[String], time_max: Duration) -> Vec<String> {
    const RETRIES: u32 = 2;
    let answer_ms = (time_max / 2 / (RETRIES + 1)).as_millis();
    ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=warn"]
        .into_iter()
        .map(str::to_owned)
        .chain([
            format!("--fetch-retries={RETRIES}"),
            format!("--fetch-timeout={answer_ms}"),
            "--fetch-retry-mintimeout=1000".to_owned(),
            "--fetch-retry-maxtimeout=3000".to_owned(),
        ])
        .chain(packages.iter().cloned())
        .collect()
}

fn keep_tail(tail: &mut String) {
    let keep = 4 * REASON_SIZE_BYTES_MAX;
    if tail.len() > keep {
        let cut = (tail.len() - keep..tail.len()).find(|&at| tail.is_char_boundary(at)).unwrap_or(tail.len());
        tail.drain(..cut);
    }
}

/// What npm says on errors beside the reason: where more is to be read, a stack, how else one may install.
const ASIDES: [&str; 4] = ["A complete log", "at ", "Note that you can also install", "tarball, folder, http url"];

/// npm's own reason: its `npm error` lines without the prefix, the status it begins them with, and its asides.
fn reason(output: &str) -> String {
    let mut reason = String::new();
    let mut status = "";
    for line in output.lines().filter_map(|line| line.trim().strip_prefix("npm error")) {
        let line = line.trim();
        if let Some(code) = line.strip_prefix("code E") {
            status = code;
        }
        let is_status = |rest: &str| rest.is_empty() || rest.starts_with(' ');
        let said = line.strip_prefix(status).filter(|rest| !status.is_empty() && is_status(rest));
        let line = said.map_or(line, str::trim);
        if line.is_empty() || ASIDES.iter().any(|aside| line.starts_with(aside)) || line.contains("_logs/") {
            continue;
        }
        if reason.len() + line.len() > REASON_SIZE_BYTES_MAX {
            break;
        }
        if !reason.is_empty() {
            reason.push_str("; ");
        }
        reason.push_str(line);
    }
    if reason.is_empty() { "npm failed without giving a reason".into() } else { format!("npm: {reason}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_npms_reason() {
        let output = "npm warn x\nnpm error code E404\nnpm error 404 Not Found - GET /nope\nnpm error\nnpm error A complete log of this run can be found in: /x/_logs/y\n";
        assert_eq!(reason(output), "npm: code E404; Not Found - GET /nope");
        let asides = "npm error code E404\nnpm error 404\nnpm error 404  The requested resource 'x@*' could not be found.\nnpm error 404\nnpm error 404 Note that you can also install from a\nnpm error 404 tarball, folder, http url, or git url.\n";
        assert_eq!(reason(asides), "npm: code E404; The requested resource 'x@*' could not be found.");
        assert_eq!(reason("nothing"), "npm failed without giving a reason");
    }
}
