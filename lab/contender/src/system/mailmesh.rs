//! mailmesh through its facade, sealed with a cluster key unless `--system mailmesh-open`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use mailmesh::{
    ClusterKey, Coordinator, Custom, Event, Filter, Inbox, Incarnation, Incoming, Keyring, Kind,
    Node,
};
use mailmesh_contender::Numbered;

use crate::Args;
use crate::error::ContenderError;
use crate::ledger::Ledger;
use crate::system::{System, handle};

/// The key is public: the measure is the cost of sealing.
const KEY: [u8; 32] = [0x6d; 32];
/// The second key, which `--retire-second` retires.
const SECOND: [u8; 32] = [0x72; 32];

/// A node that publishes `Custom` events.
pub(crate) struct Outlet {
    node: Node,
    kind: Arc<str>,
}

pub(crate) async fn start(args: &Args, ledger: &Arc<Ledger>) -> Result<Outlet, ContenderError> {
    let links = args.system.links();
    let config = serde_json::json!({
        "@type": "Zenoh", "config": args.config, "mesh": { "links": links, "open": true }
    });
    let coordinator = Coordinator::parse(&config.to_string())?;
    let mut builder = Node::builder().name(&args.name).coordinator(coordinator);
    if args.system != System::MailmeshOpen {
        let mut keys = Keyring::new(ClusterKey::from_bytes(&KEY));
        if args.retire_second {
            keys.add(ClusterKey::from_bytes(&SECOND)).map_err(mailmesh::KeyError::from)?;
        }
        builder = builder.keyring(keys, None);
    }
    let node = builder.start().await?;
    if args.retire_second {
        let second = ClusterKey::from_bytes(&SECOND).id(&node.status().cluster);
        node.keys().retire(second).here().await?;
    }
    ledger.incarnation.store(incarnation(node.incarnation()), Ordering::Relaxed);
    let inbox = node.inbox(Filter::kinds([Kind::Custom])?);
    // Members that joined before the inbox existed.
    for member in node.members() {
        ledger.set_member(incarnation(member.incarnation), true);
    }
    let reader = Outlet { node, kind: "load".into() };
    let outlet = Outlet { node: reader.node.clone(), kind: reader.kind.clone() };
    tokio::spawn(read(inbox, reader, ledger.clone()));
    Ok(outlet)
}

/// The incarnation of a node, as a number.
fn incarnation(incarnation: Incarnation) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = incarnation.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

async fn read(mut inbox: Inbox, outlet: Outlet, ledger: Arc<Ledger>) {
    while let Some(incoming) = inbox.recv().await {
        match incoming {
            Incoming::Event(received) => {
                let Event::Custom(custom) = &received.event else { continue };
                let Some(event) = Numbered::decode(custom.payload()) else { continue };
                if let Some(echo) = handle(event, &ledger)
                    && let Err(error) = outlet.publish(&echo).await
                {
                    eprintln!("an echo was not published: {error}");
                }
            }
            Incoming::Gap(gap) => {
                ledger.report_missing(incarnation(gap.from.incarnation), gap.missed)
            }
            Incoming::Joined(member) => {
                ledger.set_member(incarnation(member.incarnation), true);
            }
            Incoming::Left { member, .. } => {
                ledger.set_member(incarnation(member.incarnation), false);
            }
            _ => {}
        }
        ledger.wait_between_reads().await;
    }
}

impl Outlet {
    pub(crate) async fn publish(&self, event: &Numbered) -> Result<(), ContenderError> {
        let payload = Bytes::copy_from_slice(&event.encode());
        Ok(self.node.publish(Custom::new(self.kind.clone(), payload)?).await?)
    }

    pub(crate) fn refused(&self) -> u64 {
        let status = self.node.status();
        let frames = status.refused;
        let frames = frames.not_authentic
            + frames.not_sealed
            + frames.not_tried
            + frames.other_version
            + frames.malformed
            + frames.pushes;
        let delivery = status.counters.delivery;
        let messages = delivery.replays_rejected
            + delivery.malformed
            + delivery.duplicates
            + delivery.unknown_sender
            + delivery.too_many_peers
            + delivery.unproven_introductions
            + delivery.misdirected
            + delivery.admissions_deferred;
        frames + messages + status.mirror_refused + status.mirror_ahead
    }

    pub(crate) fn retransmitted_frames(&self) -> u64 {
        self.node.status().counters.delivery.retransmitted_frames
    }

    pub(crate) fn entries(&self) -> u64 {
        self.node.status().mirror_entries
    }

    pub(crate) async fn close(&self) {
        self.node.shutdown().await;
    }
}
