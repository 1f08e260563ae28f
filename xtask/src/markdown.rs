//! Tables in documents, between two lines that name the table.

use std::path::Path;

/// A row of a table.
pub fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// The rule between the head and the rows of a table.
pub fn rule(columns: usize) -> String {
    format!("|{}\n", "---|".repeat(columns))
}

/// A count with commas between thousands.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups = groups.map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

/// Replaces the text between `<!-- name: begin -->` and `<!-- name: end -->` by a function of the
/// old one; `None` if the text has no such lines.
fn within(text: &str, name: &str, new: impl FnOnce(&str) -> String) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (old, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{}{end}{after}", new(old)))
}

/// Replaces the table of this name in a document.
///
/// # Errors
/// If the file cannot be read or written, or has no such table.
pub fn write(path: &Path, name: &str, new: impl FnOnce(&str) -> String) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let text = within(&text, name, new).ok_or_else(|| {
        let path = path.display();
        format!("{path} has no lines `<!-- {name}: begin -->` and `<!-- {name}: end -->`")
    })?;
    std::fs::write(path, text).map_err(failed)
}

/// Updates a table: a new row replaces the old row with the same first two cells, or is appended.
pub fn updated(old: &str, new: &[String]) -> String {
    let key = |line: &str| {
        let mut cells = line.split(" | ").map(str::to_owned);
        (cells.next(), cells.next())
    };
    let mut lines = old.lines().map(|line| format!("{line}\n")).collect::<Vec<_>>();
    for new in new {
        match lines.iter_mut().find(|old| key(old) == key(new)) {
            Some(old) => old.clone_from(new),
            None => lines.push(new.clone()),
        }
    }
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_table_replaces_the_old_one_and_nothing_else() {
        let text = "a\n<!-- t: begin -->\nold\n<!-- t: end -->\nb\n";
        let new = within(text, "t", |old| format!("{old}new\n"));
        assert_eq!(new.as_deref(), Some("a\n<!-- t: begin -->\nold\nnew\n<!-- t: end -->\nb\n"));
        assert_eq!(within(text, "u", str::to_owned), None);
        assert_eq!(within("<!-- t: begin -->\n", "t", str::to_owned), None);
    }

    #[test]
    fn counts_have_commas_between_thousands() {
        let counts = [0, 999, 1_000, 12_345_678];
        assert_eq!(counts.map(grouped), ["0", "999", "1,000", "12,345,678"]);
    }

    #[test]
    fn a_row_replaces_the_one_with_the_same_first_two_cells() {
        let cells = |cells: [&str; 3]| line(&cells.map(str::to_owned));
        let (head, one, two) =
            (cells(["what", "who", "n"]), cells(["a", "x", "1"]), "| a | y | 2 |\n");
        let old = format!("{head}{}{one}{two}", rule(3));
        assert!(old.contains("|---|---|---|\n"));
        let (new, more) = (cells(["a", "x", "9"]), cells(["b", "x", "3"]));
        let updated = updated(&old, &[more.clone(), new.clone()]);
        assert_eq!(updated, format!("{head}{}{new}{two}{more}", rule(3)));
    }
}
