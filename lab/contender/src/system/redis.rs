//! Redis pub/sub with its synchronous client: `PUBLISH` in pipelines, as its documentation shows
//! for many commands, and a second connection that reads. Each process publishes on its own
//! channel, because Redis also delivers a message to the process that published it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mailmesh_contender::{Numbered, Purpose};
use redis::{Client, Connection, Pipeline, PubSub};

use super::{assign_incarnation, handle, presence_event};
use crate::Args;
use crate::error::ContenderError;
use crate::ledger::Ledger;

/// Maximum number of commands in a pipeline.
const PIPELINED: usize = 1_000;
/// The channel on which processes announce themselves.
const HELLO: &str = "contender:hello";

/// The publishing connection.
#[derive(Clone)]
pub(crate) struct Outlet {
    publisher: Arc<Mutex<Publisher>>,
    channel: Arc<str>,
    ledger: Arc<Ledger>,
}

struct Publisher {
    connection: Connection,
    pipeline: Pipeline,
}

pub(crate) fn start(args: &Args, ledger: &Arc<Ledger>) -> Result<Outlet, ContenderError> {
    let client = Client::open(format!("redis://{}/", args.config))?;
    let (connection, reader) = (client.get_connection()?, client.get_connection()?);
    let incarnation = assign_incarnation(ledger);
    let publisher = Publisher { connection, pipeline: Pipeline::with_capacity(PIPELINED) };
    let outlet = Outlet {
        publisher: Arc::new(Mutex::new(publisher)),
        channel: channel(incarnation).into(),
        ledger: ledger.clone(),
    };
    let reading = outlet.clone();
    std::thread::spawn(move || {
        if let Err(error) = read(reader, &reading) {
            eprintln!("reading ended: {error}");
        }
        reading.ledger.remove_all_members();
    });
    Ok(outlet)
}

fn channel(incarnation: u64) -> String {
    format!("contender:events:{incarnation:016x}")
}

fn read(mut connection: Connection, outlet: &Outlet) -> Result<(), ContenderError> {
    let mut subscriptions = connection.as_pubsub();
    subscriptions.subscribe(HELLO)?;
    outlet.publish(&presence_event(Purpose::Hello, &outlet.ledger))?;
    loop {
        let message = subscriptions.get_message()?;
        if let Some(event) = Numbered::decode(message.get_payload_bytes())
            && let Some(answer) = receive(event, &mut subscriptions, outlet)?
        {
            outlet.publish(&answer)?;
        }
        outlet.ledger.block_between_reads();
    }
}

/// Handles an event. For a new process it first subscribes to that process's channel.
fn receive(
    event: Numbered,
    subscriptions: &mut PubSub<'_>,
    outlet: &Outlet,
) -> Result<Option<Numbered>, ContenderError> {
    let is_other = event.incarnation != outlet.ledger.incarnation.load(Ordering::Relaxed);
    if event.purpose == Purpose::Hello && is_other {
        subscriptions.subscribe(channel(event.incarnation))?;
    }
    Ok(handle(event, &outlet.ledger))
}

impl Outlet {
    fn publisher(&self) -> MutexGuard<'_, Publisher> {
        self.publisher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn publish(&self, event: &Numbered) -> Result<(), ContenderError> {
        let channel = if event.purpose == Purpose::Hello { HELLO } else { &*self.channel };
        let mut publisher = self.publisher();
        publisher.pipeline.cmd("PUBLISH").arg(channel).arg(&event.encode()).ignore();
        if publisher.pipeline.len() >= PIPELINED || event.purpose != Purpose::Count {
            publisher.send()?;
        }
        Ok(())
    }

    pub(crate) fn flush(&self) -> Result<(), ContenderError> {
        Ok(self.publisher().send()?)
    }

    pub(crate) fn close(&self) {
        if let Err(error) = self.publish(&presence_event(Purpose::Bye, &self.ledger)) {
            eprintln!("the client did not leave in good order: {error}");
        }
    }
}

impl Publisher {
    fn send(&mut self) -> redis::RedisResult<()> {
        if !self.pipeline.is_empty() {
            self.pipeline.exec(&mut self.connection)?;
            self.pipeline.clear();
        }
        Ok(())
    }
}
