//! The JMAP data types of a state change, as a set of bits.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

bitflags::bitflags! {
    /// A set of JMAP data types whose state changed (RFC 8620, section 7.1).
    ///
    /// Bits without a name here come from a newer version; they are kept and re-encoded.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
    pub struct DataTypes: u64 {
        /// RFC 8621.
        const EMAIL = 1;
        /// New mail arrived (RFC 8621, section 1.5).
        const EMAIL_DELIVERY = 1 << 1;
        /// RFC 8621.
        const MAILBOX = 1 << 2;
        /// RFC 8621.
        const THREAD = 1 << 3;
        /// RFC 8621.
        const EMAIL_SUBMISSION = 1 << 4;
        /// RFC 8621.
        const IDENTITY = 1 << 5;
        /// RFC 8621.
        const VACATION_RESPONSE = 1 << 6;
        /// RFC 8620, section 7.2.
        const PUSH_SUBSCRIPTION = 1 << 7;
        /// RFC 9661.
        const SIEVE_SCRIPT = 1 << 8;
        /// RFC 9425.
        const QUOTA = 1 << 9;
        /// RFC 9670.
        const PRINCIPAL = 1 << 10;
        /// RFC 9670.
        const SHARE_NOTIFICATION = 1 << 11;
        /// JMAP for Calendars.
        const CALENDAR = 1 << 12;
        /// JMAP for Calendars.
        const CALENDAR_EVENT = 1 << 13;
        /// JMAP for Calendars.
        const CALENDAR_EVENT_NOTIFICATION = 1 << 14;
        /// RFC 9610.
        const ADDRESS_BOOK = 1 << 15;
        /// RFC 9610.
        const CONTACT_CARD = 1 << 16;
        /// JMAP File Storage.
        const FILE_NODE = 1 << 17;
    }
}

const NAMES: [(DataTypes, &str); 18] = [
    (DataTypes::EMAIL, "Email"),
    (DataTypes::EMAIL_DELIVERY, "EmailDelivery"),
    (DataTypes::MAILBOX, "Mailbox"),
    (DataTypes::THREAD, "Thread"),
    (DataTypes::EMAIL_SUBMISSION, "EmailSubmission"),
    (DataTypes::IDENTITY, "Identity"),
    (DataTypes::VACATION_RESPONSE, "VacationResponse"),
    (DataTypes::PUSH_SUBSCRIPTION, "PushSubscription"),
    (DataTypes::SIEVE_SCRIPT, "SieveScript"),
    (DataTypes::QUOTA, "Quota"),
    (DataTypes::PRINCIPAL, "Principal"),
    (DataTypes::SHARE_NOTIFICATION, "ShareNotification"),
    (DataTypes::CALENDAR, "Calendar"),
    (DataTypes::CALENDAR_EVENT, "CalendarEvent"),
    (DataTypes::CALENDAR_EVENT_NOTIFICATION, "CalendarEventNotification"),
    (DataTypes::ADDRESS_BOOK, "AddressBook"),
    (DataTypes::CONTACT_CARD, "ContactCard"),
    (DataTypes::FILE_NODE, "FileNode"),
];

impl DataTypes {
    /// The data type with this JMAP name, such as `Email`.
    #[must_use]
    pub fn from_jmap_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, n)| *n == name).map(|(set, _)| *set)
    }

    /// The JMAP names of the set, without unnamed bits.
    pub fn jmap_names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().filter(move |(set, _)| self.contains(*set)).map(|(_, name)| *name)
    }

    fn unnamed(self) -> u64 {
        self.bits() & !Self::all().bits()
    }
}

impl fmt::Display for DataTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for name in self.jmap_names() {
            write!(f, "{separator}{name}")?;
            separator = ", ";
        }
        match self.unnamed() {
            0 if separator.is_empty() => f.write_str("nothing"),
            0 => Ok(()),
            bits => write!(f, "{separator}unknown {bits:#x}"),
        }
    }
}

impl Serialize for DataTypes {
    /// A list of JMAP names. Unnamed bits follow as one number.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Item {
            Name(&'static str),
            Bits(u64),
        }
        let bits = Some(self.unnamed()).filter(|b| *b != 0).map(Item::Bits);
        serializer.collect_seq(self.jmap_names().map(Item::Name).chain(bits))
    }
}

impl<'de> Deserialize<'de> for DataTypes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Item {
            Name(String),
            Bits(u64),
        }
        let mut set = Self::empty();
        for item in Vec::<Item>::deserialize(deserializer)? {
            set |= match item {
                Item::Bits(bits) => Self::from_bits_retain(bits),
                Item::Name(name) => Self::from_jmap_name(&name).ok_or_else(|| {
                    serde::de::Error::custom(format!("`{name}` is not a JMAP data type"))
                })?,
            };
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_a_name_and_unknown_bits_survive() {
        assert_eq!(DataTypes::all().jmap_names().count(), DataTypes::all().iter().count());
        let set = DataTypes::EMAIL | DataTypes::from_bits_retain(1 << 60);
        assert_eq!(set.to_string(), "Email, unknown 0x1000000000000000");
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<DataTypes>(&json).unwrap(), set);
        assert_eq!(DataTypes::empty().to_string(), "nothing");
    }
}
