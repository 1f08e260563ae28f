//! Commands to a contender and its reports: JSON, one value a line.

use serde::{Deserialize, Serialize};

use crate::{Latency, PhaseReport, Tally};

/// Maximum number of notices kept; later ones are only counted.
pub const MAX_NOTICES: usize = 4096;

/// A command on the standard input of a contender. The process ends when its input ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Publish until `count` events have been published, or until [`Stop`](Self::Stop).
    Publish {
        /// Number of events; 0 for no end.
        count: u64,
        /// Events a second; 0 for as fast as possible.
        rate: u64,
    },
    /// Stop publishing.
    Stop,
    /// End the current phase and begin the next at this moment.
    Mark {
        /// The moment, in nanoseconds of [`now_ns`](crate::now_ns).
        at: u64,
    },
    /// Read at most `rate` events a second.
    Read {
        /// Events a second; 0 for no limit.
        rate: u64,
    },
    /// Publish an event, wait until it is sent back, pause a millisecond; `count` times.
    Ping {
        /// Number of round trips.
        count: u64,
    },
    /// Answer with a [`Report`].
    Report {
        /// Number of the request, repeated in the report.
        request: u64,
    },
    /// Leave in good order and exit.
    Quit,
}

/// The report of a contender, one line for each request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Number of the request.
    pub request: u64,
    /// This incarnation of the process.
    pub incarnation: u64,
    /// Other processes that this process sees.
    pub members: usize,
    /// Events published so far.
    pub published: u64,
    /// Whether the process still publishes or pings.
    pub busy: bool,
    /// Times of all round trips.
    pub pings: Latency,
    /// Events received from each other incarnation.
    pub senders: Vec<SenderReport>,
    /// Processes that joined or left, in order.
    pub notices: Vec<Notice>,
    /// Notices beyond [`MAX_NOTICES`].
    pub notices_dropped: u64,
    /// Frames, messages and changes refused for any reason; 0 for systems that refuse nothing.
    pub refused: u64,
    /// Frames retransmitted; 0 for systems without retransmission.
    pub retransmitted_frames: u64,
    /// Entries of the mirror; 0 for systems without one.
    pub entries: u64,
}

/// Events received from one incarnation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderReport {
    /// The sender.
    pub incarnation: u64,
    /// Counts over the whole run.
    pub tally: Tally,
    /// Counts of each phase.
    pub phases: Vec<PhaseReport>,
}

/// A process joined or left, as another process saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The incarnation that joined or left.
    pub incarnation: u64,
    /// Whether it joined.
    pub up: bool,
    /// The moment, in nanoseconds of [`now_ns`](crate::now_ns).
    pub at: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_reports_survive_a_round_trip_through_json() {
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
