//! Tables in text (RFC 4180), with commas, semicolons, tabs or vertical bars between the columns:
//! network, reason and end, unless a first line or a comment before it names others.

mod columns;
mod rows;
mod separator;

use std::time::Duration;

use mailmesh_events::{Network, Rule};

use crate::column::role_of_name;
use crate::ends::date::is_date;
use crate::ends::{BareNumber, may_be_end, parse_end};
use crate::exception::excepted;
use crate::list::{List, Unit};
use crate::network::{ParsedNetwork, is_addresses, is_length, network, network_of_pair, networks};
use crate::readers::p2p::may_be_level_or_score;
use crate::readers::plain::{Table, UNKNOWN_NAMES, take_line};
use crate::readers::section::{is_heading, refuse_in_comment, refuse_section};
use crate::record::{except_all, push, push_meant};
use crate::secret_key::excerpt;
use crate::verdict::{is_block_word, is_verdict_name, means_no, means_not_blocked};
use crate::words::{clean, is_number};
use crate::{Ends, ListError, NEVER, Reason};
use columns::Columns;
use rows::{Row, RowKind, Rows};
pub(crate) use separator::separator;

pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    let mut rows = Rows::new(text, separator(text).unwrap_or(b','));
    let mut row = Row::new();
    let mut columns = Columns::default();
    let mut commented = None;
    let mut has_begun = false;
    let mut table = Table::default();
    while let Some((line, lines, kind)) = rows.next(&mut row) {
        match kind {
            RowKind::Blank => list.leave_out_unit(Reason::Blank),
            RowKind::Frame => list.leave_out_unit(Reason::Frame),
            RowKind::Comment(comment) => {
                refuse_in_comment(line, comment, rule)?;
                // A comment before the first row may name the columns.
                if !has_begun && let Some(named) = Columns::named_in(comment, rows.separator()) {
                    commented = Some(named);
                }
                list.leave_out_unit(Reason::Comment);
            }
            RowKind::Bad(why) => {
                list.refuse_unit(line, why);
                has_begun = true;
            }
            RowKind::Row(text)
                if !has_begun && clean(text).contains(':') && is_heading(clean(text)) =>
            {
                // A line of metadata before the names of the columns.
                refuse_section(line, clean(text), rule)?;
                list.leave_out_unit(Reason::Frame);
            }
            RowKind::Row(text) => {
                list.begin_unit();
                let named = (!has_begun).then(|| Columns::named(row.fields())).flatten();
                if let (false, Some(named)) = (has_begun, commented.take())
                    && named.count() == row.fields().count()
                {
                    columns = named;
                }
                let is_first = !std::mem::replace(&mut has_begun, true);
                if let Some(named) = named {
                    columns = named;
                    list.leave_out(Reason::Frame);
                    if let Some(unused) = columns.unused(row.fields()) {
                        list.note(line, unused);
                    }
                } else if row.fields().all(|field| clean(field).is_empty()) {
                    list.leave_out(Reason::Blank);
                } else {
                    let mut filled = row.fields().map(clean).filter(|field| !field.is_empty());
                    let (first, second) = (filled.next(), filled.next());
                    let alone = first.filter(|_| second.is_none()).unwrap_or(clean(text));
                    refuse_section(line, alone, rule)?;
                    let has_names = is_first && !row.fields().any(|field| networks(field).is_ok());
                    table.has_unknown_names |= has_names;
                    table.lacks_network |= has_names && has_other_names(&row);
                    take(&mut list, line, (&row, text), &columns, &mut table)?;
                }
                list.end_unit();
            }
        }
        list.count_continued(lines.saturating_sub(1));
    }
    Ok(list)
}

fn take(
    list: &mut List,
    line: usize,
    (row, text): (&Row, &str),
    columns: &Columns,
    table: &mut Table,
) -> Result<(), ListError> {
    if !columns.is_named() {
        return unnamed(list, line, (row, text), table);
    }
    let record = columns.record(|at| row.get(at));
    if columns.has_end_from(row.fields().count()) {
        list.refuse(line, "it has fewer columns than the first line names: its end is cut off");
        return Ok(());
    }
    let extra = row.fields().skip(columns.count()).find(|field| !clean(field).is_empty());
    let mut behind = row.fields().skip(columns.count());
    if extra.is_some() && (!columns.ends_with_reason() || behind.any(is_date)) {
        list.refuse(line, "it has more columns than the first line names; is a quote missing?");
        return Ok(());
    }
    record.take(list, line)
}

/// Reads a row of a table without column names: network, reason, end; or addresses alone.
fn unnamed(
    list: &mut List,
    line: usize,
    (row, text): (&Row, &str),
    table: &mut Table,
) -> Result<(), ListError> {
    let mut fields = row.fields().map(clean).filter(|field| !field.is_empty()).peekable();
    let first = row.get(0).map_or("", clean);
    let mut read: Vec<ParsedNetwork> = match networks(first) {
        Ok(networks) => networks,
        // Plain lists contain commas too, in comments or between addresses.
        Err(_) => return take_line(list, table, line, clean(text)),
    };
    if table.lacks_network && row.fields().count() > 1 {
        list.refuse(line, NO_NETWORK);
        return Ok(());
    }
    if table.has_unknown_names && row.fields().skip(1).any(is_addresses) {
        list.refuse(line, UNKNOWN_NAMES);
        return Ok(());
    }
    if row.fields().skip(1).any(is_addresses) {
        let filled = row.fields().map(clean).filter(|field| !field.is_empty());
        let all: Vec<&str> = filled.take(3).collect();
        if let [first, second] = *all
            && let Some(parsed) = network_of_pair(first, second)
        {
            return match parsed {
                Ok(parsed) => push(list, line, &[parsed], "", "", Ends::Never),
                Err(why) => {
                    list.refuse(line, why);
                    Ok(())
                }
            };
        }
        let all: Result<Vec<Vec<ParsedNetwork>>, String> = fields.by_ref().map(networks).collect();
        match all {
            Ok(all) => {
                read = all.into_iter().flatten().collect();
                return push(list, line, &read, "", "", Ends::Never);
            }
            Err(_) => {
                let why = "several addresses and other columns: name the columns in the first line";
                list.refuse(line, why);
                return Ok(());
            }
        }
    }
    let (mut reason, mut until) = (row.get(1).map_or("", clean), row.get(2).map_or("", clean));
    if is_length(reason) {
        return with_length(list, line, row, (first, reason));
    }
    if table.has_unknown_names && [reason, until].iter().any(|text| is_number(text)) {
        list.refuse(line, "it has a number, and the names in the first line are not known");
        return Ok(());
    }
    if may_be_level_or_score(first, reason) {
        let why = format!(
            "`{}` may be a score, or an access level of eMule: name the columns in the first line, \
             or give the format `p2p`",
            excerpt(reason)
        );
        list.refuse(line, why);
        return Ok(());
    }
    let taken_out: Vec<Network> = row.fields().skip(1).flat_map(excepted_field).collect();
    if !taken_out.is_empty() {
        list.refuse(
            line,
            "it names an exception behind its network: write it as a line, `!` before",
        );
        return except_all(list, &taken_out);
    }
    if list.rule() == Rule::Allow && means_no(reason) {
        list.refuse(line, "its value may say that it is not let in: name the columns");
        return Ok(());
    }
    if is_block_word(reason) && list.rule() == Rule::Allow {
        list.leave_out(Reason::NotABan);
        return Ok(());
    }
    if means_not_blocked(reason) && list.rule() == Rule::Block {
        for parsed in &read {
            list.except_by_longest_match(parsed.network)?;
        }
        list.leave_out(Reason::NotABan);
        return Ok(());
    }
    // `ip|jail|start|duration` of fail2ban's database; count and last sighting of StopForumSpam.
    let lasts = row.get(3).map_or("", clean);
    let moment = parse_end(until, BareNumber::Moment).ok().filter(|ends| *ends != Ends::Never);
    if let (Some(start @ (Ends::At(_) | Ends::Local(_))), Ok(lasts)) =
        (moment, lasts.parse::<i64>())
    {
        if !text.contains('|') {
            let why = "a moment and a number may be end and count, or start and duration: name \
                       the columns in the first line";
            list.refuse(line, why);
            return Ok(());
        }
        let lasts = u64::try_from(lasts).map(Duration::from_secs);
        let ends = lasts.map_or(Ends::Never, |lasts| match start {
            Ends::Local(start) => Ends::Local(start.plus(lasts)),
            start => Ends::At(start.moment(NEVER).unwrap_or(NEVER).plus(lasts)),
        });
        return push_meant(list, line, &read, reason, "", ends);
    }
    if moment.is_some() && is_number(reason) {
        let why = "a number and a moment may be anything: name the columns in the first line";
        list.refuse(line, why);
        return Ok(());
    }
    // A small number in a column without a name is a score, neither a reason nor an end.
    if is_number(reason) {
        list.note_unused_number(line, reason);
        reason = "";
    } else if until.is_empty() && may_be_end(reason) {
        (reason, until) = ("", reason);
    }
    if let Some(date) = row.fields().skip(3).find(|field| is_date(field)) {
        let why = format!("`{}` may be its end: name the columns in the first line", excerpt(date));
        list.refuse(line, why);
        return Ok(());
    }
    let until = match parse_end(until, BareNumber::Moment) {
        Err(_) if is_number(until) => {
            list.note_unused_number(line, until);
            Ends::Never
        }
        Err(why) => {
            list.refuse(line, why);
            return Ok(());
        }
        Ok(ends) => ends,
    };
    if row.fields().skip(3).any(|field| !clean(field).is_empty()) {
        list.note_for_all_rows(line, "columns without a name beyond the third are not used");
    }
    push_meant(list, line, &read, reason, "", until)
}

/// The networks that a field behind the first excludes (`!192.0.2.9`).
fn excepted_field(field: &str) -> Vec<Network> {
    if clean(field).starts_with(['!', '~']) { excepted(field) } else { Vec::new() }
}

/// The fault of a row if the first line names columns, but none for the network.
const NO_NETWORK: &str =
    "no column of the first line is known to hold the network: name that one `ip`";

/// Whether the first line names columns, but none that is known to hold the network.
fn has_other_names(row: &Row) -> bool {
    let is_known = |name: &str| role_of_name(name).is_some() || is_verdict_name(name);
    row.fields().filter(|field| !clean(field).is_empty()).count() > 1 && row.fields().any(is_known)
}

/// Reads a row of network, prefix length and reason.
fn with_length(
    list: &mut List,
    line: usize,
    row: &Row,
    (first, length): (&str, &str),
) -> Result<(), ListError> {
    match network(&format!("{first}{length}")) {
        _ if row.fields().skip(3).any(|field| !clean(field).is_empty()) => {
            list.refuse(line, "a length and other columns: name the columns in the first line");
            Ok(())
        }
        Ok(parsed) => push(list, line, &[parsed], row.get(2).map_or("", clean), "", Ends::Never),
        Err(why) => {
            list.refuse(line, why);
            Ok(())
        }
    }
}
