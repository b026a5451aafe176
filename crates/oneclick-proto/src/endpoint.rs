//! The endpoints of the API, one per module, and their trait.

pub mod cancel_impact;
pub mod capture_carbon;
pub mod clean_ocean;
pub mod customer_records;
pub mod customers;
pub mod daily_impact;
pub mod donate_money;
pub mod impact;
pub mod plant_tree;
pub mod project_by_id;
pub mod projects;
pub mod records;
pub mod restore_coral;
pub mod track;
pub mod whoami;

mod action;
mod list;
mod row;

use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use action::Action;
pub(crate) use list::PageItems;
pub use list::{List, ListItem, Page};
pub use row::{CustomerRecord, NoCustomer, Receipt, Record, Row};

use crate::value::InvalidValue;

/// An endpoint of the API: the fields of its request, and the type of its response.
///
/// A request is named by a verb and a noun, and its response by the noun:
/// [`GetAccount`](whoami::GetAccount) returns an [`Account`](whoami::Account),
/// [`ListRecords`](records::ListRecords) a [`Page`] of [`Record`]s,
/// [`CancelImpact`](cancel_impact::CancelImpact) a
/// [`Cancellation`](cancel_impact::Cancellation), and each action a [`Receipt`].
///
/// [`Serialize`] writes the fields into the query of a GET and into the JSON body of other
/// methods. A field that [`PATH`](Self::PATH) names in braces becomes that segment of the
/// path. In a query, lists become repeated parameters and `None` is left out.
///
/// You can implement the trait for an endpoint that this crate does not know, and call it
/// with every client:
///
/// ```
/// use http::Method;
/// use oneclick_proto::{Api, Endpoint};
///
/// #[derive(serde::Serialize)]
/// struct GetSeedling { seedling_id: String, locale: Option<String> }
///
/// #[derive(serde::Deserialize)]
/// struct Seedling { height: u32 }
///
/// impl Endpoint for GetSeedling {
///     type Response = Seedling;
///     const METHOD: Method = Method::GET;
///     const PATH: &'static str = "/v1/seedlings/{seedling_id}";
///     const IDEMPOTENT: bool = true;
/// }
///
/// let api = Api::sandbox("test_key")?;
/// let get = GetSeedling { seedling_id: "a/b".into(), locale: Some("de".into()) };
/// let request = api.encode(&get)?;
/// assert_eq!(
///     request.uri(),
///     "https://sandbox.1clickimpact.com/v1/seedlings/a%2Fb?locale=de",
/// );
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
pub trait Endpoint: Serialize {
    /// The body of a 2xx response.
    type Response: DeserializeOwned;
    /// The method. GET puts the fields into the query, other methods into the body.
    const METHOD: Method;
    /// The path below the base URL, starting with `/`.
    const PATH: &'static str;
    /// Whether sending the request twice has the same effect as sending it once (RFC 9110,
    /// 9.2.2). A purchase is not idempotent, so it is sent again only after proof that it
    /// was not executed.
    const IDEMPOTENT: bool;

    /// Checks the fields beyond their types, before the request is written.
    ///
    /// # Errors
    /// The reason why the request must not be sent; see [`InvalidValue::unserializable`].
    fn check(&self) -> Result<(), InvalidValue> {
        Ok(())
    }

    /// Decodes the body of a 2xx response.
    ///
    /// # Errors
    /// The body cannot be decoded.
    fn read(body: &[u8]) -> serde_json::Result<Self::Response> {
        json(body)
    }
}

/// Decodes JSON. Text that was checked for UTF-8 as a whole decodes faster. Invalid UTF-8 may
/// still be in a part that is skipped.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(body),
    }
}
