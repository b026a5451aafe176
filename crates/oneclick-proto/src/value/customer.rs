//! The customer on whose behalf an impact is made.

use serde::{Deserialize, Serialize};

use super::{Email, Extra, InvalidValue, Redacted};

/// The customer of a purchase: an e-mail address and optionally a name.
///
/// These are `customer_email` and `customer_name` of `POST /v1/plant_tree` and the other
/// actions. The API accepts a name only with an e-mail address, so this type does too.
///
/// ```
/// use oneclick_proto::Customer;
///
/// let ada = Customer::new("ada@example.com")?.name("Ada Lovelace");
/// assert_eq!(ada.customer_email.as_str(), "ada@example.com");
/// # Ok::<(), oneclick_proto::InvalidValue>(())
/// ```
///
/// A name alone does not compile:
/// ```compile_fail
/// use oneclick_proto::{PlantTree, Trees};
///
/// PlantTree::new(Trees::of::<1>()).customer("Ada Lovelace");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Customer {
    /// The e-mail address, by which the API identifies the customer.
    pub customer_email: Email,
    /// The customer's name; not sent if `None`. The API states no maximum length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_name: Option<Redacted>,
}

impl Customer {
    /// A customer without a name.
    ///
    /// # Errors
    /// [`InvalidValue::Email`] if the address cannot be valid.
    pub fn new(
        email: impl TryInto<Email, Error: Into<InvalidValue>>,
    ) -> Result<Self, InvalidValue> {
        let customer_email = email.try_into().map_err(Into::into)?;
        Ok(Self { customer_email, customer_name: None })
    }

    /// Sets the name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.customer_name = Some(Redacted::new(name));
        self
    }
}

impl From<Email> for Customer {
    fn from(customer_email: Email) -> Self {
        Self { customer_email, customer_name: None }
    }
}

/// The customer in a receipt or a record of `GET /v1/customer_records`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RecordCustomer {
    /// The id of the customer, such as `U1234`.
    pub customer_id: String,
    /// The customer's e-mail address.
    pub customer_email: Redacted,
    /// The customer's name, if one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_name: Option<Redacted>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl RecordCustomer {
    /// A customer without a name.
    pub fn new(customer_id: impl Into<String>, customer_email: impl Into<Redacted>) -> Self {
        Self {
            customer_id: customer_id.into(),
            customer_email: customer_email.into(),
            customer_name: None,
            extra: Extra::default(),
        }
    }
}
