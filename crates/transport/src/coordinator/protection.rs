//! How the links of a configuration are protected: by a proof of the cluster key, by the
//! configuration itself, or not at all.

use serde_json::Value;

use super::zenoh_settings::ZenohSettings;
use crate::link_proof::LinkProof;

/// How the links of a configuration are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkProtection {
    /// Each link proves the cluster key before a message on it is read.
    Proven(LinkProof),
    /// The configuration protects its links itself, or names endpoints other than `tcp/`. The text
    /// names the cause.
    Own(&'static str),
    /// No protection: any host that reaches the port can link, and end or freeze the process.
    None,
}

impl LinkProtection {
    /// Whether links pass mailmesh's own gate.
    pub(crate) fn has_gate(self) -> bool {
        matches!(self, Self::Proven(proof) if proof.has_gate())
    }
}

impl ZenohSettings {
    /// How links are protected; `has_key` states whether there is a cluster key.
    #[must_use]
    pub fn link_protection(&self, has_key: bool) -> LinkProtection {
        let proof = self.proof().filter(|_| has_key).map(|proof| possible_proof(self, proof));
        match (own_protection(self), proof) {
            (Some(what), _) => LinkProtection::Own(what),
            (None, Some(proof)) => LinkProtection::Proven(proof),
            (None, None) => LinkProtection::None,
        }
    }
}

/// The proof that is possible in place of `proof`. A client dials a router of Zenoh, which has
/// no gate. Zenoh's access control may select by interface, which a gate hides.
fn possible_proof(settings: &ZenohSettings, proof: LinkProof) -> LinkProof {
    let has_no_gate =
        settings.mode() == "client" || settings.flag("/access_control/enabled", false);
    match proof {
        proof if proof.has_gate() && has_no_gate => LinkProof::Challenge,
        proof => proof,
    }
}

/// The setting by which the configuration protects its links itself; mailmesh keeps it.
fn own_protection(settings: &ZenohSettings) -> Option<&'static str> {
    let by_setting = ["transport.link.tls", "transport.auth", "transport.link.protocols"]
        .into_iter()
        .find(|setting| {
            let set = settings.value().pointer(&format!("/{}", setting.replace('.', "/")));
            set.is_some_and(|set| sets_something("", set))
        });
    let has_other = || {
        let endpoints = settings.listens().into_iter().chain(settings.endpoints("connect"));
        endpoints.into_iter().any(|endpoint| !endpoint.starts_with("tcp/"))
    };
    by_setting.or_else(|| has_other().then_some("endpoints of another kind than `tcp/`"))
}

/// Whether a value sets something. `null`, and the values of Zenoh's commented default
/// configuration, set nothing.
fn sets_something(name: &str, value: &Value) -> bool {
    const DEFAULTS: [(&str, bool); 3] = [
        ("enable_mtls", false),
        ("verify_name_on_connect", true),
        ("close_link_on_expiration", false),
    ];
    match value {
        Value::Null => false,
        Value::Object(map) => map.iter().any(|(name, value)| sets_something(name, value)),
        Value::Bool(flag) => !DEFAULTS.contains(&(name, *flag)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_use_the_gate_unless_the_configuration_prevents_it() {
        use crate::{Backend, Coordinator};
        let settings = |config: &str| match Coordinator::parse(config).unwrap().backend() {
            Backend::Zenoh(settings) => settings.clone(),
            other => panic!("{other:?}"),
        };
        let protection = |config: &str| settings(config).link_protection(true);
        let challenge = LinkProtection::Proven(LinkProof::Challenge);
        assert_eq!(protection("{}"), LinkProtection::Proven(LinkProof::Sealed));
        assert_eq!(protection("{ mode: 'router' }"), LinkProtection::Proven(LinkProof::Sealed));
        assert_eq!(settings("{}").link_protection(false), LinkProtection::None);
        let client = "{ mode: 'client', connect: { endpoints: ['tcp/192.0.2.1:7447'] } }";
        assert_eq!(protection(client), challenge);
        let access = "{ access_control: { enabled: true, default_permission: 'allow', rules: [], \
                      subjects: [], policies: [] } }";
        assert_eq!(protection(access), challenge);
        let udp = protection("{ transport: { link: { protocols: ['tcp'] } } }");
        assert!(matches!(udp, LinkProtection::Own("transport.link.protocols")), "{udp:?}");
    }
}
