//! The Zenoh network as each participant sees it: all frames and the incarnations of their senders.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use zenoh::Wait;
use zenoh::pubsub::Publisher;
use zenoh::qos::CongestionControl;

/// Key prefix of the cluster under attack.
const PREFIX: &str = "mailmesh/mail/v1";
/// Maximum number of frames kept for replay.
const MAX_RECORDED_FRAMES: usize = 4096;
/// Position of the sender's incarnation in a frame.
const INCARNATION: std::ops::Range<usize> = 8..24;

pub(crate) type Incarnation = [u8; 16];

/// A Zenoh session and the frames that it has received.
pub(crate) struct Wire {
    session: zenoh::Session,
    recorded: Arc<Mutex<Recorded>>,
    /// Number of published frames.
    sent: AtomicU64,
    /// One publisher for each key, declared once.
    publishers: Mutex<HashMap<String, Arc<Publisher<'static>>>>,
}

#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// Frames and the keys that they arrived on.
    pub(crate) frames: VecDeque<(String, Bytes)>,
    pub(crate) incarnations: BTreeSet<Incarnation>,
}

impl Wire {
    pub(crate) fn new(session: zenoh::Session) -> Result<Self, Box<dyn Error>> {
        let recorded = Arc::<Mutex<Recorded>>::default();
        let recorder = recorded.clone();
        session
            .declare_subscriber(format!("{PREFIX}/**"))
            .callback(move |sample| {
                let frame = Bytes::copy_from_slice(&sample.payload().to_bytes());
                let mut recorded = lock(&recorder);
                if let Some(incarnation) = frame.get(INCARNATION) {
                    if let Ok(incarnation) = incarnation.try_into() {
                        recorded.incarnations.insert(incarnation);
                    }
                    if recorded.frames.len() == MAX_RECORDED_FRAMES {
                        recorded.frames.pop_front();
                    }
                    recorded.frames.push_back((sample.key_expr().as_str().to_owned(), frame));
                }
            })
            .background()
            .wait()
            .map_err(|error| error.to_string())?;
        Ok(Self { session, recorded, sent: AtomicU64::new(0), publishers: Mutex::default() })
    }

    pub(crate) fn recorded(&self) -> MutexGuard<'_, Recorded> {
        lock(&self.recorded)
    }

    pub(crate) fn put_to_all(&self, frame: &[u8]) -> Result<(), String> {
        self.put(&format!("{PREFIX}/to/*"), frame)
    }

    pub(crate) fn put_to_one(&self, incarnation: Incarnation, frame: &[u8]) -> Result<(), String> {
        self.put(&format!("{PREFIX}/to/{}", hex(incarnation)), frame)
    }

    /// Publishes a frame. It blocks while the links are full, so that this side drops nothing.
    pub(crate) fn put(&self, key: &str, frame: &[u8]) -> Result<(), String> {
        let publisher = lock(&self.publishers).get(key).cloned();
        let publisher = match publisher {
            Some(publisher) => publisher,
            None => {
                let made = self
                    .session
                    .declare_publisher(key.to_owned())
                    .congestion_control(CongestionControl::Block)
                    .wait();
                let made = Arc::new(made.map_err(|error| error.to_string())?);
                let mut publishers = lock(&self.publishers);
                if publishers.len() > 1024 {
                    publishers.clear();
                }
                publishers.insert(key.to_owned(), made.clone());
                made
            }
        };
        publisher.put(frame).wait().map_err(|error| error.to_string())?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Declares the liveliness token of this incarnation.
    pub(crate) fn declare_presence(
        &self,
        incarnation: Incarnation,
    ) -> Result<zenoh::liveliness::LivelinessToken, Box<dyn Error>> {
        let key = format!("{PREFIX}/alive/{}", hex(incarnation));
        Ok(self
            .session
            .liveliness()
            .declare_token(key)
            .wait()
            .map_err(|error| error.to_string())?)
    }

    pub(crate) fn close(&self) -> Result<(), Box<dyn Error>> {
        lock(&self.publishers).clear();
        Ok(self.session.close().wait().map_err(|error| error.to_string())?)
    }
}

fn hex(incarnation: Incarnation) -> String {
    incarnation.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
