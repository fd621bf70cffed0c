//! Pure functions between prompts, replies and files: no IO, no tokio.
//!
//! | room | owns |
//! |---|---|
//! | [`reply_parser`] | a model's text, delta by delta → prose, files, packages, commands |
//! | [`reply`] | those events, staged: which files a finished reply changes, and how |
//! | [`reply_path`] | a path as a reply spells it → a place in the project |
//! | [`lost_content`] | whether a new version of a file throws work away |
//! | [`edit_match`] | search/replace blocks put into a file |
//! | [`packages`] | which npm packages a set of files needs |
//! | [`prompt`] | a project and its conversation → what a model is sent |

pub mod edit_match;
pub mod lost_content;
pub mod packages;
pub mod prompt;
pub mod reply;
pub mod reply_parser;
pub mod reply_path;
