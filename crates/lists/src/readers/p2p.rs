//! Range lists of file-sharing programs: `name:first-last` (PeerGuardian), and
//! `first - last , level , name` (eMule's `ipfilter.dat`).

use std::net::{IpAddr, Ipv4Addr};

use mailmesh_events::Rule;

use crate::candidate::Candidate;
use crate::list::{List, Unit};
use crate::network::{ParsedNetwork, networks_of_range};
use crate::secret_key::excerpt;
use crate::words::clean;
use crate::{ListError, Reason};

/// Ranges with this access level or a higher one are let in.
const MIN_PERMITTED_LEVEL: u32 = 127;

pub(crate) fn read(text: &str, rule: Rule) -> Result<List, ListError> {
    let mut list = List::new(Unit::Line, rule);
    for (number, line) in (1..).zip(text.lines()) {
        let line = clean(line);
        list.begin_unit();
        if !list.skip_without_content(number, line, &["#", ";", "//"]) {
            match parse_line(line) {
                Ok(RangeLine { level, .. })
                    if (level >= MIN_PERMITTED_LEVEL) == (rule == Rule::Block) =>
                {
                    list.leave_out(Reason::OtherAction);
                }
                Ok(RangeLine { networks, name, .. }) => {
                    Candidate { reason: name, ..Candidate::bare(number, &networks) }
                        .add_if_meant(&mut list)?
                }
                Err(why) => list.refuse(number, why),
            }
        }
        list.end_unit();
    }
    Ok(list)
}

/// Whether a line is in one of these formats. A range with a number behind it must be written as
/// eMule does, with leading zeros or with spaces around the commas.
pub(crate) fn is_range_line(line: &str) -> bool {
    let is_named = line.rsplit_once(':').is_some_and(|(_, range)| bounds_of(range).is_some());
    let fields: Vec<&str> = line.splitn(3, ',').collect();
    let [first, level, _] = *fields else { return is_named };
    let is_level = clean(level).parse::<u8>().is_ok() && bounds_of(first).is_some();
    let mut numbers = first.split(['.', '-', ' ']).chain([clean(level)]);
    let is_padded = numbers.any(|number| number.len() > 1 && number.starts_with('0'));
    is_named || (is_level && (is_padded || (first.ends_with(' ') && level.ends_with(' '))))
}

/// Whether a number behind a range, without column names, means the opposite as an access level
/// and as a score.
pub(crate) fn may_be_level_or_score(range: &str, number: &str) -> bool {
    let level = number.parse::<f64>();
    bounds_of(range).is_some()
        && level.is_ok_and(|level| !(1.0..f64::from(MIN_PERMITTED_LEVEL)).contains(&level))
}

/// A line of such a list.
struct RangeLine<'a> {
    networks: Vec<ParsedNetwork>,
    level: u32,
    name: &'a str,
}

fn parse_line(line: &str) -> Result<RangeLine<'_>, String> {
    if let Some((name, range_text)) = line.rsplit_once(':')
        && let Some((first, last)) = bounds_of(range_text)
    {
        return Ok(RangeLine { networks: networks_of_range(first, last)?, level: 0, name });
    }
    let mut fields = line.splitn(3, ',');
    let (first, level) = (fields.next().unwrap_or_default(), fields.next().map_or("0", clean));
    let name = fields.next().map_or("", clean);
    let (first, last) = bounds_of(first)
        .ok_or_else(|| format!("`{}` is not a range of addresses", excerpt(first)))?;
    let level = level.parse().map_err(|_| format!("`{}` is no access level", excerpt(level)))?;
    Ok(RangeLine { networks: networks_of_range(first, last)?, level, name })
}

fn bounds_of(text: &str) -> Option<(IpAddr, IpAddr)> {
    let (first, last) = text.split_once('-')?;
    Some((parse_padded(clean(first))?, parse_padded(clean(last))?))
}

/// An address whose numbers may have leading zeros: these programs write them in decimal.
fn parse_padded(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse().ok();
    }
    let mut octets = [0_u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next().filter(|part| (1..=3).contains(&part.len()))?;
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets).into())
}
