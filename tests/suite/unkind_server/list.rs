//! The three lists, page by page.

use std::time::Duration;

use super::api_response::ApiResponse;
use super::ledger::{Customer, Purchase, folded, pick_by_luck, shown_metadata, unlucky};
use super::request::{Query, bad};
use super::{
    ACCOUNT, AddressFilter, Cursors, Dates, DayZone, Kind, Limit, Metadata, OtherRows, Place,
    SortOrder, TimeForm, UnkindServer, UnknownFilter, UserId, json,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Records,
    CustomerRecords,
    Customers,
}

impl List {
    fn field(self) -> &'static str {
        match self {
            Self::Records => "user_records",
            Self::CustomerRecords => "customer_records",
            Self::Customers => "customers",
        }
    }

    pub(super) fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Records => {
                &["filter_by", "start_date", "end_date", "limit", "cursor", "sort_order"]
            }
            Self::CustomerRecords => &[
                "filter_by",
                "start_date",
                "end_date",
                "limit",
                "cursor",
                "sort_order",
                "customer_email",
            ],
            Self::Customers => &["limit", "cursor", "sort_order", "customer_email"],
        }
    }
}

/// A list of several pages, with the rows that its first page found.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    list: List,
    query: Vec<(String, String)>,
    rows: Vec<usize>,
}

impl UnkindServer {
    pub(super) fn list(
        &mut self,
        list: List,
        query: &Query,
        at: Duration,
    ) -> Result<String, ApiResponse> {
        let limit = query.one("limit")?.map_or(Ok(10), str::parse);
        let Ok(limit @ 1..=1000) = limit else {
            return Err(bad("limit is not between 1 and 1000"));
        };
        let limit = match self.dimensions.limit {
            Limit::Honoured => limit,
            Limit::Capped => limit.min(self.page_cap),
        };
        let descending = match query.one("sort_order")? {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err(bad("sort_order is neither asc nor desc")),
        };
        let found = self.find(list, query, descending, at)?;
        let (mut walk, rows, from) = match query.one("cursor")? {
            None => (None, found, 0),
            Some(cursor) => {
                let Some((number, from)) = parse_cursor(cursor) else {
                    return Err(bad("there is no such cursor"));
                };
                let known = self.walks.get(number);
                let Some(walk) = known.filter(|it| it.list == list && it.query == query.of_walk())
                else {
                    return Err(bad("the cursor belongs to another query"));
                };
                let rows = match self.dimensions.cursors {
                    Cursors::Expiring if self.dice.percent(40) => {
                        return Err(bad("the cursor has expired"));
                    }
                    Cursors::Lasting | Cursors::Expiring => walk.rows.clone(),
                    Cursors::Shifting => found,
                };
                (Some(number), rows, from)
            }
        };
        let until = rows.len().min(from.saturating_add(limit));
        let mut page = rows.get(from..until).unwrap_or_default().to_vec();
        let more = until < rows.len();
        if more && walk.is_none() {
            walk = Some(self.walks.len());
            self.walks.push(Walk { list, query: query.of_walk(), rows });
        }
        let sorted_within = [SortOrder::PagesOfAscending, SortOrder::PagesOfUnordered];
        if sorted_within.contains(&self.dimensions.sort_order) {
            self.sort(list, &mut page, descending);
        }
        let form = self.time_form();
        let rows: Vec<_> = page.iter().map(|row| self.row(list, *row, form)).collect();
        let mut fields = vec![(list.field(), json::array(&rows))];
        if let Some(walk) = walk.filter(|_| more) {
            fields.push(("cursor", json::text(&format!("{walk}+/{until}="))));
        }
        Ok(json::object(fields))
    }

    /// All rows of a list in order.
    fn find(
        &mut self,
        list: List,
        query: &Query,
        descending: bool,
        at: Duration,
    ) -> Result<Vec<usize>, ApiResponse> {
        let replica = self.replica();
        let email = query.one("customer_email")?;
        let mut rows: Vec<usize> = if list == List::Customers {
            let customers = self.customers.iter().enumerate();
            customers
                .filter(|(_, customer)| customer.onboarded_at <= at)
                .filter(|(_, customer)| self.is_at(customer, email))
                .map(|(number, _)| number)
                .collect()
        } else {
            let range = self.range(query)?;
            let filter = self.filter(query)?;
            let purchases = self.ledger.iter().filter(|purchase| {
                replica.shows(purchase, at)
                    && self.lists(list, purchase)
                    && range(purchase)
                    && filter(purchase)
                    && (email.is_none()
                        || self.customer(purchase).is_some_and(|it| self.is_at(it, email)))
            });
            purchases.map(|purchase| purchase.number).collect()
        };
        match self.dimensions.sort_order {
            SortOrder::Honoured => self.sort(list, &mut rows, descending),
            SortOrder::Ascending | SortOrder::PagesOfAscending => {
                self.sort(list, &mut rows, false);
            }
            SortOrder::Unordered | SortOrder::PagesOfUnordered => match list {
                List::Customers => rows.sort_by_key(|row| self.customers[*row].luck),
                _ => rows.sort_by_key(|row| self.ledger[*row].luck),
            },
        }
        Ok(rows)
    }

    fn sort(&self, list: List, rows: &mut [usize], descending: bool) {
        rows.sort_by_key(|row| match list {
            List::Customers => self.customers[*row].stamp,
            _ => self.ledger[*row].stamp,
        });
        if descending {
            rows.reverse();
        }
    }

    fn is_at(&self, customer: &Customer, email: Option<&str>) -> bool {
        email.is_none_or(|email| match self.dimensions.address_filter {
            AddressFilter::Exact => customer.email == email,
            AddressFilter::Loose => folded(&customer.email) == folded(email),
        })
    }

    fn lists(&self, list: List, purchase: &Purchase) -> bool {
        let for_customer = purchase.customer.is_some();
        match self.dimensions.place {
            Place::CustomerRecords => for_customer == (list == List::CustomerRecords),
            Place::Records => list == List::Records,
            Place::Both => for_customer || list == List::Records,
        }
    }

    /// The range of dates of a query.
    pub(super) fn range(
        &self,
        query: &Query,
    ) -> Result<impl Fn(&Purchase) -> bool + use<>, ApiResponse> {
        let mut start = query.day("start_date")?.unwrap_or(i64::MIN);
        let mut end = query.day("end_date")?.unwrap_or(i64::MAX);
        if self.dimensions.dates == Dates::Exclusive {
            start = start.saturating_add(i64::from(start > i64::MIN));
            end = end.saturating_sub(i64::from(end < i64::MAX));
        }
        let zone = self.dimensions.day_zone;
        Ok(move |purchase: &Purchase| (start..=end).contains(&day(purchase, zone)))
    }

    /// The kinds of a query.
    fn filter(&self, query: &Query) -> Result<impl Fn(&Purchase) -> bool + use<>, ApiResponse> {
        let wanted = query.all("filter_by");
        let known = |name: &&str| {
            Kind::ALL.iter().any(|kind| *kind != Kind::Coral && kind.field() == *name)
        };
        let everything = wanted.is_empty();
        let (mut all, mut none) = (everything, false);
        if !wanted.iter().all(known) {
            match self.dimensions.unknown_filter {
                UnknownFilter::Honoured => {}
                UnknownFilter::EmptyList => none = true,
                UnknownFilter::Everything => all = true,
                UnknownFilter::BadRequest => return Err(bad("there is no such filter")),
            }
        }
        let kinds: Vec<Kind> =
            Kind::ALL.iter().copied().filter(|kind| wanted.contains(&kind.field())).collect();
        Ok(move |purchase: &Purchase| !none && (all || kinds.contains(&purchase.order.kind)))
    }

    fn row(&self, list: List, row: usize, form: TimeForm) -> String {
        if list == List::Customers {
            return self.customers[row].row();
        }
        let purchase = &self.ledger[row];
        let order = &purchase.order;
        let mut amount = (order.kind.field(), order.amount.to_string());
        let mut category = order.category.as_deref().map(json::text);
        let mut user_id = Some(self.shown_user_id(purchase));
        match self.harm(purchase) {
            OtherRows::WellFormed | OtherRows::Mixed => {}
            OtherRows::Null => return "null".to_owned(),
            OtherRows::WithoutUserId => user_id = None,
            OtherRows::AmountAsText => amount.1 = json::text(&amount.1),
            OtherRows::HalfSurrogate => category = Some(r#""\ud83d""#.to_owned()),
            OtherRows::UnknownKind => amount.0 = "kelp_planted",
        }
        let mut fields = Vec::new();
        if let Some(user_id) = user_id {
            fields.push(("user_id", json::text(user_id)));
        }
        if let Some(customer) = self.customer(purchase).filter(|_| list == List::CustomerRecords) {
            fields.push(("customer", customer.shown()));
        }
        fields.push(("time_utc", json::text(&shown_time(purchase, form))));
        fields.push(amount);
        fields.extend(category.map(|category| ("category", category)));
        let way = purchase.written.unwrap_or(self.dimensions.metadata);
        let unlisted = match list {
            List::Records => Metadata::NotInRecords,
            _ => Metadata::NotInCustomerRecords,
        };
        if way != unlisted {
            let metadata = shown_metadata(&order.metadata, way, self.value_cap);
            fields.extend(metadata.map(|metadata| ("metadata", metadata)));
        }
        json::object(fields)
    }

    /// How the row of a purchase is malformed.
    fn harm(&self, purchase: &Purchase) -> OtherRows {
        match self.dimensions.other_rows {
            _ if !purchase.of_others || !unlucky(purchase.luck, 0) => OtherRows::WellFormed,
            OtherRows::Mixed => {
                let harms = &OtherRows::ALL[1..OtherRows::ALL.len() - 1];
                pick_by_luck(purchase.luck, harms)
            }
            harm => harm,
        }
    }

    /// The `user_id` of a record.
    fn shown_user_id(&self, purchase: &Purchase) -> &str {
        match self.dimensions.user_id {
            UserId::Same => ACCOUNT,
            UserId::OtherCase => OTHER_CASE,
            UserId::OfCustomer => self.customer(purchase).map_or(ACCOUNT, |it| it.id.as_str()),
            UserId::Other => OTHER_ID,
        }
    }

    /// The form of times in this exchange.
    pub(super) fn time_form(&mut self) -> TimeForm {
        match self.dimensions.time_form {
            TimeForm::Alternating => {
                let forms = &TimeForm::ALL[..TimeForm::ALL.len() - 1];
                *self.dice.pick(forms)
            }
            form => form,
        }
    }
}

/// [`ACCOUNT`] in another case.
pub(super) const OTHER_CASE: &str = "u123";
/// Another id of the account.
pub(super) const OTHER_ID: &str = "ORG-77";

/// The number of a list and the number of rows on its earlier pages.
fn parse_cursor(cursor: &str) -> Option<(usize, usize)> {
    let (walk, from) = cursor.strip_suffix('=')?.split_once("+/")?;
    Some((walk.parse().ok()?, from.parse().ok()?))
}

/// The day of a purchase, in days since 1970.
pub(super) fn day(purchase: &Purchase, zone: DayZone) -> i64 {
    let hours = match zone {
        DayZone::Utc => 0,
        DayZone::East => 14,
        DayZone::West => -12,
    };
    (purchase.stamp + hours * 3_600_000).div_euclid(86_400_000)
}

/// The `time_utc` of a record.
pub(super) fn shown_time(purchase: &Purchase, form: TimeForm) -> String {
    // `2024-09-16T20:34:04.429Z`
    let text = &purchase.time_utc;
    let (second, milli) = (&text[..19], &text[..23]);
    match form {
        TimeForm::Same | TimeForm::Alternating => text.clone(),
        TimeForm::Micros => format!("{milli}{:03}Z", purchase.micros()),
        TimeForm::Cut => format!("{second}.000Z"),
        TimeForm::Offset => format!("{milli}+00:00"),
        TimeForm::Rounded => {
            let time = chrono::DateTime::from_timestamp((purchase.stamp + 500) / 1000, 0);
            time.expect("a valid time").format("%Y-%m-%dT%H:%M:%SZ").to_string()
        }
    }
}

impl Customer {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("customer_id", json::text(&self.id)),
            ("customer_email", json::text(&self.email)),
        ];
        fields.extend(self.name.as_deref().map(|name| ("customer_name", json::text(name))));
        fields
    }

    /// The customer in a record or receipt.
    pub(super) fn shown(&self) -> String {
        json::object(self.fields())
    }

    /// The customer as a row of `/v1/customers`.
    fn row(&self) -> String {
        let mut fields = self.fields();
        fields.push(("onboarded_on", json::text(&self.onboarded_on)));
        json::object(fields)
    }
}
