//! Output of the program. All functions except [`data`] escape control characters and bidirectional
//! overrides, because reasons, names and paths may come from other nodes or from lists.
//!
//! If the reader closes standard output (`| head`), the program exits silently with 0. The nodes of
//! a demo stop with it, because their standard input ends.

use std::fmt::Arguments;
use std::io::Write;

use mailmesh::{Printable, PrintableJson};
use serde_json::Value;

/// Prints a line on standard output.
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

/// Prints a text of several lines. The newlines must be the program's own.
pub(crate) fn lines(text: &str) {
    text.lines().for_each(|text| line(format_args!("{text}")));
}

/// Prints a line with colours. `before` and `after` are not escaped.
#[cfg(feature = "demo")]
pub(crate) fn coloured(before: &str, text: &str, after: &str) {
    write_or_exit(format_args!("{before}{}{after}", Printable(text)));
}

/// Prints a value as one line of JSON, with JSON escapes for unprintable characters.
pub(crate) fn json(value: &Value) {
    write_or_exit(format_args!("{}", PrintableJson(value)));
}

/// Prints data for another program, unescaped.
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
    let _no_reader = writeln!(anstream::stderr().lock(), "{}", Printable(line));
}

/// Prints a line on standard error after a bold label; `colour` is an SGR parameter (ECMA-48).
pub(crate) fn labelled(colour: u8, label: &str, text: &str) {
    let text = Printable(text);
    let _no_reader = writeln!(anstream::stderr().lock(), "\x1b[1;{colour}m{label}:\x1b[0m {text}");
}

/// Prints a line and ignores errors: a node runs on without a reader.
pub(crate) fn try_line(line: Arguments<'_>) {
    let _no_reader = writeln!(anstream::stdout().lock(), "{}", Printable(line));
}

/// Prints a value as one line of JSON and ignores errors, as [`try_line`].
pub(crate) fn try_json(value: &Value) {
    let _no_reader = writeln!(anstream::stdout().lock(), "{}", PrintableJson(value));
}
