//! Lines that go on behind a backslash, joined.

use std::borrow::Cow;

use crate::MAX_LINE;
use crate::words::clean;

/// How a program joins lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joining {
    /// RouterOS drops the indent of the next line; a comment ends with its line.
    RouterOs,
    /// libwrap joins the lines as they are, comments as well (hosts_access(5)).
    HostsAccess,
}

/// A line joined with the lines that continue it.
pub(super) struct LogicalLine<'a> {
    pub(super) number: usize,
    pub(super) line: Cow<'a, str>,
    /// The number of lines behind the first.
    pub(super) continued: usize,
    pub(super) is_too_long: bool,
}

/// The logical lines of a text: a line that ends with a backslash continues on the next.
pub(super) fn logical_lines(text: &str, joining: Joining) -> impl Iterator<Item = LogicalLine<'_>> {
    let mut lines = (1..).zip(text.lines());
    std::iter::from_fn(move || {
        let (number, line) = lines.next()?;
        let line = clean(line);
        let mut logical =
            LogicalLine { number, line: Cow::Borrowed(line), continued: 0, is_too_long: false };
        if line.starts_with('#') && joining == Joining::RouterOs {
            return Some(logical);
        }
        let (mut joined, mut last) = (String::new(), line);
        while let Some(begin) = last.strip_suffix('\\') {
            let Some((_, next)) = lines.next() else {
                last = begin;
                break;
            };
            logical.continued += 1;
            logical.is_too_long |= joined.len() + begin.len() + next.len() > MAX_LINE;
            if !logical.is_too_long {
                joined.push_str(begin);
            }
            last = match joining {
                Joining::RouterOs => clean(next),
                Joining::HostsAccess => next.trim_end(),
            };
        }
        if logical.continued > 0 && !logical.is_too_long {
            joined.push_str(last);
            logical.line = Cow::Owned(joined);
        } else if logical.continued == 0 && joining == Joining::HostsAccess {
            logical.line = Cow::Borrowed(clean(last));
        }
        Some(logical)
    })
}
