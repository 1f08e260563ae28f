//! The words by which a reason says the opposite of its list, in the languages of
//! [`vocabulary`](super::vocabulary).

use std::collections::HashMap;
use std::sync::LazyLock;

use super::vocabulary::{Word, verdict_word};

/// The meaning of a word within a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Negation,
    /// A negation that may also follow its verb (`sperren nicht`).
    NegationBehind,
    /// `no`: it negates the next word only.
    No,
    Past,
    /// The end of something: of a block, if one is near.
    Ended,
    /// The end of a block.
    Lifted,
    /// The end of a permission.
    Revoked,
    /// A verb that ends what it takes away.
    Removal,
    /// A state of being blocked.
    Blocked,
    /// A verb or noun of blocks, which may be about something else.
    BlockVerb,
    /// A state of being let in.
    Allowance,
    /// A verb that lets in, which may be about something else.
    AllowVerb,
    Harmless,
    Filler,
    Other,
}

impl Meaning {
    pub(super) fn is_block(self) -> bool {
        matches!(self, Self::Blocked | Self::BlockVerb)
    }

    pub(super) fn is_allowance(self) -> bool {
        matches!(self, Self::Allowance | Self::AllowVerb)
    }
}

/// Words whose meaning differs from that of a verdict, or that are no verdicts.
const WORDS: [(Meaning, &[&str]); 14] = [
    (
        Meaning::Negation,
        &[
            "not",
            "never",
            "dont",
            "doesnt",
            "isnt",
            "cannot",
            "cant",
            "wont",
            "shouldnt",
            "mustnt",
            "arent",
            "nie",
            "niemals",
            "nimmer",
            "kein",
            "keine",
            "keinen",
            "keiner",
            "keinesfalls",
            "ne",
            "pas",
            "jamais",
            "nest",
            "nunca",
            "jamas",
            "non",
            "nao",
            "nigdy",
            "nooit",
            "geen",
            "aldrig",
            "aldri",
            "ej",
        ],
    ),
    (Meaning::NegationBehind, &["nicht", "niet", "ikke", "inte"]),
    (Meaning::No, &["no"]),
    (
        Meaning::Past,
        &[
            "was",
            "were",
            "formerly",
            "former",
            "previously",
            "war",
            "waren",
            "ehemals",
            "ehemalige",
            "fruher",
            "vormals",
            "etait",
            "etaient",
            "anciennement",
            "precedemment",
            "estaba",
            "estuvo",
            "anteriormente",
            "previamente",
            "era",
            "precedentemente",
            "estava",
            "byl",
            "byla",
            "voorheen",
            "used",
        ],
    ),
    (
        Meaning::Lifted,
        &[
            "lifted",
            "delisted",
            "unlisted",
            "unban",
            "unbanned",
            "unblock",
            "unblocked",
            "aufgehoben",
            "entsperren",
            "entsperrt",
            "entbannt",
            "debloquer",
            "debloque",
            "debloquee",
            "desbloquear",
            "desbloqueado",
            "sblocca",
            "sbloccare",
            "sbloccato",
            "odblokuj",
            "odblokowany",
            "deblokkeren",
            "gedeblokkeerd",
        ],
    ),
    (Meaning::Revoked, &["revoked", "withdrawn", "widerrufen", "entzogen", "revoque"]),
    (Meaning::Ended, &["over", "cancelled", "canceled", "vorbei", "levee", "terminado"]),
    (
        Meaning::Removal,
        &[
            "remove",
            "lift",
            "delete",
            "revoke",
            "aufheben",
            "entfernen",
            "loschen",
            "lever",
            "supprimer",
            "quitar",
            "eliminar",
            "rimuovere",
            "remover",
            "usun",
            "verwijderen",
        ],
    ),
    (
        Meaning::Allowance,
        &[
            "excluded",
            "ausgenommen",
            "exclu",
            "excluido",
            "escluso",
            "uitgezonderd",
            "wykluczony",
            "fehlalarm",
            "falsepositive",
        ],
    ),
    (
        Meaning::AllowVerb,
        &[
            "allow",
            "permit",
            "trust",
            "ignore",
            "ignored",
            "exclude",
            "bypass",
            "exempt",
            "ignorieren",
            "ignoriert",
            "ignorer",
            "ignorar",
            "ignorare",
            "ignoruj",
            "negeren",
            "ausschliessen",
            "exclure",
            "excluir",
            "escludere",
            "erlauben",
            "zulassen",
            "freigeben",
            "gestatten",
            "autoriser",
            "permettre",
            "permis",
            "permitir",
            "autorizar",
            "consentire",
            "consentir",
            "consenti",
            "permettere",
            "permetti",
            "autorizza",
            "toestaan",
            "zezwol",
            "zezwalaj",
            "pozwol",
            "tillat",
            "tillad",
        ],
    ),
    (
        Meaning::BlockVerb,
        &[
            "ban",
            "bans",
            "banning",
            "block",
            "blocks",
            "blocking",
            "deny",
            "drop",
            "reject",
            "refuse",
            "blacklist",
            "blocklist",
            "denylist",
            "sperren",
            "sperre",
            "sperrung",
            "blockieren",
            "blockade",
            "blocken",
            "bannen",
            "bann",
            "bloquer",
            "blocage",
            "bannissement",
            "bannir",
            "interdire",
            "refuser",
            "rejeter",
            "bloquear",
            "bloqueo",
            "bloqueio",
            "denegar",
            "rechazar",
            "prohibir",
            "negar",
            "rejeitar",
            "blocca",
            "bloccare",
            "blocco",
            "nega",
            "rifiuta",
            "rifiutare",
            "vieta",
            "blokuj",
            "blokowac",
            "blokada",
            "zablokuj",
            "odrzuc",
            "zabron",
            "blokkeren",
            "blokkeer",
            "blokkade",
            "weigeren",
            "blockera",
            "bloker",
        ],
    ),
    // No verdicts within a sentence: `accepted`, `good`, `listed`.
    (
        Meaning::Other,
        &[
            "ok",
            "accept",
            "accepted",
            "pass",
            "passed",
            "skip",
            "relay",
            "grant",
            "granted",
            "bad",
            "black",
            "listed",
            "akzeptieren",
            "accepter",
            "accepte",
            "aceptar",
            "aceptado",
            "aceitar",
            "accetta",
            "accettare",
            "akceptuj",
            "closed",
            "expire",
        ],
    ),
    (Meaning::Harmless, &["noblock", "notblocked", "notbanned", "notlisted"]),
    (
        Meaning::Filler,
        &[
            "a", "an", "the", "to", "be", "is", "are", "been", "has", "have", "do", "does", "it",
            "this", "these", "that", "ip", "ips", "address", "host", "network", "net", "please",
            "now", "yet", "ever", "longer", "more", "any", "in", "on", "our", "from", "found",
            "present", "must", "should", "may", "always", "bitte", "mehr", "auf", "der", "die",
            "das", "den", "dem", "ist", "sind", "wird", "werden", "darf", "diese", "est", "sont",
            "etre", "plus", "sur", "la", "le", "les", "el", "lo", "il", "mas", "mais", "piu", "de",
            "het", "te", "is", "jest", "adresse", "entry", "eintrag",
        ],
    ),
];

static BY_WORD: LazyLock<HashMap<&str, Meaning>> = LazyLock::new(|| {
    WORDS
        .into_iter()
        .flat_map(|(meaning, words)| words.iter().map(move |w| (*w, meaning)))
        .collect()
});

/// The meaning of a word in normal form.
pub(super) fn meaning_of(word: &str) -> Meaning {
    if let Some(meaning) = BY_WORD.get(word) {
        return *meaning;
    }
    match verdict_word(word) {
        Some(Word::Block) => Meaning::Blocked,
        Some(Word::Allow) => Meaning::Allowance,
        Some(Word::Harmless) => Meaning::Harmless,
        Some(Word::Off) => Meaning::Ended,
        Some(Word::BanEnded) => Meaning::Lifted,
        Some(Word::OtherAction | Word::AmbiguousAction | Word::On | Word::Yes | Word::No)
        | None => Meaning::Other,
    }
}

pub(super) fn is_filler(word: Meaning) -> bool {
    word == Meaning::Filler
}

/// Whether two words together say that the address does no harm.
pub(super) fn is_two_word_allowance(first: &str, second: &str) -> bool {
    matches!(
        (first, second),
        ("false", "positive" | "positives")
            | ("faux", "positif" | "positifs")
            | ("falso", "positivo")
            | ("white" | "allow" | "safe", "list" | "listed")
            | ("weisse" | "weiße", "liste")
            | ("liste", "blanche")
            | ("lista", "blanca" | "bianca" | "branca")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normal_name::normal_name;

    #[test]
    fn each_word_is_its_own_normal_form() {
        for word in WORDS.iter().flat_map(|(_, words)| words.iter()) {
            assert_eq!(normal_name(word).as_str(), *word);
        }
    }
}
