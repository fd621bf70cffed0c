//! Identifiers. Each is a newtype that can only hold a valid value: parsing is the only way in.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Position of a durable event in its project's log: 1, 2, 3 … within one [`Epoch`]. 0 means "before the first".
pub type Seq = u64;

/// Why a text is not a valid identifier, path or package name. The sentence is meant for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(pub Cow<'static, str>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// Defines a validated string newtype: `TryFrom<String>`, `FromStr`, `Display`, serde, JSON Schema and TypeScript.
macro_rules! string_newtype {
    ($(#[$doc:meta])* $name:ident, pattern: $pattern:literal, max: $max:expr, check: $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize, ::ts_rs::TS)]
        #[serde(try_from = "String", into = "String")]
        #[ts(type = "string")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::id::Invalid;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                let check: fn(&str) -> Result<(), $crate::id::Invalid> = $check;
                check(&text)?;
                Ok(Self(text))
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::id::Invalid;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "maxLength": $max })
            }
        }
    };
}
pub(crate) use string_newtype;

/// Longest project id, in characters.
pub const PROJECT_ID_LENGTH_MAX: usize = 64;
/// Longest command id, in characters: room for a UUID with a prefix, too short to smuggle data into the log.
pub const REQUEST_ID_LENGTH_MAX: usize = 128;

string_newtype! {
    /// Names a project: `[A-Za-z0-9_-]{1,64}`.
    ProjectId, pattern: "^[A-Za-z0-9_-]{1,64}$", max: 64, check: |text| {
        let valid = (1..=PROJECT_ID_LENGTH_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if valid { Ok(()) } else { Err(Invalid("a project id is 1 to 64 of the characters A-Z a-z 0-9 _ -".into())) }
    }
}

string_newtype! {
    /// Chosen by the client for each command, unique within the project: 1 to 128 visible ASCII characters.
    /// The same id sent again is the same command: it gets the same reply and has no second effect.
    RequestId, pattern: "^[!-~]{1,128}$", max: 128, check: |text| {
        let valid = (1..=REQUEST_ID_LENGTH_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if valid { Ok(()) } else { Err(Invalid("a command id is 1 to 128 visible ASCII characters".into())) }
    }
}

string_newtype! {
    /// Names one life of a project's log. Cursors of another epoch are worth nothing: the client gets a snapshot.
    Epoch, pattern: "^[A-Za-z0-9]{1,40}$", max: 40, check: |text| {
        let valid = (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if valid { Ok(()) } else { Err(Invalid("an epoch is 1 to 40 letters and digits".into())) }
    }
}

/// Defines an identifier the server counts up within a project: a letter and a number, such as `r7`.
macro_rules! counted_id {
    ($(#[$doc:meta])* $name:ident, $letter:literal, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS)]
        #[serde(try_from = "String", into = "String")]
        #[ts(type = "string")]
        pub struct $name(u64);

        impl $name {
            /// The identifier with this number.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number behind the letter.
            #[must_use]
            pub const fn number(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix($letter)
                    .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
                    .and_then(|digits| digits.parse().ok())
                    .map(Self)
                    .ok_or_else(|| Invalid(concat!("expected an id like ", $letter, "7").into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

counted_id! {
    /// A run: one `generate`, `apply`, `install` or `exec` from its acceptance to its one terminal event.
    RunId, "r", "^r[0-9]+$"
}
counted_id! {
    /// A message of the project's conversation.
    MessageId, "m", "^m[0-9]+$"
}
impl MessageId {
    /// The id of the message after this one.
    #[must_use]
    pub const fn after(self) -> Self {
        Self(self.0 + 1)
    }
}

counted_id! {
    /// Two versions of one file that could not be merged.
    ConflictId, "k", "^k[0-9]+$"
}
counted_id! {
    /// A person (or program) in the room, however many connections they have.
    ParticipantId, "u", "^u[0-9]+$"
}

/// A place in a project's log: all events up to and including `seq` of `epoch` have been seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Cursor {
    /// The life of the log that `seq` counts in.
    pub epoch: Epoch,
    /// The last event seen; 0 for none.
    #[ts(type = "number")]
    pub seq: Seq,
}

impl fmt::Display for Cursor {
    /// `<epoch>:<seq>`, as in the `id:` line of a server-sent event.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (epoch, seq) = text.split_once(':').ok_or(Invalid("a cursor is <epoch>:<seq>".into()))?;
        let seq = seq.parse().map_err(|_| Invalid("the part of a cursor after ':' is a number".into()))?;
        Ok(Self { epoch: epoch.parse()?, seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_ids() {
        for good in ["a", "A-b_9", &"x".repeat(64)] {
            assert!(good.parse::<ProjectId>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "ä", "..", &"x".repeat(65)] {
            assert!(bad.parse::<ProjectId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn counted_ids_round_trip() {
        assert_eq!("r7".parse::<RunId>().map(|r| r.to_string()), Ok("r7".into()));
        for bad in ["r", "7", "u7", "r-1", "r+1", "r99999999999999999999"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn cursors_round_trip() {
        let cursor: Cursor = "abc:41".parse().expect("valid");
        assert_eq!((cursor.seq, cursor.to_string().as_str()), (41, "abc:41"));
        for bad in ["", "41", "abc:", "abc:x", ":1"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
