//! The core: one actor per project, its log and its state, and the three traits it needs from the outside.
//!
//! It names no vendor, no web framework and no environment variable.
//!
//! | room | owns |
//! |---|---|
//! | [`registry`] | id → running actor; creation and removal |
//! | [`handle`] | the way in: join, submit, read |
//! | `actor` | the one writer: state, log, runs, sandbox |
//! | `command` | from a command to its first events and its job: one file each |
//! | `batch` | one append in the making |
//! | `state` | the fold of the log |
//! | [`repository`] | addresses of git repositories, and the hosts they may be on |
//! | `run`, `runs`, `queue`, `waiting_work` | a run's life, what runs, whose turn is next, what waiting runs keep in the store |
//! | `spending` | what a run's calls of models consume, within the budgets |
//! | `sandbox_slot`, `sandbox_link` | the sandbox's life, and how it follows the tree |
//! | [`event_log`] | the ring of published events and the cursors of its readers |
//! | `room`, `places`, `allowance` | who is here, how many connections there are, and how much one participant may ask for |
//! | [`preview_pages`] | the preview's pages that are open in browsers, and what they throw |
//! | `figures` | what operators see |
//! | [`event_store`], [`model_provider`], [`page_reader`], [`sandbox_provider`], [`scraper`] | what is asked of the outside |

mod actor;
mod allowance;
mod batch;
mod command;
mod compaction;
mod conversation;
pub mod error;
pub mod event_log;
pub mod event_store;
mod figures;
mod file_tree;
pub mod handle;
mod history;
pub mod model_provider;
pub mod page_reader;
mod places;
pub mod presence;
pub mod preview_pages;
#[cfg(test)]
mod properties;
mod queue;
mod reconcile;
pub mod registry;
mod remembered;
pub mod repository;
mod room;
mod run;
mod runs;
mod sandbox_link;
pub mod sandbox_provider;
mod sandbox_slot;
pub mod scraper;
mod spending;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod waiting_work;

pub use self::{
    allowance::{PARTICIPANT_COMMANDS_BURST_MAX, PARTICIPANT_COMMANDS_PER_SECOND_MAX},
    command::{BACKGROUND_SIZE_BYTES_MAX, IMAGE_SIZE_BYTES_MAX, IMAGES_MAX, PROMPT_SIZE_BYTES_MAX},
    compaction::LogLimits,
    error::ProjectError,
    file_tree::{FILE_SIZE_BYTES_MAX, FILES_MAX, content_hash},
    handle::{Identity, Member, Preview, ProjectHandle, Subscription},
    history::{Cause, Point},
    queue::{QUEUE_MAX, QUEUE_SHARE_MAX},
    registry::{Budget, ProjectParts, ProjectRegistry, ProjectSettings},
};
pub(crate) use self::{
    figures::describe as describe_figures, history::POINTS_MAX, places::Place as ReaderPlace, state::fold,
};
