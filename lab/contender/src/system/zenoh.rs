//! Bare Zenoh, as its examples use it for each measure. Counted events go through one publisher,
//! declared once (`z_pub_thr`: `Block`, Zenoh's own batches). Round trips use a second publisher,
//! which is also express (`z_ping`, `z_pong`). A subscriber counts in its callback (`z_sub_thr`) or
//! reads through its default handler. Liveliness tokens show which processes run.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mailmesh_contender::{Numbered, Purpose};
use zenoh::handlers::FifoChannelHandler;
use zenoh::liveliness::LivelinessToken;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::CongestionControl;
use zenoh::sample::{Locality, Sample, SampleKind};
use zenoh::{Session, Wait};

use super::handle;
use crate::Args;
use crate::error::ContenderError;
use crate::ledger::Ledger;

/// The key expression that every process publishes on and subscribes to. It has no wildcard: for a
/// subscriber of `contender/events/*` Zenoh computes the route of each event, at a third of the
/// speed.
pub(super) const EVENTS: &str = "contender/events";

/// A session and its publishers.
pub(crate) struct Outlet {
    session: Session,
    publisher: Publisher<'static>,
    /// Publishes events that must not wait for a batch.
    express: Arc<Publisher<'static>>,
    presence: Presence,
    _callback_subscriber: Option<Subscriber<()>>,
}

pub(crate) async fn start(args: &Args, ledger: &Arc<Ledger>) -> Result<Outlet, ContenderError> {
    let session = open(args, ledger).await?;
    let publisher = async |is_express| {
        session
            .declare_publisher(EVENTS)
            .congestion_control(CongestionControl::Block)
            .express(is_express)
            .allowed_destination(Locality::Remote)
            .await
            .map_err(ContenderError::zenoh)
    };
    let (publisher, express) = (publisher(false).await?, Arc::new(publisher(true).await?));
    let subscriber = session.declare_subscriber(EVENTS).allowed_origin(Locality::Remote);
    let callback_subscriber = if args.fifo {
        let subscriber = subscriber.await.map_err(ContenderError::zenoh)?;
        tokio::spawn(read(subscriber, express.clone(), ledger.clone()));
        None
    } else {
        let (ledger, express) = (ledger.clone(), express.clone());
        let subscriber = subscriber.callback(move |sample| {
            if let Some(echo) = handle_sample(&sample, &ledger)
                && let Err(error) = express.put(echo.encode()).wait()
            {
                eprintln!("an echo was not published: {error}");
            }
            ledger.block_between_reads();
        });
        Some(subscriber.await.map_err(ContenderError::zenoh)?)
    };
    let presence = Presence::declare(&session, ledger).await?;
    Ok(Outlet { session, publisher, express, presence, _callback_subscriber: callback_subscriber })
}

/// Opens a session, whose id names this incarnation.
pub(super) async fn open(args: &Args, ledger: &Ledger) -> Result<Session, ContenderError> {
    let config = zenoh::Config::from_json5(&args.config).map_err(ContenderError::zenoh)?;
    let session = zenoh::open(config).await.map_err(ContenderError::zenoh)?;
    ledger.incarnation.store(incarnation(session.zid().to_le_bytes()), Ordering::Relaxed);
    Ok(session)
}

/// The id of a session, as a number.
pub(super) fn incarnation(id: [u8; 16]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = id;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

async fn read(
    subscriber: Subscriber<FifoChannelHandler<Sample>>,
    publisher: Arc<Publisher<'static>>,
    ledger: Arc<Ledger>,
) {
    while let Ok(sample) = subscriber.recv_async().await {
        if let Some(echo) = handle_sample(&sample, &ledger)
            && let Err(error) = publisher.put(echo.encode()).await
        {
            eprintln!("an echo was not published: {error}");
        }
        ledger.wait_between_reads().await;
    }
}

/// Handles a sample. Returns the event to send back, if any.
pub(super) fn handle_sample(sample: &Sample, ledger: &Ledger) -> Option<Numbered> {
    handle(Numbered::decode(&sample.payload().to_bytes())?, ledger)
}

/// The liveliness token of this process, and a subscriber to the tokens of others.
pub(super) struct Presence {
    _subscriber: Subscriber<()>,
    _token: LivelinessToken,
}

impl Presence {
    /// Call after the subscribers are declared: a process that sees the token then reaches them.
    pub(super) async fn declare(
        session: &Session,
        ledger: &Arc<Ledger>,
    ) -> Result<Self, ContenderError> {
        let own = ledger.incarnation.load(Ordering::Relaxed);
        let ledger = ledger.clone();
        let subscriber = session
            .liveliness()
            .declare_subscriber("contender/alive/*")
            .history(true)
            .callback(move |sample| {
                let incarnation = sample.key_expr().as_str().rsplit('/').next();
                let incarnation =
                    incarnation.and_then(|incarnation| u64::from_str_radix(incarnation, 16).ok());
                if let Some(incarnation) = incarnation.filter(|incarnation| *incarnation != own) {
                    ledger.set_member(incarnation, sample.kind() == SampleKind::Put);
                }
            })
            .await
            .map_err(ContenderError::zenoh)?;
        let token = session
            .liveliness()
            .declare_token(format!("contender/alive/{own:016x}"))
            .await
            .map_err(ContenderError::zenoh)?;
        Ok(Self { _subscriber: subscriber, _token: token })
    }
}

impl Outlet {
    pub(crate) async fn publish(&self, event: &Numbered) -> Result<(), ContenderError> {
        let is_counted = event.purpose == Purpose::Count;
        let publisher = if is_counted { &self.publisher } else { &*self.express };
        publisher.put(event.encode()).await.map_err(ContenderError::zenoh)
    }

    pub(crate) async fn close(&self) {
        let _held_until_now = &self.presence;
        if let Err(error) = self.session.close().await {
            eprintln!("the session did not close: {error}");
        }
    }
}
