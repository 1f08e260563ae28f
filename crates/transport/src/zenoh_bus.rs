use std::sync::Arc;

use bytes::Bytes;
use dashmap::DashMap;
use mailmesh_delivery::{Incarnation, Lane, Link};
use tokio::runtime::{Handle, RuntimeFlavor};
use zenoh::Session;
use zenoh::Wait;
use zenoh::liveliness::LivelinessToken;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::{Locality, Sample, SampleKind};

use crate::reconnect::{Missing, Reconnector};
use crate::{
    Address, Bus, BusFuture, Channel, IntakeSender, KeySpace, TransportError, ZenohSettings,
};

/// The bus over Eclipse Zenoh.
///
/// - One publisher a channel, declared once; one a member for what goes to it
///   alone, kept until it leaves. What goes to who is no member (a greeting, the
///   answer to a question) is put without one, so strangers cost no memory.
/// - Congestion control is `Drop`, never `Block`: a full link loses the frame
///   (after Zenoh's `wait_before_drop`, 1 ms) and does not stall the others.
/// - A liveliness token says who is there; that is a hint to the node, no more.
#[derive(Debug)]
pub struct ZenohBus {
    session: Session,
    keys: KeySpace,
    urgent: Publisher<'static>,
    events: Publisher<'static>,
    control: Publisher<'static>,
    /// Bounded by the number of live peers.
    peers: DashMap<Incarnation, Publisher<'static>>,
    _subscribers: [Subscriber<()>; 3],
    _token: LivelinessToken,
    missing: Arc<Missing>,
    _reconnector: Reconnector,
}

impl ZenohBus {
    /// Opens a session and declares everything. What comes goes to `intake`.
    ///
    /// # Errors
    /// [`TransportError::Config`] for what the machine lacks (a port in use, a
    /// file missing), [`TransportError::CurrentThread`], [`TransportError::Open`],
    /// [`TransportError::Declare`].
    pub async fn open(
        settings: &ZenohSettings,
        keys: KeySpace,
        incarnation: Incarnation,
        intake: IntakeSender,
    ) -> Result<Self, TransportError> {
        if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Err(TransportError::CurrentThread);
        }
        settings.preflight()?;
        let session =
            zenoh::open(settings.to_zenoh()?).await.map_err(|error| open_error(&error))?;
        let everything = subscribe(&session, keys.everything_for_all(), &intake).await?;
        let own = subscribe(&session, keys.one(incarnation), &intake).await?;
        let missing = Arc::<Missing>::default();
        let noted = missing.clone();
        let alive = session
            .liveliness()
            .declare_subscriber(keys.everyone_alive())
            .history(true)
            .callback(move |sample| {
                let peer = sample.key_expr().as_str().rsplit('/').next();
                let Some(Ok(peer)) = peer.map(str::parse::<Incarnation>) else {
                    return;
                };
                let link = match sample.kind() {
                    SampleKind::Put => Link::Up,
                    SampleKind::Delete => Link::Down,
                };
                if peer != incarnation {
                    noted.note(peer, link);
                    intake.link(peer, link);
                }
            })
            .await
            .map_err(|error| declare_error("the liveliness subscriber", &error))?;
        let publisher = async |channel| {
            let key = keys.all(channel, incarnation);
            publisher(&session, key, channel)
                .await
                .map_err(|error| declare_error("a publisher", &error))
        };
        let urgent = publisher(Channel::Lane(Lane::Urgent)).await?;
        let events = publisher(Channel::Lane(Lane::Events)).await?;
        let control = publisher(Channel::Control).await?;
        // Last, so that who sees it reaches every subscriber above.
        let token = session
            .liveliness()
            .declare_token(keys.alive(incarnation))
            .await
            .map_err(|error| declare_error("the liveliness token", &error))?;
        let reconnector = Reconnector::start(session.clone(), settings.clone(), missing.clone());
        Ok(Self {
            session,
            keys,
            urgent,
            events,
            control,
            peers: DashMap::new(),
            _subscribers: [everything, own, alive],
            _token: token,
            missing,
            _reconnector: reconnector,
        })
    }

    fn put_to(&self, peer: Incarnation, channel: Channel, frame: Bytes) -> zenoh::Result<()> {
        // What is long is rare: it needs no publisher of its own.
        if channel != Channel::Bulk
            && let Some(publisher) = self.peers.get(&peer)
        {
            return publisher.put(frame).wait();
        }
        self.session
            .put(self.keys.one(peer), frame)
            .congestion_control(CongestionControl::Drop)
            .priority(priority(channel))
            .express(channel != Channel::Bulk)
            .allowed_destination(Locality::Remote)
            .wait()
    }
}

impl Bus for ZenohBus {
    fn put(&self, to: Address, channel: Channel, frame: Bytes) -> Result<(), TransportError> {
        let put = match (to, channel) {
            (Address::One(peer), channel) => self.put_to(peer, channel, frame),
            (Address::All, Channel::Lane(Lane::Urgent)) => self.urgent.put(frame).wait(),
            (Address::All, Channel::Lane(Lane::Events)) => self.events.put(frame).wait(),
            (Address::All, Channel::Control | Channel::Bulk) => self.control.put(frame).wait(),
        };
        put.map_err(|error| {
            if self.session.is_closed() {
                TransportError::Closed
            } else {
                TransportError::Put { why: error.to_string() }
            }
        })
    }

    fn expect(&self, peer: Incarnation) {
        let key = self.keys.one(peer);
        match publisher(&self.session, key, Channel::Control).wait() {
            Ok(publisher) => {
                self.peers.insert(peer, publisher);
            }
            Err(error) => tracing::debug!(%error, "no publisher for a member; putting without"),
        }
    }

    fn forget(&self, peer: Incarnation, for_good: bool) {
        self.peers.remove(&peer);
        if for_good {
            self.missing.is_gone(peer);
        }
    }

    fn close(&self) -> BusFuture<'_> {
        Box::pin(async {
            if let Err(error) = self.session.close().await {
                tracing::debug!(%error, "the Zenoh session did not close cleanly");
            }
        })
    }
}

async fn subscribe(
    session: &Session,
    key: String,
    intake: &IntakeSender,
) -> Result<Subscriber<()>, TransportError> {
    let intake = intake.clone();
    session
        .declare_subscriber(key)
        .allowed_origin(Locality::Remote)
        .callback(move |sample: Sample| {
            intake.frame(Bytes::from(sample.payload().to_bytes().into_owned()));
        })
        .await
        .map_err(|error| declare_error("a subscriber", &error))
}

/// Urgent frames go ahead of the others; control shares the events' queue, so
/// that a position announced never overtakes the events it counts. All are
/// `express`: our batches are full already, and Zenoh's would only add delay.
fn publisher<'a>(
    session: &'a Session,
    key: String,
    channel: Channel,
) -> zenoh::pubsub::PublisherBuilder<'a, 'static> {
    session
        .declare_publisher(key)
        .congestion_control(CongestionControl::Drop)
        .priority(priority(channel))
        .express(true)
        .allowed_destination(Locality::Remote)
}

fn priority(channel: Channel) -> Priority {
    match channel {
        Channel::Lane(Lane::Urgent) => Priority::InteractiveHigh,
        Channel::Lane(Lane::Events) | Channel::Control => Priority::Data,
        Channel::Bulk => Priority::DataLow,
    }
}

fn open_error(error: &zenoh::Error) -> TransportError {
    let why = error.to_string();
    let lower = why.to_lowercase();
    let hint = if lower.contains("address already in use") || lower.contains("address in use") {
        "; another process listens there: stop it, or choose another port in `listen.endpoints`"
    } else if lower.contains("permission denied") {
        "; the process may not do that: use a port above 1023, or check the files' permissions"
    } else if lower.contains("no such device") || lower.contains("network is unreachable") {
        "; check `scouting.multicast.interface` and that the interface is up"
    } else {
        ""
    };
    TransportError::Open { why, hint }
}

fn declare_error(what: &'static str, error: &zenoh::Error) -> TransportError {
    TransportError::Declare { what, why: error.to_string() }
}
