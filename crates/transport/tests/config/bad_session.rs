//! Configurations that Zenoh's parser takes and that its session does not open with, and forms
//! that people write in place of the right one.

use crate::bad::Bad;
use crate::zenoh;

/// A configuration with access control, whose lists are these.
fn access(lists: &str) -> String {
    zenoh(&format!(
        "{{ access_control: {{ enabled: true, default_permission: 'allow',\n {lists}\n}} }}"
    ))
}

const RULES: &str =
    "rules: [{ id: 'r', permission: 'deny', messages: ['put'], key_exprs: ['a'] }],";

pub(crate) fn bad_sessions() -> Vec<Bad> {
    let lists = |rest: &str| access(&format!("{RULES}\n{rest}"));
    vec![
        (
            "protocols without that of an endpoint",
            zenoh(
                "{ listen: { endpoints: ['tcp/127.0.0.1:0'] },\n \
                 transport: { link: { protocols: ['tls'] } } }",
            ),
            &[
                "`listen.endpoints.0`",
                "`transport.link.protocols` has no \"tcp\"",
                "endpoint of tls",
            ],
            Some((1, 25)),
        ),
        (
            "protocols without that of the default listener",
            zenoh("{ transport: { link: { protocols: ['tls'] } } }"),
            &["`transport.link.protocols`", "listens by tcp", "add \"tcp\""],
            Some((1, 35)),
        ),
        (
            "protocols without that of an endpoint that is dialed",
            zenoh(
                "{ mode: 'client', connect: { endpoints: ['tls/mx1:7447'] },\n \
                 transport: { link: { protocols: ['tcp'] } } }",
            ),
            &["`connect.endpoints.0`", "has no \"tls\""],
            Some((1, 42)),
        ),
        (
            "no protocol",
            zenoh("{ transport: { link: { protocols: [] } } }"),
            &["without a protocol no session opens", "name \"tcp\""],
            Some((1, 35)),
        ),
        (
            "protocols in capitals",
            zenoh("{ transport: { link: { protocols: ['TCP'] } } }"),
            &["no protocol \"TCP\"", "did you mean \"tcp\"?"],
            Some((1, 36)),
        ),
        (
            "a protocol that is not built in",
            zenoh("{ transport: { link: { protocols: ['udp'] } } }"),
            &["\"udp\" is not built in", "take `protocols` out"],
            Some((1, 35)),
        ),
        (
            "low latency with priorities",
            zenoh("{ transport: { unicast: { lowlatency: true } } }"),
            &["excludes `transport.unicast.qos.enabled`", "qos: { enabled: false }"],
            Some((1, 39)),
        ),
        (
            "access control without a list",
            lists("subjects: [{ id: 's' }]"),
            &["`access_control`", "`policies` is not there", "write `policies: []`"],
            Some((1, 19)),
        ),
        (
            "a policy of an unknown rule",
            lists("subjects: [{ id: 's' }], policies: [{ rules: ['rr'], subjects: ['s'] }]"),
            &["`access_control.policies.0.rules.0`", "no \"rr\"", "did you mean \"r\"?"],
            Some((3, 47)),
        ),
        (
            "a policy of an unknown subject",
            lists("subjects: [{ id: 's' }], policies: [{ rules: ['r'], subjects: ['other'] }]"),
            &[
                "`access_control.policies.0.subjects.0`",
                "no \"other\" in `access_control.subjects`",
            ],
            Some((3, 64)),
        ),
        (
            "a policy of no rule",
            lists("subjects: [{ id: 's' }], policies: [{ rules: [], subjects: ['s'] }]"),
            &["`access_control.policies.0.rules`", "names no rules"],
            Some((3, 46)),
        ),
        (
            "a subject that stands twice",
            lists("subjects: [{ id: 's' }, { id: 's' }], policies: []"),
            &["`access_control.subjects.1.id`", "\"s\" stands twice"],
            Some((3, 31)),
        ),
        (
            "a subject without a name",
            lists("subjects: [{ id: ' ' }], policies: []"),
            &["`access_control.subjects.0.id`", "is empty"],
            Some((3, 18)),
        ),
        (
            "a subject of an interface without a name",
            lists("subjects: [{ id: 's', interfaces: [''] }], policies: []"),
            &["`access_control.subjects.0.interfaces.0`", "take it out"],
            Some((3, 36)),
        ),
        (
            "a list of downsampling with an id twice",
            zenoh(
                "{ downsampling: [\n\
                 { id: 'd', messages: ['put'], rules: [{ key_expr: 'a', freq: 1.0 }] },\n\
                 { id: 'd', messages: ['put'], rules: [{ key_expr: 'a', freq: 1.0 }] }] }",
            ),
            &["`downsampling.1.id`", "\"d\" stands twice"],
            Some((3, 7)),
        ),
        (
            "the same listener twice",
            zenoh("{ listen: { endpoints: ['tcp/127.0.0.1:7447',\n'tcp/127.0.0.1:7447'] } }"),
            &["`listen.endpoints.1`", "stands twice"],
            Some((2, 1)),
        ),
        (
            "a setting of an endpoint that Zenoh does not know",
            zenoh("{ listen: { endpoints: ['tcp/127.0.0.1:0#ifcae=lo'] } }"),
            &["`listen.endpoints.0`", "no endpoint has a setting `ifcae`", "did you mean `iface`?"],
            Some((1, 25)),
        ),
        (
            "a reliability at which Zenoh panics",
            zenoh("{ connect: { endpoints: ['tcp/mx1:7447?rel=2'] } }"),
            &["`rel` expects 1 (reliable) or 0"],
            Some((1, 26)),
        ),
        (
            "port 0 of another node",
            zenoh("{ connect: { endpoints: ['tcp/mx1:0'] } }"),
            &["cannot be dialed", "name the port"],
            Some((1, 26)),
        ),
        (
            "an address of one link",
            zenoh("{ listen: { endpoints: ['tcp/[fe80::1]:7447'] } }"),
            &["of one link", "\"tcp/[fe80::1%eth0]:7447\""],
            Some((1, 25)),
        ),
        (
            "two endpoints in one string",
            zenoh("{ connect: { endpoints: ['tcp/mx1:7447,tcp/mx2:7447'] } }"),
            &["2 endpoints stand in one string", "[\"tcp/mx1:7447\", \"tcp/mx2:7447\"]"],
            Some((1, 26)),
        ),
    ]
}
