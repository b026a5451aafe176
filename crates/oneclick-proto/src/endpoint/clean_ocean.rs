//! Clean the ocean: `POST /v1/clean_ocean`.

use super::action::action;
use crate::value::Pounds;

action! {
    /// `POST /v1/clean_ocean`: removes plastic from the ocean, in pounds.
    ///
    /// This stores an order number in the metadata, to find the record later:
    ///
    /// ```
    /// use oneclick_proto::{Api, CleanOcean, Metadata, Pounds};
    ///
    /// let api = Api::sandbox("test_key")?;
    /// let order = Metadata::from_pairs([("order", "A-1001")])?;
    /// let clean = CleanOcean::new(Pounds::of::<5>()).metadata(order);
    /// let request = api.encode(&clean)?;
    /// assert_eq!(request.uri().path(), "/v1/clean_ocean");
    /// assert_eq!(request.body(), br#"{"amount":5,"metadata":{"order":"A-1001"}}"#);
    ///
    /// let body = r#"{"user_id":"U123","waste_removed":5,"time_utc":"2024-09-16T20:34:04.429Z"}"#;
    /// let receipt = api.decode(&clean, http::Response::new(body))?;
    /// assert_eq!(receipt.impact.to_string(), "5 lbs of plastic out of the ocean");
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    CleanOcean {
        /// The weight of plastic in pounds, 1..=10,000,000.
        amount: Pounds,
    }
    POST "/v1/clean_ocean" => WasteRemoved
}
