//! Certificates and keys that can be parsed and that TLS, or its clients, do not take.

use super::super::samples::*;
use super::*;

/// In September 2026.
const NOW: i64 = 1_790_000_000;
const P256: &[u8] = b"\x2a\x86\x48\xce\x3d\x03\x01\x07";

fn extension(oid: &[u64], is_critical: bool) -> rcgen::CustomExtension {
    let mut extension = rcgen::CustomExtension::from_oid_content(oid, tlv(5, &[]));
    extension.set_criticality(is_critical);
    extension
}

fn text(parts: &[&TestCertificate]) -> String {
    parts.iter().map(|made| made.pem.as_str()).collect()
}

#[test]
fn of_several_certificates_of_a_key_the_first_valid_one_is_taken() {
    let (_, middle, leaf) = test_chain();
    let again = |from: (i32, u8), until: i32| {
        let mut params = leaf.params.clone();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        signed(params, KeyPair::from_pem(&leaf.key_pem()).unwrap(), Some(&middle))
    };
    let (renewed, ended, early) =
        (again((2026, 3), 2036), again((2025, 1), 2026), again((2030, 1), 2036));
    for (parts, first, left_out) in [
        ([&leaf, &renewed, &middle], &leaf, "until 2036-01-01T00:00:00Z"),
        ([&renewed, &leaf, &middle], &renewed, "another certificate of the same key"),
        ([&ended, &leaf, &middle], &leaf, "until 2026-01-01T00:00:00Z"),
        ([&early, &leaf, &middle], &leaf, "another certificate of the same key"),
        ([&early, &ended, &middle], &early, "until 2026-01-01T00:00:00Z"),
    ] {
        let found =
            identity(text(&parts).as_bytes(), leaf.key_pem().as_bytes(), 16, Some(NOW)).unwrap();
        assert_eq!(found.chain[0][..], first.der);
        let warnings: String = found.warnings.iter().map(ToString::to_string).collect();
        assert!(warnings.contains(left_out), "{warnings}");
    }
}

#[test]
fn a_critical_extension_that_tls_does_not_know_is_named() {
    let (_, middle, _) = test_chain();
    for (oid, is_critical, words) in [
        (&[1, 2, 3, 4, 5][..], true, "its extension 1.2.3.4.5 is critical"),
        (&[2, 5, 29, 32], true, "its extension certificatePolicies (2.5.29.32) is critical"),
        (&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 3], true, "the poison of a precertificate"),
        (&[1, 2, 3, 4, 5], false, ""),
    ] {
        let mut params = leaf_params(&["mail.example.org"]);
        params.custom_extensions.push(extension(oid, is_critical));
        let made = signed(params, KeyPair::generate().unwrap(), Some(&middle));
        let result = read(text(&[&made, &middle]), made.key_pem());
        let chain = vec![CertificateDer::from(made.der.clone())];
        let key = private_key(made.key_pem().as_bytes()).unwrap().clone_key();
        let pair = check_pair(chain, key).map_err(|error| error.to_string());
        match words {
            "" => assert!(result.is_ok() && pair.is_ok(), "{result:?} {pair:?}"),
            words => {
                let error = result.unwrap_err();
                assert!(error.starts_with("Certificates: ") && error.contains(words), "{error}");
                assert!(pair.unwrap_err().contains(words));
            }
        }
    }
}

#[test]
fn keys_whose_form_cannot_be_loaded_are_named_with_what_to_do() {
    let (_, middle, leaf) = test_chain();
    let full = text(&[&leaf, &middle]);
    let ec = |public: &[u8], has_curve: bool| {
        let curve = if has_curve { tlv(0xa0, &tlv(6, P256)) } else { Vec::new() };
        tlv(0x30, &[tlv(2, &[1]), tlv(4, &[7; 32]), curve, public.to_vec()].concat())
    };
    let point = |form: u8, len: usize| tlv(0xa1, &tlv(3, &[vec![0, form], vec![9; len]].concat()));
    let rsa = |version: u8, exponent: &[u8]| {
        let modulus = [vec![0], vec![0xc5; 256]].concat();
        tlv(0x30, &[tlv(2, &[version]), tlv(2, &modulus), tlv(2, exponent)].concat())
    };
    let adds = "without its public part, which is needed here; `openssl ec -in FILE -out FILE.pem`";
    let rewrites = "`openssl ec -in FILE -conv_form uncompressed -out FILE.pem` rewrites it";
    for (what, text, words) in [
        ("SEC 1", pem("EC PRIVATE KEY", &ec(&[], true)), adds),
        ("PKCS #8", pem("PRIVATE KEY", &pkcs8(&curve(P256), &ec(&[], false))), adds),
        ("compressed", pem("EC PRIVATE KEY", &ec(&point(2, 32), true)), rewrites),
        (
            "compressed, PKCS #8",
            pem("PRIVATE KEY", &pkcs8(&curve(P256), &ec(&point(3, 32), false))),
            rewrites,
        ),
        ("wrong point", pem("EC PRIVATE KEY", &ec(&point(4, 64), true)), "but damaged"),
        (
            "e=3",
            pem("RSA PRIVATE KEY", &rsa(0, &[3])),
            "RSA of 2048 bits with a public exponent that is not from 65537 to 2^33, which cannot \
             be used here; request a certificate for another key",
        ),
        (
            "three primes",
            pem("RSA PRIVATE KEY", &rsa(1, &[1, 0, 1])),
            "RSA of 2048 bits with more than two primes, which cannot be used here",
        ),
        (
            "three primes, PKCS #8",
            pem(
                "PRIVATE KEY",
                &pkcs8(
                    &[tlv(6, b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"), tlv(5, &[])].concat(),
                    &rsa(1, &[1, 0, 1]),
                ),
            ),
            "with more than two primes",
        ),
        ("damaged RSA", pem("RSA PRIVATE KEY", &rsa(0, &[1, 0, 1])), "but damaged"),
    ] {
        let error = read(&full, text).unwrap_err();
        assert!(error.starts_with("PrivateKey: ") && error.contains(words), "{what}: {error}");
    }
}

#[test]
fn the_key_of_the_authority_is_recognised() {
    let (_, middle, leaf) = test_chain();
    let full = text(&[&leaf, &middle]);
    let error = read(&full, middle.key_pem()).unwrap_err();
    assert!(error.starts_with("PrivateKey: this is the key of the authority"), "{error}");
    // Beside the right one it is left out.
    let (_, warnings) = read(&full, format!("{}{}", middle.key_pem(), leaf.key_pem())).unwrap();
    assert!(warnings.contains("the private key here (ECDSA P-256) is left out"), "{warnings}");
}

#[test]
fn usages_that_clients_refuse_are_reported() {
    use rcgen::{ExtendedKeyUsagePurpose as Extended, KeyUsagePurpose as Usage};
    let (_, middle, _) = test_chain();
    let warnings = |usages: &[Usage], extended: &[Extended]| {
        let mut params = leaf_params(&["mail.example.org"]);
        params.key_usages = usages.to_vec();
        params.extended_key_usages = extended.to_vec();
        let made = signed(params, KeyPair::generate().unwrap(), Some(&middle));
        read(text(&[&made, &middle]), made.key_pem()).unwrap().1
    };
    let both = [Extended::ServerAuth, Extended::ClientAuth];
    assert_eq!(warnings(&[Usage::DigitalSignature], &both), "");
    assert!(warnings(&[], &[Extended::ClientAuth]).contains("extendedKeyUsage has no serverAuth"));
    assert!(warnings(&[Usage::KeyCertSign], &[]).contains("keyUsage has no digitalSignature"));
}

#[test]
fn a_chain_that_the_other_end_of_a_link_refuses_is_explained() {
    use rcgen::ExtendedKeyUsagePurpose as Extended;
    let (root, middle, leaf) = test_chain();
    let other = authority("Other Root", None);
    let with = |extended: Extended| {
        let mut params = leaf_params(&["mail.example.org"]);
        params.extended_key_usages = vec![extended];
        signed(params, KeyPair::generate().unwrap(), Some(&middle))
    };
    let (server, client) = (with(Extended::ServerAuth), with(Extended::ClientAuth));
    let mut alone = leaf_params(&["mail.example.org"]);
    alone.is_ca = rcgen::IsCa::ExplicitNoCa;
    let alone = signed(alone, KeyPair::generate().unwrap(), None);
    let mut own = authority_params("mail.example.org");
    own.subject_alt_names = leaf_params(&["mail.example.org"]).subject_alt_names;
    let own = signed(own, KeyPair::generate().unwrap(), None);
    let why = |chain: &[&TestCertificate], authority: &TestCertificate, end| {
        let ders = |parts: &[&TestCertificate]| -> Vec<_> {
            parts.iter().map(|made| CertificateDer::from(made.der.clone())).collect()
        };
        link_refusal(&ders(chain), &ders(&[authority]), end, NOW).unwrap_or_default()
    };
    use LinkEnd::{Dialer, Listener};
    for (what, chain, authority, end, words) in [
        ("right", &[&leaf, &middle][..], &root, Listener, ""),
        ("right, dialing", &[&leaf, &middle], &root, Dialer, ""),
        ("the intermediate is trusted", &[&leaf, &middle], &middle, Listener, ""),
        ("another root", &[&leaf, &middle], &other, Listener, "no authority there signed it"),
        ("another root, dialing", &[&leaf, &middle], &other, Dialer, "no authority there signed"),
        ("the intermediate is missing", &[&leaf], &root, Listener, "fullchain.pem"),
        ("the leaf is the root", &[&leaf, &middle], &leaf, Listener, "is given as the authority"),
        ("self-signed", &[&alone], &alone, Listener, ""),
        ("self-signed authority", &[&own], &own, Listener, "(CA:TRUE)"),
        ("for servers", &[&server, &middle], &root, Listener, ""),
        ("for servers, dialing", &[&server, &middle], &root, Dialer, "has no clientAuth"),
        ("for clients", &[&client, &middle], &root, Listener, "has no serverAuth"),
        ("for clients, dialing", &[&client, &middle], &root, Dialer, ""),
    ] {
        let said = why(chain, authority, end);
        assert!(said.contains(words) && said.is_empty() == words.is_empty(), "{what}: {said}");
    }
}
