//! Starts and clears the suspicion of a peer: links that close, and peers that are heard again.
//! `deadlines.rs` declares a silent peer or an overdue suspect failed; `leaving.rs` removes it.

use super::Membership;
use crate::context::Context;
use crate::control::Control;
use crate::{Destination, Incarnation, Time};

/// The bus reports that the link to a peer is closed: probe the peer. A relayed peer is not
/// probed, because its link is known to be closed.
pub(crate) fn on_link_down(
    members: &mut Membership,
    incarnation: Incarnation,
    ctx: &mut Context<'_>,
) {
    if let Some(peer) = members.peers.get_mut(&incarnation)
        && peer.is_unsuspected()
        && peer.info.reach == crate::Reach::Direct
    {
        peer.suspicion = Some(ctx.suspect(incarnation, None));
    }
}

/// A new frame from its sender proves that the sender is alive. It does not clear a suspicion
/// with a rival: the frame may have been in flight when the sender died.
pub(crate) fn on_heard_directly(
    members: &mut Membership,
    now: Time,
    incarnation: Incarnation,
    ctx: &mut Context<'_>,
) {
    let Some(peer) = members.peers.get_mut(&incarnation) else {
        return;
    };
    peer.info.last_heard = now;
    peer.clear_suspicion();
    if let Some(via) = peer.route.on_direct(now) {
        let off = Control::RelayRequest { of: incarnation, on: false };
        ctx.send.push((Destination::One(via), off));
        // While the peer was unreachable, it may have heard more of the former peers than this
        // node reported. Report them all again, so that it can add that.
        members.former_peers.report_all(now + members.settings.former_peer_report_time);
    }
    ctx.update_reach(peer);
}
