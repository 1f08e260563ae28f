//! The advanced publisher and subscriber of zenoh-ext, with cache, heartbeat, recovery and a
//! listener for missed samples; `Block` and Zenoh's own batches.

use std::sync::Arc;
use std::time::Duration;

use mailmesh_contender::Numbered;
use zenoh::handlers::FifoChannelHandler;
use zenoh::qos::CongestionControl;
use zenoh::sample::{Locality, Sample};
use zenoh::{Session, Wait};
use zenoh_ext::{
    AdvancedPublisher, AdvancedPublisherBuilderExt, AdvancedSubscriber,
    AdvancedSubscriberBuilderExt, CacheConfig, MissDetectionConfig, RecoveryConfig,
};

use super::zenoh::{EVENTS, Presence, handle_sample, incarnation, open};
use crate::Args;
use crate::error::ContenderError;
use crate::ledger::Ledger;

/// Samples kept for retransmission.
const CACHE: usize = 100_000;
/// The interval of zenoh-ext's own example.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A session and its publisher.
pub(crate) struct Outlet {
    session: Session,
    publisher: Arc<AdvancedPublisher<'static>>,
    presence: Presence,
    _callback_subscriber: Option<AdvancedSubscriber<()>>,
}

pub(crate) async fn start(args: &Args, ledger: &Arc<Ledger>) -> Result<Outlet, ContenderError> {
    let session = open(args, ledger).await?;
    let publisher = session
        .declare_publisher(EVENTS)
        .congestion_control(CongestionControl::Block)
        .allowed_destination(Locality::Remote)
        .cache(CacheConfig::default().max_samples(CACHE))
        .sample_miss_detection(MissDetectionConfig::default().heartbeat(HEARTBEAT))
        .publisher_detection()
        .await
        .map_err(ContenderError::zenoh)?;
    let publisher = Arc::new(publisher);
    let subscriber = session.declare_subscriber(EVENTS).allowed_origin(Locality::Remote);
    let callback_subscriber = if args.fifo {
        let subscriber = subscriber
            .recovery(RecoveryConfig::default().heartbeat())
            .subscriber_detection()
            .await
            .map_err(ContenderError::zenoh)?;
        count_misses(&subscriber, ledger).await?;
        tokio::spawn(read(subscriber, publisher.clone(), ledger.clone()));
        None
    } else {
        let (counts, publisher) = (ledger.clone(), publisher.clone());
        let subscriber = subscriber
            .callback(move |sample| {
                if let Some(echo) = handle_sample(&sample, &counts)
                    && let Err(error) = publisher.put(echo.encode()).wait()
                {
                    eprintln!("an echo was not published: {error}");
                }
                counts.block_between_reads();
            })
            .recovery(RecoveryConfig::default().heartbeat())
            .subscriber_detection()
            .await
            .map_err(ContenderError::zenoh)?;
        count_misses(&subscriber, ledger).await?;
        Some(subscriber)
    };
    let presence = Presence::declare(&session, ledger).await?;
    Ok(Outlet { session, publisher, presence, _callback_subscriber: callback_subscriber })
}

async fn count_misses<H>(
    subscriber: &AdvancedSubscriber<H>,
    ledger: &Arc<Ledger>,
) -> Result<(), ContenderError> {
    let ledger = ledger.clone();
    let listener = subscriber.sample_miss_listener().callback(move |miss| {
        ledger.report_missing(incarnation(miss.source().zid().to_le_bytes()), u64::from(miss.nb()));
    });
    listener.background().await.map_err(ContenderError::zenoh)
}

async fn read(
    subscriber: AdvancedSubscriber<FifoChannelHandler<Sample>>,
    publisher: Arc<AdvancedPublisher<'static>>,
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
