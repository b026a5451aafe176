//! Clean the ocean: `POST /v1/clean_ocean`.

use super::action::action;
use crate::value::Pounds;

action! {
    /// `POST /v1/clean_ocean`: takes plastic out of the ocean, in pounds.
    ///
    /// ```
    /// use oneclick_proto::{Api, Customer, CleanOcean, Pounds};
    ///
    /// let api = Api::sandbox("test_key")?;
    /// let customer = Customer::new("ada@example.com")?.name("Ada Lovelace");
    /// let request = api.encode(&CleanOcean::new(Pounds::of::<5>()).customer(customer))?;
    /// assert_eq!(request.uri().path(), "/v1/clean_ocean");
    /// assert_eq!(
    ///     request.body(),
    ///     br#"{"amount":5,"customer_email":"ada@example.com","customer_name":"Ada Lovelace"}"#,
    /// );
    ///
    /// let answer = http::Response::new(
    ///     r#"{"user_id":"U123","waste_removed":5,"time_utc":"2024-09-16T20:34:04.429Z"}"#,
    /// );
    /// let receipt = api.decode(&CleanOcean::new(Pounds::of::<5>()), answer)?;
    /// assert_eq!(receipt.impact.amount, 5);
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    CleanOcean {
        /// How much plastic, in pounds: 1..=10,000,000.
        amount: Pounds,
    }
    POST "/v1/clean_ocean" => WasteRemoved
}
