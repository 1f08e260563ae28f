//! The systems compared, each as an application would use it.

mod mailmesh;
mod zenoh;
#[cfg(feature = "zenoh-ext")]
mod zenoh_ext;

use std::sync::Arc;

use clap::ValueEnum;
use mailmesh_contender::Numbered;

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
            Self::Zenoh => None,
            #[cfg(feature = "zenoh-ext")]
            Self::ZenohExt => None,
        }
    }
}

/// Where events go.
pub(crate) enum Outlet {
    Mailmesh(mailmesh::Outlet),
    Zenoh(zenoh::Outlet),
    #[cfg(feature = "zenoh-ext")]
    ZenohExt(zenoh_ext::Outlet),
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Mailmesh(_) => "Mailmesh",
            Self::Zenoh(_) => "Zenoh",
            #[cfg(feature = "zenoh-ext")]
            Self::ZenohExt(_) => "ZenohExt",
        })
    }
}

/// Starts a system; what comes is written to `ledger`.
pub(crate) async fn start(args: &Args, ledger: &Arc<Ledger>) -> Result<Outlet, ContenderError> {
    Ok(match args.system {
        system if system.is_mailmesh() => Outlet::Mailmesh(mailmesh::start(args, ledger).await?),
        #[cfg(feature = "zenoh-ext")]
        System::ZenohExt => Outlet::ZenohExt(zenoh_ext::start(args, ledger).await?),
        _ => Outlet::Zenoh(zenoh::start(args, ledger).await?),
    })
}

impl Outlet {
    /// Publishes an event; waits as the system makes a publisher wait.
    pub(crate) async fn publish(&self, event: &Numbered) -> Result<(), ContenderError> {
        match self {
            Self::Mailmesh(outlet) => outlet.publish(event).await,
            Self::Zenoh(outlet) => outlet.publish(event).await,
            #[cfg(feature = "zenoh-ext")]
            Self::ZenohExt(outlet) => outlet.publish(event).await,
        }
    }

    /// What it refused.
    pub(crate) fn refused(&self) -> u64 {
        match self {
            Self::Mailmesh(outlet) => outlet.refused(),
            Self::Zenoh(_) => 0,
            #[cfg(feature = "zenoh-ext")]
            Self::ZenohExt(_) => 0,
        }
    }

    /// Frames that it sent again.
    pub(crate) fn sent_again(&self) -> u64 {
        match self {
            Self::Mailmesh(outlet) => outlet.sent_again(),
            Self::Zenoh(_) => 0,
            #[cfg(feature = "zenoh-ext")]
            Self::ZenohExt(_) => 0,
        }
    }

    /// Entries of its mirror.
    pub(crate) fn entries(&self) -> u64 {
        match self {
            Self::Mailmesh(outlet) => outlet.entries(),
            Self::Zenoh(_) => 0,
            #[cfg(feature = "zenoh-ext")]
            Self::ZenohExt(_) => 0,
        }
    }

    /// Leaves in good order.
    pub(crate) async fn close(&self) {
        match self {
            Self::Mailmesh(outlet) => outlet.close().await,
            Self::Zenoh(outlet) => outlet.close().await,
            #[cfg(feature = "zenoh-ext")]
            Self::ZenohExt(outlet) => outlet.close().await,
        }
    }
}
