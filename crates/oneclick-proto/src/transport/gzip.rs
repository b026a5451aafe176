//! Taking gzip off the body of an answer, with a decoder of the adapter's.

use std::io::{self, Read};

use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

/// A decoder of gzip: reads what is in the bytes given, all members of it, and
/// fails where they are cut or damaged.
///
/// With flate2 it is
/// `|packed| Box::new(flate2::bufread::MultiGzDecoder::new(packed))`.
pub type Gunzip = for<'a> fn(packed: &'a [u8]) -> Box<dyn Read + 'a>;

/// What a request asks for as `accept-encoding`: gzip with a decoder of it, else
/// `identity`. Without the header a server may choose any encoding (RFC 9110, 12.5.3).
#[must_use]
pub const fn accept_encoding(decoder: Option<Gunzip>) -> HeaderValue {
    HeaderValue::from_static(if decoder.is_some() { "gzip" } else { "identity" })
}

/// The encoding of a body, in small letters, if it has any.
pub(crate) fn encoding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(CONTENT_ENCODING).into_iter();
    let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let encoding = values.join(", ").trim().to_ascii_lowercase();
    (!encoding.is_empty() && encoding != "identity").then_some(encoding)
}

/// Whether a body is in gzip and nothing else.
pub(super) fn is_gzip(headers: &HeaderMap) -> bool {
    encoding(headers).is_some_and(|encoding| encoding == "gzip" || encoding == "x-gzip")
}

/// How much may arrive of a body that may hold `limit`: what does not compress
/// grows by far less than an eighth and a kibibyte. Without an end to it, gzip
/// could go on for ever and hold nothing.
pub(super) fn most_packed(limit: usize) -> usize {
    limit.saturating_add(limit / 8).saturating_add(1024)
}

/// What a body holds, up to one byte more than the limit, and how that ended.
pub(super) fn unpack(gunzip: Gunzip, packed: &[u8], limit: usize) -> (Vec<u8>, io::Result<usize>) {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut body = Vec::new();
    let read = gunzip(packed).take(most).read_to_end(&mut body);
    (body, read)
}
