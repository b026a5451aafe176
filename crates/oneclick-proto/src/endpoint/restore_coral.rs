//! Restore coral: `POST /v1/restore_coral`.

use super::action::action;
use crate::value::Fragments;

action! {
    /// `POST /v1/restore_coral`: restores coral reefs, in coral fragments.
    ///
    /// On behalf of a customer, without an e-mail to the customer:
    ///
    /// ```
    /// use oneclick_proto::{Api, Customer, Fragments, RestoreCoral};
    ///
    /// let ada = Customer::new("ada@example.com")?;
    /// let restore = RestoreCoral::new(Fragments::of::<3>()).customer(ada).notify(false);
    ///
    /// let request = Api::sandbox("test_key")?.encode(&restore)?;
    /// assert_eq!(request.uri().path(), "/v1/restore_coral");
    /// assert_eq!(
    ///     request.body(),
    ///     br#"{"amount":3,"customer_email":"ada@example.com","notify":false}"#,
    /// );
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    RestoreCoral {
        /// The number of coral fragments, 1..=10,000,000.
        amount: Fragments,
    }
    POST "/v1/restore_coral" => CoralRestored
}
