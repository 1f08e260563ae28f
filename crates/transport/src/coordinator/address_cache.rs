//! The addresses of this host, cached until the system reports a change.

use std::time::Duration;

use tokio::time::Instant;

use super::addresses::HostAddresses;

/// Time after a change during which each call queries the addresses: they may appear one by one.
const CHANGING: Duration = Duration::from_secs(5);
/// Longest age of the cached addresses if the system reports no change.
const QUIET: Duration = Duration::from_secs(10);

/// Caches the addresses of this host for callers that ask often.
#[derive(Debug, Default)]
pub(crate) struct AddressCache {
    changes: changes::Changes,
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    addresses: HostAddresses,
    times: Times,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    asked: Instant,
    changed: Instant,
}

impl Times {
    /// The times of a new query; `None` if the cached answer is still valid.
    fn after(last: Option<Self>, has_changed: bool, now: Instant) -> Option<Self> {
        let Some(last) = last.filter(|_| !has_changed) else {
            return Some(Self { asked: now, changed: now });
        };
        let is_due = now < last.changed + CHANGING || now >= last.asked + QUIET;
        is_due.then_some(Self { asked: now, ..last })
    }
}

impl AddressCache {
    /// The addresses of this host; `None` if the system does not report them.
    pub(crate) fn addresses(&mut self, now: Instant) -> Option<&HostAddresses> {
        let last = self.known.as_ref().map(|known| known.times);
        if let Some(times) = Times::after(last, self.changes.any_since_last(), now) {
            self.known = HostAddresses::now().map(|addresses| Known { addresses, times });
        }
        self.known.as_ref().map(|known| &known.addresses)
    }
}

#[cfg(target_os = "linux")]
mod changes {
    use std::os::fd::OwnedFd;

    use rustix::io::Errno;
    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

    /// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR` of rtnetlink(7).
    const GROUPS: u32 = 0x1 | 0x10 | 0x100;
    /// Most notifications read in one call; the next call reads the rest.
    const MOST: usize = 256;

    /// Change notifications of the kernel for interfaces and addresses.
    #[derive(Debug)]
    pub(super) struct Changes(Option<OwnedFd>);

    impl Default for Changes {
        fn default() -> Self {
            Self(subscribe().ok())
        }
    }

    fn subscribe() -> Result<OwnedFd, Errno> {
        // Protocol 0 of netlink(7) is `NETLINK_ROUTE`.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(socket)
    }

    impl Changes {
        /// Whether an interface or address may have changed since the last call.
        pub(super) fn any_since_last(&mut self) -> bool {
            let Some(socket) = &self.0 else { return true };
            let mut came = false;
            for _ in 0..MOST {
                // The content of a notification is not used: the caller queries all addresses.
                match recv(socket, &mut [0_u8; 1][..], RecvFlags::DONTWAIT) {
                    Err(Errno::AGAIN) => return came,
                    // `NOBUFS`: the socket buffer overflowed, and the kernel dropped notifications.
                    Err(Errno::NOBUFS | Errno::INTR) | Ok(_) => came = true,
                    Err(_) => {
                        self.0 = None;
                        return true;
                    }
                }
            }
            true
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod changes {
    /// This system sends no change notifications.
    #[derive(Debug, Default)]
    pub(super) struct Changes;

    impl Changes {
        pub(super) fn any_since_last(&mut self) -> bool {
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_queried_for_5_s_after_a_change_then_every_10_s() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let times = |asked, changed| Some(Times { asked: at(asked), changed: at(changed) });
        assert_eq!(Times::after(None, false, at(0)), times(0, 0));
        assert_eq!(Times::after(times(0, 0), false, at(4)), times(4, 0));
        assert_eq!(Times::after(times(4, 0), false, at(5)), None);
        assert_eq!(Times::after(times(4, 0), false, at(13)), None);
        assert_eq!(Times::after(times(4, 0), false, at(14)), times(14, 0));
        assert_eq!(Times::after(times(14, 0), true, at(15)), times(15, 15));
    }

    #[test]
    fn without_a_change_nothing_is_reported() {
        let mut changes = changes::Changes::default();
        // Another program may change an interface during the test.
        let is_quiet = (0..100).any(|_| !changes.any_since_last());
        assert_eq!(is_quiet, cfg!(target_os = "linux"));
    }
}
