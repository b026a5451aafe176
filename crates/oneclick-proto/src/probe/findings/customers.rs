//! How customers' addresses are stored and filtered.

use super::{seen, unknown};
use crate::probe::evidence::{Answer, Evidence};
use crate::probe::plan::{Address, INTERNATIONAL, Question, TAGGED, TAGGED_ORDER, View};
use crate::probe::report::Finding;

/// How an address is stored.
pub(super) fn address(evidence: &Evidence) -> Finding {
    let subject = "address";
    let customers = listed_addresses(evidence);
    let stored = |sent: &str| {
        evidence.stored_address(sent).map(str::to_owned).or_else(|| {
            customers.iter().find(|address| likeness(address) == likeness(sent)).cloned()
        })
    };
    let tagged = stored(TAGGED);
    let international = stored(INTERNATIONAL);
    let basis = "addresses with capital letters, a tag and an international domain";
    let tag_value = tagged.as_deref().map(|address| match address {
        TAGGED => "kept",
        _ if address == TAGGED.to_lowercase() => "lower_case",
        "Probe.Ada@example.com" => "tag_removed",
        "probe.ada@example.com" => "lower_case_without_tag",
        _ => "changed",
    });
    let domain_value = international.as_deref().map(|address| match address {
        INTERNATIONAL => "kept",
        _ if address.contains("xn--") => "other_domain_form",
        _ => "changed",
    });
    match (tag_value, domain_value) {
        (None, None) => unknown(subject, "no response shows the address of a customer"),
        (Some("kept") | None, Some(value)) | (Some(value), _) => seen(subject, value, basis),
    }
}

/// The addresses in the list of customers.
fn listed_addresses(evidence: &Evidence) -> Vec<String> {
    let lists = evidence.answers(Question::Customers(Address::Any));
    let pages = lists.filter_map(|exchange| match &exchange.answer {
        Answer::Customers(page) => Some(page),
        _ => None,
    });
    let addresses = pages.flat_map(|page| page.items.iter());
    addresses.map(|customer| customer.customer_email.as_str().to_owned()).collect()
}

/// What remains of an address of the probe, however it is stored.
fn likeness(address: &str) -> (bool, bool) {
    let address = address.to_lowercase();
    (address.starts_with("probe.ada"), address.contains("cher") || address.contains("xn--"))
}

/// How the filter `customer_email` compares.
pub(super) fn address_filter(evidence: &Evidence) -> Finding {
    let subject = "address_filter";
    let found = |address| {
        evidence.answers(Question::Customers(address)).find_map(|exchange| match &exchange.answer {
            Answer::Customers(page) => Some(!page.items.is_empty()),
            _ => None,
        })
    };
    match (found(Address::AsStored), found(Address::OtherCase)) {
        (Some(true), Some(true)) => seen(subject, "loose", "another case finds the customer too"),
        (Some(true), Some(false)) => {
            seen(subject, "exact", "only the address as it is stored finds the customer")
        }
        (Some(false), _) => seen(subject, "finds_nothing", "the stored address finds no customer"),
        _ => unknown(subject, "no response shows how an address is stored"),
    }
}

/// Whether the address as it was sent finds the customer's records.
pub(super) fn sent_address(evidence: &Evidence) -> Finding {
    let subject = "filter_by_sent_address";
    let Some(filtered) = evidence.page(Question::ForCustomers(View::OfTagged)) else {
        return unknown(subject, "the list could not be read");
    };
    let listed = evidence.page(Question::ForCustomers(View::Newest));
    let listed = listed.is_some_and(|page| evidence.shows(TAGGED_ORDER, page));
    match (listed, evidence.shows(TAGGED_ORDER, filtered)) {
        (_, true) => seen(subject, "finds_it", "/v1/customer_records with customer_email"),
        (true, false) => {
            seen(subject, "misses_it", "/v1/customer_records shows it, but not with customer_email")
        }
        (false, false) => unknown(subject, "/v1/customer_records does not show the purchase"),
    }
}
