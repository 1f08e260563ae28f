//! Names of columns and keys that say whether a network is blocked.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::normal_name::normal_name;

/// The question that a column or key answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
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

const NAMES: [(Question, &[&str]); 8] = [
    (
        Question::Blocked,
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
        Question::Allowed,
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
        Question::Ended,
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
            "released",
            "isreleased",
            "unban",
            "unblock",
            "freigeschaltet",
            "debloque",
            "debloquee",
            "desbloqueado",
            "desbloqueada",
            "sbloccato",
            "odblokowany",
            "gedeblokkeerd",
            // The entry, or its network, does not count.
            "ignore",
            "ignored",
            "isignored",
            "exclude",
            "excluded",
            "isexcluded",
            "skip",
            "skipped",
            "bypass",
            "bypassed",
            "ignorieren",
            "ignoriert",
            "ausgenommen",
            "ausgeschlossen",
        ],
    ),
    (
        Question::Active,
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
        Question::Status,
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
    (Question::Kind, &["type", "kind", "list", "reputation"]),
    (Question::Reason, &["reason", "category", "tag", "tags", "comment", "note"]),
    (Question::Score, &["abuseconfidencescore", "abuseconfidence", "confidencescore"]),
];

static BY_NAME: LazyLock<HashMap<&str, Question>> = LazyLock::new(|| {
    NAMES
        .into_iter()
        .flat_map(|(question, names)| names.iter().map(move |n| (*n, question)))
        .collect()
});

/// The question that a column or key answers, by its name; `None` if it answers none.
pub(super) fn question_of(name: &str) -> Option<Question> {
    BY_NAME.get(&*normal_name(name)).copied()
}

/// Whether a column or key of this name may hold a state or region of a country, rather than the
/// state of an entry.
pub(crate) fn may_be_state_of_country(name: &str) -> bool {
    matches!(&*normal_name(name), "state" | "estado" | "stato")
}

/// Whether a column or key says where a network is located.
pub(crate) fn is_place_name(name: &str) -> bool {
    let name = normal_name(name);
    ["country", "city", "region", "geo", "land", "pays", "pais", "paese"]
        .iter()
        .any(|begin| name.starts_with(begin))
        || name == "cc"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_its_own_normal_form() {
        for name in NAMES.iter().flat_map(|(_, names)| names.iter()) {
            assert_eq!(normal_name(name).as_str(), *name);
        }
    }
}
