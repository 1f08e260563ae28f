//! Log fields that cannot forge lines or control a terminal.

use std::fmt;

use mailmesh_events::Escaper;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};

/// Formats fields and message of a log line with control characters and direction overrides
/// escaped, like [`Printable`](crate::Printable). So text of another node cannot forge a line or
/// control a terminal. tracing-subscriber 0.3.23 escapes some of these characters in messages and
/// errors, and none in a field such as `%name`.
///
/// ```
/// let lines = tracing_subscriber::fmt::layer().fmt_fields(mailmesh::PrintableFields);
/// # use tracing_subscriber::prelude::*;
/// let _subscriber = tracing_subscriber::registry().with(lines);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct PrintableFields;

impl<'w> FormatFields<'w> for PrintableFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut escaper = Escaper(writer);
        DefaultFields::new().format_fields(Writer::new(&mut escaper), fields)
    }
}

#[cfg(test)]
mod tests {
    use mailmesh_events::is_unprintable;
    use tracing_subscriber::prelude::*;

    use super::*;
    use crate::test_log::Lines;
    use crate::{Coordinator, EventError};

    #[test]
    fn no_field_message_error_or_span_breaks_a_line_or_controls_a_terminal() {
        let evil = "a\u{1b}[2J\u{9b}b\u{202e}\u{2028}\r\nFORGED\0\u{e}";
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(PrintableFields)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("span", name = %evil);
            let _in = span.enter();
            let error = EventError::Value { why: evil.into() };
            let source: &(dyn std::error::Error + 'static) = &error;
            tracing::warn!(name = %evil, debug = ?evil, text = evil, %error, source, "message \
                {evil}");
        });
        let text = lines.text();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(!text.trim_end().contains(is_unprintable), "{text:?}");
        assert_eq!(text.matches("FORGED").count(), 7, "{text}");
        assert_eq!(text.matches("\\nFORGED").count(), 7, "{text}");
    }

    /// The transport shares no crate with the events, so it has its own escaper.
    #[test]
    fn a_configuration_error_escapes_the_characters_that_events_do() {
        for c in (0..=0x2100).chain(0xd7f0..0x11000).filter_map(char::from_u32) {
            let config = format!("{{'@type': 'Zenoh', config: '{{}}', 'a {c} b': 1}}");
            let error = Coordinator::parse(&config).unwrap_err().to_string();
            assert!(!error.contains(is_unprintable), "{c:?}: {error}");
        }
    }
}
