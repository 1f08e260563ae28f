//! Upper bounds of the fields of events, keys and certificates. Constructors refuse values beyond
//! them.

pub use mailmesh_events::limits::{
    CERTIFICATE_NAMES, CHAIN_CERTIFICATES, CLUSTER_KEYS, CUSTOM_KIND_LEN, CUSTOM_PAYLOAD_LEN,
    DER_LEN, EVENT_LEN, LIST_IDS, NAME_LEN, NAMESPACE_LEN, TEXT_LEN, VALUE_LEN, VALUE_NAME_LEN,
};
