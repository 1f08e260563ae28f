//! Zenoh configurations and addresses for processes on the loopback only.

use std::net::{TcpListener, UdpSocket};

/// A Zenoh configuration with an unused scouting port.
pub(crate) fn config() -> Result<String, String> {
    Ok(config_of(0, free_port()?))
}

/// A Zenoh configuration that listens on a loopback port (0: any) and scouts on another.
pub(crate) fn config_of(port: u16, scouting: u16) -> String {
    format!(
        "{{ mode: 'peer', listen: {{ endpoints: ['tcp/127.0.0.1:{port}'] }}, \
         scouting: {{ multicast: {{ address: '224.0.0.224:{scouting}', interface: 'lo' }} }} }}"
    )
}

/// A loopback address and port that no TCP socket listens on now.
pub(crate) fn free_address() -> Result<String, String> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(address.map_err(|error| format!("the loopback: {error}"))?.to_string())
}

/// A loopback port that no UDP socket has now.
pub(crate) fn free_port() -> Result<u16, String> {
    let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    Ok(port.map_err(|error| format!("the loopback: {error}"))?.port())
}
