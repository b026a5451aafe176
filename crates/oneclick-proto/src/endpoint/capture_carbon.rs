//! Capture carbon: `POST /v1/capture_carbon`.

use super::action::action;
use crate::value::Pounds;

action! {
    /// `POST /v1/capture_carbon`: captures carbon, in pounds of CO2.
    ///
    /// ```
    /// use oneclick_proto::{Api, Customer, CaptureCarbon, Pounds};
    ///
    /// let api = Api::sandbox("test_key")?;
    /// let customer = Customer::new("ada@example.com")?.name("Ada Lovelace");
    /// let request = api.encode(&CaptureCarbon::new(Pounds::of::<5>()).customer(customer))?;
    /// assert_eq!(request.uri().path(), "/v1/capture_carbon");
    /// assert_eq!(
    ///     request.body(),
    ///     br#"{"amount":5,"customer_email":"ada@example.com","customer_name":"Ada Lovelace"}"#,
    /// );
    ///
    /// let answer = http::Response::new(
    ///     r#"{"user_id":"U123","carbon_captured":5,"time_utc":"2024-09-16T20:34:04.429Z"}"#,
    /// );
    /// let receipt = api.decode(&CaptureCarbon::new(Pounds::of::<5>()), answer)?;
    /// assert_eq!(receipt.impact.amount, 5);
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    CaptureCarbon {
        /// How much CO2, in pounds: 1..=10,000,000.
        amount: Pounds,
    }
    POST "/v1/capture_carbon" => CarbonCaptured
}
