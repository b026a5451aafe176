//! Donate money: `POST /v1/donate_money`.

use super::action::action;
use crate::value::{Category, Cents};

action! {
    /// `POST /v1/donate_money`: donates money, in US cents, to the cause of the
    /// account (tree planting, unless 1ClickImpact set up another) or of the
    /// request.
    ///
    /// Five dollars for the climate:
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
    /// let answer = r#"{"user_id":"U123","money_donated":500,"category":"climate",
    ///                  "time_utc":"2024-09-16T20:34:04.429Z"}"#;
    /// let receipt = api.decode(&donate, http::Response::new(answer))?;
    /// assert_eq!(receipt.impact.to_string(), "$5.00 donated");
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    DonateMoney {
        /// How much, in US cents: 1..=1,000,000,000.
        amount: Cents,
        /// The cause, such as [`Category::Climate`]; the account's own if `None`.
        /// A name that is not known is sent as it is: the API may know more of them.
        category: Category,
    }
    POST "/v1/donate_money" => MoneyDonated
}
