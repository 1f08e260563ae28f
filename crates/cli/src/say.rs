//! Standard output. A reader that has had enough (`| head`) ends the program
//! quietly; the nodes of a demo end with it, since their standard input does.

use std::fmt::Arguments;
use std::io::Write;

/// Prints a line.
macro_rules! say {
    ($($arg:tt)*) => { $crate::say::line(format_args!($($arg)*)) };
}

pub(crate) use say;

pub(crate) fn line(line: Arguments<'_>) {
    if writeln!(anstream::stdout().lock(), "{line}").is_err() {
        std::process::exit(0);
    }
}

/// Prints a line of a node, which goes on whether it is read or not.
pub(crate) fn try_line(line: Arguments<'_>) {
    let _nobody_reads = writeln!(anstream::stdout().lock(), "{line}");
}
