//! The status of each configured endpoint.

use mailmesh_delivery::Incarnation;
use tokio::time::Instant;

use super::{DialBook, DialEndpoint, Outcome};
use crate::gate::NodeId;
use crate::{EndpointState, EndpointStatus};

impl DialBook {
    /// The status of each endpoint, in the order of the configuration.
    pub(in crate::gate) fn report(
        &self,
        now: Instant,
        is_linked: impl Fn(&NodeId) -> bool,
    ) -> Vec<EndpointStatus> {
        self.endpoints.iter().map(|endpoint| endpoint.report(now, &is_linked)).collect()
    }
}

impl DialEndpoint {
    fn report(&self, now: Instant, is_linked: impl Fn(&NodeId) -> bool) -> EndpointStatus {
        let state = match self.last_outcome {
            _ if self.is_satisfied(is_linked) => EndpointState::Linked,
            Some(Outcome::IsSelf) => EndpointState::Own,
            None if !self.retries.is_dialing => EndpointState::RateLimited,
            _ => EndpointState::Trying,
        };
        let is_waiting = state == EndpointState::Trying && !self.retries.is_dialing;
        EndpointStatus {
            endpoint: format!("tcp/{}", self.address()),
            state,
            leads_to: self.leads_to.map(Incarnation),
            last_error: self.last_error.clone().filter(|_| state != EndpointState::Linked),
            next_try: is_waiting.then(|| self.retries.next.saturating_duration_since(now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_endpoint_reports_its_state() {
        let now = Instant::now();
        let endpoints = ["mx1:7447#iface=eth0", "mx2:7447", "[2001:db8::1]:7447"];
        let mut dial_book = DialBook::new([5; 16], endpoints.map(str::to_owned).to_vec(), now);
        let states = |dial_book: &DialBook| {
            let report = dial_book.report(now, |id| *id == [4; 16]);
            report.iter().map(|status| status.state).collect::<Vec<_>>()
        };
        assert_eq!(states(&dial_book), [EndpointState::RateLimited; 3]);
        let due = dial_book.take_due(now, |_| false);
        assert_eq!(states(&dial_book), [EndpointState::Trying; 3]);
        dial_book.dial_finished(now, &due[0], Outcome::Reached([4; 16]));
        dial_book.note_error(1, "connection refused".into());
        dial_book.dial_finished(now, &due[1], Outcome::Failed);
        dial_book.dial_finished(now, &due[2], Outcome::IsSelf);
        let [linked, trying, own] = dial_book.report(now, |id| *id == [4; 16]).try_into().unwrap();
        assert_eq!(
            (linked.endpoint.as_str(), linked.state),
            ("tcp/mx1:7447", EndpointState::Linked)
        );
        assert_eq!((linked.leads_to, linked.next_try), (Some(Incarnation([4; 16])), None));
        dial_book.note_error(0, "refused at the recheck".into());
        assert_eq!(dial_book.report(now, |id| *id == [4; 16])[0].last_error, None);
        assert!(!dial_book.all_lead_to_self());
        assert_eq!(trying.state, EndpointState::Trying);
        assert_eq!(trying.last_error.as_deref(), Some("connection refused"));
        assert_eq!(trying.next_try, Some(Duration::from_millis(100)));
        assert_eq!(
            (own.endpoint.as_str(), own.state),
            ("tcp/[2001:db8::1]:7447", EndpointState::Own)
        );
        dial_book.link_ended(now, [4; 16], Duration::from_secs(60));
        let lost = dial_book.report(now, |_| false).remove(0);
        assert_eq!(
            (lost.state, lost.leads_to),
            (EndpointState::Trying, Some(Incarnation([4; 16])))
        );
    }
}
