//! Other data in place of a certificate or a key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::samples::*;
use super::*;

#[test]
fn other_data_is_named_with_the_command_that_converts_it() {
    let (_, middle, leaf) = test_chain();
    let key = leaf.key_pem();
    let der = leaf.key.serialize_der();
    let full = format!("{}{}", leaf.pem, middle.pem);
    let request = leaf.params.serialize_request(&leaf.key).unwrap();
    let signed_data =
        tlv(0x30, &[tlv(6, b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"), tlv(0xa0, &[])].concat());
    let pfx = tlv(0x30, &[tlv(2, &[3]), tlv(0x30, &[0; 200])].concat());
    let pbes2 = tlv(0x30, &tlv(6, b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d"));
    let encrypted = tlv(0x30, &[pbes2, tlv(4, &[7; 160])].concat());
    let legacy = key.replacen('\n', "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00FF\n\n", 1);
    let public = leaf.key.public_key_pem();
    let trusted =
        pem("TRUSTED CERTIFICATE", &[&leaf.der[..], &tlv(0x30, &tlv(0x0c, b"x"))].concat());
    assert_eq!(read(format!("{trusted}{}", middle.pem), &key).unwrap(), (2, String::new()));
    let old = leaf.pem.replace(" CERTIFICATE", " X509 CERTIFICATE");
    assert_eq!(read(format!("{old}{}", middle.pem), &key).unwrap(), (2, String::new()));

    let chains: Vec<(Vec<u8>, &str)> = vec![
        (b" \r\n\0".to_vec(), "it is empty"),
        (
            leaf.der.clone(),
            "a certificate in DER, and PEM is expected; convert it with `openssl x509 -inform DER",
        ),
        (
            pfx.clone(),
            "PKCS #12 (.pfx, .p12), and PEM is expected; convert it with `openssl pkcs12",
        ),
        (
            signed_data.clone(),
            "PKCS #7 bundle in DER (.p7b), and PEM is expected; convert it with `openssl pkcs7 \
             -inform DER",
        ),
        (request.der().to_vec(), "a request for a certificate (CSR), and PEM is expected"),
        (der.clone(), "a private key in DER"),
        (leaf.der[..200].to_vec(), "DER of an unknown kind"),
        (b"\xfe\xed\xfe\xed\0\0\0\x02".to_vec(), "`keytool -importkeystore"),
        (b"PK\x03\x04..".to_vec(), "an archive, and PEM is expected; unpack it"),
        (
            pem("PKCS7", &signed_data).into(),
            "a PKCS #7 bundle, and a certificate is expected here; convert it with `openssl pkcs7 \
             -in FILE -print_certs",
        ),
        (
            request.pem().unwrap().into(),
            "a request for a certificate (CSR), and a certificate is expected here; give the \
             certificate that",
        ),
        (public.clone().into(), "line 1: this is a public key, and a certificate"),
        (key.clone().into(), "line 1: this is a private key, and a certificate"),
        (
            key.replace("PRIVATE KEY", "CERTIFICATE").into(),
            "line 1: this is a private key, and a certificate",
        ),
        (leaf.pem.replace("CERTIFICATE", "PGP PUBLIC KEY BLOCK").into(), "OpenPGP data"),
        (leaf.pem.replace("CERTIFICATE", "CERTIFICAT").into(), "a label that is not known"),
        (STANDARD.encode(&full).into(), "decode it once more"),
        (format!("data:\n  tls.crt: {}\n", STANDARD.encode(&full)).into(), "decode it once more"),
        (
            STANDARD.encode(&leaf.der).into(),
            "it is base64 alone, of a certificate in DER; put the line `-----BEGIN \
             CERTIFICATE-----` before",
        ),
        (full.replace(' ', "%20").replace('\n', "%0A").into(), "percent-encoded"),
        (b"hello".to_vec(), "it has no `-----BEGIN CERTIFICATE-----`"),
        (
            leaf.pem.replace("MII", "MI!").into(),
            "line 1: the section that begins here is not base64",
        ),
        (leaf.pem.replacen("MII", "MIJ", 1).into(), "certificate 1 of the text is not an X.509"),
    ];
    for (text, words) in &chains {
        let error = read(text, &key).unwrap_err();
        assert!(error.starts_with("Certificates: ") && error.contains(words), "{words}: {error}");
    }
    let keys: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "it is empty"),
        (
            der.clone(),
            "a private key in DER, and PEM is expected; convert it with `openssl pkey -inform DER",
        ),
        (
            encrypted.clone(),
            "an encrypted private key in DER, and PEM is expected; convert it with `openssl pkey \
             -inform DER",
        ),
        (pfx, "openssl pkcs12"),
        (
            pem("ENCRYPTED PRIVATE KEY", &encrypted).into(),
            "the key is encrypted, and a server cannot ask for a passphrase; decrypt it with \
             `openssl pkey -in FILE",
        ),
        (pem("PRIVATE KEY", &encrypted).into(), "the key is encrypted, and"),
        (legacy.into(), "the key is encrypted, and"),
        (full.clone().into(), "line 1: this is a certificate, and a private key is expected here"),
        (
            public.into(),
            "line 1: this is a public key, and a private key is expected here; the private key",
        ),
        (
            pem("OPENSSH PRIVATE KEY", b"openssh-key-v1").into(),
            "a private key of OpenSSH, and a private key is expected here; TLS does not use it; \
             rewrite a copy of it with `ssh-keygen",
        ),
        (b"PuTTY-User-Key-File-2: ssh-rsa\n".to_vec(), "a private key of PuTTY"),
        (pem("EC PARAMETERS", &[6, 1, 1]).into(), "parameters alone"),
        (
            pem("PRIVATE KEY", &pkcs8(&curve(b"\x2b\x81\x04\x00\x23"), &[1])).into(),
            "the key is ECDSA P-521, which TLS cannot use here; request a certificate for another \
             key: ECDSA P-256 or P-384, RSA of 2048 to 4096 bits, Ed25519",
        ),
        (
            pem("PRIVATE KEY", &pkcs8(&curve(b"\x2b\x81\x04\x00\x0a"), &[1])).into(),
            "ECDSA secp256k1",
        ),
        (
            pem("PRIVATE KEY", &pkcs8(&curve(b"\x2a\x86\x48\xce\x3d\x03\x01\x07"), &[1])).into(),
            "ECDSA P-256, but damaged: its parts do not fit together",
        ),
        (pem("PRIVATE KEY", &pkcs8(&tlv(6, b"\x2b\x65\x71"), &[1])).into(), "Ed448"),
        (pem("PRIVATE KEY", &pkcs8(&tlv(6, b"\x2a\x86\x48\xce\x38\x04\x01"), &[1])).into(), "DSA"),
        (
            pem("RSA PRIVATE KEY", &rsa(1024)).into(),
            "the key is RSA of 1024 bits, which TLS cannot use",
        ),
        (
            pem(
                "PRIVATE KEY",
                &pkcs8(
                    &[tlv(6, b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"), tlv(5, &[])].concat(),
                    &rsa(8192),
                ),
            )
            .into(),
            "RSA of 8192 bits",
        ),
        (pem("RSA PRIVATE KEY", &rsa(2048)).into(), "RSA of 2048 bits, but damaged"),
        (pem("PRIVATE KEY", b"hello").into(), "its base64 is not a private key"),
    ];
    for (text, words) in &keys {
        let error = read(&full, text).unwrap_err();
        assert!(error.starts_with("PrivateKey: ") && error.contains(words), "{words}: {error}");
        let body = key.lines().nth(1).unwrap();
        assert!(!error.contains(&body[..8]), "{error}");
    }
}
