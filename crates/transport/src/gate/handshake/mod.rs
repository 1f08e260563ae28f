//! The handshake of a link: both nodes prove that they hold one cluster key. No I/O, no clock.
//!
//! ```text
//! hello    from the dialer    "mmg1" | mode u8 | purpose u8 | tag [8] | id [16] | binding [32]
//!                             | ephemeral [32] | 8 x key id [8]
//! answer   from the acceptor  id [16] | ephemeral [32] | key id [8] | MAC [32]
//! proof    from the dialer    MAC [32]
//! verdict  from the acceptor  verdict u8 | MAC [32]
//! ```
//!
//! Each message has a fixed length, so its length is known before it is parsed. The dialer names
//! its keys by ids that reveal nothing about them, the preferred key first. The acceptor takes the
//! first key that it holds. The MACs (HMAC-SHA-256, RFC 2104) use keys derived from that key for
//! each role, and cover all earlier messages. A recorded message is therefore useless, because both
//! ephemeral keys (X25519, RFC 7748) are new in each handshake. A proof for one node is invalid at
//! another, because it covers the ids of both. The dialer proves last: it proves the key only to a
//! node that has proven it.
//!
//! Later messages are authenticated with keys derived from the X25519 agreement, the cluster key
//! and the transcript.

use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::SecureRandom;

use crate::bus::ClusterTag;
use crate::link_keys::GateKey;

/// Names the protocol and its version.
pub(crate) const MAGIC: &[u8; 4] = b"mmg1";
/// Maximum number of keys that a dialer names.
pub(crate) const MAX_KEYS: usize = 8;
const MAC_LEN: usize = 32;

pub(crate) const HELLO_LEN: usize = MAGIC.len() + 1 + 1 + 8 + 16 + 32 + 32 + 8 * MAX_KEYS;
pub(crate) const ANSWER_LEN: usize = 16 + 32 + 8 + MAC_LEN;
pub(crate) const PROOF_LEN: usize = MAC_LEN;
pub(crate) const VERDICT_LEN: usize = 1 + MAC_LEN;

/// The id of a node: its incarnation.
pub(crate) type NodeId = [u8; 16];
/// The public id of a cluster key at the gate.
pub(crate) type KeyId = [u8; 8];
/// A secret id of one link, known to its two ends only.
pub(crate) type Binding = [u8; 32];
type Hello = [u8; HELLO_LEN];
type Answer = [u8; ANSWER_LEN];

/// The purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The connection becomes a link.
    Link,
    /// The two nodes exchange the addresses of nodes, and close the connection.
    Ask,
    /// The key of this connection now proves the link with this binding, which another key proved.
    Renew(Binding),
}

impl Purpose {
    fn encode(self) -> (u8, Binding) {
        match self {
            Self::Link => (1, [0; 32]),
            Self::Ask => (2, [0; 32]),
            Self::Renew(binding) => (3, binding),
        }
    }

    fn decode(purpose: u8, binding: Binding) -> Option<Self> {
        match purpose {
            1 if binding == [0; 32] => Some(Self::Link),
            2 if binding == [0; 32] => Some(Self::Ask),
            3 => Some(Self::Renew(binding)),
            _ => None,
        }
    }
}

/// Why a handshake ended without a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The bytes are not a handshake of this version.
    NotAHandshake,
    /// The other node belongs to another cluster.
    OtherCluster,
    /// One node seals its links and the other does not, or the other proves the key by another
    /// handshake or has no key.
    OtherMode,
    /// The two nodes have no key in common.
    OtherKey,
    /// The MAC is invalid.
    NotProven,
    /// The other node is this node.
    IsSelf,
    /// The system provides no random numbers.
    NoRandom,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotAHandshake => "it does not speak this version of the handshake",
            Self::OtherCluster => "it belongs to another cluster",
            Self::OtherMode => "its `mesh.links` differs from this node's",
            Self::OtherKey => "it has none of this node's keys",
            Self::NotProven => "it did not prove a key",
            Self::IsSelf => "it is this node",
            Self::NoRandom => "the system provided no random numbers",
        })
    }
}

/// The acceptor's decision about a proven connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The acceptor takes the connection.
    Taken,
    /// The acceptor dials the dialer at the same time, and keeps that connection instead.
    Crossed,
    /// There is no such link, or no room for another link.
    Declined,
}

/// The fields that this node puts into each handshake.
#[derive(Clone)]
pub(crate) struct LocalNode {
    pub(crate) id: NodeId,
    pub(crate) tag: ClusterTag,
    pub(crate) is_sealed: bool,
    /// The keys that the node holds, the preferred one first.
    pub(crate) keys: Vec<GateKey>,
}

/// The result of a handshake: the other node holds the key.
#[derive(Debug)]
pub(crate) struct ProvenPeer {
    pub(crate) id: NodeId,
    pub(crate) key: KeyId,
    pub(crate) purpose: Purpose,
    pub(crate) session: Session,
}

/// The dialer's side after its hello.
pub(crate) struct Dialer {
    own: LocalNode,
    purpose: Purpose,
    hello: Hello,
    private: EphemeralPrivateKey,
}

impl Dialer {
    /// Starts a handshake. Returns the hello to be sent.
    ///
    /// # Errors
    /// [`Refusal::NoRandom`].
    pub(crate) fn start(
        own: &LocalNode,
        purpose: Purpose,
        random: &dyn SecureRandom,
    ) -> Result<(Self, Hello), Refusal> {
        let (private, public) = ephemeral(random)?;
        let (number, binding) = purpose.encode();
        let mut hello = [0; HELLO_LEN];
        let mut writer = FieldWriter(&mut hello);
        writer.put(MAGIC);
        writer.put(&[u8::from(own.is_sealed), number]);
        writer.put(&own.tag);
        writer.put(&own.id);
        writer.put(&binding);
        writer.put(&public);
        own.keys.iter().take(MAX_KEYS).for_each(|key| writer.put(&key.id));
        Ok((Self { own: own.clone(), purpose, hello, private }, hello))
    }

    /// Checks the acceptor's answer. Returns the proven peer and the dialer's proof to be sent.
    ///
    /// # Errors
    /// [`Refusal::OtherKey`], [`Refusal::NotProven`], [`Refusal::IsSelf`].
    pub(crate) fn receive_answer(
        self,
        answer: &Answer,
    ) -> Result<(ProvenPeer, [u8; PROOF_LEN]), Refusal> {
        let mut reader = FieldReader(answer);
        let (id, public, key_id) = (reader.take(), reader.take::<32>(), reader.take::<8>());
        let named = self.own.keys.iter().take(MAX_KEYS).find(|key| key.id == key_id);
        let key = named.ok_or(Refusal::OtherKey)?;
        let authenticated = [&self.hello[..], &answer[..ANSWER_LEN - MAC_LEN]].concat();
        let mac = &answer[ANSWER_LEN - MAC_LEN..];
        hmac::verify(&key.acceptor, &authenticated, mac).map_err(|_| Refusal::NotProven)?;
        if id == self.own.id {
            return Err(Refusal::IsSelf);
        }
        let transcript = [&self.hello[..], answer].concat();
        let proof = hmac::sign(&key.dialer, &transcript);
        let session = Session::new(self.private, &public, key, &transcript, true)?;
        let proven = ProvenPeer { id, key: key_id, purpose: self.purpose, session };
        Ok((proven, bytes(&proof)))
    }
}

/// Whether a connection that begins with these bytes may be a handshake.
///
/// # Errors
/// [`Refusal::OtherMode`] for the first bytes of a link of Zenoh ([its wire format][zenoh]: length,
/// `InitSyn`) or of TLS (RFC 8446, section 5.1: a handshake record). A node with another
/// `mesh.links` or without a key sends them. [`Refusal::NotAHandshake`] for all other bytes.
///
/// [zenoh]: https://spec.zenoh.io/spec/1.0.0/wire/transport.html
pub(crate) fn check_prefix(bytes: &[u8; MAGIC.len()]) -> Result<(), Refusal> {
    match *bytes {
        magic if magic == *MAGIC => Ok(()),
        [0x16, 0x03, ..] => Err(Refusal::OtherMode),
        [_, 0, header, _] if header & 0x3f == 0x01 => Err(Refusal::OtherMode),
        _ => Err(Refusal::NotAHandshake),
    }
}

/// The acceptor's side after its answer, which proves the key.
pub(crate) struct Acceptor {
    id: NodeId,
    purpose: Purpose,
    key: GateKey,
    transcript: Vec<u8>,
    public: [u8; 32],
    private: EphemeralPrivateKey,
}

/// The acceptor's answer to a hello of its cluster that names none of its keys. It proves nothing
/// and only serves a message to the dialer's operator.
pub(crate) const NO_COMMON_KEY: Answer = [0; ANSWER_LEN];

impl Acceptor {
    /// Checks a hello. Returns the answer to be sent.
    ///
    /// # Errors
    /// [`Refusal`]. After [`Refusal::OtherKey`] the caller sends [`NO_COMMON_KEY`].
    pub(crate) fn receive_hello(
        own: &LocalNode,
        hello: &Hello,
        random: &dyn SecureRandom,
    ) -> Result<(Self, Answer), Refusal> {
        let mut reader = FieldReader(hello);
        check_prefix(&reader.take())?;
        let [mode, purpose] = reader.take();
        let (tag, id, binding): (ClusterTag, NodeId, Binding) =
            (reader.take(), reader.take(), reader.take());
        let (public, named): ([u8; 32], [u8; 8 * MAX_KEYS]) = (reader.take(), reader.take());
        if tag != own.tag {
            return Err(Refusal::OtherCluster);
        }
        if mode != u8::from(own.is_sealed) {
            return Err(Refusal::OtherMode);
        }
        let purpose = Purpose::decode(purpose, binding).ok_or(Refusal::NotAHandshake)?;
        // The answer goes to this node itself too, whose dialer then learns that it dialed itself.
        let held = |id: &[u8]| own.keys.iter().take(MAX_KEYS).find(|key| key.id == id);
        let key = named.chunks_exact(8).find_map(held).ok_or(Refusal::OtherKey)?;
        let (private, own_public) = ephemeral(random)?;
        let mut answer = [0; ANSWER_LEN];
        let mut writer = FieldWriter(&mut answer);
        writer.put(&own.id);
        writer.put(&own_public);
        writer.put(&key.id);
        let authenticated = [&hello[..], &answer[..ANSWER_LEN - MAC_LEN]].concat();
        answer[ANSWER_LEN - MAC_LEN..]
            .copy_from_slice(hmac::sign(&key.acceptor, &authenticated).as_ref());
        let transcript = [&hello[..], &answer].concat();
        Ok((Self { id, purpose, key: key.clone(), transcript, public, private }, answer))
    }

    /// Checks the dialer's proof.
    ///
    /// # Errors
    /// [`Refusal::NotProven`].
    pub(crate) fn receive_proof(self, proof: &[u8; PROOF_LEN]) -> Result<ProvenPeer, Refusal> {
        let verified = hmac::verify(&self.key.dialer, &self.transcript, proof);
        verified.map_err(|_| Refusal::NotProven)?;
        let Self { id, purpose, key, transcript, public, private } = self;
        let session = Session::new(private, &public, &key, &transcript, false)?;
        Ok(ProvenPeer { id, key: key.id, purpose, session })
    }
}

/// The secrets that the two nodes of a proven connection share.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) binding: Binding,
    sign_key: hmac::Key,
    verify_key: hmac::Key,
    /// Messages signed and verified.
    counts: (u64, u64),
    /// Keys for sealing the bytes of the link.
    pub(crate) records: RecordKeys,
}

/// The keys of the two directions of a sealed link.
pub(crate) struct RecordKeys {
    pub(crate) sending: [u8; 32],
    pub(crate) receiving: [u8; 32],
}

impl std::fmt::Debug for RecordKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Records")
    }
}

impl Drop for RecordKeys {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.sending);
        zeroize::Zeroize::zeroize(&mut self.receiving);
    }
}

impl Session {
    fn new(
        private: EphemeralPrivateKey,
        public: &[u8; 32],
        key: &GateKey,
        transcript: &[u8],
        is_dialer: bool,
    ) -> Result<Self, Refusal> {
        let transcript = digest(&SHA256, transcript);
        let public = UnparsedPublicKey::new(&X25519, public);
        // A point of low order would make the shared secret public; ring returns an error for it.
        let agreed = agree_ephemeral(private, &public, |shared| {
            let mut context = hmac::Context::with_key(&key.session);
            context.update(transcript.as_ref());
            context.update(shared);
            hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref())
        });
        let agreed = agreed.map_err(|_| Refusal::NotProven)?;
        let derived = |label: &[u8]| bytes(&hmac::sign(&agreed, label));
        let mut sending = [derived(b"messages of the dialer"), derived(b"records of the dialer")];
        let mut receiving =
            [derived(b"messages of the acceptor"), derived(b"records of the acceptor")];
        if !is_dialer {
            std::mem::swap(&mut sending, &mut receiving);
        }
        Ok(Self {
            binding: derived(b"binding"),
            sign_key: hmac::Key::new(hmac::HMAC_SHA256, &sending[0]),
            verify_key: hmac::Key::new(hmac::HMAC_SHA256, &receiving[0]),
            counts: (0, 0),
            records: RecordKeys { sending: sending[1], receiving: receiving[1] },
        })
    }

    /// The MAC of this node's next message.
    pub(crate) fn sign(&mut self, message: &[u8]) -> [u8; MAC_LEN] {
        let mac = hmac::sign(&self.sign_key, &[&self.counts.0.to_be_bytes()[..], message].concat());
        self.counts.0 += 1;
        bytes(&mac)
    }

    /// Checks that `message` is the other node's next message.
    ///
    /// # Errors
    /// [`Refusal::NotProven`].
    pub(crate) fn verify(&mut self, message: &[u8], mac: &[u8]) -> Result<(), Refusal> {
        let numbered = [&self.counts.1.to_be_bytes()[..], message].concat();
        hmac::verify(&self.verify_key, &numbered, mac).map_err(|_| Refusal::NotProven)?;
        self.counts.1 += 1;
        Ok(())
    }

    pub(crate) fn encode_verdict(&mut self, verdict: Verdict) -> [u8; VERDICT_LEN] {
        let number = match verdict {
            Verdict::Taken => 0,
            Verdict::Crossed => 1,
            Verdict::Declined => 2,
        };
        let mut message = [number; VERDICT_LEN];
        message[1..].copy_from_slice(&self.sign(&[number]));
        message
    }

    /// Checks and decodes the acceptor's verdict.
    ///
    /// # Errors
    /// [`Refusal::NotProven`].
    pub(crate) fn decode_verdict(
        &mut self,
        message: &[u8; VERDICT_LEN],
    ) -> Result<Verdict, Refusal> {
        self.verify(&message[..1], &message[1..])?;
        match message[0] {
            0 => Ok(Verdict::Taken),
            1 => Ok(Verdict::Crossed),
            2 => Ok(Verdict::Declined),
            _ => Err(Refusal::NotProven),
        }
    }
}

fn ephemeral(random: &dyn SecureRandom) -> Result<(EphemeralPrivateKey, [u8; 32]), Refusal> {
    let private = EphemeralPrivateKey::generate(&X25519, random).map_err(|_| Refusal::NoRandom)?;
    let public = private.compute_public_key().map_err(|_| Refusal::NoRandom)?;
    let mut bytes = [0; 32];
    bytes.copy_from_slice(public.as_ref());
    Ok((private, bytes))
}

fn bytes(tag: &hmac::Tag) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

/// Writes into a buffer of sufficient length; it panics otherwise.
struct FieldWriter<'a>(&'a mut [u8]);

impl FieldWriter<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let (start, rest) = std::mem::take(&mut self.0).split_at_mut(bytes.len());
        start.copy_from_slice(bytes);
        self.0 = rest;
    }
}

/// Reads from a buffer of sufficient length; it panics otherwise.
struct FieldReader<'a>(&'a [u8]);

impl FieldReader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (start, rest) = self.0.split_at(N);
        self.0 = rest;
        let mut bytes = [0; N];
        bytes.copy_from_slice(start);
        bytes
    }
}

pub(super) mod fuzz;
#[cfg(test)]
pub(crate) mod tests;
