//! `cobuild models`

mod refresh;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use cobuild_protocol::{
    frame::ModelNotice,
    model::{ModelList, ModelPrice, ProviderReport, ProviderState},
};

pub(super) use self::refresh::RefreshError;
use super::{
    CliError,
    remote::terminal,
    terminal::{Terminal, Tone},
    wording,
};
use crate::{config::Config, http::model_list, server::models};

/// What of models.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ModelsArgs {
    #[command(subcommand)]
    action: Option<ModelsAction>,
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
enum ModelsAction {
    /// Make the table of prices, limits and retirements anew from a published list. It is kept in DATA_DIR and counts
    /// from the server's next start; MODELS_FILE still goes before it
    Refresh(refresh::RefreshArgs),
}

/// Says which models there are, or makes the table of them anew.
pub(super) async fn run(args: ModelsArgs, config: &Config) -> Result<ExitCode, CliError> {
    match args.action {
        None => list(config).await,
        Some(ModelsAction::Refresh(args)) => refresh::run(args, config).await,
    }
}

/// Tries every provider of models that is set up here, says of each what it has or at which layer it fails, and lists the
/// models. The exit code is 1 when one of those set up cannot be used.
async fn list(config: &Config) -> Result<ExitCode, CliError> {
    let models = models(config).await?;
    let list = model_list(models.as_ref()).await;
    let mut terminal = terminal();
    let ModelNotice { model, notice } = &list.default;
    let notice = notice.as_ref().map(|notice| format!("  ({notice})")).unwrap_or_default();
    terminal.line(&format!("Default: {}{notice}", terminal.paint(Tone::Strong, model)))?;
    terminal.line("")?;
    for report in &list.providers {
        say_how(&mut terminal, report)?;
    }
    if !list.models.is_empty() {
        terminal.line("")?;
    }
    say_which(&mut terminal, &list)?;
    let failing = list.providers.iter().any(|report| report.state == ProviderState::Failing);
    let unusable = models.resolve(&list.default.model).is_err();
    Ok(if failing || unusable { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn say_how<W: std::io::Write>(to: &mut Terminal<W>, report: &ProviderReport) -> std::io::Result<()> {
    let (sign, tone, word) = match report.state {
        ProviderState::Ready => ("+", Tone::Good, wording::several(report.models, "model")),
        ProviderState::Failing => ("!", Tone::Bad, "cannot be used".to_owned()),
        ProviderState::NotConfigured => ("-", Tone::Faint, "not set up".to_owned()),
        ProviderState::NotFound => ("-", Tone::Faint, "not found on this machine".to_owned()),
    };
    let detail = report.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
    let line = to.paint(tone, &format!("{sign} {:22}{word}{detail}", report.title));
    to.line(&line)
}

fn say_which<W: std::io::Write>(to: &mut Terminal<W>, list: &ModelList) -> std::io::Result<()> {
    let width = list.models.iter().map(|entry| entry.model.len()).max().unwrap_or_default();
    for entry in &list.models {
        let mut known: Vec<String> = Vec::new();
        known.extend(entry.context_tokens_max.map(|tokens| format!("{} tokens", wording::count(tokens))));
        known.extend(entry.price.map(price));
        known.extend(entry.vision.filter(|sees| *sees).map(|_| "sees pictures".to_owned()));
        known.extend(entry.notice.clone());
        let name = format!("{:width$}", entry.model);
        let line = format!("{name}  {}", to.paint(Tone::Faint, &known.join(", ")));
        to.line(line.trim_end())?;
    }
    Ok(())
}

/// `$2 / $10`: a million tokens in and out.
fn price(price: ModelPrice) -> String {
    format!("${} / ${} per million", dollars(price.input), dollars(price.output))
}

/// Micro-dollars as dollars, exactly: `0.0375`.
fn dollars(micro: u64) -> String {
    let (whole, part) = (micro / 1_000_000, micro % 1_000_000);
    let text = format!("{whole}.{part:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact() {
        assert_eq!([2_000_000, 37_500, 0, 750_000].map(dollars), ["2", "0.0375", "0", "0.75"]);
    }
}
