//! Frames a server sends (RFC 6455, section 5.2): whole, unmasked, without extensions.

use bytes::{BufMut, BytesMut};

/// Opcodes, with the bit that says "a whole message".
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
/// What comes before a payload.
pub(super) const HEAD_SIZE_BYTES_MAX: usize = 10;
/// Longest payload of a control frame.
const CONTROL_SIZE_BYTES_MAX: usize = 125;

/// A text frame. `json` must be UTF-8.
pub(super) fn text(out: &mut BytesMut, json: &[u8]) {
    data(out, TEXT, json);
}

fn data(out: &mut BytesMut, opcode: u8, payload: &[u8]) {
    out.reserve(payload.len() + HEAD_SIZE_BYTES_MAX);
    out.put_u8(opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < 126 => out.put_u8(short),
        (_, Ok(long)) => {
            out.put_u8(126);
            out.put_u16(long);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(payload.len() as u64);
        }
    }
    out.put_slice(payload);
}

/// A binary frame.
#[cfg(test)]
pub(super) fn binary(out: &mut BytesMut, payload: &[u8]) {
    data(out, 0x82, payload);
}

/// An empty ping.
pub(super) fn ping(out: &mut BytesMut) {
    out.put_slice(&[PING, 0]);
}

/// A close frame; a reason that is too long is cut.
pub(super) fn close(out: &mut BytesMut, code: u16, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_SIZE_BYTES_MAX - 2)];
    out.put_u8(CLOSE);
    out.put_u8(u8::try_from(reason.len() + 2).unwrap_or(u8::MAX));
    out.put_u16(code);
    out.put_slice(reason.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tokio_tungstenite::tungstenite::{
        Message,
        protocol::{Role, WebSocketContext},
    };

    use super::*;

    /// What a client that is not ours makes of the bytes.
    fn read(bytes: BytesMut) -> Message {
        WebSocketContext::new(Role::Client, None).read(&mut Cursor::new(bytes.to_vec())).unwrap()
    }

    #[test]
    fn texts_of_every_length() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let (mut out, json) = (BytesMut::new(), "x".repeat(length));
            text(&mut out, json.as_bytes());
            assert_eq!(read(out), Message::Text(json.into()), "{length}");
        }
    }

    #[test]
    fn control_frames() {
        let mut out = BytesMut::new();
        ping(&mut out);
        assert_eq!(read(out), Message::Ping(Default::default()));
        let mut out = BytesMut::new();
        close(&mut out, 4505, &"ü".repeat(200));
        let Message::Close(Some(frame)) = read(out) else { panic!("must be a close frame") };
        assert_eq!((u16::from(frame.code), frame.reason.len()), (4505, 122));
    }
}
