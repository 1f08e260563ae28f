/// Why the delivery layer refused something of its caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// A frame has no events or too many.
    #[error("a frame carries 1 to {limit} events, not {count}; split the batch")]
    Count {
        /// What was asked for.
        count: u16,
        /// The most.
        limit: u16,
    },
    /// A node name that cannot be one.
    #[error("`{}` is not a node name: {why}", .name.escape_debug())]
    Name {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The peer of a direct message is not a member.
    #[error("the peer is not a member; it left or was never seen")]
    NotAMember,
    /// The node has said goodbye.
    #[error("the node has left the cluster; start a new one")]
    HasLeft,
    /// A stream has used up its sequence numbers.
    #[error("the stream has no sequence numbers left; restart the node")]
    Exhausted,
    /// A setting outside its range.
    #[error("setting `{setting}`: {why}")]
    Setting {
        /// Which one.
        setting: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}
