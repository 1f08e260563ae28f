//! Stars out of a text what may be a secret, at its width.

use std::io;
use std::path::Path;

use crate::plain::{byte_lists, is_between, is_plain};

/// Whether the value of a setting of this name is a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "key" | "pwd" | "passwd" | "passphrase")
        || ["secret", "password"].iter().any(|part| name.contains(part))
        || name.ends_with("_base64")
        || name.ends_with("_raw")
        || name.ends_with("_pem")
}

/// A message without what may be a secret in it: values of settings that hold one, PEM texts,
/// what precedes the host of a URL, lists of bytes, and every run of characters that does not
/// read like a word, a name, a number or an address. It has as many characters as before.
///
/// ```
/// let said = "bad endpoint tls/a:1#listen_private_key_base64=LS0tLS1CRUdJTg==";
/// let shown = mailmesh_secrets::redact(said);
/// assert!(shown.starts_with("bad endpoint tls/a:1#listen_private_key_base64=****"));
/// ```
#[must_use]
pub fn redact(text: &str) -> String {
    Redaction::new(text).finish(false)
}

/// The same for a whole configuration: there a name of a secret needs neither colon nor quotes
/// for what follows it to be one, since they may be what is wrong with it.
#[must_use]
pub fn redact_source(text: &str) -> String {
    Redaction::new(text).finish(true)
}

/// Whether a line of a library's log shows a secret as those libraries do: in an endpoint or a
/// setting, as a PEM text, as a list of bytes, or as a long run of base64.
#[must_use]
pub fn holds_secret(text: &str) -> bool {
    let mut redaction = Redaction::new(text);
    redaction.named(false);
    redaction.pem();
    redaction.urls();
    let chars = &redaction.chars;
    let dashes = ["45, 45, 45, 45, 45", "45,45,45,45,45", "2d2d2d2d2d", "LS0tLS1CRUdJTi"];
    redaction.out != *chars
        || dashes.iter().any(|dashes| text.contains(dashes))
        || text.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=_".contains(c)).any(|run| {
            let has = |what: fn(&char) -> bool| run.chars().any(|c| what(&c));
            run.len() >= 40
                && has(char::is_ascii_uppercase)
                && has(char::is_ascii_lowercase)
                && has(char::is_ascii_digit)
        })
}

/// A path, as long as it is one: the text of a secret that stands where a path is meant is none.
#[must_use]
pub fn path_words(path: &Path) -> String {
    let shown = path.display().to_string();
    let parent = path.parent().filter(|parent| parent.parent().is_some());
    let is_one = path.exists() || parent.is_some_and(Path::is_dir);
    let shown = if is_one { shown } else { redact(&shown) };
    shown.chars().flat_map(printable).collect()
}

fn printable(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

/// What the system says of an error: never what a library made of the bytes that were read.
#[must_use]
pub fn io_words(error: &io::Error) -> String {
    match (error.kind(), error.raw_os_error()) {
        (_, Some(_)) => error.to_string(),
        (io::ErrorKind::InvalidData, None) => {
            "it is not UTF-8 text; if it is UTF-16, save it as UTF-8".to_owned()
        }
        (kind, None) => kind.to_string(),
    }
}

struct Redaction {
    chars: Vec<char>,
    out: Vec<char>,
}

impl Redaction {
    fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        Self { out: chars.clone(), chars }
    }

    fn finish(mut self, is_source: bool) -> String {
        self.named(is_source);
        self.pem();
        self.urls();
        self.binary();
        for span in byte_lists(&self.chars) {
            self.star(span.start, span.end);
        }
        self.runs();
        self.out.into_iter().collect()
    }

    fn star(&mut self, start: usize, end: usize) {
        // Lines stay lines.
        self.out[start..end].iter_mut().filter(|c| !matches!(c, '\n' | '\r')).for_each(|c| {
            *c = '*';
        });
    }

    fn skip(&self, from: usize, is_it: impl Fn(char) -> bool) -> usize {
        from + self.chars[from..].iter().take_while(|c| is_it(**c)).count()
    }

    /// The values of settings that hold a secret.
    fn named(&mut self, is_source: bool) {
        let mut at = 0;
        while at < self.chars.len() {
            if !is_name(self.chars[at]) {
                at += 1;
                continue;
            }
            let end = self.skip(at, is_name);
            let name: String = self.chars[at..end].iter().collect();
            let is_one = is_secret_name(&name) && !is_of_path(&self.chars[..at]);
            at = end;
            if is_one {
                at = self.value(end, &name, is_source);
            }
        }
    }

    /// Stars the value that follows a name; where it ends.
    fn value(&mut self, end: usize, name: &str, is_source: bool) -> usize {
        // A setting of an endpoint: `tls/a:1#listen_private_key_base64=...;b=c`.
        if self.chars.get(end) == Some(&'=') {
            let is_end = |c: char| c.is_whitespace() || matches!(c, ';' | ',' | '"' | '\'' | ']');
            let stop = self.skip(end + 1, |c| !is_end(c));
            self.star(end + 1, stop);
            return stop;
        }
        // The quote that ends the name, blanks, and what stands between name and value.
        let mut value = self.skip(end, |c| c == '\\');
        value += usize::from(matches!(self.chars.get(value), Some('"' | '\'')));
        value = self.skip(value, char::is_whitespace);
        let has_sign = matches!(self.chars.get(value), Some(':' | '='));
        value += usize::from(has_sign);
        value = self.skip(value, char::is_whitespace);
        let slashes = self.skip(value, |c| c == '\\') - value;
        if let Some(quote @ ('"' | '\'')) = self.chars.get(value + slashes).copied() {
            let start = value + slashes + 1;
            // A quote in plain prose is not one of a value.
            if !has_sign && !is_source {
                return end;
            }
            let stop = self.closing(start, quote, slashes).unwrap_or(self.chars.len());
            self.star(start, stop);
            return stop;
        }
        match self.chars.get(value) {
            Some('{') if name == "key" => value,
            Some(open @ ('{' | '[')) if has_sign || is_source => {
                let close = if *open == '{' { '}' } else { ']' };
                let stop = self.skip(value, |c| c != close);
                self.star(value + 1, stop);
                stop
            }
            Some(_) if has_sign || is_source => {
                // A phrase without its quotes goes on behind a blank.
                let is_blank = |c: char| if is_source { c == '\n' } else { c.is_whitespace() };
                let is_end = |c: char| is_blank(c) || ",{}[]".contains(c);
                let stop = self.skip(value, |c| !is_end(c));
                self.star(value, stop);
                stop
            }
            _ => end,
        }
    }

    /// Where the quote stands that ends a value, behind as many backslashes as the first.
    fn closing(&self, start: usize, quote: char, slashes: usize) -> Option<usize> {
        let mut before = 0;
        for at in start..self.chars.len() {
            match self.chars[at] {
                '\\' => before += 1,
                c if c == quote && before == slashes => return Some(at - slashes),
                // One of a text that this one is embedded in: it ends there at the latest.
                c if c == quote && before < slashes => return Some(at - before),
                _ => before = 0,
            }
        }
        None
    }

    /// From the first line of each PEM text to its last.
    fn pem(&mut self) {
        const MARK: &[char] = &['-', '-', '-', '-', '-', 'B', 'E', 'G', 'I', 'N'];
        const LAST: &[char] = &['-', '-', '-', '-', '-', 'E', 'N', 'D'];
        let mut at = 0;
        while let Some(start) = find(&self.chars, MARK, at) {
            let end = find(&self.chars, LAST, start).unwrap_or(self.chars.len());
            self.star(start, end);
            at = end.max(start + MARK.len());
        }
    }

    /// Lines that are no text: a key in DER, or in another encoding.
    fn binary(&mut self) {
        let is_binary =
            |c: &char| *c == '\u{fffd}' || (c.is_control() && !c.is_whitespace() && *c != '\u{1b}');
        let mut start = 0;
        while start < self.chars.len() {
            let end = self.skip(start, |c| c != '\n');
            if self.chars[start..end].iter().any(is_binary) {
                self.star(start, end);
            }
            start = end + 1;
        }
    }

    /// What stands before the host of a URL or an endpoint, but a name without a password.
    fn urls(&mut self) {
        let mut at = 0;
        while let Some(sign) = self.chars[at..].iter().position(|c| *c == '@').map(|i| i + at) {
            at = sign + 1;
            let before = |c: &char| !c.is_whitespace() && !"\"'`{}[](),<>|/".contains(*c);
            let len = self.chars[..sign].iter().rev().take_while(|c| before(c)).count();
            let start = sign - len;
            let is_url = start > 0 && self.chars[start - 1] == '/';
            let colon = self.chars[start..sign].iter().position(|c| *c == ':');
            if let (true, Some(colon)) = (is_url, colon) {
                self.star(start + colon + 1, sign);
            }
        }
    }

    /// Every run that does not read like something that is no key.
    fn runs(&mut self) {
        let mut at = 0;
        while at < self.out.len() {
            if self.is_end(at) {
                at += 1;
                continue;
            }
            let start = at;
            while at < self.out.len() && !self.is_end(at) {
                at += 1;
            }
            let run: String = self.out[start..at].iter().collect();
            if !is_plain(&run) {
                self.star(start, at);
            }
        }
    }

    /// A backslash belongs to a run, unless it is that of a quote or doubled.
    fn is_end(&self, at: usize) -> bool {
        let c = self.out[at];
        let is_of_quote = c == '\\' && matches!(self.out.get(at + 1), Some('"' | '\'' | '\\'));
        is_between(c) || is_of_quote
    }
}

fn find(chars: &[char], what: &[char], from: usize) -> Option<usize> {
    chars[from..].windows(what.len()).position(|window| window == what).map(|at| at + from)
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
        for (line, shown) in [
            (r#""key": "c2VjcmV0","#, r#""key": "********","#),
            ("key: hunter2, name: 'a'", "key: *******, name: 'a'"),
            (r#"\"secret\": \"s3\", x"#, r#"\"secret\": \"**\", x"#),
            ("{ password : 'p w', user: 'u' }", "{ password : '***', user: 'u' }"),
            (r#"password: "it's hunter2", b"#, r#"password: "************", b"#),
            (r#""config": "{ password: 'a\"b' }", x"#, r#""config": "{ password: '****' }", x"#),
            ("password: 'not closed,\n  user: 1", "password: '***********\n*********"),
            ("password: ['a', 'b'], x", "password: [********], x"),
            ("password: 12345678, x", "password: ********, x"),
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
            ("tcp/user:hunter2@a:1", "tcp/user:*******@a:1"),
            ("https://u:p:w@a/b", "https://u:***@a/b"),
            ("monkey: 'not one', key", "monkey: 'not one', key"),
            ("/etc/cluster.key: every frame", "/etc/cluster.key: every frame"),
            ("mesh.key: hunter2", "mesh.key: *******"),
            (
                "x -----BEGIN A-----\nMII\n-----END A----- y",
                "x *****************\n***\n-----END A----- y",
            ),
            (
                "InvalidByte [45, 45, 45, 45, 45, 66, 69, 71]",
                "InvalidByte [******************************]",
            ),
            ("0\u{82}\u{fffd} a b\nc", "*******\nc"),
            ("the string \"c2VjcmV0c2VjcmV0\" is", "the string \"****************\" is"),
        ] {
            assert_eq!(redact(line), shown);
            assert_eq!(redact(line).chars().count(), line.chars().count());
        }
    }

    #[test]
    fn in_a_configuration_what_follows_the_name_of_a_secret_is_one_without_its_colon_too() {
        for (line, shown) in [
            ("password 'hunter2', x", "password '*******', x"),
            ("password hunter2, x", "password *******, x"),
            ("password: correct horse, x", "password: *************, x"),
            ("{ user: 'u', password }", "{ user: 'u', password }"),
            ("password = 'hunter2'", "password = '*******'"),
        ] {
            assert_eq!(redact_source(line), shown);
        }
        assert_eq!(redact("the key \"a\" is"), "the key \"a\" is");
    }

    #[test]
    fn a_log_line_that_shows_a_secret_is_told_from_one_that_does_not() {
        for secret in [
            "Unable to open listener tls/a:1#listen_private_key_base64=LS0t",
            "connect: password: 'hunter2'",
            "-----BEGIN PRIVATE KEY-----",
            "IllegalSectionStart { line: [45, 45, 45, 45, 45, 66] }",
            "key MC4CAQAwBQYDK2VwBCIEIBAQ1234567890abcdefghijklm",
        ] {
            assert!(holds_secret(secret), "{secret}");
        }
        for other in [
            "Unable to connect to tls/mx1.example.org:7447! certificate expired",
            "New transport opened between 84a4b9ccbd4fb7dd40c5bd2c50ebd4b6 and a2",
            "Zenoh can be reached at: tcp/192.0.2.1:7447",
        ] {
            assert!(!holds_secret(other), "{other}");
        }
    }

    #[test]
    fn a_path_is_shown_and_a_key_where_one_is_meant_is_not() {
        let dir = std::env::temp_dir().join("Ab3dEf6hIj9lMn2pQr5t.pem");
        assert_eq!(path_words(&dir), dir.display().to_string());
        assert_eq!(path_words(Path::new("/no/such/cert.pem")), "/no/such/cert.pem");
        for secret in ["c2VjcmV0c2VjcmV0c2Vj", "/c2VjcmV0c2VjcmV0c2Vj"] {
            assert!(path_words(Path::new(secret)).chars().all(|c| c == '*'));
        }
        assert_eq!(path_words(Path::new("a\nb")), "a\\nb");
    }
}
