//! Responses that a server of another version could send, and that survive a round trip
//! through JSON.

use std::fmt;

use proptest::arbitrary::Arbitrary;
use proptest::prelude::*;

use super::values::date;
use super::{arbitrary, hostile_text, maybe, maybe_text};
use crate::{
    Account, CancelMessage, Cancellation, Category, Cursor, CustomerRecord, CustomerSummary,
    DailyTotals, Day, Email, Extra, Goal, Impact, ImpactId, ImpactTotals, ListItem, NoCustomer,
    Page, Project, ProjectList, ProjectType, Receipt, Record, RecordCustomer, RecordedMetadata,
    Redacted, Row, Timestamp, Totals, Tracking, UserId,
};

arbitrary! {
    Account = (any::<UserId>(), any::<Email>())
        .prop_map(|(id, email)| Self::new(id, email.as_str()));
    Receipt = row(maybe::<RecordCustomer>());
    Record = row(Just(NoCustomer));
    CustomerRecord = row(any::<RecordCustomer>());
    CustomerSummary = (any::<RecordCustomer>(), any::<Timestamp>()).prop_map(|(customer, since)| {
        let mut entry = Self::new(customer.customer_id, customer.customer_email, since);
        entry.customer_name = customer.customer_name;
        entry
    });
    ImpactTotals = (any::<UserId>(), any::<Totals>(), any::<Totals>())
        .prop_map(|(id, own, customers)| Self::new(id, own, customers));
    Day = (date(), any::<Totals>()).prop_map(|(date, totals)| Self::new(date, totals));
    DailyTotals = (any::<UserId>(), proptest::collection::vec(any::<Day>(), 0..10))
        .prop_map(|(id, days)| Self::new(id, days));
    Cancellation = (any::<ImpactId>(), any::<Timestamp>(), any::<CancelMessage>(), any::<Impact>(), maybe::<Redacted>(), maybe::<Category>())
        .prop_map(|(id, on, message, impact, reason, category)| {
            let mut cancellation = Self::new(id, on, message, impact);
            (cancellation.reason, cancellation.category) = (reason, category);
            cancellation
        });
    Tracking = tracking();
    Goal = ("[a-z-]{1,20}", any::<i64>(), hostile_text()).prop_map(|(id, number, title)| {
        let mut goal = Self::new(id, number);
        goal.title = title;
        goal
    });
    Project = project();
    ProjectList = proptest::collection::vec(any::<Project>(), 0..4).prop_map(Self::new);
}

impl<T: ListItem + Arbitrary + 'static> Arbitrary for Page<T> {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let items = proptest::collection::vec(any::<T>(), 0..10);
        (items, maybe::<Cursor>()).prop_map(|(items, cursor)| Self::new(items, cursor)).boxed()
    }
}

fn row<C: fmt::Debug>(customer: impl Strategy<Value = C>) -> impl Strategy<Value = Row<C>> {
    let rest = (maybe::<Category>(), any::<RecordedMetadata>(), any::<Extra>());
    (any::<ImpactId>(), any::<Impact>(), customer, rest).prop_map(|(id, impact, customer, rest)| {
        let record = Record::new(id.user_id, id.time_utc, impact);
        let mut row = record.with_customer(|NoCustomer| customer);
        (row.category, row.metadata, row.extra) = rest;
        row
    })
}

fn tracking() -> impl Strategy<Value = Tracking> {
    let base = (any::<ImpactId>(), any::<Impact>(), maybe::<Category>());
    let times = proptest::array::uniform5(maybe::<Timestamp>());
    let texts = proptest::array::uniform7(maybe_text());
    let marks = (maybe::<bool>(), maybe::<bool>(), maybe::<Redacted>());
    (base, times, texts, marks).prop_map(|((id, impact, category), times, texts, marks)| {
        let mut tracking = Tracking::new(id.to_string(), id.time_utc, impact);
        tracking.category = category;
        [
            tracking.donation_available,
            tracking.donation_sent,
            tracking.impact_completed,
            tracking.live_session_date,
            tracking.cancelled_on,
        ] = times;
        [
            tracking.assigned_agent,
            tracking.project_location,
            tracking.location_map,
            tracking.project_id,
            tracking.donation_category,
            tracking.certificate,
            tracking.impact_video,
        ] = texts;
        (tracking.is_test_transaction, tracking.is_bonus_impact, tracking.cancellation_reason) =
            marks;
        tracking
    })
}

fn project() -> impl Strategy<Value = Project> {
    let texts = proptest::array::uniform5(hostile_text());
    // Quarters of a degree survive a round trip through JSON.
    let degrees = || proptest::option::of((-720..=720_i16).prop_map(|half| f64::from(half) / 4.0));
    let lists = (
        proptest::collection::vec(hostile_text(), 0..3),
        proptest::collection::vec(any::<Goal>(), 0..3),
    );
    let parts = ("[a-z0-9-]{1,30}", any::<ProjectType>(), texts, lists, degrees(), degrees());
    (parts, any::<bool>()).prop_map(
        |((id, kind, texts, (about, sdgs), latitude, longitude), available)| {
            let [name, location, description, country_code, organization] = texts;
            let mut project = Project::new(id, name, kind);
            (project.location, project.description) = (location, description);
            (project.country_code, project.organization) = (country_code, organization);
            (project.about, project.sdgs) = (about, sdgs);
            (project.latitude, project.longitude) = (latitude, longitude);
            project.available = available;
            project
        },
    )
}
