//! Forms that people write in place of the right one.

use crate::bad::Bad;
use crate::zenoh;

pub(crate) fn bad_forms() -> Vec<Bad> {
    let mesh = |mesh: &str| {
        format!("{{ \"@type\": \"Zenoh\", \"config\": {{}},\n\"mesh\": {{ {mesh} }} }}")
    };
    let forms: Vec<Bad> = vec![
        (
            "the key beside the mesh",
            "{ \"@type\": \"Zenoh\", \"config\": {},\n\"key\": \"TOPSECRET\" }".into(),
            &["`key` stands one level too high", "into the object of `mesh`"],
            Some((2, 1)),
        ),
        (
            "the cluster beside the mesh",
            "{ \"@type\": \"Zenoh\", \"config\": {},\n\"cluster\": \"mail\" }".into(),
            &["`cluster` stands one level too high", "the object of `mesh`"],
            Some((2, 1)),
        ),
        (
            "listen beside the configuration of Zenoh",
            "{ \"@type\": \"Zenoh\", \"config\": {},\n\"listen\": {} }".into(),
            &["`listen` stands one level too high", "the object of `config`"],
            Some((2, 1)),
        ),
        (
            "the mesh in the configuration of Zenoh",
            "{ \"@type\": \"Zenoh\", \"config\": {\n\"mesh\": { \"name\": \"a\" } } }".into(),
            &["`mesh` stands beside `config`, not in it"],
            Some((2, 1)),
        ),
        (
            "a variable of a shell",
            zenoh("{ mode: '${MODE}' }"),
            &["`mode`: a variable (`${...}`) is not replaced", "`envsubst`"],
            Some((1, 9)),
        ),
        (
            "a variable in an endpoint",
            zenoh("{ connect: { endpoints: ['tcp/$PEER:7447'] } }"),
            &["`connect.endpoints.0`: a variable"],
            Some((1, 26)),
        ),
        (
            "a macro of the server",
            mesh(r#""name": "%{env:NAME}%""#),
            &["`mesh.name`: a macro (`%{...}%`) is not replaced"],
            Some((2, 19)),
        ),
        (
            "a variable for a key",
            mesh(r#""key": "${KEY}""#),
            &["`mesh.key`: a variable", "\"@type\": \"EnvironmentVariable\""],
            Some((2, 18)),
        ),
        (
            "a home directory",
            mesh(r#""store": "~/mailmesh""#),
            &["`mesh.store`: a home directory"],
            Some((2, 20)),
        ),
        (
            "typographic quotes",
            "{ \u{201c}@type\u{201d}: \u{201c}Zenoh\u{201d} }".into(),
            &["\u{201c} is a typographic quote", "replace all"],
            Some((1, 3)),
        ),
        (
            "a list for an object",
            zenoh("{ scouting: [] }"),
            &["`scouting` is an array", "expected an object like"],
            Some((1, 13)),
        ),
        (
            "a list for an object further in",
            zenoh("{ transport: { link: { tx: [] } } }"),
            &["`transport.link.tx` is an array"],
            Some((1, 28)),
        ),
        (
            "a queue without room",
            zenoh("{ transport: { link: { tx: { queue: { size: { data: 0 } } } } } }"),
            &["`transport.link.tx.queue.size.data`", "0 is not from 1 to 16"],
            Some((1, 53)),
        ),
        (
            "no session",
            zenoh("{ transport: { unicast: { max_sessions: 0 } } }"),
            &["`transport.unicast.max_sessions`", "0 is less than 1"],
            Some((1, 41)),
        ),
        (
            "a user without a password",
            zenoh("{ transport: { auth: { usrpwd: { user: 'u' } } } }"),
            &["`transport.auth.usrpwd`", "`user` needs `password`"],
            Some((1, 32)),
        ),
        (
            "words of Zenoh",
            zenoh("{ id: 'zz' }"),
            &["`id`: Invalid id: zz - invalid digit found in string"],
            Some((1, 7)),
        ),
        (
            "a slip that reads like a secret",
            mesh(r#""fa1lureT1meoutMs": 3000"#),
            &["unknown key `fa1lureT1meoutMs`, did you mean `failureTimeoutMs`?"],
            Some((2, 11)),
        ),
    ];
    forms.into_iter().chain(own_forms()).collect()
}

/// Settings of `mesh`, numbers, and groups of locators.
fn own_forms() -> Vec<Bad> {
    let name = |name: &str| {
        format!(
            "{{ \"@type\": \"Zenoh\", \"config\": {{}},\n\"mesh\": {{ \"names\": [{name:?}] }} }}"
        )
    };
    let names = ["", "tcp/mx:1", "http://x", "*.x", "mx:7447", "b\u{fc}cher.example"];
    let mut forms: Vec<Bad> = names
        .iter()
        .map(|text| {
            ("a name that no host has", name(text), &["`mesh.names`", "like"][..], Some((2, 20)))
        })
        .collect();
    let others: Vec<Bad> = vec![
        (
            "a path in place of a configuration",
            "{ \"@type\": \"Zenoh\", \"config\": \"/etc/zenoh.json5\" }".into(),
            &["`config` is a path", "the content of that file"][..],
            Some((1, 31)),
        ),
        (
            "the name of a file in place of a configuration",
            "{ \"@type\": \"Zenoh\", \"config\": \"zenoh.json5\" }".into(),
            &["`config` is a path"],
            Some((1, 31)),
        ),
        (
            "a group of locators",
            "{ connect: { endpoints: [{ strategy: 'allOf', locators: ['tcp/a:1', 'tcp/b:2'] }] } }"
                .into(),
            &["groups of locators are not supported", "endpoints: [\"tcp/a:1\", \"tcp/b:2\"]"],
            Some((1, 26)),
        ),
        (
            "a group of locators by mode",
            "{ connect: { endpoints: { peer: [{ strategy: 'anyOf', locators: ['tcp/a:1'] }] } } }"
                .into(),
            &["`connect.endpoints.peer.0`", "groups of locators are not supported"],
            Some((1, 34)),
        ),
        (
            "a number past 64 bits",
            "{ scouting: { timeout: 99999999999999999999 } }".into(),
            &["this number is out of range", "to 9223372036854775807"],
            Some((1, 24)),
        ),
        (
            "a number past 32 bits",
            "{ scouting: { multicast: { ttl: 4294967296 } } }".into(),
            &["`scouting.multicast.ttl`", "4294967296", "255"],
            Some((1, 33)),
        ),
        (
            "a number past 16 bits",
            "{ transport: { link: { tx: { batch_size: 65536 } } } }".into(),
            &["`transport.link.tx.batch_size`", "a whole number from 0 to 65535"],
            Some((1, 42)),
        ),
        (
            "more hops than the system takes",
            "{ scouting: { multicast: { ttl: 256 } } }".into(),
            &["`scouting.multicast.ttl`: 256 is more than 255"],
            Some((1, 33)),
        ),
        (
            "public keys",
            "{ transport: { auth: { pubkey: { public_key_file: '/a', key_size: null } } } }".into(),
            &["`transport.auth.pubkey.public_key_file`", "not built into mailmesh", "`mesh.key`"],
            Some((1, 51)),
        ),
    ];
    forms.extend(others);
    forms
}
