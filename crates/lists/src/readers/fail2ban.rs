//! The output of `fail2ban-client`: `banned` (a Python list of dictionaries that map a jail to its
//! addresses), `get JAIL banned` (a Python list of addresses), `status JAIL` (a tree), and
//! `get JAIL banip --with-time` (one ban a line, with its end).

use mailmesh_events::Rule;

use crate::candidate::Candidate;
use crate::ends::date;
use crate::list::{List, Unit};
use crate::network::{ParsedNetwork, network};
use crate::secret_key::excerpt;
use crate::words::{bounded_line, clean, words};
use crate::{Ends, ListError, MAX_LINE, Reason};

const FORMAT: &str = "output of `fail2ban-client`";

pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    match clean(text).chars().next() {
        Some('[' | '{') => python(text, rule),
        _ => lines(text, rule),
    }
}

/// Whether a line belongs to a status, or is a ban with its end.
pub(crate) fn is_output_line(line: &str) -> bool {
    line == "Status"
        || line.starts_with("Status for the jail")
        || listed_addresses(line).is_some()
        || timed(line).is_some()
}

/// The addresses that a status lists.
fn listed_addresses(line: &str) -> Option<&str> {
    let at = line.find("Banned IP list:")?;
    Some(clean(&line[at + "Banned IP list:".len()..]))
}

/// The address and the end of a line that is a ban with its end.
fn timed(line: &str) -> Option<(&str, Result<Ends, String>)> {
    let (before, end) = line.rsplit_once('=')?;
    let (begin, lasts) = before.rsplit_once('+')?;
    let (address, begin) = clean(begin).split_once([' ', '\t'])?;
    date::parse_moment(begin)?;
    let lasts = clean(lasts).parse::<i64>().ok()?;
    if lasts < 0 {
        return Some((address, Ok(Ends::Never)));
    }
    let end = clean(end);
    let wrong = || format!("`{}` is no moment", excerpt(end));
    Some((address, date::parse_moment(end).map(Ends::Local).ok_or_else(wrong)))
}

fn lines(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    let mut jail = String::new();
    let mut has_moments = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = clean(line);
        list.begin_unit();
        if list.skip_without_content(number, line, &["#"]) {
            // `skip_without_content` counted the line.
        } else if let Some((_, name)) = line.split_once("Status for the jail:") {
            jail = bounded_line(name).into();
            list.leave_out(Reason::Frame);
        } else if let Some(addresses) = listed_addresses(line) {
            take(&mut list, number, addresses, &jail, Ends::Never)?;
        } else if line == "Status" || line.starts_with(['|', '`', '-']) {
            list.leave_out(Reason::Frame);
        } else if let Some((address, ends)) = timed(line) {
            if !has_moments {
                list.note(number, "the ends are of the time zone of the host that wrote them");
                (has_moments, list.has_host_time) = (true, true);
            }
            match ends {
                Ok(ends) => take(&mut list, number, address, &jail, ends)?,
                Err(why) => list.refuse(number, why),
            }
        } else {
            take(&mut list, number, line, &jail, Ends::Never)?;
        }
        list.end_unit();
    }
    Ok(list)
}

fn take(
    list: &mut List,
    line: usize,
    addresses: &str,
    jail: &str,
    ends: Ends,
) -> Result<(), ListError> {
    for address in words(addresses) {
        match network(address) {
            Ok(parsed) => ban(line, &[parsed], jail, ends).add(list)?,
            Err(why) => list.refuse(line, why),
        }
    }
    Ok(())
}

/// The ban of an address in a jail.
fn ban<'a>(line: usize, networks: &'a [ParsedNetwork], jail: &'a str, ends: Ends) -> Candidate<'a> {
    Candidate { line, networks, reason: jail, origin: "fail2ban", ends }
}

fn python(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Entry, rule);
    let mut reader = Reader { text, at: 0, counted: 0, line: 1 };
    reader.list('[', ']', &mut |reader| match reader.peek() {
        Some('{') => jails(reader, &mut list),
        _ => address(reader, &mut list, ""),
    })?;
    match reader.peek() {
        None => Ok(list),
        Some(_) => Err(reader.wrong("the end")),
    }
}

fn jails(reader: &mut Reader<'_>, list: &mut List) -> Result<(), ListError> {
    reader.list('{', '}', &mut |reader| {
        let jail = bounded_line(&reader.string()?);
        reader.expect(':')?;
        reader.list('[', ']', &mut |reader| address(reader, list, &jail))
    })
}

fn address(reader: &mut Reader<'_>, list: &mut List, jail: &str) -> Result<(), ListError> {
    let text = reader.string()?;
    let line = reader.line();
    list.begin_unit();
    match network(&text) {
        Ok(parsed) => ban(line, &[parsed], jail, Ends::Never).add(list)?,
        Err(why) => {
            let number = list.units;
            list.refuse(line, format_args!("entry {number}: {why}"));
        }
    }
    list.end_unit();
    Ok(())
}

/// Reads the part of Python syntax that the client prints: strings in lists and dictionaries.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The offset up to which lines were counted; `line` is the line there.
    counted: usize,
    line: usize,
}

impl Reader<'_> {
    /// Skips white space and returns the next character.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed.chars().next()
    }

    fn takes(&mut self, c: char) -> bool {
        let is_it = self.peek() == Some(c);
        if is_it {
            self.at += c.len_utf8();
        }
        is_it
    }

    fn expect(&mut self, c: char) -> Result<(), ListError> {
        if self.takes(c) { Ok(()) } else { Err(self.wrong(&format!("`{c}`"))) }
    }

    fn line(&mut self) -> usize {
        self.line += self.text[self.counted..self.at].matches('\n').count();
        self.counted = self.at;
        self.line
    }

    fn wrong(&mut self, expected: &str) -> ListError {
        let found = match self.peek() {
            Some('[' | '{') => "it is nested too deep there".to_owned(),
            Some(c) => format!("`{c}` is there"),
            None => "it ends there".to_owned(),
        };
        let why = format!("line {}: expected {expected}, but {found}", self.line());
        ListError::NotThis { format: FORMAT, why }
    }

    /// Reads items between brackets, separated by commas.
    fn list(
        &mut self,
        open: char,
        close: char,
        item: &mut dyn FnMut(&mut Self) -> Result<(), ListError>,
    ) -> Result<(), ListError> {
        self.expect(open)?;
        while !self.takes(close) {
            item(self)?;
            if !self.takes(',') {
                return self.expect(close);
            }
        }
        Ok(())
    }

    /// Reads a string in single or double quotes. The character behind a backslash is taken as
    /// written: names of jails need no other escapes.
    fn string(&mut self) -> Result<String, ListError> {
        let Some(quote @ ('\'' | '"')) = self.peek() else {
            return Err(self.wrong("a text in quotes"));
        };
        let begin = self.at + 1;
        let (mut text, mut is_escaped) = (String::new(), false);
        for (at, c) in self.text[begin..].char_indices() {
            if at > MAX_LINE {
                let (line, what) = (self.line(), "a text has more bytes");
                return Err(ListError::Limit { line, what, limit: MAX_LINE });
            }
            match c {
                '\\' if !is_escaped => {
                    is_escaped = true;
                    continue;
                }
                c if c == quote && !is_escaped => {
                    self.at = begin + at + 1;
                    return Ok(text);
                }
                c => text.push(c),
            }
            is_escaped = false;
        }
        self.at = self.text.len();
        Err(self.wrong("the end of a text in quotes"))
    }
}
