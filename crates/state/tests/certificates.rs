//! Which of several certificates is chosen for a host.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mailmesh_events::*;
use mailmesh_state::*;
use proptest::prelude::*;
use zeroize::Zeroizing;

const NOW: UnixMillis = UnixMillis(1_000);
const DAY: Duration = Duration::from_secs(86_400);

fn certificate(names: &[&str], from: u64, to: u64, mark: u8) -> Certificate {
    Certificate::new(CertificateParts {
        names: DomainNames::new(names).unwrap(),
        chain: vec![vec![mark].into()],
        key: PrivateKey::from_der(Zeroizing::new(vec![mark])).unwrap(),
        not_before: UnixMillis(from),
        not_after: UnixMillis(to),
        fingerprint: CertificateFingerprint([mark; 32]),
    })
    .unwrap()
}

/// Sets a certificate through `restore`, which does not parse the DER; these certificates have
/// none.
fn set(mirror: &Mirror, certificate: Certificate, at: u64) {
    let names = certificate.names().clone();
    let stamp = Stamp::new(UnixMillis(at), 0, NodeId(1));
    let certificate = Some(certificate.into());
    let change = Change::Certificate(CertificateChange::new(names, stamp, certificate));
    let saved = Saved { change, replaced_another: false, end: None };
    assert_eq!(mirror.restore([saved], NOW), 1);
}

fn mirror(certificates: impl IntoIterator<Item = Certificate>) -> Mirror {
    let mirror = Mirror::new(NodeId(1), [3; 16]);
    certificates.into_iter().for_each(|certificate| set(&mirror, certificate, 1));
    mirror
}

fn found(mirror: &Mirror, host: &str) -> Option<u8> {
    mirror.certificate_for_host(host, NOW).map(|certificate| certificate.fingerprint().0[0])
}

fn why(mirror: &Mirror, host: &str) -> (Validity, bool) {
    let chosen = mirror.choose_certificate(host, NOW).unwrap();
    (chosen.validity, chosen.is_exact)
}

#[test]
fn a_valid_exact_name_beats_a_newer_expired_wildcard() {
    let mirror = mirror([
        certificate(&["mail.example.org"], 100, 5_000, 1),
        certificate(&["*.example.org"], 500, 900, 2),
    ]);
    assert_eq!(found(&mirror, "mail.example.org"), Some(1));
    assert_eq!(why(&mirror, "mail.example.org"), (Validity::Valid, true));
    assert_eq!(found(&mirror, "imap.example.org"), Some(2));
    assert_eq!(why(&mirror, "imap.example.org"), (Validity::Expired, false));
    assert_eq!(found(&mirror, "example.org"), None);
}

#[test]
fn a_valid_wildcard_beats_an_invalid_exact_name() {
    for (from, to) in [(100, 900), (1_001, 5_000)] {
        let mirror = mirror([
            certificate(&["mail.example.org"], from, to, 1),
            certificate(&["*.example.org"], 50, 5_000, 2),
        ]);
        assert_eq!(found(&mirror, "mail.example.org"), Some(2));
        assert_eq!(why(&mirror, "mail.example.org"), (Validity::Valid, false));
    }
}

#[test]
fn an_exact_name_beats_a_newer_wildcard() {
    let mirror = mirror([
        certificate(&["mail.example.org"], 100, 5_000, 1),
        certificate(&["*.example.org"], 500, 9_000, 2),
    ]);
    assert_eq!(found(&mirror, "mail.example.org"), Some(1));
}

#[test]
fn the_valid_certificate_issued_last_is_chosen() {
    let mirror = mirror([
        certificate(&["mail.example.org", "a.example"], 100, 9_000, 1),
        certificate(&["mail.example.org", "b.example"], 500, 2_000, 2),
        certificate(&["mail.example.org", "c.example"], 300, 9_000, 3),
        certificate(&["mail.example.org", "d.example"], 600, 900, 4),
        certificate(&["mail.example.org", "e.example"], 1_001, 9_000, 5),
    ]);
    assert_eq!(found(&mirror, "mail.example.org"), Some(2));
}

#[test]
fn without_a_valid_certificate_the_last_expired_is_chosen() {
    let expired = [
        certificate(&["mail.example.org", "a.example"], 600, 700, 1),
        certificate(&["mail.example.org", "b.example"], 100, 900, 2),
    ];
    let later = [
        certificate(&["mail.example.org", "c.example"], 2_000, 9_000, 3),
        certificate(&["mail.example.org", "d.example"], 1_500, 8_000, 4),
    ];
    let both = mirror(expired.into_iter().chain(later.clone()));
    assert_eq!(found(&both, "mail.example.org"), Some(2));
    assert_eq!(why(&both, "mail.example.org"), (Validity::Expired, true));
    let none_begun = mirror(later);
    assert_eq!(found(&none_begun, "mail.example.org"), Some(4));
    assert_eq!(why(&none_begun, "mail.example.org"), (Validity::NotYetValid, true));
}

#[test]
fn not_before_is_inclusive_and_not_after_exclusive() {
    for (from, to, validity) in [
        (1_000, 1_001, Validity::Valid),
        (999, 1_000, Validity::Expired),
        (1_001, 1_002, Validity::NotYetValid),
    ] {
        let mirror = mirror([certificate(&["a.example"], from, to, 1)]);
        assert_eq!(why(&mirror, "a.example").0, validity, "{from}..{to}");
    }
}

#[test]
fn hosts_are_compared_as_in_dns() {
    let mirror = mirror([
        certificate(&["mail.xn--bcher-kva.example"], 100, 5_000, 1),
        certificate(&["*.xn--bcher-kva.example"], 100, 5_000, 2),
    ]);
    for host in ["mail.bücher.example", "MAIL.BÜCHER.example.", "mail.XN--bcher-KVA.example"] {
        assert_eq!(found(&mirror, host), Some(1), "{host}");
    }
    assert_eq!(found(&mirror, "imap.bücher.example."), Some(2));
    assert_eq!(found(&mirror, "müller.bücher.example"), Some(2));
    for host in ["a.mail.bücher.example", ".bücher.example", "*.bücher.example", "bücher.example"]
    {
        assert_eq!(found(&mirror, host), None, "{host}");
    }
}

#[test]
fn each_name_is_listed_with_its_chosen_certificate() {
    let mirror = mirror([
        certificate(&["mail.example.org", "*.example.org"], 100, 900, 1),
        certificate(&["*.example.org"], 500, 5_000, 2),
        certificate(&["mail.example.org"], 200, 800, 3),
    ]);
    let listed: Vec<_> = mirror
        .certificates_by_name(NOW)
        .into_iter()
        .map(|(name, chosen)| (name, chosen.certificate.fingerprint().0[0], chosen.is_exact))
        .collect();
    let wanted = [("*.example.org".into(), 2, false), ("mail.example.org".into(), 2, false)];
    assert_eq!(listed, wanted);
}

#[test]
fn an_older_valid_certificate_may_replace_an_expired_one() {
    let made = |from: i32, to: i32| {
        let mut params = rcgen::CertificateParams::new(["mx.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        certificate_from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    };
    let at = |year: u64| UnixMillis((year - 1970) * 31_557_600_000);
    let (short, long) = (made(2021, 2022), made(2020, 2030));
    let mirror = Mirror::new(NodeId(1), [3; 16]);
    mirror.set_certificate(short, at(2021).plus(DAY)).unwrap();
    let refused = mirror.set_certificate(long.clone(), at(2021).plus(2 * DAY));
    assert!(matches!(refused, Err(StateError::NewerCertificate { .. })), "{refused:?}");
    mirror.set_certificate(long, at(2025)).unwrap();
    let chosen = mirror.choose_certificate("mx.example", at(2025)).unwrap();
    assert_eq!(chosen.validity, Validity::Valid);
}

#[test]
fn a_choice_displays_its_reason() {
    let reason = |from: u64, to: u64, name: &str| {
        let now = UnixMillis(100 * 86_400_000);
        let made = certificate(&[name], from * 3_600_000, to * 3_600_000, 1);
        mirror([made]).choose_certificate("a.example", now).unwrap().to_string()
    };
    let now = 2_400;
    assert_eq!(reason(now - 9, now + 9, "a.example"), "valid, exact name");
    assert_eq!(reason(now - 9, now + 9, "*.example"), "valid, wildcard");
    let expired = "expired 3 days ago, exact name; no valid certificate matches it";
    assert_eq!(reason(now - 99, now - 72, "a.example"), expired);
    let later = "valid in 30 hours, wildcard; no valid certificate matches it";
    assert_eq!(reason(now + 30, now + 99, "*.example"), later);
}

/// The same choice by scanning all certificates.
fn naive(all: &BTreeMap<DomainNames, Certificate>, host: &str) -> Option<u8> {
    let is_exact = |c: &Certificate| c.names().iter().any(|name| name == host);
    let is_wildcard = |c: &Certificate| {
        let (_, parent) = host.split_once('.').unwrap_or_default();
        !parent.is_empty() && c.names().iter().any(|name| name == format!("*.{parent}"))
    };
    let key = |c: &Certificate| {
        let (from, to) = (c.not_before().0, c.not_after().0);
        let (class, order) = if from <= NOW.0 && NOW.0 < to {
            (2, (from, to))
        } else if from <= NOW.0 {
            (1, (to, from))
        } else {
            (0, (u64::MAX - from, to))
        };
        (class == 2, is_exact(c), class, order, c.fingerprint())
    };
    let serving = all.values().filter(|c| is_exact(c) || is_wildcard(c));
    serving.max_by_key(|c| key(c)).map(|c| c.fingerprint().0[0])
}

proptest! {
    #[test]
    fn the_index_chooses_as_a_full_scan_does(
        steps in prop::collection::vec(
            (
                prop::collection::btree_set(
                    prop::sample::select(vec!["a.b", "*.b", "b", "c.b", "*.a.b", "d.a.b"]), 1..4),
                990_u64..1_010,
                0_u64..30,
                any::<bool>(),
            ),
            1..25,
        ),
    ) {
        let mirror = mirror([]);
        let mut all = BTreeMap::new();
        for (i, (names, from, length, is_withdrawn)) in steps.into_iter().enumerate() {
            let names: Vec<_> = names.into_iter().collect();
            let key = DomainNames::new(&names).unwrap();
            if is_withdrawn && all.remove(&key).is_some() {
                mirror.withdraw_certificate(key, NOW).unwrap();
                continue;
            }
            let made = certificate(&names, from, from + length, i as u8);
            all.insert(key, made.clone());
            // Later than withdrawals too, which are stamped with `NOW`.
            set(&mirror, made, 1_000 + i as u64 * 10);
        }
        for host in ["a.b", "b", "c.b", "x.b", "d.a.b", "x.a.b", "x.d.a.b", "B.", "X.b"] {
            let plain = host.to_lowercase();
            let plain = plain.trim_end_matches('.');
            prop_assert_eq!(found(&mirror, host), naive(&all, plain), "{}", host);
        }
        let names = all.keys().flat_map(DomainNames::iter).collect::<BTreeSet<_>>();
        let listed = mirror.certificates_by_name(NOW);
        let listed: Vec<_> = listed.iter().map(|(name, _)| &**name).collect();
        prop_assert_eq!(listed, names.into_iter().collect::<Vec<_>>());
    }
}

/// A certificate with these names of the host, and others.
fn made(hosts: &[&str], others: &[rcgen::SanType]) -> Result<ReadCertificate, StateError> {
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    let dns = |host: &&str| rcgen::SanType::DnsName((*host).try_into().unwrap());
    params.subject_alt_names = hosts.iter().map(dns).chain(others.iter().cloned()).collect();
    let key = rcgen::KeyPair::generate().unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    read_certificate(chain.as_bytes(), key.serialize_pem().as_bytes(), NOW)
}

#[test]
fn an_odd_name_is_left_out_with_a_warning_and_the_others_are_served() {
    let others = [
        rcgen::SanType::URI("spiffe://example.org/mail".try_into().unwrap()),
        rcgen::SanType::Rfc822Name("root@example.org".try_into().unwrap()),
    ];
    let hosts = ["mail.example.org", "my host.example.org", "a..example.org", "IMAP.example.org."];
    let read = made(&hosts, &others).unwrap();
    let names: Vec<_> = read.certificate.names().iter().collect();
    assert_eq!(names, ["imap.example.org", "mail.example.org"]);
    let said: Vec<String> = read.warnings.iter().map(ToString::to_string).collect();
    let odd = "my host.example.org, a..example.org, URI:spiffe://example.org/mail, \
               email:root@example.org";
    assert!(said.iter().any(|said| said.contains(odd)), "{said:?}");
    // The mirror compares the names of a certificate from another node in the same way.
    let mirror = Mirror::new(NodeId(1), [3; 16]);
    mirror.set_certificate_even_if_expired(read.certificate, NOW).unwrap();

    let error = made(&["my host"], &[]).unwrap_err().to_string();
    assert!(error.contains("none of its names is a DNS name (my host)"), "{error}");
    assert!(error.contains("ask the authority"), "{error}");
    let plain = made(&["mail.example.org"], &[]).unwrap();
    assert!(!plain.warnings.iter().any(|said| said.to_string().contains("not served")));
}

#[test]
fn more_names_than_are_taken_are_refused_with_the_bound() {
    let hosts: Vec<String> = (0..257).map(|number| format!("h{number}.example.org")).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let error = made(&hosts, &[]).unwrap_err().to_string();
    assert!(error.contains("257 names, more than 256") && error.contains("a wildcard"), "{error}");
    assert_eq!(made(&hosts[1..], &[]).unwrap().certificate.names().iter().len(), 256);
}

/// The first element of a DER text and what follows it. Lengths of one to three bytes.
fn split(der: &[u8]) -> (&[u8], &[u8]) {
    let (head, len) = content_of(der);
    der.split_at(head + len)
}

/// The lengths of the tag and length bytes of the first element, and of its content.
fn content_of(der: &[u8]) -> (usize, usize) {
    match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
        len => (2, usize::from(len)),
    }
}

fn sequence(content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match (high, low) {
        (0, ..0x80) => vec![0x30, low],
        (0, _) => vec![0x30, 0x81, low],
        _ => vec![0x30, 0x82, high, low],
    };
    [&head, content].concat()
}

/// The certificate as one of X.509 version 1, which has no extensions. Its signature is invalid.
fn as_version_1(der: &[u8]) -> Vec<u8> {
    let (fields, signature) = split(&der[content_of(der).0..]);
    let (_version, mut rest) = split(&fields[content_of(fields).0..]);
    let mut kept = Vec::new();
    while let Some(tag) = rest.first() {
        let (field, next) = split(rest);
        if *tag != 0xa3 {
            kept.extend_from_slice(field);
        }
        rest = next;
    }
    sequence(&[sequence(&kept), signature.to_vec()].concat())
}

#[test]
fn the_error_for_a_version_1_certificate_names_every_fault() {
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "mail.example.org");
    params.not_after = rcgen::date_time_ymd(2021, 2, 3);
    let key = rcgen::KeyPair::generate().unwrap();
    let der = as_version_1(params.self_signed(&key).unwrap().der());
    let chain = mailmesh_secrets::pem::certificates_to_pem(&[der]);
    let read = |seconds: u64| {
        let now = UnixMillis(seconds * 1000);
        read_certificate(chain.as_bytes(), key.serialize_pem().as_bytes(), now)
    };
    let error = read(1_790_000_000).unwrap_err().to_string();
    for words in [
        "only in the common name (CN=mail.example.org)",
        "the subjectAltName DNS:mail.example.org",
        "in addition, the certificate expired at 2021-02-03T00:00:00Z",
    ] {
        assert!(error.contains(words), "{error}");
    }
    assert!(!read(1_600_000_000).unwrap_err().to_string().contains("expired"));
}
