//! The systems of the comparison, each used as an application would use it.

mod mailmesh;
#[cfg(feature = "rivals")]
mod nats;
#[cfg(feature = "rivals")]
mod redis;
mod tcp;
mod zenoh;
#[cfg(feature = "zenoh-ext")]
mod zenoh_ext;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use clap::ValueEnum;
use mailmesh_contender::{Numbered, Purpose, now_ns};

use crate::Args;
use crate::error::ContenderError;
use crate::ledger::Ledger;

/// The system that a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum System {
    /// mailmesh, with sealed frames and links.
    Mailmesh,
    /// mailmesh without a cluster key.
    MailmeshOpen,
    /// mailmesh, with sealed frames over links that do not prove the key.
    MailmeshUnproven,
    /// mailmesh, with sealed frames over links that prove the key by Zenoh's challenge.
    MailmeshChallenge,
    /// mailmesh, with sealed frames over links that prove the key at the gate and are not sealed.
    MailmeshGate,
    /// A publisher and a subscriber of Zenoh.
    Zenoh,
    /// An advanced publisher and subscriber of zenoh-ext.
    #[cfg(feature = "zenoh-ext")]
    ZenohExt,
    /// Raw TCP between two processes: the floor.
    Tcp,
    /// Core NATS, by its asynchronous client.
    #[cfg(feature = "rivals")]
    Nats,
    /// Redis pub/sub, pipelined.
    #[cfg(feature = "rivals")]
    Redis,
}

impl System {
    /// Whether the system is mailmesh, with any protection.
    pub(crate) fn is_mailmesh(self) -> bool {
        self.links().is_some()
    }

    /// The value of `mesh.links`; `None` for other systems than mailmesh.
    pub(crate) fn links(self) -> Option<&'static str> {
        match self {
            Self::Mailmesh => Some("sealed"),
            Self::MailmeshOpen | Self::MailmeshUnproven => Some("unproven"),
            Self::MailmeshChallenge => Some("challenge"),
            Self::MailmeshGate => Some("gate"),
            _ => None,
        }
    }
}

/// The publishing side of a running system.
pub(crate) enum Outlet {
    Mailmesh(mailmesh::Outlet),
    Zenoh(Box<zenoh::Outlet>),
    #[cfg(feature = "zenoh-ext")]
    ZenohExt(Box<zenoh_ext::Outlet>),
    Tcp(tcp::Outlet),
    #[cfg(feature = "rivals")]
    Nats(nats::Outlet),
    #[cfg(feature = "rivals")]
    Redis(redis::Outlet),
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outlet").finish_non_exhaustive()
    }
}

/// Starts a system, which counts received events in `ledger`.
pub(crate) async fn start(args: &Args, ledger: &Arc<Ledger>) -> Result<Outlet, ContenderError> {
    Ok(match args.system {
        System::Zenoh => Outlet::Zenoh(Box::new(zenoh::start(args, ledger).await?)),
        #[cfg(feature = "zenoh-ext")]
        System::ZenohExt => Outlet::ZenohExt(Box::new(zenoh_ext::start(args, ledger).await?)),
        System::Tcp => Outlet::Tcp(tcp::start(args, ledger).await?),
        #[cfg(feature = "rivals")]
        System::Nats => Outlet::Nats(nats::start(args, ledger).await?),
        #[cfg(feature = "rivals")]
        System::Redis => Outlet::Redis(redis::start(args, ledger)?),
        _ => Outlet::Mailmesh(mailmesh::start(args, ledger).await?),
    })
}

/// Handles a received event. Returns the event to send back, if any.
pub(crate) fn handle(event: Numbered, ledger: &Ledger) -> Option<Numbered> {
    match event.purpose {
        Purpose::Count => ledger.count_event(&event),
        Purpose::Echo => ledger.record_echo(&event),
        Purpose::Ping => return Some(Numbered { purpose: Purpose::Echo, ..event }),
        Purpose::Hello => {
            let own = ledger.incarnation.load(Ordering::Relaxed);
            return (event.incarnation != own && ledger.set_member(event.incarnation, true))
                .then(|| presence_event(Purpose::Hello, ledger));
        }
        Purpose::Bye => {
            ledger.set_member(event.incarnation, false);
        }
    }
    None
}

/// An event that announces that this incarnation joins or leaves.
pub(crate) fn presence_event(purpose: Purpose, ledger: &Ledger) -> Numbered {
    Numbered {
        purpose,
        incarnation: ledger.incarnation.load(Ordering::Relaxed),
        number: 0,
        sent: now_ns(),
    }
}

/// Draws a number for this incarnation, for systems that have none.
pub(crate) fn assign_incarnation(ledger: &Ledger) -> u64 {
    let incarnation = (u64::from(std::process::id()) << 40) ^ now_ns();
    ledger.incarnation.store(incarnation, Ordering::Relaxed);
    incarnation
}

impl Outlet {
    /// Publishes an event, and waits where the system blocks a publisher.
    pub(crate) async fn publish(&self, event: &Numbered) -> Result<(), ContenderError> {
        match self {
            Self::Mailmesh(outlet) => outlet.publish(event).await,
            Self::Zenoh(outlet) => outlet.publish(event).await,
            #[cfg(feature = "zenoh-ext")]
            Self::ZenohExt(outlet) => outlet.publish(event).await,
            Self::Tcp(outlet) => outlet.publish(event),
            #[cfg(feature = "rivals")]
            Self::Nats(outlet) => outlet.publish(event).await,
            #[cfg(feature = "rivals")]
            Self::Redis(outlet) => outlet.publish(event),
        }
    }

    /// Sends the events that a client has buffered.
    pub(crate) async fn flush(&self) -> Result<(), ContenderError> {
        match self {
            Self::Tcp(outlet) => outlet.flush(),
            #[cfg(feature = "rivals")]
            Self::Nats(outlet) => outlet.flush().await,
            #[cfg(feature = "rivals")]
            Self::Redis(outlet) => outlet.flush(),
            // These systems send without a flush.
            _ => Ok(()),
        }
    }

    fn mailmesh_outlet(&self) -> Option<&mailmesh::Outlet> {
        match self {
            Self::Mailmesh(outlet) => Some(outlet),
            _ => None,
        }
    }

    /// Frames, messages and changes that mailmesh refused; 0 for other systems.
    pub(crate) fn refused(&self) -> u64 {
        self.mailmesh_outlet().map_or(0, mailmesh::Outlet::refused)
    }

    /// Frames that mailmesh retransmitted; 0 for other systems.
    pub(crate) fn retransmitted_frames(&self) -> u64 {
        self.mailmesh_outlet().map_or(0, mailmesh::Outlet::retransmitted_frames)
    }

    /// Entries of the mirror; 0 for other systems than mailmesh.
    pub(crate) fn entries(&self) -> u64 {
        self.mailmesh_outlet().map_or(0, mailmesh::Outlet::entries)
    }

    /// Leaves in good order.
    pub(crate) async fn close(&self) {
        match self {
            Self::Mailmesh(outlet) => outlet.close().await,
            Self::Zenoh(outlet) => outlet.close().await,
            #[cfg(feature = "zenoh-ext")]
            Self::ZenohExt(outlet) => outlet.close().await,
            Self::Tcp(outlet) => outlet.close(),
            #[cfg(feature = "rivals")]
            Self::Nats(outlet) => outlet.close().await,
            #[cfg(feature = "rivals")]
            Self::Redis(outlet) => outlet.close(),
        }
    }
}
