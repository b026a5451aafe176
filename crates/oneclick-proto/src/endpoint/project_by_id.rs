//! One project: `GET /v1/projects/{project_id}`.

use http::Method;
use serde::Serialize;

use super::Endpoint;
use super::projects::{Locale, Project};
use crate::setters::setters;

/// `GET /v1/projects/{project_id}`: the project with this id.
///
/// The id is percent-encoded, so it cannot change the path beyond its segment. An id that
/// is empty, `.` or `..` cannot be sent.
///
/// ```
/// use oneclick_proto::{Api, Locale, GetProject};
///
/// let api = Api::sandbox("test_key")?;
/// let french = GetProject::new("reef/7").locale(Locale::Fr);
/// assert_eq!(
///     api.encode(&french)?.uri().path_and_query().unwrap(),
///     "/v1/projects/reef%2F7?locale=fr",
/// );
///
/// let body = r#"{"project_id":"reef/7","name":"Récif","type":"ocean","available":true,
///     "latitude":-4.25,"longitude":55.5}"#;
/// let project = api.decode(&french, http::Response::new(body))?;
/// assert_eq!((project.latitude, project.longitude), (Some(-4.25), Some(55.5)));
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GetProject {
    /// The id, from a [`Project`] or a [`Tracking`](super::track::Tracking).
    pub project_id: String,
    /// The language of the texts; `None` uses the API's default, English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
}

impl GetProject {
    /// The project with this id.
    pub fn new(project_id: impl Into<String>) -> Self {
        Self { project_id: project_id.into(), locale: None }
    }

    setters! {
        locale: Locale as Option,
    }
}

impl<T: Into<String>> From<T> for GetProject {
    fn from(project_id: T) -> Self {
        Self::new(project_id)
    }
}

impl Endpoint for GetProject {
    type Response = Project;
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/projects/{project_id}";
    const IDEMPOTENT: bool = true;
}
