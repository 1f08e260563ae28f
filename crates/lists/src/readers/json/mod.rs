//! JSON: one object a line, or a value that holds a list of networks, of records or of CrowdSec
//! alerts, or the sets of nftables.

mod addresses;
mod container;
mod enclosing;
mod exported;
mod keys;
mod layout;
mod nested_end;
mod nested_verdict;
mod nft;
mod spans;

use std::collections::HashSet;

use mailmesh_events::Rule;

use crate::column::{Role, RoleName};
use crate::exception::excepted;
use crate::exported::RULE;
use crate::list::{List, Unit};
use crate::record::Record;
use crate::secret_key::excerpt;
use crate::words::clean;
use crate::{Ends, ListError, MAX_DEPTH, MAX_LINE, Reason};
use enclosing::{Enclosing, Verdict};
use keys::Keys;
pub(crate) use layout::{has_apostrophe_outside_of_strings, has_object_a_line};
use spans::{items, members, text_of};

const FORMAT: &str = "list in JSON";

/// Reads one object a line.
pub(crate) fn read_lines(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    for (number, line) in (1..).zip(text.lines()) {
        let line = clean(line);
        list.begin_unit();
        if list.skip_without_content(number, line, &["#"]) {
            // `skip_without_content` counted the line.
        } else if let Err(error) =
            check_bounds(line).map_err(|error| error.to_string()).and_then(|()| check_syntax(line))
        {
            list.refuse(number, format_args!("not an object of JSON: {error}"));
        } else if line.starts_with('{') {
            let mut walk = Walk::new(&mut list, line, number, false);
            walk.item(line, AlertContext::default())?;
        } else {
            list.refuse(number, "not an object of JSON");
        }
        list.end_unit();
    }
    list.note_unused_keys();
    Ok(list)
}

fn check_syntax(text: &str) -> Result<(), String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(|_| ()).map_err(|e| e.to_string())
}

/// Reads one value, or several values one after the other.
pub(crate) fn read_value(text: &str, rule: Rule) -> Result<List, ListError> {
    check_bounds(text)?;
    let mut list = List::new(Unit::Entry, rule);
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let mut begin = 0;
    let mut is_any = false;
    while let Some(value) = values.next() {
        value.map_err(|error| ListError::NotThis { format: FORMAT, why: error.to_string() })?;
        let end = values.byte_offset();
        let value = clean(&text[begin..end]);
        begin = end;
        is_any = true;
        let mut walk = Walk::new(&mut list, text, 1, true);
        walk.locate(value);
        walk.outermost(value)?;
    }
    list.note_unused_keys();
    if is_any {
        return Ok(list);
    }
    Err(ListError::NotThis { format: FORMAT, why: "it is empty".to_owned() })
}

/// Checks that the strings and the nesting of a JSON text are in bounds: the parser copies the
/// strings, and recurses into the nesting.
fn check_bounds(text: &str) -> Result<(), ListError> {
    let (mut line, mut depth, mut string, mut is_escaped) = (1, 0_usize, None, false);
    for (at, byte) in text.bytes().enumerate() {
        line += usize::from(byte == b'\n');
        match (string, byte) {
            (Some(begin), _) if at - begin > MAX_LINE => {
                let what = "a text has more bytes";
                return Err(ListError::Limit { line, what, limit: MAX_LINE });
            }
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), b'\\') => is_escaped = true,
            (Some(_), b'"') => string = None,
            (Some(_), _) => {}
            (None, b'"') => string = Some(at + 1),
            (None, b'[' | b'{') if depth == MAX_DEPTH => {
                let what = "it is nested deeper";
                return Err(ListError::Limit { line, what, limit: MAX_DEPTH });
            }
            (None, b'[' | b'{') => depth += 1,
            (None, b']' | b'}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    Ok(())
}

/// The properties of an alert that apply to all its decisions.
#[derive(Debug, Clone, Copy, Default)]
struct AlertContext {
    is_in_alert: bool,
    is_simulated: bool,
}

/// Walks through a value and adds its entries to the list.
struct Walk<'a> {
    list: &'a mut List,
    text: &'a str,
    /// The offset up to which lines were counted; `line` is the line there.
    at: usize,
    line: usize,
    /// Each entry is counted on its own; otherwise the whole line is one unit.
    is_unit: bool,
    /// The statements of the enclosing objects about the entries.
    enclosing: Enclosing,
}

impl<'a> Walk<'a> {
    fn new(list: &'a mut List, text: &'a str, line: usize, is_unit: bool) -> Self {
        Self { list, text, at: 0, line, is_unit, enclosing: Enclosing::default() }
    }

    /// Sets `line` to the line of a part of the text; the caller passes parts in order.
    fn locate(&mut self, part: &'a str) {
        let at = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        if let Some(passed) = self.text.as_bytes().get(self.at..at) {
            self.line += passed.iter().filter(|byte| **byte == b'\n').count();
            self.at = at;
        }
    }

    fn outermost(&mut self, value: &'a str) -> Result<(), ListError> {
        match value.as_bytes().first() {
            Some(b'[') => {
                items(value).try_for_each(|item| self.entry(item, AlertContext::default()))
            }
            Some(b'{') => self.outermost_object(value),
            _ if value == "null" => Ok(()),
            _ => Err(ListError::NotThis {
                format: FORMAT,
                why: "it is neither a list nor an object".to_owned(),
            }),
        }
    }

    /// Reads an entry that is counted on its own, or an alert whose decisions are counted.
    fn entry(&mut self, item: &'a str, context: AlertContext) -> Result<(), ListError> {
        self.locate(item);
        let is_alert =
            !context.is_in_alert && decisions(item).is_some() && repeated_key(item).is_none();
        if is_alert {
            return self.item(item, context);
        }
        if self.is_unit {
            self.list.begin_unit();
        }
        let before = self.list.entries.len();
        match self.enclosing.verdict.clone() {
            None => self.item(item, context)?,
            Some(Verdict::LeftOut(reason)) => self.list.leave_out(reason),
            Some(Verdict::Unclear(why)) => self.refuse(&why),
        }
        for entry in self.list.entries.iter_mut().skip(before) {
            if entry.ends == Ends::Never {
                entry.ends = self.enclosing.ends;
            }
        }
        if self.is_unit {
            self.list.end_unit();
        }
        Ok(())
    }

    /// Reads a network, a record, or an alert with its decisions.
    fn item(&mut self, item: &'a str, context: AlertContext) -> Result<(), ListError> {
        match item.as_bytes().first() {
            Some(b'"') => return self.network(item),
            Some(b'{') => {}
            _ => {
                self.refuse("it is neither an object nor a text");
                return Ok(());
            }
        }
        if let Some(key) = repeated_key(item) {
            self.refuse(&format!("it has the key `{}` twice", excerpt(&key)));
            return Ok(());
        }
        if !context.is_in_alert
            && let Some(decisions) = decisions(item)
        {
            return self.alert(item, decisions);
        }
        if item.len() > MAX_RECORD {
            self.refuse(&format!("it has more than {MAX_RECORD} bytes, the limit"));
            return Ok(());
        }
        self.record(item, context)
    }

    /// Reads a string: a network, or an exception (`"!192.0.2.7"`).
    fn network(&mut self, string: &str) -> Result<(), ListError> {
        let text = text_of(string).unwrap_or_default();
        let is_signed = clean(&text).starts_with(['!', '~']);
        let excepted = if is_signed { excepted(&text) } else { Vec::new() };
        if !excepted.is_empty() {
            self.list.leave_out(Reason::OtherAction);
            return self.list.except_all_everywhere(&excepted);
        }
        let mut record = Record::default();
        record.set(RoleName::first(Role::Network), &text);
        record.add_to(self.list, self.line)
    }

    fn alert(&mut self, alert: &'a str, decisions: &'a str) -> Result<(), ListError> {
        if decisions == "null" || items(decisions).next().is_none() {
            // An alert without a decision counts as one entry.
            return self.without_decision();
        }
        let context = AlertContext { is_in_alert: true, is_simulated: is_simulated(alert) };
        let before = self.enclosing.clone();
        self.enclosing.add(alert, self.list.rule());
        if matches!(self.enclosing.verdict, Some(Verdict::LeftOut(Reason::Simulated))) {
            // The context already marks each decision as simulated.
            self.enclosing.verdict = None;
        }
        let result = items(decisions).try_for_each(|decision| self.entry(decision, context));
        self.enclosing = before;
        result
    }

    fn without_decision(&mut self) -> Result<(), ListError> {
        if self.is_unit {
            self.list.leave_out_unit(Reason::OtherAction);
        } else {
            self.list.leave_out(Reason::OtherAction);
        }
        Ok(())
    }

    fn refuse(&mut self, why: &str) {
        let fault = self.fault(why);
        self.list.refuse(self.line, fault);
    }

    /// A fault with the number of its entry, if entries are counted.
    fn fault(&self, why: &str) -> String {
        if self.is_unit { format!("entry {}: {why}", self.list.units) } else { why.to_owned() }
    }

    fn record(&mut self, item: &'a str, context: AlertContext) -> Result<(), ListError> {
        let keys = match Keys::of(item, self.list) {
            Ok(keys) => keys,
            Err(why) => {
                self.refuse(&why);
                return Ok(());
            }
        };
        let mut record = Record::default();
        if context.is_simulated {
            // The first text of a role counts: the alert wins over the decision.
            record.set(RoleName::first(Role::Simulated), "true");
        }
        keys.add_to(&mut record);
        let mark = exported::mark_of(item, self.list.rule(), self.line)?;
        match mark {
            Some(mark) if exported::has_all_fields(item) => record.set_export(mark),
            Some(_) if exported::is_endless(item) => record.set_endless(),
            _ => {}
        }
        let is_of_addresses = [Role::Destination, Role::From, Role::To];
        if !record.names_network() && !is_of_addresses.iter().any(|role| record.has(*role)) {
            if keys.is_metadata {
                self.list.leave_out(Reason::Frame);
            } else if keys.is_autonomous_system {
                // Spamhaus publishes autonomous systems in a separate list.
                self.list.leave_out(Reason::OtherScope);
            } else {
                self.refuse("it has no `cidr`, `network`, `ip` or `value`");
            }
            return Ok(());
        }
        let is_used = |key: &&String| mark.is_none() || *key != RULE;
        keys.unused.iter().filter(is_used).for_each(|key| self.list.add_unused_key(self.line, key));
        if !keys.score_notes.is_empty() {
            self.list.note_for_all_rows(self.line, &keys.score_notes.join("; "));
        }
        let before = self.list.bad.len();
        record.add_to(self.list, self.line)?;
        if let (true, Some(bad)) = (self.is_unit, self.list.bad.get_mut(before)) {
            bad.why = format!("entry {}: {}", self.list.units, bad.why);
        }
        Ok(())
    }
}

/// Upper bound on the bytes of a record: room for one text as long as any line.
const MAX_RECORD: usize = 2 * MAX_LINE;

/// A key that an object has twice: one of the two values would be lost.
fn repeated_key(item: &str) -> Option<String> {
    let mut keys = HashSet::new();
    members(item).filter_map(|(key, _)| text_of(key).ok()).find(|key| !keys.insert(key.clone()))
}

/// The decisions of an alert.
fn decisions(item: &str) -> Option<&str> {
    let mut decisions =
        members(item).filter(|(key, _)| text_of(key).is_ok_and(|k| k == "decisions"));
    decisions.next().map(|(_, value)| value).filter(|v| v.starts_with('[') || *v == "null")
}

fn is_simulated(item: &str) -> bool {
    members(item)
        .any(|(key, value)| text_of(key).is_ok_and(|k| k == "simulated") && value == "true")
}
