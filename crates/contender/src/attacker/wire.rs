//! The network as who is on it sees it: every frame, and whom they are of.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use zenoh::Wait;
use zenoh::pubsub::Publisher;
use zenoh::qos::CongestionControl;

/// The keys of the cluster attacked.
const PREFIX: &str = "mailmesh/mail/v1";
/// Frames kept to be put again.
const RECORDED: usize = 4096;
/// Where a frame has its sender's incarnation.
const INCARNATION: std::ops::Range<usize> = 8..24;

pub(crate) type Life = [u8; 16];

/// A session, and what it has heard.
pub(crate) struct Wire {
    session: zenoh::Session,
    heard: Arc<Mutex<Heard>>,
    /// Frames put.
    sent: AtomicU64,
    /// One a key, declared once.
    publishers: Mutex<HashMap<String, Arc<Publisher<'static>>>>,
}

#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Frames, and the keys they came on.
    pub(crate) frames: VecDeque<(String, Bytes)>,
    pub(crate) lives: BTreeSet<Life>,
}

impl Wire {
    pub(crate) fn new(session: zenoh::Session) -> Result<Self, Box<dyn Error>> {
        let heard = Arc::<Mutex<Heard>>::default();
        let hears = heard.clone();
        session
            .declare_subscriber(format!("{PREFIX}/**"))
            .callback(move |sample| {
                let frame = Bytes::copy_from_slice(&sample.payload().to_bytes());
                let mut heard = lock(&hears);
                if let Some(life) = frame.get(INCARNATION) {
                    if let Ok(life) = life.try_into() {
                        heard.lives.insert(life);
                    }
                    if heard.frames.len() == RECORDED {
                        heard.frames.pop_front();
                    }
                    heard.frames.push_back((sample.key_expr().as_str().to_owned(), frame));
                }
            })
            .background()
            .wait()
            .map_err(|error| error.to_string())?;
        Ok(Self { session, heard, sent: AtomicU64::new(0), publishers: Mutex::default() })
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }

    pub(crate) fn to_all(&self, frame: &[u8]) -> Result<(), String> {
        self.put(&format!("{PREFIX}/to/*"), frame)
    }

    pub(crate) fn to_one(&self, life: Life, frame: &[u8]) -> Result<(), String> {
        self.put(&format!("{PREFIX}/to/{}", hex(life)), frame)
    }

    /// Waits where the links are full: as fast as it goes, and nothing lost on this side.
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

    /// Says that a node of this life is there.
    pub(crate) fn appear(
        &self,
        life: Life,
    ) -> Result<zenoh::liveliness::LivelinessToken, Box<dyn Error>> {
        let key = format!("{PREFIX}/alive/{}", hex(life));
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

fn hex(life: Life) -> String {
    life.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
