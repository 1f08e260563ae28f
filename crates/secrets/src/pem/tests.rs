//! Valid and invalid texts in the layouts and encodings that operators and other programs produce.

mod unusable;
mod wrong_content;

use rcgen::KeyPair;

use super::samples::*;
use super::*;

/// The result of reading texts: the number of certificates in the chain, and the warnings.
fn read(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<(usize, String), String> {
    let identity = identity(chain.as_ref(), key.as_ref(), 16, None);
    let identity = identity.map_err(|error| format!("{:?}: {error}", error.input))?;
    let warnings: Vec<_> = identity.warnings.iter().map(ToString::to_string).collect();
    Ok((identity.chain.len(), warnings.join("\n")))
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn every_notation_of_a_text_is_read() {
    let (_, middle, leaf) = test_chain();
    let full = format!("{}{}", leaf.pem, middle.pem);
    let notations = |text: &str| -> Vec<(&'static str, Vec<u8>, &'static str)> {
        let restored = "the newlines of this PEM were missing";
        let plain = |text: String| text.into_bytes();
        let lines = |each: fn(&str) -> String| text.lines().map(each).collect::<String>();
        vec![
            ("as it is", plain(text.to_owned()), ""),
            ("CRLF", plain(text.replace('\n', "\r\n")), ""),
            ("CR", plain(text.replace('\n', "\r")), ""),
            ("blank lines", plain(text.replace('\n', "\n\n")), ""),
            ("no final newline", plain(text.trim_end().to_owned()), ""),
            ("trailing blanks", plain(lines(|line| format!("{line} \t\n"))), ""),
            ("indented", plain(lines(|line| format!("    {line}\n"))), ""),
            ("YAML", plain(format!("tls:\n  x: |\n{}", lines(|l| format!("    {l}\n")))), ""),
            ("string literals", plain(lines(|line| format!("  \"{line}\\n\"\n"))), ""),
            ("a list of JSON", plain(format!("[{}]", lines(|l| format!("\"{l}\",\n")))), ""),
            ("quoted mail", plain(lines(|line| format!("> {line}\n"))), "lines begin with `>`"),
            ("mail quoted twice", plain(lines(|line| format!(">> {line}\r\n"))), "begin with `>`"),
            ("BOM", plain(format!("\u{feff}{text}")), ""),
            ("non-breaking blanks", plain(lines(|line| format!("\u{a0}{line}\u{200b}\n"))), ""),
            ("text around", plain(format!("Bag Attributes: <x>\n{text}that was it\n")), ""),
            ("Latin-1 before", [b"issuer: M\xfcller\n", text.as_bytes()].concat(), ""),
            ("zeros at the end", [text.as_bytes(), b"\0\0\0"].concat(), ""),
            ("a comment before", plain(format!("# -----BEGIN CERTIFICATE-----\n{text}")), ""),
            ("UTF-16 LE", [b"\xff\xfe".to_vec(), utf16(text, u16::to_le_bytes)].concat(), "UTF-16"),
            ("UTF-16 BE", [b"\xfe\xff".to_vec(), utf16(text, u16::to_be_bytes)].concat(), "UTF-16"),
            ("UTF-16 without BOM", utf16(text, u16::to_le_bytes), "UTF-16"),
            ("\\n", plain(text.replace('\n', "\\n")), restored),
            ("\\r\\n", plain(text.replace('\n', "\\r\\n")), restored),
            ("\\\\n", plain(text.replace('\n', "\\\\n")), restored),
            ("\\n after a comment", plain(format!("#\n{}", text.replace('\n', "\\n"))), restored),
            (
                "JSON",
                plain(format!("\"{}\"", text.replace('\n', "\\n").replace('/', "\\/"))),
                restored,
            ),
            ("JSON of .NET", plain(text.replace('\n', "\\n").replace('+', "\\u002B")), restored),
            ("an assignment", plain(format!("X='{}'", text.replace('\n', "\\n"))), restored),
            ("one line", plain(text.replace('\n', "")), restored),
            ("one line with blanks", plain(text.replace('\n', " ")), restored),
        ]
    };
    for (what, chain, warning) in notations(&full) {
        let (count, warnings) =
            read(&chain, leaf.key_pem()).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(count, 2, "{what}");
        assert!(warnings.contains(warning) && warnings.is_empty() == warning.is_empty(), "{what}");
    }
    for (what, key, warning) in notations(&leaf.key_pem()) {
        let (_, warnings) = read(&full, &key).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(warnings.contains(warning) || what.starts_with("UTF-16"), "{what}: {warnings}");
    }
}

#[test]
fn damaged_markers_are_refused_with_their_line() {
    let (_, middle, leaf) = test_chain();
    let glued = format!("{}{}", leaf.pem.trim_end(), middle.pem);
    assert_eq!(read(&glued, leaf.key_pem()).unwrap(), (2, String::new()));
    let full = format!("{}{}", leaf.pem, middle.pem);
    let third = format!("{full}{}", middle.pem.replace("BEGIN", "BEG\u{200b}IN"));
    for (text, words) in [
        (full.replace("----------BEGIN", "---------BEGIN"), ""),
        (glued.replace("----------BEGIN", "---------BEGIN"), "`-----BEGIN ...-----` is incomplete"),
        (
            format!("{}\u{2014}BEGIN CERTIFICATE\u{2014}\nx", leaf.pem),
            "`-----BEGIN ...-----` is incomplete",
        ),
        (full.replacen("-----BEGIN", "----BEGIN", 1), "line 1: this `-----BEGIN"),
        (full.replacen("CERTIFICATE-----", "CERTIFICATE----", 1), "line 1: this `-----BEGIN"),
        (
            full.replacen("-----BEGIN CERTIFICATE-----\n", "", 1),
            "has no `-----BEGIN ...-----` line",
        ),
        (
            full.replacen("-----END CERTIFICATE-----\n", "", 1),
            "line 1: the section that begins here has no",
        ),
        (
            full.replacen("-----END C", "-----END X509 C", 1),
            "line 1: the section that begins here has no",
        ),
        (full[..full.len() - 40].to_owned(), "has no `-----END"),
        (third, "has no `-----BEGIN ...-----` line"),
    ] {
        match read(&text, leaf.key_pem()) {
            Ok((chain, _)) => assert_eq!((chain, words), (2, ""), "{text}"),
            Err(error) => assert!(error.contains(words) && error.contains("line "), "{error}"),
        }
    }
}

#[test]
fn a_chain_is_ordered_and_unrelated_certificates_are_left_out() {
    let (root, middle, leaf) = test_chain();
    let other = authority("Unrelated CA", None);
    // Another authority of the same name.
    let same_name = authority("Example Intermediate", Some(&root));
    let sibling = super::samples::leaf(&["mail.example.org"], &middle);
    let join =
        |parts: &[&TestCertificate]| parts.iter().map(|made| made.pem.as_str()).collect::<String>();
    let order = "the certificates were not in order";
    let root_out = "the root (CN=Example Root) is left out";
    for (what, text, count, warnings) in [
        ("right", join(&[&leaf, &middle]), 2, vec![]),
        ("leaf alone", join(&[&leaf]), 1, vec!["issuer (CN=Example Intermediate) is missing"]),
        ("wrong order", join(&[&middle, &leaf]), 2, vec![order]),
        ("root last", join(&[&leaf, &middle, &root]), 2, vec![root_out]),
        ("root first", join(&[&root, &middle, &leaf]), 2, vec![order, root_out]),
        (
            "unrelated",
            join(&[&leaf, &other]),
            1,
            vec!["CN=Unrelated CA is left out: it signs none", "is missing"],
        ),
        (
            "unrelated between",
            join(&[&leaf, &other, &middle]),
            2,
            vec!["CN=Unrelated CA is left out"],
        ),
        ("another key", join(&[&leaf, &same_name, &middle]), 2, vec!["signed by another key"]),
        (
            "another leaf",
            join(&[&sibling, &leaf, &middle]),
            2,
            vec!["mail.example.org is left out: it signs none"],
        ),
        (
            "twice",
            join(&[&leaf, &middle, &middle, &leaf]),
            2,
            vec![
                "copy of the certificate of CN=Example Intermediate",
                "copy of the certificate of mail.example.org",
            ],
        ),
        ("key first", format!("{}{}", leaf.key_pem(), join(&[&leaf, &middle])), 2, vec![]),
        (
            "everything, root first",
            format!("{}{}", join(&[&root, &middle, &leaf]), leaf.key_pem()),
            2,
            vec![order, root_out],
        ),
    ] {
        let (found, shown) = read(&text, leaf.key_pem()).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(found, count, "{what}: {shown}");
        assert_eq!(shown.lines().count(), warnings.len(), "{what}: {shown}");
        for warning in warnings {
            assert!(shown.contains(warning), "{what}: {shown}");
        }
    }
    let identity =
        identity(join(&[&root, &middle, &leaf]).as_bytes(), leaf.key_pem().as_bytes(), 16, None);
    let identity = identity.unwrap();
    let chain: Vec<&[u8]> = identity.chain.iter().map(AsRef::as_ref).collect();
    assert_eq!(chain, [&leaf.der[..], &middle.der]);
    assert_eq!(identity.members[0].issuer, "CN=Example Intermediate");
    assert_eq!(identity.members[0].key.to_string(), "ECDSA P-256");
    let long =
        super::identity(join(&[&leaf, &middle]).as_bytes(), leaf.key_pem().as_bytes(), 1, None);
    assert_eq!(long.unwrap_err().error, PemError::TooMany { limit: 1 });
}

#[test]
fn each_path_to_a_root_of_a_cross_signed_authority_is_kept_once() {
    let (old, new) = (authority("Old Root", None), authority("New Root", None));
    let key = || KeyPair::from_pem(&new.key_pem()).unwrap();
    // The new root, signed by the old one.
    let crossed = signed(new.params.clone(), key(), Some(&old));
    // And the other way around: a circle.
    let back = signed(old.params.clone(), KeyPair::from_pem(&old.key_pem()).unwrap(), Some(&new));
    let middle = authority("Example Intermediate", Some(&new));
    let mut ended = authority_params("Example Intermediate");
    ended.not_after = rcgen::date_time_ymd(2026, 2, 1);
    let ended = signed(ended, KeyPair::from_pem(&middle.key_pem()).unwrap(), Some(&old));
    let leaf = leaf(&["mail.example.org"], &middle);
    let read = |parts: &[&TestCertificate]| {
        let text: String = parts.iter().map(|made| made.pem.as_str()).collect();
        let identity = identity(text.as_bytes(), leaf.key_pem().as_bytes(), 16, None).unwrap();
        let place = |der: &CertificateDer<'_>| parts.iter().position(|made| made.der == der[..]);
        let chain: Vec<_> = identity.chain.iter().map(|der| place(der).unwrap()).collect();
        let warnings: Vec<_> = identity.warnings.iter().map(ToString::to_string).collect();
        (chain, warnings.join("\n"))
    };
    let (chain, warnings) = read(&[&leaf, &middle, &crossed]);
    assert_eq!((chain, warnings), (vec![0, 1, 2], String::new()));
    let (chain, warnings) = read(&[&leaf, &middle, &new, &crossed, &old]);
    assert_eq!(chain, [0, 1, 3]);
    assert_eq!(warnings.lines().count(), 2, "{warnings}");
    // The one that ends last comes first; the other way stays. Each precedes its issuer as given.
    let (chain, warnings) = read(&[&leaf, &ended, &middle, &crossed]);
    assert_eq!((chain, warnings), (vec![0, 2, 3, 1], String::new()));
    let (chain, warnings) = read(&[&leaf, &middle, &ended, &crossed, &new]);
    assert_eq!(chain, [0, 1, 3, 2]);
    assert!(!warnings.contains("were not in order"), "{warnings}");
    let (_, warnings) = read(&[&leaf, &crossed, &middle, &ended]);
    assert!(warnings.contains("were not in order"), "{warnings}");
    let (chain, _) = read(&[&leaf, &middle, &crossed, &back]);
    assert_eq!(chain, [0, 1, 2, 3]);
    // Renewed by its issuer with the same key: the one that ends last will do.
    let mut older = authority_params("Example Intermediate");
    older.not_after = rcgen::date_time_ymd(2026, 3, 1);
    let older = signed(older, KeyPair::from_pem(&middle.key_pem()).unwrap(), Some(&new));
    let (chain, warnings) = read(&[&leaf, &older, &middle]);
    assert_eq!(chain, [0, 2]);
    assert!(warnings.contains("Intermediate until 2026-03-01T00:00:00Z is left out"), "{warnings}");
}

#[test]
fn the_matching_key_and_certificate_are_found_among_several() {
    let (_, middle, leaf) = test_chain();
    let other = super::samples::leaf(&["other.example.org"], &middle);
    let full = format!("{}{}", leaf.pem, middle.pem);
    let keys = format!("{}{}", other.key_pem(), leaf.key_pem());
    let (count, warnings) = read(&full, &keys).unwrap();
    assert_eq!(count, 2);
    assert!(warnings.starts_with("line 1: the private key here (ECDSA P-256) is left out"));
    // The same key twice, and parameters before it.
    let parameters = pem("EC PARAMETERS", &tlv(6, b"\x2a\x86\x48\xce\x3d\x03\x01\x07"));
    let keys = format!("{parameters}{}{}", leaf.key_pem(), leaf.key_pem());
    assert_eq!(read(&full, &keys).unwrap(), (2, String::new()));
    // A key that cannot be used, beside one that can.
    let p521 = pem("PRIVATE KEY", &pkcs8(&curve(b"\x2b\x81\x04\x00\x23"), &[1, 2, 3]));
    let (_, warnings) = read(&full, format!("{p521}{}", leaf.key_pem())).unwrap();
    assert!(warnings.contains("the private key here (ECDSA P-521) is left out"), "{warnings}");
    assert_eq!(
        read(&other.pem, leaf.key_pem()).unwrap_err(),
        "PrivateKey: the private key does not belong to the certificate; give the key that the \
         certificate was requested with"
    );
}

#[test]
fn properties_that_clients_may_reject_are_reported() {
    let (_, middle, _) = test_chain();
    let warnings = |params: rcgen::CertificateParams, issuer: Option<&TestCertificate>| {
        let made = signed(params, KeyPair::generate().unwrap(), issuer);
        let text = format!("{}{}", made.pem, middle.pem);
        let found = identity(text.as_bytes(), made.key_pem().as_bytes(), 16, None).unwrap();
        let now = 1_790_000_000; // In September 2026.
        let all = found.warnings.iter().cloned().chain(found.date_warnings(now));
        all.map(|warning| warning.to_string()).collect::<Vec<_>>().join("\n")
    };
    let with_cn = |name: &str| {
        let mut params = leaf_params(&["mail.example.org"]);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params
    };
    assert_eq!(warnings(with_cn("MAIL.example.org."), Some(&middle)), "");
    assert_eq!(warnings(with_cn("Example Org"), Some(&middle)), "");
    let shown = warnings(with_cn("old.example.org"), Some(&middle));
    assert!(shown.contains("the name old.example.org is not served"), "{shown}");
    let shown = warnings(leaf_params(&["mail.example.org", "192.0.2.1"]), Some(&middle));
    assert!(shown.contains("by its addresses (192.0.2.1)"), "{shown}");
    let mut latin1 = leaf_params(&[]);
    // A name in Latin-1, and one that can be read.
    let names = [tlv(0x82, b"b\xfccher.example"), tlv(0x82, b"mail.example.org")].concat();
    let names = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 17], tlv(0x30, &names));
    latin1.custom_extensions.push(names);
    assert!(warnings(latin1, Some(&middle)).starts_with("1 of its names cannot be read"));
    let mut ended = leaf_params(&["mail.example.org"]);
    ended.not_after = rcgen::date_time_ymd(2026, 2, 1);
    assert_eq!(warnings(ended, Some(&middle)), "the certificate expired at 2026-02-01T00:00:00Z");
    let mut early = leaf_params(&["mail.example.org"]);
    early.not_before = rcgen::date_time_ymd(2030, 2, 1);
    assert!(warnings(early, Some(&middle)).contains("not valid before 2030-02-01T00:00:00Z"));
    let mut own = authority_params("mail.example.org");
    own.subject_alt_names = leaf_params(&["mail.example.org"]).subject_alt_names;
    let shown = warnings(own, None);
    assert!(shown.contains("signed by its own key") && shown.contains("CA:TRUE"), "{shown}");

    let mut ended = authority_params("Ended Intermediate");
    ended.not_after = rcgen::date_time_ymd(2026, 2, 1);
    let ended = signed(ended, KeyPair::generate().unwrap(), Some(&middle));
    let made = super::samples::leaf(&["mail.example.org"], &ended);
    let text = format!("{}{}{}", made.pem, ended.pem, middle.pem);
    let found = identity(text.as_bytes(), made.key_pem().as_bytes(), 16, None).unwrap();
    let shown: Vec<_> =
        found.date_warnings(1_790_000_000).map(|warning| warning.to_string()).collect();
    assert_eq!(found.chain.len(), 3);
    assert!(shown.concat().contains("CN=Ended Intermediate in the chain expired at 2026-02"));
}

#[test]
fn keys_of_every_usable_kind_are_read() {
    let (_, middle, _) = test_chain();
    for (algorithm, kind) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, "ECDSA P-256"),
        (&rcgen::PKCS_ECDSA_P384_SHA384, "ECDSA P-384"),
        (&rcgen::PKCS_ED25519, "Ed25519"),
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let made = signed(leaf_params(&["mail.example.org"]), key, Some(&middle));
        let text = format!("{}{}{}", made.key_pem(), middle.pem, made.pem);
        let found = identity(text.as_bytes(), text.as_bytes(), 16, None).unwrap();
        assert_eq!((found.members[0].key.to_string().as_str(), found.chain.len()), (kind, 2));
        assert_eq!(KeyKind::of_private(&found.key).to_string(), kind);
    }
}

#[test]
fn texts_that_strict_readers_read_differently_are_recognised() {
    let (root, middle, leaf) = test_chain();
    let key = leaf.key_pem();
    let full = format!("{}{}", leaf.pem, middle.pem);
    let alike = |chain: &str, key: &str| {
        let found = identity(chain.as_bytes(), key.as_bytes(), 16, None).unwrap();
        let (plain, plain_key) =
            (certificates_to_pem(&found.chain), key_to_pem(&found.key).unwrap());
        let again = identity(plain.as_bytes(), plain_key.as_bytes(), 16, None).unwrap();
        assert!(again.is_chain_portable(plain.as_bytes()));
        assert!(again.is_key_portable(plain_key.as_bytes()));
        assert!(again.chain == found.chain && again.key == found.key);
        found.is_chain_portable(chain.as_bytes()) && found.is_key_portable(key.as_bytes())
    };
    assert!(alike(&full, &key));
    assert!(alike(&format!("{full}{}", root.pem), &format!("{full}{key}")));
    assert!(!alike(&format!("{}{}", middle.pem, leaf.pem), &key));
    assert!(!alike(&format!("\u{feff}{full}"), &key));
    assert!(!alike(&full, &key.replace('\n', "\\n")));
    assert!(!alike(&full, &key.replace("PRIVATE", "EC PRIVATE")));
    assert!(!alike(&full, &format!("{}{key}", root.key_pem())));
    let found = certificates(root.pem.as_bytes(), 9).unwrap();
    assert!(are_portable(root.pem.as_bytes(), &found));
    assert!(!are_portable(format!("\u{feff}{}", root.pem).as_bytes(), &found));
}

#[test]
fn authorities_are_read_and_an_expired_one_is_reported() {
    let (root, middle, leaf) = test_chain();
    let mut ended = authority_params("Ended Root");
    ended.not_after = rcgen::date_time_ymd(2026, 2, 1);
    let ended = signed(ended, KeyPair::generate().unwrap(), None);
    let text = format!("{}{}{}{}", leaf.key_pem(), root.pem, middle.pem, ended.pem);
    let Authorities { certificates, warnings } =
        authorities(text.as_bytes(), 3, 1_790_000_000).unwrap();
    assert_eq!((certificates.len(), warnings.len()), (3, 1));
    assert!(warnings[0].to_string().contains("CN=Ended Root"));
    let error = authorities(text.as_bytes(), 2, 0).unwrap_err();
    assert_eq!(error, PemError::TooMany { limit: 2 });
}

#[test]
fn too_many_sections_are_not_reported_as_certificates() {
    let text = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n".repeat(8193);
    let error = certificates(text.as_bytes(), 16).unwrap_err().to_string();
    assert!(error.starts_with("it has more than 8192 sections"), "{error}");
}

#[test]
fn damaged_texts_cause_no_panic() {
    let (_, middle, leaf) = test_chain();
    let text = format!("{}{}{}", leaf.key_pem(), leaf.pem, middle.pem);
    for at in (0..text.len()).step_by(7) {
        let _any = read(&text[at..], &text[..at]);
        let mut damaged = text.clone().into_bytes();
        damaged[at] ^= 0x55;
        let _any = read(&damaged, &damaged);
        let mut der = leaf.der.clone();
        let place = at % der.len();
        der[place] ^= 0x81;
        let _any = read(pem("CERTIFICATE", &der), leaf.key_pem());
        let _any = read(&der, &der[..place]);
    }
}

#[test]
fn keys_are_wiped_on_drop() {
    fn is_wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
    let (_, middle, leaf) = test_chain();
    let (chain, key) = (format!("{}{}", leaf.pem, middle.pem), leaf.key_pem());
    is_wiped(&identity(chain.as_bytes(), key.as_bytes(), 16, None).unwrap().key);
    is_wiped(&private_key(key.as_bytes()).unwrap());
    is_wiped(&super::read::keys(key.as_bytes()).unwrap().items[0].key);
}
