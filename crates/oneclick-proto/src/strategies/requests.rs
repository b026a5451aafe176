//! Requests that the API accepts.

use proptest::prelude::*;

use super::{arbitrary, hostile_text, maybe};
use crate::{
    CancelImpact, CaptureCarbon, Category, CleanOcean, Cursor, Customer, DateRange, DonateMoney,
    Email, GetAccount, GetDailyTotals, GetImpactTotals, GetProject, ImpactId, ImpactKind, Limit,
    ListCustomerRecords, ListCustomers, ListProjects, ListRecords, Locale, Metadata, PlantTree,
    ProjectType, Purchase, Reason, RestoreCoral, SortOrder, TrackImpact, TreeCategory,
};

/// The strategy of an action: its amount, and the fields that all actions have.
macro_rules! action {
    ($action:ty $(, $category:ident: $type:ty)?) => {
        (any_amount(<$action>::new), maybe::<Customer>(), maybe::<bool>(), any::<Metadata>()).prop_map(
            |(mut action, customer, notify, metadata)| {
                (action.customer, action.notify, action.metadata) = (customer, notify, metadata);
                action
            },
        )
        $(.prop_flat_map(|action| maybe::<$type>().prop_map(move |$category| {
            let mut action = action.clone();
            action.$category = $category;
            action
        })))?
    };
}

fn any_amount<A: Arbitrary + 'static, T: std::fmt::Debug>(
    new: impl Fn(A) -> T,
) -> impl Strategy<Value = T> {
    any::<A>().prop_map(new)
}

arbitrary! {
    GetAccount = Just(Self);
    GetImpactTotals = Just(Self);
    PlantTree = action!(Self, category: TreeCategory);
    CleanOcean = action!(Self);
    CaptureCarbon = action!(Self);
    DonateMoney = action!(Self, category: Category);
    RestoreCoral = action!(Self);
    Purchase = prop_oneof![
        any::<PlantTree>().prop_map(Self::from),
        any::<CleanOcean>().prop_map(Self::from),
        any::<CaptureCarbon>().prop_map(Self::from),
        any::<RestoreCoral>().prop_map(Self::from),
        any::<DonateMoney>().prop_map(Self::from),
    ];
    CancelImpact = (any::<ImpactId>(), maybe::<Reason>()).prop_map(|(id, reason)| {
        let mut cancel = Self::new(id);
        cancel.reason = reason;
        cancel
    });
    TrackImpact = any::<ImpactId>().prop_map(Self::new);
    GetDailyTotals = any::<DateRange>().prop_map(|dates| Self::new().dates(dates));
    ListRecords = (kinds(), any::<DateRange>(), maybe::<Limit>(), maybe::<Cursor>(), maybe::<SortOrder>()).prop_map(
        |(filter_by, dates, limit, cursor, sort_order)| Self {
            filter_by,
            dates,
            limit,
            cursor,
            sort_order,
        },
    );
    ListCustomerRecords = (maybe::<Email>(), kinds(), any::<DateRange>(), maybe::<Limit>(), maybe::<Cursor>(), maybe::<SortOrder>()).prop_map(
        |(customer_email, filter_by, dates, limit, cursor, sort_order)| Self {
            customer_email,
            filter_by,
            dates,
            limit,
            cursor,
            sort_order,
        },
    );
    ListCustomers = (maybe::<Email>(), maybe::<Limit>(), maybe::<Cursor>(), maybe::<SortOrder>()).prop_map(
        |(customer_email, limit, cursor, sort_order)| Self {
            customer_email,
            limit,
            cursor,
            sort_order,
        },
    );
    ListProjects = (known(ProjectType::KNOWN), known(Locale::KNOWN))
        .prop_map(|(project_type, locale)| Self { project_type, locale });
    GetProject = (project_id(), known(Locale::KNOWN)).prop_map(|(id, locale)| {
        let mut project = Self::new(id);
        project.locale = locale;
        project
    });
}

/// Different kinds that the API knows.
fn kinds() -> impl Strategy<Value = Vec<ImpactKind>> {
    proptest::sample::subsequence(ImpactKind::KNOWN, 0..4).prop_shuffle()
}

/// An optional value that the API knows.
fn known<T: Clone + std::fmt::Debug + 'static>(
    known: &'static [T],
) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(proptest::sample::select(known))
}

/// An id that can be a segment of a path.
fn project_id() -> impl Strategy<Value = String> {
    hostile_text().prop_filter("no segment of a path", |id| !matches!(&**id, "" | "." | ".."))
}
