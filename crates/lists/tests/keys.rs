//! A file with a key in it, given for a list: no message shows the key.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use mailmesh_events::{Rule, UnixMillis};
use mailmesh_lists::*;

const BASE64: &str = "q83vEjRWeJq83vASNFZ4mrze8BI0VniavN7wEjRWeJo=";
/// With every sign that base64 has.
const SIGNED: &str = "q83vEjRW+Jq83vAS/FZ4m+ze8BI0VniavN7wEjRW/Jo=";
const URL_SAFE: &str = "q83vEjRWeJq83vASNFZ4m-ze8BI0VniavN7wEjRW_Jo";
const HEX: &str = "abcdef123456789abcdef0123456789abcdef0123456789abcdef0123456789a";
/// Lines of the body of a PEM text.
const BODY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgq83vEjRWeJq83vAS\n\
                    NFZ4mrze8BI0VniavN7wEjRWeJo0VniavN7wEjRWeJq83vASNFZ4mrze8BI0VniA\n";

/// All that may be shown of the reading of a text.
fn report(text: &str, format: Format) -> String {
    match read(text, format) {
        Ok(mut list) => {
            list.select_for_import(&Terms { now: UnixMillis(1), ..Terms::default() });
            format!("{:?} {:?}", list.bad, list.notes)
        }
        Err(error) => format!("{error} {error:?}"),
    }
}

/// Whether a text shows eleven characters of a key, which are eight bytes in base64.
fn shows(said: &str, key: &str) -> bool {
    let key: Vec<char> = key.chars().filter(|c| *c != '\n').collect();
    key.windows(11).any(|part| said.contains(&part.iter().collect::<String>()))
}

#[test]
fn a_file_that_is_a_key_is_refused_and_not_shown() {
    let pem = |kind: &str| format!("-----BEGIN {kind}-----\n{BODY}-----END {kind}-----\n");
    let mut texts = Vec::new();
    for key in [BASE64, SIGNED, URL_SAFE, HEX, &HEX.to_uppercase()] {
        for text in [
            format!("{key}\n"),
            key.to_owned(),
            format!("\u{feff}  {key}  \r\n"),
            format!("# the key of the cluster\n\n{key}\n"),
            format!("\"{key}\"\n"),
            format!("KEY={key}\n"),
            format!("export KEY=\"{key}\"\n"),
            format!("key: {key}\n"),
            format!("{{\"key\": \"{key}\"}}\n"),
            format!("{key},\n"),
        ] {
            texts.push((key.to_owned(), text));
        }
    }
    for kind in
        ["CERTIFICATE", "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]
    {
        texts.push((BODY.to_owned(), pem(kind)));
        texts.push((BODY.to_owned(), format!("192.0.2.7\n{}", pem(kind))));
        texts.push((BODY.to_owned(), pem(kind).replace('\n', " ")));
        texts.push((BODY.to_owned(), pem(kind).replace('\n', "\\n")));
    }
    texts.push((BASE64.to_owned(), format!("192.0.2.7\n{BASE64}\n")));
    for (key, text) in &texts {
        let formats = Format::ALL.into_iter().map(|(_, format)| format);
        for format in formats.chain([Format::guess(text)]) {
            let said = report(text, format);
            assert!(said.contains("this looks like a key"), "{format:?}: {text}\n{said}");
            assert!(!shows(&said, key), "{format:?}: {text}\n{said}");
        }
    }
}

#[test]
fn a_key_within_an_unreadable_line_is_not_shown() {
    for key in [BASE64, SIGNED, HEX, BODY.lines().next().unwrap()] {
        for text in [
            format!("some words before {key} and behind\n192.0.2.7\n"),
            format!("192.0.2.7,reason,{key}\n"),
            format!("ip,expires,{key}\n192.0.2.7,{key},x\n"),
            format!("network,start,end\n192.0.2.7,x,{key}\n"),
            format!("[{{\"network\": \"{key}\", \"expires\": \"{key}\"}}]\n"),
            format!("{{\"network\": \"{key}\"}}\n{{\"{key}\": {{}}, \"network\": 3}}\n"),
            format!("['{key}']\n"),
            format!("add {key} {key}\ncreate {key} hash:ip\n"),
            format!("table inet {key} {{ set {key} {{ elements = {{ {key} }} }} }}\n"),
            format!("{key}:{key}-{key} , {key} , {key}\n"),
            format!("deny {key};\n{key} {key}\n"),
            format!("ALL: [{key}]\n{key} : {key} EXCEPT 192.0.2.7\n"),
            format!("/ip firewall address-list\nadd address={key} list={key} timeout={key}\n"),
            format!("Status for the jail: {key}\n`- Banned IP list: {key}\n"),
            format!("192.0.2.7 2026-01-01 00:00:00 + 3600 = {key}\n"),
            format!("*filter\n{key}\n"),
            format!("- {key}: {key}\n"),
        ] {
            let formats = Format::ALL.into_iter().map(|(_, format)| format);
            for format in formats.chain([Format::guess(&text)]) {
                let said = report(&text, format);
                assert!(!shows(&said, key), "{format:?}: {text}\n{said}");
            }
        }
    }
}

/// Lists of indicators have hashes of files between addresses.
#[test]
fn a_hash_between_addresses_is_a_bad_line_that_is_not_shown() {
    let text = format!("192.0.2.7\n{HEX}\n198.51.100.7\n");
    let list = read_for(Rule::Block, &text, Format::guess(&text)).unwrap();
    assert_eq!((list.entries.len(), list.bad.len(), list.bad[0].line), (2, 1, 2));
    assert!(!shows(&list.bad[0].why, HEX), "{:?}", list.bad);
    // Words and names stay legible.
    let words = "this-is-no-address.of-any.host.example.org";
    let list = read(words, Format::Plain).unwrap();
    assert!(list.bad[0].why.contains(words), "{:?}", list.bad);
}
