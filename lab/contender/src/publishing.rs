//! Publishes at a rate, or as fast as possible, on a separate thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mailmesh_contender::{Numbered, Purpose, now_ns};
use tokio::runtime::Handle;

use crate::Outlet;
use crate::error::ContenderError;
use crate::ledger::Ledger;

/// Events of an unpaced publisher that share one timestamp, because the system is measured and not
/// the clock.
const EVENTS_PER_TIMESTAMP: u64 = 64;
/// Interval at which a paced publisher checks for due events.
const TICK: Duration = Duration::from_millis(1);
/// Pause between two round trips, so that the lane is idle again.
const PING_PAUSE: Duration = Duration::from_millis(1);
/// A ping without an echo for this time is lost.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts and stops publishers and pingers.
#[derive(Debug)]
pub(crate) struct Publishing {
    outlet: Arc<Outlet>,
    ledger: Arc<Ledger>,
    runtime: Handle,
    /// Incremented to end all publishers that are running.
    stops: Arc<AtomicU64>,
}

impl Publishing {
    pub(crate) fn new(outlet: Arc<Outlet>, ledger: Arc<Ledger>, runtime: Handle) -> Self {
        Self { outlet, ledger, runtime, stops: Arc::default() }
    }

    /// Publishes `count` events (0: until stopped) at `rate` a second (0: as fast as possible).
    pub(crate) fn begin(&self, count: u64, rate: u64) {
        let (outlet, ledger) = (self.outlet.clone(), self.ledger.clone());
        let (stops, runtime) = (self.stops.clone(), self.runtime.clone());
        let begun = stops.load(Ordering::Acquire);
        let is_stopped = move || stops.load(Ordering::Acquire) != begun;
        ledger.busy.fetch_add(1, Ordering::AcqRel);
        // A bus that blocks stalls this thread and not a reader.
        std::thread::spawn(move || {
            let published = runtime.block_on(publish(&outlet, &ledger, count, rate, is_stopped));
            if let Err(error) = published {
                eprintln!("publishing ended: {error}");
            }
            ledger.busy.fetch_sub(1, Ordering::AcqRel);
        });
    }

    pub(crate) fn stop(&self) {
        self.stops.fetch_add(1, Ordering::AcqRel);
    }

    /// Waits until all publishers and pingers have ended.
    pub(crate) async fn ended(&self) {
        while self.ledger.busy.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(TICK).await;
        }
    }

    /// Measures `count` round trips, one at a time.
    pub(crate) fn ping(&self, count: u64) {
        let (outlet, ledger) = (self.outlet.clone(), self.ledger.clone());
        ledger.busy.fetch_add(1, Ordering::AcqRel);
        self.runtime.spawn(async move {
            let incarnation = ledger.incarnation.load(Ordering::Relaxed);
            for number in 1..=count {
                let sent = now_ns();
                let ping = Numbered { purpose: Purpose::Ping, incarnation, number, sent };
                if let Err(error) = outlet.publish(&ping).await {
                    eprintln!("pinging ended: {error}");
                    break;
                }
                if tokio::time::timeout(PING_TIMEOUT, ledger.echoed.notified()).await.is_err() {
                    eprintln!("ping {number} did not come back");
                }
                tokio::time::sleep(PING_PAUSE).await;
            }
            ledger.busy.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

async fn publish(
    outlet: &Outlet,
    ledger: &Ledger,
    count: u64,
    rate: u64,
    is_stopped: impl Fn() -> bool,
) -> Result<(), ContenderError> {
    let incarnation = ledger.incarnation.load(Ordering::Relaxed);
    let before = ledger.published.load(Ordering::Acquire);
    let begun = now_ns();
    let mut done = 0;
    let mut sent = begun;
    while (count == 0 || done < count) && !is_stopped() {
        if rate > 0 {
            // The time at which the event was due, not the time of the call: a publisher that the
            // bus blocks must not hide the delay.
            sent = begun + (u128::from(done) * 1_000_000_000 / u128::from(rate)) as u64;
            if sent > now_ns() {
                outlet.flush().await?;
                tokio::time::sleep(TICK).await;
                continue;
            }
        } else if done % EVENTS_PER_TIMESTAMP == 0 {
            sent = now_ns();
        }
        let number = before + done + 1;
        outlet.publish(&Numbered { purpose: Purpose::Count, incarnation, number, sent }).await?;
        done += 1;
        ledger.published.store(number, Ordering::Release);
    }
    outlet.flush().await
}
