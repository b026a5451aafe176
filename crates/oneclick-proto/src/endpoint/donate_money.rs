//! Donate money: `POST /v1/donate_money`.

use super::action::action;
use crate::value::{Category, Cents};

action! {
    /// `POST /v1/donate_money`: donates money, in US cents.
    ///
    /// The cause is that of the request, or else that of the account: planting trees, unless
    /// 1ClickImpact has set another. Five dollars for the climate:
    ///
    /// ```
    /// use oneclick_proto::{Api, Category, Cents, DonateMoney};
    ///
    /// let api = Api::sandbox("test_key")?;
    /// let donate = DonateMoney::new(Cents::of::<500>()).category(Category::Climate);
    /// let request = api.encode(&donate)?;
    /// assert_eq!(request.uri().path(), "/v1/donate_money");
    /// assert_eq!(request.body(), br#"{"amount":500,"category":"climate"}"#);
    ///
    /// let body = r#"{"user_id":"U123","money_donated":500,"category":"climate",
    ///     "time_utc":"2024-09-16T20:34:04.429Z"}"#;
    /// let receipt = api.decode(&donate, http::Response::new(body))?;
    /// assert_eq!(receipt.impact.to_string(), "$5.00 donated");
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    DonateMoney {
        /// The amount in US cents, 1..=1,000,000,000.
        amount: Cents,
        /// The cause, such as [`Category::Climate`]; the account's if `None`. An unknown name
        /// is sent as it is, since the API may know more causes than this version.
        category: Category,
    }
    POST "/v1/donate_money" => MoneyDonated
}
