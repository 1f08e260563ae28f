//! Names of columns and keys that say whether a network is blocked.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{name_of, with_name_of};

/// The question that a column or key answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Is the network blocked?
    Blocked,
    /// Is the network let in?
    Allowed,
    /// Has the entry ended?
    Ended,
    /// Is the entry in force?
    Active,
    /// The state of the entry, or the verdict on the network.
    Status,
    /// The kind of the entry; names of attacks occur here too.
    Kind,
    /// A text that may be a verdict.
    Reason,
    /// A probability of abuse.
    Score,
}

const NAMES: [(Asks, &[&str]); 8] = [
    (
        Asks::Blocked,
        &[
            "blocked",
            "isblocked",
            "banned",
            "isbanned",
            "block",
            "ban",
            "denied",
            "isdenied",
            "listed",
            "islisted",
            "malicious",
            "ismalicious",
            "gesperrt",
            "blockiert",
            "geblockt",
            "gebannt",
            "sperre",
            "bloque",
            "bloquee",
            "banni",
            "bloqueado",
            "bloqueada",
            "bloccato",
            "bloccata",
            "bannato",
            "zablokowany",
            "zablokowane",
            "geblokkeerd",
            "blockerad",
        ],
    ),
    (
        Asks::Allowed,
        &[
            "allowed",
            "isallowed",
            "allow",
            "permit",
            "permitted",
            "trusted",
            "istrusted",
            "benign",
            "isbenign",
            "exempt",
            "exempted",
            "falsepositive",
            "isfalsepositive",
            "safe",
            "issafe",
            "whitelist",
            "whitelisted",
            "iswhitelisted",
            "allowlist",
            "allowlisted",
            "isallowlisted",
            "erlaubt",
            "zugelassen",
            "freigegeben",
            "ausnahme",
            "freigabe",
            "autorisation",
            "autorise",
            "permitido",
            "consentito",
            "permesso",
            "toegestaan",
            "dozwolony",
            "dozwolone",
        ],
    ),
    (
        Asks::Ended,
        &[
            "deleted",
            "isdeleted",
            "removed",
            "isremoved",
            "disabled",
            "isdisabled",
            "inactive",
            "isinactive",
            "expired",
            "isexpired",
            "revoked",
            "isrevoked",
            "unbanned",
            "unblocked",
            "delisted",
            "isdelisted",
            "unlisted",
            "lifted",
            "geloscht",
            "entfernt",
            "aufgehoben",
            "deaktiviert",
            "abgelaufen",
            "supprime",
            "desactive",
            "eliminado",
            "desactivado",
            "rimosso",
            "disattivato",
            "scaduto",
            "entsperrt",
        ],
    ),
    (
        Asks::Active,
        &[
            "active",
            "valid",
            "isvalid",
            "inuse",
            "gultig",
            "enabled",
            "isactive",
            "isenabled",
            "inforce",
            "toids",
            "aktiv",
            "aktiviert",
            "sperreaktiv",
            "actif",
            "activo",
            "attivo",
            "ativo",
            "actief",
            "aktywny",
            "aktywne",
        ],
    ),
    (
        Asks::Status,
        &[
            "status",
            "state",
            "policy",
            "mode",
            "disposition",
            "classification",
            "decision",
            "result",
            "access",
            "listtype",
            "listname",
            "statut",
            "estado",
            "stato",
        ],
    ),
    (Asks::Kind, &["type", "kind", "list"]),
    (Asks::Reason, &["reason", "category", "tag", "tags", "comment", "note"]),
    (Asks::Score, &["abuseconfidencescore", "abuseconfidence", "confidencescore"]),
];

static BY_NAME: LazyLock<HashMap<&str, Asks>> = LazyLock::new(|| {
    NAMES.into_iter().flat_map(|(asks, names)| names.iter().map(move |n| (*n, asks))).collect()
});

/// The question that a column or key answers, by its name; `None` if it answers none.
pub(super) fn asks(name: &str) -> Option<Asks> {
    with_name_of(name, |name| BY_NAME.get(name).copied())
}

/// Whether a name may mean a state of a country, rather than the state of an entry.
pub(super) fn may_be_place(name: &str) -> bool {
    matches!(&*name_of(name), "state" | "estado" | "stato")
}

/// Whether a column or key says where a network is located.
pub(crate) fn is_place(name: &str) -> bool {
    let name = name_of(name);
    ["country", "city", "region", "geo", "land", "pays", "pais", "paese"]
        .iter()
        .any(|begin| name.starts_with(begin))
        || name == "cc"
}
