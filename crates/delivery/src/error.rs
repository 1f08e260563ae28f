//! The error of a request to an endpoint.

/// Why the delivery layer refused a request of its caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The caller passed no events for a frame, or too many.
    #[error("a frame carries 1 to {limit} events, not {count}; split the batch")]
    Count {
        /// Number of events passed.
        count: u16,
        /// Maximum number of events in a frame.
        limit: u16,
    },
    /// The text is not a valid node name or incarnation.
    #[error("`{}` is not a node name: {why}", .name.escape_debug())]
    Name {
        /// The beginning of the text.
        name: String,
        /// The rule that the text breaks.
        why: &'static str,
    },
    /// The recipient of a direct message is not a member.
    #[error("the peer is not a member; it left or was never seen")]
    NotAMember,
    /// The node has said goodbye.
    #[error("the node has left the cluster; start a new one")]
    HasLeft,
    /// A lane has used up its event numbers.
    #[error("the stream has no sequence numbers left; restart the node")]
    Exhausted,
    /// A setting is outside its range, or contradicts another.
    #[error("setting `{setting}`: {why}")]
    Setting {
        /// Name of the field of [`Settings`](crate::Settings).
        setting: &'static str,
        /// The rule that the setting breaks.
        why: &'static str,
    },
}
