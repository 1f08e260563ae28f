//! Malformed and unusual notations of a key or password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The name of a notation, and the bytes it results in.
pub(super) type Form = (&'static str, Vec<u8>);

/// A text in each notation. Some notations do not change a text of one line.
pub(super) fn forms(text: &str) -> Vec<Form> {
    let utf16 = |to_bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to_bytes).collect();
    let le: Vec<u8> = utf16(u16::to_le_bytes);
    let be: Vec<u8> = utf16(u16::to_be_bytes);
    let body = text.lines().filter(|line| !line.starts_with("-----")).collect::<String>();
    vec![
        ("as it is", text.into()),
        ("escaped newlines", text.replace('\n', "\\n").into()),
        ("escaped twice", text.replace('\n', "\\\\n").into()),
        ("no final newline", text.trim_end().into()),
        ("cut short", text[..text.len() / 2].into()),
        (
            "its last line missing",
            text.trim_end().rsplit_once('\n').map_or(text, |(t, _)| t).into(),
        ),
        ("cut in front", text[text.len() / 3..].into()),
        ("wrong label", text.replace("PRIVATE KEY", "CERTIFICATE").into()),
        ("unknown label", text.replace("PRIVATE", "PRIVAT").into()),
        ("labels differ", text.replace("END ", "END EC ").into()),
        ("damaged marker", text.replacen("KEY-----", "KEY---", 1).into()),
        ("doubled", [text, text].concat().into()),
        ("doubled without newline", [text.trim_end(), text].concat().into()),
        ("base64 of it", STANDARD.encode(text).into()),
        ("base64 of base64 of it", STANDARD.encode(STANDARD.encode(text)).into()),
        ("BOM", format!("\u{feff}{text}").into()),
        ("UTF-16", [b"\xff\xfe".as_slice(), &le].concat()),
        ("UTF-16 without BOM", be),
        ("CRLF", text.replace('\n', "\r\n").into()),
        ("one line", text.replace('\n', "").into()),
        ("blanks for newlines", text.replace('\n', " ").into()),
        ("indented", text.lines().map(|line| format!("  {line}\n")).collect::<String>().into()),
        ("quoted", format!("\"{}\"", text.trim_end()).into()),
        ("assigned", format!("KEY={}", text.trim_end()).into()),
        ("its base64 alone", body.clone().into()),
        ("its bytes", STANDARD.decode(&body).unwrap_or_else(|_| body.into())),
        ("a letter of it changed", text.replacen(['Q', 'b', '7'], "!", 1).into()),
        ("not UTF-8", [text.as_bytes(), b"\xff\xe9"].concat()),
        ("a zero in it", text.replacen('a', "a\0", 1).into()),
    ]
}

/// A JSON5 string for these bytes, with U+FFFD for bytes that are not UTF-8.
pub(super) fn quoted(bytes: &[u8]) -> String {
    serde_json::Value::from(String::from_utf8_lossy(bytes)).to_string()
}

/// Mistakes in the configuration around a secret. `setting` is `name: value`.
pub(super) fn damaged(before: &str, setting: &str, after: &str) -> Vec<(&'static str, String)> {
    let (name, value) = setting.split_once(": ").unwrap_or((setting, ""));
    let inner = value.trim_matches('"');
    // As an operator pastes the value: with real newlines.
    let pasted = inner.replace("\\n", "\n");
    let with = |setting: &str| format!("{before}{setting}{after}");
    vec![
        ("nothing", with(setting)),
        ("an error before it", format!("{{ ] {}", with(setting))),
        ("an error on the line before", with(&format!("oops:\n {setting}"))),
        ("an error behind it", with(&format!("{setting} }}, ]"))),
        ("an error on the next line", with(&format!("{setting},\n oops"))),
        ("an unknown key behind it", with(&format!("{setting}, oops: 1"))),
        ("an unknown key before it", with(&format!("oops: 1, {setting}"))),
        ("a key that stands twice", with(&format!("{setting}, {setting}"))),
        ("its quote not closed", with(&format!("{name}: \"{inner}"))),
        ("its first quote missing", with(&format!("{name}: {inner}\""))),
        ("no quotes", with(&format!("{name}: {inner}"))),
        ("no colon", with(&format!("{name} {value}"))),
        ("an equals sign", with(&format!("{name} = {value}"))),
        ("an equals sign without blanks", with(&format!("{name}={value}"))),
        ("a comment before the colon", with(&format!("{name} // c\n : {value}"))),
        ("a comment behind the colon", with(&format!("{name}: /* c */ {value}"))),
        ("a comment and a newline", with(&format!("{name}: // c\n {value}"))),
        ("no comma behind it", with(&format!("{setting} oops: 1"))),
        ("newlines in the quotes", with(&format!("{name}: \"{pasted}\""))),
        ("lines joined", with(&format!("{name}: \"{}\"", pasted.replace('\n', "\\\n")))),
        ("lines joined, an error behind", {
            with(&format!("{name}: \"{}\" oops", pasted.replace('\n', "\\\n")))
        }),
        ("an array", with(&format!("{name}: [{value}]"))),
        ("an array without quotes", with(&format!("{name}: [{inner}]"))),
        ("an array in an array", with(&format!("{name}: [[{value}], {value}]"))),
        ("an object", with(&format!("{name}: {{ a: {value} }}"))),
        ("cut off behind it", format!("{before}{setting}")),
    ]
}
