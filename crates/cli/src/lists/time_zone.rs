//! The time zone of end times that have none.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mailmesh::UnixMillis;
use mailmesh::lists::List;
use mailmesh::secrets::display_path;

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

/// Interprets end times without a zone in `zone` and prints which was used. Without `zone` that is
/// UTC, or the zone of this host for a list of a program that prints the time of its host.
pub(super) fn resolve_local_ends(file: &Path, zone: Option<&Zone>, list: &mut List) {
    let file = display_path(file);
    let system = list.has_host_time.then(TimeZone::try_system);
    let changes = "`--time-zone` changes that";
    let (rules, zone_text) = match (zone, system) {
        (Some(zone), _) => (zone.rules.clone(), format!("in {}, as `--time-zone` says", zone.name)),
        (None, None) => (TimeZone::UTC, format!("as UTC; {changes}")),
        (None, Some(Ok(rules))) => {
            let name = rules.iana_name().map(|name| format!(" ({name})")).unwrap_or_default();
            let zone_text = format!("in the time zone of this host{name}; {changes}");
            (rules, zone_text)
        }
        (None, Some(Err(_))) => {
            let zone_text =
                format!("as UTC, because the time zone of this host is unknown; {changes}");
            (TimeZone::UTC, zone_text)
        }
    };
    match list.in_zone(|local| to_utc(&rules, local)) {
        0 => {}
        1 => note!("{file}: 1 end without a zone: read {zone_text}"),
        count => note!("{file}: {count} ends without a zone: read {zone_text}"),
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
