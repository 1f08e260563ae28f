//! What the program prints. Each function but those for data escapes control characters and
//! overrides of direction: a reason, a name or a path may be of another node or of a list.
//!
//! A reader of standard output that has had enough (`| head`) ends the program quietly; the
//! nodes of a demo end with it, since their standard input does.

use std::fmt::Arguments;
use std::io::Write;

use mailmesh::{Printable, PrintableJson};
use serde_json::Value;

/// Prints a line.
macro_rules! say {
    ($($arg:tt)*) => { $crate::say::line(format_args!($($arg)*)) };
}

/// Prints a line on standard error.
macro_rules! note {
    ($($arg:tt)*) => { $crate::say::note_line(format_args!($($arg)*)) };
}

pub(crate) use {note, say};

pub(crate) fn line(line: Arguments<'_>) {
    write_or_exit(format_args!("{}", Printable(line)));
}

/// Prints lines that the program wrote itself: their ends stay.
pub(crate) fn lines(text: &str) {
    text.lines().for_each(|text| line(format_args!("{text}")));
}

/// Prints a line with colours: `before` and `after` are the program's own.
pub(crate) fn coloured(before: &str, text: &str, after: &str) {
    write_or_exit(format_args!("{before}{}{after}", Printable(text)));
}

/// Prints a value as a line of JSON, with what is unprintable escaped as JSON does.
pub(crate) fn json(value: &Value) {
    write_or_exit(format_args!("{}", PrintableJson(value)));
}

/// Prints data in the format of another program, as it is.
pub(crate) fn data(text: &str) {
    if std::io::stdout().lock().write_all(text.as_bytes()).is_err() {
        std::process::exit(0);
    }
}

fn write_or_exit(line: Arguments<'_>) {
    if writeln!(anstream::stdout().lock(), "{line}").is_err() {
        std::process::exit(0);
    }
}

pub(crate) fn note_line(line: Arguments<'_>) {
    let _nobody_reads = writeln!(anstream::stderr().lock(), "{}", Printable(line));
}

/// Prints a line on standard error, after a word in bold and this colour (SGR, ECMA-48).
pub(crate) fn labelled(colour: u8, label: &str, text: &str) {
    let text = Printable(text);
    let _nobody_reads =
        writeln!(anstream::stderr().lock(), "\x1b[1;{colour}m{label}:\x1b[0m {text}");
}

/// Prints a line of a node, which goes on whether it is read or not.
pub(crate) fn try_line(line: Arguments<'_>) {
    let _nobody_reads = writeln!(anstream::stdout().lock(), "{}", Printable(line));
}

/// Prints a value of a node as a line of JSON, likewise.
pub(crate) fn try_json(value: &Value) {
    let _nobody_reads = writeln!(anstream::stdout().lock(), "{}", PrintableJson(value));
}
