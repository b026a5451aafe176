//! The projects, in the requested language.

mod catalogue;

use http::StatusCode;
use oneclick_proto::{Goal, ImpactKind, Locale, Project, ProjectList, ProjectType};

use super::account::Account;
use super::problem::{Problem, json};
use super::query::Query;
use super::view::View;
use super::{Input, Operation, Parsed};
use catalogue::{ByLocale, PROJECTS, Sample};

struct Projects {
    project_type: Option<ProjectType>,
    locale: Locale,
}

struct ProjectById {
    sample: &'static Sample,
    locale: Locale,
}

/// `GET /v1/projects`.
pub(super) fn projects(input: &Input<'_>) -> Parsed {
    let query = Query::parse(input, &["type", "locale"])?;
    let project_type = query.get("type").map(|name| {
        let known = ProjectType::known(name);
        known.ok_or_else(|| one_of("type", ProjectType::KNOWN.iter().map(ProjectType::as_str)))
    });
    Ok(Box::new(Projects { project_type: project_type.transpose()?, locale: locale(&query)? }))
}

/// `GET /v1/projects/{project_id}`.
pub(super) fn project_by_id(input: &Input<'_>) -> Parsed {
    let query = Query::parse(input, &["locale"])?;
    let project_id = percent_encoding::percent_decode_str(input.segment)
        .decode_utf8()
        .map_err(|_| Problem::invalid("the path must be percent-encoded UTF-8"))?;
    let locale = locale(&query)?;
    // The id can hold anything, so it is not shown.
    let sample = find(&project_id).ok_or_else(|| {
        Problem::invalid("there is no project with this id: GET /v1/projects lists all projects")
            .status(StatusCode::NOT_FOUND)
    })?;
    Ok(Box::new(ProjectById { sample, locale }))
}

/// The project of an impact, in English. Coral and money have none.
pub(super) fn of(kind: &ImpactKind, food: bool) -> Option<Project> {
    let project_id = match kind {
        ImpactKind::TreePlanted if food => "emulator-food-forest",
        ImpactKind::TreePlanted => "emulator-mountain-forest",
        ImpactKind::WasteRemoved => "emulator-clean-bay",
        ImpactKind::CarbonCaptured => "emulator-air-filter",
        _ => return None,
    };
    find(project_id).map(|sample| localized(sample, &Locale::En))
}

fn locale(query: &Query<'_>) -> Result<Locale, Problem> {
    query.get("locale").map_or(Ok(Locale::En), |name| {
        let known = Locale::known(name);
        known.ok_or_else(|| one_of("locale", Locale::KNOWN.iter().map(Locale::as_str)))
    })
}

fn one_of<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Problem {
    let known: Vec<_> = known.collect();
    Problem::invalid(format!("`{name}` must be one of {}, or left out", known.join(", ")))
}

impl Operation for Projects {
    fn apply(self: Box<Self>, _: &mut Account, _: &View<'_>) -> Result<Vec<u8>, Problem> {
        let projects = PROJECTS.iter().map(|sample| localized(sample, &self.locale));
        let wanted = self.project_type;
        let projects = projects
            .filter(|project| wanted.as_ref().is_none_or(|wanted| project.project_type == *wanted));
        Ok(json(&ProjectList::new(projects.collect())))
    }
}

impl Operation for ProjectById {
    fn apply(self: Box<Self>, _: &mut Account, _: &View<'_>) -> Result<Vec<u8>, Problem> {
        Ok(json(&localized(self.sample, &self.locale)))
    }
}

fn find(project_id: &str) -> Option<&'static Sample> {
    PROJECTS.iter().find(|sample| sample.project_id == project_id)
}

/// A project in a language.
fn localized(sample: &Sample, locale: &Locale) -> Project {
    let text = sample.texts.of(locale);
    let id = sample.project_id;
    let mut project = Project::new(id, text.name, sample.project_type.clone());
    project.location = text.location.into();
    project.description = text.description.into();
    project.about = text.about.iter().map(|&paragraph| paragraph.to_owned()).collect();
    project.country_code = sample.country_code.into();
    project.organization = sample.organization.into();
    project.sdgs = sample.goals.iter().map(|goal| localized_goal(goal, locale)).collect();
    project.image_urls = vec![format!("https://images.example.com/{id}.jpg")];
    project.latitude = Some(sample.latitude);
    project.longitude = Some(sample.longitude);
    project.available = sample.available;
    project
}

fn localized_goal(goal: &catalogue::Goal, locale: &Locale) -> Goal {
    let (number, text) = (goal.number, goal.texts.of(locale));
    let mut localized = Goal::new(format!("sdg-{number}"), number.into());
    localized.title = text.title.into();
    localized.description = text.description.into();
    localized.color = goal.color.into();
    localized.link = format!("https://sdgs.un.org/goals/goal{number}");
    localized.icon_url = format!("https://images.example.com/sdg-{number}.svg");
    localized
}

impl<T> ByLocale<T> {
    fn of(&self, locale: &Locale) -> &T {
        match locale {
            Locale::De => &self.de,
            Locale::Es => &self.es,
            Locale::Fr => &self.fr,
            Locale::Nl => &self.nl,
            _ => &self.en,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_project_is_labelled_as_invented_in_every_language() {
        let mut ids = Vec::new();
        for sample in PROJECTS {
            assert!(!ids.contains(&sample.project_id));
            ids.push(sample.project_id);
            let english = localized(sample, &Locale::En);
            for locale in Locale::KNOWN {
                let project = localized(sample, locale);
                assert!(project.name.starts_with("Emulator"), "{}", project.name);
                // In each language the word begins so.
                let description = project.description.to_lowercase();
                assert!(description.contains("emul") || description.contains("émul"));
                assert_eq!(project.about.len(), english.about.len());
                assert!(*locale == Locale::En || project.about != english.about);
                assert_eq!(project.sdgs.len(), english.sdgs.len());
            }
        }
    }

    #[test]
    fn impacts_go_to_available_projects() {
        for kind in ImpactKind::KNOWN {
            for food in [false, true] {
                let project = of(kind, food);
                let none = matches!(kind, ImpactKind::CoralRestored | ImpactKind::MoneyDonated);
                assert_eq!(project.is_none(), none);
                assert!(project.is_none_or(|project| project.available));
            }
        }
    }
}
