//! Whether nodes can meet as their configurations are.

use std::net::UdpSocket;

use mailmesh_transport::{Backend, Coordinator, LinkProof, LinkProtection};

use crate::zenoh;

/// A name that no resolver asks another host for: its first label is too long.
fn no_name() -> String {
    format!("{}.example.org", "a".repeat(64))
}

fn links(config: &str, has_key: bool) -> Result<String, String> {
    let coordinator = Coordinator::parse(config).unwrap();
    let said = coordinator.check_links(has_key).map_err(|error| error.to_string())?;
    Ok(said.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn protection(config: &str) -> LinkProtection {
    let coordinator = Coordinator::parse(config).unwrap();
    let Backend::Zenoh(settings) = coordinator.backend() else { panic!() };
    settings.link_protection(true)
}

#[test]
fn zenoh_scouting_with_a_link_local_multicast_group_is_refused() {
    for address in ["[ff02::224]:7446", "[ff12::224]:7446", "[ff01::224]:7446", "[ff02::224%1]:1"] {
        let config =
            format!("{{ scouting: {{ multicast: {{ address: '{address}', interface: 'lo' }} }} }}");
        let error = links(&config, false).unwrap_err();
        assert!(error.contains("scouting.multicast.address"), "{error}");
        assert!(error.contains("write \"224.0.0.224:7446\""), "{error}");
        assert!(error.contains("line 1, column 37"), "{error}");
        assert_eq!(links(&config, true), Ok(String::new()), "discovery of ours names it");
        let off = config.replace("interface: 'lo'", "enabled: false");
        assert_eq!(links(&off, false), Ok(String::new()));
    }
    let wide = "{ scouting: { multicast: { address: '[ff05::224]:7446' } } }";
    assert!(links(wide, false).unwrap().contains("may not find each other"));
}

#[test]
fn a_warning_names_why_links_lack_the_requested_protection() {
    let config = |zenoh: &str, mesh: &str| {
        format!(r#"{{ "@type": "Zenoh", "config": {zenoh}, "mesh": {{ {mesh} }} }}"#)
    };
    let sealed = r#""links": "sealed""#;
    for (zenoh, mesh, has_key, words) in [
        ("{}", sealed, false, "there is no cluster key"),
        ("{}", r#""links": "tls""#, false, "not \"tls\""),
        ("{}", sealed, true, ""),
        ("{}", "", false, ""),
        ("{}", r#""links": "unproven""#, false, ""),
        (
            "{ transport: { link: { protocols: ['tcp'] } } }",
            sealed,
            true,
            "`transport.link.protocols`",
        ),
        ("{ transport: { link: { protocols: ['tcp'] } } }", "", true, "do not prove"),
        ("{ transport: { link: { protocols: ['tcp'] } } }", "", false, ""),
        ("{ transport: { link: { protocols: ['tcp'] } } }", r#""links": "unproven""#, true, ""),
        ("{ transport: { auth: { usrpwd: { user: 'u', password: 'p' } } } }", "", true, "unproven"),
        ("{ mode: 'client' }", sealed, true, "they are \"challenge\""),
    ] {
        let said = links(&config(zenoh, mesh), has_key).unwrap();
        assert!(said.contains(words) && said.is_empty() == words.is_empty(), "{mesh}: {said}");
    }
}

#[test]
fn tls_links_to_an_address_with_a_zone_are_refused_before_the_start() {
    for endpoints in [
        "connect: { endpoints: ['tcp/[fe80::1%lo]:7447'] }",
        "listen: { endpoints: ['tcp/[fe80::1%lo]:7447'] }",
    ] {
        let config = |links: &str| {
            format!(
                "{{ \"@type\": \"Zenoh\", \"config\": {{ {endpoints} }}, \
                 \"mesh\": {{ \"links\": \"{links}\" }} }}"
            )
        };
        assert!(
            links(&config("tls"), true).unwrap_err().contains("a zone cannot be dialed by TLS")
        );
        assert!(links(&config("sealed"), true).is_ok());
    }
}

#[test]
fn parse_warns_of_endpoints_without_effect_and_unknown_protocols() {
    let config = "{ connect: { endpoints: ['tls/mx1:1', 'tcp/mx2:1', 'tcp/mx2:1'] },
        transport: { link: { protocols: ['tcp', 'udp'] } } }";
    let coordinator = Coordinator::parse(config).unwrap();
    let said = coordinator.warnings().iter().map(ToString::to_string);
    let said = said.collect::<Vec<_>>().join("\n");
    for words in [
        "tls/mx1:1 is never linked, since `transport.link.protocols` has no \"tls\"",
        "\"udp\" is not built in",
        "tcp/mx2:1 stands there more than once",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_node_that_never_meets_another_is_warned_of() {
    let off = "scouting: { multicast: { enabled: false } }";
    for (listen, words) in [
        ("listen: { endpoints: [] },", "can never be linked"),
        ("listen: { endpoints: ['tcp/127.0.0.1:7447', 'tcp/[::1]:7447'] },", "of the loopback"),
        (
            "listen: { endpoints: ['tcp/localhost:7447'] }, \
             connect: { endpoints: ['tcp/localhost:7447'] },",
            "of the loopback",
        ),
        (
            "listen: { endpoints: ['tcp/127.0.0.1:7447'] }, \
             connect: { endpoints: ['tcp/127.0.0.1:7448'] },",
            "",
        ),
        ("listen: { endpoints: ['tcp/192.0.2.1:7447'] },", ""),
    ] {
        let coordinator = Coordinator::parse(&format!("{{ {listen} {off} }}")).unwrap();
        let of_links = coordinator.check_links(true).unwrap();
        let all = coordinator.warnings().iter().chain(&of_links);
        let said: Vec<_> = all.map(|warning| warning.message.as_str()).collect();
        assert_eq!(said.is_empty(), words.is_empty(), "{listen}: {said:?}");
        assert!(said.iter().all(|said| said.contains(words)), "{listen}: {said:?}");
    }
    let client = format!("{{ mode: 'client', {off} }}");
    assert!(links(&client, false).unwrap_err().contains("a client connects to"));
}

#[test]
fn check_warns_of_names_that_do_not_resolve() {
    let name = no_name();
    let config = format!(
        "{{ listen: {{ endpoints: ['tcp/127.0.0.1:0'] }}, \
         scouting: {{ multicast: {{ enabled: false }} }}, \
         connect: {{ endpoints: ['tcp/{name}:7447', 'tcp/{name}:7447#iface=lo', \
         'tcp/localhost:7447', 'tcp/192.0.2.1:7447', 'tcp/[fe80::1%lo]:7447'] }} }}"
    );
    let coordinator = Coordinator::parse(&zenoh(&config)).unwrap();
    let said = coordinator.check_machine(false).unwrap();
    let [warning] = said.as_slice() else { panic!("{said:?}") };
    let shown = warning.to_string();
    assert!(shown.contains(&format!("the name {name} does not resolve")), "{shown}");
    let listens = format!("{{ listen: {{ endpoints: ['tcp/{name}:7447'] }} }}");
    let error = Coordinator::parse(&zenoh(&listens)).unwrap().preflight().unwrap_err().to_string();
    assert!(error.contains("does not resolve"), "{error}");
}

#[test]
fn check_finds_a_discovery_port_that_is_in_use() {
    let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let with = |port: u16, key: &str| {
        let zenoh = format!(
            "{{ scouting: {{ multicast: {{ address: '224.0.0.224:{port}', interface: 'lo' }} }} }}"
        );
        let text = format!(r#"{{ "@type": "Zenoh", "config": {zenoh}, "mesh": {{ {key} }} }}"#);
        Coordinator::parse(&text).unwrap().check_machine(!key.is_empty())
    };
    let error = with(port, "").unwrap_err().to_string();
    assert!(error.contains(&format!("UDP port {port}")) && error.contains("`ss -"), "{error}");
    let key = r#""key": { "@type": "Value", "secret": "x" }"#;
    let said = with(port - 1, key).unwrap();
    assert!(said[0].message.contains(&format!("UDP port {port}")), "{said:?}");
    drop(taken);
    assert!(with(port, "").unwrap().is_empty() && with(port - 1, key).unwrap().is_empty());
}

#[test]
fn an_endpoint_may_contain_all_its_tls_settings() {
    let own = "tls/127.0.0.1:0#listen_certificate_file=c;listen_private_key_base64=QQ==";
    let mutual = format!("{own};enable_mtls=true;root_ca_certificate_file=r");
    for listen in [own, &mutual] {
        Coordinator::parse(&format!("{{ listen: {{ endpoints: ['{listen}'] }} }}")).unwrap();
    }
    let without_key = "{ listen: { endpoints: ['tls/127.0.0.1:0#listen_certificate_file=c'] } }";
    let error = Coordinator::parse(without_key).unwrap_err().to_string();
    assert!(error.contains("`transport.link.tls.listen_private_key`"), "{error}");
    let quiet = "{ connect: { endpoints: ['tls/mx1:7447#enable_mtls=false'] }, \
                 transport: { link: { tls: { enable_mtls: true } } } }";
    Coordinator::parse(quiet).unwrap();
}

#[test]
fn mutual_tls_without_a_client_certificate_gives_a_warning() {
    let config = "{ listen: { endpoints: ['tls/127.0.0.1:0'] }, transport: { link: { tls: {
        root_ca_certificate: 'r', listen_certificate: 'c', listen_private_key: 'k',
        enable_mtls: true } } } }";
    assert!(links(config, false).unwrap().contains("`connect_certificate`"));
    let shows = "connect_certificate: 'c', connect_private_key: 'k', enable_mtls";
    assert_eq!(links(&config.replace("enable_mtls", shows), false), Ok(String::new()));
    assert_eq!(links(&config.replace("true", "false"), false), Ok(String::new()));
}

/// Settings that are `null`, or what Zenoh has by default, set nothing.
#[test]
fn settings_that_change_nothing_leave_links_sealed() {
    for config in [
        "{ transport: { link: { tls: {} } } }",
        "{ transport: { link: { tls: { root_ca_certificate: null, enable_mtls: false } } } }",
        "{ transport: { link: { tls: { verify_name_on_connect: true } } } }",
        "{ transport: { link: { tls: { close_link_on_expiration: false } } } }",
        "{ transport: { auth: { usrpwd: { user: null, password: null, dictionary_file: null }, \
         pubkey: { public_key_pem: null, key_size: null } } } }",
        "{ transport: { link: { protocols: null } } }",
    ] {
        assert_eq!(links(config, true), Ok(String::new()), "{config}");
        assert_eq!(protection(config), LinkProtection::Proven(LinkProof::Sealed), "{config}");
    }
    for (config, what) in [
        (
            "{ transport: { link: { tls: { verify_name_on_connect: false } } } }",
            "transport.link.tls",
        ),
        ("{ transport: { link: { tls: { root_ca_certificate: 'r' } } } }", "transport.link.tls"),
        ("{ transport: { auth: { usrpwd: { dictionary_file: 'd' } } } }", "transport.auth"),
    ] {
        assert_eq!(protection(config), LinkProtection::Own(what), "{config}");
        assert!(links(config, true).unwrap().contains(&format!("sets `{what}`")), "{config}");
    }
}

/// The commented configuration that Zenoh comes with, where the registry has its source.
#[test]
fn zenohs_own_default_configuration_leaves_links_sealed() {
    let config = include_str!("../fixtures/zenoh-default.json5");
    assert_eq!(links(config, true), Ok(String::new()));
    assert_eq!(protection(config), LinkProtection::Proven(LinkProof::Sealed));
}

#[test]
fn parse_warns_that_features_that_are_not_built_in_are_ignored() {
    for (config, name) in [
        ("{ plugins: { rest: { http_port: 8000 } } }", "plugins"),
        ("{ plugins_loading: { enabled: true } }", "plugins_loading.enabled"),
        (
            "{ transport: { unicast: { compression: { enabled: true } } } }",
            "transport.unicast.compression.enabled",
        ),
    ] {
        let coordinator = Coordinator::parse(config).unwrap();
        let [warning] = coordinator.warnings() else { panic!("{:?}", coordinator.warnings()) };
        assert!(warning.message.starts_with(&format!("`{name}` is ignored")), "{warning}");
    }
    let off = "{ plugins: {}, plugins_loading: { enabled: false } }";
    assert!(Coordinator::parse(off).unwrap().warnings().is_empty());
}
