//! The endpoints of the API, one a module, and the trait that makes one.

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

pub use action::{Action, Receipt};
pub(crate) use list::PageItems;
pub use list::{List, ListItem, Page};

use crate::value::InvalidValue;

/// One endpoint of the API: the fields of its request, and the type of its response.
///
/// A request is named by a verb and what it is about, its response by the noun:
/// [`GetAccount`](whoami::GetAccount) gives an [`Account`](whoami::Account),
/// [`ListRecords`](records::ListRecords) a [`Page`] of [`Record`](records::Record)s,
/// [`CancelImpact`](cancel_impact::CancelImpact) a
/// [`Cancellation`](cancel_impact::Cancellation), each action a [`Receipt`].
///
/// The fields are what [`Serialize`] writes: the query of a GET, the JSON body
/// of anything else, except that a field named in braces in [`PATH`](Self::PATH)
/// fills that segment of the path. Lists become repeated parameters, `None` is
/// left out.
///
/// The trait is open. An endpoint that this crate does not know takes ten
/// lines and then goes through every client as the others do:
///
/// ```
/// use http::Method;
/// use oneclick_proto::{Api, Endpoint};
///
/// #[derive(serde::Serialize)]
/// struct Seedling { seedling_id: String, locale: Option<String> }
///
/// #[derive(serde::Deserialize)]
/// struct SeedlingAnswer { height: u32 }
///
/// impl Endpoint for Seedling {
///     type Response = SeedlingAnswer;
///     const METHOD: Method = Method::GET;
///     const PATH: &'static str = "/v1/seedlings/{seedling_id}";
///     const IDEMPOTENT: bool = true;
/// }
///
/// let api = Api::sandbox("test_key")?;
/// let request = api.encode(&Seedling { seedling_id: "a/b".into(), locale: Some("de".into()) })?;
/// assert_eq!(
///     request.uri(),
///     "https://sandbox.1clickimpact.com/v1/seedlings/a%2Fb?locale=de",
/// );
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
pub trait Endpoint: Serialize {
    /// What a 2xx answer's body holds.
    type Response: DeserializeOwned;
    /// The method: GET puts the fields into the query, others into the body.
    const METHOD: Method;
    /// The path below the base URL, beginning with `/`.
    const PATH: &'static str;
    /// Whether sending the request twice does what sending it once does
    /// (RFC 9110, 9.2.2). A purchase is not: it is never repeated on a guess.
    const IDEMPOTENT: bool;

    /// Checks what the types of the fields do not, before a request is written.
    ///
    /// # Errors
    /// Why the request must not be sent.
    fn check(&self) -> Result<(), InvalidValue> {
        Ok(())
    }

    /// Reads the body of a 2xx response.
    ///
    /// # Errors
    /// The body does not hold the response.
    fn read(body: &[u8]) -> serde_json::Result<Self::Response> {
        json(body)
    }
}

/// Reads JSON. Checked for UTF-8 as a whole, text is read faster; bytes that are none
/// may still stand where nobody looks.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(body),
    }
}
