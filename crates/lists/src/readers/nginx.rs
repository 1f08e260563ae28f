//! Access lists of nginx (ngx_http_access_module): `deny` and `allow` directives. The first match
//! decides.

use mailmesh_events::Rule;

use crate::candidate::Candidate;
use crate::list::{List, Unit};
use crate::network::network;
use crate::secret_key::excerpt;
use crate::words::clean;
use crate::{ListError, Reason};

/// Whether a line belongs to an access list.
pub(crate) fn is_directive(line: &str) -> bool {
    let statement = line.split_once(';').map(|(statement, _)| statement);
    let mut words = statement.unwrap_or_default().split_whitespace();
    let is_rule = matches!(words.next(), Some("deny" | "allow"));
    let is_address = |word: &str| word == "all" || word == "unix:" || network(word).is_ok();
    is_rule && words.next().is_some_and(is_address) && words.next().is_none()
}

pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    let mut is_decided = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = clean(line);
        list.begin_unit();
        if !list.skip_without_content(number, line, &["#"]) {
            let (statements, comment) = line.split_once('#').unwrap_or((line, ""));
            if statements.contains(['{', '}']) {
                let why = format!(
                    "line {number}: it has a `{{` or `}}`: the rules of a part of the server are \
                     no list; give the lines with `deny`"
                );
                return Err(ListError::NotThis { format: "access list of nginx", why });
            }
            read_statements(&mut list, &mut is_decided, (number, statements), comment)?;
        }
        list.end_unit();
    }
    Ok(list)
}

fn read_statements(
    list: &mut List,
    is_decided: &mut bool,
    (line, statements): (usize, &str),
    comment: &str,
) -> Result<(), ListError> {
    let mut rest = clean(statements);
    while !rest.is_empty() {
        let Some((statement, after)) = rest.split_once(';') else {
            list.refuse(line, format_args!("`{}` does not end with `;`", excerpt(rest)));
            return Ok(());
        };
        rest = clean(after);
        let (verb, value) = clean(statement).split_once([' ', '\t']).unwrap_or((statement, ""));
        let named = match verb {
            "deny" => Rule::Block,
            "allow" => Rule::Allow,
            _ => {
                list.refuse(
                    line,
                    format_args!("`{}` is neither `deny` nor `allow`", excerpt(verb)),
                );
                continue;
            }
        };
        let (is_ours, value) = (named == list.rule(), clean(value));
        if *is_decided {
            // An `allow all` or `deny all` before this statement has decided.
            list.leave_out(Reason::OtherAction);
        } else if value == "all" && is_ours {
            list.refuse(line, format_args!("`{verb} all` is no network"));
        } else if value == "all" {
            *is_decided = true;
            list.leave_out(Reason::OtherAction);
        } else if value == "unix:" {
            list.leave_out(Reason::OtherScope);
        } else {
            match network(value) {
                Ok(parsed) if is_ours => {
                    let reason = comment;
                    Candidate { reason, ..Candidate::bare(line, &[parsed]) }.add_if_meant(list)?;
                }
                Ok(parsed) => {
                    list.except_in_later_units(parsed.network)?;
                    list.leave_out(Reason::OtherAction);
                }
                Err(why) => list.refuse(line, why),
            }
        }
    }
    Ok(())
}
