//! The readers, one for each format, and what several of them share.

mod comment;
mod csv;
mod fail2ban;
mod filled_sets;
mod guess;
mod hosts_deny;
mod ipset;
mod json;
mod logical_lines;
mod nft;
mod nginx;
mod p2p;
mod plain;
mod routeros;
mod section;
mod set_rules;

use mailmesh_events::Rule;

use crate::{Format, List, ListError};

pub(crate) fn read(text: &str, rule: Rule, format: Format) -> Result<List, ListError> {
    match format {
        Format::Plain => plain::read(text, rule),
        Format::Csv => csv::read(text, rule),
        Format::JsonLines => json::read_lines(text, rule),
        Format::CrowdSec => json::read_value(text, rule),
        Format::Fail2ban if rule == Rule::Allow => Err(ListError::NotThis {
            format: "list of networks to allow",
            why: "it is what fail2ban has banned".to_owned(),
        }),
        Format::Fail2ban => fail2ban::read(text, rule),
        Format::Ipset => ipset::read(text, rule),
        Format::Nft => nft::read(text, rule),
        Format::P2p => p2p::read(text, rule),
        Format::HostsDeny => hosts_deny::read(text, rule),
        Format::Nginx => nginx::read(text, rule),
        Format::RouterOs => routeros::read(text, rule),
    }
}
