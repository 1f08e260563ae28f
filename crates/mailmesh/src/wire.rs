//! Between the frames of delivery and the bytes of the codec.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mailmesh_codec::{CodecError, FrameKind, Header, Opener, Sealer};
use mailmesh_delivery as delivery;
use mailmesh_transport::{Open, Opened, OtherKeys, Seal};
use parking_lot::Mutex;

use crate::alarm::{Recurrence, Say};
use crate::keys::KeyChain;
use crate::status::Refused;

/// The lane number of control, short direct and relay messages, which are numbered together.
const CONTROL_LANE: u8 = 2;
/// The lane number of long direct messages.
const BULK_LANE: u8 = 3;

/// Seals frames for the bus.
pub(crate) enum SealFrames {
    /// Of an open mesh: frames are only framed.
    Open,
    Keyed(Arc<KeyChain>),
}

impl Seal for SealFrames {
    fn seal(
        &self,
        frame: &delivery::Frame,
    ) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
        let (kind, lane) = match frame.kind {
            delivery::FrameKind::Data(lane) => (FrameKind::Data, lane as u8),
            delivery::FrameKind::Control => (FrameKind::Control, CONTROL_LANE),
            delivery::FrameKind::Direct => (FrameKind::Direct, CONTROL_LANE),
            delivery::FrameKind::Bulk => (FrameKind::Direct, BULK_LANE),
            delivery::FrameKind::Relay => (FrameKind::Relay, CONTROL_LANE),
        };
        let (incarnation, first, count) = (frame.incarnation.0, frame.first, frame.count);
        let to = frame.to.map(|to| to.0);
        let header = Header { kind, lane, incarnation, to, first, count };
        Ok(match self {
            Self::Open => Sealer::open_mesh().seal(&header, &frame.body)?,
            Self::Keyed(keys) => keys.seal(&header, &frame.body)?,
        })
    }
}

/// Opens frames from the bus; refuses, counts and reports the others.
pub(crate) struct OpenFrames {
    opener: Opener,
    /// Without them the mesh is open.
    keys: Option<Arc<KeyChain>>,
    /// Of the keys that the opener has.
    version: u64,
    /// Attempts that may fail. Frames of who was heard before need none: what is forged in a
    /// member's name costs a copy and a pass of AES-GCM for each key.
    attempts: Bucket,
    refusals: Arc<Refusals>,
}

/// How many frames are opened in vain: so many a second, and at once.
const ATTEMPTS: f64 = 2_000.0;

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    left: f64,
    per_second: f64,
    most: f64,
    at: Instant,
}

impl Bucket {
    /// Full.
    pub(crate) fn new(per_second: f64, most: f64) -> Self {
        Self { left: most, per_second, most, at: Instant::now() }
    }

    pub(crate) fn has_one(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        (self.left, self.at) = ((self.left + earned).min(self.most), now);
        self.left >= 1.0
    }

    pub(crate) fn take(&mut self) {
        self.left -= 1.0;
    }
}

impl OpenFrames {
    /// Of the node `own`.
    pub(crate) fn new(
        keys: Option<Arc<KeyChain>>,
        own: delivery::Incarnation,
        refusals: Arc<Refusals>,
    ) -> Self {
        let (opener, attempts) = (Opener::open_mesh(own.0), Bucket::new(ATTEMPTS, ATTEMPTS));
        Self { opener, keys, version: 0, attempts, refusals }
    }
}

impl Open for OpenFrames {
    fn open(&mut self, bytes: Bytes) -> Option<Opened> {
        if let Some(keys) = &self.keys {
            keys.refresh(&mut self.opener, &mut self.version);
        }
        let opened = self.frame(bytes).and_then(|outer| match outer.kind {
            delivery::FrameKind::Relay => {
                let via = delivery::Via { peer: outer.incarnation, number: outer.first };
                Ok(Opened { frame: self.frame(outer.body)?, via: Some(via) })
            }
            _ => Ok(Opened { frame: outer, via: None }),
        });
        opened.inspect_err(|error| self.refusals.count(error)).ok()
    }

    fn joined(&mut self, peer: delivery::Incarnation) {
        self.opener.member_joined(peer.0);
    }

    fn left(&mut self, peer: delivery::Incarnation) {
        self.opener.member_left(peer.0);
    }
}

impl OpenFrames {
    fn frame(&mut self, wire: Bytes) -> Result<delivery::Frame, CodecError> {
        let attempts = &mut self.attempts;
        let opened = self.opener.open_if(&wire, || attempts.has_one(Instant::now()));
        if opened == Err(CodecError::NotAuthentic) {
            attempts.take();
        }
        let (header, body) = opened?;
        frame(&header, body, wire)
    }
}

fn frame(header: &Header, body: Bytes, wire: Bytes) -> Result<delivery::Frame, CodecError> {
    let kind = match (header.kind, header.lane) {
        (FrameKind::Data, 0) => delivery::FrameKind::Data(delivery::Lane::Urgent),
        (FrameKind::Data, 1) => delivery::FrameKind::Data(delivery::Lane::Events),
        (FrameKind::Control, CONTROL_LANE) => delivery::FrameKind::Control,
        (FrameKind::Direct, CONTROL_LANE) => delivery::FrameKind::Direct,
        (FrameKind::Direct, BULK_LANE) => delivery::FrameKind::Bulk,
        (FrameKind::Relay, CONTROL_LANE) => delivery::FrameKind::Relay,
        (_, lane) => {
            return Err(CodecError::Header { what: "lane", value: lane.into() });
        }
    };
    let incarnation = delivery::Incarnation(header.incarnation);
    let (first, count, wire) = (header.first, header.count, Some(wire));
    let to = header.to.map(delivery::Incarnation);
    Ok(delivery::Frame { incarnation, to, kind, first, count, body, wire })
}

/// Frames that were refused, by the sort of reason. There is an alarm for a sort of which frames
/// have come for 10 s.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// Noted with each frame that no key opens.
    other_keys: OtherKeys,
    counts: [AtomicU64; SORTS],
    sorts: Mutex<[SortOfRefusal; SORTS]>,
    /// Messages of entries that came unasked, past the bound.
    pushes: AtomicU64,
}

/// The refused frames of a sort, as the last look found them.
#[derive(Debug, Default)]
struct SortOfRefusal {
    recurrence: Recurrence,
    total: u64,
    /// Why the first of the present ones was refused.
    error: Option<CodecError>,
}

const SORTS: usize = 6;

fn sort(error: &CodecError) -> usize {
    match error {
        CodecError::NotAuthentic => 0,
        CodecError::NotSealed => 1,
        CodecError::NoKey => 2,
        CodecError::Version { .. } => 3,
        CodecError::NotTried => 4,
        _ => 5,
    }
}

/// How long a node of another key is taken to be there after it was heard.
const HEARD: Duration = Duration::from_secs(60);

impl Refusals {
    pub(crate) fn new(other_keys: OtherKeys) -> Self {
        Self { other_keys, ..Self::default() }
    }

    /// Whether a node of the cluster that has another key, or a stranger that imitates one, was
    /// heard in the last minute.
    pub(crate) fn hears_another_key(&self) -> bool {
        self.other_keys.heard_ago().is_some_and(|ago| ago < HEARD)
    }

    pub(crate) fn count(&self, error: &CodecError) {
        let sort = sort(error);
        if *error == CodecError::NotAuthentic {
            self.other_keys.note();
        }
        self.counts[sort].fetch_add(1, Ordering::Relaxed);
        let mut sorts = self.sorts.lock();
        if sorts[sort].error.is_none() {
            sorts[sort].error = Some(error.clone());
        }
    }

    /// Looks, `at` a time of a monotonic clock, which alarms are due.
    pub(crate) fn tick(&self, at: Duration) {
        let mut sorts = self.sorts.lock();
        for (sort, count) in sorts.iter_mut().zip(&self.counts) {
            let total = count.load(Ordering::Relaxed);
            let happened = total > std::mem::replace(&mut sort.total, total);
            match (sort.recurrence.note(happened, at), &sort.error) {
                (Some(Say::Raised), Some(error)) => {
                    let hint = match error {
                        CodecError::NotAuthentic => {
                            "; if this node hears nobody, the others may have another key: give it \
                             theirs with `mailmesh key add --here FILE` (`mailmesh key list`)"
                        }
                        _ => "",
                    };
                    tracing::warn!(total, "frames have been refused for 10 s: {error}{hint}");
                }
                (Some(Say::Ended), Some(error)) => {
                    tracing::info!(total, "for a minute no frame has been refused: {error}");
                }
                _ => {}
            }
            if !sort.recurrence.goes_on() {
                sort.error = None;
            }
        }
    }

    pub(crate) fn pushed_too_much(&self) {
        self.pushes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> Refused {
        let read = |sort: usize| self.counts[sort].load(Ordering::Relaxed);
        Refused {
            not_authentic: read(0),
            not_sealed: read(1),
            no_key: read(2),
            other_version: read(3),
            not_tried: read(4),
            malformed: read(5),
            pushes: self.pushes.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_frame_comes_back_and_no_two_share_a_nonce() {
        use delivery::{FrameKind as Kind, Incarnation, Lane};
        let (us, them) = (Incarnation([1; 16]), Incarnation([2; 16]));
        let mut open = OpenFrames::new(None, us, Arc::default());
        let kinds = [
            (Kind::Data(Lane::Urgent), 0),
            (Kind::Data(Lane::Events), 1),
            (Kind::Control, 2),
            (Kind::Direct, 2),
            (Kind::Bulk, 3),
        ];
        for (kind, lane) in kinds {
            let (incarnation, body) = (them, Bytes::from_static(b"body"));
            let frame = delivery::Frame {
                incarnation,
                to: None,
                kind,
                first: 7,
                count: 0,
                body,
                wire: None,
            };
            let wire = SealFrames::Open.seal(&frame).unwrap();
            assert_eq!(wire[5], lane, "{kind:?}");
            let opened = open.open(wire.clone()).unwrap();
            let same = delivery::Frame { wire: Some(wire), ..frame };
            assert_eq!((opened.frame, opened.via), (same, None));
        }
    }

    #[test]
    fn a_bucket_is_bounded_and_fills_again() {
        let mut attempts = Bucket::new(ATTEMPTS, ATTEMPTS);
        let begin = attempts.at;
        let mut failures = |millis: u64| {
            let now = begin + Duration::from_millis(millis);
            (0..10_000)
                .take_while(|_| attempts.has_one(now).then(|| attempts.take()).is_some())
                .count()
        };
        assert_eq!(
            [failures(0), failures(0), failures(500), failures(60_000)],
            [2_000, 0, 1_000, 2_000]
        );
    }
}
