//! The command line.

mod publish;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use mailmesh::lists::{Format, OutputFormat};
use mailmesh::{Kind, Network};

pub(crate) use publish::{Publish, PublishEvent, Queue, Registry, Subscription};

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   refused, or not successful
  2   wrong usage of the command line
  3   the configuration cannot be used
  4   no node answers at the control socket, or several could be meant
  5   the node stepped back: another live node has its name
  6   `members`: no other node is heard, but a node of another cluster key, or a stranger that
      imitates one
  10  `block check`: the address is blocked";

/// Peer-to-peer coordination for clustered mail servers, over Eclipse Zenoh.
#[derive(Debug, Parser)]
#[command(name = "mailmesh", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Control socket: where `node` serves it, and where other commands find the
    /// node [default: NAME.sock in $XDG_RUNTIME_DIR/mailmesh or /tmp/mailmesh-UID;
    /// the only one there that answers].
    #[arg(long, global = true, env = "MAILMESH_SOCKET", value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start three nodes on this machine and show what they do together.
    Demo(Demo),
    /// Run a node until it is told to stop (SIGINT, SIGTERM).
    Node(Node),
    /// Check a configuration and explain what it means.
    Check(Check),
    /// Publish an event through a running node.
    Publish(Publish),
    /// Show what a running node hears from the others.
    Watch(Watch),
    /// Block, allow, list and check addresses.
    #[command(subcommand)]
    Block(Block),
    /// Set and list certificates.
    #[command(subcommand)]
    Cert(Cert),
    /// List the other nodes.
    Members {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show how a running node is.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make cluster keys, and put one in the place of another on all nodes at once.
    #[command(subcommand)]
    Key(Key),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Print one JSON array of {"step", "ok", "seconds"} and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
    /// Take the mail from this mbox file instead of the built-in messages.
    #[arg(long, value_name = "FILE", conflicts_with = "maildir")]
    pub(crate) mbox: Option<PathBuf>,
    /// Take the mail from this Maildir instead of the built-in messages.
    #[arg(long, value_name = "DIR")]
    pub(crate) maildir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Node {
    /// Configuration: the Coordinator object, or a Zenoh configuration alone.
    /// Without it, Zenoh's defaults: peer mode, multicast scouting.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Name of the node, before the configuration's.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Name of the cluster, before the configuration's.
    #[arg(long, value_parser = cluster)]
    pub(crate) cluster: Option<String>,
    /// File of the cluster key, before the configuration's.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Stop when standard input ends, so that no node outlives who started it.
    #[arg(long)]
    pub(crate) stop_with_stdin: bool,
    /// Print "ready" as a line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The configuration; `-` reads standard input.
    pub(crate) file: PathBuf,
    /// Only the text: do not look whether ports are free and files are there.
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// One line of JSON an entry.
    #[arg(long)]
    pub(crate) json: bool,
    /// Only events of this kind; may be given again.
    #[arg(long = "kind", value_name = "KIND", value_parser = kind)]
    pub(crate) kinds: Vec<Kind>,
    /// Stop after this many entries.
    #[arg(long)]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Block {
    /// Block (or allow) an address or prefix.
    Add {
        /// An address or prefix; host bits are dropped.
        network: Network,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
        /// For this long, such as 90s, 15m, 2h or 7d; without it, until removed.
        #[arg(long, value_parser = duration)]
        ttl: Option<std::time::Duration>,
        /// Let it in whatever blocks say, instead.
        #[arg(long)]
        allow: bool,
        /// Also a prefix wider than /8 (IPv4) or /16 (IPv6).
        #[arg(long)]
        force: bool,
    },
    /// Take addresses or prefixes off.
    Remove {
        /// Addresses or prefixes.
        #[arg(required_unless_present = "file")]
        networks: Vec<Network>,
        /// Those of a list, in any format that `import` reads; `-` is standard input.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Off the list of those allowed.
        #[arg(long)]
        allow: bool,
    },
    /// List what is blocked.
    List {
        /// What is allowed, instead.
        #[arg(long)]
        allow: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Block what a list holds, all of it in one step.
    Import {
        /// The list; `-` reads standard input.
        file: PathBuf,
        /// plain, csv, jsonl (Spamhaus DROP), crowdsec, fail2ban, ipset, nft, p2p, hosts.deny,
        /// nginx or routeros; without it, as it looks.
        #[arg(long)]
        format: Option<Format>,
        /// Refuse the whole list if a line is bad; without it, the others are imported.
        #[arg(long)]
        strict: bool,
        /// For this long, where the list says no end; such as 15m, 2h or 7d.
        #[arg(long, value_parser = duration)]
        ttl: Option<std::time::Duration>,
        /// Let them in whatever blocks say, instead.
        #[arg(long)]
        allow: bool,
        /// Also prefixes wider than /8 (IPv4) or /16 (IPv6), which are most often a mistake.
        #[arg(long)]
        force: bool,
        /// The time zone of ends that have none, such as Europe/Berlin; without it UTC, or that of
        /// this host for what fail2ban prints. Which one was used is said.
        #[arg(long, value_name = "ZONE", value_parser = crate::lists::zone)]
        time_zone: Option<crate::lists::Zone>,
        /// Also private and reserved networks, such as 10.0.0.0/8: they may be your own.
        #[arg(long)]
        include_private: bool,
    },
    /// Print what is blocked for another program.
    Export {
        /// plain, csv, jsonl, nftables or postfix.
        #[arg(long, default_value = "plain")]
        format: OutputFormat,
        /// What is allowed, instead; nftables and postfix have both.
        #[arg(long)]
        allow: bool,
    },
    /// Say whether an address is blocked, and why; exits with 10 if it is.
    Check {
        /// The address.
        address: IpAddr,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Cert {
    /// Set a certificate for its names. The program reports what it mended or left out.
    Add {
        /// The certificate and its issuers in PEM, in any order.
        chain: PathBuf,
        /// Its private key in PEM; the same file if that has both.
        key: PathBuf,
        /// Set the certificate even if it has expired, or if it is the one in place with fewer
        /// issuers.
        #[arg(long)]
        force: bool,
    },
    /// List certificates; private keys are never shown. Each name is shown with the certificate
    /// that its hosts get now, and why: a valid certificate comes first, then one of the exact
    /// name, then the one issued last.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Withdraw the certificate of exactly these names.
    Remove {
        /// All names it serves, with spaces or commas between.
        #[arg(required = true)]
        names: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a new cluster key.
    Generate {
        /// The cluster's name, for the fingerprint that is shown: it depends on that name.
        #[arg(long, default_value = mailmesh::DEFAULT_CLUSTER, value_parser = cluster)]
        cluster: String,
        /// Write it to this new file, readable by its owner only, instead of
        /// printing it.
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show which node has which keys: the first seals, the others are accepted.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have every node accept another key; prints its fingerprint.
    ///
    /// It crosses the network sealed with the present key. If that one is in wrong hands, run
    /// `key add --here FILE` on every node instead.
    Add {
        /// The key, as `key generate` writes it, or a key file of another node, of which every
        /// key is added; `-` is standard input. Without it the node makes a new one.
        file: Option<PathBuf>,
        /// Only this node.
        #[arg(long, requires = "file")]
        here: bool,
        /// Make a new key though a node would keep it in no file: after a restart that node has
        /// only the keys of its `mesh.key`.
        #[arg(long, conflicts_with = "file")]
        force: bool,
    },
    /// Have every node seal with a key that all accept; `key add` it first.
    Activate {
        /// Its fingerprint, or its first digits, four at least.
        id: String,
        /// Only this node, whatever the others do.
        #[arg(long)]
        here: bool,
    },
    /// Stop accepting a key that no node seals with any more; `key activate` another first.
    ///
    /// Refused while a node would not have the key that seals after a restart: its `mesh.key`
    /// names no file, or a file without that key.
    Retire {
        /// Its fingerprint, or its first digits, four at least.
        id: String,
        /// Only this node.
        #[arg(long)]
        here: bool,
        /// Also if a node would not have the key that seals after a restart. It then hears nobody
        /// until it is given that key.
        #[arg(long)]
        force: bool,
    },
    /// Write a key of this node to a new file, readable by its owner only.
    ///
    /// Nothing is overwritten, and no symbolic link is followed. `mesh.key` of another node may
    /// name the file, and `key add` reads it.
    Export {
        /// The file to make.
        file: PathBuf,
        /// The fingerprint of the key, or its first digits, four at least; without it the key
        /// that seals.
        id: Option<String>,
    },
}

fn kind(name: &str) -> Result<Kind, String> {
    Kind::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("there is no such kind; one of {}", names.join(", "))
    })
}

fn cluster(text: &str) -> Result<String, String> {
    mailmesh::KeySpace::new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("write it like 90s, 15m, 2h or 7d".into()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
    match seconds {
        Some(seconds) if (1..=315_360_000).contains(&seconds) => {
            Ok(std::time::Duration::from_secs(seconds))
        }
        _ => Err("from 1 second to 10 years, like 90s, 15m, 2h or 7d".into()),
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
    fn a_cluster_is_named_as_in_the_configuration() {
        assert_eq!(cluster("mail-1.a_b").as_deref(), Ok("mail-1.a_b"));
        for bad in ["", "a/b", "a b", "*", &"a".repeat(65)] {
            assert!(cluster(bad).unwrap_err().contains("1 to 64 letters"), "{bad}");
        }
        let args = ["mailmesh", "key", "generate", "--cluster", "a/b"];
        assert!(Args::try_parse_from(args).is_err());
    }

    #[test]
    fn durations_have_units_and_bounds() {
        assert_eq!(duration("90").unwrap().as_secs(), 90);
        assert_eq!(duration("2h").unwrap().as_secs(), 7_200);
        for bad in ["", "h", "0s", "1y", "-5s", "99999999999999999999s", "4000d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
