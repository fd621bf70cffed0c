//! The first message of TLS, as far as the name of the server it asks for (RFC 8446 section 4.1.2, RFC 6066
//! section 3).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest first message, in all its records: hellos with post-quantum keys are about 2 KiB.
const HELLO_SIZE_BYTES_MAX: usize = 16 * 1024;
const RECORD_HEADER_SIZE: usize = 5;
const MESSAGE_HEADER_SIZE: usize = 4;
const RECORD_HANDSHAKE: u8 = 22;
const MESSAGE_CLIENT_HELLO: u8 = 1;
const EXTENSION_SERVER_NAME: u16 = 0;

/// The bytes that were read, to be passed on, and what they ask for.
#[derive(Debug)]
pub(super) struct ClientHello {
    pub(super) bytes: Vec<u8>,
    pub(super) server_name: ServerName,
}

/// The server that TLS asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServerName {
    /// This one.
    Is(String),
    /// None, or it is no TLS at all.
    Unclear,
}

/// Reads the whole first message; `bytes` holds what was received before.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin), mut bytes: Vec<u8>) -> io::Result<ClientHello> {
    loop {
        match server_name(&bytes) {
            Some(server_name) => return Ok(ClientHello { bytes, server_name }),
            None if bytes.len() >= HELLO_SIZE_BYTES_MAX => {
                return Ok(ClientHello { bytes, server_name: ServerName::Unclear });
            }
            None => {}
        }
        if from.read_buf(&mut bytes).await? == 0 {
            return Ok(ClientHello { bytes, server_name: ServerName::Unclear });
        }
    }
}

/// The name in a first message. `None` when more bytes are needed.
fn server_name(bytes: &[u8]) -> Option<ServerName> {
    let mut message = Vec::new();
    let mut rest = bytes;
    // The message may be spread over several records.
    loop {
        if message.first().is_some_and(|kind| *kind != MESSAGE_CLIENT_HELLO) {
            return Some(ServerName::Unclear);
        }
        if let Some(&length) = message.get(1..MESSAGE_HEADER_SIZE).and_then(|length| length.first_chunk::<3>()) {
            let [a, b, c] = length.map(usize::from);
            let end = MESSAGE_HEADER_SIZE + (a << 16 | b << 8 | c);
            if message.len() >= end {
                let found = extension_name(&message[MESSAGE_HEADER_SIZE..end]);
                return Some(found.map_or(ServerName::Unclear, ServerName::Is));
            }
        }
        if rest.first().is_some_and(|kind| *kind != RECORD_HANDSHAKE) {
            return Some(ServerName::Unclear);
        }
        let header = rest.get(..RECORD_HEADER_SIZE)?;
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if length == 0 {
            return Some(ServerName::Unclear);
        }
        message.extend_from_slice(rest.get(RECORD_HEADER_SIZE..RECORD_HEADER_SIZE + length)?);
        rest = &rest[RECORD_HEADER_SIZE + length..];
    }
}

/// The one host name in the body of a hello. `None` when it is malformed, has no name, or more than one.
fn extension_name(body: &[u8]) -> Option<String> {
    let mut body = Reader(body);
    body.take(2 + 32)?; // version, random
    body.prefixed_u8()?; // session
    body.prefixed_u16()?; // cipher suites
    body.prefixed_u8()?; // compression
    let mut extensions = Reader(body.prefixed_u16()?);
    let mut name = None;
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let data = extensions.prefixed_u16()?;
        if kind == EXTENSION_SERVER_NAME {
            let mut list = Reader(Reader(data).prefixed_u16()?);
            let host_name = 0;
            let only = list.take(1)?.first() == Some(&host_name) && name.is_none();
            let found = std::str::from_utf8(list.prefixed_u16()?).ok()?.to_owned();
            if !only || !list.0.is_empty() {
                return None;
            }
            name = Some(found);
        }
    }
    name
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn prefixed_u8(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(*self.take(1)?.first()?);
        self.take(length)
    }

    fn prefixed_u16(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.u16()?);
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hello that asks for these names, in records of at most `record_length` bytes.
    fn hello(names: &[&str], record_length: usize) -> Vec<u8> {
        let prefixed = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
        let list: Vec<u8> = names.iter().flat_map(|name| [vec![0], prefixed(name.as_bytes())].concat()).collect();
        let mut extensions = [&[0, 43][..], &prefixed(&[2, 3, 4])].concat();
        if !names.is_empty() {
            extensions.extend([&[0, 0][..], &prefixed(&prefixed(&list))].concat());
        }
        let body = [&[3, 3][..], &[7; 32], &[0], &prefixed(&[0x13, 1]), &[1, 0], &prefixed(&extensions)].concat();
        let message = [&[1][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat();
        message.chunks(record_length).flat_map(|part| [&[22, 3, 1][..], &prefixed(part)].concat()).collect()
    }

    #[test]
    fn finds_the_name_at_the_first_possible_byte() {
        for record_length in [10_000, 50, 3] {
            let bytes = hello(&["registry.example.org"], record_length);
            for end in 0..bytes.len() {
                assert_eq!(server_name(&bytes[..end]), None, "{end} of records of {record_length}");
            }
            assert_eq!(server_name(&bytes), Some(ServerName::Is("registry.example.org".into())));
        }
    }

    #[test]
    fn anything_else_is_unclear() {
        let unclear = Some(ServerName::Unclear);
        assert_eq!(server_name(&hello(&[], 1000)), unclear);
        assert_eq!(server_name(&hello(&["a.example", "b.example"], 1000)), unclear);
        assert_eq!(server_name(b"GET / HTTP/1.1\r\n"), unclear);
        let mut other_message = hello(&["a.example"], 1000);
        other_message[RECORD_HEADER_SIZE] = 2;
        assert_eq!(server_name(&other_message), unclear);
        let mut endless_record = hello(&["a.example"], 1000);
        endless_record[3..5].copy_from_slice(&[0, 0]);
        assert_eq!(server_name(&endless_record), unclear);
    }

    #[tokio::test]
    async fn a_client_that_stops_early_is_unclear() {
        let bytes = hello(&["a.example"], 1000);
        let read = read(&mut &bytes[10..20], bytes[..10].to_vec()).await.expect("read");
        assert_eq!((read.bytes.len(), read.server_name), (20, ServerName::Unclear));
    }
}
