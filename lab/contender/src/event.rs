//! The 64-byte event that every system carries.

/// Size of an event, in bytes.
pub const EVENT_BYTES: usize = 64;

/// The purpose of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The receiver counts it.
    Count,
    /// The receiver sends it back as an [`Echo`](Self::Echo).
    Ping,
    /// The reply to a [`Ping`](Self::Ping).
    Echo,
    /// Its sender has joined; members answer with the same. For systems without membership.
    Hello,
    /// Its sender leaves. For systems without membership.
    Bye,
}

impl Purpose {
    const ALL: [Self; 5] = [Self::Count, Self::Ping, Self::Echo, Self::Hello, Self::Bye];
}

/// A numbered event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// How the receiver handles the event.
    pub purpose: Purpose,
    /// The sender: one incarnation of one process.
    pub incarnation: u64,
    /// Position among the events of that incarnation, from 1.
    pub number: u64,
    /// Time of publication, in nanoseconds of [`now_ns`](crate::now_ns).
    pub sent: u64,
}

impl Numbered {
    /// The event as bytes, padded to the full size.
    #[must_use]
    pub fn encode(&self) -> [u8; EVENT_BYTES] {
        let mut bytes = [0x5a; EVENT_BYTES];
        for (place, value) in [self.incarnation, self.number, self.sent].into_iter().enumerate() {
            bytes[place * 8..][..8].copy_from_slice(&value.to_le_bytes());
        }
        bytes[24] = self.purpose as u8;
        bytes
    }

    /// Decodes an event; `None` if the length or the purpose is invalid.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; EVENT_BYTES] = bytes.try_into().ok()?;
        let field = |place: usize| {
            let field = bytes[place * 8..][..8].try_into();
            field.map_or(0, u64::from_le_bytes)
        };
        let purpose = *Purpose::ALL.get(usize::from(bytes[24]))?;
        Some(Self { purpose, incarnation: field(0), number: field(1), sent: field(2) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_a_round_trip_and_other_bytes_are_refused() {
        for purpose in Purpose::ALL {
            let event = Numbered { purpose, incarnation: u64::MAX - 1, number: 7, sent: 1 << 60 };
            assert_eq!(Numbered::decode(&event.encode()), Some(event));
        }
        let mut bytes =
            Numbered { purpose: Purpose::Count, incarnation: 1, number: 2, sent: 3 }.encode();
        assert_eq!(Numbered::decode(&bytes[1..]), None);
        bytes[24] = 5;
        assert_eq!(Numbered::decode(&bytes), None);
    }
}
