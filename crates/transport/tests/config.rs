//! Configurations that people write, good and bad.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

#[path = "config/bad.rs"]
mod bad;
#[path = "config/bad_forms.rs"]
mod bad_forms;
#[path = "config/bad_session.rs"]
mod bad_session;
#[path = "config/reach.rs"]
mod reach;
#[path = "config/silenced.rs"]
mod silenced;

use std::net::TcpListener;

use bad::bad_configs;
use bad_forms::bad_forms;
use bad_session::bad_sessions;
use mailmesh_transport::{Backend, ConfigErrorKind, Coordinator};

/// The example of the mail server's page on its peer-to-peer mode, as printed.
const SEED: &str = include_str!("fixtures/coordinator.json");

fn zenoh(config: &str) -> String {
    serde_json::json!({"@type": "Zenoh", "config": config}).to_string()
}

#[test]
fn a_configuration_in_utf_16_is_named() {
    let file = std::env::temp_dir().join(format!("mailmesh-utf16-{}.json", std::process::id()));
    for (mark, to_bytes) in [
        (&b"\xff\xfe"[..], u16::to_le_bytes as fn(u16) -> [u8; 2]),
        (&b"\xfe\xff"[..], u16::to_be_bytes),
        (&b""[..], u16::to_le_bytes),
        (&b""[..], u16::to_be_bytes),
    ] {
        let text: Vec<u8> = "{ mode: 'peer' }".encode_utf16().flat_map(to_bytes).collect();
        std::fs::write(&file, [mark, &text].concat()).unwrap();
        let error = Coordinator::load(&file).unwrap_err().to_string();
        assert!(error.contains("UTF-16: save it as UTF-8"), "{error}");
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn the_seeds_example_is_read_as_printed_and_the_bare_word_is_repaired() {
    let coordinator = Coordinator::parse(SEED).unwrap();
    assert!(matches!(coordinator.backend(), Backend::Zenoh(_)));
    let [warning] = coordinator.warnings() else { panic!("{:?}", coordinator.warnings()) };
    assert_eq!(warning.corrected.as_deref().map(str::trim), Some(r#"mode: "peer","#));
    assert_eq!(warning.place.as_ref().map(|p| (p.line, p.column)), Some((2, 8)));
    let explained = coordinator.explain();
    for fact in [
        "peer: links directly",
        "224.0.0.224:7446",
        "tcp/[::]:0",
        "after 3000 ms",
        "none: any host",
    ] {
        assert!(explained.contains(fact), "{fact} in:\n{explained}");
    }
    coordinator.preflight().unwrap();
}

#[test]
fn a_zenoh_configuration_alone_and_an_embedded_object_are_read_too() {
    for text in [
        "// plain Zenoh\n{ mode: 'client', connect: { endpoints: ['tcp/127.0.0.1:7447'] } }",
        concat!(
            r#"{ "@type": "Zenoh", "config": "#,
            r#"{ "mode": "client", "connect": { "endpoints": ["tcp/127.0.0.1:7447"] } } }"#,
        ),
    ] {
        let explained = Coordinator::parse(text).unwrap().explain();
        assert!(
            explained.contains("client:") && explained.contains("to tcp/127.0.0.1:7447"),
            "{explained}"
        );
    }
}

#[test]
fn explain_says_which_end_of_a_tls_link_shows_a_certificate() {
    let (one, both) = ("the listening end shows a certificate", "both ends show a certificate");
    let some = "at some endpoints both ends show a certificate";
    for (shared, first, second, shown) in [
        ("false", "", "", one),
        ("true", "", "", both),
        ("false", "#enable_mtls=true", "#enable_mtls=true", both),
        ("true", "#enable_mtls=false", "#enable_mtls=false", one),
        ("false", "#enable_mtls=true", "", some),
    ] {
        let config = format!(
            "{{ mode: 'client', connect: {{ endpoints: ['tls/mx1:7447{first}', \
             'tls/mx2:7447{second}'] }}, transport: {{ link: {{ tls: {{ enable_mtls: {shared}, \
             root_ca_certificate: 'r', connect_certificate: 'c', connect_private_key: 'k' \
             }} }} }} }}"
        );
        let explained = Coordinator::parse(&config).unwrap().explain();
        let line = format!("links with TLS; {shown}\n");
        assert!(explained.contains(&line), "{shown}: {explained}");
    }
}

#[test]
fn explain_says_that_a_disabled_coordinator_runs_alone() {
    let coordinator = Coordinator::parse(r#"{"@type": "Disabled"}"#).unwrap();
    assert!(matches!(coordinator.backend(), Backend::Disabled));
    assert!(coordinator.explain().contains("runs alone"));
    let own = zenoh("{ transport: { auth: { usrpwd: { user: 'u', password: 'pw' } } } }");
    let keyed = own.trim_end().trim_end_matches('}').to_owned()
        + r#", "mesh": { "key": { "@type": "EnvironmentVariable", "variableName": "KEY" } } }"#;
    let explained = Coordinator::parse(&keyed).unwrap().explain();
    assert!(explained.contains("the configuration sets `transport.auth` itself"), "{explained}");
}

#[test]
fn mesh_settings_are_read_beside_a_zenoh_configuration() {
    let text = r#"{
        "@type": "Zenoh", "config": "{}",
        "mesh": { "name": "mx1", "cluster": "example", "failureTimeoutMs": 5e3,
                  "inboxEvents": 0x400, "key": { "@type": "Value", "secret": "s3cret" } },
    }"#;
    let coordinator = Coordinator::parse(text).unwrap();
    let mesh = coordinator.mesh();
    assert_eq!(mesh.name.as_ref().unwrap().as_str(), "mx1");
    assert_eq!(mesh.cluster.as_deref(), Some("example"));
    assert_eq!(mesh.failure_timeout.unwrap().as_secs(), 5);
    assert_eq!(mesh.inbox_events, Some(1024));
    assert_eq!(mesh.key.as_ref().unwrap().resolve().unwrap().as_str(), "s3cret");
    assert!(!format!("{coordinator:?}").contains("s3cret"));
}

#[test]
fn the_corrected_line_quotes_all_bare_words_and_no_literals() {
    let text =
        zenoh("{ mode: peer, scouting: { multicast: { interface: lo, ttl: 1, enabled: true } } }");
    let coordinator = Coordinator::parse(&text).unwrap();
    let [warning] = coordinator.warnings() else { panic!("{:?}", coordinator.warnings()) };
    let corrected = warning.corrected.as_deref().unwrap();
    assert!(
        corrected.contains(r#"mode: "peer""#) && corrected.contains(r#"interface: "lo""#),
        "{corrected}"
    );
    assert!(corrected.contains("enabled: true"), "{corrected}");
}

/// Finding the place and line of a warning must not scan the whole text: that would take minutes.
#[test]
fn a_configuration_of_nearly_a_megabyte_is_read_with_its_warnings() {
    let words: String = (0..40_000).map(|i| format!("k{i}: a, l{i}: b,\n")).collect();
    let coordinator = Coordinator::parse(&format!("{{ metadata: {{\n{words}}} }}")).unwrap();
    assert_eq!(coordinator.warnings().len(), 40_000);
    let last = &coordinator.warnings()[39_999];
    assert_eq!(last.place.as_ref().map(|p| (p.line, p.column)), Some((40_001, 9)));
    assert_eq!(last.corrected.as_deref(), Some(r#"k39999: "a", l39999: "b","#));
    let words = words.replace('\n', " ");
    let coordinator = Coordinator::parse(&format!("{{ metadata: {{ {words} }} }}")).unwrap();
    let [warning] = coordinator.warnings() else { panic!("{}", coordinator.warnings().len()) };
    assert!(warning.corrected.as_deref().unwrap().contains(r#"l39999: "b""#));
    let endpoints: String = (0..20_000).map(|i| format!("'tcp/a{i}:1',")).collect();
    Coordinator::parse(&format!("{{ listen: {{ endpoints: [{endpoints}] }} }}")).unwrap();
}

#[test]
fn parse_warns_of_a_node_that_finds_no_other_node() {
    let text = zenoh("{ scouting: { multicast: { enabled: false } } }");
    let coordinator = Coordinator::parse(&text).unwrap();
    assert!(coordinator.warnings()[0].message.contains("finds no other node"));
}

#[test]
fn every_bad_configuration_has_a_clear_error_at_the_right_place() {
    let bad = bad_configs();
    assert!(bad.len() >= 25);
    for (what, text, words, place) in bad.into_iter().chain(bad_sessions()).chain(bad_forms()) {
        let error = match Coordinator::parse(&text) {
            Ok(coordinator) => panic!("{what}: accepted as\n{}", coordinator.explain()),
            Err(error) => error,
        };
        let shown = error.kind().to_string();
        println!("| {what} | {error} |");
        assert!(!error.report().contains("TOPSECRET") && !shown.contains(".rs:"), "{what}");
        for word in words {
            assert!(shown.contains(word), "{what}: `{word}` not in: {shown}");
        }
        assert_eq!(error.place().map(|p| (p.line, p.column)), place, "{what}: {error}");
        if error.place().is_some() {
            let report = error.report();
            assert!(report.contains("-->") && report.contains('^'), "{what}: {report}");
            let longest = report.lines().map(str::len).max().unwrap();
            assert!(longest < 1_000, "{what}: a line of {longest} bytes");
        }
    }
}

#[test]
fn the_caret_marks_the_faulty_text() {
    let error = Coordinator::parse(&zenoh("{\n  mode: 'peer',\n  lisen: {},\n}")).unwrap_err();
    let report = error.report();
    let lines: Vec<_> = report.lines().collect();
    assert_eq!(lines[1], " --> `config` in the configuration, line 3, column 3");
    assert_eq!(&lines[3..], ["3 |   lisen: {},", "  |   ^^^^^"]);
}

#[test]
fn load_refuses_files_that_cannot_be_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let elf = [b"\x7fELF\x02\x01\x01\x00".as_slice(), &[0xfe; 64]].concat();
    let cases = [
        ("binary file", write("binary", &elf), "is not text"),
        ("10 MB of blanks", write("large", &vec![b' '; 10 << 20]), "10485760 bytes long"),
        ("Latin-1", write("latin1", b"{ mode: 'p\xe9er' }"), "is not text: byte 10"),
        ("empty file", write("empty", b""), "is empty"),
        ("missing file", dir.path().join("absent"), "cannot read"),
        ("a directory", dir.path().to_owned(), "cannot read"),
    ];
    for (what, path, words) in cases {
        let error = Coordinator::load(&path).unwrap_err().to_string();
        println!("| {what} | {error} |");
        assert!(error.contains(words), "{what}: {error}");
    }
    let path = write("named", b"{ mode: 'pear' }");
    let error = Coordinator::load(&path).unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
}

#[test]
fn preflight_finds_ports_files_and_interfaces_that_zenoh_cannot_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let cases = [
        (
            "port in use",
            format!("{{ listen: {{ endpoints: ['tcp/{address}'] }} }}"),
            "another process listens there",
        ),
        (
            "address of another machine",
            "{ listen: { endpoints: ['tcp/192.0.2.1:7447'] } }".into(),
            "no interface here has this address",
        ),
        (
            "TLS file missing",
            "{ listen: { endpoints: ['tls/127.0.0.1:0'] }, transport: { link: { tls: { \
             listen_certificate: '/no/cert.pem', listen_private_key: '/no/key.pem' } } } }"
                .into(),
            "cannot read /no/cert.pem",
        ),
        (
            "the same port twice",
            "{ listen: { endpoints: ['tcp/127.0.0.1:47461', 'tcp/localhost:47461'] } }".into(),
            "tcp/127.0.0.1:47461 of the same list is there already",
        ),
        (
            "an endpoint's interface missing",
            "{ listen: { endpoints: ['tcp/127.0.0.1:0#iface=eth77'] } }".into(),
            "no interface `eth77` here; there are",
        ),
        (
            "interface missing",
            "{ scouting: { multicast: { interface: 'eth77' } } }".into(),
            "no interface `eth77` here; there are",
        ),
    ];
    for (what, config, words) in cases {
        let error = Coordinator::parse(&zenoh(&config)).unwrap().preflight().unwrap_err();
        println!("| {what} | {error} |");
        assert!(error.to_string().contains(words), "{what}: {error}");
        assert!(error.place().is_some(), "{what}");
    }
}

#[test]
fn the_error_for_an_unreadable_key_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let open = dir.path().join("open.key");
    std::fs::write(&open, "secret").unwrap();
    let set_mode = |mode| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&open, permissions).unwrap();
    };
    set_mode(0o644);
    let file = |path: &std::path::Path| serde_json::json!({"@type": "File", "filePath": path});
    let absent =
        serde_json::json!({"@type": "EnvironmentVariable", "variableName": "MAILMESH_ABSENT"});
    let cases = [
        (file(&open), "run `chmod 600"),
        (file(&dir.path().join("absent")), "check `mesh.key.filePath`"),
        (file(std::path::Path::new("no/such.key")), "where the process was started"),
        (file(dir.path()), "is a directory; name the file"),
        (absent, "environment variable `MAILMESH_ABSENT`"),
    ];
    for (key, words) in cases {
        let text =
            serde_json::json!({"@type": "Zenoh", "config": "{}", "mesh": {"key": key}}).to_string();
        let error = Coordinator::parse(&text).unwrap().preflight().unwrap_err();
        assert!(matches!(error.kind(), ConfigErrorKind::Secret { .. }));
        assert!(error.to_string().contains(words), "{error}");
    }
    set_mode(0o600);
    let text = serde_json::json!({"@type": "Disabled", "mesh": {"key": file(&open)}}).to_string();
    let coordinator = Coordinator::parse(&text).unwrap();
    coordinator.preflight().unwrap();
    assert_eq!(coordinator.mesh().key.as_ref().unwrap().resolve().unwrap().as_str(), "secret");
}

#[test]
fn a_secret_is_shown_in_no_error_and_no_warning() {
    let bare = r#"{ "@type": "Zenoh", "config": "{}", "mesh": { "key": TOPSECRET } }"#;
    let coordinator = Coordinator::parse(bare).unwrap();
    let [warning] = coordinator.warnings() else { panic!() };
    let shown = format!("{warning} {warning:?} {}", coordinator.explain());
    assert!(shown.contains("***") && !shown.contains("TOPSECRET"), "{shown}");
    for value in ["[TOPSECRET]", "[3TOPSECRET]", "[[3TOPSECRET]]", "{ a: 3TOPSECRET }"] {
        let config = format!("{{ transport: {{ auth: {{ usrpwd: {{ password: {value} }} }} }} }}");
        let source = format!(r#"{{ "@type": "Zenoh", "config": {config} }}"#);
        for text in [source, zenoh(&config)] {
            let shown = match Coordinator::parse(&text) {
                Ok(coordinator) => {
                    format!("{:?} {}", coordinator.warnings(), coordinator.explain())
                }
                Err(error) => format!("{error} {} {error:?}", error.report()),
            };
            assert!(shown.contains("***") && !shown.contains("TOPSECRET"), "{shown}");
        }
    }
    let endpoint = "tls/0.0.0.0:7447#listen_certificate_file=c;listen_private_key_base64=TOPSECRET";
    let tls = "transport: { link: { tls: { listen_certificate: 'c', listen_private_key: 'k' } } }";
    for section in ["listen", "connect"] {
        let text = zenoh(&format!("{{ {section}: {{ endpoints: ['{endpoint}'] }}, {tls} }}"));
        let shown = Coordinator::parse(&text).unwrap().explain();
        assert!(shown.contains("***") && !shown.contains("TOPSECRET"), "{shown}");
    }
    for text in [
        concat!(
            r#"{ "@type": "Zenoh", "config": "{}", "#,
            r#""mesh": { "key": "TOPSECRET", "nmae": "a" } }"#,
        )
        .to_owned(),
        concat!(
            r#"{ "@type": "Zenoh", "config": "{}", "#,
            r#""mesh": { "key": { "@type": "Value", "secret": "TOPSECRET", "x": 1 } } }"#,
        )
        .to_owned(),
        zenoh(&format!("{{ connect: {{ endpoints: ['{endpoint}', 'tcp/b'] }} }}")),
        zenoh("{ transport: { auth: { usrpwd: { user: 'u', password: 'TOPSECRET', x: 1 } } } }"),
    ] {
        let error = Coordinator::parse(&text).unwrap_err();
        let shown = format!("{error} {} {error:?}", error.report());
        assert!(shown.contains("*****") && !shown.contains("TOPSECRET"), "{shown}");
    }
}

#[test]
fn a_login_file_is_checked_to_its_end_or_refused_as_too_long() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("logins");
    let config = format!(
        "{{ transport: {{ auth: {{ usrpwd: {{ user: 'u', password: 'p', \
         dictionary_file: '{}' }} }} }} }}",
        file.display()
    );
    let coordinator = Coordinator::parse(&zenoh(&config)).unwrap();
    for (logins, words) in [
        ("mx1:a\n".repeat(600_000), None),
        ("mx1:a\n".repeat(800_000), Some("longer than")),
        ("mx1:a\nmx2".to_owned(), Some("line 2: expected a user")),
    ] {
        std::fs::write(&file, logins).unwrap();
        let error = coordinator.preflight().err().map(|error| error.to_string());
        match (&error, words) {
            (Some(error), Some(words)) => assert!(error.contains(words), "{error}"),
            (error, words) => assert!(error.is_none() && words.is_none(), "{error:?}"),
        }
        assert!(error.is_none_or(|error| error.matches("logins").count() == 1));
    }
}

/// A log line must not wait for a mount that hangs.
#[test]
fn debug_of_settings_is_complete_and_reads_no_file() {
    let text = r#"{ "@type": "Disabled", "mesh": { "inboxBytes": 1234567,
        "key": { "@type": "File", "filePath": "/no/such/Ab3dEf6hIj9lMn2pQr5t" } } }"#;
    let shown = format!("{:?}", Coordinator::parse(text).unwrap().mesh());
    assert!(shown.contains("1234567"), "{shown}");
    assert!(!shown.contains("Ab3dEf6h") && shown.contains("the file "), "{shown}");
}

/// A string of the configuration may hold any character, by its escape.
#[test]
fn shown_texts_are_short_and_escape_control_characters() {
    let escape = r"\u001b[2J\nopen nothing";
    let long = "x".repeat(100_000);
    for text in [escape, &long] {
        for config in [
            format!(r#"{{ "@type": "{text}" }}"#),
            format!(r#"{{ "@type": "Zenoh", "config": {{ "mode": "{text}" }} }}"#),
            format!(r#"{{ "@type": "Zenoh", "config": {{ "{text}": 1 }} }}"#),
            format!(r#"{{ "@type": "Zenoh", "config": {{ "mode": {{ "{text}": 1 }} }} }}"#),
            format!(
                r#"{{ "@type": "Zenoh", "config": {{ "scouting": {{ "delay": "{text}" }} }} }}"#
            ),
            format!(
                r#"{{ "@type": "Zenoh", "config": {{ "listen": {{ "endpoints": ["{text}"] }} }} }}"#
            ),
            format!(r#"{{ "@type": "Zenoh", "config": "{{}}", "mesh": {{ "name": "{text}" }} }}"#),
            format!(
                "{{ \"@type\": \"Zenoh\", \"config\": \"{{}}\", \
                 \"mesh\": {{ \"{text}\": 1, \"{text}\": 2 }} }}"
            ),
        ] {
            let error = Coordinator::parse(&config).unwrap_err();
            let shown = error.to_string();
            assert!(!shown.contains(char::is_control) && shown.len() < 2_000, "{shown}");
            assert!(!error.report().replace('\n', "").contains(char::is_control));
        }
    }
    let text = format!(r#"{{ "scouting": {{ "multicast": {{ "interface": "{escape}" }} }} }}"#);
    let explained = Coordinator::parse(&text).unwrap().explain();
    assert!(explained.lines().all(|line| !line.contains(char::is_control)), "{explained}");
    assert!(!explained.contains("\nopen nothing"), "{explained}");
}

#[test]
fn load_reads_an_endless_file_only_up_to_the_size_limit() {
    let error = Coordinator::load("/dev/zero").unwrap_err().to_string();
    assert!(error.contains("1048577 bytes long"), "{error}");
}

mod any_text {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
            let _ = Coordinator::parse(&text);
            let _ = Coordinator::parse(&zenoh(&text));
        }

        /// Damage to a good configuration: one piece removed, doubled or replaced.
        #[test]
        fn a_damaged_configuration_never_panics_and_its_error_has_one_line(
            at in 0usize..400, len in 0usize..12, junk in "[{}\\[\\],:'\"a-z0-9 \n]{0,4}",
        ) {
            let config = "{\n mode: peer,\n scouting: {\n multicast: {\n enabled: true,\n \
                          address: \"224.0.0.224:7446\",\n \
                          autoconnect: { router: [], peer: [\"router\", \"peer\"] },\n \
                          },\n },\n}";
            let start = at.min(config.len());
            let end = (start + len).min(config.len());
            let damaged = format!("{}{junk}{}", &config[..start], &config[end..]);
            if let Err(error) = Coordinator::parse(&zenoh(&damaged)) {
                prop_assert!(!error.to_string().is_empty());
                prop_assert_eq!(error.kind().to_string().lines().count(), 1, "{}", error);
            }
        }
    }
}
