//! Two processes of a comparison meet, publish and count.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod support;

mod processes {
    use super::support::{exchange, free_address, scouting};

    #[test]
    fn two_nodes_of_mailmesh_meet_exchange_events_and_part() {
        exchange(&["mailmesh"], &scouting());
    }

    #[test]
    fn two_peers_of_zenoh_meet_exchange_events_and_part() {
        exchange(&["zenoh"], &scouting());
    }

    #[test]
    fn two_peers_of_zenoh_with_a_fifo_meet_exchange_events_and_part() {
        exchange(&["zenoh", "--fifo"], &scouting());
    }

    #[test]
    fn two_ends_of_a_tcp_connection_meet_exchange_events_and_part() {
        exchange(&["tcp"], &free_address());
    }
}
