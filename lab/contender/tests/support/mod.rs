//! Starts two contenders and lets them exchange events.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};
use std::time::{Duration, Instant};

use mailmesh_contender::{Command, Report};

const EVENTS: u64 = 2_000;

/// A contender; killed and reaped when dropped.
struct Contender {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Contender {
    fn start(system: &[&str], name: &str, config: &str) -> Self {
        let mut program = Program::new(env!("CARGO_BIN_EXE_mailmesh-contender"));
        program.arg("--system").args(system).args(["--name", name, "--config", config]);
        let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    fn send(&mut self, command: &Command) {
        let line = serde_json::to_string(command).unwrap();
        writeln!(self.stdin, "{line}").unwrap();
    }

    fn wait_for(&mut self, what: &str, condition: impl Fn(&Report) -> bool) -> Report {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            self.send(&Command::Report { request: 7 });
            let mut line = String::new();
            self.stdout.read_line(&mut line).unwrap();
            let report: Report = serde_json::from_str(&line).unwrap();
            assert_eq!(report.request, 7);
            if condition(&report) {
                return report;
            }
            assert!(Instant::now() < deadline, "no {what}: {report:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A Zenoh configuration by which two processes find each other on the loopback.
#[allow(dead_code, reason = "not all tests are of Zenoh")]
pub(crate) fn scouting() -> String {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!(
        "{{ mode: 'peer', listen: {{ endpoints: ['tcp/127.0.0.1:0'] }}, \
         scouting: {{ multicast: {{ address: '224.0.0.224:{port}', interface: 'lo' }} }} }}"
    )
}

/// A loopback address that no TCP socket listens on now.
pub(crate) fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Two processes of a system, with these options, meet, ping, publish and part. The stream is
/// short, so that systems that drop events lose none.
pub(crate) fn exchange(system: &[&str], config: &str) {
    let mut a = Contender::start(system, "a", config);
    let mut b = Contender::start(system, "b", config);
    a.wait_for("member", |report| report.members == 1);
    b.wait_for("member", |report| report.members == 1);

    a.send(&Command::Ping { count: 3 });
    let pinged = a.wait_for("echo", |report| !report.busy && report.pings.count == 3);
    assert!(pinged.pings.p50 > 0 && pinged.pings.p50 <= pinged.pings.max);

    a.send(&Command::Publish { count: EVENTS, rate: 0 });
    a.wait_for("end of publishing", |report| !report.busy && report.published == EVENTS);
    let is_complete =
        |report: &Report| report.senders.iter().any(|s| s.tally.silent(1, EVENTS) == 0);
    let report = b.wait_for("events", is_complete);
    let tally = &report.senders[0].tally;
    assert_eq!((tally.delivered, tally.duplicates, tally.out_of_order), (EVENTS, 0, 0));

    a.send(&Command::Publish { count: 0, rate: 100 });
    a.wait_for("paced events", |report| report.published > EVENTS + 5);
    let incarnation = a.wait_for("its incarnation", |_| true).incarnation;
    a.send(&Command::Quit);
    let departure = b.wait_for("end of a", |report| report.members == 0);
    assert!(departure.notices.iter().any(|notice| notice.incarnation == incarnation && !notice.up));
    b.send(&Command::Quit);
    assert!(a.child.wait().unwrap().success() && b.child.wait().unwrap().success());
}
