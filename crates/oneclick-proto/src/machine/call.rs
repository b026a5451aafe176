//! A single call of an endpoint.

use std::time::Duration;

use super::{ApiRequest, ApiResult, Machine, Next};
use crate::api::personal_texts;
use crate::{Endpoint, Error};

/// A single call of an endpoint, with retries: a [`Machine`] whose output is the
/// response or an error.
///
/// A call that buys something cannot be resumed by another process. A
/// [`VerifiedPurchase`](crate::VerifiedPurchase) can.
#[derive(Debug)]
#[must_use = "nothing is sent until the call is started"]
pub struct Call<E>(E);

impl<E: Endpoint> Call<E> {
    /// A call of this endpoint.
    pub const fn new(endpoint: E) -> Self {
        Self(endpoint)
    }
}

impl<E: Endpoint> Machine for Call<E> {
    /// The response; [`Error::execution`] of a failure says whether the call was
    /// executed.
    type Output = Result<E::Response, Error>;
    type State = ();

    fn state(&self) -> &() {
        &()
    }

    fn proceed(self, _: Duration) -> Next<Self> {
        Next::Send(ApiRequest::of(&self.0), self)
    }

    fn handle(self, result: ApiResult<'_>, _: Duration) -> Next<Self> {
        Next::Done(result.read::<E>(&|| self.personal()))
    }

    fn personal(&self) -> Vec<String> {
        personal_texts(&self.0)
    }
}
