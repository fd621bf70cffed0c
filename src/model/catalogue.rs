//! What is known of models: capabilities, limits, prices, and which names no longer work. Data, not code: the table
//! ships with the server, carries its date and source, can be made anew from what others publish, and a user's file
//! overrides it row by row.
//!
//! A model that is not in the table can still be used; then its cost is unknown and nothing is assumed of it.

mod renewal;

use std::{collections::BTreeMap, path::Path};

use cobuild_protocol::value::Usage;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

pub use self::renewal::{Change, Renewal};
use super::{
    provider::{ModelName, Provider},
    usage::{self, Price},
};
use crate::project::model_provider::{ModelError, ReasoningEffort};

/// The table that ships with the server.
const BUILT_IN: &str = include_str!("models.json");
/// The table made anew by `cobuild models refresh`, below the data folder.
pub const RENEWED_FILE: &str = "models.json";
/// Largest file of rows: the built-in table has some twenty kilobytes.
const FILE_SIZE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How many models an error suggests.
const SUGGESTIONS_MAX: usize = 3;

/// Whether a model takes `temperature` and its like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Nobody says; so it is not sent.
    #[default]
    Unknown,
    /// It takes them.
    Allowed,
    /// It answers 400.
    Refused,
    /// It pays no attention.
    Ignored,
    /// It takes them when reasoning is off.
    OnlyWithoutReasoning,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The best there is.
    Flagship,
    /// Good, at a fair price.
    Workhorse,
    /// Fast and cheap.
    Cheap,
}

/// A price that holds for prompts above a size, for the whole request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTier {
    /// Prompts with more tokens than this, cached ones included.
    pub above_tokens: u64,
    /// What they cost.
    pub price: Price,
}

/// A price that holds from a day on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceChange {
    /// The first day, UTC.
    pub from: Date,
    /// The price then.
    pub price: Price,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The model.
    #[serde(with = "name_text")]
    pub name: ModelName,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Whether it is its provider's default.
    #[serde(default, skip_serializing_if = "is_false")]
    pub default: bool,
    /// Most tokens of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens_max: Option<u64>,
    /// Most tokens of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens_max: Option<u64>,
    /// What it costs; `None`: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// What longer prompts cost, the smallest size first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub price_tiers: Vec<PriceTier>,
    /// What it will cost, the earliest day first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub price_changes: Vec<PriceChange>,
    /// Whether it takes sampling parameters.
    #[serde(default)]
    pub sampling: Sampling,
    /// The levels of reasoning it knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub efforts: Vec<ReasoningEffort>,
    /// Whether its reasoning is shown when asked for, and can safely be asked for.
    #[serde(default, skip_serializing_if = "is_false")]
    pub show_reasoning: bool,
    /// Whether it sees pictures; `None`: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision: Option<bool>,
    /// Prompts shorter than this are not cached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_tokens_min: Option<u64>,
    /// The first day on which it no longer works, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_on: Option<Date>,
    /// It no longer works, since a day nobody noted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub retired: bool,
}

impl Model {
    /// A row that says nothing but the name.
    #[must_use]
    pub fn new(name: ModelName) -> Self {
        Self {
            name,
            role: None,
            default: false,
            context_tokens_max: None,
            output_tokens_max: None,
            price: None,
            price_tiers: Vec::new(),
            price_changes: Vec::new(),
            sampling: Sampling::Unknown,
            efforts: Vec::new(),
            show_reasoning: false,
            vision: None,
            cache_tokens_min: None,
            retired_on: None,
            retired: false,
        }
    }

    /// Whether it no longer works.
    #[must_use]
    pub fn is_retired(&self, today: Date) -> bool {
        self.retired || self.retired_on.is_some_and(|day| day <= today)
    }

    /// What it costs on a day, for prompts of usual size.
    #[must_use]
    pub fn price_on(&self, today: Date) -> Option<Price> {
        let changed = self.price_changes.iter().rev().find(|change| change.from <= today).map(|change| change.price);
        changed.or(self.price)
    }

    /// What one call costs in nano-dollars; `None`: unknown, never free.
    #[must_use]
    pub fn cost(&self, usage: &Usage, today: Date) -> Option<u64> {
        let changed = self.price_changes.iter().rev().find(|change| change.from <= today).map(|change| change.price);
        let prompt = usage::prompt_tokens(usage);
        let tier = self.price_tiers.iter().rev().find(|tier| prompt > tier.above_tokens).map(|tier| tier.price);
        changed.or(tier).or(self.price)?.cost(usage)
    }
}

/// The file format, of the table and of a user's own rows.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Where the figures are from.
    source: String,
    /// When they were read.
    as_of: Date,
    /// Under which licence they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    licence: Option<String>,
    /// The rows.
    models: Vec<Model>,
}

/// Why a file of rows cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It cannot be read.
    #[error("the file of models cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// It is larger than any table.
    #[error("the file of models has more than {FILE_SIZE_BYTES_MAX} bytes")]
    TooLarge,
    /// It is not a table.
    #[error("the file of models is not a table of models: {0}")]
    Parse(#[from] serde_json::Error),
}

/// Everything known of models.
#[derive(Debug, Clone)]
pub struct Catalogue {
    models: BTreeMap<ModelName, Model>,
    as_of: Date,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::built_in()
    }
}

impl Catalogue {
    /// The table that ships with the server.
    #[must_use]
    pub fn built_in() -> Self {
        let table: Table = serde_json::from_str(BUILT_IN).expect("a test reads the built-in table");
        Self::from(table)
    }

    /// Puts the rows of [`RENEWED_FILE`] over the built-in ones, if there is such a file and it is not older: after an
    /// update of the server its own table is the newer one.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not a table.
    pub fn with_renewed_file(self, path: &Path) -> Result<Self, CatalogueError> {
        let table = match Table::read(path) {
            Err(CatalogueError::Read(error)) if error.kind() == std::io::ErrorKind::NotFound => return Ok(self),
            table => table?,
        };
        Ok(if table.as_of < self.as_of { self } else { self.with(table) })
    }

    /// Puts a user's rows over the others; a row replaces the whole row of the same name.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not a table.
    pub fn with_user_file(self, path: &Path) -> Result<Self, CatalogueError> {
        Ok(self.with(Table::read(path)?))
    }

    fn with(mut self, table: Table) -> Self {
        let rows = Self::from(table);
        self.models.extend(rows.models);
        self.as_of = self.as_of.max(rows.as_of);
        self
    }

    /// The date of the table; costs are kept with it.
    #[must_use]
    pub fn as_of(&self) -> Date {
        self.as_of
    }

    /// What is known of a model.
    #[must_use]
    pub fn model(&self, name: &ModelName) -> Option<&Model> {
        self.models.get(name)
    }

    /// All rows, retired ones too.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.values()
    }

    /// The model a provider is asked for when nobody names one.
    #[must_use]
    pub fn default_of(&self, provider: Provider, today: Date) -> Option<&Model> {
        self.models().find(|model| model.name.provider == provider && model.default && !model.is_retired(today))
    }

    /// What to use instead of a name that does not work: models of the same provider that do, by role. `listed` are
    /// the provider's own words, if it has been asked; they win.
    #[must_use]
    pub fn suggestions(&self, provider: Option<Provider>, listed: &[ModelName], today: Date) -> Vec<ModelName> {
        let works = |model: &&Model| model.role.is_some() && !model.is_retired(today);
        let same = |model: &&Model| provider.is_none_or(|provider| model.name.provider == provider);
        let exists = |model: &&Model| listed.is_empty() || listed.contains(&model.name);
        let price = |model: &Model| model.price.map(|price| price.input);
        let rank = |model: &&Model| {
            let role = (!model.default, model.role != Some(Role::Cheap));
            (role, model.name.provider, price(model))
        };
        let mut known: Vec<&Model> = self.models().filter(works).filter(same).filter(exists).collect();
        known.sort_by_key(rank);
        if provider.is_none() {
            known.retain(|model| model.default);
        }
        let known = known.into_iter().map(|model| model.name.clone());
        let mut names: Vec<ModelName> = known.chain(listed.iter().cloned()).collect();
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names.truncate(SUGGESTIONS_MAX);
        names
    }

    /// The error for a name that was retired, is unknown to its vendor, or names no provider.
    #[must_use]
    pub fn unusable(&self, name: &str, listed: &[ModelName], today: Date) -> ModelError {
        let name = &shown(name);
        let parsed = ModelName::parse(name);
        let row = parsed.as_ref().and_then(|parsed| self.model(parsed)).filter(|row| row.is_retired(today));
        let fate = match (&parsed, row.map(|row| row.retired_on)) {
            (_, Some(Some(day))) => format!("`{name}` was retired on {day}."),
            (_, Some(None)) => format!("`{name}` was retired."),
            (Some(parsed), _) => format!("`{name}` is not a model that {} has.", parsed.provider.title()),
            (None, _) => format!("`{name}` is not a model's name, which is `provider/model`."),
        };
        let suggestions = self.suggestions(parsed.map(|parsed| parsed.provider), listed, today);
        let current: Vec<String> = suggestions.iter().map(|name| format!("`{name}`")).collect();
        let current = if current.is_empty() { String::new() } else { format!(" Current: {}.", current.join(", ")) };
        let sentence = format!("{fate}{current} Set DEFAULT_AI_MODEL or send `model`.");
        let instead = suggestions.iter().map(ToString::to_string).collect();
        match row {
            Some(_) => ModelError::RetiredModel { sentence, instead },
            None => ModelError::UnknownModel { sentence, instead },
        }
    }
}

impl Table {
    fn read(path: &Path) -> Result<Self, CatalogueError> {
        if std::fs::metadata(path)?.len() > FILE_SIZE_BYTES_MAX {
            return Err(CatalogueError::TooLarge);
        }
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }
}

impl From<Table> for Catalogue {
    fn from(table: Table) -> Self {
        let models = table.models.into_iter().map(|model| (model.name.clone(), model)).collect();
        Self { models, as_of: table.as_of }
    }
}

/// A name as it can be repeated to people, whatever was sent.
#[must_use]
pub(super) fn shown(name: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    name.chars().filter(|c| !c.is_control()).take(CHARACTERS_MAX).collect()
}

/// Today, UTC: the day by which prices and retirements are told.
#[must_use]
pub fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

mod name_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::ModelName;

    pub(super) fn serialize<S: Serializer>(name: &ModelName, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(name)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ModelName, D::Error> {
        let text = String::deserialize(deserializer)?;
        ModelName::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is not `provider/model`")))
    }
}

#[cfg(test)]
mod tests;
