//! `cobuild projects`

use std::{
    io::{Write as _, stdout},
    process::ExitCode,
};

use clap::Args;
use jiff::Timestamp;

use super::{
    CliError,
    remote::{RemoteArgs, terminal},
    terminal::Tone,
    wording,
};

/// Which server.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ProjectsArgs {
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Lists the projects, newest activity first.
pub(super) async fn run(args: ProjectsArgs) -> Result<ExitCode, CliError> {
    let projects = args.remote.server()?.projects().await?;
    if args.remote.wants_json() {
        let mut stdout = stdout();
        for project in &projects {
            let json = serde_json::to_string(project).expect("invariant: a line of the list is JSON");
            writeln!(stdout, "{json}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut terminal = terminal();
    if projects.is_empty() {
        let hint =
            terminal.paint(Tone::Faint, "There are no projects yet. `cobuild generate <PROJECT> <PROMPT>` makes one.");
        terminal.line(&hint)?;
    }
    let width = projects.iter().map(|line| line.project.as_str().len()).max().unwrap_or_default();
    for line in &projects {
        let id = terminal.paint(Tone::Strong, &format!("{:width$}", line.project));
        let details =
            format!("{} events, {}", wording::count(line.head), wording::ago(&line.updated_at, Timestamp::now()));
        let details = terminal.paint(Tone::Faint, &details);
        let name = if line.name == line.project.as_str() { "" } else { line.name.as_str() };
        let name = terminal.paint(Tone::Plain, name);
        let text = format!("{id}  {details}  {name}");
        terminal.line(text.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}
