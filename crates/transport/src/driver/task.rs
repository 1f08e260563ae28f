//! The driver's task: deadlines, the endpoint's frames, and the arrivals that callbacks left.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::sleep_until;

use super::receiving::Receiving;
use super::sending::Sending;
use crate::bundle::Bundle;

/// Runs until `stopped`, then carries out the last actions and ends.
pub(super) async fn run(
    sending: Arc<Sending>,
    receiving: Arc<Receiving>,
    stopped: watch::Receiver<bool>,
) {
    let core = &sending.core;
    let (mut actions, mut bundle) = (VecDeque::new(), Bundle::default());
    loop {
        // Read first, so that the endpoint's last frames are put below.
        let is_last = *stopped.borrow();
        let Some(more) = receiving.run_once(&mut actions) else {
            tracing::error!("delivery ended by a bug");
            return;
        };
        actions.drain(..).for_each(|action| sending.perform(&mut bundle, action));
        sending.put_bundle(&mut bundle);
        let more = more || sending.send_without_thread();
        if is_last {
            return;
        }
        if more {
            tokio::task::yield_now().await;
            continue;
        }
        match core.plan_next_poll() {
            Some(deadline) => tokio::select! {
                () = sleep_until(core.instant(deadline)) => {}
                () = core.wake.notified() => {}
            },
            // The node has left; its last frames are due.
            None => core.wake.notified().await,
        }
    }
}
