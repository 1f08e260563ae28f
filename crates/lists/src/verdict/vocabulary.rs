//! Words of verdicts, in the languages in which lists are kept.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::normal_name::normal_name;

/// The meaning of a word as a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// A block.
    Block,
    /// The address is let in.
    Allow,
    /// The end of a ban: an action or its result.
    BanEnded,
    /// An action that neither blocks nor allows: a captcha, a place on a grey list.
    OtherAction,
    /// As `OtherAction`, by a word that also is a common reason for a block: only a column or key
    /// of actions or verdicts gives it this meaning.
    AmbiguousAction,
    /// The address does no harm.
    Harmless,
    /// The entry is in force.
    On,
    /// The entry is not in force.
    Off,
    Yes,
    No,
}

/// In lower case, without punctuation and accents.
const WORDS: [(Word, &[&str]); 10] = [
    (
        Word::Block,
        &[
            "ban",
            "banned",
            "block",
            "blocked",
            "blocking",
            "deny",
            "denied",
            "drop",
            "dropped",
            "reject",
            "rejected",
            "refuse",
            "refused",
            "bad",
            "black",
            "blacklist",
            "blacklisted",
            "blocklist",
            "blocklisted",
            "denylist",
            "denylisted",
            "malicious",
            "listed",
            "sperren",
            "sperre",
            "gesperrt",
            "blockieren",
            "blockiert",
            "blocken",
            "geblockt",
            "verbieten",
            "verboten",
            "ablehnen",
            "abgelehnt",
            "verwerfen",
            "bannen",
            "gebannt",
            "bloquer",
            "bloque",
            "bloquee",
            "bannir",
            "banni",
            "interdire",
            "interdit",
            "refuser",
            "rejeter",
            "rejete",
            "bloquear",
            "bloqueado",
            "bloqueada",
            "denegar",
            "denegado",
            "rechazar",
            "rechazado",
            "prohibir",
            "prohibido",
            "negar",
            "negado",
            "rejeitar",
            "banido",
            "blocca",
            "bloccare",
            "bloccato",
            "bloccata",
            "blocco",
            "nega",
            "negato",
            "rifiuta",
            "rifiutare",
            "vieta",
            "vietato",
            "bannato",
            "blokuj",
            "blokowac",
            "zablokuj",
            "zablokowany",
            "zablokowane",
            "odrzuc",
            "zabron",
            "zabroniony",
            "blokkeren",
            "blokkeer",
            "geblokkeerd",
            "weigeren",
            "geweigerd",
            "blockera",
            "blockerad",
            "bloker",
            "blokeret",
            "blokert",
            "avvisa",
            "neka",
        ],
    ),
    (
        Word::Allow,
        &[
            "ok",
            "allow",
            "allowed",
            "accept",
            "accepted",
            "permit",
            "permitted",
            "pass",
            "passed",
            "passlist",
            "whitelist",
            "whitelisted",
            "allowlist",
            "allowlisted",
            "safelist",
            "safelisted",
            "trusted",
            "trust",
            "exempt",
            "exempted",
            "bypass",
            "skip",
            "relay",
            "grant",
            "granted",
            "erlauben",
            "erlaubt",
            "zulassen",
            "zugelassen",
            "freigeben",
            "freigegeben",
            "freigabe",
            "ausnahme",
            "akzeptieren",
            "gestatten",
            "vertrauenswurdig",
            "autoriser",
            "autorise",
            "autorisee",
            "permettre",
            "permis",
            "accepter",
            "accepte",
            "permitir",
            "permitido",
            "permitida",
            "autorizar",
            "autorizado",
            "aceptar",
            "aceptado",
            "aceitar",
            "consentir",
            "consenti",
            "consentire",
            "consentito",
            "consentita",
            "permetti",
            "permettere",
            "permesso",
            "autorizza",
            "autorizzato",
            "accetta",
            "accettare",
            "zezwol",
            "zezwalaj",
            "dozwolony",
            "dozwolone",
            "pozwol",
            "akceptuj",
            "toestaan",
            "toegestaan",
            "tillat",
            "tillaten",
            "tillad",
            "tilladt",
            "povolit",
            "povoleno",
        ],
    ),
    (
        Word::BanEnded,
        &[
            "unban",
            "unbanned",
            "unblock",
            "unblocked",
            "entsperren",
            "entsperrt",
            "freigeschaltet",
            "debloquer",
            "debloque",
            "debloquee",
            "desbloquear",
            "desbloqueado",
            "desbloqueada",
            "sblocca",
            "sbloccare",
            "sbloccato",
            "odblokuj",
            "odblokowany",
            "deblokkeren",
            "gedeblokkeerd",
        ],
    ),
    (
        Word::OtherAction,
        &[
            "captcha",
            "dunno",
            "challenge",
            "jschallenge",
            "managedchallenge",
            "simulate",
            "gray",
            "grey",
            "graylist",
            "greylist",
            "graylisted",
            "greylisted",
        ],
    ),
    (
        Word::AmbiguousAction,
        &["throttle", "ratelimit", "mfa", "log", "monitor", "count", "slow", "quarantine"],
    ),
    (
        Word::Harmless,
        &[
            "benign",
            "clean",
            "harmless",
            "good",
            "ham",
            "safe",
            "white",
            "noblock",
            "notblocked",
            "notbanned",
            "notlisted",
            "notmalicious",
            "falsepositive",
        ],
    ),
    (
        Word::On,
        &[
            "active",
            "enabled",
            "new",
            "current",
            "open",
            "ongoing",
            "live",
            "valid",
            "inforce",
            "confirmed",
            "permanent",
            "temporary",
            "aktiv",
            "aktiviert",
            "actif",
            "activo",
            "attivo",
            "ativo",
            "actief",
            "aktywny",
            "aktywna",
            "aktywne",
        ],
    ),
    (
        Word::Off,
        &[
            "inactive",
            "expired",
            "disabled",
            "removed",
            "deleted",
            "revoked",
            "released",
            "lifted",
            "closed",
            "ended",
            "delisted",
            "unlisted",
            "withdrawn",
            "inaktiv",
            "deaktiviert",
            "abgelaufen",
            "aufgehoben",
            "geloscht",
            "entfernt",
            "inactif",
            "expire",
            "expiree",
            "desactive",
            "supprime",
            "leve",
            "inactivo",
            "inativo",
            "desactivado",
            "eliminado",
            "caducado",
            "expirado",
            "inattivo",
            "disattivato",
            "scaduto",
            "rimosso",
            "nieaktywny",
            "usuniety",
            "verlopen",
            "verwijderd",
        ],
    ),
    (
        Word::Yes,
        &[
            "true",
            "1",
            "yes",
            "t",
            "y",
            "on",
            "ja",
            "j",
            "wahr",
            "oui",
            "vrai",
            "si",
            "verdadero",
            "vero",
            "sim",
            "verdadeiro",
            "tak",
            "prawda",
            "waar",
            "sant",
            "ano",
            "da",
            "igen",
            "kylla",
        ],
    ),
    (
        Word::No,
        &[
            "false", "0", "no", "f", "n", "off", "nein", "falsch", "non", "faux", "falso", "falsa",
            "nao", "nie", "falsz", "nee", "onwaar", "nej", "nei", "falskt", "ne", "nem", "ei",
        ],
    ),
];

static BY_WORD: LazyLock<HashMap<&str, Word>> = LazyLock::new(|| {
    WORDS.into_iter().flat_map(|(word, texts)| texts.iter().map(move |t| (*t, word))).collect()
});

/// The meaning of a text that is a known verdict word.
pub(crate) fn verdict_word(text: &str) -> Option<Word> {
    // `-1` and `1.0` are not words.
    let is_number = text.contains(|c: char| c.is_ascii_digit()) && !matches!(text, "0" | "1");
    if text.len() > 40 || is_number {
        return None;
    }
    BY_WORD.get(&*normal_name(text)).copied()
}

/// The first word of a text, without the signs and spaces around it.
pub(crate) fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{begins_with_other_verdict, is_allowance, may_be_other_verdict};
    use mailmesh_events::Rule;

    #[test]
    fn each_word_is_its_own_normal_form_and_has_one_meaning() {
        for (word, texts) in WORDS {
            for text in texts {
                assert_eq!(normal_name(text).as_str(), *text);
                assert_eq!(verdict_word(text), Some(word), "{text}");
            }
        }
    }

    #[test]
    fn words_of_one_meaning_have_the_same_effect_on_a_block() {
        let is_no_column = |text: &str| may_be_other_verdict("purpose", text, Rule::Block);
        for (word, texts) in WORDS {
            for text in texts {
                let (is_let_in, is_refused) = match word {
                    Word::Allow => (true, !matches!(*text, "ok" | "pass" | "passed")),
                    Word::BanEnded | Word::OtherAction => (true, true),
                    Word::Harmless => (false, *text == "white"),
                    _ => (false, false),
                };
                assert_eq!(is_allowance(text), is_let_in, "{text}");
                assert_eq!(is_no_column(text), is_refused, "{text}");
                if word == Word::BanEnded {
                    assert!(begins_with_other_verdict(text, Rule::Block), "{text}");
                }
            }
        }
    }
}
