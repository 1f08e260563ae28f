//! The encoding of mirror changes, shared by events and sync messages.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use mailmesh_events::{
    Certificate, CertificateChange, CertificateFingerprint, CertificateParts, DomainNames, Network,
    NetworkChange, NodeId, PrivateKey, Rule, RuleDetails, Stamp, UnixMillis, Value, ValueChange,
    ValueKey, limits,
};
use zeroize::Zeroizing;

use crate::CodecError;
use crate::msgpack::{Fields, Reader, Writer};

/// Number of fields that [`write_network`] writes.
pub(crate) const NETWORK_FIELDS: usize = 6;
/// Number of fields that [`write_certificate`] writes.
pub(crate) const CERTIFICATE_FIELDS: usize = 4;
/// Number of fields that [`write_value`] writes.
pub(crate) const VALUE_FIELDS: usize = 5;

pub(crate) fn write_network(w: &mut Writer<'_>, change: &NetworkChange) {
    write_network_key(w, change.rule, change.network);
    write_stamp(w, change.stamp);
    match &change.details {
        None => w.nil(),
        Some(details) => {
            w.array(4).u64(details.added.0).str(details.reason()).str(details.origin());
            match details.expires {
                Some(at) => w.u64(at.0),
                None => w.nil(),
            }
        }
    };
}

fn write_network_key(w: &mut Writer<'_>, rule: Rule, network: Network) {
    w.u64(match rule {
        Rule::Block => 0,
        Rule::Allow => 1,
    });
    match network.address() {
        IpAddr::V4(address) => w.bytes(&address.octets()),
        IpAddr::V6(address) => w.bytes(&address.octets()),
    };
    w.u64(network.prefix_len().into());
}

fn read_network_key(fields: &mut Fields<'_, '_>) -> Result<(Rule, Network), CodecError> {
    let rule = match fields.u64("rule")? {
        0 => Rule::Block,
        1 => Rule::Allow,
        value => {
            return Err(CodecError::UnknownValue { what: "rule", value });
        }
    };
    let address = fields.required("address")?.bytes("address", 16)?;
    let address: IpAddr = match (<[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
        (Ok(v4), _) => v4.into(),
        (_, Ok(v6)) => v6.into(),
        _ => return Err(CodecError::Type { what: "address" }),
    };
    Ok((rule, Network::new(address, fields.int("prefix length")?)?))
}

pub(crate) fn read_network(fields: &mut Fields<'_, '_>) -> Result<NetworkChange, CodecError> {
    let (rule, network) = read_network_key(fields)?;
    let stamp = read_stamp(fields)?;
    let reader = fields.required("block")?;
    let details = if reader.nil() { None } else { Some(Arc::new(read_details(reader)?)) };
    Ok(NetworkChange::new(rule, network, stamp, details))
}

fn read_details(reader: &mut Reader<'_>) -> Result<RuleDetails, CodecError> {
    let mut fields = Fields::begin(reader, "block")?;
    let added = UnixMillis(fields.u64("time of the block")?);
    let reason = fields.required("reason")?.str("reason", limits::TEXT_LEN)?;
    let mut details = RuleDetails::new(reason, added)?;
    if let Some(reader) = fields.optional() {
        details = details.with_origin(reader.str("origin", limits::TEXT_LEN)?)?;
    }
    if let Some(reader) = fields.optional()
        && !reader.nil()
    {
        details.expires = Some(UnixMillis(reader.u64("expiry")?));
    }
    fields.finish()?;
    Ok(details)
}

pub(crate) fn write_certificate(w: &mut Writer<'_>, change: &CertificateChange) {
    write_names(w, &change.names);
    write_stamp(w, change.stamp);
    let Some(certificate) = &change.certificate else {
        w.nil();
        return;
    };
    w.array(5).array(certificate.chain().len());
    for der in certificate.chain() {
        w.bytes(der);
    }
    w.bytes(certificate.key().der())
        .u64(certificate.not_before().0)
        .u64(certificate.not_after().0)
        .bytes(&certificate.fingerprint().0);
}

fn write_names(w: &mut Writer<'_>, names: &DomainNames) {
    w.array(names.iter().len());
    for name in names.iter() {
        w.str(name);
    }
}

fn read_names(fields: &mut Fields<'_, '_>) -> Result<DomainNames, CodecError> {
    let reader = fields.required("names")?;
    let len = reader.array("names", limits::CERTIFICATE_NAMES)?;
    let mut names = Vec::with_capacity(len);
    for _ in 0..len {
        names.push(reader.str("name", limits::NAME_LEN + 1)?);
    }
    Ok(DomainNames::new(names)?)
}

pub(crate) fn read_certificate(
    fields: &mut Fields<'_, '_>,
) -> Result<CertificateChange, CodecError> {
    let names = read_names(fields)?;
    let stamp = read_stamp(fields)?;
    let reader = fields.required("certificate")?;
    let certificate =
        if reader.nil() { None } else { Some(Arc::new(read_parts(reader, names.clone())?)) };
    Ok(CertificateChange::new(names, stamp, certificate))
}

fn read_parts(reader: &mut Reader<'_>, names: DomainNames) -> Result<Certificate, CodecError> {
    let mut fields = Fields::begin(reader, "certificate")?;
    let reader = fields.required("chain")?;
    let len = reader.array("chain", limits::CHAIN_CERTIFICATES)?;
    let mut chain = Vec::with_capacity(len);
    for _ in 0..len {
        chain.push(Bytes::copy_from_slice(reader.bytes("certificate", limits::DER_LEN)?));
    }
    let key = fields.required("private key")?.bytes("private key", limits::DER_LEN)?;
    let key = PrivateKey::from_der(Zeroizing::new(key.to_vec()))?;
    let not_before = UnixMillis(fields.u64("not before")?);
    let not_after = UnixMillis(fields.u64("not after")?);
    let fingerprint = fields.required("fingerprint")?.bytes("fingerprint", 32)?;
    let fingerprint = CertificateFingerprint(
        fingerprint.try_into().map_err(|_| CodecError::Type { what: "fingerprint" })?,
    );
    fields.finish()?;
    let parts = CertificateParts { names, chain, key, not_before, not_after, fingerprint };
    Ok(Certificate::new(parts)?)
}

pub(crate) fn write_value(w: &mut Writer<'_>, change: &ValueChange) {
    w.str(change.key.namespace()).str(change.key.name());
    write_stamp(w, change.stamp);
    let Some(value) = &change.value else {
        w.nil();
        return;
    };
    w.array(2).bytes(value.payload());
    match value.expires {
        Some(at) => w.u64(at.0),
        None => w.nil(),
    };
}

pub(crate) fn read_value(fields: &mut Fields<'_, '_>) -> Result<ValueChange, CodecError> {
    let namespace = fields.required("namespace")?.str("namespace", limits::NAMESPACE_LEN)?;
    let name = fields.required("name")?.str("name of a value", limits::VALUE_NAME_LEN)?;
    let key = ValueKey::new(namespace, name)?;
    let stamp = read_stamp(fields)?;
    let reader = fields.required("value")?;
    if reader.nil() {
        return Ok(ValueChange::new(key, stamp, None));
    }
    let mut fields = Fields::begin(reader, "value")?;
    let payload = fields.required("value")?.bytes("value", limits::VALUE_LEN)?;
    let mut value = Value::new(Bytes::copy_from_slice(payload))?;
    if let Some(reader) = fields.optional()
        && !reader.nil()
    {
        value.expires = Some(UnixMillis(reader.u64("expiry")?));
    }
    fields.finish()?;
    Ok(ValueChange::new(key, stamp, Some(Arc::new(value))))
}

fn write_stamp(w: &mut Writer<'_>, stamp: Stamp) {
    w.u64(stamp.time()).u64(stamp.node().0);
}

fn read_stamp(fields: &mut Fields<'_, '_>) -> Result<Stamp, CodecError> {
    let time = fields.u64("stamp")?;
    Ok(Stamp::from_raw(time, NodeId(fields.u64("writer")?)))
}

/// The tag of a network change in a sync message.
pub(crate) const NETWORK: u64 = 1;
/// The tag of a certificate change in a sync message.
pub(crate) const CERTIFICATE: u64 = 2;
/// The tag of a value change in a sync message.
pub(crate) const VALUE: u64 = 3;
