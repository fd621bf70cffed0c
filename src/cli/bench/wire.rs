//! Just enough WebSocket (RFC 6455) for a client that must cost nothing, and just enough JSON to follow an event log.

use memchr::memmem;

/// An unmasked text frame, as servers send it.
pub(super) fn server_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = header(payload.len(), 0);
    frame.extend_from_slice(payload);
    frame
}

/// A text frame masked with zeros, as clients may send it.
pub(super) fn client_frame(payload: &[u8]) -> Vec<u8> {
    /// Set in a frame from a client.
    const MASKED: u8 = 0x80;
    let mut frame = header(payload.len(), MASKED);
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn header(length: usize, mask: u8) -> Vec<u8> {
    /// A text frame that is a whole message.
    const TEXT: u8 = 0x81;
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => vec![TEXT, mask | short],
        (_, Ok(long)) => [&[TEXT, mask | 126][..], &long.to_be_bytes()].concat(),
        _ => [&[TEXT, mask | 127][..], &(length as u64).to_be_bytes()].concat(),
    }
}

/// The first frame of `bytes`: its opcode, its payload and how long it is; `None` while it is not all there.
pub(super) fn parse(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (begin, length): (usize, usize) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    Some((first & 0x0f, bytes.get(begin..begin.checked_add(length)?)?, begin + length))
}

/// What a viewer needs of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Events `first` to `last`; if it was said, when (nanoseconds).
    Event { first: u64, last: u64, said_at_ns: Option<u64> },
    /// The client is up to date as of this event.
    Synced(u64),
    /// The server asks for a sign of life.
    Ping,
    /// Something else.
    Other,
}

pub(super) fn read(payload: &[u8]) -> Seen {
    let Some(rest) = payload.strip_prefix(br#"{"type":""#) else { return Seen::Other };
    let kind = rest.split(|byte| *byte == b'"').next().unwrap_or_default();
    match kind {
        b"ping" => Seen::Ping,
        b"synced" => number(payload, b"\"seq\":").map_or(Seen::Other, Seen::Synced),
        // Replies to commands carry a `seq` too.
        b"welcome" | b"snapshot" | b"accepted" | b"rejected" | b"result" => Seen::Other,
        kind => number(payload, b"\"seq\":").map_or(Seen::Other, |last| {
            let said = kind == b"text_delta";
            let may_be_merged = kind.ends_with(b"_delta") || kind.ends_with(b"_output");
            let first = number(payload, b"\"seq_first\":").filter(|_| may_be_merged).unwrap_or(last);
            Seen::Event { first, last, said_at_ns: number(payload, b"\"text\":\"").filter(|_| said) }
        }),
    }
}

fn number(payload: &[u8], name: &[u8]) -> Option<u64> {
    let digits = &payload[memmem::find(payload, name)? + name.len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_whole_or_not_at_all() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let frame = server_frame(&payload);
            assert_eq!(parse(&frame), Some((1, &payload[..], frame.len())), "{length}");
            assert_eq!(parse(&frame[..frame.len() - 1]), None, "{length}");
        }
    }

    #[test]
    fn frames_of_the_protocol() {
        for (payload, expected) in [
            (r#"{"type":"ping","head":61}"#, Seen::Ping),
            (r#"{"type":"synced","seq":57}"#, Seen::Synced(57)),
            (r#"{"type":"accepted","id":"c1","run":"r8","seq":58}"#, Seen::Other),
            (r#"{"type":"run_started","seq":58,"at":"x"}"#, Seen::Event { first: 58, last: 58, said_at_ns: None }),
            (
                r#"{"type":"text_delta","seq":12,"at":"x","message":"m3","text":"42 a","run":"r2"}"#,
                Seen::Event { first: 12, last: 12, said_at_ns: Some(42) },
            ),
            (
                r#"{"type":"text_delta","seq":12,"text":"42 a","seq_first":9}"#,
                Seen::Event { first: 9, last: 12, said_at_ns: Some(42) },
            ),
            (
                r#"{"type":"file_delta","seq":12,"text":"a","seq_first":9}"#,
                Seen::Event { first: 9, last: 12, said_at_ns: None },
            ),
            ("nonsense", Seen::Other),
        ] {
            assert_eq!(read(payload.as_bytes()), expected, "{payload}");
        }
    }
}
