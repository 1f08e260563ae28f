//! The systems compared, each as an application would use it.

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

/// What a process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum System {
    /// The facade, sealed.
    Mailmesh,
    /// The facade, of an open mesh.
    MailmeshOpen,
    /// The facade, sealed, over links that do not prove the key.
    MailmeshUnproven,
    /// The facade, sealed, over links that prove the key by Zenoh's challenge.
    MailmeshChallenge,
    /// The facade, sealed, over links that are not sealed themselves.
    MailmeshGate,
    /// A publisher and a subscriber of Zenoh.
    Zenoh,
    /// An advanced publisher and subscriber of zenoh-ext.
    #[cfg(feature = "zenoh-ext")]
    ZenohExt,
    /// A connection between two processes and nothing else: the floor.
    Tcp,
    /// Core NATS, by its asynchronous client.
    #[cfg(feature = "rivals")]
    Nats,
    /// Redis pub/sub, pipelined.
    #[cfg(feature = "rivals")]
    Redis,
}

impl System {
    /// Whether it is mailmesh, of whatever protection.
    pub(crate) fn is_mailmesh(self) -> bool {
        self.links().is_some()
    }

    /// What `mesh.links` is; `None` for other systems than mailmesh.
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

/// Where events go.
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

/// Starts a system; what comes is written to `ledger`.
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

/// Counts what came. What is to be sent back.
pub(crate) fn handle(event: Numbered, ledger: &Ledger) -> Option<Numbered> {
    match event.purpose {
        Purpose::Count => ledger.event(&event),
        Purpose::Echo => ledger.echo(&event),
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

/// An event that only says of this life that it is there, or leaves.
pub(crate) fn presence_event(purpose: Purpose, ledger: &Ledger) -> Numbered {
    Numbered {
        purpose,
        incarnation: ledger.incarnation.load(Ordering::Relaxed),
        number: 0,
        sent: now_ns(),
    }
}

/// Names this life, of a system that has no names for lives.
pub(crate) fn assign_incarnation(ledger: &Ledger) -> u64 {
    let incarnation = (u64::from(std::process::id()) << 40) ^ now_ns();
    ledger.incarnation.store(incarnation, Ordering::Relaxed);
    incarnation
}

impl Outlet {
    /// Publishes an event; waits as the system makes a publisher wait.
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

    /// Sends what a publisher has put aside to be sent together.
    pub(crate) async fn flush(&self) -> Result<(), ContenderError> {
        match self {
            Self::Tcp(outlet) => outlet.flush(),
            #[cfg(feature = "rivals")]
            Self::Nats(outlet) => outlet.flush().await,
            #[cfg(feature = "rivals")]
            Self::Redis(outlet) => outlet.flush(),
            // They send by themselves.
            _ => Ok(()),
        }
    }

    fn ours(&self) -> Option<&mailmesh::Outlet> {
        match self {
            Self::Mailmesh(outlet) => Some(outlet),
            _ => None,
        }
    }

    /// The refused ones.
    pub(crate) fn refused(&self) -> u64 {
        self.ours().map_or(0, mailmesh::Outlet::refused)
    }

    /// Frames that it sent again.
    pub(crate) fn retransmitted_frames(&self) -> u64 {
        self.ours().map_or(0, mailmesh::Outlet::retransmitted_frames)
    }

    /// Entries of its mirror.
    pub(crate) fn entries(&self) -> u64 {
        self.ours().map_or(0, mailmesh::Outlet::entries)
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
