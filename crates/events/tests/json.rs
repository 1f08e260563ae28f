//! JSON is untrusted: it makes no value that a constructor would refuse.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

use mailmesh_events::{CacheInvalidation, Custom, EmailPush, Event, limits};

fn refuses<T: serde::de::DeserializeOwned + std::fmt::Debug>(json: &str, why: &str) {
    let error = serde_json::from_str::<T>(json).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn json_of_a_custom_event_is_checked() {
    refuses::<Custom>(r#"{"kind":"","payload":[]}"#, "the kind of a custom event is empty");
    let kind = "k".repeat(limits::CUSTOM_KIND_LEN + 1);
    refuses::<Custom>(&format!(r#"{{"kind":"{kind}","payload":[]}}"#), "the limit is 64");
    let payload = vec![0; limits::CUSTOM_PAYLOAD_LEN + 1];
    let payload = serde_json::to_string(&payload).unwrap();
    refuses::<Custom>(&format!(r#"{{"kind":"k","payload":{payload}}}"#), "the limit is 196608");
}

#[test]
fn json_of_an_email_push_is_checked() {
    let mailboxes = serde_json::to_string(&vec![0; limits::LIST_IDS + 1]).unwrap();
    let json = format!(
        r#"{{"account":1,"email":2,"change":3,"received":4,"size":5,"mailboxes":{mailboxes}}}"#
    );
    refuses::<EmailPush>(&json, "the list of mailboxes is 16385 long");
}

#[test]
fn json_of_a_cache_invalidation_is_checked() {
    refuses::<CacheInvalidation>(r#"{"cache":"dns","scope":{"ids":[]}}"#, "is empty");
    let ids = serde_json::to_string(&vec![0; limits::LIST_IDS + 1]).unwrap();
    let json = format!(r#"{{"kind":"cache","event":{{"cache":"dns","scope":{{"ids":{ids}}}}}}}"#);
    refuses::<Event>(&json, "the list of ids to invalidate is 16385 long");
}

#[test]
fn json_within_the_limits_round_trips() {
    for json in [
        r#"{"kind":"custom","event":{"kind":"acme.x","payload":[1,2]}}"#,
        concat!(
            r#"{"kind":"email-push","event":{"account":1,"email":2,"change":3,"#,
            r#""received":4,"size":5,"mailboxes":[6]}}"#,
        ),
        r#"{"kind":"cache","event":{"cache":"dns","scope":{"ids":[7]}}}"#,
        r#"{"kind":"cache","event":{"cache":{"other":99},"scope":"negative"}}"#,
    ] {
        let event: Event = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), json);
    }
}
