//! Starts, ends and restarts of nodes.

use std::time::Duration;

use mailmesh_delivery::{Endpoint, Identity, Incarnation, Link};

use super::{Simulation, Task};
use crate::host::{Clock, Host};

impl Simulation<'_> {
    pub(super) fn start_incarnation(&mut self, host_id: usize) -> Result<(), String> {
        self.incarnations += 1;
        let mut incarnation = [0; 16];
        incarnation[..8].copy_from_slice(&self.rng.u64(..).to_be_bytes());
        incarnation[8..].copy_from_slice(&self.incarnations.to_be_bytes());
        let incarnation = Incarnation(incarnation);
        let (mut clock, mut started_ms) = (Clock::default(), self.incarnations);
        let drift = i32::try_from(self.plan.faults.drift).unwrap_or(0);
        if drift > 0 {
            clock.offset = Duration::from_millis(self.rng.u64(0..100_000));
            clock.drift = self.rng.i32(-drift..=drift);
            started_ms = self.rng.u64(0..1_000_000);
        }
        let host = &mut self.hosts[host_id];
        let name = format!("n{}", host.name).parse().map_err(|e| format!("{e}"))?;
        let identity = Identity::new(name, incarnation, started_ms);
        let endpoint = Endpoint::new(identity, self.plan.settings(), clock.local(self.now));
        *host = Host { endpoint: Some(endpoint), clock, ..Host::new(host.name) };
        let name = host.name;
        self.host_of.insert(incarnation, host_id);
        self.start_replica(host_id, incarnation);
        self.oracle.incarnation_started(incarnation, name);
        self.log(|| format!("n{name} starts as {incarnation:?}"));
        // The bus of each other node reports the new link.
        for other in 0..self.hosts.len() {
            if other != host_id {
                self.hint(other, incarnation, Link::Up)?;
            }
        }
        self.after_input(host_id)
    }

    /// Ends the running incarnation of a host.
    pub(super) fn end_incarnation(&mut self, host_id: usize) -> Option<Incarnation> {
        let host = &mut self.hosts[host_id];
        let endpoint = host.endpoint.take()?;
        *host = Host::new(host.name);
        let incarnation = endpoint.identity().incarnation;
        self.host_of.remove(&incarnation);
        self.oracle.incarnation_ended(incarnation);
        self.report.restarts += 1;
        Some(incarnation)
    }

    /// Lets a leaving node leave once it no longer waits for acknowledgements.
    pub(super) fn leave_if_done(&mut self, host_id: usize) -> Result<(), String> {
        let now = self.now;
        let host = &mut self.hosts[host_id];
        let (Some(endpoint), Some(leaving)) = (&host.endpoint, &mut host.leaving) else {
            return Ok(());
        };
        if host.frozen_until.is_some_and(|until| until > now) {
            return Ok(());
        }
        let until = endpoint.drain_until(host.clock.local(now));
        let until = until.map(|until| host.clock.global(until).min(leaving.deadline));
        let restart_after = leaving.restart_after;
        match until.filter(|until| *until > now) {
            None => {
                self.leave(host_id)?;
                self.schedule(now + restart_after, Task::Restart { host_id });
            }
            Some(until) => {
                if leaving.scheduled.replace(until) != Some(until) {
                    self.schedule(until, Task::Leave { host_id });
                }
            }
        }
        Ok(())
    }

    pub(super) fn leave(&mut self, host_id: usize) -> Result<(), String> {
        if let Some(endpoint) = &mut self.hosts[host_id].endpoint {
            endpoint.leave();
        }
        self.poll_outputs(host_id)?;
        self.end_incarnation(host_id);
        Ok(())
    }

    /// Starts a new incarnation of a node if none is running.
    pub(super) fn restart_if_down(&mut self, name: usize) -> Result<(), String> {
        let taken = self.hosts.iter().any(|host| host.name == name && host.endpoint.is_some());
        if taken { Ok(()) } else { self.start_incarnation(name) }
    }
}
