//! What happens in the demo, step by step. A step is done when the *other*
//! processes were seen to know of it; its time is measured until then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use mailmesh::{
    AccountId, AlertId, CacheInvalidation, CacheKind, CalendarAlert, CalendarEventId, ChangeId,
    Custom, DataTypes, EmailId, EmailPush, Event, MailboxId, ObjectId, PushSubscriptionChange,
    QueueSignal, RegistryChange, RegistryObject, StateChange, SubscriptionChange, SubscriptionId,
    UnixMillis,
};
use mailmesh_cli::protocol::{Hidden, Request};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::corpus::Mail;
use super::fleet::{Fleet, PATIENCE, Seen};
use crate::exit::Failure;

pub(super) const NODES: [&str; 3] = ["mx1", "mx2", "mx3"];
const BLOCKED: &str = "203.0.113.7";
const HOST: &str = "mail.example.org";

/// What a step showed.
pub(super) struct Shown {
    pub(super) seconds: f64,
    pub(super) what: String,
}

type Step = Result<Shown, Failure>;

/// Three processes start and find each other.
pub(super) async fn discover(fleet: &mut Fleet) -> Step {
    let start = Instant::now();
    for name in NODES {
        fleet.start(name).await?;
    }
    let ready = start.elapsed();
    for name in NODES {
        wait_until(fleet, name, Request::Members, "two other members", |members| {
            members.as_array().is_some_and(|list| list.len() == 2)
        })
        .await?;
    }
    let pids: Vec<_> =
        NODES.iter().filter_map(|n| Some(format!("{n} is process {}", fleet.pid(n)?))).collect();
    shown(
        start.elapsed(),
        format!(
            "{}; started in {:.2} s, each knows the two others",
            pids.join(", "),
            ready.as_secs_f64()
        ),
    )
}

/// One event of every kind that is published by hand, compared at both others.
pub(super) async fn every_kind(fleet: &mut Fleet) -> Step {
    let events = one_of_each()?;
    let elapsed = publish_and_compare(fleet, "mx1", &events).await?;
    let kinds: BTreeSet<_> = events.iter().map(|event| event.kind().name()).collect();
    shown(
        elapsed,
        format!("{} kinds from mx1, equal on mx2 and mx3: {}", kinds.len(), join(&kinds)),
    )
}

/// Mail arrives: a state change and a push a message.
pub(super) async fn mail(fleet: &mut Fleet, mail: &Mail) -> Step {
    let events = &mail.events;
    let elapsed = publish_and_compare(fleet, "mx2", events).await?;
    let messages = match (mail.is_cut_off, events.len() / 2) {
        (true, n) => format!("the first {n} messages arrive"),
        (false, 1) => "1 message arrives".into(),
        (false, n) => format!("{n} messages arrive"),
    };
    shown(elapsed, format!("{messages} at mx2: {} events, in order on mx1 and mx3", events.len()))
}

/// An address is blocked on one node and refused on all.
pub(super) async fn block(fleet: &mut Fleet) -> Step {
    fleet.forget_seen();
    let network =
        BLOCKED.parse().map_err(|e: mailmesh::EventError| Failure::failed(e.to_string()))?;
    let start = Instant::now();
    let request = Request::BlockAdd {
        network,
        reason: "too many failed logins".into(),
        ttl_ms: Some(3_600_000),
        allow: false,
        force: false,
    };
    fleet.ask("mx2", &request).await?;
    let times = until_all(fleet, &["mx1", "mx3"], start, |entry| {
        entry["data"]["kind"] == "network" && entry["data"]["event"]["network"] == BLOCKED
    })
    .await?;
    for name in NODES {
        expect_blocked(fleet, name).await?;
    }
    let slowest = times.values().max().copied().unwrap_or_default();
    shown(slowest, format!("{BLOCKED} blocked on mx2, refused {}", at(&times)))
}

/// A certificate is set, then renewed; the others show the new fingerprint.
pub(super) async fn certificate(fleet: &mut Fleet) -> Step {
    let first = set_certificate(fleet).await?;
    let start = Instant::now();
    let renewed = set_certificate(fleet).await?;
    for name in ["mx1", "mx2"] {
        expect_certificate(fleet, name, &renewed).await?;
    }
    let elapsed = start.elapsed();
    shown(
        elapsed,
        format!(
            "{HOST} renewed on mx3: SHA-256 {}... replaced {}... on mx1 and mx2",
            &renewed[..16],
            &first[..16]
        ),
    )
}

/// A node is killed; the others notice.
pub(super) async fn kill(fleet: &mut Fleet) -> Step {
    fleet.forget_seen();
    let start = Instant::now();
    fleet.kill("mx2").await?;
    let times = until_all(fleet, &["mx1", "mx3"], start, |entry| {
        entry["type"] == "left"
            && entry["data"]["member"]["name"] == "mx2"
            && entry["data"]["reason"] == "failed"
    })
    .await?;
    let slowest = times.values().max().copied().unwrap_or_default();
    shown(slowest, format!("mx2 killed with SIGKILL, noticed {}", at(&times)))
}

/// It comes back empty and takes the mirror from the others.
pub(super) async fn come_back(fleet: &mut Fleet) -> Step {
    let expected = fleet.ask("mx1", &Request::Status).await?;
    let certificates = fleet.ask("mx1", &Request::CertList).await?;
    let fingerprint = certificates[0]["fingerprint"].as_str().unwrap_or_default().to_owned();
    let start = Instant::now();
    fleet.start("mx2").await?;
    let ready = start.elapsed();
    wait_until(fleet, "mx2", Request::Status, "the mirror of mx1", |status| {
        status["members"] == 2
            && status["mirror_entries"] == expected["mirror_entries"]
            && status["mirror_fingerprint"] == expected["mirror_fingerprint"]
    })
    .await?;
    let elapsed = start.elapsed();
    expect_blocked(fleet, "mx2").await?;
    expect_certificate(fleet, "mx2", &fingerprint).await?;
    let entries = &expected["mirror_entries"];
    shown(
        elapsed,
        format!(
            "mx2 started again (ready in {:.2} s) and has the mirror: {entries} entries, {BLOCKED} and {HOST} among them",
            ready.as_secs_f64()
        ),
    )
}

/// A node stops in good order; the others know at once.
pub(super) async fn goodbye(fleet: &mut Fleet) -> Step {
    fleet.forget_seen();
    let start = Instant::now();
    fleet.stop("mx3").await;
    let times = until_all(fleet, &["mx1", "mx2"], start, |entry| {
        entry["type"] == "left"
            && entry["data"]["member"]["name"] == "mx3"
            && entry["data"]["reason"] == "bye"
    })
    .await?;
    let slowest = times.values().max().copied().unwrap_or_default();
    shown(slowest, format!("mx3 said goodbye, heard {}", at(&times)))
}

fn shown(elapsed: Duration, what: String) -> Step {
    Ok(Shown { seconds: elapsed.as_secs_f64(), what })
}

fn one_of_each() -> Result<Vec<Event>, Failure> {
    let invalid = |error: mailmesh::EventError| Failure::failed(error.to_string());
    let account = AccountId(7);
    let object = RegistryObject { object_type: 3, id: ObjectId(12) };
    let push = EmailPush::new(account, EmailId(5), ChangeId(43)).with_size(2_048);
    Ok(vec![
        StateChange::new(account, ChangeId(42)).with(DataTypes::EMAIL | DataTypes::THREAD).into(),
        push.with_mailboxes(vec![MailboxId(1), MailboxId(9)]).map_err(invalid)?.into(),
        CalendarAlert {
            account,
            event: CalendarEventId(77),
            alert: AlertId(1),
            due: UnixMillis(1_800_000_000_000),
        }
        .into(),
        PushSubscriptionChange {
            account,
            subscription: SubscriptionId(4),
            change: SubscriptionChange::Updated,
        }
        .into(),
        CacheInvalidation::ids(CacheKind::Domain, vec![ObjectId(8), ObjectId(9)])
            .map_err(invalid)?
            .into(),
        RegistryChange::Insert(object).into(),
        QueueSignal::Refresh.into(),
        Custom::new("demo.greeting", "hello").map_err(invalid)?.into(),
    ])
}

/// Publishes on one node and waits until both others heard the same, lane by lane
/// in the same order.
async fn publish_and_compare(
    fleet: &mut Fleet,
    from: &str,
    events: &[Event],
) -> Result<Duration, Failure> {
    fleet.forget_seen();
    let start = Instant::now();
    for event in events {
        fleet.ask(from, &Request::Publish { event: event.clone() }).await?;
    }
    let mut expected: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in events {
        expected.entry(event.lane().to_string()).or_default().push(json!(event));
    }
    let others: Vec<_> = NODES.into_iter().filter(|name| *name != from).collect();
    let mut missing = others.len() * events.len();
    let mut heard: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut last = start;
    while missing > 0 {
        let seen = next(fleet, "the events at the other nodes").await?;
        let data = &seen.entry["data"];
        if seen.entry["type"] == "gap" {
            return Err(Failure::failed(format!("{} was told of a gap: {data}", seen.node)));
        }
        if seen.entry["type"] != "event" || data["from"]["name"] != from {
            continue;
        }
        let lane = data["lane"].as_str().unwrap_or_default().to_owned();
        let index = heard.entry((seen.node.clone(), lane.clone())).or_default();
        let event = json!({"kind": data["kind"], "event": data["event"]});
        if expected.get(&lane).and_then(|lane| lane.get(*index)) != Some(&event) {
            return Err(Failure::failed(format!("{} heard something else: {event}", seen.node)));
        }
        *index += 1;
        missing -= 1;
        last = seen.at;
    }
    Ok(last - start)
}

async fn set_certificate(fleet: &mut Fleet) -> Result<String, Failure> {
    let made = rcgen::generate_simple_self_signed([HOST.to_owned()]);
    let made = made.map_err(|error| Failure::failed(format!("making a certificate: {error}")))?;
    let chain_pem = Hidden(made.cert.pem().into());
    let key_pem = Hidden(made.signing_key.serialize_pem().into());
    let certificate =
        fleet.ask("mx3", &Request::CertAdd { chain_pem, key_pem, force: false }).await?;
    let fingerprint = certificate["fingerprint"].as_str().filter(|text| text.len() == 64);
    fingerprint
        .map(str::to_owned)
        .ok_or_else(|| Failure::failed("the certificate has no fingerprint"))
}

async fn expect_certificate(
    fleet: &mut Fleet,
    name: &str,
    fingerprint: &str,
) -> Result<(), Failure> {
    wait_until(fleet, name, Request::CertList, "the renewed certificate", |list| {
        list.as_array().is_some_and(|list| list.len() == 1 && list[0]["fingerprint"] == fingerprint)
    })
    .await
}

async fn expect_blocked(fleet: &mut Fleet, name: &str) -> Result<(), Failure> {
    let address = BLOCKED.parse().map_err(|_| Failure::failed("the demo's address is none"))?;
    wait_until(fleet, name, Request::BlockCheck { address }, "the blocked address", |verdict| {
        verdict["blocked"] == true
    })
    .await
}

/// Asks a node again and again until the answer is as it should be.
async fn wait_until(
    fleet: &mut Fleet,
    name: &str,
    request: Request,
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        let answer = fleet.ask(name, &request).await?;
        if is_so(&answer) {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(late(fleet, name, what));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// When each of `nodes` was first seen to hear something.
async fn until_all(
    fleet: &mut Fleet,
    nodes: &[&str],
    start: Instant,
    is_it: impl Fn(&Value) -> bool,
) -> Result<BTreeMap<String, Duration>, Failure> {
    let mut times = BTreeMap::new();
    while times.len() < nodes.len() {
        let seen = next(fleet, "the news at the other nodes").await?;
        if nodes.contains(&seen.node.as_str()) && is_it(&seen.entry) {
            times.entry(seen.node).or_insert(seen.at - start);
        }
    }
    Ok(times)
}

async fn next(fleet: &mut Fleet, what: &str) -> Result<Seen, Failure> {
    match timeout(PATIENCE, fleet.next_seen()).await {
        Ok(Some(seen)) => Ok(seen),
        _ => Err(late(fleet, NODES[0], what)),
    }
}

fn late(fleet: &Fleet, name: &str, what: &str) -> Failure {
    let seconds = PATIENCE.as_secs();
    Failure::failed(format!("{name}: {what} not seen within {seconds} s"))
        .with_details(fleet.log(name))
}

/// "on mx1 after 1.2 ms, on mx3 after 1.4 ms"
fn at(times: &BTreeMap<String, Duration>) -> String {
    let one = |(name, time): (&String, &Duration)| {
        format!("on {name} after {:.1} ms", time.as_secs_f64() * 1000.0)
    };
    times.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn join(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}
