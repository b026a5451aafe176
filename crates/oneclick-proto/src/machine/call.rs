//! One call of one endpoint.

use std::time::Duration;

use super::{Answer, Ask, Machine, Next};
use crate::api::personal_texts;
use crate::{Endpoint, Error};

/// One call of an endpoint, with retries: a [`Machine`] that ends with the
/// response or the reason why there is none.
///
/// A call of an action buys something and cannot be taken up by another
/// process; a [`VerifiedPurchase`](crate::VerifiedPurchase) can.
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
        Next::Ask(Ask::of(&self.0), self)
    }

    fn answered(self, answer: Answer<'_>, _: Duration) -> Next<Self> {
        Next::Done(answer.read::<E>(&|| self.personal()))
    }

    fn personal(&self) -> Vec<String> {
        personal_texts(&self.0)
    }
}
