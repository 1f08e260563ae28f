//! What a contender is told and what it answers: JSON, one value a line.

use serde::{Deserialize, Serialize};

use crate::{Latency, PhaseReport, Tally};

/// Notices kept; later ones are counted only.
pub const MAX_NOTICES: usize = 4096;

/// What a contender is told on its standard input. When that ends, so does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Publish, until so many have been published or it is told to stop.
    Publish {
        /// How many; 0 for no end.
        count: u64,
        /// Events a second; 0 for as fast as it can.
        rate: u64,
    },
    /// Publish no more.
    Stop,
    /// A phase ended and the next begins, at this moment in nanoseconds.
    Mark {
        /// The moment.
        at: u64,
    },
    /// Read so many events a second; 0 for as they come.
    Read {
        /// How many.
        rate: u64,
    },
    /// Publish an event, wait until it is sent back, pause a millisecond; so many
    /// times.
    Ping {
        /// How many times.
        count: u64,
    },
    /// Answer with a [`Report`].
    Report {
        /// Repeated in the answer.
        request: u64,
    },
    /// Leave in good order.
    Quit,
}

/// What a contender answers, one line each time it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Of the question.
    pub request: u64,
    /// This life of the process.
    pub incarnation: u64,
    /// Other processes that it sees.
    pub members: usize,
    /// Events published.
    pub published: u64,
    /// Whether it still publishes or pings.
    pub busy: bool,
    /// Round trips.
    pub pings: Latency,
    /// What came of each other life.
    pub senders: Vec<SenderReport>,
    /// Who came and went.
    pub notices: Vec<Notice>,
    /// Notices that did not fit.
    pub notices_dropped: u64,
    /// Frames, messages and changes refused, of whatever reason; 0 of a system that refuses
    /// nothing.
    pub refused: u64,
    /// Frames sent again to who missed them; 0 of a system that sends nothing again.
    pub retransmitted_frames: u64,
    /// Entries of the mirror; 0 of a system that has none.
    pub entries: u64,
}

/// What came of a life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderReport {
    /// Whose.
    pub incarnation: u64,
    /// The counts.
    pub tally: Tally,
    /// Phase by phase.
    pub phases: Vec<PhaseReport>,
}

/// A process came or went, as another saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Which life.
    pub incarnation: u64,
    /// Came, or went.
    pub up: bool,
    /// When, in nanoseconds.
    pub at: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_reports_come_back_from_their_lines() {
        for command in [
            Command::Publish { count: 1_000_000, rate: 0 },
            Command::Stop,
            Command::Mark { at: u64::MAX },
            Command::Read { rate: 100 },
            Command::Ping { count: 3 },
            Command::Report { request: 9 },
            Command::Quit,
        ] {
            let line = serde_json::to_string(&command).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Command>(&line).unwrap(), command, "{line}");
        }
        let mut tally = Tally::default();
        tally.report_missing(3, 7);
        let sender =
            SenderReport { incarnation: u64::MAX, tally, phases: vec![PhaseReport::default()] };
        let notice = Notice { incarnation: 1, up: false, at: 5 };
        let report = Report { senders: vec![sender], notices: vec![notice], ..Report::default() };
        let line = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&line).unwrap(), report, "{line}");
    }
}
