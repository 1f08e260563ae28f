//! Processes that find each other on the loopback and nowhere else.

use std::net::UdpSocket;

/// A Zenoh configuration with a scouting port that nobody else uses.
pub(crate) fn config() -> Result<String, String> {
    let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let port = port.map_err(|error| format!("the loopback: {error}"))?.port();
    Ok(format!(
        "{{ mode: 'peer', listen: {{ endpoints: ['tcp/127.0.0.1:0'] }}, \
         scouting: {{ multicast: {{ address: '224.0.0.224:{port}', interface: 'lo' }} }} }}"
    ))
}
