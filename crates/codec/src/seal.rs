//! Sealing of frames: AES-256-GCM over the body, with header and recipient as associated data and
//! one derived key per sender incarnation.
//!
//! The nonce is (lane, sequence number) and cannot repeat under one key. The key is derived from
//! the incarnation: 128 random bits, new at every start. The sender numbers the frames of each lane
//! and never reuses a number for other content. Control messages have a lane of their own. This is
//! the deterministic construction of NIST SP 800-38D, section 8.2.1.

use bytes::Bytes;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::Prk;

use crate::header::Sealed;
use crate::sender_keys::{SenderKey, SenderKeyCache};
use crate::{ClusterKey, CodecError, HEADER_LEN, Header, KeyId};

/// Builds the frames of one sender incarnation.
#[derive(Debug)]
pub struct Sealer {
    key: Option<LessSafeKey>,
}

impl Sealer {
    /// For a mesh without a cluster key: frames are neither encrypted nor authenticated.
    #[must_use]
    pub fn unencrypted() -> Self {
        Self { key: None }
    }

    /// Seals with a key derived from the cluster key for this incarnation.
    #[must_use]
    pub fn keyed(key: &ClusterKey, cluster: &str, incarnation: [u8; 16]) -> Self {
        Self { key: Some(derive_sender_key(&key.prk(cluster), incarnation)) }
    }

    /// Whether frames are sealed.
    #[must_use]
    pub fn is_encrypting(&self) -> bool {
        self.key.is_some()
    }

    /// Builds the frame of this header and body.
    ///
    /// # Errors
    /// [`CodecError::TooLong`] past [`MAX_FRAME_LEN`](crate::MAX_FRAME_LEN).
    pub fn seal(&self, header: &Header, body: &[u8]) -> Result<Bytes, CodecError> {
        let tag_len = if self.is_encrypting() { AES_256_GCM.tag_len() } else { 0 };
        let len = HEADER_LEN + body.len() + tag_len;
        if len > crate::MAX_FRAME_LEN {
            let (actual, limit) = (len as u64, crate::MAX_FRAME_LEN as u64);
            return Err(CodecError::TooLong { what: "the frame", actual, limit });
        }
        let sealed = if self.is_encrypting() { Sealed::Yes } else { Sealed::No };
        let head = header.encode(sealed);
        let mut frame = Vec::with_capacity(len);
        frame.extend_from_slice(&head);
        frame.extend_from_slice(body);
        if let Some(key) = &self.key {
            let tag = key
                .seal_in_place_separate_tag(
                    nonce(header),
                    Aad::from(AssociatedData::new(head, header.to)),
                    &mut frame[HEADER_LEN..],
                )
                .map_err(|_| CodecError::NotAuthentic)?;
            frame.extend_from_slice(tag.as_ref());
        }
        Ok(frame.into())
    }
}

/// A frame that an [`Opener`] has opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedFrame {
    /// The header.
    pub header: Header,
    /// The body, decrypted.
    pub body: Bytes,
    /// The key that sealed the frame; `None` in an unencrypted mesh.
    pub key: Option<KeyId>,
}

/// A cluster key whose frames are opened.
struct AcceptedKey {
    id: KeyId,
    prk: Prk,
}

impl AcceptedKey {
    fn new(key: &ClusterKey, cluster: &str) -> Self {
        Self { id: key.id(cluster), prk: key.prk(cluster) }
    }
}

/// Opens frames of any incarnation of the cluster, with any of its keys.
///
/// Derived keys are cached for members ([`member_joined`](Self::member_joined)), and for the
/// [`MAX_CACHED_NON_MEMBERS`](Self::MAX_CACHED_NON_MEMBERS) other senders of authentic frames that
/// were used most recently.
pub struct Opener {
    own: [u8; 16],
    /// The accepted cluster keys; empty for an unencrypted mesh.
    accepted: Vec<AcceptedKey>,
    /// The keys derived from each of them, by sender.
    senders: SenderKeyCache,
}

impl Opener {
    /// Most incarnations other than members whose derived keys are cached. The keys of others are
    /// derived again when needed.
    pub const MAX_CACHED_NON_MEMBERS: usize = SenderKeyCache::MAX_NON_MEMBERS;

    /// For the receiver `own` in a mesh without a cluster key.
    #[must_use]
    pub fn unencrypted(own: [u8; 16]) -> Self {
        Self { own, accepted: Vec::new(), senders: SenderKeyCache::default() }
    }

    /// For the receiver `own`: opens frames that are sealed with this cluster key, for all nodes or
    /// for `own`.
    #[must_use]
    pub fn keyed(key: &ClusterKey, cluster: &str, own: [u8; 16]) -> Self {
        Self { accepted: vec![AcceptedKey::new(key, cluster)], ..Self::unencrypted(own) }
    }

    /// Replaces the accepted cluster keys.
    pub fn set_keys<'a>(&mut self, keys: impl IntoIterator<Item = &'a ClusterKey>, cluster: &str) {
        self.accepted = keys.into_iter().map(|key| AcceptedKey::new(key, cluster)).collect();
        // Cached senders stay cached, whichever of the keys they seal with.
        let accepted = &self.accepted;
        self.senders.rederive(|incarnation| derive_sender_keys(accepted, incarnation));
    }

    /// Caches the keys of this incarnation until [`member_left`](Self::member_left); other senders
    /// do not evict them. The caller bounds the number of members.
    pub fn member_joined(&mut self, incarnation: [u8; 16]) {
        if !self.accepted.is_empty() {
            let derive = || derive_sender_keys(&self.accepted, incarnation);
            self.senders.member_joined(incarnation, derive);
        }
    }

    /// Treats the incarnation as a non-member again, whose keys may be evicted.
    pub fn member_left(&mut self, incarnation: [u8; 16]) {
        self.senders.member_left(incarnation);
    }

    /// Returns the header and body of a frame. In an unencrypted mesh nothing is authenticated, so
    /// the header is only what the frame claims.
    ///
    /// # Errors
    /// Those of a bad header ([`CodecError::Truncated`], [`Magic`](CodecError::Magic),
    /// [`Version`](CodecError::Version), [`Header`](CodecError::Header),
    /// [`TooLong`](CodecError::TooLong)); [`CodecError::NoKey`], [`CodecError::NotSealed`],
    /// [`CodecError::NotAuthentic`].
    pub fn open(&mut self, frame: &[u8]) -> Result<(Header, Bytes), CodecError> {
        self.open_rate_limited(frame, || true).map(|opened| (opened.header, opened.body))
    }

    /// Like [`open`](Self::open), but calls `may_derive` before it derives keys for a sender that
    /// is not cached. The caller thereby bounds the cost of forged frames. Also returns the key
    /// that sealed the frame.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`CodecError::RateLimited`] if `may_derive` returns `false`.
    pub fn open_rate_limited(
        &mut self,
        frame: &[u8],
        may_derive: impl FnOnce() -> bool,
    ) -> Result<OpenedFrame, CodecError> {
        let (header, sealed) = Header::decode(frame, self.own)?;
        let (head, body) =
            frame.split_first_chunk().ok_or(CodecError::Truncated { what: "the frame header" })?;
        match (self.accepted.is_empty(), sealed) {
            (true, Sealed::No) => {
                return Ok(OpenedFrame { header, body: Bytes::copy_from_slice(body), key: None });
            }
            (true, Sealed::Yes) => return Err(CodecError::NoKey),
            (false, Sealed::No) => return Err(CodecError::NotSealed),
            (false, Sealed::Yes) => {}
        }
        let associated = AssociatedData::new(*head, header.to);
        let by_cached = |keys: &mut [_]| open_with_any(keys, &header, &associated, body);
        if let Some(opened) = self.senders.open_with(header.incarnation, by_cached) {
            let (body, key) = opened.ok_or(CodecError::NotAuthentic)?;
            return Ok(OpenedFrame { header, body, key: Some(key) });
        }
        if !may_derive() {
            return Err(CodecError::RateLimited);
        }
        let mut keys = derive_sender_keys(&self.accepted, header.incarnation);
        let opened = open_with_any(&mut keys, &header, &associated, body);
        // Only after an authentic frame: a sender without the cluster key evicts nobody.
        let (body, key) = opened.ok_or(CodecError::NotAuthentic)?;
        self.senders.insert(header.incarnation, keys);
        Ok(OpenedFrame { header, body, key: Some(key) })
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opener {{ keys: {}, cached: {} }}", self.accepted.len(), self.senders.len())
    }
}

/// Opens a body with the first key that fits, and moves that key to the front. Also returns the id
/// of the cluster key.
fn open_with_any(
    keys: &mut [SenderKey],
    header: &Header,
    associated: &AssociatedData,
    body: &[u8],
) -> Option<(Bytes, KeyId)> {
    let opened =
        |(at, key): (usize, &SenderKey)| Some((at, open(&key.key, header, associated, body)?));
    let (at, body) = keys.iter().enumerate().find_map(opened)?;
    keys.swap(0, at);
    Some((body, keys.first()?.id))
}

fn open(
    key: &LessSafeKey,
    header: &Header,
    associated: &AssociatedData,
    body: &[u8],
) -> Option<Bytes> {
    let mut body = body.to_vec();
    let opened = key.open_in_place(nonce(header), Aad::from(associated.as_ref()), &mut body);
    let len = opened.ok()?.len();
    body.truncate(len);
    Some(body.into())
}

fn derive_sender_keys(accepted: &[AcceptedKey], incarnation: [u8; 16]) -> Vec<SenderKey> {
    let derive = |accepted: &AcceptedKey| SenderKey {
        id: accepted.id,
        key: derive_sender_key(&accepted.prk, incarnation),
    };
    accepted.iter().map(derive).collect()
}

/// The key of one sender incarnation (HKDF-Expand, RFC 5869).
fn derive_sender_key(prk: &Prk, incarnation: [u8; 16]) -> LessSafeKey {
    derive_key(prk, &[b"frame", &incarnation])
}

/// Derives a key for one purpose.
pub(crate) fn derive_key(prk: &Prk, purpose: &[&[u8]]) -> LessSafeKey {
    match prk.expand(purpose, &AES_256_GCM) {
        Ok(okm) => LessSafeKey::new(UnboundKey::from(okm)),
        Err(_) => unreachable!("HKDF-SHA256 outputs up to 8,160 bytes, and 32 are requested"),
    }
}

/// The associated data and its length: the header, then the recipient if there is one. A flag in
/// the header distinguishes the two.
struct AssociatedData([u8; HEADER_LEN + 16], usize);

impl AssociatedData {
    fn new(head: [u8; HEADER_LEN], to: Option<[u8; 16]>) -> Self {
        let mut data = [0; HEADER_LEN + 16];
        data[..HEADER_LEN].copy_from_slice(&head);
        data[HEADER_LEN..].copy_from_slice(&to.unwrap_or_default());
        Self(data, if to.is_some() { HEADER_LEN + 16 } else { HEADER_LEN })
    }
}

impl AsRef<[u8]> for AssociatedData {
    fn as_ref(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

fn nonce(header: &Header) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[0] = header.lane;
    nonce[4..].copy_from_slice(&header.first.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FrameKind;

    fn header(incarnation: u8, first: u64) -> Header {
        let incarnation = [incarnation; 16];
        Header { kind: FrameKind::Data, lane: 1, incarnation, to: None, first, count: 1 }
    }

    #[test]
    fn only_the_same_key_and_cluster_open_a_frame() {
        let key = ClusterKey::from_bytes(&[1; 32]);
        let frame = Sealer::keyed(&key, "mail", [5; 16]).seal(&header(5, 9), b"body").unwrap();
        let (opened, body) = Opener::keyed(&key, "mail", [9; 16]).open(&frame).unwrap();
        assert_eq!((opened, &body[..]), (header(5, 9), &b"body"[..]));

        let other = ClusterKey::from_bytes(&[2; 32]);
        let refused = [
            (Opener::keyed(&key, "other", [9; 16]).open(&frame), CodecError::NotAuthentic),
            (Opener::keyed(&other, "mail", [9; 16]).open(&frame), CodecError::NotAuthentic),
            (Opener::unencrypted([9; 16]).open(&frame), CodecError::NoKey),
        ];
        for (result, expected) in refused {
            assert_eq!(result.unwrap_err(), expected);
        }
        let bare = Sealer::unencrypted().seal(&header(5, 9), b"body").unwrap();
        assert_eq!(
            Opener::keyed(&key, "mail", [9; 16]).open(&bare).unwrap_err(),
            CodecError::NotSealed
        );
        assert_eq!(&Opener::unencrypted([9; 16]).open(&bare).unwrap().1[..], b"body");
    }

    #[test]
    fn a_receiver_with_both_keys_opens_frames_of_either() {
        let [old, new] = [1, 2].map(|n| ClusterKey::from_bytes(&[n; 32]));
        let seal =
            |key, first| Sealer::keyed(key, "mail", [5; 16]).seal(&header(5, first), b"body");
        let mut opener = Opener::keyed(&old, "mail", [9; 16]);
        opener.open(&seal(&old, 1).unwrap()).unwrap();
        assert_eq!(opener.open(&seal(&new, 2).unwrap()).unwrap_err(), CodecError::NotAuthentic);
        opener.set_keys([&old, &new], "mail");
        assert_eq!(opener.senders.len(), 1, "the sender stays cached");
        let newcomer = Header { incarnation: [6; 16], ..header(6, 1) };
        let unknown = Sealer::keyed(&new, "mail", [6; 16]).seal(&newcomer, b"body").unwrap();
        assert_eq!(
            opener.open_rate_limited(&unknown, || false).unwrap_err(),
            CodecError::RateLimited
        );
        for rotated in [seal(&old, 2).unwrap(), seal(&new, 3).unwrap()] {
            opener.open_rate_limited(&rotated, || unreachable!("its keys are cached")).unwrap();
        }
        // In any order, since frames may be reordered.
        for (key, first) in [(&old, 1), (&new, 2), (&old, 1), (&new, 3)] {
            let opened = opener.open_rate_limited(&seal(key, first).unwrap(), || false).unwrap();
            assert_eq!((opened.header.first, opened.key), (first, Some(key.id("mail"))));
        }
        assert_eq!(opener.senders.len(), 1);
        opener.set_keys([&new], "mail");
        opener.open(&seal(&new, 4).unwrap()).unwrap();
        assert_eq!(opener.open(&seal(&old, 4).unwrap()).unwrap_err(), CodecError::NotAuthentic);
    }

    #[test]
    fn a_frame_for_one_node_does_not_open_on_another() {
        let key = ClusterKey::from_bytes(&[1; 32]);
        let header = Header { kind: FrameKind::Control, to: Some([9; 16]), ..header(5, 9) };
        let sealer = Sealer::keyed(&key, "mail", [5; 16]);
        let frame = sealer.seal(&header, b"body").unwrap();
        let opened = Opener::keyed(&key, "mail", [9; 16]).open(&frame).unwrap();
        assert_eq!(opened, (header, Bytes::from_static(b"body")));
        let refused = |frame: &[u8], own| Opener::keyed(&key, "mail", own).open(frame).unwrap_err();
        assert_eq!(refused(&frame, [8; 16]), CodecError::NotAuthentic);
        // Nor with the flag altered: from one recipient to all, or from all to one.
        let flag = |frame: &Bytes, flags: u8| {
            let mut frame = frame.to_vec();
            frame[4] = flags;
            frame
        };
        assert_eq!(refused(&flag(&frame, 1), [9; 16]), CodecError::NotAuthentic);
        let for_all = sealer.seal(&Header { to: None, first: 10, ..header }, b"body").unwrap();
        assert_eq!(refused(&flag(&for_all, 3), [0; 16]), CodecError::NotAuthentic);
    }

    #[test]
    fn a_sealed_frame_does_not_contain_its_plaintext() {
        let key = ClusterKey::from_bytes(&[1; 32]);
        let secret = b"-----a private key-----";
        let frame = Sealer::keyed(&key, "mail", [5; 16]).seal(&header(5, 9), secret).unwrap();
        assert!(!frame.windows(8).any(|window| secret.windows(8).any(|s| s == window)));
    }

    /// Opens frames of senders that are named by numbers.
    struct Cache {
        key: ClusterKey,
        opener: Opener,
    }

    impl Cache {
        fn new() -> Self {
            let key = ClusterKey::from_bytes(&[1; 32]);
            Self { opener: Opener::keyed(&key, "mail", [9; 16]), key }
        }

        fn frame(&self, key: &ClusterKey, sender: u128) -> Bytes {
            let incarnation = sender.to_be_bytes();
            let header = Header { incarnation, ..header(0, 1) };
            Sealer::keyed(key, "mail", incarnation).seal(&header, b"").unwrap()
        }

        fn open(&mut self, sender: u128) {
            let frame = self.frame(&self.key, sender);
            self.opener.open(&frame).unwrap();
        }

        /// Whether the keys of the sender are cached.
        fn has(&mut self, sender: u128) -> bool {
            let frame = self.frame(&self.key, sender);
            self.opener.open_rate_limited(&frame, || false) != Err(CodecError::RateLimited)
        }
    }

    #[test]
    fn forged_frames_do_not_grow_the_cache_and_non_members_are_bounded() {
        let other_key = ClusterKey::from_bytes(&[9; 32]);
        let mut cache = Cache::new();
        for sender in 0..3 * Opener::MAX_CACHED_NON_MEMBERS as u128 {
            let forged = cache.frame(&other_key, sender);
            assert!(cache.opener.open(&forged).is_err());
            cache.open(sender);
            // Used every time, so never the oldest.
            assert!(cache.has(0), "{sender}");
            assert!(cache.opener.senders.len() <= Opener::MAX_CACHED_NON_MEMBERS);
        }
        assert!(!cache.has(1));
    }

    #[test]
    fn non_members_do_not_evict_members() {
        const MEMBERS: u128 = 1_152;
        let mut cache = Cache::new();
        for sender in 0..MEMBERS {
            cache.open(sender);
            cache.opener.member_joined(sender.to_be_bytes());
        }
        for newcomer in MEMBERS..MEMBERS + 2 * Opener::MAX_CACHED_NON_MEMBERS as u128 {
            cache.open(newcomer);
        }
        assert!((0..MEMBERS).all(|member| cache.has(member)));
        // Former members are non-members and bounded as such.
        for member in 0..MEMBERS {
            cache.opener.member_left(member.to_be_bytes());
        }
        assert!(cache.opener.senders.len() <= Opener::MAX_CACHED_NON_MEMBERS);
        assert!(cache.has(MEMBERS - 1), "it left last");
        // A member that other peers introduced is cached before its first frame.
        cache.opener.member_joined(u128::MAX.to_be_bytes());
        assert!(cache.has(u128::MAX));
    }

    #[test]
    fn a_body_past_the_limit_is_refused() {
        let body = vec![0; crate::MAX_FRAME_LEN];
        let error = Sealer::unencrypted().seal(&header(1, 1), &body).unwrap_err();
        assert!(matches!(error, CodecError::TooLong { .. }));
    }
}
