//! Texts that people and programs write: the configuration, and lines of the control socket.

use mailmesh_cli::protocol::{Answer, Request};
use mailmesh_transport::Coordinator;

/// Longest report of an error, in bytes.
const MAX_REPORT_BYTES: usize = 16 << 10;

pub(crate) fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Coordinator::parse(text) {
        Ok(coordinator) => {
            let explained = coordinator.explain();
            let is_line = |line: &str| !line.is_empty() && !line.contains(char::is_control);
            assert!(explained.lines().all(is_line), "{explained}");
            for warning in coordinator.warnings() {
                assert!(!warning.to_string().is_empty());
            }
        }
        Err(error) => {
            let shown = error.kind().to_string();
            assert!(!shown.is_empty() && !shown.contains(char::is_control), "{shown}");
            let report = error.report();
            assert!(
                !report.is_empty() && report.len() < MAX_REPORT_BYTES,
                "{} bytes",
                report.len()
            );
        }
    }
}

pub(crate) fn control(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A client sends the one, a node the other; each reads what it is given.
    if let Ok(request) = Request::from_line(text) {
        let line = line(request.to_line());
        let again = Request::from_line(&line).expect("it was just written");
        assert_eq!(again.to_line().expect("once more"), line);
    }
    if let Ok(answer) = Answer::from_line(text) {
        // Not always to the last bit of a number with a fraction: no answer of ours has one.
        Answer::from_line(&line(answer.to_line())).expect("it was just written");
    }
}

fn line(written: Result<String, impl std::fmt::Debug>) -> String {
    let line = written.expect("what was read can be written");
    assert!(line.ends_with('\n') && line.lines().count() == 1, "a line is one: {line}");
    line
}
