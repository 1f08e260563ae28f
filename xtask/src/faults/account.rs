//! Who owed what to whom: works out of the reports of all processes what was
//! missed in silence.

use mailmesh_contender::{Report, SenderReport};

/// How a life of a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It has not.
    Alive,
    /// In good order, after its last report.
    Left,
    /// By force, after its last report.
    Killed,
}

/// A life of a process, and what it said last.
#[derive(Debug, Clone)]
pub(super) struct Life {
    /// Which process.
    pub(super) node: usize,
    /// Whether it was there, and knew all others of these, before anything was
    /// published.
    pub(super) from_start: bool,
    pub(super) end: End,
    pub(super) report: Report,
}

/// What one life received of another.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) receiver: usize,
    pub(super) sender: usize,
    /// Events it was a member for.
    pub(super) owed: u64,
    pub(super) silent: u64,
    pub(super) heard: SenderReport,
}

/// The counts of a run, over all pairs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) duplicates: u64,
    pub(super) out_of_order: u64,
    pub(super) told: u64,
    pub(super) silent: u64,
}

/// Every pair of lives of different processes of which something is owed.
pub(super) fn pairs(lives: &[Life]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for sender in lives {
        let last = last_published(sender, lives);
        for receiver in lives.iter().filter(|receiver| receiver.node != sender.node) {
            let heard = heard(receiver, sender).cloned().unwrap_or_default();
            let tally = &heard.tally;
            let both_from_start = receiver.from_start && sender.from_start;
            if tally.delivered == 0 && !both_from_start {
                continue; // they may never have met
            }
            let first = if both_from_start { 1 } else { tally.first_owed() };
            // Who has gone owes no account of what it did not live to see.
            let last = if receiver.end == End::Alive { last } else { tally.highest };
            pairs.push(Pair {
                receiver: receiver.node,
                sender: sender.node,
                owed: (last + 1).saturating_sub(first),
                silent: tally.silent(first, last),
                heard,
            });
        }
    }
    pairs
}

/// What a killed sender published is what anybody has heard of it.
fn last_published(sender: &Life, lives: &[Life]) -> u64 {
    let heard = lives.iter().filter_map(|receiver| heard(receiver, sender));
    match sender.end {
        End::Killed => heard.map(|heard| heard.tally.highest).max().unwrap_or(0),
        End::Alive | End::Left => sender.report.published,
    }
}

fn heard<'a>(receiver: &'a Life, sender: &Life) -> Option<&'a SenderReport> {
    receiver.report.senders.iter().find(|heard| heard.life == sender.report.life)
}

pub(super) fn counts(lives: &[Life], pairs: &[Pair]) -> Counts {
    let mut counts = Counts {
        events: lives.iter().map(|life| last_published(life, lives)).sum(),
        ..Counts::default()
    };
    for pair in pairs {
        let tally = &pair.heard.tally;
        counts.published += pair.owed;
        counts.delivered += tally.delivered;
        counts.duplicates += tally.duplicates;
        counts.out_of_order += tally.out_of_order;
        counts.told += tally.told;
        counts.silent += pair.silent;
    }
    counts
}

#[cfg(test)]
mod tests {
    use mailmesh_contender::Tally;

    use super::*;

    fn life(node: usize, published: u64, end: End, heard: &[(u64, &[u64], u64)]) -> Life {
        let senders = heard.iter().map(|(life, numbers, told)| {
            let mut tally = Tally::default();
            for number in *numbers {
                tally.deliver(*number);
            }
            tally.tell(*told, 1);
            SenderReport { life: *life, tally: tally.summary(), phases: Vec::new() }
        });
        let senders = senders.collect();
        let report = Report { life: node as u64 + 100, published, senders, ..Report::default() };
        Life { node, from_start: true, end, report }
    }

    #[test]
    fn what_was_published_and_neither_came_nor_was_told_is_silent() {
        let lives = [
            life(0, 5, End::Alive, &[]),
            life(1, 0, End::Alive, &[(100, &[1, 2, 3], 1)]),
            life(2, 0, End::Alive, &[(100, &[1, 2, 3, 4, 5], 0)]),
        ];
        let counts = counts(&lives, &pairs(&lives));
        assert_eq!((counts.events, counts.published, counts.delivered), (5, 10, 8));
        assert_eq!((counts.told, counts.silent), (1, 1));
        assert_eq!(counts.published, counts.delivered + counts.told + counts.silent);
    }

    #[test]
    fn who_heard_nothing_of_a_sender_it_knew_misses_all_of_it() {
        let lives = [life(0, 5, End::Alive, &[]), life(1, 0, End::Alive, &[])];
        assert_eq!(counts(&lives, &pairs(&lives)).silent, 5);
    }

    #[test]
    fn of_a_killed_sender_everybody_owes_what_anybody_heard() {
        let lives = [
            life(0, 9, End::Killed, &[]),
            life(1, 0, End::Alive, &[(100, &[1, 2, 3], 0)]),
            life(2, 0, End::Alive, &[(100, &[1], 0)]),
        ];
        let counts = counts(&lives, &pairs(&lives));
        assert_eq!((counts.events, counts.published, counts.silent), (3, 6, 2));
    }

    #[test]
    fn a_receiver_that_was_killed_owes_what_lies_before_its_last() {
        let lives = [life(0, 9, End::Alive, &[]), life(1, 0, End::Killed, &[(100, &[1, 2, 4], 0)])];
        let counts = counts(&lives, &pairs(&lives));
        assert_eq!((counts.published, counts.silent), (4, 1));
    }

    #[test]
    fn a_life_begun_later_owes_from_its_first_event() {
        let mut late = life(1, 0, End::Alive, &[(100, &[7, 8], 0)]);
        late.from_start = false;
        let mut stranger = life(2, 0, End::Alive, &[]);
        stranger.from_start = false;
        let lives = [life(0, 9, End::Alive, &[]), late, stranger];
        let counts = counts(&lives, &pairs(&lives));
        assert_eq!((counts.published, counts.delivered, counts.silent), (3, 2, 1));
    }
}
