//! What is said, and when: by whoever measures, over a socket to each room, as a vendor's words come. The whole server and
//! the floor are woken by it alike.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use crate::cli::bench::machine::monotonic_ns;

/// How much to say, and how fast.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    events: u64,
    text_size_bytes: usize,
    /// Zero: as fast as the window allows.
    interval: Duration,
    /// Most events that are not yet with everybody. Without it a fast speaker measures its buffers.
    window: u64,
}

impl Plan {
    pub(super) const fn paced(per_second: u64, seconds: u64, text_size_bytes: usize) -> Self {
        let interval = Duration::from_micros(1_000_000 / per_second);
        Self { events: per_second * seconds, text_size_bytes, interval, window: u64::MAX }
    }

    pub(super) const fn saturated(events: u64, window: u64, text_size_bytes: usize) -> Self {
        Self { events, text_size_bytes, interval: Duration::ZERO, window }
    }

    /// Enough to warm up.
    pub(super) fn shortened(&self) -> Self {
        Self { events: (self.events / 8).max(1), ..self.clone() }
    }

    /// One event's line: when it is said, and filling. Its text ends in no space: that would come with the next event, in
    /// front of its time.
    fn line(&self, said_at_ns: u64) -> String {
        let mut line = format!("{said_at_ns} ");
        while line.len() + 1 < self.text_size_bytes {
            line.push_str("word ");
        }
        line.truncate(self.text_size_bytes - 1);
        line.push_str(".\n");
        line
    }
}

/// Says it, to all rooms.
#[derive(Debug)]
pub(super) struct Speaker {
    listener: TcpListener,
    rooms: Vec<TcpStream>,
    plan: Plan,
    said: u64,
    began: Instant,
}

impl Speaker {
    pub(super) fn new(plan: Plan) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, rooms: Vec::new(), plan, said: 0, began: Instant::now() })
    }

    /// Where each room connects to, once, to be told.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// How many rooms listen by now. Does not wait.
    pub(super) fn listening(&mut self) -> io::Result<usize> {
        match self.listener.accept() {
            Ok((room, _)) => {
                room.set_nonblocking(false)?;
                room.set_nodelay(true)?;
                self.rooms.push(room);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(self.rooms.len())
    }

    /// How many events there are to say.
    pub(super) const fn events(&self) -> u64 {
        self.plan.events
    }

    /// The time of the first event is now.
    pub(super) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// Says what is due, now that `complete` events are with everybody; after the last one hangs up.
    pub(super) fn speak(&mut self, complete: u64) -> io::Result<()> {
        while self.said < self.plan.events && self.said - complete < self.plan.window && self.is_due() {
            self.said += 1;
            for room in &mut self.rooms {
                room.write_all(self.plan.line(monotonic_ns()).as_bytes())?;
            }
        }
        if self.said == self.plan.events {
            self.rooms.clear();
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        let next = u32::try_from(self.said).unwrap_or(u32::MAX);
        self.began.elapsed() >= self.plan.interval * next
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_line_has_its_size_and_its_text_ends_in_no_space() {
        let plan = Plan::paced(1, 1, 40);
        for said_at_ns in [1, 123_456_789_012, 1_234_567_890_123, 12_345_678_901_234, u64::MAX] {
            let line = plan.line(said_at_ns);
            let text = line.strip_suffix('\n').expect("a line");
            assert_eq!((text.len(), text.trim_end().len()), (40, 40), "{text}");
            assert!(text.starts_with(&format!("{said_at_ns} ")), "{text}");
        }
    }

    #[test]
    fn all_rooms_hear_all_of_it_and_no_more_than_the_window_before_everybody_has_it() {
        let mut speaker = Speaker::new(Plan::saturated(5, 2, 40)).expect("a port");
        let address = speaker.address().expect("bound");
        let mut rooms = [TcpStream::connect(address).expect("let in"), TcpStream::connect(address).expect("let in")];
        while speaker.listening().expect("no error") < rooms.len() {}
        speaker.begin();
        speaker.speak(0).expect("heard");
        assert_eq!(speaker.said, 2);
        speaker.speak(1).expect("heard");
        assert_eq!(speaker.said, 3);
        speaker.speak(3).expect("heard");
        for room in &mut rooms {
            let mut heard = String::new();
            room.read_to_string(&mut heard).expect("an end");
            assert_eq!(heard.lines().count(), 5, "{heard}");
        }
    }
}
