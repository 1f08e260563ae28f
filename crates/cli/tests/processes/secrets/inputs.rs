//! Every place that may hold a secret, and the secrets that are planted there.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::forms::{damaged, forms, quoted};
use super::search::Searcher;

/// The secrets of a test, and the searcher that finds them.
pub(super) struct Planted {
    pub(super) certificate: String,
    pub(super) private_key: String,
    pub(super) cluster_key: String,
    pub(super) password: String,
    /// A password of plain words: only its place shows that it is a password.
    pub(super) phrase: String,
    pub(super) searcher: Searcher,
}

impl Planted {
    pub(super) fn new() -> Self {
        let make = || rcgen::generate_simple_self_signed(["mail.example.org".to_owned()]).unwrap();
        // Bytes that all keys share are no secret, nor are bytes of the certificate.
        let (made, another) = (make(), make());
        let cluster_key = mailmesh::ClusterKey::generate().unwrap();
        let planted_text = cluster_key.to_text().as_str().to_owned();
        let (password, phrase) = ("xK9#vQ2!mZ7wP4$tR8&nB6", "correct horse battery staple");
        let (pem, other_pem) =
            (made.signing_key.serialize_pem(), another.signing_key.serialize_pem());
        let body = |pem: &str| -> Vec<Vec<u8>> {
            let lines = pem.lines().filter(|line| !line.starts_with("-----"));
            lines.map(|line| line.as_bytes().to_vec()).collect()
        };
        let (der, other_der) =
            (made.signing_key.serialize_der(), another.signing_key.serialize_der());
        let (lines, other_lines) = (body(&pem), body(&other_pem));
        let mut secrets: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        secrets.extend([
            der.as_slice(),
            planted_text.as_bytes(),
            cluster_key.as_bytes(),
            password.as_bytes(),
            phrase.as_bytes(),
        ]);
        let mut public: Vec<&[u8]> = other_lines.iter().map(Vec::as_slice).collect();
        public.extend([other_der.as_slice(), made.cert.der()]);
        let searcher = Searcher::new(&secrets, &public);
        Self {
            certificate: made.cert.pem(),
            private_key: pem,
            cluster_key: planted_text,
            password: password.to_owned(),
            phrase: phrase.to_owned(),
            searcher,
        }
    }
}

/// A configuration that contains a secret, or names a file that does.
pub(super) struct Case {
    pub(super) input: &'static str,
    pub(super) form: &'static str,
    pub(super) damage: &'static str,
    pub(super) text: String,
}

/// Writes the files that the cases need.
pub(super) struct Files<'a> {
    pub(super) dir: &'a Path,
    pub(super) count: usize,
}

impl Files<'_> {
    pub(super) fn write(&mut self, bytes: &[u8]) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        self.count += 1;
        let path = self.dir.join(format!("planted-{}", self.count));
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

/// Calls `each` with every case of a configuration.
pub(super) fn for_each_case(planted: &Planted, files: &mut Files<'_>, each: &mut dyn FnMut(Case)) {
    tls(planted, files, each);
    logins(planted, files, each);
    let mut setting = |input, form, (before, setting, after): (&str, String, &str)| {
        for (damage, text) in damaged(before, &setting, after) {
            each(Case { input, form, damage, text });
        }
    };
    let mesh = r#"{ "@type": "Zenoh", "config": "{}", "mesh": { "#;
    for (form, bytes) in forms(&planted.cluster_key) {
        let text = quoted(&bytes);
        setting("mesh.key", form, (mesh, format!("key: {text}"), " } }"));
        let value = "\"key\": { \"@type\": \"Value\", ";
        let before = format!("{mesh}{value}");
        setting("mesh.key, Value", form, (&before, format!("secret: {text}"), " } } }"));
        let path = files.write(&bytes);
        let file = json!({"@type": "File", "filePath": path});
        setting("mesh.key, File", form, (mesh, format!("key: {file}"), " } }"));
        let file = format!("key: {{ \"@type\": \"File\", \"filePath\": {text} }}");
        setting("mesh.key, the key for a path", form, (mesh, file, " } }"));
        let name =
            format!("key: {{ \"@type\": \"EnvironmentVariable\", \"variableName\": {text} }}");
        setting("mesh.key, the key for a variable", form, (mesh, name, " } }"));
        for (input, name) in [
            ("mesh.name", "name"),
            ("mesh.cluster", "cluster"),
            ("mesh.store", "store"),
            ("mesh.links", "links"),
        ] {
            setting(input, form, (mesh, format!("{name}: {text}"), " } }"));
        }
        setting("@type", form, ("{ ", format!("\"@type\": {text}"), ", config: '{}' }"));
        setting("a key of the object", form, (mesh, format!("{text}: 1"), " } }"));
    }
}

fn zenoh(
    each: &mut dyn FnMut(Case),
    input: &'static str,
    form: &'static str,
    (before, setting, after): (&str, &str, &str),
) {
    for (damage, text) in damaged(before, setting, after) {
        // In the form in which the mail server embeds the configuration.
        let embedded = json!({"@type": "Zenoh", "config": text}).to_string();
        each(Case { input, form, damage, text });
        each(Case { input, form, damage, text: embedded });
    }
}

fn tls(planted: &Planted, files: &mut Files<'_>, each: &mut dyn FnMut(Case)) {
    let certificate = files.write(planted.certificate.as_bytes());
    let good = |role: &str| format!("{role}_certificate: {}", quoted(path(&certificate)));
    for (form, bytes) in forms(&planted.private_key) {
        let file = files.write(&bytes);
        for (input, role, name, value) in [
            ("listen_private_key", "listen", "private_key", quoted(path(&file))),
            ("connect_private_key", "connect", "private_key", quoted(path(&file))),
            ("listen_private_key_base64", "listen", "private_key_base64", encoded(&bytes)),
            ("connect_private_key_base64", "connect", "private_key_base64", encoded(&bytes)),
            ("the key for a path", "listen", "private_key", quoted(&bytes)),
            ("the key for its base64", "listen", "private_key_base64", quoted(&bytes)),
            ("the key for a certificate", "listen", "certificate", quoted(path(&file))),
            ("the key for a certificate_base64", "connect", "certificate_base64", encoded(&bytes)),
        ] {
            let key = if name.starts_with("private") { good(role) + ", " } else { String::new() };
            let before = format!("{{ transport: {{ link: {{ tls: {{ {key}");
            zenoh(each, input, form, (&before, &format!("{role}_{name}: {value}"), " } } } }"));
        }
        let before = "{ transport: { link: { tls: { ";
        let authority = format!("root_ca_certificate: {}", quoted(path(&file)));
        zenoh(each, "the key for an authority", form, (before, &authority, " } } } }"));
        for (input, section, setting) in [
            (
                "#listen_private_key_base64",
                "listen",
                format!("listen_private_key_base64={}", STANDARD.encode(&bytes)),
            ),
            (
                "#connect_private_key_base64",
                "connect",
                format!("connect_private_key_base64={}", STANDARD.encode(&bytes)),
            ),
            (
                "#listen_private_key_raw",
                "listen",
                format!("listen_private_key_raw={}", String::from_utf8_lossy(&bytes)),
            ),
            (
                "#listen_private_key_file",
                "listen",
                format!("listen_private_key_file={}", file.display()),
            ),
        ] {
            let endpoint = format!("tls/127.0.0.1:0#{setting}");
            let endpoint = format!("endpoints: [{}]", quoted(endpoint.as_bytes()));
            let (before, after) = (
                format!("{{ {section}: {{ "),
                " }, transport: { link: { tls: { \
                 listen_certificate: 'c', listen_private_key: 'k' } } } }",
            );
            zenoh(each, input, form, (&before, &endpoint, after));
        }
    }
}

fn logins(planted: &Planted, files: &mut Files<'_>, each: &mut dyn FnMut(Case)) {
    for secret in [&planted.password, &planted.phrase] {
        for (form, bytes) in forms(secret) {
            let usrpwd = "{ transport: { auth: { usrpwd: { user: 'mx1', ";
            let password = format!("password: {}", quoted(&bytes));
            zenoh(each, "usrpwd.password", form, (usrpwd, &password, " } } } }"));
            for (input, before) in [
                ("usrpwd.dictionary_file", &b"mx1:"[..]),
                ("usrpwd.dictionary_file, no user", b":"),
                ("usrpwd.dictionary_file, no colon", b"mx1 "),
            ] {
                let file = files.write(&[before, &bytes].concat());
                let setting = format!("dictionary_file: {}", quoted(path(&file)));
                zenoh(each, input, form, (usrpwd, &setting, " } } } }"));
            }
        }
    }
    for (form, bytes) in forms(&planted.password) {
        let login = format!("tcp/mx1:{}@127.0.0.1:7447", String::from_utf8_lossy(&bytes));
        for (input, section) in [("the URL of connect", "connect"), ("the URL of listen", "listen")]
        {
            let endpoints = format!("endpoints: [{}]", quoted(login.as_bytes()));
            zenoh(each, input, form, (&format!("{{ {section}: {{ "), &endpoints, " } }"));
        }
    }
}

fn path(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

fn encoded(bytes: &[u8]) -> String {
    quoted(STANDARD.encode(bytes).as_bytes())
}
