//! A bounded MessagePack reader and writer on the primitives of rmp.

use rmp::Marker;
use rmp::decode as d;
use rmp::encode as e;

use crate::CodecError;

/// A cursor over MessagePack. Every read checks the bytes that remain.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, CodecError> {
        d::read_int(&mut self.rest).map_err(|error| match error {
            d::NumValueReadError::TypeMismatch(_) | d::NumValueReadError::OutOfRange => {
                CodecError::Type { what }
            }
            _ => CodecError::Truncated { what },
        })
    }

    /// Reads the length of an array: at most `limit`, and at most the number of remaining bytes,
    /// since an element takes at least one.
    pub(crate) fn array(&mut self, what: &'static str, limit: usize) -> Result<usize, CodecError> {
        let len = d::read_array_len(&mut self.rest).map_err(|error| read_error(error, what))?;
        self.check_len(what, len, limit)
    }

    pub(crate) fn bytes(
        &mut self,
        what: &'static str,
        limit: usize,
    ) -> Result<&'a [u8], CodecError> {
        let len = d::read_bin_len(&mut self.rest).map_err(|error| read_error(error, what))?;
        let len = self.check_len(what, len, limit)?;
        let (bytes, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn str(&mut self, what: &'static str, limit: usize) -> Result<&'a str, CodecError> {
        let len = d::read_str_len(&mut self.rest).map_err(|error| read_error(error, what))?;
        let len = self.check_len(what, len, limit)?;
        let (bytes, rest) = self.rest.split_at(len);
        self.rest = rest;
        std::str::from_utf8(bytes).map_err(|_| CodecError::Type { what })
    }

    /// Consumes a `nil` if one comes next, and returns whether it did.
    pub(crate) fn nil(&mut self) -> bool {
        match self.rest.split_first() {
            Some((&first, rest)) if Marker::from_u8(first) == Marker::Null => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn check_len(&self, what: &'static str, len: u32, limit: usize) -> Result<usize, CodecError> {
        let len = len as usize;
        if len > limit {
            return Err(CodecError::TooLong { what, actual: len as u64, limit: limit as u64 });
        }
        if len > self.rest.len() {
            return Err(CodecError::Truncated { what });
        }
        Ok(len)
    }

    /// Skips one value of any type and returns its bytes. The loop is iterative, so nested values
    /// take no stack.
    pub(crate) fn skip(&mut self, what: &'static str) -> Result<&'a [u8], CodecError> {
        let start = self.rest;
        let truncated = || CodecError::Truncated { what };
        let mut pending = 1_u64;
        while pending > 0 {
            let (&first, rest) = self.rest.split_first().ok_or_else(truncated)?;
            let marker = Marker::from_u8(first);
            let (header, body, children) = shape(marker, rest).ok_or_else(truncated)?;
            self.rest = rest.get(header..).and_then(|r| r.get(body..)).ok_or_else(truncated)?;
            pending = pending - 1 + children;
            // Each pending value takes at least one byte.
            if pending > self.rest.len() as u64 {
                return Err(truncated());
            }
        }
        Ok(&start[..start.len() - self.rest.len()])
    }
}

/// The layout of a value that begins with `marker`: bytes of the length field, bytes of the body,
/// and number of nested values (MessagePack specification, "Formats").
fn shape(marker: Marker, rest: &[u8]) -> Option<(usize, usize, u64)> {
    let length = |width: usize| -> Option<usize> {
        let field = rest.get(..width)?;
        Some(field.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)))
    };
    Some(match marker {
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => {
            (0, 0, 0)
        }
        Marker::U8 | Marker::I8 => (0, 1, 0),
        Marker::U16 | Marker::I16 => (0, 2, 0),
        Marker::U32 | Marker::I32 | Marker::F32 => (0, 4, 0),
        Marker::U64 | Marker::I64 | Marker::F64 => (0, 8, 0),
        Marker::FixStr(len) => (0, usize::from(len), 0),
        Marker::Str8 | Marker::Bin8 => (1, length(1)?, 0),
        Marker::Str16 | Marker::Bin16 => (2, length(2)?, 0),
        Marker::Str32 | Marker::Bin32 => (4, length(4)?, 0),
        Marker::FixArray(len) => (0, 0, u64::from(len)),
        Marker::Array16 => (2, 0, length(2)? as u64),
        Marker::Array32 => (4, 0, length(4)? as u64),
        Marker::FixMap(len) => (0, 0, 2 * u64::from(len)),
        Marker::Map16 => (2, 0, 2 * length(2)? as u64),
        Marker::Map32 => (4, 0, 2 * length(4)? as u64),
        Marker::FixExt1 => (0, 2, 0),
        Marker::FixExt2 => (0, 3, 0),
        Marker::FixExt4 => (0, 5, 0),
        Marker::FixExt8 => (0, 9, 0),
        Marker::FixExt16 => (0, 17, 0),
        Marker::Ext8 => (1, 1 + length(1)?, 0),
        Marker::Ext16 => (2, 1 + length(2)?, 0),
        Marker::Ext32 => (4, length(4)?.checked_add(1)?, 0),
        Marker::Reserved => return None,
    })
}

fn read_error(error: d::ValueReadError, what: &'static str) -> CodecError {
    match error {
        d::ValueReadError::TypeMismatch(_) => CodecError::Type { what },
        _ => CodecError::Truncated { what },
    }
}

/// The fields of one array, in order. Past the end, a required field is [`CodecError::Missing`] and
/// an optional one takes its default.
pub(crate) struct Fields<'r, 'a> {
    reader: &'r mut Reader<'a>,
    remaining: usize,
}

impl<'r, 'a> Fields<'r, 'a> {
    /// Most fields of an array, including fields of future versions.
    const MAX_FIELDS: usize = 64;

    pub(crate) fn begin(
        reader: &'r mut Reader<'a>,
        what: &'static str,
    ) -> Result<Self, CodecError> {
        let remaining = reader.array(what, Self::MAX_FIELDS)?;
        Ok(Self { reader, remaining })
    }

    /// The reader at the next field.
    pub(crate) fn required(&mut self, what: &'static str) -> Result<&mut Reader<'a>, CodecError> {
        self.optional().ok_or(CodecError::Missing { what })
    }

    /// The reader at the next field; `None` past the end.
    pub(crate) fn optional(&mut self) -> Option<&mut Reader<'a>> {
        self.remaining = self.remaining.checked_sub(1)?;
        Some(self.reader)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, CodecError> {
        self.required(what)?.u64(what)
    }

    pub(crate) fn u64_or_default(&mut self, what: &'static str) -> Result<u64, CodecError> {
        self.optional().map_or(Ok(0), |reader| reader.u64(what))
    }

    /// An integer that must fit a smaller type.
    pub(crate) fn int<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, CodecError> {
        fit(self.u64(what)?, what)
    }

    pub(crate) fn int_or_default<T: TryFrom<u64>>(
        &mut self,
        what: &'static str,
    ) -> Result<T, CodecError> {
        fit(self.u64_or_default(what)?, what)
    }

    /// Skips the remaining fields, which a newer version added.
    pub(crate) fn finish(self) -> Result<(), CodecError> {
        for _ in 0..self.remaining {
            self.reader.skip("a field of a newer version")?;
        }
        Ok(())
    }
}

fn fit<T: TryFrom<u64>>(value: u64, what: &'static str) -> Result<T, CodecError> {
    T::try_from(value).map_err(|_| CodecError::Type { what })
}

/// Appends MessagePack to a buffer. Writing to memory cannot fail, so the results of rmp, which is
/// generic over writers, are dropped.
pub(crate) struct Writer<'a>(pub(crate) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        let _infallible = e::write_uint(self.0, value);
        self
    }

    /// Lengths are within [`limits`](mailmesh_events::limits), far below 2^32.
    pub(crate) fn array(&mut self, len: usize) -> &mut Self {
        let _infallible = e::write_array_len(self.0, len as u32);
        self
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let _infallible = e::write_bin(self.0, bytes);
        self
    }

    pub(crate) fn str(&mut self, text: &str) -> &mut Self {
        let _infallible = e::write_str(self.0, text);
        self
    }

    pub(crate) fn nil(&mut self) -> &mut Self {
        let _infallible = e::write_nil(self.0);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skip_finds_the_end_of_every_type_of_value() {
        let values: &[&[u8]] = &[
            &[0x05],
            &[0xc0],
            &[0xcd, 1, 2],
            &[0xcb, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xa2, b'h', b'i'],
            &[0xc4, 2, 9, 9],
            &[0x92, 0x01, 0x91, 0xc3],
            &[0x82, 0x01, 0x02, 0x03, 0x90],
            &[0xd4, 1, 2],
            &[0xc7, 1, 5, 9],
            &[0xdc, 0, 2, 0xc2, 0xa0],
        ];
        for value in values {
            let mut bytes = value.to_vec();
            bytes.push(0x2a);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.skip("value").unwrap(), *value);
            assert_eq!(reader.rest(), [0x2a]);
            for cut in 0..value.len() {
                assert!(Reader::new(&value[..cut]).skip("value").is_err(), "{value:02x?} at {cut}");
            }
        }
    }

    #[test]
    fn deep_nesting_takes_no_stack_and_a_false_count_no_time() {
        let mut deep = vec![0x91; 1_000_000];
        deep.push(0xc0);
        assert_eq!(Reader::new(&deep).skip("value").unwrap().len(), deep.len());
        let lying = [0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0];
        assert!(Reader::new(&lying).skip("value").is_err());
    }
}
