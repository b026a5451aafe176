//! Capture carbon: `POST /v1/capture_carbon`.

use super::action::action;
use crate::value::Pounds;

action! {
    /// `POST /v1/capture_carbon`: captures carbon, in pounds of CO2.
    ///
    /// The API takes whole pounds. A pound is 453.59237 grams, so this rounds a weight in
    /// grams up:
    ///
    /// ```
    /// use oneclick_proto::{Api, CaptureCarbon, Pounds};
    ///
    /// let grams: u64 = 12_300;
    /// let pounds = (grams * 100_000).div_ceil(45_359_237);
    ///
    /// let capture = CaptureCarbon::new(Pounds::new(pounds)?);
    /// let request = Api::sandbox("test_key")?.encode(&capture)?;
    /// assert_eq!(request.uri().path(), "/v1/capture_carbon");
    /// assert_eq!(request.body(), br#"{"amount":28}"#);
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    CaptureCarbon {
        /// The weight of CO2 in pounds, 1..=10,000,000.
        amount: Pounds,
    }
    POST "/v1/capture_carbon" => CarbonCaptured
}
