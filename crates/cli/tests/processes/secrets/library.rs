//! Texts that the library outputs for configurations, keys and certificates that contain secrets.

use mailmesh::{
    Certificate, ClusterKey, Coordinator, Keyring, StateError, certificate_from_der,
    certificate_from_pem, read_certificate,
};
use mailmesh_cli::protocol::{Answer, Request, json_error_text};

use super::Outcome;
use super::forms::forms;
use super::inputs::{Files, Planted, for_each_case};

#[test]
fn no_text_of_the_library_shows_a_secret() {
    let planted = Planted::new();
    let dir = tempfile::tempdir().unwrap();
    let mut outcome = Outcome::new(&planted);
    let mut files = Files { dir: dir.path(), count: 0 };
    let mut valid = 0;
    for_each_case(&planted, &mut files, &mut |case| {
        let form = format!("{}, {}", case.form, case.damage);
        let mut look = |output, shown_text: String| {
            outcome.check(case.input, &form, output, shown_text.as_bytes());
        };
        match Coordinator::parse(&case.text) {
            Err(error) => {
                look("error", error.to_string());
                look("error, Debug", format!("{error:?} {error:#?}"));
                look("error, report", error.report());
            }
            Ok(coordinator) => {
                look("Coordinator, Debug", format!("{coordinator:?} {coordinator:#?}"));
                look("explain", coordinator.explain());
                for warning in coordinator.warnings() {
                    look("warning", format!("{warning} {warning:?}"));
                }
                let key = coordinator.mesh().key.as_ref();
                let resolved = key.map(|key| (key.resolve(), format!("{key} {key:?}")));
                if let Some((text, secret)) = resolved {
                    look("Secret", secret);
                    match text.map(|text| text.parse::<Keyring>()) {
                        Ok(keys) => look("Keyring", format!("{keys:?}")),
                        Err(error) => look("secret's error", format!("{error} {error:?}")),
                    }
                }
                let mut is_valid = true;
                for (output, done) in [
                    ("check_embedded", coordinator.check_embedded()),
                    ("preflight", coordinator.preflight()),
                ] {
                    match done {
                        Err(error) => {
                            is_valid = false;
                            look(output, format!("{error} {error:?} {}", error.report()));
                        }
                        Ok(warnings) => warnings.iter().for_each(|warning| {
                            look(output, format!("{warning} {warning:?}"));
                        }),
                    }
                }
                valid += usize::from(is_valid);
            }
        }
    });
    // Some configurations must be valid, so that their secrets are read at all.
    assert!(valid > 100, "{valid}");
    outcome.assert_no_leaks("configurations");
}

#[test]
fn no_error_of_a_certificate_a_key_or_a_request_shows_a_secret() {
    let planted = Planted::new();
    let mut outcome = Outcome::new(&planted);
    let good = planted.certificate.as_bytes();
    for (form, bytes) in forms(&planted.private_key) {
        let der = |bytes: &[u8]| zeroize::Zeroizing::new(bytes.to_vec());
        let chain = vec![bytes.clone().into()];
        let results: [(&str, Result<Certificate, StateError>); 4] = [
            ("private key", certificate_from_pem(good, &bytes)),
            ("chain", certificate_from_pem(&bytes, planted.private_key.as_bytes())),
            ("private key in DER", certificate_from_der(chain.clone(), der(&bytes))),
            ("key for a certificate in DER", certificate_from_der(chain, der(good))),
        ];
        for (input, result) in results {
            match result {
                Ok(certificate) => {
                    let shown = format!("{certificate} {certificate:?}");
                    outcome.check(input, form, "Certificate", shown.as_bytes());
                    let json = serde_json::to_string(&certificate).unwrap();
                    outcome.check(input, form, "Certificate, JSON", json.as_bytes());
                    let pem = mailmesh::certificate_to_pem(&certificate).unwrap();
                    outcome.check(input, form, "CertificatePem", format!("{pem:?}").as_bytes());
                }
                Err(error) => {
                    let shown = format!("{error} {error:?}");
                    outcome.check(input, form, "StateError", shown.as_bytes());
                }
            }
        }
        let behind = [good, &bytes].concat();
        for (input, chain, key) in [
            ("key, read", good, &bytes),
            ("chain, read", &bytes, &bytes),
            ("both in one, read", &behind, &behind),
        ] {
            let read = read_certificate(chain, key, mailmesh::UnixMillis(0));
            let mut shown = format!("{read:?}");
            let warnings = read.iter().flat_map(|read| &read.warnings);
            warnings.for_each(|warning| shown.push_str(&warning.to_string()));
            outcome.check(input, form, "ReadCertificate", shown.as_bytes());
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        requests(&mut outcome, form, &text);
    }
    for (form, bytes) in forms(&planted.cluster_key) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for result in [text.parse::<Keyring>().map(drop), text.parse::<ClusterKey>().map(drop)] {
            let shown_text = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
            let shown = format!("{result:?} {shown_text}");
            outcome.check("cluster key", form, "CodecError", shown.as_bytes());
        }
        requests(&mut outcome, form, &text);
    }
    outcome.assert_no_leaks("certificates, keys and requests");
}

/// Control socket requests with a secret in every field, and truncated requests.
fn requests(outcome: &mut Outcome<'_>, form: &'static str, text: &str) {
    let quoted = serde_json::Value::from(text);
    let lines = [
        format!(r#"{{"command":"cert-add","chain_pem":{quoted},"key_pem":{quoted}}}"#),
        format!(r#"{{"command":"cert-add","chain_pem":{quoted},"key_pem":5}}"#),
        format!(r#"{{"command":"cert-add","chain_pem":5,"key_pem":{quoted}}}"#),
        format!(r#"{{"command":"key-add","key":{quoted},"here":{quoted}}}"#),
        format!(r#"{{"command":"key-add","key":[{quoted}],"here":true}}"#),
        format!(r#"{{"command":"key-activate","id":{quoted},"here":5}}"#),
        format!(r#"{{"command":"key-export","id":{quoted}}}"#),
        format!(r#"{{"command":{quoted}}}"#),
        format!(r#"{{"ok":{quoted}}}"#),
        format!(r#"{{"command":"watch","kinds":[{quoted}]}}"#),
        format!(r#"{{"command":"block-check","address":{quoted}}}"#),
        format!(r#"{{{quoted}:1}}"#),
        quoted.to_string(),
        text.to_owned(),
    ];
    for line in lines {
        for line in [line.as_str(), line.get(..line.len() / 2).unwrap_or_default()] {
            let shown = match Request::from_line(line) {
                Ok(request) => format!("{request:?}"),
                Err(error) => json_error_text(&error),
            };
            outcome.check("control request", form, "request", shown.as_bytes());
            let shown = match Answer::from_line(line) {
                Ok(answer) => format!("{answer:?}"),
                Err(error) => json_error_text(&error),
            };
            outcome.check("control answer", form, "answer", shown.as_bytes());
        }
    }
}
