//! Plant trees: `POST /v1/plant_tree`.

use super::action::action;
use crate::value::{TreeCategory, Trees};

action! {
    /// `POST /v1/plant_tree`: plants trees.
    ///
    /// ```
    /// use oneclick_proto::{Api, Customer, PlantTree, Trees};
    ///
    /// let api = Api::sandbox("test_key")?;
    /// let customer = Customer::new("ada@example.com")?.name("Ada Lovelace");
    /// let request = api.encode(&PlantTree::new(Trees::of::<5>()).customer(customer))?;
    /// assert_eq!(request.uri().path(), "/v1/plant_tree");
    /// assert_eq!(
    ///     request.body(),
    ///     br#"{"amount":5,"customer_email":"ada@example.com","customer_name":"Ada Lovelace"}"#,
    /// );
    ///
    /// let answer = http::Response::new(
    ///     r#"{"user_id":"U123","tree_planted":5,"time_utc":"2024-09-16T20:34:04.429Z"}"#,
    /// );
    /// let receipt = api.decode(&PlantTree::new(Trees::of::<5>()), answer)?;
    /// assert_eq!(receipt.impact.amount, 5);
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    PlantTree {
        /// How many trees: 1..=10,000,000.
        amount: Trees,
        /// What kind of trees; standard reforestation trees if there is none.
        category: TreeCategory,
    }
    POST "/v1/plant_tree" => TreePlanted
}
