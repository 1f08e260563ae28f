//! Core NATS with its asynchronous client, as its documentation shows. `publish` writes into the
//! client's buffer, which the client sends by itself; a subscription is a stream. A slow subscriber
//! loses messages: the client drops those beyond its capacity of 65,536.

use std::sync::Arc;

use async_nats::{Client, ConnectOptions, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use mailmesh_contender::{Numbered, Purpose};

use super::{assign_incarnation, handle, presence_event};
use crate::Args;
use crate::error::ContenderError;
use crate::ledger::Ledger;

const SUBJECT: Subject = Subject::from_static("contender.events");

/// The publishing client and the address of its server.
#[derive(Clone)]
pub(crate) struct Outlet {
    client: Client,
    address: Arc<str>,
    ledger: Arc<Ledger>,
}

pub(crate) async fn start(args: &Args, ledger: &Arc<Ledger>) -> Result<Outlet, ContenderError> {
    let address: Arc<str> = args.config.as_str().into();
    let failed = |reason: String| ContenderError::Nats { address: address.to_string(), reason };
    // As for the other systems, a process does not receive its own events.
    let client = ConnectOptions::new().no_echo().connect(&*address).await;
    let client = client.map_err(|error| failed(error.to_string()))?;
    let subscriber = client.subscribe(SUBJECT).await.map_err(|error| failed(error.to_string()))?;
    let outlet = Outlet { client, address, ledger: ledger.clone() };
    // The server must have the subscription before others learn of this incarnation.
    outlet.flush().await?;
    assign_incarnation(ledger);
    outlet.publish(&presence_event(Purpose::Hello, ledger)).await?;
    tokio::spawn(read(subscriber, outlet.clone()));
    Ok(outlet)
}

async fn read(mut subscriber: Subscriber, outlet: Outlet) {
    while let Some(message) = subscriber.next().await {
        if let Some(event) = Numbered::decode(&message.payload)
            && let Some(answer) = handle(event, &outlet.ledger)
            && let Err(error) = outlet.publish(&answer).await
        {
            eprintln!("an echo was not published: {error}");
        }
        outlet.ledger.wait_between_reads().await;
    }
}

impl Outlet {
    fn failed(&self, reason: &impl ToString) -> ContenderError {
        ContenderError::Nats { address: self.address.to_string(), reason: reason.to_string() }
    }

    pub(crate) async fn publish(&self, event: &Numbered) -> Result<(), ContenderError> {
        let payload = Bytes::copy_from_slice(&event.encode());
        self.client.publish(SUBJECT, payload).await.map_err(|error| self.failed(&error))
    }

    pub(crate) async fn flush(&self) -> Result<(), ContenderError> {
        self.client.flush().await.map_err(|error| self.failed(&error))
    }

    pub(crate) async fn close(&self) {
        let bye = async {
            self.publish(&presence_event(Purpose::Bye, &self.ledger)).await?;
            self.flush().await
        };
        if let Err(error) = bye.await {
            eprintln!("the client did not leave in good order: {error}");
        }
    }
}
