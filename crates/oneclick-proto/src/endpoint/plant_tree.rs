//! Plant trees: `POST /v1/plant_tree`.

use super::action::action;
use crate::value::{TreeCategory, Trees};

action! {
    /// `POST /v1/plant_tree`: plants trees.
    ///
    /// Trees that bear food, on behalf of a customer:
    ///
    /// ```
    /// use oneclick_proto::{Api, Customer, PlantTree, TreeCategory, Trees};
    ///
    /// let ada = Customer::new("ada@example.com")?.name("Ada");
    /// let plant = PlantTree::new(Trees::of::<5>()).category(TreeCategory::Food).customer(ada);
    ///
    /// let request = Api::sandbox("test_key")?.encode(&plant)?;
    /// assert_eq!(request.uri().path(), "/v1/plant_tree");
    /// assert_eq!(
    ///     request.body(),
    ///     br#"{"amount":5,"customer_email":"ada@example.com","customer_name":"Ada","category":"food"}"#,
    /// );
    /// # Ok::<(), oneclick_proto::Error>(())
    /// ```
    PlantTree {
        /// The number of trees, 1..=10,000,000.
        amount: Trees,
        /// The kind of trees; standard reforestation trees if `None`.
        category: TreeCategory,
    }
    POST "/v1/plant_tree" => TreePlanted
}
