//! Certificates of a running node: set, listed, withdrawn.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mailmesh::secrets::pem::{PemWarning, Wanted};
use mailmesh::secrets::{buffer_for, io_words, path_words};
use mailmesh::{
    Material, ReadCertificate, StateError, UnixMillis, certificate_to_pem, read_certificate,
};
use mailmesh_cli::protocol::{Hidden, Request};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::args::Cert;
use crate::exit::Failure;
use crate::query::{client, text};
use crate::say::{self, say};

/// Longest file of a certificate and its issuers, or of a key, in bytes.
const MAX_PEM: u64 = 1 << 20;

pub(crate) async fn run(options: Cert, socket: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let mut client = client(socket).await?;
    match options {
        Cert::Add { chain, key, force } => {
            let found = read_pair(&chain, &key, client.cluster_now().await?)?;
            check_end(&chain, &found, force)?;
            for warning in &found.warnings {
                let file = match warning.of() {
                    Wanted::PrivateKey => &key,
                    Wanted::Certificates => &chain,
                };
                say::labelled(33, "warning", &format!("{}: {warning}", path_words(file)));
            }
            // The certificate as it was read, so that the node need not mend the files again.
            let pem = certificate_to_pem(&found.certificate)
                .map_err(|error| Failure::failed(error.to_string()))?;
            let (chain_pem, key_pem) = (Hidden(pem.chain.into()), Hidden(pem.key));
            let certificate = client.ask(&Request::CertAdd { chain_pem, key_pem, force }).await?;
            describe(&certificate);
        }
        Cert::Remove { names } => {
            // As `cert list` has them, with commas between.
            let names = names.iter().flat_map(|names| names.split(','));
            let names: Vec<String> =
                names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
            if names.is_empty() {
                return Err(Failure::usage("there is no name; give each that it serves"));
            }
            let removed = client.ask(&Request::CertRemove { names }).await?;
            let removed: Vec<_> = removed.as_array().into_iter().flatten().map(text).collect();
            say!("the certificate for {} is withdrawn", removed.join(", "));
        }
        Cert::List { json } => {
            let list = client.ask(&Request::CertList).await?;
            if json {
                say::json(&list);
                return Ok(ExitCode::SUCCESS);
            }
            for certificate in list.as_array().into_iter().flatten() {
                describe(certificate);
                for host in certificate["hosts"].as_array().into_iter().flatten() {
                    say!("  {}", presented(host));
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(certificate: &Value) {
    let names = certificate["names"].as_array().into_iter().flatten();
    let names: Vec<_> = names.map(text).collect();
    let until = UnixMillis(certificate["not_after"].as_u64().unwrap_or(0));
    let fingerprint = text(&certificate["fingerprint"]);
    say!("{}  SHA-256 {fingerprint}  until {until}", names.join(", "));
    say!(
        "  key {}, chain of {}, issuer {}",
        text(&certificate["key_type"]),
        text(&certificate["chain_length"]),
        text(&certificate["issuer"])
    );
}

/// A certificate and its key, read before they go anywhere; `now` is the time of the cluster.
fn read_pair(chain: &Path, key: &Path, now: UnixMillis) -> Result<ReadCertificate, Failure> {
    let (chain_pem, key_pem) = (read(chain)?, read(key)?);
    read_certificate(&chain_pem, &key_pem, now).map_err(|error| {
        let file = match &error {
            StateError::Parse { part: Material::PrivateKey, .. } => key,
            _ => chain,
        };
        Failure::failed(format!("{}: {error}", path_words(file)))
    })
}

/// Refuses a certificate that has expired, unless forced.
fn check_end(file: &Path, found: &ReadCertificate, force: bool) -> Result<(), Failure> {
    let is_over = found.warnings.iter().any(|said| matches!(said, PemWarning::LeafEnded { .. }));
    if !is_over || force {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{}: the certificate for {} ended at {}; renew it, or set it all the same with `--force`",
        path_words(file),
        found.certificate.names(),
        found.certificate.not_after()
    )))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |e| Failure::failed(format!("{}: {}", path_words(path), io_words(&e)));
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Zeroizing::new(buffer_for(&file, MAX_PEM));
    let read = file.take(MAX_PEM + 1).read_to_end(&mut bytes).map_err(failed)?;
    if read as u64 > MAX_PEM {
        return Err(Failure::failed(format!(
            "{}: more than {MAX_PEM} bytes; no certificate or key has so many",
            path_words(path)
        )));
    }
    Ok(bytes)
}

/// The certificate that a name gets, and the reason.
fn presented(host: &Value) -> String {
    let (name, why) = (text(&host["name"]), text(&host["why"]));
    if host["presented"] == true {
        return format!("{name}: this certificate ({why})");
    }
    let other: String = text(&host["fingerprint"]).chars().take(16).collect();
    format!("{name}: SHA-256 {other}... instead ({why})")
}
