//! Pictures that come with a prompt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::file::ContentHash;

/// The formats of pictures that models take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
pub enum ImageType {
    /// PNG.
    #[serde(rename = "image/png")]
    Png,
    /// JPEG.
    #[serde(rename = "image/jpeg")]
    Jpeg,
    /// WebP.
    #[serde(rename = "image/webp")]
    Webp,
    /// GIF; models see its first picture.
    #[serde(rename = "image/gif")]
    Gif,
}

impl ImageType {
    /// Its name on every wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    /// Whether these bytes begin like a file of this format.
    #[must_use]
    pub fn fits(self, data: &[u8]) -> bool {
        match self {
            Self::Png => data.starts_with(b"\x89PNG\r\n\x1a\n"),
            Self::Jpeg => data.starts_with(&[0xff, 0xd8, 0xff]),
            Self::Webp => data.starts_with(b"RIFF") && data.get(8..12) == Some(b"WEBP"),
            Self::Gif => data.starts_with(b"GIF87a") || data.starts_with(b"GIF89a"),
        }
    }
}

/// A picture on its way to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ImageData {
    /// Its format.
    pub media_type: ImageType,
    /// The file's bytes, as Base64 with padding.
    pub data: String,
}

/// A picture of the conversation; the store has it under its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ImageInfo {
    /// Its format.
    pub media_type: ImageType,
    /// What it holds.
    pub hash: ContentHash,
    /// How long it is.
    pub size_bytes: u64,
}
