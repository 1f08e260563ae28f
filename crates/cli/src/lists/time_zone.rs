//! The time zone of end times that have none.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mailmesh::UnixMillis;
use mailmesh::lists::List;

use crate::say::note;

/// A time zone and its name on the command line.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    rules: TimeZone,
    name: String,
}

/// Parses `--time-zone`: UTC, or a name of the IANA time zone database.
pub(crate) fn parse_zone(name: &str) -> Result<Zone, String> {
    let rules = match name {
        "UTC" | "utc" => Ok(TimeZone::UTC),
        name => TimeZone::get(name),
    };
    let unknown = "unknown time zone; use a name such as Europe/Berlin, or UTC; if that fails, \
                   install tzdata";
    let rules = rules.map_err(|_| unknown.to_owned())?;
    Ok(Zone { rules, name: name.to_owned() })
}

/// Interprets end times without a zone in `zone`, or in the zone of this host, and prints which.
pub(super) fn resolve_local_ends(file: &Path, zone: Option<&Zone>, list: &mut List) {
    let file = file.display();
    let (rules, zone_text) = match zone {
        Some(zone) => {
            (zone.rules.clone(), format!("the time zone {}, as `--time-zone` says", zone.name))
        }
        None => match TimeZone::try_system() {
            Ok(rules) => {
                let name = rules.iana_name().map(|name| format!(" ({name})")).unwrap_or_default();
                let zone_text =
                    format!("the time zone of this host{name}; `--time-zone` names another");
                (rules, zone_text)
            }
            Err(_) => {
                let zone_text = "UTC, because the time zone of this host is unknown; `--time-zone` \
                             names another";
                (TimeZone::UTC, zone_text.to_owned())
            }
        },
    };
    let count = list.in_zone(|local| to_utc(&rules, local));
    if count > 0 {
        note!("{file}: {count} end times are read in {zone_text}");
    }
}

/// Converts the reading of a clock in `zone`, encoded as if it were UTC. Of an hour that occurs
/// twice, the first is taken. A time that cannot be converted stays unchanged.
fn to_utc(zone: &TimeZone, local: UnixMillis) -> UnixMillis {
    let moved = || {
        let shown = Timestamp::from_millisecond(i64::try_from(local.0).ok()?).ok()?;
        let civil = TimeZone::UTC.to_datetime(shown);
        let moment = zone.to_ambiguous_timestamp(civil).compatible().ok()?;
        u64::try_from(moment.as_millisecond()).ok().map(UnixMillis)
    };
    moved().unwrap_or(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_are_converted_by_the_rules_of_their_zone() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let moved = |text: &str| {
            let local: Timestamp = text.parse().unwrap();
            let local = UnixMillis(u64::try_from(local.as_millisecond()).unwrap());
            to_utc(&berlin, local).to_string()
        };
        assert_eq!(moved("2026-01-15T12:00:00Z"), "2026-01-15T11:00:00Z");
        assert_eq!(moved("2026-07-15T12:00:00Z"), "2026-07-15T10:00:00Z");
        assert_eq!(moved("2026-10-25T02:30:00Z"), "2026-10-25T00:30:00Z", "this hour occurs twice");
        assert_eq!(to_utc(&berlin, UnixMillis(u64::MAX)), UnixMillis(u64::MAX));
        assert!(parse_zone("utc").is_ok());
        for unknown in ["Nowhere/Else", "UTC+2", "XXX+3"] {
            assert!(
                parse_zone(unknown).is_err(),
                "{unknown}: POSIX offsets have the opposite sign"
            );
        }
    }
}
