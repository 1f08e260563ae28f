//! The likely meaning of columns and keys without a role.

use crate::normal_name::normal_name;

/// Whether a column or key without a role may hold an end, judged by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// The name says that it is an end.
    End,
    /// The name says that it is a moment in the past, such as the first or last sighting.
    Past,
    /// The name says that the entry holds from this moment on.
    Begin,
    /// The name says that it is a moment, but not which.
    Moment,
    /// The name does not say.
    Nothing,
}

/// Parts of names that mean an end.
pub(crate) const END_PARTS: [&str; 24] = [
    "expir",
    "until",
    "caduc",
    "scadenz",
    "vencim",
    "ablauf",
    "duration",
    "bantime",
    "blocktime",
    "timeout",
    "lifetime",
    "validto",
    "validtil",
    "unban",
    "unblock",
    "remaining",
    "banend",
    "blockend",
    "lastvalid",
    "dauer",
    "duree",
    "duracion",
    "durata",
    "sperrzeit",
];

/// Names of ends.
const END_NAMES: [&str; 31] = [
    "frist",
    "sperrfrist",
    "deadline",
    "echeance",
    "hours",
    "minutes",
    "seconds",
    "days",
    "weeks",
    "months",
    "stunden",
    "minuten",
    "sekunden",
    "tage",
    "heures",
    "horas",
    "jours",
    "dias",
    "giorni",
    "period",
    "lease",
    "leasetime",
    "for",
    "daysleft",
    "validity",
    "validfor",
    "gultigkeit",
    "gultigkeitsdauer",
    "validite",
    "validez",
    "validita",
];
/// Parts of names of moments from which an entry holds.
const BEGIN_PARTS: [&str; 8] =
    ["start", "begin", "begun", "effective", "activefrom", "validfrom", "gultigab", "gueltigab"];
/// Names of moments from which an entry holds.
const BEGIN_NAMES: [&str; 18] = [
    "from",
    "von",
    "ab",
    "seit",
    "since",
    "beginn",
    "debut",
    "inicio",
    "inizio",
    "desde",
    "depuis",
    "dal",
    "sinds",
    "vanaf",
    "notbefore",
    "bannedfrom",
    "blockedfrom",
    "gesperrtab",
];
/// Parts of names of moments in the past.
const PAST_PARTS: [&str; 34] = [
    "version", "seen", "creat", "added", "opened", "insert", "first", "last", "since", "report",
    "updat", "modif", "chang", "detect", "observ", "discover", "publish", "receiv", "import",
    "fetch", "issued", "register", "attack", "event", "erstellt", "angelegt", "geandert", "debut",
    "creado", "creacion", "inicio", "ajout", "inserito", "aggiunto",
];
/// Parts of names of the moment at which an entry was made.
const CREATION_PARTS: [&str; 14] = [
    "creat", "added", "opened", "insert", "issued", "register", "erstellt", "angelegt", "creado",
    "creacion", "ajout", "inserito", "aggiunto", "since",
];
/// Names of moments and durations in the past.
const PAST_NAMES: [&str; 10] =
    ["asof", "alta", "hit", "logged", "log", "age", "alter", "uptime", "findtime", "latency"];
/// Names of moments that say no more.
const MOMENT_NAMES: [&str; 30] = [
    "date",
    "time",
    "datetime",
    "timestamp",
    "ts",
    "day",
    "when",
    "datum",
    "zeit",
    "zeitpunkt",
    "zeitstempel",
    "uhrzeit",
    "fecha",
    "fechahora",
    "hora",
    "heure",
    "dateheure",
    "data",
    "ora",
    "dataora",
    "horodatage",
    "tijd",
    "tijdstip",
    "jour",
    "dia",
    "giorno",
    "utc",
    "epoch",
    "unixtime",
    "moment",
];

/// Whether the name of a moment in the past says that the entry was made then.
pub(crate) fn is_creation(name: &str) -> bool {
    let name = normal_name(name);
    CREATION_PARTS.iter().any(|part| name.contains(part))
}

/// The hint from the name of a column or key without a role.
pub(crate) fn hint_of_name(name: &str) -> Hint {
    let name = normal_name(name);
    let is_ttl = name.starts_with("ttl")
        || ["ttl", "left", "bis", "hasta"].iter().any(|end| name.ends_with(end));
    if is_ttl || END_NAMES.contains(&&*name) || END_PARTS.iter().any(|part| name.contains(part)) {
        return Hint::End;
    }
    if BEGIN_NAMES.contains(&&*name) || BEGIN_PARTS.iter().any(|part| name.contains(part)) {
        return Hint::Begin;
    }
    if PAST_NAMES.contains(&&*name) || PAST_PARTS.iter().any(|part| name.contains(part)) {
        return Hint::Past;
    }
    // The moment of the block; if it is still to come, it is something else.
    let since = ["banned", "blocked", "ban", "block"].iter();
    let mut since = since.filter_map(|begin| name.strip_prefix(begin));
    let is_since = since.any(|rest| matches!(rest, "at" | "on" | "time" | "date" | "timestamp"))
        || matches!(name.as_str(), "timeofban" | "timeofblock" | "dateofban" | "dateofblock");
    if is_since || MOMENT_NAMES.contains(&&*name) { Hint::Moment } else { Hint::Nothing }
}
