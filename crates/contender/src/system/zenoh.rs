//! Bare Zenoh: a publisher declared once (`Block`, express) and a subscriber read
//! through its default handler. Who is there is said by liveliness tokens.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mailmesh_contender::{Numbered, Purpose};
use zenoh::Session;
use zenoh::handlers::FifoChannelHandler;
use zenoh::liveliness::LivelinessToken;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::CongestionControl;
use zenoh::sample::{Locality, Sample, SampleKind};

use crate::Args;
use crate::error::ContenderError;
use crate::ledger::Ledger;

/// What every process subscribes to.
pub(super) const EVERYTHING: &str = "contender/events/*";

/// A session and its publisher.
pub(crate) struct Outlet {
    session: Session,
    publisher: Arc<Publisher<'static>>,
    presence: Presence,
}

pub(crate) async fn start(args: &Args, ledger: &Arc<Ledger>) -> Result<Outlet, ContenderError> {
    let session = open(args, ledger).await?;
    let subscriber = session
        .declare_subscriber(EVERYTHING)
        .allowed_origin(Locality::Remote)
        .await
        .map_err(ContenderError::zenoh)?;
    let publisher = session
        .declare_publisher(own_key(ledger))
        .congestion_control(CongestionControl::Block)
        .express(true)
        .allowed_destination(Locality::Remote)
        .await
        .map_err(ContenderError::zenoh)?;
    let publisher = Arc::new(publisher);
    let presence = Presence::declare(&session, ledger).await?;
    tokio::spawn(read(subscriber, publisher.clone(), ledger.clone()));
    Ok(Outlet { session, publisher, presence })
}

/// Opens a session; this life is named after it.
pub(super) async fn open(args: &Args, ledger: &Ledger) -> Result<Session, ContenderError> {
    let config = zenoh::Config::from_json5(&args.config).map_err(ContenderError::zenoh)?;
    let session = zenoh::open(config).await.map_err(ContenderError::zenoh)?;
    ledger.life.store(life(session.zid().to_le_bytes()), Ordering::Relaxed);
    Ok(session)
}

/// A number for a session.
pub(super) fn life(id: [u8; 16]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = id;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

pub(super) fn own_key(ledger: &Ledger) -> String {
    format!("contender/events/{:016x}", ledger.life.load(Ordering::Relaxed))
}

async fn read(
    subscriber: Subscriber<FifoChannelHandler<Sample>>,
    publisher: Arc<Publisher<'static>>,
    ledger: Arc<Ledger>,
) {
    while let Ok(sample) = subscriber.recv_async().await {
        if let Some(echo) = take(&sample, &ledger)
            && let Err(error) = publisher.put(echo.encode()).await
        {
            eprintln!("an echo was not published: {error}");
        }
        ledger.between_reads().await;
    }
}

/// Counts what came; what is to be sent back.
pub(super) fn take(sample: &Sample, ledger: &Ledger) -> Option<Numbered> {
    let event = Numbered::decode(&sample.payload().to_bytes())?;
    match event.purpose {
        Purpose::Count => ledger.event(&event),
        Purpose::Echo => ledger.echo(&event),
        Purpose::Ping => return Some(Numbered { purpose: Purpose::Echo, ..event }),
    }
    None
}

/// A liveliness token, and a subscriber to those of the others.
pub(super) struct Presence {
    _subscriber: Subscriber<()>,
    _token: LivelinessToken,
}

impl Presence {
    /// After the subscribers: who sees the token reaches them.
    pub(super) async fn declare(
        session: &Session,
        ledger: &Arc<Ledger>,
    ) -> Result<Self, ContenderError> {
        let own = ledger.life.load(Ordering::Relaxed);
        let ledger = ledger.clone();
        let subscriber = session
            .liveliness()
            .declare_subscriber("contender/alive/*")
            .history(true)
            .callback(move |sample| {
                let life = sample.key_expr().as_str().rsplit('/').next();
                let life = life.and_then(|life| u64::from_str_radix(life, 16).ok());
                if let Some(life) = life.filter(|life| *life != own) {
                    ledger.member(life, sample.kind() == SampleKind::Put);
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
        self.publisher.put(event.encode()).await.map_err(ContenderError::zenoh)
    }

    pub(crate) async fn close(&self) {
        let _held_until_now = &self.presence;
        if let Err(error) = self.session.close().await {
            eprintln!("the session did not close: {error}");
        }
    }
}
