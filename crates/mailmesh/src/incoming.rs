//! The entries that a reader takes from an inbox.

use std::fmt;
use std::sync::Arc;

use mailmesh_delivery::NodeName;
use mailmesh_events::{Event, Lane};
use serde::Serialize;

use crate::members::{Member, MemberRef};

/// An event of another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Received {
    /// The sender.
    pub from: MemberRef,
    /// The lane that carried the event.
    pub lane: Lane,
    /// Sequence number of the event in the sender's lane. In the urgent lane, changes of the mirror
    /// are numbered too.
    pub number: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// Events of a sender that this inbox will never receive. Data that the application derived from
/// events of `from` may be stale and must be dropped.
///
/// In the urgent lane some of the events may have been changes of the mirror. The mirror gets these
/// by reconciliation, and the watches report them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The sender.
    pub from: MemberRef,
    /// The lane.
    pub lane: Lane,
    /// Number of missed events.
    pub missed: u64,
    /// Why the events are missing.
    pub reason: GapReason,
}

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GapReason {
    /// Lost in transit, and no node could retransmit them.
    Lost,
    /// Sent while the sender was unreachable.
    Unreachable,
    /// Received, but not decodable.
    Malformed,
    /// Received, but this inbox was full.
    SlowConsumer,
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost in transit",
            Self::Unreachable => "sent while the member was unreachable",
            Self::Malformed => "not decodable",
            Self::SlowConsumer => "this inbox was full",
        })
    }
}

/// Why a member left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LeaveReason {
    /// The member said goodbye.
    Bye,
    /// The failure detector found the member failed.
    Failed,
    /// A new incarnation of the same name replaced the member.
    Replaced,
}

impl fmt::Display for LeaveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bye => "said goodbye",
            Self::Failed => "sent no heartbeat",
            Self::Replaced => "was restarted",
        })
    }
}

/// An entry of an [`Inbox`](crate::Inbox).
///
/// Changes of the mirror (blocks, certificates, values) are no entries of an inbox, because a node
/// receives some as events and others by reconciliation. The watches report all of them:
/// [`Blocks::watch`](crate::Blocks::watch), [`Certs::watch`](crate::Certs::watch),
/// [`Values::watch`](crate::Values::watch), [`Node::watch`](crate::Node::watch).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Incoming {
    /// An event of another node.
    Event(Arc<Received>),
    /// Stands in place of missed events.
    Gap(Gap),
    /// A node became a member.
    Joined(Member),
    /// A node is no longer a member. Everything received from it precedes this entry.
    Left {
        /// The former member.
        member: Member,
        /// Why it left.
        reason: LeaveReason,
    },
    /// Membership changes were dropped because the inbox was full: read
    /// [`Node::members`](crate::Node::members).
    MembersChanged,
    /// This node found two live nodes with the same name.
    DuplicateName {
        /// The name.
        name: NodeName,
    },
}

impl fmt::Display for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(received) => write!(f, "{}: {}", received.from.name, received.event),
            Self::Gap(gap) => write!(
                f,
                "{}: GAP of {} events in lane {} ({})",
                gap.from.name, gap.missed, gap.lane, gap.reason
            ),
            Self::Joined(member) => write!(f, "{} joined", member.name),
            Self::Left { member, reason } => write!(f, "{} left: it {reason}", member.name),
            Self::MembersChanged => f.write_str("membership changes were dropped"),
            Self::DuplicateName { name } => write!(f, "two live nodes are named {name}"),
        }
    }
}
