//! Made-up response bodies in the format of the API.

use std::fmt::Write;

use oneclick_proto::ImpactKind;

/// The number of records on a page.
pub const RECORDS: usize = 1_000;

/// The fields that the records of a page have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The account's own records, without optional fields.
    Records,
    /// Records with a customer.
    CustomerRecords,
    /// The account's own records with every kind of impact, most of them zero, a category
    /// and metadata.
    EveryField,
}

/// Returns a page of [`RECORDS`] records. The page has the cursor of the next page if one
/// is given.
#[must_use]
pub fn page(shape: Shape, cursor: Option<&str>) -> String {
    let list = match shape {
        Shape::CustomerRecords => "customer_records",
        Shape::Records | Shape::EveryField => "user_records",
    };
    let mut page = format!(r#"{{"{list}":["#);
    for number in 0..RECORDS {
        if number > 0 {
            page.push(',');
        }
        push_record(&mut page, shape, number);
    }
    page.push(']');
    if let Some(cursor) = cursor {
        let _ = write!(page, r#","cursor":"{cursor}""#);
    }
    page.push('}');
    page
}

fn push_record(page: &mut String, shape: Shape, number: usize) {
    let kinds = [
        ImpactKind::TreePlanted,
        ImpactKind::WasteRemoved,
        ImpactKind::CarbonCaptured,
        ImpactKind::MoneyDonated,
    ];
    let (day, hour) = (number % 28 + 1, number % 24);
    page.push_str(r#"{"user_id":"U1234567890","#);
    if shape == Shape::CustomerRecords {
        let _ = write!(
            page,
            r#""customer":{{"customer_id":"U{}","customer_email":"customer-{number}@example.com","customer_name":"Customer {number}"}},"#,
            number + 1_000,
        );
    }
    let _ = write!(page, r#""time_utc":"2024-09-{day:02}T{hour:02}:34:04.{number:03}Z","#);
    if shape == Shape::EveryField {
        for (index, kind) in kinds.iter().enumerate() {
            let amount = if index == number % 4 { number + 1 } else { 0 };
            let _ = write!(page, r#""{kind}":{amount},"#);
        }
        let _ = write!(
            page,
            r#""category":"food","metadata":{{"order":"A-{number}","source":"checkout"}}}}"#
        );
    } else {
        let _ = write!(page, r#""{}":{}}}"#, kinds[number % 4], number + 1);
    }
}

/// The response body of a purchase.
pub const RECEIPT: &str = r#"{"user_id":"U1234567890","time_utc":"2024-09-16T20:34:04.429Z","tree_planted":5,"customer":{"customer_id":"U1000","customer_email":"ada@example.com","customer_name":"Ada Lovelace"}}"#;

/// The response body of `GET /v1/whoami`.
pub const WHOAMI: &str = r#"{"user_id":"U1234567890","email":"shop@example.com"}"#;
