//! Two processes of each rival that needs a server meet, publish and count. Without its server a
//! test prints that it is skipped, and passes.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod support;

mod processes {
    use std::net::TcpStream;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::support::{exchange, free_address};

    /// A server; killed and reaped when dropped.
    struct Server(Child);

    impl Drop for Server {
        fn drop(&mut self) {
            let _may_have_ended = self.0.kill();
            let _ = self.0.wait();
        }
    }

    impl Server {
        /// Starts a server and waits until it listens; `None` if it is not installed.
        fn start(program: &str, args: &[&str], address: &str) -> Option<Self> {
            let mut command = Command::new(program);
            command.args(args).current_dir(std::env::temp_dir());
            let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let Ok(child) = quiet.spawn() else {
                eprintln!("==== SKIPPED: no {program}: apt-get install {program} ====");
                return None;
            };
            let server = Self(child);
            let deadline = Instant::now() + Duration::from_secs(20);
            while TcpStream::connect(address).is_err() {
                assert!(Instant::now() < deadline, "{program} does not listen");
                std::thread::sleep(Duration::from_millis(20));
            }
            Some(server)
        }
    }

    fn port(address: &str) -> &str {
        address.rsplit(':').next().unwrap()
    }

    #[test]
    fn two_clients_of_nats_meet_exchange_events_and_part() {
        let address = free_address();
        let args = ["--addr", "127.0.0.1", "--port", port(&address)];
        if let Some(_server) = Server::start("nats-server", &args, &address) {
            exchange(&["nats"], &address);
        }
    }

    #[test]
    fn two_clients_of_redis_meet_exchange_events_and_part() {
        let address = free_address();
        let args = ["--bind", "127.0.0.1", "--port", port(&address), "--save", ""];
        if let Some(_server) = Server::start("redis-server", &args, &address) {
            exchange(&["redis"], &address);
        }
    }
}
