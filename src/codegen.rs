//! Pure functions between prompts, replies and files: no IO, no tokio.
//!
//! | room | owns |
//! |---|---|
//! | [`reply_parser`] | a model's text, delta by delta → prose, files, packages, commands |
//! | [`reply`] | those events, staged: which files a finished reply changes, and how |
//! | [`reply_path`] | a path as a reply spells it → a place in the project |
//! | [`lost_content`] | whether a new version of a file throws work away |
//! | [`edit_match`] | search/replace blocks put into a file |
//! | [`edit_merge`] | edits that say only what is new, for a model to merge |
//! | [`packages`] | which npm packages a set of files needs |
//! | [`imports`], [`module_links`] | what scripts import and export, and what of it does not fit together |
//! | [`prompt`], [`relevance`] | a project and its conversation → what a model is sent; which files matter most |
//! | [`seam`] | the two halves of an answer that was cut off, joined |
//! | [`feedback`] | what a model is told when it is asked once more |
//! | [`summary`] | a conversation that outgrew the window → the question for its summary |
//! | [`page_outline`] | a web page → what a model needs to imitate it |
//! | [`page_article`], [`page_styles`], `page_tree` | a web page → what it says; its colours and fonts; its elements |

pub mod edit_match;
pub mod edit_merge;
pub mod feedback;
pub mod imports;
pub mod lost_content;
pub mod module_links;
pub mod packages;
pub mod page_article;
pub mod page_outline;
pub mod page_styles;
mod page_tree;
pub mod prompt;
pub mod relevance;
pub mod reply;
pub mod reply_parser;
pub mod reply_path;
pub mod seam;
pub mod summary;
