//! Computes, from the reports of all processes, how many events each receiver lost silently.

use mailmesh_contender::{Report, SenderReport};

/// The state of one incarnation of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessState {
    Running,
    /// It left in good order after its last report.
    Left,
    /// It was killed after its last report.
    Killed,
}

/// One incarnation of a process, and its last report.
#[derive(Debug, Clone)]
pub(super) struct Incarnation {
    /// Index of the process in its group.
    pub(super) node: usize,
    /// Whether it was running, and saw all the others, before the first event was published.
    pub(super) from_start: bool,
    pub(super) state: ProcessState,
    pub(super) report: Report,
}

/// The events that one incarnation received from another.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    pub(super) receiver: usize,
    pub(super) sender: usize,
    /// Events that were published while the receiver was a member.
    pub(super) expected: u64,
    pub(super) silent: u64,
    pub(super) received: SenderReport,
}

/// The counts of a run, summed over all flows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) duplicates: u64,
    pub(super) out_of_order: u64,
    pub(super) reported_missing: u64,
    pub(super) silent: u64,
}

/// Every pair of incarnations of different processes between which events are expected.
pub(super) fn flows(incarnations: &[Incarnation]) -> Vec<Flow> {
    let mut flows = Vec::new();
    for sender in incarnations {
        let last = published_by(sender, incarnations);
        for receiver in incarnations.iter().filter(|receiver| receiver.node != sender.node) {
            let received = received(receiver, sender).cloned().unwrap_or_default();
            let tally = &received.tally;
            let both_from_start = receiver.from_start && sender.from_start;
            if tally.delivered == 0 && !both_from_start {
                continue; // They may never have seen each other.
            }
            let first = if both_from_start { 1 } else { tally.first_expected() };
            // A process that ended is not held to events after the last one that it received.
            let last = if receiver.state == ProcessState::Running { last } else { tally.highest };
            flows.push(Flow {
                receiver: receiver.node,
                sender: sender.node,
                expected: (last + 1).saturating_sub(first),
                silent: tally.silent(first, last),
                received,
            });
        }
    }
    flows
}

/// A killed sender cannot say how many events it published: the highest number that any receiver
/// got stands for that.
fn published_by(sender: &Incarnation, incarnations: &[Incarnation]) -> u64 {
    let received = incarnations.iter().filter_map(|receiver| received(receiver, sender));
    match sender.state {
        ProcessState::Killed => received.map(|received| received.tally.highest).max().unwrap_or(0),
        ProcessState::Running | ProcessState::Left => sender.report.published,
    }
}

fn received<'a>(receiver: &'a Incarnation, sender: &Incarnation) -> Option<&'a SenderReport> {
    receiver
        .report
        .senders
        .iter()
        .find(|received| received.incarnation == sender.report.incarnation)
}

pub(super) fn counts(incarnations: &[Incarnation], flows: &[Flow]) -> Counts {
    let mut counts = Counts {
        events: incarnations
            .iter()
            .map(|incarnation| published_by(incarnation, incarnations))
            .sum(),
        ..Counts::default()
    };
    for flow in flows {
        let tally = &flow.received.tally;
        counts.published += flow.expected;
        counts.delivered += tally.delivered;
        counts.duplicates += tally.duplicates;
        counts.out_of_order += tally.out_of_order;
        counts.reported_missing += tally.reported_missing;
        counts.silent += flow.silent;
    }
    counts
}

#[cfg(test)]
mod tests {
    use mailmesh_contender::Tally;

    use super::*;

    fn incarnation(
        node: usize,
        published: u64,
        state: ProcessState,
        received: &[(u64, &[u64], u64)],
    ) -> Incarnation {
        let senders = received.iter().map(|(incarnation, numbers, reported_missing)| {
            let mut tally = Tally::default();
            for number in *numbers {
                tally.deliver(*number);
            }
            tally.report_missing(*reported_missing, 1);
            SenderReport { incarnation: *incarnation, tally: tally.summary(), phases: Vec::new() }
        });
        let senders = senders.collect();
        let report =
            Report { incarnation: node as u64 + 100, published, senders, ..Report::default() };
        Incarnation { node, from_start: true, state, report }
    }

    #[test]
    fn an_event_neither_delivered_nor_reported_is_a_silent_loss() {
        let incarnations = [
            incarnation(0, 5, ProcessState::Running, &[]),
            incarnation(1, 0, ProcessState::Running, &[(100, &[1, 2, 3], 1)]),
            incarnation(2, 0, ProcessState::Running, &[(100, &[1, 2, 3, 4, 5], 0)]),
        ];
        let counts = counts(&incarnations, &flows(&incarnations));
        assert_eq!((counts.events, counts.published, counts.delivered), (5, 10, 8));
        assert_eq!((counts.reported_missing, counts.silent), (1, 1));
        assert_eq!(counts.published, counts.delivered + counts.reported_missing + counts.silent);
    }

    #[test]
    fn a_receiver_that_got_nothing_from_a_known_sender_lost_all_events() {
        let incarnations = [
            incarnation(0, 5, ProcessState::Running, &[]),
            incarnation(1, 0, ProcessState::Running, &[]),
        ];
        assert_eq!(counts(&incarnations, &flows(&incarnations)).silent, 5);
    }

    #[test]
    fn each_receiver_must_have_what_any_receiver_got_of_a_killed_sender() {
        let incarnations = [
            incarnation(0, 9, ProcessState::Killed, &[]),
            incarnation(1, 0, ProcessState::Running, &[(100, &[1, 2, 3], 0)]),
            incarnation(2, 0, ProcessState::Running, &[(100, &[1], 0)]),
        ];
        let counts = counts(&incarnations, &flows(&incarnations));
        assert_eq!((counts.events, counts.published, counts.silent), (3, 6, 2));
    }

    #[test]
    fn a_killed_receiver_must_have_all_events_before_its_last_one() {
        let incarnations = [
            incarnation(0, 9, ProcessState::Running, &[]),
            incarnation(1, 0, ProcessState::Killed, &[(100, &[1, 2, 4], 0)]),
        ];
        let counts = counts(&incarnations, &flows(&incarnations));
        assert_eq!((counts.published, counts.silent), (4, 1));
    }

    #[test]
    fn a_later_incarnation_must_have_all_events_from_its_first_one() {
        let mut late = incarnation(1, 0, ProcessState::Running, &[(100, &[7, 8], 0)]);
        late.from_start = false;
        let mut stranger = incarnation(2, 0, ProcessState::Running, &[]);
        stranger.from_start = false;
        let incarnations = [incarnation(0, 9, ProcessState::Running, &[]), late, stranger];
        let counts = counts(&incarnations, &flows(&incarnations));
        assert_eq!((counts.published, counts.delivered, counts.silent), (3, 2, 1));
    }
}
