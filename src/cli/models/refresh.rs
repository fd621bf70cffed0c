//! `cobuild models refresh`

use std::{io, process::ExitCode, time::Duration};

use clap::Args;
use reqwest::Url;
use tokio::{fs::File, io::AsyncReadExt as _};

use super::{dollars, price};
use crate::{
    cli::{CliError, remote::terminal, terminal::Tone, wording},
    config::Config,
    model::{
        catalogue::{Catalogue, Change, Model, RENEWED_FILE, today},
        http::{Connections, DocumentFault, HttpLimits},
        price_lists::{self, LIST_SIZE_BYTES_MAX, PriceListError},
        usage::Price,
        vendors,
    },
};

/// The list of models.dev.
const MODELS_DEV: &str = "https://models.dev/api.json";
/// How long the list may take; it has some megabytes.
const WITHIN: Duration = Duration::from_secs(60);

/// From where, and whether in earnest.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(super) struct RefreshArgs {
    /// The list to read: the address or the file of models.dev's `api.json`, or of litellm's
    /// `model_prices_and_context_window.json`
    #[arg(long, default_value = MODELS_DEV, value_name = "URL or file")]
    from: String,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Why the table is the one it was.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The list is not there.
    #[error("{from}: {fault}")]
    Fetch {
        /// Where it should be.
        from: String,
        /// Why not.
        fault: DocumentFault,
    },
    /// The file is not there.
    #[error("{from} cannot be read: {reason}")]
    File {
        /// Where it should be.
        from: String,
        /// Why not.
        reason: io::Error,
    },
    /// It is no list.
    #[error("{from} cannot be used: {reason}")]
    List {
        /// Where it is.
        from: String,
        /// Why not.
        reason: PriceListError,
    },
    /// There is no TLS on this machine.
    #[error("nothing can be fetched: {0}")]
    Tls(String),
}

/// Reads a published list and puts the table made from it below the data folder. Nothing is changed unless all of it
/// went well.
pub(super) async fn run(args: RefreshArgs, config: &Config) -> Result<ExitCode, CliError> {
    let (bytes, from) = match web_address(&args.from) {
        Some(url) => fetch(url).await?,
        None => file(args.from).await?,
    };
    let list = price_lists::read(&bytes).map_err(|reason| RefreshError::List { from: from.clone(), reason })?;
    let path = config.data_dir.join(RENEWED_FILE);
    // A table that cannot be read is one more reason to make it anew. The user's own rows stay out of it: they go before.
    let known = Catalogue::built_in().with_renewed_file(&path).unwrap_or_default();
    let renewal = known.renewed(list, &from, today());
    let mut terminal = terminal();
    for change in &renewal.changes {
        let line = terminal.paint(Tone::Plain, &sentence(change));
        terminal.line(&line)?;
    }
    let what = format!("{} models, {} of them new or changed", renewal.models(), renewal.changes.len());
    if args.dry_run {
        terminal.line(&format!("{what}; nothing was written."))?;
        return Ok(ExitCode::SUCCESS);
    }
    renewal.write(&path).map_err(|error| CliError::File(path.clone(), error))?;
    terminal.line(&format!("{what}, are in {}. A server reads them when it starts.", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn web_address(from: &str) -> Option<Url> {
    Url::parse(from).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// The list, and its address as it can be shown and kept: without what may be secret in it.
async fn fetch(url: Url) -> Result<(Vec<u8>, String), RefreshError> {
    let mut shown = url.clone();
    // An address with a host takes both.
    let _ = shown.set_username("").and_then(|()| shown.set_password(None));
    shown.set_query(None);
    shown.set_fragment(None);
    let connections = Connections::new(&HttpLimits::default()).map_err(|error| RefreshError::Tls(error.to_string()))?;
    let body = connections.document(url, WITHIN, LIST_SIZE_BYTES_MAX).await;
    let body = body.map_err(|fault| RefreshError::Fetch { from: shown.to_string(), fault })?;
    Ok((body, shown.to_string()))
}

async fn file(from: String) -> Result<(Vec<u8>, String), RefreshError> {
    let read = async {
        let mut bytes = Vec::new();
        // One byte more than a list may have shows that it is too large.
        let most = LIST_SIZE_BYTES_MAX as u64 + 1;
        File::open(&from).await?.take(most).read_to_end(&mut bytes).await?;
        Ok(bytes)
    };
    match read.await {
        Ok(bytes) => Ok((bytes, from)),
        Err(reason) => Err(RefreshError::File { from, reason }),
    }
}

/// `~ openai/gpt-6-sol  $2 / $10 per million → $3 / $12 per million`
fn sentence(change: &Change) -> String {
    let Change { before, now } = change;
    let Some(before) = before else {
        let known: Vec<String> = facts(now).into_iter().flatten().collect();
        return format!("+ {}  {}", now.name, known.join(", "));
    };
    let word = |fact: Option<String>| fact.unwrap_or_else(|| "unknown".to_owned());
    let pairs = facts(before).into_iter().zip(facts(now)).filter(|(before, now)| before != now);
    let mut words: Vec<String> = pairs.map(|(before, now)| format!("{} → {}", word(before), word(now))).collect();
    if words.is_empty() {
        words.push("something else".to_owned());
    }
    format!("~ {}  {}", now.name, words.join(", "))
}

/// What people look for in a row, in the same order for each.
fn facts(row: &Model) -> [Option<String>; 7] {
    let tokens =
        |tokens: Option<u64>, what: &str| tokens.map(|tokens| format!("{} tokens {what}", wording::count(tokens)));
    let cached = |of: fn(&Price) -> Option<u64>, what: &str| {
        row.price.as_ref().and_then(of).map(|micro| format!("${} {what}", dollars(micro)))
    };
    [
        row.price.map(vendors::price).map(price),
        cached(|price| price.cache_read, "cached"),
        cached(|price| price.cache_write, "to cache"),
        cached(|price| price.cache_write_1h, "to cache for an hour"),
        tokens(row.context_tokens_max, "in"),
        tokens(row.output_tokens_max, "out"),
        row.retired_on.map(|day| format!("retired on {day}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::provider::ModelName;

    #[test]
    fn a_line_says_what_is_new() {
        let mut row = Model::new(ModelName::parse("openai/m").expect("valid"));
        row.price = Some(Price { input: 2_000_000, output: 10_000_000, ..Price::default() });
        row.context_tokens_max = Some(1000);
        let new = Change { before: None, now: row.clone() };
        assert_eq!(sentence(&new), "+ openai/m  $2 / $10 per million, 1,000 tokens in");
        let mut now = row.clone();
        now.price = Some(Price { input: 2_000_000, output: 12_500_000, cache_read: Some(37_500), ..Price::default() });
        let change = Change { before: Some(row.clone()), now };
        let expected = "~ openai/m  $2 / $10 per million → $2 / $12.5 per million, unknown → $0.0375 cached";
        assert_eq!(sentence(&change), expected);
        let mut now = row.clone();
        now.vision = Some(true);
        assert_eq!(sentence(&Change { before: Some(row), now }), "~ openai/m  something else");
    }

    #[test]
    fn what_is_no_address_is_a_file() {
        for (from, expected) in [
            ("https://a/b.json", true),
            ("http://127.0.0.1:1/x", true),
            ("list.json", false),
            ("/a", false),
            ("file:///a", false),
        ] {
            assert_eq!(web_address(from).is_some(), expected, "{from}");
        }
    }
}
