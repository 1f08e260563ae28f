//! `cert`: adds, lists and removes certificates through a running node.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mailmesh::secrets::pem::{Expected, PemWarning};
use mailmesh::secrets::{buffer_for, display_path, io_error_text};
use mailmesh::{
    Material, ReadCertificate, StateError, UnixMillis, certificate_to_pem, read_certificate,
};
use mailmesh_cli::protocol::{Request, SecretText};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::args::CertCommand;
use crate::control;
use crate::exit::Failure;
use crate::json::value_text;
use crate::say::{self, say};

/// Maximum length of a PEM file, in bytes.
const MAX_PEM_LEN: u64 = 1 << 20;

pub(crate) async fn run(
    command: CertCommand,
    socket: Option<PathBuf>,
) -> Result<ExitCode, Failure> {
    let mut client = control::connect(socket).await?;
    match command {
        CertCommand::Add { chain, key, force } => {
            let found = read_pair(&chain, &key, client.cluster_now().await?)?;
            check_expiry(&chain, &found, force)?;
            for warning in &found.warnings {
                let file = match warning.input() {
                    Expected::PrivateKey => &key,
                    Expected::Certificates => &chain,
                };
                say::labelled(33, "warning", &format!("{}: {warning}", display_path(file)));
            }
            // The repaired form, so that the node repairs and warns about nothing again.
            let pem = certificate_to_pem(&found.certificate)
                .map_err(|error| Failure::failed(error.to_string()))?;
            let (chain_pem, key_pem) = (SecretText(pem.chain.into()), SecretText(pem.key));
            let certificate = client.ask(&Request::CertAdd { chain_pem, key_pem, force }).await?;
            print_certificate(&certificate);
        }
        CertCommand::Remove { names } => {
            // `cert list` prints the names with commas between.
            let names = names.iter().flat_map(|names| names.split(','));
            let names: Vec<String> =
                names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
            if names.is_empty() {
                return Err(Failure::usage("there is no name; give each name of the certificate"));
            }
            let removed = client.ask(&Request::CertRemove { names }).await?;
            let removed: Vec<_> =
                removed.as_array().into_iter().flatten().map(value_text).collect();
            say!("the certificate for {} is withdrawn", removed.join(", "));
        }
        CertCommand::List { json } => {
            let list = client.ask(&Request::CertList).await?;
            if json {
                say::json(&list);
                return Ok(ExitCode::SUCCESS);
            }
            for certificate in list.as_array().into_iter().flatten() {
                print_certificate(certificate);
                for host in certificate["hosts"].as_array().into_iter().flatten() {
                    say!("  {}", host_line(host));
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_certificate(certificate: &Value) {
    let names = certificate["names"].as_array().into_iter().flatten();
    let names: Vec<_> = names.map(value_text).collect();
    let until = UnixMillis(certificate["not_after"].as_u64().unwrap_or(0));
    let fingerprint = value_text(&certificate["fingerprint"]);
    say!("{}  SHA-256 {fingerprint}  until {until}", names.join(", "));
    say!(
        "  key {}, chain of {}, issuer {}",
        value_text(&certificate["key_type"]),
        value_text(&certificate["chain_length"]),
        value_text(&certificate["issuer"])
    );
}

/// Reads and checks both files before anything is sent. `now` is the cluster time.
fn read_pair(chain: &Path, key: &Path, now: UnixMillis) -> Result<ReadCertificate, Failure> {
    let (chain_pem, key_pem) = (read_pem(chain)?, read_pem(key)?);
    read_certificate(&chain_pem, &key_pem, now).map_err(|error| {
        let file = match &error {
            StateError::Parse { part: Material::PrivateKey, .. } => key,
            _ => chain,
        };
        Failure::failed(format!("{}: {error}", display_path(file)))
    })
}

/// Refuses an expired certificate, unless forced.
fn check_expiry(file: &Path, found: &ReadCertificate, force: bool) -> Result<(), Failure> {
    let has_expired =
        found.warnings.iter().any(|warning| matches!(warning, PemWarning::LeafExpired { .. }));
    if !has_expired || force {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{}: the certificate for {} ended at {}; renew it, or add it anyway with `--force`",
        display_path(file),
        found.certificate.names(),
        found.certificate.not_after()
    )))
}

fn read_pem(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |e| Failure::failed(format!("{}: {}", display_path(path), io_error_text(&e)));
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Zeroizing::new(buffer_for(&file, MAX_PEM_LEN));
    let read = file.take(MAX_PEM_LEN + 1).read_to_end(&mut bytes).map_err(failed)?;
    if read as u64 > MAX_PEM_LEN {
        return Err(Failure::failed(format!(
            "{}: more than {MAX_PEM_LEN} bytes; this is too long for a certificate chain or key",
            display_path(path)
        )));
    }
    Ok(bytes)
}

/// A name, the certificate that hosts of this name present, and the reason.
fn host_line(host: &Value) -> String {
    let (name, why) = (value_text(&host["name"]), value_text(&host["why"]));
    if host["presented"] == true {
        return format!("{name}: this certificate ({why})");
    }
    let other: String = value_text(&host["fingerprint"]).chars().take(16).collect();
    format!("{name}: SHA-256 {other}... instead ({why})")
}
