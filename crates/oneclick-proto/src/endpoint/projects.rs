//! The projects that impacts support: `GET /v1/projects`.

use http::Method;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::Endpoint;
use super::list::RowByRow;
use crate::setters::setters;
use crate::value::Extra;

/// `GET /v1/projects`: all projects, or those of one type.
///
/// ```
/// use oneclick_proto::{Api, Locale, ProjectType, ListProjects};
///
/// let api = Api::sandbox("test_key")?;
/// let german = ListProjects::from(ProjectType::Ocean).locale(Locale::De);
/// assert_eq!(
///     api.encode(&german)?.uri().path_and_query().unwrap(),
///     "/v1/projects?type=ocean&locale=de",
/// );
///
/// let body = r#"{"projects":[
///     {"project_id":"P1","name":"Küste","type":"ocean","available":true},
///     {"project_id":"P2","name":"Fluss","type":"ocean","available":false}]}"#;
/// let projects = api.decode(&german, http::Response::new(body))?.projects;
/// let available: Vec<_> = projects.iter().filter(|project| project.available).collect();
/// assert_eq!(available[0].name, "Küste");
/// # Ok::<(), oneclick_proto::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ListProjects {
    /// Only projects of this type, `type` of the query; all types if `None`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub project_type: Option<ProjectType>,
    /// The language of the texts; `None` uses the API's default, English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
}

impl ListProjects {
    /// All projects.
    #[must_use]
    pub const fn new() -> Self {
        Self { project_type: None, locale: None }
    }

    setters! {
        project_type: ProjectType as Option,
        locale: Locale as Option,
    }
}

impl From<ProjectType> for ListProjects {
    fn from(project_type: ProjectType) -> Self {
        Self::new().project_type(project_type)
    }
}

impl Endpoint for ListProjects {
    type Response = ProjectList;
    const METHOD: Method = Method::GET;
    const PATH: &'static str = "/v1/projects";
    const IDEMPOTENT: bool = true;

    fn read(body: &[u8]) -> serde_json::Result<ProjectList> {
        RowByRow::read(body)
    }
}

impl RowByRow for ProjectList {
    type Row = Project;
    const FIELD: &'static str = "projects";

    fn rows(&mut self) -> (&mut Vec<Project>, &mut Vec<Value>) {
        (&mut self.projects, &mut self.malformed)
    }
}

string_enum! {
    /// The type of a project: `type` of `GET /v1/projects`.
    ProjectType {
        /// Trees.
        Trees = "trees",
        /// Plastic in the ocean.
        Ocean = "ocean",
        /// Carbon capture.
        Carbon = "carbon",
    }
}

string_enum! {
    /// The language of a project's texts: `locale` of `GET /v1/projects` and
    /// `GET /v1/projects/{project_id}`.
    Locale {
        /// English.
        En = "en",
        /// German.
        De = "de",
        /// Spanish.
        Es = "es",
        /// French.
        Fr = "fr",
        /// Dutch.
        Nl = "nl",
    }
}

/// All projects in one page: the response of `GET /v1/projects`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProjectList {
    /// The projects.
    pub projects: Vec<Project>,
    /// Projects that could not be decoded, as the API wrote them.
    #[serde(skip)]
    pub malformed: Vec<Value>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ProjectList {
    /// A list of projects.
    #[must_use]
    pub fn new(projects: Vec<Project>) -> Self {
        Self { projects, malformed: Vec::new(), extra: Extra::default() }
    }
}

/// A project that impacts support: the response of `GET /v1/projects/{project_id}`, and an
/// item of `GET /v1/projects`. A text that the API leaves out is empty. URLs are not
/// checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Project {
    /// The id, for [`GetProject`](super::project_by_id::GetProject).
    pub project_id: String,
    /// The name.
    pub name: String,
    /// The type; `type` in JSON.
    #[serde(rename = "type")]
    pub project_type: ProjectType,
    /// The location, in words.
    #[serde(default, deserialize_with = "or_empty")]
    pub location: String,
    /// A short description.
    #[serde(default, deserialize_with = "or_empty")]
    pub description: String,
    /// A long description, in paragraphs.
    #[serde(default, deserialize_with = "or_empty")]
    pub about: Vec<String>,
    /// The code of the country, such as `UG`.
    #[serde(default, deserialize_with = "or_empty")]
    pub country_code: String,
    /// The organization that runs the project.
    #[serde(default, deserialize_with = "or_empty")]
    pub organization: String,
    /// The Sustainable Development Goals that the project serves.
    #[serde(default, deserialize_with = "or_empty")]
    pub sdgs: Vec<Goal>,
    /// URLs of pictures.
    #[serde(default, deserialize_with = "or_empty")]
    pub image_urls: Vec<String>,
    /// Degrees north of the equator, from -90 to 90 (not checked); `None` if the API leaves it
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latitude: Option<f64>,
    /// Degrees east of Greenwich, from -180 to 180 (not checked); `None` if the API leaves it
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longitude: Option<f64>,
    /// Whether new impacts can support the project.
    pub available: bool,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Project {
    /// An available project with all other fields empty.
    pub fn new(
        project_id: impl Into<String>,
        name: impl Into<String>,
        project_type: ProjectType,
    ) -> Self {
        Self {
            project_id: project_id.into(),
            name: name.into(),
            project_type,
            location: String::new(),
            description: String::new(),
            about: Vec::new(),
            country_code: String::new(),
            organization: String::new(),
            sdgs: Vec::new(),
            image_urls: Vec::new(),
            latitude: None,
            longitude: None,
            available: true,
            extra: Extra::default(),
        }
    }
}

/// A Sustainable Development Goal of the United Nations that a project serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Goal {
    /// The id.
    pub id: String,
    /// The number of the goal, 1..=17 (not checked).
    pub number: i64,
    /// The title.
    #[serde(default, deserialize_with = "or_empty")]
    pub title: String,
    /// The description.
    #[serde(default, deserialize_with = "or_empty")]
    pub description: String,
    /// The colour, such as `#56C02B`.
    #[serde(default, deserialize_with = "or_empty")]
    pub color: String,
    /// The URL of a page about the goal.
    #[serde(default, deserialize_with = "or_empty")]
    pub link: String,
    /// The URL of the icon.
    #[serde(default, deserialize_with = "or_empty")]
    pub icon_url: String,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Goal {
    /// A goal with all other fields empty.
    pub fn new(id: impl Into<String>, number: i64) -> Self {
        Self {
            id: id.into(),
            number,
            title: String::new(),
            description: String::new(),
            color: String::new(),
            link: String::new(),
            icon_url: String::new(),
            extra: Extra::default(),
        }
    }
}

/// Reads null as an empty text or list.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
