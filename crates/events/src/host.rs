//! Host names in the form in which DNS compares them.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use crate::limits;

/// Longest input in bytes. A name in a non-Latin script may be longer in UTF-8 than as A-labels,
/// so the bound is larger than [`limits::NAME_LEN`].
const MAX_INPUT_LEN: usize = 4 * limits::NAME_LEN;

/// A host name in the form in which DNS compares names: lower case, without the final dot, with
/// non-ASCII labels as A-labels (IDNA, UTS 46).
///
/// ```
/// use mailmesh_events::HostName;
///
/// let host = HostName::new("Mail.Bücher.Example.").unwrap();
/// assert_eq!(host.as_str(), "mail.xn--bcher-kva.example");
/// assert_eq!(host.parent(), Some("xn--bcher-kva.example"));
/// assert!(HostName::new("a..example").is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName<'a>(Cow<'a, str>);

impl<'a> HostName<'a> {
    /// Normalises a name; `None` if it is not a valid host name. A name that is already in this
    /// form is borrowed, not copied.
    #[must_use]
    pub fn new(name: &'a str) -> Option<Self> {
        if name.len() > MAX_INPUT_LEN {
            return None;
        }
        let ascii = if name.is_ascii() {
            Cow::Borrowed(name)
        } else {
            Cow::Owned(idna::domain_to_ascii(name).ok()?)
        };
        let plain = match ascii {
            Cow::Borrowed(name) => lower_case(without_final_dot(name)),
            Cow::Owned(name) => Cow::Owned(without_final_dot(&name).to_ascii_lowercase()),
        };
        (plain.len() <= limits::NAME_LEN && plain.split('.').all(is_label)).then_some(Self(plain))
    }

    /// The normalised name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its first label: `*.` and this domain is the only wildcard that matches
    /// the host (RFC 9525, section 6.3). `None` for a single label and for an IPv4 address, which
    /// no wildcard matches.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        let (_, parent) = self.0.split_once('.')?;
        self.0.parse::<Ipv4Addr>().is_err().then_some(parent)
    }
}

fn without_final_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// Whether a label has 1 to 63 letters, digits, hyphens or underscores (some service names have
/// underscores).
pub(crate) fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(name: &str) -> Option<String> {
        HostName::new(name).map(|host| host.as_str().to_owned())
    }

    #[test]
    fn names_that_dns_considers_equal_are_equal() {
        for name in ["mail.example.org", "MAIL.example.ORG", "mail.example.org."] {
            assert_eq!(plain(name).as_deref(), Some("mail.example.org"), "{name}");
        }
        let same = [
            "mx.bücher.example",
            "MX.BÜCHER.example.",
            "mx.bu\u{308}cher.example",
            "mx\u{3002}bücher\u{3002}example",
            "mx.XN--BCHER-KVA.example",
        ];
        for name in same {
            assert_eq!(plain(name).as_deref(), Some("mx.xn--bcher-kva.example"), "{name}");
        }
    }

    #[test]
    fn invalid_host_names_are_refused() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = "a.".repeat(127) + "aaaaa";
        let bytes = "ü".repeat(MAX_INPUT_LEN);
        for name in ["", ".", "..", "a..", ".a", "a..b", "*.a", "a b", "\u{200b}", "a:1"] {
            assert_eq!(plain(name), None, "{name:?}");
        }
        for name in [long, longer, bytes] {
            assert_eq!(plain(&name), None, "{name:?}");
        }
    }

    #[test]
    fn addresses_and_single_labels_have_no_parent() {
        let parent = |name| HostName::new(name).unwrap().parent().map(str::to_owned);
        assert_eq!(parent("192.0.2.1"), None);
        assert_eq!(parent("example"), None);
        assert_eq!(parent("a.b.example").as_deref(), Some("b.example"));
    }

    proptest! {
        #[test]
        fn normalising_a_normalised_name_borrows_it(name in "[a-zA-ZäÜßλ0-9._*-]{0,40}") {
            if let Some(host) = HostName::new(&name) {
                prop_assert_eq!(HostName::new(host.as_str()), Some(host.clone()));
                prop_assert!(matches!(HostName::new(host.as_str()).unwrap().0, Cow::Borrowed(_)));
            }
        }
    }
}
