//! Arguments of `publish`.

use clap::{Subcommand, ValueEnum};

#[derive(Debug, clap::Args)]
pub(crate) struct PublishArgs {
    /// Publish it this many times; the change ids of state-change and email-push
    /// count up.
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
    /// The state of an account moved on.
    StateChange {
        /// Whose account.
        #[arg(long)]
        account: u32,
        /// Newest change of the account.
        #[arg(long)]
        change: u64,
        /// JMAP data type that changed, such as Email; may be given again.
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
    },
    /// An e-mail is to be pushed.
    EmailPush {
        /// Whose account.
        #[arg(long)]
        account: u32,
        /// Which e-mail.
        #[arg(long)]
        email: u32,
        /// Newest change of the account.
        #[arg(long)]
        change: u64,
        /// When it was received, in milliseconds since 1970.
        #[arg(long, default_value_t = 0)]
        received: u64,
        /// In bytes.
        #[arg(long, default_value_t = 0)]
        size: u32,
        /// Mailbox it is in; may be given again.
        #[arg(long = "mailbox", value_name = "ID")]
        mailboxes: Vec<u32>,
    },
    /// A calendar alert is due.
    CalendarAlert {
        /// Whose account.
        #[arg(long)]
        account: u32,
        /// Which calendar event.
        #[arg(long)]
        event: u32,
        /// Which of its alerts.
        #[arg(long)]
        alert: u16,
        /// When it is due, in milliseconds since 1970.
        #[arg(long)]
        due: u64,
    },
    /// A push subscription changed.
    PushSubscription {
        /// Whose account.
        #[arg(long)]
        account: u32,
        /// Which subscription.
        #[arg(long)]
        subscription: u32,
        /// How it changed.
        #[arg(long)]
        change: SubscriptionArg,
    },
    /// A cache is stale.
    Cache {
        /// Which cache, such as domain, or the number of one that has no name here.
        cache: String,
        /// Entry to drop; may be given again.
        #[arg(long = "id", conflicts_with_all = ["negative", "all"])]
        ids: Vec<u64>,
        /// Drop the entries that say "there is no such thing".
        #[arg(long, conflicts_with = "all")]
        negative: bool,
        /// Drop everything.
        #[arg(long)]
        all: bool,
    },
    /// The registry changed.
    #[command(subcommand)]
    Registry(RegistryArg),
    /// A signal to the queues.
    Queue {
        /// Which.
        signal: QueueArg,
    },
    /// An event of a downstream crate.
    Custom {
        /// Its kind.
        kind: String,
        /// Its payload, as text.
        payload: String,
    },
    /// An event as JSON; changes of the mirror are made with `block` and `cert`.
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
    Refresh,
    Paused,
    Resumed,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegistryArg {
    /// An object was inserted or replaced.
    Insert {
        /// Type of the object, the server's number for it.
        object_type: u16,
        /// The object.
        id: u64,
    },
    /// An object was deleted.
    Delete {
        /// Type of the object, the server's number for it.
        object_type: u16,
        /// The object.
        id: u64,
    },
    /// Objects of a type (of all, without one) should be read again.
    Reload {
        /// Type of the objects, the server's number for it.
        object_type: Option<u16>,
    },
}
