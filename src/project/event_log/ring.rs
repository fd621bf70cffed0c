//! The end of the log, kept encoded in memory. A cache: what it no longer has, the store has.

use std::{collections::VecDeque, sync::Arc};

use cobuild_protocol::Seq;

use super::frame::Frame;

/// How much of the log's end stays in memory. Whichever limit is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingLimits {
    /// Most frames.
    pub frames: usize,
    /// Most bytes of frames.
    pub size_bytes: usize,
}

impl Default for RingLimits {
    /// 4,096 frames: a client that was away for about half a minute of fast streaming resumes without touching the
    /// disk. 8 MiB: what one busy room may cost, also when its frames are large.
    fn default() -> Self {
        Self { frames: 4096, size_bytes: 8 << 20 }
    }
}

/// Contiguous frames, newest last.
#[derive(Debug)]
pub(super) struct Ring {
    frames: VecDeque<Arc<Frame>>,
    size_bytes: usize,
    limits: RingLimits,
}

impl Ring {
    pub(super) fn new(limits: RingLimits) -> Self {
        Self { frames: VecDeque::new(), size_bytes: 0, limits }
    }

    /// Adds frames which should begin at `expected`. The ring never holds a gap: frames that would leave one clear it,
    /// and are themselves left to the store.
    pub(super) fn extend(&mut self, expected: Seq, frames: Vec<Arc<Frame>>) {
        if !(expected..).zip(&frames).all(|(seq, frame)| frame.seq() == seq) {
            tracing::error!(expected, "published events do not continue the log; subscribers read from the store");
            self.frames.clear();
            self.size_bytes = 0;
            return;
        }
        for frame in frames {
            self.size_bytes += frame.size_bytes();
            self.frames.push_back(frame);
        }
        while self.frames.len() > self.limits.frames || self.size_bytes > self.limits.size_bytes {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.size_bytes -= oldest.size_bytes();
        }
    }

    /// The frames from `from` on, oldest first. `None` when `from` is not in the ring.
    pub(super) fn frames_from(&self, from: Seq) -> Option<impl Iterator<Item = &Arc<Frame>>> {
        let oldest = self.frames.front()?.seq();
        let index = usize::try_from(from.checked_sub(oldest)?).ok()?;
        (index < self.frames.len()).then(|| self.frames.range(index..))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::project::event_store::StoredEvent;

    fn frames(seqs: impl IntoIterator<Item = Seq>, size_bytes: usize) -> Vec<Arc<Frame>> {
        let epoch = Arc::new("e".parse().expect("valid"));
        let event = |seq| StoredEvent::new(seq, Bytes::from(vec![b' '; size_bytes]));
        seqs.into_iter().map(|seq| Arc::new(Frame::new(&epoch, event(seq)))).collect()
    }

    fn held(ring: &Ring) -> Vec<Seq> {
        ring.frames.iter().map(|frame| frame.seq()).collect()
    }

    #[test]
    fn keeps_the_newest_within_both_limits() {
        let mut ring = Ring::new(RingLimits { frames: 3, size_bytes: 100 });
        ring.extend(1, frames(1..=5, 10));
        assert_eq!(held(&ring), [3, 4, 5]);
        ring.extend(6, frames(6..=6, 85));
        assert_eq!(held(&ring), [5, 6]);
        ring.extend(7, frames(7..=7, 101));
        assert_eq!((held(&ring), ring.size_bytes), (vec![], 0));
        ring.extend(8, frames(8..=8, 10));
        assert_eq!(held(&ring), [8]);
    }

    #[test]
    fn finds_only_what_it_holds() {
        let mut ring = Ring::new(RingLimits::default());
        assert!(ring.frames_from(1).is_none());
        ring.extend(5, frames(5..=7, 1));
        for (from, expected) in [(4, None), (5, Some(3)), (7, Some(1)), (8, None), (0, None)] {
            assert_eq!(ring.frames_from(from).map(Iterator::count), expected, "{from}");
        }
    }

    #[test]
    fn a_gap_empties_it() {
        for wrong in [vec![4, 5], vec![3, 5], vec![2, 3], vec![2]] {
            let mut ring = Ring::new(RingLimits::default());
            ring.extend(1, frames(1..=2, 1));
            ring.extend(3, frames(wrong.clone(), 1));
            assert_eq!(held(&ring), Vec::<Seq>::new(), "{wrong:?}");
        }
    }
}
