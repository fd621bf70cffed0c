//! What can go wrong between a client and a server, as one sentence each.

use cobuild_protocol::{CloseCode, ErrorBody, ErrorCode};

/// Why a request, or a whole connection, came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// What was given as the server's address is none.
    #[error("`{0}` is not the address of a server; one looks like http://localhost:3100")]
    Address(String),
    /// There is no token where it was to be.
    #[error("no token in {file}: {reason}")]
    Token {
        /// Where.
        file: String,
        /// Why not.
        reason: String,
    },
    /// Nobody answers there. Worth another try.
    #[error("{url} does not answer: {reason}")]
    Unreachable {
        /// The server's address.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// Something answers, but not as a Cobuild server does.
    #[error("{url} answers, but not as a Cobuild server does: {reason}")]
    Unexpected {
        /// The server's address.
        url: String,
        /// What it said instead.
        reason: String,
    },
    /// The server said no.
    #[error("{}", .0.message)]
    Rejected(ErrorBody),
    /// The server ended the connection for good.
    #[error("the server ended the connection for good ({code}): {reason}")]
    Refused {
        /// The close code, 4500 to 4999.
        code: u16,
        /// In the server's words.
        reason: String,
    },
}

impl ClientError {
    /// Whether the same may work later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Rejected(error) => error.retryable,
            Self::Address(_) | Self::Token { .. } | Self::Unexpected { .. } | Self::Refused { .. } => false,
        }
    }

    /// Whether the server knows no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Rejected(error) => error.code == ErrorCode::NotFound,
            Self::Refused { code, .. } => *code == CloseCode::NotFound.number(),
            _ => false,
        }
    }

    /// A request that got no answer. Of a chain of causes the last one is what a person can act on.
    pub(super) fn unreachable(url: &str, error: &reqwest::Error) -> Self {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let reason = if error.is_timeout() { "it took too long".to_owned() } else { cause.to_string() };
        Self::Unreachable { url: url.to_owned(), reason }
    }
}

/// Why a command was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// The server rejected it.
    #[error("{}", .0.message)]
    Rejected(ErrorBody),
    /// It is larger than the server takes.
    #[error("the command has {size_bytes} bytes, and the server takes {size_bytes_max} at most")]
    TooLarge {
        /// As it would be sent.
        size_bytes: u64,
        /// As announced.
        size_bytes_max: u64,
    },
    /// Too many commands wait for their replies.
    #[error("too many commands are waiting for an answer")]
    TooMany,
    /// The room was left, or the server ended the connection for good, before there was a reply. Whether the command
    /// took effect is not known.
    #[error("the connection ended before there was an answer")]
    Ended,
}
