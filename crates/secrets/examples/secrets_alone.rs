//! A configuration and a key file, shown without their secrets:
//! `cargo run -p mailmesh-secrets --example secrets_alone`

use mailmesh_secrets::{holds_secret, pem, redact_source};

fn main() {
    let config = "{ name: 'mx1', auth: { user: 'mail', password: 'correct horse' } }";
    println!("contains a secret: {}", holds_secret(config));
    println!("for the log:       {}", redact_source(config));

    // The operator gave a certificate where the key belongs, with a space before each line.
    let file = " -----BEGIN CERTIFICATE-----\n MIIB\n -----END CERTIFICATE-----\n";
    match pem::private_key(file.as_bytes()) {
        Ok(_) => println!("the key can be used"),
        Err(error) => println!("key file:          {error}"),
    }
}
