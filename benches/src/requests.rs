//! The requests that are encoded, and the same HTTP messages written by hand.

use std::io::Write;

use chrono::NaiveDate;
use oneclick_proto::{
    Api, ApiKey, ConfigError, Cursor, Customer, DateRange, ImpactKind, InvalidValue, Limit,
    ListRecords, PlantTree, SortOrder, Trees,
};

const KEY: &str = "test_4f8a1c0b7e2d";
const HOST: &str = "sandbox.1clickimpact.com";
const EMAIL: &str = "ada@example.com";
const NAME: &str = "Ada Lovelace";
const CURSOR: &str = "fNJjcmV32dGVkTiOi+/=";

/// Returns the API that encodes the requests.
///
/// # Errors
/// None, because the key is valid.
pub fn api() -> Result<Api, ConfigError> {
    Api::new(oneclick_proto::BaseUrl::sandbox(), ApiKey::new(KEY)?)
}

/// Returns a purchase for a customer.
///
/// # Errors
/// None, because the e-mail address is valid.
pub fn plant_tree() -> Result<PlantTree, InvalidValue> {
    let customer = Customer::new(EMAIL)?.name(NAME);
    Ok(PlantTree::new(Trees::of::<5>()).customer(customer))
}

/// Returns the first and the last day of [`records`].
#[must_use]
pub fn days() -> [NaiveDate; 2] {
    [1, 31].map(|day| NaiveDate::from_ymd_opt(2025, 1, day).unwrap_or_default())
}

/// Returns a request for a page of records with six parameters.
///
/// # Errors
/// None, because the days are in order.
pub fn records() -> Result<ListRecords, InvalidValue> {
    let [start, end] = days();
    Ok(ListRecords::new()
        .filter_by(ImpactKind::TreePlanted)
        .dates(DateRange::new(Some(start), Some(end))?)
        .limit(Limit::of::<1000>())
        .cursor(Cursor::new(CURSOR))
        .sort_order(SortOrder::Desc))
}

/// Writes the whole HTTP message of [`plant_tree`] into one buffer.
#[must_use]
pub fn plant_tree_by_hand(amount: u64) -> Vec<u8> {
    let mut wire = Vec::with_capacity(512);
    wire.extend_from_slice(b"POST /v1/plant_tree");
    push_headers(&mut wire);
    wire.extend_from_slice(b"content-type: application/json\r\ncontent-length: ");
    let length = wire.len();
    wire.extend_from_slice(b"000\r\n\r\n");
    let body = wire.len();
    wire.extend_from_slice(br#"{"amount":"#);
    let _ = write!(wire, "{amount}");
    wire.extend_from_slice(br#","customer_email":"#);
    let _ = serde_json::to_writer(&mut wire, EMAIL);
    wire.extend_from_slice(br#","customer_name":"#);
    let _ = serde_json::to_writer(&mut wire, NAME);
    wire.push(b'}');
    let body = wire.len() - body;
    let _ = write!(&mut wire[length..], "{body:03}");
    wire
}

/// Writes the whole HTTP message of [`records`] into one buffer.
#[must_use]
pub fn records_by_hand([start, end]: [NaiveDate; 2], limit: u16) -> Vec<u8> {
    let mut wire = Vec::with_capacity(512);
    let _ = write!(
        wire,
        "GET /v1/records?filter_by=tree_planted&start_date={start}&end_date={end}\
         &limit={limit}&cursor=",
    );
    for byte in CURSOR.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => wire.push(byte),
            byte => drop(write!(wire, "%{byte:02X}")),
        }
    }
    wire.extend_from_slice(b"&sort_order=desc");
    push_headers(&mut wire);
    wire.extend_from_slice(b"\r\n");
    wire
}

fn push_headers(wire: &mut Vec<u8>) {
    wire.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    wire.extend_from_slice(HOST.as_bytes());
    wire.extend_from_slice(b"\r\nx-api-key: ");
    wire.extend_from_slice(KEY.as_bytes());
    wire.extend_from_slice(b"\r\naccept: application/json\r\nuser-agent: by-hand/0.1.0\r\n");
}
