//! Tests of the redaction of texts.

use super::*;

#[test]
fn secrets_are_starred_at_their_width_in_every_quoting() {
    for (line, shown) in [
        (r#""key": "c2VjcmV0","#, r#""key": "********","#),
        ("key: hunter2, name: 'a'", "key: *******, name: 'a'"),
        (r#"\"secret\": \"s3\", x"#, r#"\"secret\": \"**\", x"#),
        ("{ password : 'p w', user: 'u' }", "{ password : '***', user: 'u' }"),
        (r#"password: "it's hunter2", b"#, r#"password: "************", b"#),
        (r#""config": "{ password: 'a\"b' }", x"#, r#""config": "{ password: '****' }", x"#),
        ("password: 'not closed,\n  user: 1", "password: '***********\n*********"),
        ("password: ['a', 'b'], x", "password: [********], x"),
        ("password: 12345678, x", "password: ********, x"),
        ("key: { '@type': 'File', filePath: '/k' }", "key: { '@type': 'File', filePath: '/k' }"),
        ("listen_private_key_base64: 'QUJD'", "listen_private_key_base64: '****'"),
        ("listen_private_key: '/etc/k.pem'", "listen_private_key: '/etc/k.pem'"),
        (
            "['tls/a:1#iface=lo;listen_private_key_base64=QUI=;x=1', 'tcp/b:1']",
            "['tls/a:1#iface=lo;listen_private_key_base64=****;x=1', 'tcp/b:1']",
        ),
        ("tcp/user:hunter2@a:1", "tcp/user:*******@a:1"),
        ("https://u:p:w@a/b", "https://u:***@a/b"),
        ("monkey: 'not one', key", "monkey: 'not one', key"),
        ("/etc/cluster.key: every frame", "/etc/cluster.key: every frame"),
        ("mesh.key: hunter2", "mesh.key: *******"),
        (
            "x -----BEGIN A-----\nMII\n-----END A----- y",
            "x *****************\n***\n-----END A----- y",
        ),
        (
            "InvalidByte [45, 45, 45, 45, 45, 66, 69, 71]",
            "InvalidByte [******************************]",
        ),
        ("0\u{82}\u{fffd} a b\nc", "*******\nc"),
        ("the string \"c2VjcmV0c2VjcmV0\" is", "the string \"****************\" is"),
    ] {
        assert_eq!(redact(line), shown);
        assert_eq!(redact(line).chars().count(), line.chars().count());
    }
}

#[test]
fn redact_source_masks_a_secret_without_a_colon() {
    for (line, shown) in [
        ("password 'hunter2', x", "password '*******', x"),
        ("password hunter2, x", "password *******, x"),
        ("password: correct horse, x", "password: *************, x"),
        ("{ user: 'u', password }", "{ user: 'u', password }"),
        ("password = 'hunter2'", "password = '*******'"),
    ] {
        assert_eq!(redact_source(line), shown);
    }
    assert_eq!(redact("the key \"a\" is"), "the key \"a\" is");
}

#[test]
fn log_lines_with_a_secret_are_recognised() {
    for secret in [
        "Unable to open listener tls/a:1#listen_private_key_base64=LS0t",
        "connect: password: 'hunter2'",
        "-----BEGIN PRIVATE KEY-----",
        "IllegalSectionStart { line: [45, 45, 45, 45, 45, 66] }",
        "key MC4CAQAwBQYDK2VwBCIEIBAQ1234567890abcdefghijklm",
    ] {
        assert!(holds_secret(secret), "{secret}");
    }
    for other in [
        "Unable to connect to tls/mx1.example.org:7447! certificate expired",
        "New transport opened between 84a4b9ccbd4fb7dd40c5bd2c50ebd4b6 and a2",
        "Zenoh can be reached at: tcp/192.0.2.1:7447",
    ] {
        assert!(!holds_secret(other), "{other}");
    }
}

#[test]
fn a_path_is_shown_and_a_key_in_its_place_is_not() {
    let dir = std::env::temp_dir().join("Ab3dEf6hIj9lMn2pQr5t.pem");
    assert_eq!(display_path(&dir), dir.display().to_string());
    assert_eq!(display_path(Path::new("/no/such/cert.pem")), "/no/such/cert.pem");
    for secret in ["c2VjcmV0c2VjcmV0c2Vj", "/c2VjcmV0c2VjcmV0c2Vj"] {
        assert!(display_path(Path::new(secret)).chars().all(|c| c == '*'));
    }
    assert_eq!(display_path(Path::new("a\nb")), "a\\nb");
    assert_eq!(display_path(Path::new(r"C:\certs\mx1.pem")), r"C:\certs\mx1.pem");
    let key = display_path(Path::new(r"C:\c2VjcmV0c2VjcmV0c2Vj"));
    assert!(!key.contains("c2Vj"), "{key}");
}

#[test]
fn an_equals_sign_works_like_a_colon() {
    for (line, shown) in [
        ("password='hunter2', x", "password='*******', x"),
        ("password=\"hunter2\"", "password=\"*******\""),
        ("password= 'hunter2'", "password= '*******'"),
        ("password=['hunter2', 'b']", "password=[**************]"),
        (r#"\"secret\"=\"s3\", x"#, r#"\"secret\"=\"**\", x"#),
        ("tls/a:1#key=QUI=;x=1", "tls/a:1#key=****;x=1"),
    ] {
        assert_eq!(redact(line), shown);
        assert_eq!(redact_source(line), shown);
    }
    let phrase = "password=correct horse, x";
    assert_eq!(redact_source(phrase), "password=*************, x");
}

#[test]
fn a_comment_or_an_inner_bracket_does_not_end_a_value() {
    for (line, shown) in [
        ("password: // c\n 'hunter2', x", "password: ****\n '*******', x"),
        ("password: /* old */ 'hunter2', x", "password: ********* '*******', x"),
        ("password: [['a'], 'hunter2'], x", "password: [****************], x"),
        ("password: [']', 'hunter2'], x", "password: [**************], x"),
        ("password: { a: /* } */ 'hunter2' }, x", "password: {**********************}, x"),
    ] {
        assert_eq!(redact(line), shown);
        assert_eq!(redact_source(line), shown);
    }
    for (line, shown) in [
        ("password // c\n : 'hunter2', x", "password ****\n : '*******', x"),
        ("password /* c */ : 'hunter2'", "password ******* : '*******'"),
        ("password // 'hunter2'", "password ************"),
        (r#"{ password:\n ['hunter2'] }"#, r#"{ *********** [*********] }"#),
    ] {
        assert_eq!(redact_source(line), shown);
    }
}

#[test]
fn redaction_takes_linear_time() {
    // With quadratic time this would take hours.
    for part in ["@", "/a:b@", "key.", "key/.", "key // ", "key:\\n", "password: ['", "key '", "[["]
    {
        let text = part.repeat((1 << 20) / part.len());
        assert_eq!(redact(&text).len(), text.len());
        assert_eq!(redact_source(&text).len(), text.len());
    }
    assert!(holds_secret(&"a ".repeat(40_000)));
    assert!(!holds_secret(&"a ".repeat(30_000)));
}

#[test]
fn each_password_in_a_url_is_starred() {
    for (line, shown) in [
        ("tcp/u:p@q:w@a:1", "tcp/u:*****@a:1"),
        ("tcp/u@a:1, tcp/u:pw@b:1", "tcp/u@a:1, tcp/u:**@b:1"),
        ("u:p@a:1", "u:p@a:1"),
    ] {
        assert_eq!(redact(line), shown);
    }
}
