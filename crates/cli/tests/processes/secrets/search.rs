//! Finds a planted secret in an output, in any encoding.

/// The length of a fragment that counts as a leak, in bytes.
const WINDOW_LEN: usize = 8;

/// The fragments to search for: every eight consecutive bytes of the secrets.
pub(super) struct Searcher {
    windows: Vec<u64>,
    /// A bit for the hash of each window, so that most bytes of a text cost one lookup.
    hashes: Vec<u64>,
}

/// A secret that was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leak {
    pub(super) form: &'static str,
    /// The text around the secret.
    pub(super) context: String,
}

impl Searcher {
    /// A searcher for fragments of `secrets` that do not also occur in `public`.
    pub(super) fn new(secrets: &[&[u8]], public: &[&[u8]]) -> Self {
        let of = |texts: &[&[u8]]| -> Vec<u64> {
            let mut all: Vec<u64> = texts.iter().flat_map(|text| windows(text)).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let known = of(public);
        let mut windows = of(secrets);
        windows.retain(|window| known.binary_search(window).is_err());
        assert!(!windows.is_empty(), "there is nothing to look for");
        let mut hashes = vec![0; 1 << 10];
        windows.iter().for_each(|window| {
            let (word, bit) = hash(*window);
            hashes[word] |= bit;
        });
        Self { windows, hashes }
    }

    /// The first fragment of a secret in a text.
    pub(super) fn find(&self, text: &[u8]) -> Option<Leak> {
        let unescaped = unescape(text);
        self.find_in("in clear", text)
            .or_else(|| self.find_in("escaped", &unescaped))
            .or_else(|| self.find_decoded(text))
            .or_else(|| self.find_decoded(&unescaped))
    }

    fn find_decoded(&self, text: &[u8]) -> Option<Leak> {
        for run in text.split(|byte| base64_digit(*byte).is_none()).filter(|run| run.len() > 10) {
            // The run may begin at any digit of a group of four.
            for skipped in 0..4 {
                let found = self.find_in("in base64", &from_base64(&run[skipped..]));
                if found.is_some() {
                    return found;
                }
            }
        }
        for digits in hex_runs(text).iter().filter(|run| run.len() >= 2 * WINDOW_LEN) {
            for skipped in 0..2 {
                let pairs = digits[skipped..].chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]);
                let found = self.find_in("in hexadecimal", &pairs.collect::<Vec<_>>());
                if found.is_some() {
                    return found;
                }
            }
        }
        byte_lists(text).iter().find_map(|list| self.find_in("as a list of bytes", list))
    }

    fn find_in(&self, form: &'static str, text: &[u8]) -> Option<Leak> {
        let found = windows(text).enumerate().find(|(_, window)| {
            let (word, bit) = hash(*window);
            self.hashes[word] & bit != 0 && self.windows.binary_search(window).is_ok()
        });
        let (at, _) = found?;
        let around = &text[at.saturating_sub(40)..(at + 48).min(text.len())];
        Some(Leak { form, context: String::from_utf8_lossy(around).into_owned() })
    }
}

fn windows(text: &[u8]) -> impl Iterator<Item = u64> {
    text.windows(WINDOW_LEN).map(|window| window.iter().fold(0, |all, b| all << 8 | u64::from(*b)))
}

fn hash(window: u64) -> (usize, u64) {
    let hash = window.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    ((hash >> 6) as usize, 1 << (hash & 63))
}

fn base64_digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

fn from_base64(run: &[u8]) -> Vec<u8> {
    let digits: Vec<u32> =
        run.iter().filter_map(|byte| base64_digit(*byte)).map(u32::from).collect();
    let mut out = Vec::with_capacity(digits.len());
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
        out.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    out
}

/// The digits of each run of hexadecimal digits, joined or in pairs with separators between.
fn hex_runs(text: &[u8]) -> Vec<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let mut runs = vec![Vec::new()];
    let mut at = 0;
    while at < text.len() {
        if matches!(&text[at..], [b'0' | b'\\', b'x', ..]) {
            at += 2;
        } else if let Some(digit) = digit(text[at]) {
            runs.last_mut().unwrap().push(digit);
            at += 1;
        } else {
            if !matches!(text[at], b' ' | b':' | b',' | b'-' | b'\n') {
                runs.push(Vec::new());
            }
            at += 1;
        }
    }
    runs
}

/// Each list of decimal numbers that fit in a byte.
fn byte_lists(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lists = vec![Vec::new()];
    for token in text.split_inclusive(|byte| !byte.is_ascii_digit()) {
        let digits: String =
            token.iter().map(|b| *b as char).filter(char::is_ascii_digit).collect();
        let ends = !matches!(token.last(), Some(b'0'..=b'9' | b',' | b' ' | b'\n'));
        match digits.parse::<u8>() {
            Ok(byte) => lists.last_mut().unwrap().push(byte),
            Err(_) if digits.is_empty() => {}
            Err(_) => lists.push(Vec::new()),
        }
        if ends {
            lists.push(Vec::new());
        }
    }
    lists
}

/// Resolves the escapes of Rust and JSON; a text that is escaped twice is unescaped twice.
fn unescape(text: &[u8]) -> Vec<u8> {
    let once = unescape_once(text);
    if once.contains(&b'\\') { unescape_once(&once) } else { once }
}

fn unescape_once(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let (bytes, len): (Vec<u8>, usize) = match &text[at..] {
            [b'\\', b'n', ..] => (vec![b'\n'], 2),
            [b'\\', b'r', ..] => (vec![b'\r'], 2),
            [b'\\', b't', ..] => (vec![b'\t'], 2),
            [b'\\', b'x', high, low, ..] => match byte(&[*high, *low]) {
                Some(byte) => (vec![byte], 4),
                None => (vec![b'x'], 2),
            },
            [b'\\', b'u', b'{', rest @ ..] => {
                let end = rest.iter().position(|byte| *byte == b'}').unwrap_or(0);
                (character(&rest[..end]), end + 4)
            }
            [b'\\', b'u', a, b, c, d, ..] => (character(&[*a, *b, *c, *d]), 6),
            [b'\\', next, ..] => (vec![*next], 2),
            [byte, ..] => (vec![*byte], 1),
            [] => break,
        };
        out.extend(bytes);
        at += len;
    }
    out
}

fn byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn character(digits: &[u8]) -> Vec<u8> {
    let code = std::str::from_utf8(digits).ok().and_then(|d| u32::from_str_radix(d, 16).ok());
    let code = code.and_then(char::from_u32).map(|c| c.to_string().into_bytes());
    code.unwrap_or_default()
}

mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    const SECRET: &[u8] = b"\x91\x22\xf3kK9\"vQ\n2!m\xc3\xa9\x00Z7wP4$tR8&nB6";

    #[test]
    fn eight_bytes_of_a_secret_are_found_in_every_form() {
        let searcher = Searcher::new(&[SECRET], &[]);
        let text = String::from_utf8_lossy(&SECRET[3..]).into_owned();
        let text = text.as_bytes();
        let in_text = Searcher::new(&[text], &[]);
        let list = |bytes: &[u8], between: &str, show: fn(&u8) -> String| {
            bytes.iter().map(show).collect::<Vec<_>>().join(between)
        };
        for start in [0, 5, SECRET.len() - 8] {
            let (piece, less) = (&SECRET[start..start + 8], &SECRET[start..start + 7]);
            let shown = |bytes: &[u8]| -> Vec<Vec<u8>> {
                let mut all = vec![
                    bytes.to_vec(),
                    list(bytes, "", |b| format!("{b:02x}")).into(),
                    list(bytes, "", |b| format!("{b:02X}")).into(),
                    list(bytes, " ", |b| format!("{b:02x}")).into(),
                    list(bytes, ":", |b| format!("{b:02x}")).into(),
                    list(bytes, ", ", |b| format!("0x{b:02x}")).into(),
                    list(bytes, "", |b| format!("\\x{b:02x}")).into(),
                    format!("{bytes:?}").into(),
                    format!("{bytes:#?}").into(),
                    list(bytes, ",", ToString::to_string).into(),
                    list(bytes, "", |b| b.escape_ascii().to_string()).into(),
                ];
                for before in [&b""[..], b"a", b"ab"] {
                    let longer = [before, bytes, b"xyz"].concat();
                    all.push(STANDARD.encode(&longer).into());
                    all.push(URL_SAFE_NO_PAD.encode(&longer).into());
                    all.push(format!("A{}", STANDARD.encode(&longer)).into());
                }
                all
            };
            for form in shown(piece) {
                let output = [b"error: [".as_slice(), &form, b"], x"].concat();
                assert!(searcher.find(&output).is_some(), "{}", String::from_utf8_lossy(&output));
            }
            for form in shown(less) {
                let output = [b"error: [".as_slice(), &form, b"], x"].concat();
                assert_eq!(searcher.find(&output), None);
            }
        }
        let as_text = String::from_utf8(text.to_vec()).unwrap();
        for output in [format!("{as_text:?}"), serde_json::json!({ "a": as_text }).to_string()] {
            assert!(in_text.find(output.as_bytes()).is_some(), "{output}");
            let twice = format!("{output:?}");
            assert!(in_text.find(twice.as_bytes()).is_some(), "{twice}");
        }
    }

    #[test]
    fn public_parts_are_no_secrets() {
        let searcher = Searcher::new(&[b"common part, secret part"], &[b"the common part, x"]);
        assert_eq!(searcher.find(b"common part, "), None);
        assert!(searcher.find(b"part, secret").is_some());
    }
}
