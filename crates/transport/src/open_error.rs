//! Advice for the operator when a Zenoh session does not open. Zenoh has no error kinds, so the
//! advice is chosen by words of the error text.

use crate::TransportError;

/// Words that must all occur in the error text, and the advice. The first match counts, so settings
/// are listed before general causes.
const HINTS: [(&[&str], &str); 13] = [
    (&["access control not enabled"], "; mend `access_control`, or set `enabled: false` there"),
    (&["'qos' and 'lowlatency'"], "; take `transport.unicast.lowlatency` out"),
    (
        &["unsupported protocol"],
        "; add the protocol to `transport.link.protocols`, or use another endpoint",
    ),
    (
        &["unable to connect to any of"],
        "; no endpoint of `connect.endpoints` was linked: check that a router or peer listens \
         there, and that this host reaches it",
    ),
    (
        &["unable to bind udp port", "in use"],
        "; a program that does not share it has the port of discovery: stop that, or choose \
         another port in `scouting.multicast.address` on every node",
    ),
    (&["listener", "no such device"], "; check the `iface` of that endpoint in `listen.endpoints`"),
    (
        &["listener", "cannot assign requested address"],
        "; no interface here has this address: use one of this host in `listen.endpoints`, or \
         0.0.0.0",
    ),
    (
        &["listener", "invalid argument"],
        "; check that endpoint in `listen.endpoints`: an IPv6 address of one link needs its \
         interface, as in [fe80::1%eth0]",
    ),
    (
        &["address already in use"],
        "; another process, or another endpoint of `listen.endpoints`, listens there: stop it, or \
         choose another port",
    ),
    (
        &["permission denied"],
        "; the process may not do that: use a port above 1023, or check the files' permissions",
    ),
    (&["operation not permitted"], "; the process may not do that: check its capabilities"),
    (&["multicast"], MULTICAST),
    (&["no such device"], MULTICAST),
];
const MULTICAST: &str = "; check `scouting.multicast.interface` and that the interface is up, or \
     set `scouting.multicast.enabled` to false and name the other nodes in `connect.endpoints`";

/// `why` is Zenoh's error text, without secrets.
pub(crate) fn open_error(why: String) -> TransportError {
    let lower = why.to_lowercase();
    let fits = |words: &[&str]| words.iter().all(|word| lower.contains(word));
    let hint = HINTS.iter().find(|(words, _)| fits(words)).map_or("", |(_, hint)| hint);
    TransportError::Open { why, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_setting_that_caused_it() {
        for (why, hint) in [
            (
                "Can not create a new TCP listener bound to tcp/127.0.0.1:7461#iface=nope: [Os { \
                 code: 19, kind: Uncategorized, message: \"No such device\" }]",
                "`iface` of that endpoint in `listen.endpoints`",
            ),
            (
                "Can not create a new TCP listener bound to tcp/127.0.0.1:7461: [127.0.0.1:7461: \
                 Address already in use (os error 98)]",
                "another endpoint of `listen.endpoints`",
            ),
            ("Unable to bind UDP port 224.0.0.224:7446: Address in use", "port of discovery"),
            (
                "Access control not enabled due to: Rule 'x' in policy #0 does not exist",
                "mend `access_control`",
            ),
            ("Unsupported protocol: tcp. Supported protocols are: []", "link.protocols`"),
            ("Unable to connect to any of [tcp/mx1:7447]!", "a router or peer listens there"),
            ("Unable to find multicast interface!", "`scouting.multicast.interface`"),
        ] {
            let error = open_error(why.to_owned()).to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
