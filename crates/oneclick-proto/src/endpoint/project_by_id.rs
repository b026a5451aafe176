//! One project: `GET /v1/projects/{project_id}`.

use http::Method;
use serde::Serialize;

use super::Endpoint;
use super::projects::{Locale, Project};

/// `GET /v1/projects/{project_id}`: the project of this id.
///
/// The id is percent-encoded into its segment of the path, so that none can
/// lead elsewhere. One that is empty, `.` or `..` cannot be sent.
///
/// ```
/// use oneclick_proto::{Api, Locale, ProjectById};
///
/// let api = Api::sandbox("test_key")?;
/// let project = ProjectById::new("../whoami?x=1").locale(Locale::Fr);
/// let request = api.encode(&project)?;
/// assert_eq!(request.uri().path(), "/v1/projects/..%2Fwhoami%3Fx%3D1");
/// assert_eq!(request.uri().query(), Some("locale=fr"));
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProjectById {
    /// The id, as a [`Project`] or a tracking answer gave it.
    pub project_id: String,
    /// The language of the texts; the API's default is English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
}

impl ProjectById {
    /// The project of this id.
    pub fn new(project_id: impl Into<String>) -> Self {
        Self { project_id: project_id.into(), locale: None }
    }

    /// With texts in this language.
    #[must_use]
    pub fn locale(mut self, locale: Locale) -> Self {
        self.locale = Some(locale);
        self
    }
}

impl<T: Into<String>> From<T> for ProjectById {
    fn from(project_id: T) -> Self {
        Self::new(project_id)
    }
}

impl Endpoint for ProjectById {
    type Response = Project;
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/projects/{project_id}";
    const IDEMPOTENT: bool = true;
}
