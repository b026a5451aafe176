//! An answer, and how it arrives.

use std::fmt;
use std::time::Duration;

use http::Response;

use super::fault::Fault;

/// What became of a request.
#[derive(Clone)]
#[non_exhaustive]
pub struct Exchange {
    /// The answer. If none arrives, what it would have been, or 500 if the
    /// request was not applied.
    pub response: Response<Vec<u8>>,
    /// How it arrives.
    pub delivery: Delivery,
    /// The fault that hit the request; `None` if none did.
    pub fault: Option<Fault>,
    /// Whether the server may write a `Date` header of its own.
    pub(crate) has_date: bool,
}

/// How an answer arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// As it should.
    Whole,
    /// After so long.
    Late(Duration),
    /// With so many bytes of its body; then the connection closes.
    Cut(usize),
    /// With a `Content-Length` that is wrong by so many bytes; then the connection
    /// closes.
    WrongLength(i32),
    /// As HTTP/1.0 and without a `Content-Length`, with so many bytes of its body
    /// (all if `None`); then the connection closes, and nothing else says where the
    /// body ends.
    NoLength(Option<usize>),
    /// Byte by byte, with this pause before each; then the connection closes.
    Trickle(Duration),
    /// As bytes that are not HTTP; then the connection closes.
    NotHttp,
    /// Not at all: the connection closes.
    Dropped,
    /// Not at all: the connection stays open.
    Never,
}

/// Without headers and body, which can hold what is private.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("status", &self.response.status())
            .field("delivery", &self.delivery)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    pub(super) fn whole(response: Response<Vec<u8>>) -> Self {
        Self { response, delivery: Delivery::Whole, fault: None, has_date: true }
    }

    pub(super) fn of(response: Response<Vec<u8>>, fault: Fault) -> Self {
        let delivery = match fault {
            Fault::DropBefore | Fault::ApplyThenDrop | Fault::DropThenApply { .. } => {
                Delivery::Dropped
            }
            Fault::LateResponse { millis } => Delivery::Late(Duration::from_millis(millis)),
            Fault::CutResponse { at } => Delivery::Cut(at),
            Fault::NoLength { at } => Delivery::NoLength(at),
            Fault::NotHttp => Delivery::NotHttp,
            Fault::WrongLength { by } => Delivery::WrongLength(by),
            Fault::SlowBytes { millis } => Delivery::Trickle(Duration::from_millis(millis)),
            Fault::NeverRespond { .. } => Delivery::Never,
            Fault::RateLimited { .. }
            | Fault::ServerError
            | Fault::Unavailable
            | Fault::Gateway { .. }
            | Fault::ApplyThenError
            | Fault::Garbage
            | Fault::Hidden { .. } => Delivery::Whole,
        };
        Self { response, delivery, fault: Some(fault), has_date: true }
    }
}
