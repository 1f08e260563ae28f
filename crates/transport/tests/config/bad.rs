//! Configurations that cannot be used.

use crate::zenoh;

/// The text, the words that its error must have, and the place that the error must name.
pub(crate) type Bad = (&'static str, String, &'static [&'static str], Option<(usize, usize)>);

pub(crate) fn bad_configs() -> Vec<Bad> {
    let deep = format!("{{ a: {}1{} }}", "[".repeat(100_000), "]".repeat(100_000));
    vec![
        ("empty file", String::new(), &["is empty", "expected an object like"], None),
        ("only a comment", "// later\n".into(), &["is empty"], None),
        (
            "missing closing brace",
            "{ \"@type\": \"Zenoh\",\n  \"config\": \"{}\"".into(),
            &["`{` is never closed", "expected `}`"],
            Some((1, 1)),
        ),
        (
            "missing brace in the embedded text",
            zenoh("{ mode: 'peer', scouting: { multicast: { enabled: true } }"),
            &["`{` is never closed"],
            Some((1, 1)),
        ),
        (
            "bracket closed by a brace",
            zenoh("{ connect: { endpoints: ['tcp/a:1' } }"),
            &["expected `]` to close the `[` of line 1, column 25", "found `}`"],
            Some((1, 36)),
        ),
        ("text after the end", zenoh("{ mode: 'peer' }\n}"), &["ends before this"], Some((2, 1))),
        (
            "missing comma",
            "{ \"@type\": \"Zenoh\"\n  \"config\": \"{}\" }".into(),
            &["expected `,`"],
            Some((1, 19)),
        ),
        ("missing colon", zenoh("{ mode 'peer' }"), &["expected `:` after the key"], Some((1, 8))),
        (
            "batches without room for a message",
            zenoh("{ transport: { link: { tx: { batch_size: 0 } } } }"),
            &["0 is less than 1024", "has no room"],
            Some((1, 42)),
        ),
        (
            "links that end before a keep-alive",
            zenoh("{ transport: { link: { tx: { lease: 0 } } } }"),
            &["0 is less than 100"],
            Some((1, 37)),
        ),
        ("missing value", zenoh("{ mode: , }"), &["expected a value, found `,`"], Some((1, 9))),
        (
            "string not closed",
            zenoh("{ mode: 'peer }\n"),
            &["never closed", "expected '"],
            Some((1, 9)),
        ),
        (
            "comment not closed",
            zenoh("{ /* mode: 'peer' }"),
            &["comment is never closed", "`*/`"],
            Some((1, 3)),
        ),
        (
            "a number with a unit",
            zenoh("{ scouting: { timeout: 3s } }"),
            &["`3s` is not a value", "expected a string in quotes, a number"],
            Some((1, 24)),
        ),
        (
            "YAML",
            "'@type': Zenoh\nconfig: |\n  mode: peer\n".into(),
            &["looks like YAML", "begins with `{`"],
            Some((1, 1)),
        ),
        ("YAML document", "---\nmode: peer\n".into(), &["looks like YAML"], Some((1, 1))),
        (
            "YAML in the embedded text",
            zenoh("mode: peer\nscouting:\n  multicast:\n    enabled: true\n"),
            &["looks like YAML"],
            Some((1, 1)),
        ),
        ("TOML", "[scouting]\nmode = \"peer\"\n".into(), &["looks like TOML"], Some((1, 1))),
        ("XML", "<zenoh mode='peer'/>".into(), &["looks like XML"], Some((1, 1))),
        ("an array", "[1, 2]".into(), &["begins with `{`"], Some((1, 1))),
        ("just a word", "peer".into(), &["begins with `{`"], Some((1, 1))),
        ("nested 100,000 deep", zenoh(&deep), &["nested more than 64 deep"], Some((1, 69))),
        (
            "no @type",
            r#"{ "config": "{}" }"#.into(),
            &["`@type` is missing", "\"@type\": \"Zenoh\""],
            Some((1, 3)),
        ),
        (
            "no config",
            r#"{ "@type": "Zenoh" }"#.into(),
            &["key `config` is missing"],
            Some((1, 12)),
        ),
        (
            "a broker's coordinator",
            r#"{ "@type": "Nats", "addresses": ["nats:4222"] }"#.into(),
            &["`Nats`, which is not built into mailmesh", "use \"Zenoh\""],
            Some((1, 12)),
        ),
        (
            "misspelt type",
            r#"{ "@type": "Zeno", "config": "{}" }"#.into(),
            &["no coordinator type `Zeno`", "did you mean `Zenoh`?"],
            Some((1, 12)),
        ),
        (
            "type of a wrong type",
            r#"{ "@type": 7 }"#.into(),
            &["`@type` is the number 7", "expected a string"],
            Some((1, 12)),
        ),
        (
            "config of a wrong type",
            r#"{ "@type": "Zenoh", "config": true }"#.into(),
            &["`config` is the boolean true", "expected a string"],
            Some((1, 31)),
        ),
        (
            "misspelt outer key",
            r#"{ "@type": "Zenoh", "confg": "{}" }"#.into(),
            &["unknown key `confg`", "did you mean `config`?"],
            Some((1, 21)),
        ),
        (
            "misspelt key",
            zenoh("{\n  mode: 'peer',\n  lisen: { endpoints: [] },\n}"),
            &["unknown key `lisen`", "did you mean `listen`?"],
            Some((3, 3)),
        ),
        (
            "misspelt nested key",
            zenoh("{ scouting: {\n    multicast: { adress: '224.0.0.224:7446' } } }"),
            &["unknown key `adress`", "did you mean `address`?"],
            Some((2, 18)),
        ),
        (
            "key that stands twice",
            zenoh("{ mode: 'peer', mode: 'client' }"),
            &["`mode` stands twice"],
            Some((1, 17)),
        ),
        (
            "unknown mode",
            zenoh("{ mode: 'pear' }"),
            &["no mode \"pear\"", "did you mean \"peer\"?"],
            Some((1, 9)),
        ),
        (
            "mode of a wrong type",
            zenoh("{ mode: ['peer'] }"),
            &["`mode` is an array", "\"peer\""],
            Some((1, 9)),
        ),
        (
            "text for a flag",
            zenoh("{ scouting: { multicast: { enabled: 'yes' } } }"),
            &["`scouting.multicast.enabled` is the string \"yes\"", "expected a boolean"],
            Some((1, 37)),
        ),
        (
            "text for a number",
            zenoh("{ transport: { link: { tx: { lease: '3s' } } } }"),
            &["`transport.link.tx.lease` is the string \"3s\"", "expected a whole number"],
            Some((1, 37)),
        ),
        (
            "negative number",
            zenoh("{ scouting: { timeout: -5 } }"),
            &["`scouting.timeout` is the number -5", "expected a whole number"],
            Some((1, 24)),
        ),
        (
            "endpoint without a protocol",
            zenoh("{ listen: { endpoints: ['192.0.2.1:7447'] } }"),
            &["names no protocol", "expected one like"],
            Some((1, 25)),
        ),
        (
            "endpoint with a misspelt protocol",
            zenoh("{ listen: { endpoints: ['tpc/0.0.0.0:7447'] } }"),
            &["no protocol \"tpc\"", "did you mean \"tcp\"?"],
            Some((1, 25)),
        ),
        (
            "endpoint without a port",
            zenoh("{ connect: { endpoints: ['tcp/mx1.example.org'] } }"),
            &["has no port"],
            Some((1, 26)),
        ),
        (
            "endpoint with an impossible port",
            zenoh("{ connect: { endpoints: { peer: ['tcp/mx1:74470'] } } }"),
            &["\"74470\" is not a port"],
            Some((1, 34)),
        ),
        (
            "endpoint with a bad address",
            zenoh("{ connect: { endpoints: ['tcp/300.1.1.1:7447'] } }"),
            &["\"300.1.1.1\" is not an address"],
            Some((1, 26)),
        ),
        (
            "IPv6 endpoint without brackets",
            zenoh("{ connect: { endpoints: ['tcp/2001:db8::1:7447'] } }"),
            &["stands in brackets", "tcp/[2001:db8::1]:7447"],
            Some((1, 26)),
        ),
        (
            "transport that is not built in",
            zenoh("{ listen: { endpoints: ['quic/0.0.0.0:7447'] } }"),
            &["not built in", "feature `quic`"],
            Some((1, 25)),
        ),
        (
            "multicast address without a port",
            zenoh("{ scouting: { multicast: { address: '224.0.0.224' } } }"),
            &["not an address and port", "224.0.0.224:7446"],
            Some((1, 37)),
        ),
        (
            "multicast address that is none",
            zenoh("{ scouting: { multicast: { address: '10.0.0.1:7446' } } }"),
            &["10.0.0.1 is not a multicast address"],
            Some((1, 37)),
        ),
        (
            "misspelt mesh key",
            r#"{ "@type": "Zenoh", "config": "{}", "mesh": { "nmae": "mx1" } }"#.into(),
            &["unknown key `nmae`", "did you mean `name`?"],
            Some((1, 47)),
        ),
        (
            "bad node name",
            r#"{ "@type": "Zenoh", "config": "{}", "mesh": { "name": "mx 1" } }"#.into(),
            &["mesh.name", "only letters, digits"],
            Some((1, 55)),
        ),
        (
            "bad cluster name",
            r#"{ "@type": "Zenoh", "config": "{}", "mesh": { "cluster": "a/b" } }"#.into(),
            &["mesh.cluster", "1 to 64 letters"],
            Some((1, 58)),
        ),
        (
            "time out of range",
            r#"{ "@type": "Zenoh", "config": "{}", "mesh": { "failureTimeoutMs": 3 } }"#.into(),
            &["whole number from 2000 to 3600000"],
            Some((1, 67)),
        ),
        (
            "key without a type",
            r#"{ "@type": "Zenoh", "config": "{}", "mesh": { "key": { "filePath": "k" } } }"#
                .into(),
            &["mesh.key", "\"File\", \"EnvironmentVariable\", \"Value\""],
            Some((1, 54)),
        ),
        (
            "tls without a certificate",
            zenoh("{ listen: { endpoints: ['tls/127.0.0.1:0'] } }"),
            &["needs `transport.link.tls.listen_certificate`"],
            Some((1, 25)),
        ),
        (
            "endpoints without their key",
            "{ mode: 'peer', connect: ['tcp/mx2.example.org:7447'] }".into(),
            &["`connect` is a list", "connect: { endpoints: [\"tcp/mx2.example.org:7447\"] }"],
            Some((1, 26)),
        ),
        (
            "an endpoint without its key",
            "{ listen: 'tcp/0.0.0.0:7447' }".into(),
            &["`listen` is a text", "listen: { endpoints: [\"tcp/0.0.0.0:7447\"] }"],
            Some((1, 11)),
        ),
        (
            "endpoints that are no list",
            "{ connect: { endpoints: 'tcp/mx2:7447' } }".into(),
            &["`connect.endpoints` is a text", "endpoints: [\"tcp/mx2:7447\"]"],
            Some((1, 25)),
        ),
        (
            "autoconnect of an older Zenoh",
            zenoh(
                "{ scouting: { multicast: { autoconnect: { router: '', peer: 'router|peer' } } } }",
            ),
            &["before 1.0", "write lists", "peer: [\"router\", \"peer\"]", "router: []"],
            Some((1, 41)),
        ),
        (
            "autoconnect of an older Zenoh, for every mode",
            zenoh("{ scouting: { gossip: { autoconnect: 'router|peer' } } }"),
            &["before 1.0", "`autoconnect: [\"router\", \"peer\"]`"],
            Some((1, 38)),
        ),
        (
            "TLS of an older Zenoh",
            zenoh(
                "{ transport: { link: { tls: {\n  server_certificate: 'c',\n  \
                 server_private_key: 'k', client_auth: true } } } }",
            ),
            &[
                "before 1.0",
                "`server_certificate` is now `listen_certificate`",
                "`server_private_key` is now `listen_private_key`",
                "`client_auth` is now `enable_mtls`",
            ],
            Some((2, 3)),
        ),
        (
            "TLS of an older Zenoh in an endpoint",
            zenoh("{ connect: { endpoints: ['tls/mx1:7447#server_name_verification=false'] } }"),
            &["`server_name_verification` is now `verify_name_on_connect`"],
            Some((1, 26)),
        ),
        (
            "multicast address with a zone by name",
            zenoh("{ scouting: { multicast: { address: '[ff02::224%eth0]:7446' } } }"),
            &["no zone", "`scouting.multicast.interface`"],
            Some((1, 37)),
        ),
        (
            "a coordinator that the server has",
            r#"{ "@type": "Keep", "hosts": { "192.0.2.1:7000": true } }"#.into(),
            &["the server has", "`Keep`, which is not built into mailmesh", "use \"Zenoh\""],
            Some((1, 12)),
        ),
        (
            "a coordinator that the server has, in small letters",
            r#"{ "@type": "redissentinel" }"#.into(),
            &["`RedisSentinel`, which is not built into mailmesh"],
            Some((1, 12)),
        ),
        (
            "the name of an older server",
            r#"{ "@type": "peer-to-peer", "config": "{}" }"#.into(),
            &["no coordinator type `peer-to-peer`", "did you mean `Zenoh`?"],
            Some((1, 12)),
        ),
        (
            "TOML of an older server",
            "# server\n[cluster]\ncoordinator = \"peer-to-peer\"\n\n[store.\"peer-to-peer\"]\n\
             type = \"zenoh\"\nconfig = \"\"\"\n{ mode: \"peer\" }\n\"\"\"\n"
                .into(),
            &["TOML", "older mail server", "`config`", "\"@type\": \"Zenoh\""],
            Some((2, 1)),
        ),
        (
            "TOML of an older server, dotted",
            "cluster.coordinator=\"p2p\"\nstore.p2p.type = \"zenoh\"\n\
             store.p2p.config = '''\n{}'''\n"
                .into(),
            &["TOML", "older mail server"],
            Some((1, 1)),
        ),
        (
            "mTLS without an authority",
            zenoh(
                "{ listen: { endpoints: ['tls/127.0.0.1:0'] }, transport: { link: { tls: { \
                 listen_certificate: 'c', listen_private_key: 'k', enable_mtls: true } } } }",
            ),
            &["`transport.link.tls.enable_mtls`", "`root_ca_certificate`"],
            Some((1, 138)),
        ),
        (
            "mTLS without a certificate to show",
            zenoh(
                "{ connect: { endpoints: ['tls/mx1:7447'] }, transport: { link: { tls: { \
                 root_ca_certificate: 'c', enable_mtls: true } } } }",
            ),
            &[
                "`transport.link.tls.enable_mtls`",
                "`connect_certificate` and `connect_private_key`",
            ],
            Some((1, 112)),
        ),
        (
            "mTLS of an endpoint without an authority",
            zenoh(
                "{ listen: { endpoints: ['tls/127.0.0.1:0#enable_mtls=true'] }, \
                 transport: { link: { tls: { \
                 listen_certificate: 'c', listen_private_key: 'k' } } } }",
            ),
            &["`listen.endpoints.0`", "`root_ca_certificate`"],
            Some((1, 25)),
        ),
        (
            "a path and base64",
            zenoh(
                "{ transport: { link: { tls: { \
                 listen_certificate: 'c', listen_certificate_base64: 'QQ==' } } } }",
            ),
            &["`listen_certificate` and `listen_certificate_base64`", "take one out"],
            Some((1, 83)),
        ),
    ]
}
