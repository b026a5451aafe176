//! Donate money: `POST /v1/donate_money`.

use super::action::action;
use crate::value::{Category, Cents};

action! {
    /// `POST /v1/donate_money`: donates money, in US cents, to the cause of the
    /// account (tree planting, unless 1ClickImpact set up another) or of the
    /// request.
    ///
    /// ```
    /// use oneclick_proto::{Api, Customer, Cents, DonateMoney};
    ///
    /// let api = Api::sandbox("test_key")?;
    /// let customer = Customer::new("ada@example.com")?.name("Ada Lovelace");
    /// let request = api.encode(&DonateMoney::new(Cents::of::<500>()).customer(customer))?;
    /// assert_eq!(request.uri().path(), "/v1/donate_money");
    /// assert_eq!(
    ///     request.body(),
    ///     br#"{"amount":500,"customer_email":"ada@example.com","customer_name":"Ada Lovelace"}"#,
    /// );
    ///
    /// let answer = http::Response::new(
    ///     r#"{"user_id":"U123","money_donated":500,"time_utc":"2024-09-16T20:34:04.429Z"}"#,
    /// );
    /// let receipt = api.decode(&DonateMoney::new(Cents::of::<500>()), answer)?;
    /// assert_eq!(receipt.impact.amount, 500);
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    DonateMoney {
        /// How much, in US cents: 1..=1,000,000,000.
        amount: Cents,
        /// The cause, such as [`Category::Climate`]; the account's own if there is none.
        /// A name that is not known is sent as it is: the API may know more of them.
        category: Category,
    }
    POST "/v1/donate_money" => MoneyDonated
}
