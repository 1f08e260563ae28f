//! zenoh-ext's advanced publisher and subscriber with cache, heartbeat, recovery
//! and a listener for samples missed.

use std::sync::Arc;
use std::time::Duration;

use mailmesh_contender::Numbered;
use zenoh::Session;
use zenoh::handlers::FifoChannelHandler;
use zenoh::qos::CongestionControl;
use zenoh::sample::{Locality, Sample};
use zenoh_ext::{
    AdvancedPublisher, AdvancedPublisherBuilderExt, AdvancedSubscriber,
    AdvancedSubscriberBuilderExt, CacheConfig, MissDetectionConfig, RecoveryConfig,
};

use super::zenoh::{EVERYTHING, Presence, life, open, own_key, take};
use crate::Args;
use crate::error::ContenderError;
use crate::ledger::Ledger;

/// Samples kept for sending again.
const CACHE: usize = 100_000;
/// As in zenoh-ext's own example.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A session and its publisher.
pub(crate) struct Outlet {
    session: Session,
    publisher: Arc<AdvancedPublisher<'static>>,
    presence: Presence,
}

pub(crate) async fn start(args: &Args, ledger: &Arc<Ledger>) -> Result<Outlet, ContenderError> {
    let session = open(args, ledger).await?;
    let subscriber = session
        .declare_subscriber(EVERYTHING)
        .allowed_origin(Locality::Remote)
        .recovery(RecoveryConfig::default().heartbeat())
        .subscriber_detection()
        .await
        .map_err(ContenderError::zenoh)?;
    let misses = ledger.clone();
    subscriber
        .sample_miss_listener()
        .callback(move |miss| {
            misses.missed(life(miss.source().zid().to_le_bytes()), u64::from(miss.nb()));
        })
        .background()
        .await
        .map_err(ContenderError::zenoh)?;
    let publisher = session
        .declare_publisher(own_key(ledger))
        .congestion_control(CongestionControl::Block)
        .express(true)
        .allowed_destination(Locality::Remote)
        .cache(CacheConfig::default().max_samples(CACHE))
        .sample_miss_detection(MissDetectionConfig::default().heartbeat(HEARTBEAT))
        .publisher_detection()
        .await
        .map_err(ContenderError::zenoh)?;
    let publisher = Arc::new(publisher);
    let presence = Presence::declare(&session, ledger).await?;
    tokio::spawn(read(subscriber, publisher.clone(), ledger.clone()));
    Ok(Outlet { session, publisher, presence })
}

async fn read(
    subscriber: AdvancedSubscriber<FifoChannelHandler<Sample>>,
    publisher: Arc<AdvancedPublisher<'static>>,
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
