//! The commands that show an account, its totals, an impact or the projects.

use oneclick_ureq::{GetProject, ImpactId, ListProjects, Locale, ProjectType, Timestamp, Tracking};

use crate::args::{Format, FormatArgs, Json};
use crate::failure::Failure;
use crate::output::{self, Printer};
use crate::session::Session;

pub(crate) fn whoami(session: &Session, json: Json) -> Result<(), Failure> {
    let account = session.client.whoami()?;
    if json.json {
        return output::json(&account);
    }
    output::name_value_table(&[
        ("account", account.user_id.to_string()),
        ("email", account.email.as_str().to_owned()),
        ("API", session.api_name.clone()),
    ])
}

pub(crate) fn impact(session: &Session, json: Json) -> Result<(), Failure> {
    let impact = session.client.impact()?;
    if json.json {
        return output::json(&impact);
    }
    output::name_value_table(&[
        ("own", impact.user_impact.to_string()),
        ("customers'", impact.customer_impact.to_string()),
        ("all", impact.total.to_string()),
    ])
}

pub(crate) fn track(session: &Session, id: ImpactId, json: Json) -> Result<(), Failure> {
    let tracking = session.client.track(id)?;
    if json.json {
        return output::json(&tracking);
    }
    output::line(&tracking.impact.to_string())?;
    output::line("")?;
    output::name_value_table(&timeline(&tracking))?;
    let links = links(&tracking);
    if !links.is_empty() {
        output::line("")?;
        output::name_value_table(&links)?;
    }
    Ok(())
}

/// The stages with their times, and the next one.
fn timeline(tracking: &Tracking) -> Vec<(&'static str, String)> {
    let mut stages: Vec<(&str, Option<&Timestamp>)> = vec![
        ("initiated", Some(&tracking.impact_initiated)),
        ("donation available", tracking.donation_available.as_ref()),
        ("donation sent to the non-profit", tracking.donation_sent.as_ref()),
        ("completed", tracking.impact_completed.as_ref()),
    ];
    if let Some(session) = &tracking.live_session_date {
        stages.push(("live session", Some(session)));
    }
    let mut lines = Vec::new();
    let mut next = None;
    for (stage, time) in stages {
        match time {
            Some(time) => lines.push((stage, time.to_string())),
            None => next = next.or(Some(stage)),
        }
    }
    match (&tracking.cancelled_on, next) {
        (Some(cancelled), _) => {
            let reason = tracking.cancellation_reason.as_ref();
            let reason = reason.map(|reason| format!(", {}", reason.as_str())).unwrap_or_default();
            lines.push(("cancelled", format!("{cancelled}{reason}")));
        }
        (None, Some(next)) => lines.push(("next", next.to_owned())),
        (None, None) => {}
    }
    lines
}

fn links(tracking: &Tracking) -> Vec<(&'static str, String)> {
    let fields = [
        ("done by", &tracking.assigned_agent),
        ("where", &tracking.project_location),
        ("project", &tracking.project_id),
        ("paid for", &tracking.donation_category),
        ("map", &tracking.location_map),
        ("certificate", &tracking.certificate),
        ("video", &tracking.impact_video),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
}

pub(crate) fn projects(
    session: &Session,
    id: Option<String>,
    project_type: Option<ProjectType>,
    language: Option<Locale>,
    format: FormatArgs,
) -> Result<(), Failure> {
    let Some(id) = id else {
        let mut request = ListProjects::new();
        request.project_type = project_type;
        request.locale = language;
        let mut rows = Printer::new(format.into());
        let list = session.client.projects(request)?;
        rows.print(&list.projects, &list.malformed)?;
        return rows.end();
    };
    let mut request = GetProject::new(id);
    request.locale = language;
    let project = session.client.project(request)?;
    match Format::from(format) {
        Format::Json => output::json(&project),
        Format::Table => output::name_value_table(&[
            ("project", project.project_id),
            ("name", project.name),
            ("type", project.project_type.to_string()),
            ("location", project.location),
            ("organization", project.organization),
            ("description", project.description),
        ]),
        format => {
            let mut rows = Printer::new(format);
            rows.print(&[project], &[])?;
            rows.end()
        }
    }
}
