//! The time zone of ends that have none.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mailmesh::UnixMillis;
use mailmesh::lists::List;
use mailmesh::secrets::path_words;

use super::Import;
use crate::say::note;

/// A time zone, and what it was called.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    rules: TimeZone,
    name: String,
}

/// A zone as an argument names it.
pub(crate) fn zone(name: &str) -> Result<Zone, String> {
    let rules = match name {
        "UTC" | "utc" => Ok(TimeZone::UTC),
        name => TimeZone::get(name),
    };
    let unknown = "this host knows no time zone of that name; write one like Europe/Berlin, or UTC; if \
                   that fails, install tzdata";
    let rules = rules.map_err(|_| unknown.to_owned())?;
    Ok(Zone { rules, name: name.to_owned() })
}

/// Puts the ends of a list that have no zone into the zone asked for, and says so. Without one it
/// is UTC, or that of this host for a list of a program that prints the time of its host.
pub(super) fn settle(options: &Import, list: &mut List) {
    let file = path_words(&options.file);
    let system = list.has_host_time.then(TimeZone::try_system);
    let changes = "`--time-zone` changes that";
    let (rules, words) = match (&options.time_zone, system) {
        (Some(zone), _) => (zone.rules.clone(), format!("in {}, as `--time-zone` says", zone.name)),
        (None, None) => (TimeZone::UTC, format!("as UTC; {changes}")),
        (None, Some(Ok(rules))) => {
            let name = rules.iana_name().map(|name| format!(" ({name})")).unwrap_or_default();
            let words = format!("in the time zone of this host{name}; {changes}");
            (rules, words)
        }
        (None, Some(Err(_))) => {
            let words = format!("as UTC, since the time zone of this host is not known; {changes}");
            (TimeZone::UTC, words)
        }
    };
    match list.in_zone(|local| to_utc(&rules, local)) {
        0 => {}
        1 => note!("{file}: 1 end without a zone: read {words}"),
        count => note!("{file}: {count} ends without a zone: read {words}"),
    }
}

/// A moment of a clock in `zone`, given as if it were one of UTC. An hour that comes twice is taken
/// as the first of both; a moment that cannot be moved stays.
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
    fn a_local_moment_is_moved_by_the_rules_of_its_zone() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let moved = |text: &str| {
            let local: Timestamp = text.parse().unwrap();
            let local = UnixMillis(u64::try_from(local.as_millisecond()).unwrap());
            to_utc(&berlin, local).to_string()
        };
        assert_eq!(moved("2026-01-15T12:00:00Z"), "2026-01-15T11:00:00Z");
        assert_eq!(moved("2026-07-15T12:00:00Z"), "2026-07-15T10:00:00Z");
        assert_eq!(moved("2026-10-25T02:30:00Z"), "2026-10-25T00:30:00Z", "it comes twice");
        assert_eq!(to_utc(&berlin, UnixMillis(u64::MAX)), UnixMillis(u64::MAX));
        assert!(zone("utc").is_ok());
        for unknown in ["Nowhere/Else", "UTC+2", "XXX+3"] {
            assert!(zone(unknown).is_err(), "{unknown}: the sign of POSIX is the other way round");
        }
    }
}
