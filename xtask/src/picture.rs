//! The picture of the demo in README: runs the demo, and writes its output as SVG.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::Args;

use xtask::run::{build_release, root};

const PICTURE: &str = "docs/start/demo.svg";
/// Sizes in pixels, of a font whose characters are all equally wide.
const CHARACTER_WIDTH: f64 = 7.3;
const LINE_HEIGHT: usize = 18;
const MARGIN: usize = 16;
/// Columns of the picture; a longer line continues below.
const MAX_COLUMNS: usize = 108;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The program; without it `mailmesh-cli` is built in release.
    #[arg(long, value_name = "PATH")]
    bin: Option<PathBuf>,
}

/// Runs the demo and writes the picture.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let program = match &options.bin {
        Some(path) => path.clone(),
        None => build_release("mailmesh-cli", &[])?.pop().ok_or("no program was built")?,
    };
    let failed = |error: std::io::Error| format!("{}: {error}", program.display());
    let output = std::process::Command::new(&program)
        .arg("demo")
        .env("NO_COLOR", "1")
        .output()
        .map_err(failed)?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{} demo` failed: {}\n{log}", program.display(), output.status));
    }
    let path = root().join(PICTURE);
    let svg = svg("cargo demo", &String::from_utf8_lossy(&output.stdout));
    fs::write(&path, svg).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("wrote {PICTURE}");
    Ok(())
}

/// A terminal with a command and its output.
fn svg(command: &str, output: &str) -> String {
    let mut lines = vec![format!("$ {command}"), String::new()];
    lines.extend(output.lines().flat_map(wrapped));
    let width = (MAX_COLUMNS as f64 * CHARACTER_WIDTH) as usize + 2 * MARGIN;
    let height = lines.len() * LINE_HEIGHT + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>Output of `{command}`</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1b1f24\"/>\n\
         <g font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"12\" \
         fill=\"#d8dee4\" xml:space=\"preserve\">\n"
    );
    for (number, line) in lines.iter().enumerate() {
        let y = MARGIN + (number + 1) * LINE_HEIGHT - 4;
        let fill = match line.chars().next() {
            Some('✓') => " fill=\"#7ee787\"",
            Some('$') => " fill=\"#79c0ff\"",
            _ => "",
        };
        // Writing to a string does not fail.
        let _ = writeln!(svg, "<text x=\"{MARGIN}\" y=\"{y}\"{fill}>{}</text>", escaped(line));
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

/// The line in pieces of at most [`MAX_COLUMNS`] characters, cut between words where it can be.
fn wrapped(line: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for word in line.split_inclusive(' ') {
        let last = pieces.last().map_or(0, |piece| piece.chars().count());
        if last > 0 && last + word.trim_end().chars().count() > MAX_COLUMNS {
            pieces.push("  ".into());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push_str(word);
        }
    }
    pieces
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_each_line_and_no_markup_of_the_output() {
        let svg = svg("demo", "✓ a <b> & c\n\nstep   time\n");
        assert!(svg.contains("fill=\"#7ee787\">✓ a &lt;b&gt; &amp; c</text>"), "{svg}");
        assert!(svg.contains(">step   time</text>"), "{svg}");
        assert_eq!(svg.matches("<text").count(), 5);
    }

    #[test]
    fn a_long_line_continues_below() {
        let line = "word ".repeat(40);
        let pieces = wrapped(line.trim_end());
        assert_eq!(pieces.len(), 2);
        assert!(pieces.iter().all(|piece| piece.trim_end().chars().count() <= MAX_COLUMNS));
        assert_eq!(wrapped(""), [""]);
    }
}
