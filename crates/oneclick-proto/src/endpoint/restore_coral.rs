//! Restore coral: `POST /v1/restore_coral`.

use super::action::action;
use crate::value::Fragments;

action! {
    /// `POST /v1/restore_coral`: restores coral reefs, in fragments of coral.
    ///
    /// ```
    /// use oneclick_proto::{Api, Customer, Fragments, RestoreCoral};
    ///
    /// let api = Api::sandbox("test_key")?;
    /// let customer = Customer::new("ada@example.com")?.name("Ada Lovelace");
    /// let request = api.encode(&RestoreCoral::new(Fragments::of::<5>()).customer(customer))?;
    /// assert_eq!(request.uri().path(), "/v1/restore_coral");
    /// assert_eq!(
    ///     request.body(),
    ///     br#"{"amount":5,"customer_email":"ada@example.com","customer_name":"Ada Lovelace"}"#,
    /// );
    ///
    /// let answer = http::Response::new(
    ///     r#"{"user_id":"U123","coral_restored":5,"time_utc":"2024-09-16T20:34:04.429Z"}"#,
    /// );
    /// let receipt = api.decode(&RestoreCoral::new(Fragments::of::<5>()), answer)?;
    /// assert_eq!(receipt.impact.amount, 5);
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    RestoreCoral {
        /// How many coral fragments: 1..=10,000,000.
        amount: Fragments,
    }
    POST "/v1/restore_coral" => CoralRestored
}
