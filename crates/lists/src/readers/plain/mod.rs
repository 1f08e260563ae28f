//! Plain lines: one or more addresses, prefixes or ranges a line; a score behind a tab; start, end
//! and length as DShield writes them; a table of Postfix.

mod line;
mod postfix_table;

use mailmesh_events::Rule;

use crate::candidate::Candidate;
use crate::exception::excepted_in_line;
use crate::list::{List, Unit};
use crate::network::{is_addresses, is_length, network};
use crate::readers::comment::{COMMENTS, split_comment};
use crate::readers::section::{
    is_heading, names_blocks, refuse_brace, refuse_in_comment, refuse_section, section_name,
};
use crate::secret_key::mask_keys;
use crate::verdict::access_map::answered_rule;
use crate::verdict::means_no;
use crate::words::{clean, without_quotes, words};
use crate::{ListError, MAX_LINE, Reason, check_line};
use line::{MAX_WORDS, ParsedLine, parse_line};
use postfix_table::{JoinedLine, PostfixTable};

/// Properties of a list by which one of its lines affects others.
#[derive(Debug, Default)]
pub(crate) struct LineContext {
    /// The list as a table of Postfix.
    table: PostfixTable,
    /// The first line has unknown names.
    pub(crate) has_unknown_names: bool,
    /// The first line names columns, but none that is known to hold the network.
    pub(crate) lacks_network: bool,
}

pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    let mut context = LineContext { table: PostfixTable::of(text), ..LineContext::default() };
    let (mut is_conditional, mut has_begun) = (false, false);
    let mut lines = (1..).zip(text.lines()).peekable();
    while let Some((number, line)) = lines.next() {
        let line = clean(line);
        list.begin_unit();
        if list.skip_blank_or_comment(line, &COMMENTS) {
            refuse_in_comment(number, line, rule)?;
            list.end_unit();
            continue;
        }
        let first = words(line).next().unwrap_or_default();
        let is_end = first.eq_ignore_ascii_case("endif");
        let JoinedLine { line, continued } = match goes_on(line) {
            true => join_by_backslash(line, &mut lines),
            false => context.table.join(line, &mut lines),
        };
        let line = clean(&line);
        let is_head =
            section_name(line).is_some_and(names_blocks) || (!has_begun && is_heading(line));
        has_begun = has_begun || !(is_head && line.contains(':'));
        if let Err(why) = check_line(line) {
            list.refuse(number, why);
        } else if is_conditional || is_end || first.eq_ignore_ascii_case("if") {
            is_conditional = !is_end;
            list.refuse(number, "it depends on a condition (`if` of a table of Postfix)");
            context.table.shield(&mut list, line)?;
        } else if goes_on(line) {
            list.refuse(number, "it goes on in the next line (`\\`): write it as one");
            shield_excepted(&mut list, &mut context, line)?;
        } else {
            refuse_section(number, line, rule)?;
            refuse_brace(number, line)?;
            if is_head {
                list.leave_out(Reason::Frame);
                list.read_heading(line);
            } else {
                read_line(&mut list, &mut context, number, line)?;
            }
        }
        list.end_unit();
        list.count_continued(continued);
    }
    Ok(list)
}

/// Whether a line goes on in the next: it ends with a backslash that is not of a comment.
fn goes_on(line: &str) -> bool {
    split_comment(line).0.ends_with('\\')
}

/// Joins a line with the lines on which it goes on; the backslash at its end stays.
fn join_by_backslash<'a>(
    line: &'a str,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> JoinedLine<'a> {
    let (mut joined, mut continued) = (String::new(), 0);
    for (_, next) in lines {
        continued += 1;
        let next = clean(next);
        // A line past the limit is bad, whatever follows.
        if joined.len() <= MAX_LINE {
            joined.push(' ');
            joined.push_str(next.trim_end_matches('\\'));
        }
        if !next.ends_with('\\') {
            break;
        }
    }
    let line = line.trim_end_matches('\\');
    JoinedLine { line: format!("{line}{joined} \\").into(), continued }
}

/// Reads one line that is not a comment into the list.
pub(crate) fn read_line(
    list: &mut List,
    context: &mut LineContext,
    number: usize,
    line: &str,
) -> Result<(), ListError> {
    let (field, comment) = split_comment(line);
    let behind = line[field.len()..].trim_start_matches([';', '#', ' ', '\t']);
    let of_comment = clean(behind.split(';').next().unwrap_or_default());
    if is_length(of_comment) {
        list.refuse(
            number,
            format_args!("`{of_comment}` stands apart: write it behind the address"),
        );
        return Ok(());
    }
    if is_behind_semicolon(comment, line) {
        list.refuse(number, "behind `;` there are addresses: put each on a line of its own");
        return Ok(());
    }
    match parse_line(without_quotes(field)) {
        Ok(parsed_line) if !context.table.allows(&parsed_line.networks) => {
            list.refuse(number, "a line before it (`!`) decides outside of another network");
            Ok(())
        }
        Ok(parsed_line) if parsed_line.is_row && context.has_unknown_names => {
            list.refuse(number, UNKNOWN_NAMES);
            Ok(())
        }
        Ok(mut parsed_line) => {
            if let Some(score) = parsed_line.score {
                list.note_unused_number(number, score);
            }
            parsed_line.is_by_longest |= context.table.is_hash;
            add_line(list, number, parsed_line, comment)
        }
        Err(_) if context.table.is_of_host(field) => {
            list.leave_out(Reason::OtherScope);
            Ok(())
        }
        Err(why) => {
            // A fragment of a key cannot be recognised as one.
            let is_shown = mask_keys(line) == line;
            let hides = || "it cannot be read, and is not shown since it may hold a key".to_owned();
            list.refuse(number, if is_shown { why } else { hides() });
            context.has_unknown_names |= list.entries.is_empty() && names_columns(field);
            shield_excepted(list, context, field)
        }
    }
}

/// Whether a line that cannot be read may name the columns of the lines behind it.
fn names_columns(field: &str) -> bool {
    let mut words = words(field).take(MAX_WORDS);
    words.clone().count() > 1 && !words.any(|word| network(word).is_ok() || word.starts_with('!'))
}

/// Keeps the list from blocking the networks that a line allows, though it cannot be read.
fn shield_excepted(
    list: &mut List,
    context: &mut LineContext,
    field: &str,
) -> Result<(), ListError> {
    let rest: Vec<&str> = words(field).skip(1).take(2).collect();
    if answered_rule(&rest).is_none() {
        list.except_all_everywhere(&excepted_in_line(field, list.rule()))?;
    }
    context.table.shield(list, field)
}

/// The fault of several addresses on a line if the names in the first line are unknown.
pub(crate) const UNKNOWN_NAMES: &str = "it has several addresses, and the names in the first line \
                                        are not known: is one a destination?";

fn add_line(
    list: &mut List,
    line: usize,
    parsed_line: ParsedLine<'_>,
    comment: &str,
) -> Result<(), ListError> {
    if parsed_line.is_exception {
        // rbldnsd and Exim exclude the network, wherever in the list the line stands.
        list.leave_out(Reason::OtherAction);
        let mut networks = parsed_line.networks.iter();
        return networks.try_for_each(|parsed| list.except_everywhere(parsed.network));
    }
    if list.rule() == Rule::Allow && means_no(parsed_line.reason) {
        list.refuse(line, "its value may say that it is not let in: give those that are as a list");
        return Ok(());
    }
    if parsed_line.rule.is_some_and(|rule| rule != list.rule()) {
        list.leave_out(Reason::OtherAction);
        if parsed_line.is_by_longest {
            return list.except_all_by_longest_match(&parsed_line.networks);
        }
        // In Postfix the first match decides: later lines do not apply to these networks.
        let mut networks = parsed_line.networks.iter();
        return networks.try_for_each(|parsed| list.except_in_later_units(parsed.network));
    }
    let ParsedLine { networks, reason, ends, .. } = &parsed_line;
    let candidate = |reason| Candidate { reason, ends: *ends, ..Candidate::bare(line, networks) };
    if reason.is_empty() {
        return candidate(comment).add_if_meant(list);
    }
    if candidate(comment).refuse_opposite(list)? {
        return Ok(());
    }
    if parsed_line.rule.is_some() {
        // The text behind the answer of a mail server is for the client.
        candidate(reason).add(list)
    } else {
        candidate(reason).add_if_meant(list)
    }
}

/// Whether a `;` on the line separates addresses rather than beginning a comment.
fn is_behind_semicolon(comment: &str, line: &str) -> bool {
    line.find([';', '#']).is_some_and(|at| line[at..].starts_with(';')) && is_addresses(comment)
}
