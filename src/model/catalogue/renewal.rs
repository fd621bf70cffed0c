//! The table made anew: what a published list says of each model, together with what only this table knows – what a model
//! is for, which reasoning it takes, when it will cost something else.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use jiff::civil::Date;

use super::{Catalogue, Model, Sampling, Table};
use crate::model::{price_lists::PriceList, usage::Price};

/// A new table, and how it differs from the one in use.
#[derive(Debug, Clone)]
pub struct Renewal {
    table: Table,
    /// By name.
    pub changes: Vec<Change>,
}

/// What is new of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What was said of it; `None`: it was not in the table.
    pub before: Option<Model>,
    /// What is said now.
    pub now: Model,
}

impl Catalogue {
    /// The table as a list of today has it.
    #[must_use]
    pub fn renewed(&self, list: PriceList, source: &str, today: Date) -> Renewal {
        let mut changes = Vec::new();
        let mut models = Vec::with_capacity(list.rows.len());
        for said in list.rows {
            let known = self.model(&said.name);
            let row = joined(known, said, today);
            if known != Some(&row) {
                changes.push(Change { before: known.cloned(), now: row.clone() });
            }
            models.push(row);
        }
        let source = format!("{}, {source}", list.publisher);
        Renewal { table: Table { source, as_of: today, licence: Some(list.licence.to_owned()), models }, changes }
    }
}

/// What the list says counts, as far as it says something.
fn joined(known: Option<&Model>, said: Model, today: Date) -> Model {
    let Some(known) = known else { return said };
    let mut row = known.clone();
    row.context_tokens_max = said.context_tokens_max.or(known.context_tokens_max);
    row.output_tokens_max = said.output_tokens_max.or(known.output_tokens_max);
    row.vision = said.vision.or(known.vision);
    row.cache_tokens_min = said.cache_tokens_min.or(known.cache_tokens_min);
    row.retired_on = said.retired_on.or(known.retired_on);
    row.sampling = sampling(known.sampling, said.sampling);
    if let Some(price) = said.price {
        row.price = Some(with_known_hour(price, known.price));
        row.price_tiers = said.price_tiers;
        // A price read today is the one of today; what changes later is still to come.
        row.price_changes.retain(|change| change.from > today);
    }
    row
}

/// An hour in the cache has a price that not every list tells; it is told of the same price only.
fn with_known_hour(said: Price, known: Option<Price>) -> Price {
    let same = known.filter(|known| Price { cache_write_1h: None, ..*known } == Price { cache_write_1h: None, ..said });
    Price { cache_write_1h: said.cache_write_1h.or(same.and_then(|known| known.cache_write_1h)), ..said }
}

/// A list knows yes and no; the table may know better why not. A refusal is believed, for it costs nothing.
fn sampling(known: Sampling, said: Sampling) -> Sampling {
    match (known, said) {
        (Sampling::Unknown, said) => said,
        (Sampling::Allowed, Sampling::Refused) => Sampling::Refused,
        (known, _) => known,
    }
}

impl Renewal {
    /// How many models the new table has.
    #[must_use]
    pub fn models(&self) -> usize {
        self.table.models.len()
    }

    /// Puts the table in place of the one before, whole or not at all.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(&self.table)?;
        text.push(b'\n');
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{:08x}.part", rand::random::<u32>()));
        let part = path.with_file_name(name);
        let written = File::create_new(&part)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&part, path));
        if written.is_err() {
            // Left behind it is only litter.
            let _ = fs::remove_file(&part);
        }
        written
    }
}

#[cfg(test)]
mod tests;
