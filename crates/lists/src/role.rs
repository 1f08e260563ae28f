//! The meaning of columns and keys, by their names.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::verdict::name_of;

/// The meaning of a column or key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Network,
    /// The first address of a range, or of a network with a mask.
    First,
    Last,
    /// A length of prefix, or a netmask.
    Mask,
    Reason,
    Origin,
    /// A moment, or a duration.
    Until,
    /// A duration.
    Lasts,
    Scope,
    /// The action: a ban, a captcha.
    Action,
    /// The kind of a decision: an action if there is a scope or a duration beside it.
    Kind,
    Simulated,
    /// An address that was attacked: no banned network.
    Destination,
    /// `from` and `to`: the bounds of a range, a source and a destination, or moments.
    From,
    To,
}

/// The rank of `source` among the names of an origin: the network, in a table without another.
pub(crate) const SOURCE_RANK: usize = 1;

/// The names of each role, those that count most first: in small letters, without signs and
/// accents.
const NAMES: [(Role, &[&str]); 14] = [
    (
        Role::Network,
        // One address before the network that it lies in: a table may have both.
        &[
            "value",
            "ip",
            "ipaddress",
            "ipaddr",
            "ipv4",
            "ipv6",
            "srcip",
            "sourceip",
            "src",
            "srcaddr",
            "srcaddress",
            "sourceaddress",
            "saddr",
            "clientip",
            "remoteip",
            "attackerip",
            "ipcidr",
            "cidr",
            "network",
            "address",
            "addr",
            "prefix",
            "ipprefix",
            "ipv4prefix",
            "ipv6prefix",
            "subnet",
            "net",
            "netblock",
            "netz",
            "netzwerk",
            "adresse",
            "ipadresse",
            "adresseip",
            "direccion",
            "direccionip",
            "indirizzo",
            "indirizzoip",
            "endereco",
            "enderecoip",
            "ipadres",
            "range",
            "iprange",
            HOST,
        ],
    ),
    (
        Role::First,
        &["start", "startip", "ipstart", "startaddress", "rangestart", "firstip", "ipfrom"],
    ),
    (Role::Last, &["end", "endip", "ipend", "endaddress", "rangeend", "lastip", "ipto"]),
    (Role::Mask, &["netmask", "mask", "prefixlength", "prefixlen", "masklength", "bits"]),
    (
        Role::Reason,
        &[
            "reason",
            "comment",
            "comments",
            "description",
            "scenario",
            "note",
            "notes",
            "sblid",
            "grund",
            "raison",
            "motif",
            "motivo",
            "category",
            "malware",
            "threat",
            "name",
            "tag",
            "tags",
            "message",
        ],
    ),
    (Role::Origin, &["origin", "source", "feed", "list", "reporter"]),
    (
        Role::Until,
        &[
            "expires",
            "expiry",
            "until",
            "expiration",
            "expiresat",
            "expireson",
            "expire",
            "expireat",
            "expireon",
            "expirationdate",
            "expirationtime",
            "expirydate",
            "expirytime",
            "expiredate",
            "expiretime",
            "expiresdate",
            "expirestime",
            "exp",
            "validuntil",
            "validto",
            "validtill",
            "validthru",
            "validthrough",
            "validtodate",
            "validtotime",
            "validuntildate",
            "till",
            "untildate",
            "ends",
            "endsat",
            "endson",
            "endat",
            "enddate",
            "endtime",
            "banneduntil",
            "blockeduntil",
            "banuntil",
            "blockuntil",
            "bannedtill",
            "blockedtill",
            "banend",
            "banends",
            "banexpires",
            "banexpiry",
            "banexpiration",
            "unbanat",
            "unbandate",
            "unbantime",
            "unblockat",
            "unblockdate",
            "removeat",
            "removeon",
            "removeafter",
            "deleteafter",
            "removedat",
            "deletedat",
            "revokedat",
            "unbannedat",
            "unblockedat",
            "expiredat",
            "endedat",
            // German.
            "bis",
            "ende",
            "ablauf",
            "ablaufdatum",
            "ablaufzeit",
            "lauftab",
            "lauftabam",
            "gultigbis",
            "gueltigbis",
            "gesperrtbis",
            "endet",
            "endetam",
            "enddatum",
            "verfallt",
            // French.
            "fin",
            "datefin",
            "datedefin",
            "jusquau",
            "jusqua",
            "jusque",
            "dateexpiration",
            "datedexpiration",
            "expirele",
            "valablejusquau",
            "validejusquau",
            "bloquejusquau",
            // Spanish.
            "caduca",
            "caducidad",
            "fechacaducidad",
            "fechadecaducidad",
            "vence",
            "vencimiento",
            "fechavencimiento",
            "fechadevencimiento",
            "expira",
            "expiracion",
            "fechaexpiracion",
            "fechadeexpiracion",
            "hasta",
            "validohasta",
            "fechafin",
            "fechadefin",
            // Italian.
            "scadenza",
            "scade",
            "scadeil",
            "datascadenza",
            "datadiscadenza",
            "fino",
            "finoa",
            "finoal",
            "validofinoal",
            "bloccatofinoal",
            "datafine",
            // Portuguese.
            "expiraem",
            "ate",
            "validade",
            "validoate",
            "vencimento",
            "datavencimento",
            "datadevencimento",
            "dataexpiracao",
            "expiracao",
            "termino",
            // Dutch, and others.
            "verloopt",
            "verlooptop",
            "vervalt",
            "vervaldatum",
            "geldigtot",
            "einde",
            "einddatum",
            "wygasa",
            "waznydo",
            "giltigtill",
            "udløber",
            "utløper",
            "utgar",
            "platnostdo",
        ],
    ),
    (
        Role::Lasts,
        &[
            "duration",
            "ttl",
            "timeout",
            "bantime",
            "lifetime",
            "expiresin",
            "expirein",
            "expiryin",
            "banduration",
            "blockduration",
            "durationseconds",
            "ttlseconds",
            "timeoutseconds",
            "timeleft",
            "timeremaining",
            "remaining",
            "secondsleft",
            "dauer",
            "sperrdauer",
            "restzeit",
            "duree",
            "duracion",
            "durata",
            "duracao",
            "duur",
        ],
    ),
    (Role::Scope, &["scope"]),
    (
        Role::Action,
        &[
            "action",
            "remediation",
            "verdict",
            "ruleaction",
            "aktion",
            "azione",
            "akcja",
            "accion",
            "acao",
            "actie",
        ],
    ),
    (Role::Kind, &["type"]),
    (Role::Simulated, &["simulated"]),
    (Role::From, &["from", "fromip", "fromaddress", "fromaddr"]),
    (Role::To, &["to", "toip", "toaddress", "toaddr"]),
];

/// A host that a request named, or another name of it: never beside an address.
const HOST: &str = "host";

/// Roles and ranks by name.
static BY_NAME: LazyLock<HashMap<&str, (Role, usize)>> = LazyLock::new(|| {
    let ranked = |(role, names): (Role, &'static [&str])| {
        names.iter().enumerate().map(move |(rank, name)| (*name, (role, rank)))
    };
    NAMES.into_iter().flat_map(ranked).collect()
});

/// The role of a name, and its rank among those of that role: the least counts. Case, spaces,
/// signs and accents do not matter.
pub(crate) fn role(name: &str) -> Option<(Role, usize)> {
    let name = name_of(name);
    if name.starts_with("dst") || name.starts_with("dest") {
        let is_address = !["port", "country", "host"].iter().any(|end| name.ends_with(end));
        return Some((Role::Destination, usize::from(!is_address)));
    }
    let without_zone = ["utc", "gmt"].into_iter().find_map(|zone| name.strip_suffix(zone));
    let of = |name: &str| BY_NAME.get(name).copied();
    of(&name).or_else(|| of(without_zone?).filter(|(role, _)| *role == Role::Until))
}

/// Whether the type of a value says that it is an address that is connected to.
pub(crate) fn is_destination(kind: &str) -> bool {
    let kind = name_of(kind);
    let known = ["ipdst", "dst", "destination", "targetip", "victim"];
    known.iter().any(|known| kind.starts_with(known))
}

/// Whether the rank of a network is that of a name of one family of addresses.
pub(crate) fn is_of_family(rank: usize) -> bool {
    network_name(rank).is_some_and(|name| name.starts_with("ipv"))
}

/// Whether the rank of a network is that of a host.
pub(crate) fn is_host(rank: usize) -> bool {
    network_name(rank) == Some(HOST)
}

fn network_name(rank: usize) -> Option<&'static str> {
    NAMES[0].1.get(rank).copied()
}

/// The likely meaning of a column or key without a role, as far as an end may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Its name says that it is an end.
    End,
    /// It names a moment in the past: of the first or last sight.
    Past,
    /// It names a moment without saying of what.
    Moment,
    /// It says nothing.
    Nothing,
}

/// The hint of the name of a column or key without a role.
pub(crate) fn hint(name: &str) -> Hint {
    const END: [&str; 16] = [
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
    ];
    const PAST: [&str; 36] = [
        "seen", "creat", "added", "opened", "insert", "first", "last", "start", "begin", "begun",
        "since", "report", "updat", "modif", "chang", "detect", "observ", "discover", "publish",
        "receiv", "import", "fetch", "issued", "register", "attack", "event", "erstellt",
        "angelegt", "geandert", "debut", "creado", "creacion", "inicio", "ajout", "inserito",
        "aggiunto",
    ];
    const PAST_WHOLE: [&str; 14] = [
        "asof",
        "seit",
        "von",
        "beginn",
        "alta",
        "desde",
        "depuis",
        "dal",
        "sinds",
        "from",
        "validfrom",
        "hit",
        "logged",
        "log",
    ];
    const MOMENT: [&str; 30] = [
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
    let name = name_of(name);
    let is_ttl = name.starts_with("ttl") || name.ends_with("ttl");
    if is_ttl || END.iter().any(|part| name.contains(part)) {
        return Hint::End;
    }
    if PAST_WHOLE.contains(&&*name) || PAST.iter().any(|part| name.contains(part)) {
        return Hint::Past;
    }
    // When it was blocked; if that is to come, it is something else.
    let since = ["banned", "blocked"].iter().find_map(|begin| name.strip_prefix(begin));
    let is_since = since.is_some_and(|rest| matches!(rest, "at" | "on" | "time" | "date"));
    if is_since || MOMENT.contains(&&*name) { Hint::Moment } else { Hint::Nothing }
}
