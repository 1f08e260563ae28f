//! Publishes events of the application and changes of this node's mirror.

use std::sync::Arc;

use mailmesh_codec::{CodecError, encode_event};
use mailmesh_delivery as delivery;
use mailmesh_events::{Change, Event, Lane};
use mailmesh_transport::{self as transport, Driver};

use crate::lifecycle::Lifecycle;
use crate::pause_gate::PauseGate;
use crate::replication::Replication;
use crate::{MirrorError, PublishError, Stopped};

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
    pub(crate) async fn publish(&self, event: &Event) -> Result<(), PublishError> {
        let publish = self.driver.publish(lane(event.lane()), |body| encode_event(event, body));
        match self.pause_gate.run(publish).await {
            Some(published) => published.map_err(|error| self.explain(error)),
            None => Err(Stopped::ShutDown.into()),
        }
    }

    /// Publishes an event if its lane has room.
    pub(crate) fn try_publish(&self, event: &Event) -> Result<(), PublishError> {
        let publish =
            || self.driver.try_publish(lane(event.lane()), |body| encode_event(event, body));
        match self.pause_gate.try_run(publish) {
            Some(published) => published.map_err(|error| self.explain(error)),
            None => Err(PublishError::Full),
        }
    }

    /// Publishes a change that this node made to its mirror.
    pub(crate) async fn publish_change(&self, change: Change) -> Result<(), MirrorError> {
        self.replication.publish_digest();
        self.spread(&change.into()).await
    }

    /// Sends a change that is in the mirror to the other nodes.
    pub(crate) async fn spread(&self, change: &Event) -> Result<(), MirrorError> {
        self.publish(change).await.map_err(|error| match error {
            PublishError::Encode(error) => error.into(),
            PublishError::Stopped(stopped) => stopped.into(),
            // Of the other errors, `publish` gives none for a change.
            _ => Stopped::ShutDown.into(),
        })
    }

    fn explain(&self, error: transport::PublishError<CodecError>) -> PublishError {
        match error {
            transport::PublishError::Full => PublishError::Full,
            transport::PublishError::Encode(error) => error.into(),
            _ => self.lifecycle.stop_error().into(),
        }
    }
}

fn lane(lane: Lane) -> delivery::Lane {
    match lane {
        Lane::Urgent => delivery::Lane::Urgent,
        Lane::Events => delivery::Lane::Events,
    }
}
