//! Decompresses response bodies with the adapter's gzip decoder.

use std::io::{self, Read};

use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

/// A gzip decoder. It must decode all members, and fail if the bytes are truncated or
/// damaged.
///
/// With flate2 it is
/// `|packed| Box::new(flate2::bufread::MultiGzDecoder::new(packed))`.
pub type Gunzip = for<'a> fn(packed: &'a [u8]) -> Box<dyn Read + 'a>;

/// The value of `accept-encoding` for a request: `gzip` if there is a decoder, else
/// `identity`. Without the header, a server may choose any encoding (RFC 9110, 12.5.3).
#[must_use]
pub const fn accept_encoding(decoder: Option<Gunzip>) -> HeaderValue {
    HeaderValue::from_static(if decoder.is_some() { "gzip" } else { "identity" })
}

/// The encoding of a body in lower case; `None` if it has none.
pub(crate) fn encoding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(CONTENT_ENCODING).into_iter();
    let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let encoding = values.join(", ").trim().to_ascii_lowercase();
    (!encoding.is_empty() && encoding != "identity").then_some(encoding)
}

/// Whether gzip is the only encoding of a body.
pub(super) fn is_gzip(headers: &HeaderMap) -> bool {
    encoding(headers).is_some_and(|encoding| encoding == "gzip" || encoding == "x-gzip")
}

/// The largest size of a compressed body that may hold up to `limit` bytes. Data that
/// does not compress grows by far less than an eighth and a kibibyte. Without this bound,
/// an endless gzip body could decompress to nothing.
pub(super) fn max_packed(limit: usize) -> usize {
    limit.saturating_add(limit / 8).saturating_add(1024)
}

/// Decompresses up to one byte more than the limit; returns the bytes and the result.
pub(super) fn unpack(gunzip: Gunzip, packed: &[u8], limit: usize) -> (Vec<u8>, io::Result<usize>) {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut body = Vec::new();
    let read = gunzip(packed).take(most).read_to_end(&mut body);
    (body, read)
}
