//! Words that mean in a list that an entry does not expire.

use crate::normal_name::normal_name;

/// Whether a text says that there is no end.
pub(crate) fn is_no_end(text: &str) -> bool {
    matches!(text, "" | "-" | "--" | "-1" | "\u{2013}" | "\u{2014}" | "\u{221e}")
        || is_zero_time(text)
        || (text.contains(char::is_alphabetic) && NO_END.contains(&normal_name(text).as_str()))
}

/// Whether a text is the zero value of Go's `time.Time`, which programs write for "not set".
fn is_zero_time(text: &str) -> bool {
    let rest = text.strip_prefix("0001-01-01T00:00:00");
    rest.is_some_and(|zone| matches!(zone, "" | "Z" | "+00:00"))
}

/// Words for "no end", in the form of [`normal_name`].
const NO_END: [&str; 67] = [
    "never",
    "null",
    "nil",
    "none",
    "no",
    "na",
    "permanent",
    "permanently",
    "perm",
    "forever",
    "indefinite",
    "indefinitely",
    "infinite",
    "infinity",
    "unlimited",
    "always",
    "noend",
    "noexpiry",
    "noexpiration",
    "doesnotexpire",
    "neverexpires",
    // German.
    "nie",
    "niemals",
    "unbefristet",
    "dauerhaft",
    "unbegrenzt",
    "endlos",
    "ewig",
    "furimmer",
    "kein",
    "keine",
    "keines",
    "keinende",
    "keinablauf",
    "ohne",
    "ohneende",
    // French.
    "jamais",
    "permanente",
    "illimite",
    "illimitee",
    "indefini",
    "definitif",
    "aucun",
    "aucune",
    "sansfin",
    "toujours",
    // Spanish, Portuguese, Italian.
    "nunca",
    "indefinido",
    "ilimitado",
    "siempre",
    "sinfin",
    "ninguno",
    "ninguna",
    "mai",
    "sempre",
    "illimitato",
    "indefinito",
    "nessuno",
    "nessuna",
    "semprevalido",
    // Dutch, Scandinavian languages, Polish, Czech.
    "nooit",
    "onbeperkt",
    "altijd",
    "aldrig",
    "aldri",
    "nigdy",
    "nikdy",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_its_own_normal_form() {
        for word in NO_END {
            assert_eq!(normal_name(word).as_str(), word);
        }
    }
}
