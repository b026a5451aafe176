//! The columns of every list, in CSV and in tables.

use std::borrow::Cow;

use oneclick_outbox::Entry;
use oneclick_ureq::{
    CustomerRecord, CustomerSummary, ImpactId, ImpactKind, Intent, Project, Record,
    RecordedMetadata, Redacted, Row,
};
use serde::Serialize;
use serde_json::Value;

use crate::output::dollars;

/// An item of a list.
pub(crate) trait Listed: Serialize + Sized {
    /// The columns, of which CSV has one more for each of these keys of the metadata.
    fn columns(metadata: &[String]) -> Vec<Column<Self>>;
}

/// A column: what it is called in CSV and in a table, if it is there, and its cell.
pub(crate) struct Column<I> {
    pub(crate) csv: Option<Cow<'static, str>>,
    pub(crate) table: Option<&'static str>,
    pub(crate) cell: Box<dyn Fn(&I) -> String>,
}

impl<I: 'static> Column<I> {
    fn csv(name: &'static str, cell: fn(&I) -> String) -> Self {
        Self { csv: Some(name.into()), table: None, cell: Box::new(cell) }
    }

    fn table(name: &'static str, cell: fn(&I) -> String) -> Self {
        Self { csv: None, table: Some(name), cell: Box::new(cell) }
    }

    fn both(csv: &'static str, table: &'static str, cell: fn(&I) -> String) -> Self {
        Self { csv: Some(csv.into()), table: Some(table), cell: Box::new(cell) }
    }
}

impl Listed for Record {
    fn columns(metadata: &[String]) -> Vec<Column<Self>> {
        record_columns([], metadata)
    }
}

impl Listed for CustomerRecord {
    fn columns(metadata: &[String]) -> Vec<Column<Self>> {
        let customer = [
            Column::csv("customer_id", |row: &Self| row.customer.customer_id.clone()),
            Column::both("customer_email", "customer", |row| {
                row.customer.customer_email.as_str().to_owned()
            }),
            Column::both("customer_name", "name", |row| {
                personal(row.customer.customer_name.as_ref())
            }),
        ];
        record_columns(customer, metadata)
    }
}

/// The columns of both lists of records, with those of the customer in between.
fn record_columns<C: 'static>(
    customer: impl IntoIterator<Item = Column<Row<C>>>,
    metadata: &[String],
) -> Vec<Column<Row<C>>> {
    let mut columns = vec![
        Column::both("id", "id", |row: &Row<C>| ImpactId::from(row).to_string()),
        Column::csv("user_id", |row| row.user_id.to_string()),
        Column::csv("time_utc", |row| row.time_utc.to_string()),
        Column::table("impact", |row| row.impact.to_string()),
        Column::csv("kind", |row| row.impact.kind.to_string()),
        Column::csv("amount", |row| row.impact.amount.to_string()),
        Column::csv("unit", |row| row.impact.kind.unit().unwrap_or_default().to_owned()),
        // Whoever adds up a column of amounts adds trees to cents.
        Column::csv("dollars", |row| match row.impact.kind {
            ImpactKind::MoneyDonated => dollars(row.impact.amount),
            _ => String::new(),
        }),
    ];
    columns.extend(customer);
    columns.push(Column::both("category", "category", |row: &Row<C>| {
        row.category.as_ref().map(ToString::to_string).unwrap_or_default()
    }));
    columns.extend(metadata.iter().cloned().map(|key| {
        let name = format!("metadata.{key}");
        let cell = move |row: &Row<C>| {
            let mut pairs = row.metadata.iter();
            pairs.find(|(own, _)| **own == *key).map(|(_, value)| text(value)).unwrap_or_default()
        };
        Column { csv: Some(name.into()), table: None, cell: Box::new(cell) }
    }));
    columns.extend([
        Column::csv("metadata", |row: &Row<C>| json(&row.metadata)),
        Column::table("metadata", |row| pairs(&row.metadata)),
    ]);
    columns
}

impl Listed for CustomerSummary {
    fn columns(_: &[String]) -> Vec<Column<Self>> {
        vec![
            Column::both("customer_id", "id", |customer| customer.customer_id.clone()),
            Column::both("customer_email", "customer", |customer| {
                customer.customer_email.as_str().to_owned()
            }),
            Column::both("customer_name", "name", |customer| {
                personal(customer.customer_name.as_ref())
            }),
            Column::both("onboarded_on", "since", |customer| customer.onboarded_on.to_string()),
        ]
    }
}

impl Listed for Project {
    fn columns(_: &[String]) -> Vec<Column<Self>> {
        vec![
            Column::both("project_id", "id", |project| project.project_id.clone()),
            Column::both("name", "name", |project| project.name.clone()),
            Column::both("type", "type", |project| project.project_type.to_string()),
            Column::both("location", "location", |project| project.location.clone()),
            Column::csv("organization", |project| project.organization.clone()),
            Column::csv("available", |project| project.available.to_string()),
        ]
    }
}

impl Listed for Entry {
    fn columns(_: &[String]) -> Vec<Column<Self>> {
        let bought = |entry: &Self| {
            entry.bought.as_ref().map(|bought| bought.id.to_string()).unwrap_or_default()
        };
        vec![
            Column::both("number", "number", |entry: &Self| entry.id.to_string()),
            Column::csv("namespace", |entry| entry.namespace.clone()),
            Column::both("key", "intent", |entry| entry.key.clone()),
            Column::both("status", "status", |entry| entry.status.to_string()),
            Column::both("purchase", "purchase", |entry| {
                let purchase = entry.purchase.as_ref();
                purchase.map(|purchase| purchase.impact().to_string()).unwrap_or_default()
            }),
            Column::both("stored", "stored", |entry| entry.enqueued_at.clone()),
            Column::csv("done", |entry| entry.done_at.clone().unwrap_or_default()),
            Column::csv("bought_as", bought),
            Column::csv("problem", |entry| entry.problem.clone().unwrap_or_default()),
            Column::table("bought as, or problem", |entry| {
                let bought = entry.bought.as_ref().map(|bought| bought.id.to_string());
                bought.or_else(|| entry.problem.as_deref().map(beginning)).unwrap_or_default()
            }),
        ]
    }
}

/// The beginning of a text, for a cell of a table.
fn beginning(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn personal(value: Option<&Redacted>) -> String {
    value.map(|text| text.as_str().to_owned()).unwrap_or_default()
}

/// Metadata as JSON, or nothing if there is none.
fn json(metadata: &RecordedMetadata) -> String {
    let own: serde_json::Map<_, _> =
        own(metadata).map(|(key, value)| (key.to_owned(), value.clone())).collect();
    if own.is_empty() { String::new() } else { Value::from(own).to_string() }
}

/// Metadata for a person.
fn pairs(metadata: &RecordedMetadata) -> String {
    own(metadata).map(|(key, value)| format!("{key}={}", text(value))).collect::<Vec<_>>().join(" ")
}

/// Metadata without the marker of an intent, which is ours.
fn own(metadata: &RecordedMetadata) -> impl Iterator<Item = (&str, &Value)> {
    metadata.iter().filter(|(key, _)| *key != Intent::METADATA_KEY)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
