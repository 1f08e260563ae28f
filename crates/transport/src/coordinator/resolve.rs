//! Resolves the names of endpoints within a bounded time: a resolver that hangs causes no more than
//! a warning.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use mailmesh_secrets::redact;

/// Timeout for all names together.
pub(super) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Most names that are looked up.
const MAX_NAMES: usize = 64;

/// The result of one lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolution {
    /// At least one address.
    Addresses(Vec<SocketAddr>),
    /// No address, with the error of the system.
    Nothing(String),
    /// No answer within the timeout.
    Unknown,
    /// Not looked up: too many names, or no thread could be started.
    NotAsked,
}

/// Looks up hosts with their ports, in parallel.
pub(super) fn resolve(hosts: &[String]) -> Vec<Resolution> {
    resolve_by(|host| host.to_socket_addrs().map(Iterator::collect), hosts, RESOLVE_TIMEOUT)
}

/// The address and port of a literal. The zone of an IPv6 address may be the name of an interface,
/// which neither Zenoh nor the standard library accepts.
pub(super) fn zoned(address: &str) -> Option<SocketAddr> {
    if let Ok(address) = address.parse() {
        return Some(address);
    }
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[')?.strip_suffix(']').filter(|host| host.contains('%'))?;
    // The system's resolver accepts a zone only without brackets, and sends no query for it.
    (host, port.parse::<u16>().ok()?).to_socket_addrs().ok()?.next()
}

fn resolve_by(
    look_up: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Copy + Send + 'static,
    hosts: &[String],
    timeout: Duration,
) -> Vec<Resolution> {
    let mut all = vec![Resolution::NotAsked; hosts.len()];
    let (answers, answered) = channel();
    let end = Instant::now() + timeout;
    let mut waiting = 0;
    for (number, host) in hosts.iter().enumerate().take(MAX_NAMES) {
        let (host, answers) = (host.clone(), answers.clone());
        let ask = move || {
            // The caller may have stopped waiting.
            let _late = answers.send((number, look_up(&host)));
        };
        // A thread that hangs in the system's resolver is not joined.
        let asked = std::thread::Builder::new().name("mailmesh-resolve".to_owned()).spawn(ask);
        if asked.is_ok() {
            all[number] = Resolution::Unknown;
            waiting += 1;
        }
    }
    while waiting > 0
        && let Ok((number, answer)) =
            answered.recv_timeout(end.saturating_duration_since(Instant::now()))
    {
        waiting -= 1;
        all[number] = match answer {
            Ok(found) if !found.is_empty() => Resolution::Addresses(found),
            Ok(_) => Resolution::Nothing("it has no address".to_owned()),
            Err(error) => Resolution::Nothing(redact(&error.to_string())),
        };
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_zone_may_be_the_name_of_an_interface() {
        let address = zoned("[fe80::1%lo]:7447").unwrap();
        assert_eq!((address.to_string().as_str(), address.port()), ("[fe80::1%1]:7447", 7447));
        assert_eq!(zoned("[fe80::1%2]:7447").unwrap().to_string(), "[fe80::1%2]:7447");
        for other in ["mx1:7447", "[fe80::1%nope]:7447", "[fe80::1]", "[::1%]:x"] {
            assert_eq!(zoned(other), None, "{other}");
        }
    }

    #[test]
    fn a_resolver_that_hangs_holds_up_neither_the_caller_nor_other_names() {
        let look_up = |host: &str| match host {
            "hangs:1" => loop {
                std::thread::park();
            },
            "nowhere:1" => Err(io::Error::other("no such name")),
            "empty:1" => Ok(Vec::new()),
            _ => Ok(vec![([192, 0, 2, 1], 1).into()]),
        };
        let hosts = ["hangs:1", "nowhere:1", "empty:1", "mx1:1"].map(str::to_owned);
        let found = resolve_by(look_up, &hosts, Duration::from_millis(500));
        assert_eq!(
            found,
            [
                Resolution::Unknown,
                Resolution::Nothing("no such name".into()),
                Resolution::Nothing("it has no address".into()),
                Resolution::Addresses(vec![([192, 0, 2, 1], 1).into()]),
            ]
        );
        let many = vec!["mx1:1".to_owned(); MAX_NAMES + 1];
        let found = resolve_by(look_up, &many, Duration::from_secs(10));
        assert_eq!(found[MAX_NAMES], Resolution::NotAsked);
        assert!(found[..MAX_NAMES].iter().all(|found| matches!(found, Resolution::Addresses(_))));
    }
}
