//! A log filter that stops peers from flooding the log.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::time::{Duration, Instant};

use mailmesh_secrets::holds_secret;
use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// Lines that one call site may log in a [`WINDOW`].
const MAX_LINES: u32 = 3;
const WINDOW: Duration = Duration::from_secs(60);
/// Longest value in a line. Zenoh logs whole messages that it refuses, as 5 MB for 64 KiB.
const MAX_VALUE_BYTES: usize = 4 << 10;
/// Prefixes of the log targets that log data of strangers.
const BOUNDED_TARGETS: [&str; 3] = ["zenoh", "rustls", "tls_listener"];

/// Bounds the log lines that a peer can make Zenoh write: three lines a minute from each call site,
/// and none with a value longer than 4 KiB (Zenoh logs messages that it refuses). Without a bound,
/// anyone who can reach the port of a node could fill its disk. mailmesh bounds its own lines
/// itself.
///
/// The filter also drops lines that show secrets: at level `debug` Zenoh logs its configuration
/// with the link password, and endpoints with the keys in them. It drops lines of Zenoh's Unix
/// sockets, which warn of every normal connection.
///
/// ```
/// use tracing_subscriber::prelude::*;
///
/// let lines = tracing_subscriber::fmt::layer().fmt_fields(mailmesh::PrintableFields);
/// tracing_subscriber::registry().with(lines.with_filter(mailmesh::BoundedLog::new())).init();
/// ```
#[derive(Debug, Default)]
pub struct BoundedLog {
    /// Bounded by the number of call sites in the program.
    call_sites: Mutex<HashMap<Identifier, CallSite>>,
}

#[derive(Debug)]
struct CallSite {
    since: Instant,
    lines: u32,
}

impl BoundedLog {
    /// A filter with an unused budget for every call site.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lets_through(&self, metadata: &Metadata<'_>, now: Instant) -> bool {
        if !is_bounded(metadata) {
            return true;
        }
        if metadata.target() == "zenoh::api::session" && *metadata.level() > tracing::Level::INFO {
            return false;
        }
        // Zenoh warns of each connection that it makes to the gate, because its socket has no name.
        if metadata.target() == "zenoh_link_unixsock_stream::unicast" {
            return false;
        }
        let mut call_sites = self.call_sites.lock();
        let call_site =
            call_sites.entry(metadata.callsite()).or_insert(CallSite { since: now, lines: 0 });
        if now.duration_since(call_site.since) >= WINDOW {
            *call_site = CallSite { since: now, lines: 0 };
        }
        call_site.lines = call_site.lines.saturating_add(1);
        call_site.lines <= MAX_LINES
    }
}

fn is_bounded(metadata: &Metadata<'_>) -> bool {
    BOUNDED_TARGETS.iter().any(|target| metadata.target().starts_with(target))
}

/// Whether a line is short and contains no secret.
fn is_loggable(event: &Event<'_>) -> bool {
    struct Finder(bool);
    impl Visit for Finder {
        fn record_debug(&mut self, _field: &Field, value: &dyn fmt::Debug) {
            let mut text = BoundedText(String::new());
            self.0 &= write!(text, "{value:?}").is_ok() && !holds_secret(&text.0);
        }
    }
    let mut finder = Finder(true);
    event.record(&mut finder);
    finder.0
}

/// Writer that fails once the text is longer than [`MAX_VALUE_BYTES`].
struct BoundedText(String);

impl Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_VALUE_BYTES {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

impl<S> Filter<S> for BoundedLog {
    fn enabled(&self, _metadata: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _context: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        self.lets_through(metadata, Instant::now()) && (!is_bounded(metadata) || is_loggable(event))
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::prelude::*;

    use super::*;
    use crate::test_log::Lines;

    #[test]
    fn a_flood_of_zenoh_lines_is_cut_to_three_and_other_lines_pass() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(BoundedLog::new()));
        tracing::subscriber::with_default(subscriber, || {
            for n in 0..1_000 {
                tracing::error!(target: "zenoh_transport::unicast", n, "from the link");
                tracing::warn!(target: "zenoh::net", n, "from another place");
                tracing::debug!(target: "zenoh::api::session", "Config: password");
                let to = "tls/a:1#connect_private_key_base64=LS0tLS1CRUdJTg==";
                tracing::warn!(target: "zenoh::net", "Unable to connect to {to}");
                tracing::warn!(target: "zenoh::net", to, "refused");
                tracing::error!(target: "zenoh::net", "a message: {:?}", [n; 4_000]);
                tracing::warn!(target: "zenoh::net", "[45, 45, 45, 45, 45, 66]");
                if n < 10 {
                    tracing::info!(target: "mailmesh", n, "ours");
                }
            }
        });
        let lines = lines.text();
        let count = |word: &str| lines.matches(word).count();
        assert_eq!([count("from the link"), count("from another"), count("ours")], [3, 3, 10]);
        assert_eq!([count("password"), count("base64"), count("45, 45"), count("refused")], [0; 4]);
        assert_eq!(count("a message"), 0, "too long");
    }

    #[test]
    fn a_call_site_may_log_again_after_a_minute() {
        let log = BoundedLog::new();
        let now = Instant::now();
        let metadata = {
            struct Site;
            impl tracing::callsite::Callsite for Site {
                fn set_interest(&self, _: tracing::subscriber::Interest) {}
                fn metadata(&self) -> &Metadata<'_> {
                    &METADATA
                }
            }
            static SITE: Site = Site;
            static METADATA: Metadata<'static> = tracing::metadata! {
                name: "x",
                target: "zenoh",
                level: tracing::Level::WARN,
                fields: &[],
                callsite: &SITE,
                kind: tracing::metadata::Kind::EVENT
            };
            &METADATA
        };
        let through = |at| (0..10).filter(|_| log.lets_through(metadata, at)).count();
        assert_eq!(through(now), 3);
        assert_eq!(through(now + WINDOW / 2), 0);
        assert_eq!(through(now + WINDOW), 3);
    }
}
