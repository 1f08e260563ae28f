//! The event that every system carries: 64 bytes.

/// Bytes of an event, in every system.
pub const EVENT_BYTES: usize = 64;

/// What an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be counted.
    Count,
    /// To be sent back.
    Ping,
    /// Sent back.
    Echo,
    /// Its sender is there, and answers the same of others; for systems that do not say who is.
    Hello,
    /// Its sender leaves; for the same systems.
    Bye,
}

impl Purpose {
    const ALL: [Self; 5] = [Self::Count, Self::Ping, Self::Echo, Self::Hello, Self::Bye];
}

/// A numbered event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// What it is for.
    pub purpose: Purpose,
    /// Whose: one life of one process.
    pub incarnation: u64,
    /// Its place among what that life published, from 1.
    pub number: u64,
    /// When it was published, in nanoseconds of [`now_ns`](crate::now_ns).
    pub sent: u64,
}

impl Numbered {
    /// Its bytes; what is left over is filled.
    #[must_use]
    pub fn encode(&self) -> [u8; EVENT_BYTES] {
        let mut bytes = [0x5a; EVENT_BYTES];
        for (place, value) in [self.incarnation, self.number, self.sent].into_iter().enumerate() {
            bytes[place * 8..][..8].copy_from_slice(&value.to_le_bytes());
        }
        bytes[24] = self.purpose as u8;
        bytes
    }

    /// The event of these bytes; `None` if they are none.
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
    fn an_event_comes_back_from_its_bytes_and_others_are_refused() {
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
