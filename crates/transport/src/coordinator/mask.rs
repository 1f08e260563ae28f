//! Secrets are not shown: where a line of a configuration goes into an error or a
//! warning, the values of keys that hold one are starred out, at their width. Nor is what
//! would move a terminal's cursor.

/// Whether the value of a key of this name is a secret.
pub(super) fn is_secret(key: &str) -> bool {
    matches!(key, "key" | "secret" | "password") || key.ends_with("_base64")
}

/// The line with `*` for each character of a secret.
pub(super) fn mask(line: &str) -> String {
    let chars: Vec<char> = line.chars().collect();
    let mut out = chars.clone();
    let mut at = 0;
    while at < chars.len() {
        if !is_name(chars[at]) {
            at += 1;
            continue;
        }
        let end = (at..chars.len()).find(|i| !is_name(chars[*i])).unwrap_or(chars.len());
        let name: String = chars[at..end].iter().collect();
        let is_of_path = is_of_path(&chars[..at]);
        at = end;
        if !is_secret(&name) || is_of_path {
            continue;
        }
        // A setting of an endpoint: `tls/a:1#listen_private_key_base64=...;b=c`.
        if chars.get(end) == Some(&'=') {
            let is_end = |c: &char| c.is_whitespace() || matches!(c, ';' | ',' | '"' | '\'' | ']');
            let len = chars[end + 1..].iter().take_while(|c| !is_end(c)).count();
            out[end + 1..end + 1 + len].fill('*');
            at = end + 1 + len;
            continue;
        }
        let is_filler = |c: &char| matches!(c, '"' | '\'' | '\\') || c.is_whitespace();
        let colon = end + chars[end..].iter().take_while(|c| is_filler(c)).count();
        if chars.get(colon) != Some(&':') {
            continue;
        }
        let blanks = chars[colon + 1..].iter().take_while(|c| c.is_whitespace()).count();
        let value = colon + 1 + blanks;
        let quoted = chars[value..].iter().take_while(|c| matches!(c, '"' | '\'' | '\\')).count();
        let is_end = |c: &char| match quoted {
            0 => c.is_whitespace() || matches!(c, ',' | '{' | '}' | '[' | ']'),
            _ => matches!(c, '"' | '\''),
        };
        let start = value + quoted;
        let len = chars[start..].iter().take_while(|c| !is_end(c)).count();
        out[start..start + len].fill('*');
        at = start + len;
    }
    out.into_iter().collect()
}

/// Longest piece of a configuration in a message, in characters.
const SHOWN: usize = 400;

/// A piece of a configuration as it may stand in a line: without secrets, unprintable characters
/// as their escapes.
pub(super) fn printable(text: &str) -> String {
    escaped(&mask(text))
}

/// A text with its unprintable characters as their escapes.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if is_unprintable(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Whether a character moves a terminal's cursor, ends a line or reorders text. The same set as
/// that of `mailmesh-events`, which is no layer below this one; a test of the facade compares
/// them.
pub(super) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        )
}

/// As [`printable`], cut where it is long.
pub(super) fn shown(text: &str) -> String {
    let printable = printable(text);
    match printable.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &printable[..at]),
        None => printable,
    }
}

/// Whether what follows is the end of a file's name: `cluster.key` in `/etc/cluster.key: ...`.
fn is_of_path(before: &[char]) -> bool {
    let token = before.iter().rev().take_while(|c| !c.is_whitespace() && !"\"'{},#;".contains(**c));
    before.last() == Some(&'.') && token.into_iter().any(|c| *c == '/')
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_starred_at_their_width_however_they_are_quoted() {
        for (line, masked) in [
            (r#""key": "c2VjcmV0","#, r#""key": "********","#),
            ("key: hunter2, name: 'a'", "key: *******, name: 'a'"),
            (r#"\"secret\": \"s3\", x"#, r#"\"secret\": \"***", x"#),
            ("{ password : 'p w', user: 'u' }", "{ password : '***', user: 'u' }"),
            (
                "key: { '@type': 'File', filePath: '/k' }",
                "key: { '@type': 'File', filePath: '/k' }",
            ),
            ("listen_private_key_base64: 'QUJD'", "listen_private_key_base64: '****'"),
            ("listen_private_key: '/etc/k.pem'", "listen_private_key: '/etc/k.pem'"),
            (
                "['tls/a:1#iface=lo;listen_private_key_base64=QUI=;x=1', 'tcp/b:1']",
                "['tls/a:1#iface=lo;listen_private_key_base64=****;x=1', 'tcp/b:1']",
            ),
            ("monkey: 'not one', key", "monkey: 'not one', key"),
            ("/etc/cluster.key: every frame", "/etc/cluster.key: every frame"),
            ("mesh.key: hunter2", "mesh.key: *******"),
            ("'/a/b': 1, mesh.key: hunter2", "'/a/b': 1, mesh.key: *******"),
        ] {
            assert_eq!(mask(line), masked);
            assert_eq!(mask(line).chars().count(), line.chars().count());
        }
    }

    #[test]
    fn overrides_of_direction_and_controls_of_eight_bits_are_escaped_too() {
        assert_eq!(escaped("a\u{9b}2Jb\u{202e}c\u{2028}"), "a\\u{9b}2Jb\\u{202e}c\\u{2028}");
    }

    #[test]
    fn what_is_shown_is_one_line_of_printable_characters_and_not_long() {
        assert_eq!(shown("a\nb\u{1b}[2Jä"), "a\\nb\\u{1b}[2Jä");
        assert_eq!(shown("tls/a#x_base64=QUJD"), "tls/a#x_base64=****");
        assert_eq!(shown(&"ä".repeat(401)), "ä".repeat(400) + "…");
    }
}
