//! Sealing: AES-256-GCM over the body, the header and the node it is for as associated data,
//! one key per incarnation.
//!
//! The nonce is (lane, sequence number). It cannot repeat under one key: the key
//! is derived from the incarnation, which is 128 random bits new at every start,
//! and the sender numbers the frames of each lane (control messages are a lane
//! of their own) without ever reusing a number for other content. NIST SP
//! 800-38D, section 8.2.1, calls this a deterministic construction.

use bytes::Bytes;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::Prk;

use crate::header::Sealed;
use crate::known_keys::KnownKeys;
use crate::{ClusterKey, CodecError, HEADER_LEN, Header};

/// Makes frames of one incarnation.
#[derive(Debug)]
pub struct Sealer {
    key: Option<LessSafeKey>,
}

impl Sealer {
    /// For a mesh without a key: frames are only framed.
    #[must_use]
    pub fn open_mesh() -> Self {
        Self { key: None }
    }

    /// Seals with a key derived from the cluster's for this incarnation.
    #[must_use]
    pub fn keyed(key: &ClusterKey, cluster: &str, incarnation: [u8; 16]) -> Self {
        Self { key: Some(subkey(&key.prk(cluster), incarnation)) }
    }

    /// Whether frames are sealed.
    #[must_use]
    pub fn seals(&self) -> bool {
        self.key.is_some()
    }

    /// The frame of this header and body.
    ///
    /// # Errors
    /// [`CodecError::TooLong`] if the body is too long for a frame.
    pub fn seal(&self, header: &Header, body: &[u8]) -> Result<Bytes, CodecError> {
        let tag_len = if self.seals() { AES_256_GCM.tag_len() } else { 0 };
        let len = HEADER_LEN + body.len() + tag_len;
        if len > crate::MAX_FRAME_LEN {
            let (actual, limit) = (len as u64, crate::MAX_FRAME_LEN as u64);
            return Err(CodecError::TooLong { what: "the frame", actual, limit });
        }
        let sealed = if self.seals() { Sealed::Yes } else { Sealed::No };
        let head = header.encode(sealed);
        let mut frame = Vec::with_capacity(len);
        frame.extend_from_slice(&head);
        frame.extend_from_slice(body);
        if let Some(key) = &self.key {
            let tag = key
                .seal_in_place_separate_tag(
                    nonce(header),
                    Aad::from(Associated::new(head, header.to)),
                    &mut frame[HEADER_LEN..],
                )
                .map_err(|_| CodecError::NotAuthentic)?;
            frame.extend_from_slice(tag.as_ref());
        }
        Ok(frame.into())
    }
}

/// Opens frames of any incarnation of the cluster, by any of its keys. Derived keys are kept for
/// the members ([`member_joined`](Self::member_joined)), and for the
/// [`KEPT_STRANGERS`](Self::KEPT_STRANGERS) other incarnations whose frames held last.
pub struct Opener {
    own: [u8; 16],
    /// One for each key of the cluster; none of an open mesh.
    prks: Vec<Prk>,
    /// Derived from each of these.
    known: KnownKeys,
}

impl Opener {
    /// Most incarnations that are no members whose derived keys are kept; those of others are
    /// derived again when needed.
    pub const KEPT_STRANGERS: usize = KnownKeys::STRANGERS;

    /// Of the node `own`, for a mesh without a key.
    #[must_use]
    pub fn open_mesh(own: [u8; 16]) -> Self {
        Self { own, prks: Vec::new(), known: KnownKeys::default() }
    }

    /// Of the node `own`: opens frames sealed with the cluster's key for all, or for it
    /// alone.
    #[must_use]
    pub fn keyed(key: &ClusterKey, cluster: &str, own: [u8; 16]) -> Self {
        Self { prks: vec![key.prk(cluster)], ..Self::open_mesh(own) }
    }

    /// Opens frames sealed with any of these keys from now on, and no others.
    pub fn accept<'a>(&mut self, keys: impl IntoIterator<Item = &'a ClusterKey>, cluster: &str) {
        self.prks = keys.into_iter().map(|key| key.prk(cluster)).collect();
        // A known sender stays so, whichever of them it seals with.
        let prks = &self.prks;
        self.known.derive_anew(|incarnation| subkeys(prks, incarnation));
    }

    /// Keeps the keys of this incarnation until [`member_left`](Self::member_left), whatever
    /// other senders come. The caller bounds how many there are.
    pub fn member_joined(&mut self, incarnation: [u8; 16]) {
        if !self.prks.is_empty() {
            self.known.joined(incarnation, || subkeys(&self.prks, incarnation));
        }
    }

    /// The incarnation is no member any more.
    pub fn member_left(&mut self, incarnation: [u8; 16]) {
        self.known.left(incarnation);
    }

    /// The header and body of a frame. `first`, `count` and `to` of an unsealed frame
    /// are as claimed.
    ///
    /// # Errors
    /// What [`CodecError`] says of headers; [`CodecError::NoKey`],
    /// [`CodecError::NotSealed`], [`CodecError::NotAuthentic`].
    pub fn open(&mut self, frame: &[u8]) -> Result<(Header, Bytes), CodecError> {
        self.open_if(frame, || true)
    }

    /// As [`open`](Self::open), but asks whether it may derive keys for a sender whose frames
    /// have not held yet: strangers cost nothing else.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`CodecError::NotTried`].
    pub fn open_if(
        &mut self,
        frame: &[u8],
        may_try: impl FnOnce() -> bool,
    ) -> Result<(Header, Bytes), CodecError> {
        let (header, sealed) = Header::decode(frame, self.own)?;
        let (head, body) =
            frame.split_first_chunk().ok_or(CodecError::Truncated { what: "the frame header" })?;
        match (self.prks.is_empty(), sealed) {
            (true, Sealed::No) => return Ok((header, Bytes::copy_from_slice(body))),
            (true, Sealed::Yes) => return Err(CodecError::NoKey),
            (false, Sealed::No) => return Err(CodecError::NotSealed),
            (false, Sealed::Yes) => {}
        }
        let associated = Associated::new(*head, header.to);
        let by_known = |keys: &mut [_]| open_any(keys, &header, &associated, body);
        if let Some(opened) = self.known.with(header.incarnation, by_known) {
            return opened.map(|body| (header, body)).ok_or(CodecError::NotAuthentic);
        }
        if !may_try() {
            return Err(CodecError::NotTried);
        }
        let mut keys = subkeys(&self.prks, header.incarnation);
        let body = open_any(&mut keys, &header, &associated, body);
        // Only keys whose frame held are kept: a sender without the cluster's key pushes none out.
        let body = body.ok_or(CodecError::NotAuthentic)?;
        self.known.insert(header.incarnation, keys);
        Ok((header, body))
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opener {{ keys: {}, cached: {} }}", self.prks.len(), self.known.len())
    }
}

/// By the first key that holds, which is tried first from then on.
fn open_any(
    keys: &mut [LessSafeKey],
    header: &Header,
    associated: &Associated,
    body: &[u8],
) -> Option<Bytes> {
    let opened =
        |(at, key): (usize, &LessSafeKey)| Some((at, open(key, header, associated, body)?));
    let (at, body) = keys.iter().enumerate().find_map(opened)?;
    keys.swap(0, at);
    Some(body)
}

fn open(key: &LessSafeKey, header: &Header, associated: &Associated, body: &[u8]) -> Option<Bytes> {
    let mut body = body.to_vec();
    let opened = key.open_in_place(nonce(header), Aad::from(associated.as_ref()), &mut body);
    let len = opened.ok()?.len();
    body.truncate(len);
    Some(body.into())
}

fn subkeys(prks: &[Prk], incarnation: [u8; 16]) -> Vec<LessSafeKey> {
    prks.iter().map(|prk| subkey(prk, incarnation)).collect()
}

/// HKDF-Expand (RFC 5869) for one incarnation.
fn subkey(prk: &Prk, incarnation: [u8; 16]) -> LessSafeKey {
    derive(prk, &[b"frame", &incarnation])
}

/// A key for one purpose.
pub(crate) fn derive(prk: &Prk, purpose: &[&[u8]]) -> LessSafeKey {
    match prk.expand(purpose, &AES_256_GCM) {
        Ok(okm) => LessSafeKey::new(UnboundKey::from(okm)),
        Err(_) => unreachable!("HKDF-SHA256 gives up to 8,160 bytes, 32 are asked for"),
    }
}

/// What is authenticated besides the body: the header, then for whom it is, if for one:
/// the header tells the two apart.
struct Associated([u8; HEADER_LEN + 16], usize);

impl Associated {
    fn new(head: [u8; HEADER_LEN], to: Option<[u8; 16]>) -> Self {
        let mut data = [0; HEADER_LEN + 16];
        data[..HEADER_LEN].copy_from_slice(&head);
        data[HEADER_LEN..].copy_from_slice(&to.unwrap_or_default());
        Self(data, if to.is_some() { HEADER_LEN + 16 } else { HEADER_LEN })
    }
}

impl AsRef<[u8]> for Associated {
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
            (Opener::open_mesh([9; 16]).open(&frame), CodecError::NoKey),
        ];
        for (result, expected) in refused {
            assert_eq!(result.unwrap_err(), expected);
        }
        let bare = Sealer::open_mesh().seal(&header(5, 9), b"body").unwrap();
        assert_eq!(
            Opener::keyed(&key, "mail", [9; 16]).open(&bare).unwrap_err(),
            CodecError::NotSealed
        );
        assert_eq!(&Opener::open_mesh([9; 16]).open(&bare).unwrap().1[..], b"body");
    }

    #[test]
    fn who_changes_its_key_is_understood_by_who_has_both() {
        let [old, new] = [1, 2].map(|n| ClusterKey::from_bytes(&[n; 32]));
        let seal =
            |key, first| Sealer::keyed(key, "mail", [5; 16]).seal(&header(5, first), b"body");
        let mut opener = Opener::keyed(&old, "mail", [9; 16]);
        opener.open(&seal(&old, 1).unwrap()).unwrap();
        assert_eq!(opener.open(&seal(&new, 2).unwrap()).unwrap_err(), CodecError::NotAuthentic);
        opener.accept([&old, &new], "mail");
        assert_eq!(opener.known.len(), 1, "who is known stays so");
        let stranger = Header { incarnation: [6; 16], ..header(6, 1) };
        let strange = Sealer::keyed(&new, "mail", [6; 16]).seal(&stranger, b"body").unwrap();
        assert_eq!(opener.open_if(&strange, || false).unwrap_err(), CodecError::NotTried);
        for turned in [seal(&old, 2).unwrap(), seal(&new, 3).unwrap()] {
            opener.open_if(&turned, || unreachable!("its keys are known")).unwrap();
        }
        // In any order: what was sent before may come after.
        for (key, first) in [(&old, 1), (&new, 2), (&old, 1), (&new, 3)] {
            assert_eq!(opener.open(&seal(key, first).unwrap()).unwrap().0.first, first);
        }
        assert_eq!(opener.known.len(), 1);
        opener.accept([&new], "mail");
        opener.open(&seal(&new, 4).unwrap()).unwrap();
        assert_eq!(opener.open(&seal(&old, 4).unwrap()).unwrap_err(), CodecError::NotAuthentic);
    }

    #[test]
    fn a_frame_for_one_node_is_opened_by_no_other() {
        let key = ClusterKey::from_bytes(&[1; 32]);
        let header = Header { kind: FrameKind::Control, to: Some([9; 16]), ..header(5, 9) };
        let sealer = Sealer::keyed(&key, "mail", [5; 16]);
        let frame = sealer.seal(&header, b"body").unwrap();
        let opened = Opener::keyed(&key, "mail", [9; 16]).open(&frame).unwrap();
        assert_eq!(opened, (header, Bytes::from_static(b"body")));
        let refused = |frame: &[u8], own| Opener::keyed(&key, "mail", own).open(frame).unwrap_err();
        assert_eq!(refused(&frame, [8; 16]), CodecError::NotAuthentic);
        // Nor by anybody if it claims to be for all, or one for all to be for one.
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
    fn a_body_is_not_readable_in_the_frame() {
        let key = ClusterKey::from_bytes(&[1; 32]);
        let secret = b"-----a private key-----";
        let frame = Sealer::keyed(&key, "mail", [5; 16]).seal(&header(5, 9), secret).unwrap();
        assert!(!frame.windows(8).any(|window| secret.windows(8).any(|s| s == window)));
    }

    /// Opens frames of incarnations of the cluster by their numbers.
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

        /// Whether the sender's keys are kept.
        fn knows(&mut self, sender: u128) -> bool {
            let frame = self.frame(&self.key, sender);
            self.opener.open_if(&frame, || false) != Err(CodecError::NotTried)
        }
    }

    #[test]
    fn a_stranger_cannot_grow_the_cache_and_strangers_are_bounded() {
        let stranger = ClusterKey::from_bytes(&[9; 32]);
        let mut cache = Cache::new();
        for sender in 0..3 * Opener::KEPT_STRANGERS as u128 {
            let forged = cache.frame(&stranger, sender);
            assert!(cache.opener.open(&forged).is_err());
            cache.open(sender);
            // Used all the time, so never the oldest.
            assert!(cache.knows(0), "{sender}");
            assert!(cache.opener.known.len() <= Opener::KEPT_STRANGERS);
        }
        assert!(!cache.knows(1));
    }

    #[test]
    fn members_are_opened_without_a_try_however_many_there_are_and_whoever_else_comes() {
        const MEMBERS: u128 = 1_152;
        let mut cache = Cache::new();
        for sender in 0..MEMBERS {
            cache.open(sender);
            cache.opener.member_joined(sender.to_be_bytes());
        }
        for stranger in MEMBERS..MEMBERS + 2 * Opener::KEPT_STRANGERS as u128 {
            cache.open(stranger);
        }
        assert!((0..MEMBERS).all(|member| cache.knows(member)));
        // Those that left are strangers, and bounded as such.
        for member in 0..MEMBERS {
            cache.opener.member_left(member.to_be_bytes());
        }
        assert!(cache.opener.known.len() <= Opener::KEPT_STRANGERS);
        assert!(cache.knows(MEMBERS - 1), "it left last");
        // A member that is introduced by others is known before its first frame.
        cache.opener.member_joined(u128::MAX.to_be_bytes());
        assert!(cache.knows(u128::MAX));
    }

    #[test]
    fn a_body_past_the_limit_is_refused() {
        let body = vec![0; crate::MAX_FRAME_LEN];
        let error = Sealer::open_mesh().seal(&header(1, 1), &body).unwrap_err();
        assert!(matches!(error, CodecError::TooLong { .. }));
    }
}
