//! The encoding of events: each is one MessagePack array, `[tag, field, ...]`.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use mailmesh_events::{
    AccountId, AlertId, CacheInvalidation, CacheKind, CacheScope, CalendarAlert, CalendarEventId,
    ChangeId, Custom, DataTypes, EmailId, EmailPush, Event, MailboxId, ObjectId, ObjectType,
    PushSubscriptionChange, QueueSignal, RegistryChange, RegistryObject, StateChange,
    SubscriptionChange, SubscriptionId, UnixMillis, UnknownEvent, limits,
};

use crate::CodecError;
use crate::change;
use crate::msgpack::{Fields, Reader, Writer};

/// Tags of events. A tag never changes, and a retired tag is never reused.
mod tag {
    pub(super) const STATE_CHANGE: u64 = 1;
    pub(super) const EMAIL_PUSH: u64 = 2;
    pub(super) const CALENDAR_ALERT: u64 = 3;
    pub(super) const PUSH_SUBSCRIPTION: u64 = 4;
    pub(super) const CACHE: u64 = 5;
    pub(super) const REGISTRY: u64 = 6;
    pub(super) const QUEUE: u64 = 7;
    pub(super) const NETWORK: u64 = 8;
    pub(super) const CERTIFICATE: u64 = 9;
    pub(super) const CUSTOM: u64 = 10;
    pub(super) const VALUE: u64 = 11;
}

/// Appends an event to a body. After an error the body is unchanged.
///
/// # Errors
/// [`CodecError::TooLong`] past [`limits::EVENT_LEN`]; [`CodecError::Type`] for an event that this
/// version cannot encode, such as an [`Event::Unknown`] with trailing bytes;
/// [`CodecError::Truncated`] for an [`Event::Unknown`] whose bytes are not a MessagePack value.
pub fn encode_event(event: &Event, body: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = body.len();
    let result = write(event, body);
    let len = body.len() - start;
    let result = result.and_then(|()| {
        if len > limits::EVENT_LEN {
            let (actual, limit) = (len as u64, limits::EVENT_LEN as u64);
            return Err(CodecError::TooLong { what: "the event", actual, limit });
        }
        Ok(())
    });
    if result.is_err() {
        body.truncate(start);
    }
    result
}

fn write(event: &Event, body: &mut Vec<u8>) -> Result<(), CodecError> {
    let w = &mut Writer(body);
    match event {
        Event::StateChange(e) => {
            w.array(4).u64(tag::STATE_CHANGE);
            w.u64(e.account.0.into()).u64(e.change.0).u64(e.types.bits());
        }
        Event::EmailPush(e) => {
            w.array(7).u64(tag::EMAIL_PUSH).u64(e.account.0.into()).u64(e.email.0.into());
            w.u64(e.change.0).u64(e.received.0).u64(e.size.into());
            w.array(e.mailboxes().len());
            for mailbox in e.mailboxes() {
                w.u64(mailbox.0.into());
            }
        }
        Event::CalendarAlert(e) => {
            w.array(5).u64(tag::CALENDAR_ALERT).u64(e.account.0.into());
            w.u64(e.event.0.into()).u64(e.alert.0.into()).u64(e.due.0);
        }
        Event::PushSubscription(e) => {
            w.array(4).u64(tag::PUSH_SUBSCRIPTION).u64(e.account.0.into());
            w.u64(e.subscription.0.into()).u64(match e.change {
                SubscriptionChange::Created => 0,
                SubscriptionChange::Updated => 1,
                SubscriptionChange::Removed => 2,
                _ => {
                    return Err(CodecError::Type { what: "subscription change" });
                }
            });
        }
        Event::Cache(e) => write_cache(w, e)?,
        Event::Registry(e) => match e {
            RegistryChange::Insert(object) => write_registry(w, 0, *object),
            RegistryChange::Delete(object) => write_registry(w, 1, *object),
            RegistryChange::Reload(object_type) => {
                w.array(3).u64(tag::REGISTRY).u64(2);
                match object_type {
                    Some(object_type) => w.u64(object_type.0.into()),
                    None => w.nil(),
                };
            }
            _ => {
                return Err(CodecError::Type { what: "registry change" });
            }
        },
        Event::Queue(e) => {
            w.array(2).u64(tag::QUEUE).u64(match e {
                QueueSignal::Refresh => 0,
                QueueSignal::Paused => 1,
                QueueSignal::Resumed => 2,
                _ => {
                    return Err(CodecError::Type { what: "queue signal" });
                }
            });
        }
        Event::Network(e) => {
            w.array(1 + change::NETWORK_FIELDS).u64(tag::NETWORK);
            change::write_network(w, e);
        }
        Event::Certificate(e) => {
            w.array(1 + change::CERTIFICATE_FIELDS).u64(tag::CERTIFICATE);
            change::write_certificate(w, e);
        }
        Event::Value(e) => {
            w.array(1 + change::VALUE_FIELDS).u64(tag::VALUE);
            change::write_value(w, e);
        }
        Event::Custom(e) => {
            w.array(3).u64(tag::CUSTOM).str(e.kind()).bytes(e.payload());
        }
        Event::Unknown(e) => {
            if Reader::new(&e.bytes).skip("unknown event")?.len() != e.bytes.len() {
                return Err(CodecError::Type { what: "unknown event" });
            }
            body.extend_from_slice(&e.bytes);
        }
        _ => return Err(CodecError::Type { what: "event" }),
    }
    Ok(())
}

fn write_registry(w: &mut Writer<'_>, operation: u64, object: RegistryObject) {
    w.array(4).u64(tag::REGISTRY).u64(operation);
    w.u64(object.object_type.0.into()).u64(object.id.0);
}

/// Code of [`CacheKind::Other`]`(0)`; named caches have lower codes.
const FIRST_OTHER_CACHE: u64 = 256;

fn write_cache(w: &mut Writer<'_>, e: &CacheInvalidation) -> Result<(), CodecError> {
    let cache = match e.cache() {
        CacheKind::AccessToken => 0,
        CacheKind::Account => 1,
        CacheKind::Domain => 2,
        CacheKind::Tenant => 3,
        CacheKind::Role => 4,
        CacheKind::MailingList => 5,
        CacheKind::Messages => 6,
        CacheKind::DavResources => 7,
        CacheKind::DkimKey => 8,
        CacheKind::Dns => 9,
        CacheKind::OAuth => 10,
        CacheKind::Other(number) => FIRST_OTHER_CACHE + u64::from(number),
        _ => return Err(CodecError::Type { what: "cache" }),
    };
    match e.scope() {
        CacheScope::All => {
            w.array(3).u64(tag::CACHE).u64(cache).u64(0);
        }
        CacheScope::Negative => {
            w.array(3).u64(tag::CACHE).u64(cache).u64(1);
        }
        CacheScope::Ids(ids) => {
            w.array(4).u64(tag::CACHE).u64(cache).u64(2).array(ids.len());
            for id in ids {
                w.u64(id.0);
            }
        }
        _ => {
            return Err(CodecError::Type { what: "cache scope" });
        }
    }
    Ok(())
}

/// The iterator of [`decode_events`].
#[derive(Clone)]
pub struct Events<'a> {
    rest: &'a [u8],
    remaining: u16,
    /// The kind of the last custom event. The next one often has the same and then shares it.
    kind: Option<Arc<str>>,
}

/// Shows lengths only: the bytes may hold a private key.
impl fmt::Debug for Events<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("remaining", &self.remaining)
            .field("bytes", &self.rest.len())
            .finish_non_exhaustive()
    }
}

/// Decodes the `count` events of a body, one at a time. The iterator always yields `count` items.
///
/// An event that does not decode yields an error, and decoding continues with the next event. Where
/// the bytes stop being MessagePack, every remaining item is an error.
#[must_use]
pub fn decode_events(body: &[u8], count: u16) -> Events<'_> {
    Events { rest: body, remaining: count, kind: None }
}

impl Iterator for Events<'_> {
    type Item = Result<Event, CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let mut reader = Reader::new(self.rest);
        let bytes = match reader.skip("the event") {
            Ok(bytes) => bytes,
            Err(error) => {
                self.rest = &[];
                return Some(Err(error));
            }
        };
        self.rest = reader.rest();
        Some(read(bytes, &mut self.kind))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining.into(), Some(self.remaining.into()))
    }
}

impl ExactSizeIterator for Events<'_> {}

fn read(bytes: &[u8], kind: &mut Option<Arc<str>>) -> Result<Event, CodecError> {
    if bytes.len() > limits::EVENT_LEN {
        let (actual, limit) = (bytes.len() as u64, limits::EVENT_LEN as u64);
        return Err(CodecError::TooLong { what: "the event", actual, limit });
    }
    let mut reader = Reader::new(bytes);
    let mut fields = Fields::begin(&mut reader, "event")?;
    let tag = fields.u64("tag")?;
    match read_known(tag, &mut fields, kind) {
        Ok(event) => {
            fields.finish()?;
            Ok(event)
        }
        Err(CodecError::UnknownValue { .. }) => {
            Ok(Event::Unknown(UnknownEvent { tag, bytes: Bytes::copy_from_slice(bytes) }))
        }
        Err(error) => Err(error),
    }
}

fn read_known(
    tag: u64,
    f: &mut Fields<'_, '_>,
    last_custom_kind: &mut Option<Arc<str>>,
) -> Result<Event, CodecError> {
    Ok(match tag {
        tag::STATE_CHANGE => {
            let account = AccountId(f.int("account")?);
            let change = StateChange::new(account, ChangeId(f.u64("change")?));
            let types = DataTypes::from_bits_retain(f.u64_or_default("types")?);
            Event::StateChange(change.with(types))
        }
        tag::EMAIL_PUSH => {
            let account = AccountId(f.int("account")?);
            let email = EmailId(f.int("email")?);
            let push = EmailPush::new(account, email, ChangeId(f.u64("change")?))
                .with_received(UnixMillis(f.u64_or_default("time received")?))
                .with_size(f.int_or_default("size")?);
            let ids = f.optional().map_or(Ok(Vec::new()), |r| ids(r, "mailboxes"))?;
            Event::EmailPush(push.with_mailboxes(ids)?)
        }
        tag::CALENDAR_ALERT => Event::CalendarAlert(CalendarAlert::new(
            AccountId(f.int("account")?),
            CalendarEventId(f.int("calendar event")?),
            AlertId(f.int("alert")?),
            UnixMillis(f.u64("due time")?),
        )),
        tag::PUSH_SUBSCRIPTION => Event::PushSubscription(PushSubscriptionChange::new(
            AccountId(f.int("account")?),
            SubscriptionId(f.int("subscription")?),
            match f.u64("subscription change")? {
                0 => SubscriptionChange::Created,
                1 => SubscriptionChange::Updated,
                2 => SubscriptionChange::Removed,
                value => return unknown("subscription change", value),
            },
        )),
        tag::CACHE => Event::Cache(read_cache(f)?),
        tag::REGISTRY => Event::Registry(match f.u64("registry change")? {
            0 => RegistryChange::Insert(read_object(f)?),
            1 => RegistryChange::Delete(read_object(f)?),
            2 => {
                let reader = f.required("object type")?;
                RegistryChange::Reload(if reader.nil() {
                    None
                } else {
                    let object_type = reader.u64("object type")?;
                    let narrowed = object_type.try_into();
                    let narrowed =
                        narrowed.map_err(|_| CodecError::Type { what: "object type" })?;
                    Some(ObjectType(narrowed))
                })
            }
            value => return unknown("registry change", value),
        }),
        tag::QUEUE => Event::Queue(match f.u64("queue signal")? {
            0 => QueueSignal::Refresh,
            1 => QueueSignal::Paused,
            2 => QueueSignal::Resumed,
            value => return unknown("queue signal", value),
        }),
        tag::NETWORK => Event::Network(change::read_network(f)?),
        tag::CERTIFICATE => Event::Certificate(change::read_certificate(f)?),
        tag::VALUE => Event::Value(change::read_value(f)?),
        tag::CUSTOM => {
            let kind = f.required("custom kind")?.str("custom kind", limits::CUSTOM_KIND_LEN)?;
            let kind = match last_custom_kind {
                Some(last) if **last == *kind => last.clone(),
                _ => last_custom_kind.insert(kind.into()).clone(),
            };
            let payload = f.required("custom payload")?;
            let payload = payload.bytes("custom payload", limits::CUSTOM_PAYLOAD_LEN)?;
            Event::Custom(Custom::new(kind, Bytes::copy_from_slice(payload))?)
        }
        value => return unknown("tag", value),
    })
}

fn unknown<T>(what: &'static str, value: u64) -> Result<T, CodecError> {
    Err(CodecError::UnknownValue { what, value })
}

fn read_object(f: &mut Fields<'_, '_>) -> Result<RegistryObject, CodecError> {
    let object_type = ObjectType(f.int("object type")?);
    Ok(RegistryObject::new(object_type, ObjectId(f.u64("object")?)))
}

fn read_cache(f: &mut Fields<'_, '_>) -> Result<CacheInvalidation, CodecError> {
    let cache = match f.u64("cache")? {
        0 => CacheKind::AccessToken,
        1 => CacheKind::Account,
        2 => CacheKind::Domain,
        3 => CacheKind::Tenant,
        4 => CacheKind::Role,
        5 => CacheKind::MailingList,
        6 => CacheKind::Messages,
        7 => CacheKind::DavResources,
        8 => CacheKind::DkimKey,
        9 => CacheKind::Dns,
        10 => CacheKind::OAuth,
        value => match value.checked_sub(FIRST_OTHER_CACHE).map(u16::try_from) {
            Some(Ok(number)) => CacheKind::Other(number),
            _ => return unknown("cache", value),
        },
    };
    Ok(match f.u64("cache scope")? {
        0 => CacheInvalidation::all(cache),
        1 => CacheInvalidation::negative(cache),
        2 => CacheInvalidation::ids(cache, ids(f.required("cache entries")?, "cache entries")?)?,
        value => return unknown("cache scope", value),
    })
}

/// Reads a list of ids. [`Reader::array`] bounds its length by the remaining bytes.
fn ids<T: Id>(reader: &mut Reader<'_>, what: &'static str) -> Result<Vec<T>, CodecError> {
    let len = reader.array(what, limits::LIST_IDS)?;
    let mut ids = Vec::with_capacity(len);
    for _ in 0..len {
        ids.push(T::from_u64(reader.u64(what)?).ok_or(CodecError::Type { what })?);
    }
    Ok(ids)
}

trait Id: Sized {
    fn from_u64(value: u64) -> Option<Self>;
}

impl Id for MailboxId {
    fn from_u64(value: u64) -> Option<Self> {
        value.try_into().ok().map(Self)
    }
}

impl Id for ObjectId {
    fn from_u64(value: u64) -> Option<Self> {
        Some(Self(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_of(events: &[Event]) -> Vec<u8> {
        let mut body = Vec::new();
        for event in events {
            encode_event(event, &mut body).unwrap();
        }
        body
    }

    #[test]
    fn an_unknown_event_is_kept_and_its_neighbours_decode() {
        let known = Event::from(QueueSignal::Refresh);
        let mut body = body_of(std::slice::from_ref(&known));
        // Tag 200, with a map and an extension inside.
        let foreign = [0x93, 0xcc, 200, 0x81, 0xa1, b'k', 0x07, 0xd4, 1, 2];
        body.extend_from_slice(&foreign);
        body.extend(body_of(std::slice::from_ref(&known)));
        let events: Vec<_> = decode_events(&body, 3).collect::<Result<_, _>>().unwrap();
        let unknown = UnknownEvent { tag: 200, bytes: Bytes::copy_from_slice(&foreign) };
        assert_eq!(events, [known.clone(), Event::Unknown(unknown.clone()), known]);
        // Its encoding is unchanged.
        assert_eq!(body_of(&[Event::Unknown(unknown)]), foreign);
    }

    #[test]
    fn an_unknown_variant_makes_the_event_unknown() {
        let body = [0x92, 0x07, 0x63];
        let event = decode_events(&body, 1).next().unwrap().unwrap();
        assert!(matches!(event, Event::Unknown(UnknownEvent { tag: 7, .. })), "{event}");
    }

    #[test]
    fn extra_fields_are_ignored_and_missing_ones_take_defaults() {
        let longer = [0x96, 1, 7, 9, 1, 0xa1, b'x', 0xc0];
        let shorter = [0x93, 1, 7, 9];
        let change = |types| Event::from(StateChange::new(AccountId(7), ChangeId(9)).with(types));
        let read = |body: &[u8]| decode_events(body, 1).next().unwrap().unwrap();
        assert_eq!(read(&longer), change(DataTypes::EMAIL));
        assert_eq!(read(&shorter), change(DataTypes::empty()));
    }

    #[test]
    fn a_bad_event_is_one_error_and_the_next_event_decodes() {
        let good = Event::from(QueueSignal::Paused);
        let mut body = vec![0x92, 0x01, 0xc0]; // a state change without an account
        body.extend(body_of(std::slice::from_ref(&good)));
        let mut events = decode_events(&body, 2);
        assert!(matches!(events.next(), Some(Err(CodecError::Type { what: "account" }))));
        assert_eq!(events.next(), Some(Ok(good)));
        assert_eq!(events.next(), None);
    }

    #[test]
    fn a_truncated_body_yields_an_error_for_each_missing_event() {
        let body = body_of(&[QueueSignal::Paused.into(), QueueSignal::Refresh.into()]);
        let results: Vec<_> = decode_events(&body[..body.len() - 1], 4).collect();
        assert_eq!(results.len(), 4);
        assert_eq!(results.iter().filter(|r| r.is_err()).count(), 3);
    }

    #[test]
    fn a_hundred_state_changes_take_at_most_1200_bytes() {
        // Typical numbers: 5-digit accounts, 22-bit changes, three types.
        let events: Vec<_> = (0..100)
            .map(|i| {
                let change = ChangeId(3_000_000 + u64::from(i) * 37);
                let types = DataTypes::EMAIL | DataTypes::MAILBOX | DataTypes::THREAD;
                StateChange::new(AccountId(20_000 + i * 7), change).with(types).into()
            })
            .collect();
        let body = body_of(&events);
        assert!(body.len() <= 1_200, "{} bytes for 100 events", body.len());
    }
}
