//! Publishes events of the application and changes of this node's mirror.

use std::sync::Arc;

use mailmesh_codec::encode_event;
use mailmesh_delivery as delivery;
use mailmesh_events::{Change, Event, Lane};
use mailmesh_transport::Driver;

use crate::Error;
use crate::lifecycle::Lifecycle;
use crate::pause_gate::PauseGate;
use crate::replication::Replication;

#[derive(Debug)]
pub(crate) struct Publisher {
    driver: Arc<Driver>,
    /// Lets a test freeze or kill the node.
    pause_gate: PauseGate,
    lifecycle: Arc<Lifecycle>,
    replication: Arc<Replication>,
}

impl Publisher {
    pub(crate) fn new(
        driver: Arc<Driver>,
        pause_gate: PauseGate,
        lifecycle: Arc<Lifecycle>,
        replication: Arc<Replication>,
    ) -> Self {
        Self { driver, pause_gate, lifecycle, replication }
    }

    /// Publishes an event. Waits while its lane is full.
    pub(crate) async fn publish(&self, event: &Event) -> Result<(), Error> {
        let publish = self.driver.publish(lane(event.lane()), |body| encode_event(event, body));
        match self.pause_gate.run(publish).await {
            Some(published) => published.map_err(|error| self.explain(error.into())),
            None => Err(Error::ShutDown),
        }
    }

    /// Publishes an event if its lane has room.
    pub(crate) fn try_publish(&self, event: &Event) -> Result<(), Error> {
        let publish =
            || self.driver.try_publish(lane(event.lane()), |body| encode_event(event, body));
        match self.pause_gate.try_run(publish) {
            Some(published) => published.map_err(|error| self.explain(error.into())),
            None => Err(Error::Full),
        }
    }

    /// Publishes a change that this node made to its mirror.
    pub(crate) async fn publish_change(&self, change: Change) -> Result<(), Error> {
        self.replication.publish_digest();
        self.publish(&change.into()).await
    }

    fn explain(&self, error: Error) -> Error {
        if matches!(error, Error::ShutDown) { self.lifecycle.stop_error() } else { error }
    }
}

fn lane(lane: Lane) -> delivery::Lane {
    match lane {
        Lane::Urgent => delivery::Lane::Urgent,
        Lane::Events => delivery::Lane::Events,
    }
}
