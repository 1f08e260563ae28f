//! The steps of the demo. A step ends when the *other* processes have been observed to know of it;
//! its time is measured until then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use mailmesh::{
    AccountId, AlertId, CacheInvalidation, CacheKind, CalendarAlert, CalendarEventId, ChangeId,
    Custom, DataTypes, EmailId, EmailPush, Event, MailboxId, ObjectId, ObjectType,
    PushSubscriptionChange, QueueSignal, RegistryChange, RegistryObject, StateChange,
    SubscriptionChange, SubscriptionId, UnixMillis,
};
use mailmesh_cli::protocol::{Request, SecretText};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::corpus::Mail;
use super::fleet::{Fleet, Observation, STEP_TIMEOUT};
use crate::exit::Failure;

pub(super) const NODES: [&str; 3] = ["mx1", "mx2", "mx3"];
const BLOCKED_ADDRESS: &str = "203.0.113.7";
const CERTIFICATE_HOST: &str = "mail.example.org";

/// The result of a successful step.
pub(super) struct StepReport {
    pub(super) seconds: f64,
    pub(super) summary: String,
}

type StepResult = Result<StepReport, Failure>;

/// Three nodes start and discover each other.
pub(super) async fn discover(fleet: &mut Fleet) -> StepResult {
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
    step_report(
        start.elapsed(),
        format!(
            "{}; started in {:.2} s, each knows the other two",
            pids.join(", "),
            ready.as_secs_f64()
        ),
    )
}

/// One event of each publishable kind, compared at both other nodes.
pub(super) async fn every_kind_of_event(fleet: &mut Fleet) -> StepResult {
    let events = one_of_each()?;
    let elapsed = publish_and_compare(fleet, "mx1", &events).await?;
    let kinds: BTreeSet<_> = events.iter().map(|event| event.kind().name()).collect();
    step_report(
        elapsed,
        format!("{} kinds from mx1, identical on mx2 and mx3: {}", kinds.len(), join(&kinds)),
    )
}

/// Mail arrives: one state change and one push for each message.
pub(super) async fn mail(fleet: &mut Fleet, mail: &Mail) -> StepResult {
    let events = &mail.events;
    let elapsed = publish_and_compare(fleet, "mx2", events).await?;
    let messages = match (mail.is_truncated, events.len() / 2) {
        (true, n) => format!("the first {n} messages arrive"),
        (false, 1) => "1 message arrives".into(),
        (false, n) => format!("{n} messages arrive"),
    };
    step_report(
        elapsed,
        format!("{messages} at mx2: {} events, in order on mx1 and mx3", events.len()),
    )
}

/// An address is blocked on one node; all nodes refuse it.
pub(super) async fn block(fleet: &mut Fleet) -> StepResult {
    fleet.discard_observations();
    let network = BLOCKED_ADDRESS
        .parse()
        .map_err(|e: mailmesh::EventError| Failure::failed(e.to_string()))?;
    let start = Instant::now();
    let request = Request::BlockAdd {
        network,
        reason: "too many failed logins".into(),
        ttl_ms: Some(3_600_000),
        allow: false,
        force: false,
    };
    fleet.ask("mx2", &request).await?;
    let times = wait_for_all(fleet, &["mx1", "mx3"], start, |entry| {
        entry["data"]["kind"] == "network" && entry["data"]["event"]["network"] == BLOCKED_ADDRESS
    })
    .await?;
    for name in NODES {
        wait_until_blocked(fleet, name).await?;
    }
    let slowest = times.values().max().copied().unwrap_or_default();
    step_report(
        slowest,
        format!("{BLOCKED_ADDRESS} blocked on mx2, refused {}", times_by_node(&times)),
    )
}

/// A certificate is added, then renewed; the other nodes show the new fingerprint.
pub(super) async fn certificate(fleet: &mut Fleet) -> StepResult {
    let first = set_certificate(fleet).await?;
    let start = Instant::now();
    let renewed = set_certificate(fleet).await?;
    for name in ["mx1", "mx2"] {
        wait_for_certificate(fleet, name, &renewed).await?;
    }
    let elapsed = start.elapsed();
    step_report(
        elapsed,
        format!(
            "{CERTIFICATE_HOST} renewed on mx3: SHA-256 {}... replaced {}... on mx1 and mx2",
            &renewed[..16],
            &first[..16]
        ),
    )
}

/// A node is killed; the others detect the failure.
pub(super) async fn kill(fleet: &mut Fleet) -> StepResult {
    fleet.discard_observations();
    let start = Instant::now();
    fleet.kill("mx2").await?;
    let times = wait_for_all(fleet, &["mx1", "mx3"], start, |entry| {
        entry["type"] == "left"
            && entry["data"]["member"]["name"] == "mx2"
            && entry["data"]["reason"] == "failed"
    })
    .await?;
    let slowest = times.values().max().copied().unwrap_or_default();
    step_report(slowest, format!("mx2 killed with SIGKILL, detected {}", times_by_node(&times)))
}

/// The killed node restarts without a mirror and fetches it from the others.
pub(super) async fn come_back(fleet: &mut Fleet) -> StepResult {
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
    wait_until_blocked(fleet, "mx2").await?;
    wait_for_certificate(fleet, "mx2", &fingerprint).await?;
    let entries = &expected["mirror_entries"];
    step_report(
        elapsed,
        format!(
            "mx2 restarted (ready in {:.2} s) and has the mirror: {entries} entries, including \
             {BLOCKED_ADDRESS} and {CERTIFICATE_HOST}",
            ready.as_secs_f64()
        ),
    )
}

/// A node stops gracefully; the others learn so from its goodbye.
pub(super) async fn goodbye(fleet: &mut Fleet) -> StepResult {
    fleet.discard_observations();
    let start = Instant::now();
    fleet.stop("mx3").await;
    let times = wait_for_all(fleet, &["mx1", "mx2"], start, |entry| {
        entry["type"] == "left"
            && entry["data"]["member"]["name"] == "mx3"
            && entry["data"]["reason"] == "bye"
    })
    .await?;
    let slowest = times.values().max().copied().unwrap_or_default();
    step_report(slowest, format!("mx3 said goodbye, received {}", times_by_node(&times)))
}

fn step_report(elapsed: Duration, summary: String) -> StepResult {
    Ok(StepReport { seconds: elapsed.as_secs_f64(), summary })
}

fn one_of_each() -> Result<Vec<Event>, Failure> {
    let invalid = |error: mailmesh::EventError| Failure::failed(error.to_string());
    let account = AccountId(7);
    let object = RegistryObject::new(ObjectType(3), ObjectId(12));
    let push = EmailPush::new(account, EmailId(5), ChangeId(43)).with_size(2_048);
    Ok(vec![
        StateChange::new(account, ChangeId(42)).with(DataTypes::EMAIL | DataTypes::THREAD).into(),
        push.with_mailboxes(vec![MailboxId(1), MailboxId(9)]).map_err(invalid)?.into(),
        CalendarAlert::new(account, CalendarEventId(77), AlertId(1), UnixMillis(1_800_000_000_000))
            .into(),
        PushSubscriptionChange::new(account, SubscriptionId(4), SubscriptionChange::Updated).into(),
        CacheInvalidation::ids(CacheKind::Domain, vec![ObjectId(8), ObjectId(9)])
            .map_err(invalid)?
            .into(),
        RegistryChange::Insert(object).into(),
        QueueSignal::Refresh.into(),
        Custom::new("demo.greeting", "hello").map_err(invalid)?.into(),
    ])
}

/// Publishes on one node and waits until both others have received the same events, in the same
/// order per lane.
async fn publish_and_compare(
    fleet: &mut Fleet,
    from: &str,
    events: &[Event],
) -> Result<Duration, Failure> {
    fleet.discard_observations();
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
    let mut received: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut last = start;
    while missing > 0 {
        let observation = next_observation(fleet, "the events at the other nodes").await?;
        let data = &observation.entry["data"];
        if observation.entry["type"] == "gap" {
            return Err(Failure::failed(format!("{} reports a gap: {data}", observation.node)));
        }
        if observation.entry["type"] != "event" || data["from"]["name"] != from {
            continue;
        }
        let lane = data["lane"].as_str().unwrap_or_default().to_owned();
        let index = received.entry((observation.node.clone(), lane.clone())).or_default();
        let event = json!({"kind": data["kind"], "event": data["event"]});
        if expected.get(&lane).and_then(|lane| lane.get(*index)) != Some(&event) {
            return Err(Failure::failed(format!(
                "{} received an unexpected event: {event}",
                observation.node
            )));
        }
        *index += 1;
        missing -= 1;
        last = observation.at;
    }
    Ok(last - start)
}

async fn set_certificate(fleet: &mut Fleet) -> Result<String, Failure> {
    let made = rcgen::generate_simple_self_signed([CERTIFICATE_HOST.to_owned()]);
    let made =
        made.map_err(|error| Failure::failed(format!("cannot generate a certificate: {error}")))?;
    let chain_pem = SecretText(made.cert.pem().into());
    let key_pem = SecretText(made.signing_key.serialize_pem().into());
    let certificate =
        fleet.ask("mx3", &Request::CertAdd { chain_pem, key_pem, force: false }).await?;
    let fingerprint = certificate["fingerprint"].as_str().filter(|text| text.len() == 64);
    fingerprint
        .map(str::to_owned)
        .ok_or_else(|| Failure::failed("the certificate has no fingerprint"))
}

async fn wait_for_certificate(
    fleet: &mut Fleet,
    name: &str,
    fingerprint: &str,
) -> Result<(), Failure> {
    wait_until(fleet, name, Request::CertList, "the renewed certificate", |list| {
        list.as_array().is_some_and(|list| list.len() == 1 && list[0]["fingerprint"] == fingerprint)
    })
    .await
}

async fn wait_until_blocked(fleet: &mut Fleet, name: &str) -> Result<(), Failure> {
    let address =
        BLOCKED_ADDRESS.parse().map_err(|_| Failure::failed("the demo's address is invalid"))?;
    wait_until(fleet, name, Request::BlockCheck { address }, "the blocked address", |verdict| {
        verdict["blocked"] == true
    })
    .await
}

/// Polls a node until the answer meets the condition.
async fn wait_until(
    fleet: &mut Fleet,
    name: &str,
    request: Request,
    what: &str,
    condition: impl Fn(&Value) -> bool,
) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        let answer = fleet.ask(name, &request).await?;
        if condition(&answer) {
            return Ok(());
        }
        if start.elapsed() > STEP_TIMEOUT {
            return Err(timeout_failure(fleet, name, what));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until each of `nodes` has received an entry that meets the condition. Returns the times
/// since `start`.
async fn wait_for_all(
    fleet: &mut Fleet,
    nodes: &[&str],
    start: Instant,
    condition: impl Fn(&Value) -> bool,
) -> Result<BTreeMap<String, Duration>, Failure> {
    let mut times = BTreeMap::new();
    while times.len() < nodes.len() {
        let observation = next_observation(fleet, "the event at the other nodes").await?;
        if nodes.contains(&observation.node.as_str()) && condition(&observation.entry) {
            times.entry(observation.node).or_insert(observation.at - start);
        }
    }
    Ok(times)
}

async fn next_observation(fleet: &mut Fleet, what: &str) -> Result<Observation, Failure> {
    match timeout(STEP_TIMEOUT, fleet.next_observation()).await {
        Ok(Some(observation)) => Ok(observation),
        _ => Err(timeout_failure(fleet, NODES[0], what)),
    }
}

fn timeout_failure(fleet: &Fleet, name: &str, what: &str) -> Failure {
    let seconds = STEP_TIMEOUT.as_secs();
    Failure::failed(format!("{name}: did not observe {what} within {seconds} s"))
        .with_details(fleet.log(name))
}

/// For example "on mx1 after 1.2 ms, on mx3 after 1.4 ms".
fn times_by_node(times: &BTreeMap<String, Duration>) -> String {
    let format_one = |(name, time): (&String, &Duration)| {
        format!("on {name} after {:.1} ms", time.as_secs_f64() * 1000.0)
    };
    times.iter().map(format_one).collect::<Vec<_>>().join(", ")
}

fn join(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}
