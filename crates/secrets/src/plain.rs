//! Recognises the parts of a text that are words, names, numbers or addresses, and so not a key.
//!
//! This is an allow list: all other parts are replaced with stars. A key in base64 or hexadecimal,
//! cut anywhere, does not match it.

use std::net::IpAddr;

/// Runs of up to this many characters are shown. They are 7 bytes in base64, 5 in hexadecimal.
const MAX_SHORT_RUN: usize = 10;
/// Longest word in characters.
const MAX_WORD_LEN: usize = 24;

/// Whether a character separates runs.
pub(crate) fn is_separator(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "\"'`{}[](),<>|…".contains(c)
}

/// Whether a run of characters is plainly not a key.
pub(crate) fn is_plain(run: &str) -> bool {
    // A mark before a name or an address: `$blocked`, `!192.0.2.8`, `+192.0.2.10`.
    let run = run.strip_prefix(['$', '!', '+']).filter(|rest| is_marked(rest)).unwrap_or(run);
    let len = run.chars().count();
    if len <= MAX_SHORT_RUN && run.chars().all(|c| c.is_alphanumeric() || "-_.:/".contains(c))
        || len < 8
    {
        return true;
    }
    if is_basic_time(run) || is_length_behind_backslash(run) {
        return true;
    }
    // With the hyphen and the dash of typeset text, as in dates.
    run.split(|c| "/.-_:@#?=;%&~*\u{2011}\u{2013}".contains(c)).all(is_part)
}

/// Whether a text behind a mark is a name in letters, or an address or prefix.
fn is_marked(rest: &str) -> bool {
    let is_name = rest.len() <= MAX_WORD_LEN
        && (rest.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            || rest.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    let address = rest.split('/').next().unwrap_or_default();
    is_name || address.parse::<IpAddr>().is_ok()
}

/// Whether a run is a moment in the basic format of ISO 8601, such as `20261201T100000Z`.
fn is_basic_time(run: &str) -> bool {
    let is_number = |part: &str, len| part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
    let (date, time) = run.split_once('T').unwrap_or_default();
    is_number(date, 8) && is_number(time.strip_suffix('Z').unwrap_or(time), 6)
}

/// Whether a run is an address with its prefix length behind a backslash: `192.0.2.14\24`.
fn is_length_behind_backslash(run: &str) -> bool {
    let (address, len) = run.split_once('\\').unwrap_or_default();
    address.parse::<IpAddr>().is_ok() && len.parse::<u8>().is_ok()
}

/// Whether a text is a path of Windows, such as `C:\certs\mx1.pem`, of parts that are no key.
pub(crate) fn is_windows_path(text: &str) -> bool {
    let mut chars = text.chars();
    let has_drive = chars.next().is_some_and(|c| c.is_ascii_alphabetic());
    has_drive && chars.as_str().starts_with(":\\") && chars.as_str()[2..].split('\\').all(is_plain)
}

/// One part of a text such as `listen_private_key`, `2001:db8::1` or `mx1.example.org`.
fn is_part(part: &str) -> bool {
    let len = part.chars().count();
    if is_words(part) {
        return true;
    }
    if !part.chars().all(char::is_alphanumeric) || len > MAX_WORD_LEN {
        return false;
    }
    let uppers = part.chars().filter(|c| c.is_uppercase()).count();
    let digits = part.chars().filter(char::is_ascii_digit).count();
    if len <= 5 || (len <= MAX_SHORT_RUN && uppers == 0) {
        return true;
    }
    // A number, or a number with a unit of one letter.
    if digits == len || (digits + 1 == len && !part.ends_with(|c: char| c.is_ascii_digit())) {
        return true;
    }
    // Letters, followed by at most four digits.
    let letters = part.trim_end_matches(|c: char| c.is_ascii_digit());
    if letters.chars().any(|c| c.is_ascii_digit()) || part.len() - letters.len() > 4 {
        return false;
    }
    let letter_count = letters.chars().count();
    uppers == 0 || (uppers == letter_count && len <= MAX_SHORT_RUN + 2) || is_camel_case(letters)
}

/// Whether a part is a name of a library, such as `UnsupportedCriticalExtension`: up to
/// four capitalized words of eight letters on average, which passphrases do not have.
fn is_words(part: &str) -> bool {
    let mut words: Vec<usize> = Vec::new();
    for c in part.chars() {
        match c {
            'A'..='Z' => words.push(1),
            'a'..='z' => match words.last_mut() {
                Some(len) => *len += 1,
                None => return false,
            },
            _ => return false,
        }
    }
    let is_word = |len: &usize| (3..=12).contains(len);
    (1..=4).contains(&words.len())
        && words.iter().all(is_word)
        && words.iter().sum::<usize>() >= words.len() * 8
}

/// Whether letters are camel case such as `failureTimeoutMs`: few words, none of one letter.
fn is_camel_case(letters: &str) -> bool {
    let (mut words, mut in_word) = (1_usize, 0_usize);
    let mut total = 0_usize;
    for c in letters.chars() {
        total += 1;
        if c.is_uppercase() {
            if in_word == 1 {
                return false;
            }
            words += usize::from(in_word > 0);
            in_word = 0;
        }
        in_word += 1;
    }
    in_word != 1 && words * 4 <= total.max(8)
}

/// The spans, in characters, of lists of at least eight bytes in decimal or hexadecimal, as
/// libraries print them.
pub(crate) fn byte_lists(chars: &[char]) -> Vec<std::ops::Range<usize>> {
    const MIN_BYTES: usize = 8;
    let mut found = Vec::new();
    let (mut start, mut end, mut count) = (0, 0, 0);
    let mut at = 0;
    while at < chars.len() {
        if !chars[at].is_ascii_alphanumeric() {
            // Separators between two bytes.
            let is_link = matches!(chars[at], ',' | ' ' | ':' | '\\' | '-' | '\n');
            if !is_link || at - end > 2 {
                flush(&mut found, start..end, &mut count, MIN_BYTES);
            }
            at += 1;
            continue;
        }
        let stop = (at..chars.len()).find(|i| !chars[*i].is_ascii_alphanumeric());
        let stop = stop.unwrap_or(chars.len());
        if is_byte(&chars[at..stop]) {
            if count == 0 {
                start = at;
            }
            (end, count) = (stop, count + 1);
        } else {
            flush(&mut found, start..end, &mut count, MIN_BYTES);
        }
        if count == 0 {
            end = stop;
        }
        at = stop;
    }
    flush(&mut found, start..end, &mut count, MIN_BYTES);
    found
}

fn flush(
    found: &mut Vec<std::ops::Range<usize>>,
    span: std::ops::Range<usize>,
    count: &mut usize,
    min: usize,
) {
    if *count >= min {
        found.push(span);
    }
    *count = 0;
}

fn is_byte(token: &[char]) -> bool {
    let hex = match token {
        ['0' | 'u', 'x', rest @ ..] | ['x', rest @ ..] => return matches!(rest.len(), 1 | 2),
        token => token,
    };
    match hex.len() {
        1 | 2 => hex.iter().all(char::is_ascii_hexdigit),
        3 => hex.iter().all(char::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_names_numbers_and_addresses_are_plain_and_keys_are_not() {
        for plain in [
            "listen_private_key_base64",
            "failureTimeoutMs",
            "tcp/192.0.2.1:7447",
            "tls/mx1.example.org:7447#iface=eth1;so_sndbuf=65000",
            "tcp/[2001:db8::1]:7447",
            "/etc/letsencrypt/live/mail.example.org/privkey.pem",
            "enp0s31f6",
            "224.0.0.224:7446",
            "2026-11-28T06:02:12.123456Z",
            "-----BEGIN",
            "zenoh_transport::unicast::establishment",
            "EnvironmentVariable",
            "certificate",
            "OtherError(UnsupportedCriticalExtension)",
            "$blocked",
            "$DATASET",
            "!192.0.2.8",
            "+192.0.2.10",
            "!2001:db8::/32",
            r"192.0.2.14\24",
            "20261201T100000Z",
            "2026\u{2011}12\u{2011}01",
            "2026\u{2013}12\u{2013}01",
        ] {
            assert!(plain.split(is_separator).all(is_plain), "{plain}");
        }
        for secret in [
            "c2VjcmV0c2VjcmV0",
            "MIGHAgEAMBMGByqGSM49AgEG",
            "MIGHAgEAMBMG",
            "0123456789abcdef01234567",
            "deadbeefdeadbeefdeadbeef00000000",
            "AbC/dEf+123456789/aBcDeFgH",
            "\\x30\\x82\\x01\\x22",
            "pass+word=hunter2",
            "abcdefghijklmnopqrstuvwxyzabcdef",
            "AbcdEfghIjklMnopQrstUvwxYzab",
            "CorrectHorseBatteryStaple",
            "$c2VjcmV0c2VjcmV0",
            "!hunter2hunter2x7",
            "+AbC/dEf+123456789",
            "$6$rounds",
            "20261201T100000Zabc",
            r"192.0.2.14\x30",
            "AbcdefghIjklmnopQrstuvwxYzabcdefGhijklmnOpqrstuvWxyzabcd",
        ] {
            assert!(!is_plain(secret), "{secret}");
        }
    }

    #[test]
    fn lists_of_bytes_are_found_in_every_notation() {
        let spans = |text: &str| byte_lists(&text.chars().collect::<Vec<_>>());
        for list in [
            "[45, 45, 45, 45, 45, 66, 69, 71]",
            "45,45,45,45,45,66,69,71",
            "30 82 01 22 30 0d 06 09",
            "30:82:01:22:30:0D:06:09",
            r"\x30\x82\x01\x22\x30\x0d\x06\x09",
            "0x30, 0x82, 0x1, 0x22, 0x30, 0x0d, 0x06, 0x09",
        ] {
            assert_eq!(spans(list).len(), 1, "{list}");
        }
        for other in ["1, 2, 3", "at 10 of 12 on 3", "tcp/192.0.2.1:7447", "a: b, c: d"] {
            assert_eq!(spans(other), [], "{other}");
        }
    }
}
