//! Times as messages show them.

use x509_parser::time::ASN1Time;

/// Formats seconds since 1970 according to RFC 3339.
#[must_use]
pub fn rfc3339(seconds: i64) -> String {
    let Ok(time) = ASN1Time::from_timestamp(seconds) else {
        return format!("{seconds} s after 1970");
    };
    let time = time.to_datetime();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}
