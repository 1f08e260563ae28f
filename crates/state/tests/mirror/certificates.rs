//! Certificates: choice by host, checks, and expiry warnings.

use std::time::Duration;

use mailmesh_events::*;
use mailmesh_state::*;

use super::{NOW, certificate, mirror};

#[test]
fn a_renewed_certificate_replaces_the_old_one_on_every_node() {
    let (a, b) = (mirror(1), mirror(2));
    let old = certificate("mx.example.org");
    b.apply(&a.set_certificate(old.clone(), NOW).unwrap(), NOW);
    let new = certificate("mx.example.org");
    b.apply(&a.set_certificate(new.clone(), NOW).unwrap(), NOW);
    for mirror in [&a, &b] {
        let found = mirror.certificate_for_host("MX.example.org", NOW).unwrap();
        assert_eq!(found.fingerprint(), new.fingerprint());
        assert_eq!(mirror.certificates().len(), 1);
        assert!(mirror.certificate_for_host("other.example.org", NOW).is_none());
    }
    assert_eq!(a.digest(), b.digest());
    b.apply(&a.withdraw_certificate(new.names().clone(), NOW).unwrap(), NOW);
    assert!(b.certificates().is_empty());
}

#[test]
fn a_certificate_round_trips_through_pem_and_der() {
    let made = certificate("mx.example.org");
    let pem = certificate_to_pem(&made).unwrap();
    assert_eq!(pem.chain.matches("BEGIN CERTIFICATE").count(), made.chain().len());
    assert!(!format!("{pem:?}").contains(pem.key.lines().nth(1).unwrap()));
    let again = certificate_from_pem(pem.chain.as_bytes(), pem.key.as_bytes()).unwrap();
    assert_eq!(again, made);
    let key = zeroize::Zeroizing::new(made.key().der().to_vec());
    assert_eq!(certificate_from_der(made.chain().to_vec(), key).unwrap(), made);
}

#[test]
fn an_invalid_certificate_is_refused_with_the_reason() {
    let one = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["b.example".to_owned()]).unwrap();
    let (pem, key) = (one.cert.pem(), other.signing_key.serialize_pem());
    let error = certificate_from_pem(pem.as_bytes(), key.as_bytes()).unwrap_err();
    assert!(matches!(error, StateError::KeyMismatch { .. }), "{error}");
    let error = certificate_from_pem(b"hello", key.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("BEGIN CERTIFICATE"), "{error}");
    let error = certificate_from_pem(pem.as_bytes(), b"hello").unwrap_err();
    assert!(error.to_string().contains("the private key cannot be used"), "{error}");

    let mut params = rcgen::CertificateParams::new(["old.example".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let old = certificate_from_pem(made.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let error = mirror(1).set_certificate(old.clone(), NOW).unwrap_err();
    assert!(error.to_string().contains("2002-01-01T00:00:00Z, which is in the past"), "{error}");
    mirror(1).set_certificate_even_if_expired(old, NOW).unwrap();
}

#[test]
fn a_certificate_is_read_with_details_and_warnings() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut root = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    root.distinguished_name.push(rcgen::DnType::CommonName, "Example CA");
    let root_pem = root.self_signed(&key).unwrap().pem();
    let issuer = rcgen::Issuer::from_params(&root, &key);
    let make = |names: &[&str], change: fn(&mut rcgen::CertificateParams)| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &issuer).unwrap().pem();
        (format!("{root_pem}{pem}"), key.serialize_pem())
    };
    let read = |(chain, key): &(String, String)| {
        read_certificate(chain.as_bytes(), key.as_bytes(), UnixMillis(1_790_000_000_000))
    };
    let good = make(&["MX.example.org", "192.0.2.1"], |params| {
        params.not_after = rcgen::date_time_ymd(2026, 2, 1);
    });
    let found = read(&good).unwrap();
    assert_eq!(found.certificate.chain().len(), 1);
    assert_eq!(found.details.issuer, "CN=Example CA");
    assert_eq!(
        (found.details.key.to_string().as_str(), found.details.chain_len),
        ("ECDSA P-256", 1)
    );
    let warnings: Vec<_> = found.warnings.iter().map(ToString::to_string).collect();
    for words in ["root (CN=Example CA)", "192.0.2.1", "expired at 2026-02-01"] {
        assert!(warnings.iter().any(|warning| warning.contains(words)), "{words}: {warnings:?}");
    }
    assert_eq!(CertificateDetails::try_from(&found.certificate).unwrap(), found.details);
    // Chain and key in one text, read without details and warnings.
    let all = format!("{}{}", good.1, good.0);
    assert_eq!(certificate_from_pem(all.as_bytes(), all.as_bytes()).unwrap(), found.certificate);

    for (made, words) in [
        (
            make(&[], |params| {
                params.distinguished_name.push(rcgen::DnType::CommonName, "mx.example.org")
            }),
            "only in the common name (CN=mx.example.org), where no client looks; ask the authority",
        ),
        (
            make(&["192.0.2.1", "2001:db8::1"], |_| ()),
            "names an address (192.0.2.1) but no DNS name",
        ),
        (
            make(&[], |params| params.distinguished_name = rcgen::DistinguishedName::new()),
            "it names no host",
        ),
    ] {
        let error = read(&made).unwrap_err();
        assert!(matches!(error, StateError::NoNames { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let other = make(&["mail.example.org"], |_| ());
    let error = read(&(other.0, good.1)).unwrap_err().to_string();
    assert!(error.contains("the certificate for mail.example.org; give the key"), "{error}");
}

/// A leaf without its issuers over the same certificate with them: no client could verify it.
#[test]
fn only_force_replaces_a_certificate_by_a_copy_with_fewer_issuers() {
    let (middle_key, key) =
        (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let mut middle = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    middle.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    middle.distinguished_name.push(rcgen::DnType::CommonName, "Example Intermediate");
    let issuer = rcgen::Issuer::from_params(&middle, &middle_key);
    let root_key = rcgen::KeyPair::generate().unwrap();
    let mut root = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    root.distinguished_name.push(rcgen::DnType::CommonName, "Example Root");
    let of_root = rcgen::Issuer::from_params(&root, &root_key);
    let middle_pem = middle.signed_by(&middle_key, &of_root).unwrap().pem();
    let leaf = || {
        let params = rcgen::CertificateParams::new(["mx.example.org".to_owned()]).unwrap();
        params.signed_by(&key, &issuer).unwrap().pem()
    };
    let read = |chain: &str| {
        certificate_from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    };
    let leaf_pem = leaf();
    let (full, bare) = (read(&format!("{leaf_pem}{middle_pem}")), read(&leaf_pem));
    assert_eq!((full.chain().len(), bare.chain().len()), (2, 1));
    let (a, b) = (mirror(1), mirror(2));
    b.apply(&a.set_certificate(full.clone(), NOW).unwrap(), NOW);
    let error = a.set_certificate(bare.clone(), NOW).unwrap_err();
    assert!(matches!(error, StateError::FewerIssuers { .. }), "{error}");
    for words in ["mx.example.org", "chain of 2", "chain of 1", "CN=Example Intermediate"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(a.certificate(full.names()).unwrap().chain().len(), 2);
    // The same chain again, a longer one, and one of another leaf are taken.
    a.set_certificate(full.clone(), NOW).unwrap();
    a.set_certificate(read(&leaf()), NOW).unwrap();
    a.set_certificate(bare.clone(), NOW).unwrap();
    a.set_certificate(full, NOW).unwrap();
    // Forced, it is, and the other nodes take it.
    b.apply(&a.set_certificate_even_if_expired(bare, NOW).unwrap(), NOW);
    assert_eq!(b.certificates()[0].chain().len(), 1);
}

#[test]
fn a_certificate_whose_fields_differ_from_its_leaf_is_refused() {
    let honest = certificate("mx.example.org");
    let lying = Certificate::new(CertificateParts {
        names: DomainNames::new(["bank.example"]).unwrap(),
        chain: honest.chain().to_vec(),
        key: honest.key().clone(),
        not_before: honest.not_before(),
        not_after: honest.not_after(),
        fingerprint: honest.fingerprint(),
    })
    .unwrap();
    let change = Change::Certificate(CertificateChange::new(
        lying.names().clone(),
        Stamp::new(NOW, 0, NodeId(9)),
        Some(lying.into()),
    ));
    let mirror = mirror(1);
    assert!(matches!(mirror.apply(&change, NOW), Applied::Refused(_)));
    assert_eq!(mirror.counters().refused, 1);
}

#[test]
fn expiry_warnings_are_given_once_at_30_7_1_and_0_days() {
    let day = |days: f64| Duration::from_secs_f64(days * 86_400.0);
    let mut params = rcgen::CertificateParams::new(["mx.example.org".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2026, 12, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let made = certificate_from_pem(made.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let end = made.not_after();
    let before = |days: f64| UnixMillis(end.0 - day(days).as_millis() as u64);
    // Days before expiry at which a sweep runs, and the warnings that it gives.
    type Look = (f64, &'static [u32]);
    let cases: [(f64, &[Look]); 4] = [
        (90.0, &[(31.0, &[]), (30.0, &[30]), (29.0, &[]), (7.0, &[7]), (0.5, &[1]), (0.0, &[0])]),
        (20.0, &[(20.0, &[30]), (8.0, &[])]),
        (90.0, &[(3.0, &[7]), (2.0, &[]), (1.0, &[1])]),
        (0.2, &[(0.2, &[1]), (0.0, &[0])]),
    ];
    for (from, looks) in cases {
        let mirror = mirror(1);
        mirror.set_certificate(made.clone(), before(from)).unwrap();
        let digest = mirror.digest();
        for (at, expected) in looks {
            let swept = mirror.sweep(before(*at));
            let days: Vec<_> = swept.expiring.iter().map(|warning| warning.days_left).collect();
            assert_eq!((days, swept.expired), (expected.to_vec(), vec![]), "{from} {at}");
        }
        assert_eq!(mirror.digest(), digest, "the certificate stays");
        assert!(mirror.certificate_for_host("mx.example.org", NOW).is_some());
    }
    // A withdrawn certificate gives no warnings.
    let mirror = mirror(1);
    mirror.set_certificate(made.clone(), before(90.0)).unwrap();
    mirror.withdraw_certificate(made.names().clone(), before(89.0)).unwrap();
    assert_eq!(mirror.sweep(before(1.0)).expiring, []);
}
