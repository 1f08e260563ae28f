//! Whether the name of a list, set or section says that its networks are for the other rule.

use mailmesh_events::Rule;

/// Whether the name of a set says that it is for the other rule. For [`Rule::Block`] the name is
/// matched word by word, so that `f2b-dovecot-password` and `compass` are bans.
pub(crate) fn is_for_other_rule(name: &str, rule: Rule) -> bool {
    const PARTS: [&str; 4] = ["whitelist", "allowlist", "safelist", "trusted"];
    const BEGINNINGS: [&str; 14] = [
        "allow",
        "white",
        "trust",
        "permit",
        "accept",
        "exempt",
        "ignore",
        "bypass",
        "nomatch",
        "exception",
        "ausnahm",
        "excepcion",
        "eccezion",
        "exclu",
    ];
    const WORDS: [&str; 6] = ["pass", "passed", "passlist", "safe", "friend", "friends"];
    match rule {
        Rule::Block => words_of(name).iter().any(|word| {
            let is_negated = ["untrust", "notrust", "disallow", "unsafe"]
                .iter()
                .any(|negated| word.contains(negated));
            let is_within = PARTS.iter().any(|known| word.contains(known));
            let begins = BEGINNINGS.iter().any(|known| word.starts_with(known));
            !is_negated && (is_within || begins || WORDS.contains(&&**word))
        }),
        Rule::Allow => {
            let name = name.to_ascii_lowercase();
            let kinds = ["f2b", "fail2ban", "crowdsec", "sshguard", "abuse", "attack", "spam"];
            ["block", "black", "ban", "deny", "denied", "drop", "reject", "bad", "bloqu", "gesperr"]
                .iter()
                .chain(&kinds)
                .any(|word| name.contains(word))
        }
    }
}

/// The words of a name in lower case, split at signs, digits and capitals as in `sshAllow`.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in name.chars() {
        if !c.is_alphabetic() || (was_small && c.is_uppercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphabetic(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        was_small = c.is_lowercase();
    }
    words
}
