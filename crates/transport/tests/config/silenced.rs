//! Settings of Zenoh that drop mailmesh's own messages are warned of.

use mailmesh_transport::Coordinator;

/// The warnings of a Zenoh configuration of the cluster `mail`.
fn warnings(config: &str) -> String {
    let coordinator = Coordinator::parse(config).unwrap_or_else(|error| panic!("{error}"));
    let links = coordinator.check_links(false).unwrap();
    let all = coordinator.warnings().iter().chain(&links);
    all.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn access(permission: &str, lists: &str) -> String {
    format!(
        "{{ access_control: {{ enabled: true, default_permission: '{permission}', {lists} }} }}"
    )
}

fn rule(permission: &str, messages: &str, more: &str) -> String {
    format!(
        "rules: [{{ id: 'r', messages: [{messages}], permission: '{permission}', {more} }}],
         subjects: [{{ id: 's' }}], policies: [{{ rules: ['r'], subjects: ['s'] }}]"
    )
}

const BOTH: &str = "'put', 'declare_subscriber'";
const NONE: &str = "rules: [], subjects: [], policies: []";

#[test]
fn access_control_that_denies_frames_is_warned_of() {
    let ours = "key_exprs: ['mailmesh/**']";
    for (config, words) in [
        (access("deny", NONE), "put (egress), put (ingress), declare_subscriber (egress)"),
        (access("deny", &rule("allow", BOTH, "key_exprs: ['mailmesh/other/**']")), "denies put"),
        (access("deny", &rule("allow", "'put'", ours)), "denies declare_subscriber (egress)"),
        (
            access("deny", &rule("allow", BOTH, &format!("{ours}, flows: ['ingress']"))),
            "denies put (egress), declare_subscriber (egress) on",
        ),
        (access("allow", &rule("deny", "'put'", "key_exprs: ['**']")), "denies put (egress)"),
    ] {
        let found = warnings(&config);
        assert!(found.contains("`access_control`") && found.contains(words), "{config}\n{found}");
        assert!(found.contains("`permission: \"allow\"`"), "{found}");
    }
    for config in [
        access("allow", NONE),
        access("deny", &rule("allow", BOTH, ours)),
        access("deny", &rule("allow", BOTH, "key_exprs: ['**'], flows: ['ingress', 'egress']")),
        access("deny", &rule("allow", BOTH, "key_exprs: ['mailmesh/mail/**']")),
        access("allow", &rule("deny", BOTH, "key_exprs: ['others/**']")),
        access("deny", NONE).replace("enabled: true", "enabled: false"),
        // The rule that denies holds for some links only.
        access("allow", &rule("deny", BOTH, ours))
            .replace("{ id: 's' }", "{ id: 's', interfaces: ['eth9'] }"),
    ] {
        assert_eq!(warnings(&config), "", "{config}");
    }
}

#[test]
fn filters_that_drop_frames_are_warned_of() {
    let filter = |messages: &str, keys: &str, limit: u32| {
        format!(
            "{{ low_pass_filter: [{{ messages: [{messages}], key_exprs: ['{keys}'], \
             size_limit: {limit} }}] }}"
        )
    };
    let sampled = |keys: &str| {
        format!(
            "{{ downsampling: [{{ messages: ['put'], rules: [{{ key_expr: '{keys}', freq: 1.0 }}] \
             }}] }}"
        )
    };
    let local = |keys: &str| {
        format!(
            "{{ qos: {{ publication: [{{ key_exprs: ['{keys}'], \
             config: {{ allowed_destination: 'session_local' }} }}] }} }}"
        )
    };
    for (config, words) in [
        (filter("'put'", "**", 10), "`low_pass_filter.0`"),
        (filter("'put', 'delete'", "mailmesh/mail/v1/to/*", 100_000), "more than 100000 bytes"),
        (sampled("**"), "`downsampling.0.rules.0`"),
        (sampled("mailmesh/**"), "drops frames"),
        (local("**"), "`qos.publication.0.config.allowed_destination`"),
    ] {
        let found = warnings(&config);
        assert!(found.contains(words), "{config}\n{found}");
    }
    for config in [
        filter("'put'", "**", 266_240),
        filter("'delete'", "**", 10),
        filter("'put'", "others/**", 10),
        sampled("others/**"),
        local("others/**"),
        "{ namespace: 'site', low_pass_filter: [{ messages: ['put'], key_exprs: ['mailmesh/**'], \
         size_limit: 10 }] }"
            .to_owned(),
    ] {
        assert_eq!(warnings(&config), "", "{config}");
    }
}

#[test]
fn a_multicast_port_of_0_is_warned_of() {
    let config = "{ scouting: { multicast: { address: '224.0.0.224:0', interface: 'lo' } } }";
    let found = warnings(config);
    assert!(found.contains("port 0") && found.contains("224.0.0.224:7446"), "{found}");
    let off = config.replace("interface: 'lo'", "enabled: false");
    assert!(!warnings(&off).contains("port 0"));
}

#[test]
fn the_samples_of_zenoh_and_of_the_mail_server_silence_nothing() {
    for sample in [
        include_str!("../fixtures/coordinator.json"),
        include_str!("../fixtures/zenoh-default.json5"),
    ] {
        let found = warnings(sample);
        for words in ["access_control", "low_pass_filter", "downsampling", "port 0", "qos."] {
            assert!(!found.contains(words), "{found}");
        }
    }
}
