//! The command line: commands, options and their help texts.

mod publish;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use mailmesh::lists::{Format, OutputFormat};
use mailmesh::{Kind, Network};

pub(crate) use publish::{PublishArgs, PublishEvent, QueueArg, RegistryArg, SubscriptionArg};

const EXIT_CODES: &str = "\
Exit codes:
  0   success
  1   the command failed or was refused
  2   the command line is invalid
  3   the configuration is invalid
  4   no node answers at the control socket, or several nodes run and --socket names none
  5   `node`: the node stopped because another live node has its name
  6   `members`: no other node is heard, but messages under another cluster key are, from a node
      of the cluster or from a stranger that imitates one
  10  `block check`: the address is blocked";

/// Peer-to-peer coordination for clustered mail servers, over Eclipse Zenoh.
#[derive(Debug, Parser)]
#[command(name = "mailmesh", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Control socket: `node` serves it, the other commands connect to it [default: NAME.sock in
    /// $XDG_RUNTIME_DIR/mailmesh, or in /tmp/mailmesh-UID if that variable is not set; commands
    /// take the only socket there that answers].
    #[arg(long, global = true, env = "MAILMESH_SOCKET", value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run three nodes on this machine for a few seconds and show what they exchange.
    ///
    /// Exits with 0 if every step succeeds, otherwise with 1. The demo needs no configuration and
    /// stops its nodes at its end. Packets stay on the loopback interface.
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    /// Says how to run the demo, which this build does not have.
    #[cfg(not(feature = "demo"))]
    #[command(hide = true, disable_help_flag = true)]
    Demo {
        /// Options of the demo.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<std::ffi::OsString>,
    },
    /// Run a node until SIGINT or SIGTERM.
    ///
    /// RUST_LOG sets what the node logs to standard error.
    Node(NodeArgs),
    /// Check a configuration and explain it; exits with 3 if it is invalid.
    Check(CheckArgs),
    /// Publish an event through a running node.
    Publish(PublishArgs),
    /// Print the events that a running node receives, and the nodes that join or leave.
    Watch(WatchArgs),
    /// Block, allow, list and check IP addresses.
    #[command(subcommand)]
    Block(BlockCommand),
    /// Add, list and remove certificates.
    #[command(subcommand)]
    Cert(CertCommand),
    /// List the other nodes of the cluster; exits with 6 if only another cluster key is heard.
    Members {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the status of a running node.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Generate cluster keys, and replace the key of a running cluster.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print a completion script for a shell.
    Completions {
        /// Name of the shell.
        shell: Shell,
    },
}

#[cfg(feature = "demo")]
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Print only one JSON array of {"step", "ok", "seconds"}.
    #[arg(long)]
    pub(crate) json: bool,
    /// Take the messages from this mbox file (at most 10,000) instead of the built-in ones.
    #[arg(long, value_name = "FILE", conflicts_with = "maildir")]
    pub(crate) mbox: Option<PathBuf>,
    /// Take the messages from this Maildir (at most 10,000) instead of the built-in ones.
    #[arg(long, value_name = "DIR")]
    pub(crate) maildir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NodeArgs {
    /// Configuration file: a Coordinator object, or a Zenoh configuration alone [default: Zenoh's
    /// defaults, which are peer mode and multicast scouting].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Name of the node; overrides the configuration.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Name of the cluster; overrides the configuration.
    #[arg(long, value_parser = parse_cluster_name)]
    pub(crate) cluster: Option<String>,
    /// File with the cluster key; overrides the configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Also stop when standard input ends, so that the node does not outlive its parent process.
    #[arg(long)]
    pub(crate) stop_with_stdin: bool,
    /// Print the "ready" line as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The configuration file; `-` reads standard input.
    pub(crate) file: PathBuf,
    /// Check only the text; do not check ports, files, interfaces, the store or sockets.
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WatchArgs {
    /// Print one line of JSON for each entry.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print only events of this kind (repeatable); gaps and membership changes are always printed.
    #[arg(long = "kind", value_name = "KIND", value_parser = parse_kind)]
    pub(crate) kinds: Vec<Kind>,
    /// Exit after this number of entries [default: print until the node stops].
    #[arg(long)]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BlockCommand {
    /// Block (or allow) an address or prefix on all nodes.
    Add {
        /// Address or prefix; host bits are dropped.
        network: Network,
        /// Reason, at most 256 bytes.
        #[arg(long, default_value = "")]
        reason: String,
        /// Lifetime of the entry, such as 90s, 15m, 2h or 7d [default: until removed].
        #[arg(long, value_parser = parse_duration)]
        ttl: Option<std::time::Duration>,
        /// Add an exception, which takes precedence over blocks.
        #[arg(long)]
        allow: bool,
        /// Accept prefixes wider than /8 (IPv4) or /16 (IPv6).
        #[arg(long)]
        force: bool,
    },
    /// Remove addresses or prefixes from the blocks or exceptions.
    ///
    /// Exits with 1 if nothing is removed.
    Remove {
        /// Addresses or prefixes.
        #[arg(required_unless_present = "file")]
        networks: Vec<Network>,
        /// Also remove the entries of this list, in any format of `import`; `-` reads standard
        /// input.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Remove exceptions, not blocks.
        #[arg(long)]
        allow: bool,
    },
    /// List the blocks.
    List {
        /// List the exceptions instead.
        #[arg(long)]
        allow: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Block all networks of a list in one step.
    ///
    /// Exits with 1 if no entry can be imported and a line is bad, or if --strict refuses the list.
    Import(ImportArgs),
    /// Print the blocks in the format of another program.
    Export {
        /// Output format: plain, csv, jsonl, nftables or postfix.
        #[arg(long, default_value = "plain")]
        format: OutputFormat,
        /// Print the exceptions instead; nftables and postfix always contain both.
        #[arg(long)]
        allow: bool,
    },
    /// Check whether an address is blocked, and why; exits with 10 if it is blocked.
    Check {
        /// The address.
        address: IpAddr,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// The list; `-` reads standard input.
    pub(crate) file: PathBuf,
    /// Format of the list: plain, csv, jsonl (Spamhaus DROP), crowdsec, fail2ban, ipset, nft,
    /// p2p, hosts.deny, nginx or routeros [default: guessed from the text].
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// Import nothing if a line is bad [default: skip bad lines].
    #[arg(long)]
    pub(crate) strict: bool,
    /// Lifetime of entries for which the list gives no end, such as 15m, 2h or 7d [default:
    /// until removed].
    #[arg(long, value_parser = parse_duration)]
    pub(crate) ttl: Option<std::time::Duration>,
    /// Import the networks as exceptions, which take precedence over blocks.
    #[arg(long)]
    pub(crate) allow: bool,
    /// Accept prefixes wider than /8 (IPv4) or /16 (IPv6), which are usually a mistake.
    #[arg(long)]
    pub(crate) force: bool,
    /// Time zone of end times that have none, such as Europe/Berlin [default: UTC; the time zone
    /// of this host for the output of fail2ban]. The import prints which zone it used.
    #[arg(long, value_name = "ZONE", value_parser = crate::lists::parse_zone)]
    pub(crate) time_zone: Option<crate::lists::Zone>,
    /// Also import private and reserved networks, such as 10.0.0.0/8, which may be your own.
    #[arg(long)]
    pub(crate) include_private: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    /// Add a certificate, or replace the one with exactly the same names.
    ///
    /// Warnings name what was repaired in the files and what was left out.
    Add {
        /// PEM file with the certificate and its issuers, in any order.
        chain: PathBuf,
        /// PEM file with the private key; may be the same file.
        key: PathBuf,
        /// Add the certificate even if it has expired, or if it is the present one with fewer
        /// issuers.
        #[arg(long)]
        force: bool,
    },
    /// List the certificates, without private keys.
    ///
    /// For each name, the list shows the certificate that hosts of this name present, and the
    /// reason: a valid certificate is preferred, then one of the exact name, then the one issued
    /// last.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove the certificate that has exactly these names.
    Remove {
        /// All DNS names of the certificate, separated by spaces or commas.
        #[arg(required = true)]
        names: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Generate a new cluster key.
    Generate {
        /// Name of the cluster; the printed fingerprint depends on it.
        #[arg(long, default_value = mailmesh::DEFAULT_CLUSTER, value_parser = parse_cluster_name)]
        cluster: String,
        /// Write the key to this new file, readable by its owner only [default: print it].
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List the keys of each node: the first seals (encrypts), the others are
    /// accepted.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Step 1 of a rotation: make every node accept another key; prints its fingerprint.
    ///
    /// The key crosses the network under the current sealing key. If that key is compromised, run
    /// `key add --here FILE` on every node instead.
    Add {
        /// Key file of `key generate` or of another node (every key in it is added); `-` reads
        /// standard input [default: the node generates a key].
        file: Option<PathBuf>,
        /// Change only this node.
        #[arg(long, requires = "file")]
        here: bool,
        /// Generate a key even if a node cannot save it to a file. After a restart, that node has
        /// only the keys of its `mesh.key`.
        #[arg(long, conflicts_with = "file")]
        force: bool,
    },
    /// Step 2 of a rotation: make every node seal with a key that all nodes accept.
    Activate {
        /// Fingerprint of the key, or its first digits (at least 4).
        id: String,
        /// Change only this node, whatever key the others use.
        ///
        /// The node keeps the key for 10 minutes. After that it follows the other nodes if they
        /// seal with another key.
        #[arg(long)]
        here: bool,
    },
    /// Step 3 of a rotation: make every node reject a key that no node seals with any more.
    ///
    /// The command is refused if a node would lack the sealing key after a restart, because its
    /// `mesh.key` names no file, or a file without that key. Frames that were sealed with the
    /// retired key before are accepted for another 10 s.
    Retire {
        /// Fingerprint of the key, or its first digits (at least 4).
        id: String,
        /// Change only this node.
        #[arg(long)]
        here: bool,
        /// Retire the key even if a node would lack the sealing key after a restart. Such a node
        /// is locked out until it gets that key.
        #[arg(long)]
        force: bool,
    },
    /// Write a key of this node to a new file, readable by its owner only.
    ///
    /// The command overwrites no file and follows no symbolic link. `mesh.key` of another node may
    /// name the file, and `key add` reads it.
    Export {
        /// File to create.
        file: PathBuf,
        /// Fingerprint of the key, or its first digits (at least 4) [default: the sealing key].
        id: Option<String>,
    },
}

fn parse_kind(name: &str) -> Result<Kind, String> {
    name.parse().map_err(|error: mailmesh::EventError| error.to_string())
}

fn parse_cluster_name(text: &str) -> Result<String, String> {
    mailmesh::KeySpace::new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// A number with a unit (s, m, h, d); without a unit, seconds.
fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("write a number and a unit: 90s, 15m, 2h or 7d".into()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
    match seconds {
        Some(seconds) if (1..=315_360_000).contains(&seconds) => {
            Ok(std::time::Duration::from_secs(seconds))
        }
        _ => {
            Err("the duration must be from 1 second to 10 years, such as 90s, 15m, 2h or 7d".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn cluster_names_follow_the_rules_of_the_configuration() {
        assert_eq!(parse_cluster_name("mail-1.a_b").as_deref(), Ok("mail-1.a_b"));
        for bad in ["", "a/b", "a b", "*", &"a".repeat(65)] {
            assert!(parse_cluster_name(bad).unwrap_err().contains("1 to 64 letters"), "{bad}");
        }
        let args = ["mailmesh", "key", "generate", "--cluster", "a/b"];
        assert!(Args::try_parse_from(args).is_err());
    }

    #[test]
    fn durations_have_units_and_bounds() {
        assert_eq!(parse_duration("90").unwrap().as_secs(), 90);
        assert_eq!(parse_duration("2h").unwrap().as_secs(), 7_200);
        for bad in ["", "h", "0s", "1y", "-5s", "99999999999999999999s", "4000d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
