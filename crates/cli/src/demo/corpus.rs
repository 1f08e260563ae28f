//! Mail for the demo: the events that a mail server would publish for each message.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

use mail_parser::MessageParser;
use mail_parser::mailbox::{maildir, mbox};
use mailmesh::{
    AccountId, ChangeId, DataTypes, EmailId, EmailPush, Event, MailboxId, StateChange, UnixMillis,
};

/// Maximum number of messages taken from a corpus.
const MAX_MESSAGES: usize = 10_000;
/// Maximum length of a message, in bytes; longer ones are skipped.
const MAX_MESSAGE_LEN: usize = 64 << 20;

/// The Maildir `corpus/`, compiled into the program.
const BUILT_IN_MESSAGES: [&[u8]; 8] = [
    include_bytes!("../../corpus/new/1763010000.01-plain.mx1"),
    include_bytes!("../../corpus/new/1763020000.02-reply.mx1"),
    include_bytes!("../../corpus/new/1763030000.03-encoded-subject.mx1"),
    include_bytes!("../../corpus/new/1763040000.04-alternative.mx1"),
    include_bytes!("../../corpus/new/1763050000.05-attachment.mx1"),
    include_bytes!("../../corpus/new/1763060000.06-bounce.mx1"),
    include_bytes!("../../corpus/new/1763070000.07-invitation.mx1"),
    include_bytes!("../../corpus/new/1763080000.08-old-charset.mx1"),
];

/// The source of the messages.
pub(super) enum Corpus<'a> {
    BuiltIn,
    Mbox(&'a Path),
    Maildir(&'a Path),
}

impl Corpus<'_> {
    /// One state change and one e-mail push for each message.
    pub(super) fn events(&self) -> std::io::Result<Mail> {
        let mut accounts = Accounts::default();
        let (mut events, mut messages) = (Vec::new(), 0);
        let mut add = |message: &[u8]| {
            messages += 1;
            if messages <= MAX_MESSAGES {
                events.extend(accounts.events_of(message));
            }
        };
        match self {
            Corpus::BuiltIn => BUILT_IN_MESSAGES.iter().for_each(|message| add(message)),
            Corpus::Mbox(path) => {
                let reader = BufReader::new(File::open(path)?);
                for message in mbox::MessageIterator::new(reader).take(MAX_MESSAGES + 1) {
                    add(message?.contents());
                }
            }
            Corpus::Maildir(path) => {
                for message in maildir::MessageIterator::new(*path)?.take(MAX_MESSAGES + 1) {
                    add(message?.contents());
                }
            }
        }
        if events.is_empty() {
            return Err(std::io::Error::new(ErrorKind::InvalidData, "it contains no message"));
        }
        Ok(Mail { events, is_truncated: messages > MAX_MESSAGES })
    }
}

/// The events of a corpus.
pub(super) struct Mail {
    pub(super) events: Vec<Event>,
    /// Whether the corpus has more messages than were taken.
    pub(super) is_truncated: bool,
}

/// Accounts and their change ids, assigned in the order of the messages.
#[derive(Default)]
struct Accounts {
    /// Account id, last change id and last e-mail id by address.
    by_address: HashMap<String, (u32, u64, u32)>,
}

impl Accounts {
    fn events_of(&mut self, raw: &[u8]) -> Vec<Event> {
        let Some(message) =
            MessageParser::default().parse(raw).filter(|_| raw.len() <= MAX_MESSAGE_LEN)
        else {
            return Vec::new();
        };
        let to = message.to().and_then(|to| to.first()).and_then(|address| address.address());
        let address = to.unwrap_or("undisclosed").to_ascii_lowercase();
        let next_id = self.by_address.len() as u32 + 1;
        let (account, change, email) = self.by_address.entry(address).or_insert((next_id, 0, 0));
        *change += 1;
        *email += 1;
        let received = message.date().map_or(0, |date| date.to_timestamp());
        let types =
            DataTypes::EMAIL | DataTypes::EMAIL_DELIVERY | DataTypes::MAILBOX | DataTypes::THREAD;
        let (account, change) = (AccountId(*account), ChangeId(*change));
        let push = EmailPush::new(account, EmailId(*email), change)
            .with_received(UnixMillis(u64::try_from(received).unwrap_or(0) * 1000))
            .with_size(u32::try_from(raw.len()).unwrap_or(u32::MAX))
            .with_mailboxes(vec![MailboxId(0)]);
        let state = StateChange::new(account, change).with(types);
        std::iter::once(state.into()).chain(push.ok().map(Event::from)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_yields_a_state_change_and_a_push() {
        let events = Corpus::BuiltIn.events().unwrap().events;
        assert_eq!(events.len(), 2 * BUILT_IN_MESSAGES.len());
        let Event::EmailPush(push) = &events[1] else { panic!("{}", events[1]) };
        assert_eq!(push.size as usize, BUILT_IN_MESSAGES[0].len());
        assert_eq!(push.received.to_string(), "2026-11-16T07:14:02Z");
        let accounts: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::StateChange(event) => Some((event.account.0, event.change.0)),
                _ => None,
            })
            .collect();
        // Recipients: ben, anna, anna, ben, ops, reports, ben, anna.
        assert_eq!(accounts, [(1, 1), (2, 1), (2, 2), (1, 2), (3, 1), (4, 1), (1, 3), (2, 3)]);
    }

    #[test]
    fn an_mbox_and_a_maildir_yield_the_same_messages() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mbox");
        let mut text = Vec::new();
        for message in BUILT_IN_MESSAGES {
            text.extend_from_slice(b"From sender@example.org Mon Nov 16 08:14:02 2026\n");
            text.extend_from_slice(message);
            text.push(b'\n');
        }
        std::fs::write(&path, text).unwrap();
        assert_eq!(Corpus::Mbox(&path).events().unwrap().events.len(), 2 * BUILT_IN_MESSAGES.len());
        let maildir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        assert_eq!(
            Corpus::Maildir(&maildir).events().unwrap().events.len(),
            2 * BUILT_IN_MESSAGES.len()
        );
        std::fs::write(&path, "not mail").unwrap();
        assert!(Corpus::Mbox(&path).events().is_err());
    }
}
