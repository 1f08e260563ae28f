use std::fmt;
use std::sync::Arc;

use mailmesh_delivery::{Incarnation, NodeName};
use mailmesh_events::{Change, Event, Lane};
use serde::{Serialize, Serializer};

use crate::Member;

/// A member, by name and life.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct MemberRef {
    /// Its name.
    pub name: NodeName,
    /// Its life.
    #[serde(serialize_with = "as_text")]
    pub incarnation: Incarnation,
}

pub(crate) fn as_text<T: fmt::Display, S: Serializer>(value: &T, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(value)
}

/// An event that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Received {
    /// Its sender.
    pub from: MemberRef,
    /// Its lane.
    pub lane: Lane,
    /// Its number in the lane of the sender.
    pub number: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// Events that will not come. What this node cached of what `from` tells may be
/// stale: drop it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The sender.
    pub from: MemberRef,
    /// The lane.
    pub lane: Lane,
    /// How many events.
    pub missed: u64,
    /// Why.
    pub reason: GapReason,
}

/// Why events will not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GapReason {
    /// Lost on the way.
    Lost,
    /// Sent while the member was out of reach.
    Unreachable,
    /// They came, but could not be read.
    Malformed,
    /// They came, but this inbox was full.
    SlowConsumer,
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost on the way",
            Self::Unreachable => "sent while it was out of reach",
            Self::Malformed => "not readable",
            Self::SlowConsumer => "this inbox was full",
        })
    }
}

/// Why a member left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LeaveReason {
    /// It said so.
    Bye,
    /// It gave no sign of life.
    Failed,
    /// A new life of the same name took its place.
    Replaced,
}

impl fmt::Display for LeaveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bye => "said goodbye",
            Self::Failed => "gave no sign of life",
            Self::Replaced => "was restarted",
        })
    }
}

/// What an [`Inbox`](crate::Inbox) gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Incoming {
    /// An event of another node.
    Event(Arc<Received>),
    /// In place of events that will not come.
    Gap(Gap),
    /// A node takes part.
    Joined(Member),
    /// A node no longer takes part; everything from it came before.
    Left {
        /// Who.
        member: Member,
        /// Why.
        reason: LeaveReason,
    },
    /// The mirror learnt of a change by reconciliation, not by an event.
    #[serde(serialize_with = "as_event")]
    Synced(Change),
    /// Notices of members joining or leaving did not fit: ask
    /// [`Node::members`](crate::Node::members).
    MembersChanged,
    /// This node found that two live nodes have one name.
    DuplicateName {
        /// The name.
        name: NodeName,
    },
}

fn as_event<S: Serializer>(change: &Change, serializer: S) -> Result<S::Ok, S::Error> {
    Event::from(change.clone()).serialize(serializer)
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
            Self::Synced(change) => write!(f, "mirror: {change}"),
            Self::MembersChanged => f.write_str("members joined or left meanwhile"),
            Self::DuplicateName { name } => write!(f, "two live nodes are named {name}"),
        }
    }
}
