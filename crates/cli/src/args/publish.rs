//! Arguments of `publish`.

use clap::{Subcommand, ValueEnum};

#[derive(Debug, clap::Args)]
pub(crate) struct PublishArgs {
    /// Publish the event this number of times; each repetition of state-change and email-push has
    /// the next change id.
    #[arg(
        long,
        default_value_t = 1,
        global = true,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub(crate) count: u32,
    #[command(subcommand)]
    pub(crate) event: PublishEvent,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PublishEvent {
    /// The state of an account changed.
    StateChange {
        /// Account id.
        #[arg(long)]
        account: u32,
        /// Id of the newest change of the account.
        #[arg(long)]
        change: u64,
        /// JMAP data type that changed, such as Email (repeatable).
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
    },
    /// An e-mail arrived that clients want pushed.
    EmailPush {
        /// Account id.
        #[arg(long)]
        account: u32,
        /// E-mail id.
        #[arg(long)]
        email: u32,
        /// Id of the change that added the e-mail.
        #[arg(long)]
        change: u64,
        /// Time of receipt, in milliseconds since 1970 (UTC).
        #[arg(long, default_value_t = 0)]
        received: u64,
        /// Size in bytes.
        #[arg(long, default_value_t = 0)]
        size: u32,
        /// Id of a mailbox that has the e-mail (repeatable).
        #[arg(long = "mailbox", value_name = "ID")]
        mailboxes: Vec<u32>,
    },
    /// A calendar alert is due.
    CalendarAlert {
        /// Account id.
        #[arg(long)]
        account: u32,
        /// Calendar event id.
        #[arg(long)]
        event: u32,
        /// Id of the alert within the calendar event.
        #[arg(long)]
        alert: u16,
        /// Due time, in milliseconds since 1970 (UTC).
        #[arg(long)]
        due: u64,
    },
    /// A push subscription changed.
    PushSubscription {
        /// Account id.
        #[arg(long)]
        account: u32,
        /// Subscription id.
        #[arg(long)]
        subscription: u32,
        /// Type of the change.
        #[arg(long)]
        change: SubscriptionArg,
    },
    /// Entries of a cache are stale.
    Cache {
        /// Name of the cache, such as domain, or the number of a cache without a name here.
        cache: String,
        /// Id of an entry to drop (repeatable).
        #[arg(long = "id", conflicts_with_all = ["negative", "all"])]
        ids: Vec<u64>,
        /// Drop the negative entries ("there is no such object").
        #[arg(long, conflicts_with = "all")]
        negative: bool,
        /// Drop all entries.
        #[arg(long)]
        all: bool,
    },
    /// The registry (the server's configuration store) changed.
    #[command(subcommand)]
    Registry(RegistryArg),
    /// A signal to the message queues of the other nodes.
    Queue {
        /// The signal.
        signal: QueueArg,
    },
    /// An event of another program that uses mailmesh.
    Custom {
        /// Kind of the event, such as acme.greylist; at most 64 bytes.
        kind: String,
        /// Payload as text, at most 192 KiB.
        payload: String,
    },
    /// An event as JSON. Use `block` and `cert` to change blocks and certificates.
    Json {
        /// {"kind": ..., "event": ...}, or a whole line of `watch --json`.
        event: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SubscriptionArg {
    Created,
    Updated,
    Removed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum QueueArg {
    /// New messages may be due.
    Refresh,
    /// Delivery is paused.
    Paused,
    /// Delivery is resumed.
    Resumed,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegistryArg {
    /// An object was inserted or replaced.
    Insert {
        /// Type of the object, as the server numbers types.
        object_type: u16,
        /// Object id.
        id: u64,
    },
    /// An object was deleted.
    Delete {
        /// Type of the object, as the server numbers types.
        object_type: u16,
        /// Object id.
        id: u64,
    },
    /// The server must read objects again.
    Reload {
        /// Type of the objects, as the server numbers types [default: all types].
        object_type: Option<u16>,
    },
}
