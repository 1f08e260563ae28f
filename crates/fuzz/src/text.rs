//! Text inputs: the configuration, and lines of the control socket.

use mailmesh_cli::protocol::{Answer, Request};
use mailmesh_transport::Coordinator;

/// Longest error report.
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
    // Clients send requests and nodes send answers; each side parses arbitrary lines.
    if let Ok(request) = Request::from_line(text) {
        let line = line(request.to_line());
        let encoded = Request::from_line(&line).expect("an encoded request can be parsed");
        assert_eq!(encoded.to_line().expect("a parsed request can be encoded"), line);
    }
    if let Ok(answer) = Answer::from_line(text) {
        // Fractions may lose their last bit, so the values are not compared. Real answers have
        // none.
        Answer::from_line(&line(answer.to_line())).expect("an encoded answer can be parsed");
    }
}

fn line(written: Result<String, impl std::fmt::Debug>) -> String {
    let line = written.expect("a parsed message can be encoded");
    assert!(line.ends_with('\n') && line.lines().count() == 1, "not a single line: {line}");
    line
}
