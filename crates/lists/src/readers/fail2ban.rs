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
        Some('[' | '{') => read_python(text, rule),
        _ => read_lines(text, rule),
    }
}

/// Whether a line belongs to a status, or is a ban with its end.
pub(crate) fn is_output_line(line: &str) -> bool {
    line == "Status"
        || line.starts_with("Status for the jail")
        || listed_addresses(line).is_some()
        || timed_ban(line).is_some()
}

/// The addresses that a status lists.
fn listed_addresses(line: &str) -> Option<&str> {
    let at = line.find("Banned IP list:")?;
    Some(clean(&line[at + "Banned IP list:".len()..]))
}

/// A line of `banip --with-time`.
struct TimedBan<'a> {
    address: &'a str,
    ends: Result<Ends, String>,
}

/// A line that is a ban with its end: `ADDRESS BEGIN + SECONDS = END`.
fn timed_ban(line: &str) -> Option<TimedBan<'_>> {
    let (before, end) = line.rsplit_once('=')?;
    let (begin, lasts) = before.rsplit_once('+')?;
    let (address, begin) = clean(begin).split_once([' ', '\t'])?;
    date::parse_moment(begin)?;
    let lasts = clean(lasts).parse::<i64>().ok()?;
    if lasts < 0 {
        return Some(TimedBan { address, ends: Ok(Ends::Never) });
    }
    let end = clean(end);
    let fault = || format!("`{}` is no moment", excerpt(end));
    let ends = date::parse_moment(end).map(Ends::Local).ok_or_else(fault);
    Some(TimedBan { address, ends })
}

fn read_lines(text: &str, rule: Rule) -> Result<List, ListError> {
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
            add_addresses(&mut list, number, addresses, &jail, Ends::Never)?;
        } else if line == "Status" || line.starts_with(['|', '`', '-']) {
            list.leave_out(Reason::Frame);
        } else if let Some(TimedBan { address, ends }) = timed_ban(line) {
            if !has_moments {
                list.note(number, "the ends are of the time zone of the host that wrote them");
                (has_moments, list.has_host_time) = (true, true);
            }
            match ends {
                Ok(ends) => add_addresses(&mut list, number, address, &jail, ends)?,
                Err(why) => list.refuse(number, why),
            }
        } else {
            add_addresses(&mut list, number, line, &jail, Ends::Never)?;
        }
        list.end_unit();
    }
    Ok(list)
}

fn add_addresses(
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

fn read_python(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Entry, rule);
    let mut reader = PythonReader { text, at: 0, counted: 0, line: 1 };
    reader.list('[', ']', &mut |reader| match reader.peek() {
        Some('{') => read_jails(reader, &mut list),
        _ => read_address(reader, &mut list, ""),
    })?;
    match reader.peek() {
        None => Ok(list),
        Some(_) => Err(reader.unexpected("the end")),
    }
}

fn read_jails(reader: &mut PythonReader<'_>, list: &mut List) -> Result<(), ListError> {
    reader.list('{', '}', &mut |reader| {
        let jail = bounded_line(&reader.string()?);
        reader.expect(':')?;
        reader.list('[', ']', &mut |reader| read_address(reader, list, &jail))
    })
}

fn read_address(
    reader: &mut PythonReader<'_>,
    list: &mut List,
    jail: &str,
) -> Result<(), ListError> {
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
struct PythonReader<'a> {
    text: &'a str,
    at: usize,
    /// The offset up to which lines were counted; `line` is the line there.
    counted: usize,
    line: usize,
}

impl PythonReader<'_> {
    /// Skips white space and returns the next character.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed.chars().next()
    }

    /// Skips a character, if it is the next; gives whether it is.
    fn skip(&mut self, c: char) -> bool {
        let is_next = self.peek() == Some(c);
        if is_next {
            self.at += c.len_utf8();
        }
        is_next
    }

    fn expect(&mut self, c: char) -> Result<(), ListError> {
        if self.skip(c) { Ok(()) } else { Err(self.unexpected(&format!("`{c}`"))) }
    }

    fn line(&mut self) -> usize {
        self.line += self.text[self.counted..self.at].matches('\n').count();
        self.counted = self.at;
        self.line
    }

    fn unexpected(&mut self, expected: &str) -> ListError {
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
        while !self.skip(close) {
            item(self)?;
            if !self.skip(',') {
                return self.expect(close);
            }
        }
        Ok(())
    }

    /// Reads a string in single or double quotes. The character behind a backslash is taken as
    /// written: names of jails need no other escapes.
    fn string(&mut self) -> Result<String, ListError> {
        let Some(quote @ ('\'' | '"')) = self.peek() else {
            return Err(self.unexpected("a text in quotes"));
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
        Err(self.unexpected("the end of a text in quotes"))
    }
}
