//! The driver's task: deadlines, what the node wants sent, and the arrivals that
//! callbacks left.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::sleep_until;

use super::receiving::Receiving;
use super::sending::Sending;
use crate::bundle::Bundle;

/// Runs until `stopped`, after which what the node still had to say is sent.
pub(super) async fn run(
    sending: Arc<Sending>,
    receiving: Arc<Receiving>,
    stopped: watch::Receiver<bool>,
) {
    let core = &sending.core;
    let (mut actions, mut bundle) = (VecDeque::new(), Bundle::default());
    loop {
        // First, so that what the node says last is said below.
        let is_last = *stopped.borrow();
        let Some(more) = receiving.run_once(&mut actions) else {
            tracing::error!("delivery ended by a bug");
            return;
        };
        actions.drain(..).for_each(|actions| sending.perform(&mut bundle, actions));
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
            // It has left; what it said last is due.
            None => core.wake.notified().await,
        }
    }
}
