//! Checks of the mirrors after the faults end.

use std::time::Duration;

use super::Simulation;
use super::mirror_driver::TICK_INTERVAL;
use crate::mirrors::{self, Replica, network};

/// Time in which all mirrors converge once all faults ended. It covers changes that mirrors
/// postpone because a clock was ahead, and the remaining differences.
const CONVERGENCE_TIME: Duration = Duration::from_secs(300);
/// Time in which converged mirrors must be silent.
const QUIET_TIME: Duration = Duration::from_secs(10);
/// Time in which a change reaches every mirror.
const PROPAGATION_TIME: Duration = Duration::from_secs(3);
/// Time in which all nodes compare a clock that is no longer set.
const CLOCK_COMPARISON_TIME: Duration = Duration::from_secs(15);

impl Simulation<'_> {
    /// After all faults ended: all mirrors converge, nothing is lost, and new writes apply
    /// everywhere, whatever the clocks show.
    pub(super) fn check_mirrors(&mut self) -> Result<(), String> {
        if !self.plan.mirrors {
            return Ok(());
        }
        let mut before =
            mirrors::latest(self.replicas().map(|(_, replica)| replica.mirror.content()));
        if self.plan.split_clocks {
            before.retain(|_, change| change.is_live() && change.expires().is_none());
        }
        self.converge()?;
        self.check_content()?;
        for (host_id, replica) in self.replicas() {
            let (mirror, now) = (&replica.mirror, self.cluster_time(host_id));
            let content = mirror.content();
            self.world.check_origin(&content)?;
            // A node that is alone with a clock a day off forgets removals early.
            if !self.plan.split_clocks {
                let remembers = |incarnation| {
                    let host_id = self.host_of.get(&incarnation);
                    host_id
                        .is_some_and(|host_id| !self.world.was_far_off(self.hosts[*host_id].name))
                };
                self.world.check_replaced(&content, remembers)?;
            }
            mirrors::check_kept(&before, mirror, now)?;
        }
        self.run_until(self.now + CLOCK_COMPARISON_TIME)?;
        for (host_id, replica) in self.replicas() {
            mirrors::check_lookups(&replica.mirror, self.cluster_time(host_id))?;
        }
        self.check_new_writes()?;
        self.check_silence()
    }

    /// Mirrors with equal digests have equal entries, and keep no expired entry that replaced
    /// nothing.
    fn check_content(&self) -> Result<(), String> {
        if self.plan.split_clocks {
            return Ok(());
        }
        let mut contents = self.replicas().map(|(_, replica)| replica.mirror.content());
        let Some(first) = contents.next() else { return Ok(()) };
        for content in contents {
            if let Some((one, other)) = first.iter().zip(&content).find(|(one, other)| one != other)
            {
                return Err(format!("equal digests, but {one:?} differs from {other:?}"));
            }
        }
        for (host_id, replica) in
            self.replicas().filter(|_| self.plan.many_expiries && self.plan.liars == 0)
        {
            let now = self.cluster_time(host_id);
            if let Some(change) = mirrors::needless_memory(&replica.mirror, now) {
                return Err(format!(
                    "{change:?} has expired and replaced nothing, but is still kept"
                ));
            }
        }
        Ok(())
    }

    /// Converged mirrors in which no entry expires send nothing but digests. A comparison may be
    /// under way when the silence is measured, so that it is measured up to three times.
    fn check_silence(&mut self) -> Result<(), String> {
        // The digests of liars never match, nor do those of nodes without a common time.
        if self.plan.liars > 0 || self.plan.split_clocks {
            return Ok(());
        }
        let mut message_count = 0;
        for _ in 0..3 {
            self.converge()?;
            self.run_until(self.now + PROPAGATION_TIME)?;
            if !self.all_are_equal()
                || self.replicas().any(|replica| self.an_entry_expires(replica))
            {
                return Ok(());
            }
            let before = self.world.message_count;
            self.run_until(self.now + QUIET_TIME)?;
            message_count = self.world.message_count - before;
            if message_count == 0 {
                return Ok(());
            }
        }
        Err(format!("{message_count} messages between equal mirrors"))
    }

    fn an_entry_expires(&self, (host_id, replica): (usize, &Replica)) -> bool {
        let now = self.cluster_time(host_id);
        let soon = now.0.saturating_sub(1_000)..now.plus(QUIET_TIME * 2).0;
        let mut ends = replica.mirror.content().into_iter().filter_map(|change| change.expires());
        ends.any(|at| soon.contains(&at.0))
    }

    /// Whether all mirrors are equal. If no majority of clocks agrees, only the entries that never
    /// expire count.
    fn all_are_equal(&self) -> bool {
        let mut mirrors = self.replicas().map(|(_, replica)| &replica.mirror);
        let Some(first) = mirrors.next() else { return true };
        if self.plan.split_clocks {
            let first = mirrors::entries_without_expiry(first);
            return mirrors.all(|mirror| mirrors::entries_without_expiry(mirror) == first);
        }
        mirrors.all(|mirror| mirror.digest() == first.digest())
    }

    fn converge(&mut self) -> Result<(), String> {
        let until = self.now + CONVERGENCE_TIME;
        while !self.all_are_equal() {
            if self.now >= until {
                let digests: Vec<_> = self.replicas().map(|(_, k)| k.mirror.digest()).collect();
                return Err(format!("the mirrors do not converge: {digests:?}"));
            }
            self.run_until(self.now + TICK_INTERVAL)?;
        }
        Ok(())
    }

    /// A new write applies everywhere within [`PROPAGATION_TIME`] and expires on time. Of two
    /// writes the later one wins, even if the clock of one writer is wrong.
    fn check_new_writes(&mut self) -> Result<(), String> {
        let wrong = self.world.most_wrong_machine().unwrap_or(0);
        let right = (wrong + 1) % self.plan.nodes;
        let host_named = |simulation: &Self, name| {
            let replicas = simulation.replicas().map(|(host_id, _)| host_id);
            replicas.into_iter().find(|host_id| simulation.hosts[*host_id].name == name)
        };
        for (key, (one, other)) in [(201, (wrong, right)), (202, (right, wrong))] {
            let (Some(one), Some(other)) = (host_named(self, one), host_named(self, other)) else {
                continue;
            };
            self.block(one, key, Some(None))?;
            self.run_until(self.now + PROPAGATION_TIME)?;
            self.expect_blocked(key, true)?;
            self.block(other, key, None)?;
            self.run_until(self.now + PROPAGATION_TIME)?;
            self.expect_blocked(key, false)?;
            if self.plan.split_clocks {
                // Without a majority of clocks, nodes expire entries at different times.
                continue;
            }
            self.block(one, key + 2, Some(Some(PROPAGATION_TIME * 2)))?;
            self.run_until(self.now + PROPAGATION_TIME)?;
            self.expect_blocked(key + 2, true)?;
            self.run_until(self.now + PROPAGATION_TIME * 2)?;
            self.expect_blocked(key + 2, false)?;
        }
        Ok(())
    }

    fn expect_blocked(&self, key: u16, blocked: bool) -> Result<(), String> {
        for (host_id, replica) in self.replicas() {
            let now = self.cluster_time(host_id);
            if replica.mirror.is_blocked(network(key).address(), now) != blocked {
                let name = self.hosts[host_id].name;
                return Err(format!(
                    "n{name} has {:?}, blocked must be {blocked}",
                    replica.mirror.lookup(network(key).address(), now)
                ));
            }
        }
        Ok(())
    }
}
