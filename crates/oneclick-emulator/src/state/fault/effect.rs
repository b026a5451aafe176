//! What a fault does to a response: how it arrives.

use std::fmt;
use std::time::Duration;

use http::Response;

use super::Fault;

/// A response, and how it arrives.
#[derive(Clone)]
#[non_exhaustive]
pub struct Delivered {
    /// The response. If none arrives, the one that was not sent, or a 500 if the request was
    /// not applied.
    pub response: Response<Vec<u8>>,
    /// How it arrives.
    pub delivery: Delivery,
    /// The fault that hit the request, if any.
    pub fault: Option<Fault>,
    /// Whether a server adds a `Date` header if there is none.
    pub(crate) has_date: bool,
}

/// How a response arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// Completely and at once.
    Whole,
    /// Completely, after this delay.
    Late(Duration),
    /// With this many bytes of its body; then the connection closes.
    Cut(usize),
    /// With a `Content-Length` that is too large by this many bytes, or too small if it is
    /// negative; then the connection closes.
    WrongLength(i32),
    /// As HTTP/1.0 without a `Content-Length`, with this many bytes of its body or all of
    /// them; the body ends where the connection closes.
    NoLength(Option<usize>),
    /// Byte by byte, with this pause before each byte of the body; then the connection
    /// closes.
    Trickle(Duration),
    /// As bytes that are not HTTP; then the connection closes.
    NotHttp,
    /// Never: the connection closes.
    Dropped,
    /// Never: the connection stays open.
    Never,
}

/// Leaves out headers and body, which can hold private data.
impl fmt::Debug for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivered")
            .field("status", &self.response.status())
            .field("delivery", &self.delivery)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

impl Delivered {
    pub(in crate::state) fn whole(response: Response<Vec<u8>>) -> Self {
        Self { response, delivery: Delivery::Whole, fault: None, has_date: true }
    }

    pub(in crate::state) fn of(response: Response<Vec<u8>>, fault: Fault) -> Self {
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
