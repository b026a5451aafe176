//! How customers' addresses are stored and filtered.

use std::fmt;

use super::times::Timing;
use super::{likely, refusal, seen, unknown};
use crate::probe::evidence::{Answer, Evidence};
use crate::probe::plan::{Address, INTERNATIONAL, ORDERS, Question, TAGGED, TAGGED_ORDER, View};
use crate::probe::report::Finding;

/// How an address is stored.
pub(super) fn address(evidence: &Evidence) -> Finding {
    let subject = "address";
    let tagged = stored(evidence, TAGGED, &|address| match address {
        TAGGED => "kept",
        _ if address == TAGGED.to_lowercase() => "lower_case",
        "Probe.Ada@example.com" => "tag_removed",
        "probe.ada@example.com" => "lower_case_without_tag",
        _ => "changed",
    });
    let international = stored(evidence, INTERNATIONAL, &|address| match address {
        INTERNATIONAL => "kept",
        _ if address.contains("xn--") => "other_domain_form",
        _ => "changed",
    });
    let basis =
        format!("capital letters and a tag: {tagged}; an international domain: {international}");
    match (tagged, international) {
        (Stored::As("kept"), Stored::As("kept")) => seen(subject, "kept", basis),
        (Stored::As("kept"), Stored::As(value)) | (Stored::As(value), _) if value != "kept" => {
            seen(subject, value, basis)
        }
        (_, Stored::As(value)) if value != "kept" => seen(subject, value, basis),
        (Stored::As(_), _) | (_, Stored::As(_)) => likely(subject, "kept", basis),
        (Stored::Refused(_), _) | (_, Stored::Refused(_)) => unknown(subject, &basis),
        _ => unknown(subject, "no response shows the address of a customer"),
    }
}

/// What became of an address.
enum Stored {
    As(&'static str),
    /// The status of the purchase for it.
    Refused(u16),
    NotShown,
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::As(value) => f.write_str(value),
            Self::Refused(status) => write!(f, "refused with {status}"),
            Self::NotShown => f.write_str("not shown"),
        }
    }
}

/// What became of the address of an order.
fn stored(evidence: &Evidence, sent: &str, form: &dyn Fn(&str) -> &'static str) -> Stored {
    let Some(order) = ORDERS.iter().position(|order| order.customer == Some(sent)) else {
        return Stored::NotShown;
    };
    if let Some(address) = evidence.stored_address(sent) {
        return Stored::As(form(address));
    }
    // An earlier probe may have left the customer, so the list of customers does not count.
    let failure = evidence.failure(Question::Buy(order));
    if let Some(status) = failure.and_then(refusal) {
        return Stored::Refused(status);
    }
    let customers = customers(evidence, Address::Any).unwrap_or_default();
    let listed = customers.iter().find(|address| is_form_of(sent, address));
    listed.map_or(Stored::NotShown, |address| Stored::As(form(address)))
}

/// The addresses in a list of customers, if it could be read.
fn customers(evidence: &Evidence, address: Address) -> Option<Vec<&str>> {
    evidence.answers(Question::Customers(address)).find_map(|reply| match &reply.answer {
        Answer::Customers(page) => {
            Some(page.items.iter().map(|customer| customer.customer_email.as_str()).collect())
        }
        _ => None,
    })
}

/// Whether an address may be a form of one that was sent.
fn is_form_of(sent: &str, address: &str) -> bool {
    let address = address.to_lowercase();
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    if sent == INTERNATIONAL {
        return local == "probe" && domain.ends_with(".example.com");
    }
    let tag = local.strip_prefix("probe.ada");
    let is_tag = |tag: &str| !tag.starts_with(|first: char| first.is_ascii_alphanumeric());
    domain == "example.com" && tag.is_some_and(is_tag)
}

/// How the filter `customer_email` compares.
pub(super) fn address_filter(evidence: &Evidence, timing: &Timing) -> Finding {
    let subject = "address_filter";
    let (Some(stored), Some(found)) =
        (evidence.stored_address(TAGGED), customers(evidence, Address::AsStored))
    else {
        return unknown(subject, "no response shows how an address is stored");
    };
    let is_other = |address: &&&str| address.to_lowercase() != stored.to_lowercase();
    if found.iter().any(|address| is_other(&address)) {
        return seen(subject, "ignored", "other customers came than the one that was asked for");
    }
    let all = customers(evidence, Address::Any).unwrap_or_default();
    let is_filtered = all.iter().any(|address| is_other(&address));
    let late = "the list of customers may show them late";
    match (found.is_empty(), customers(evidence, Address::OtherCase)) {
        (true, _) if all.contains(&stored) && !timing.came_and_went => {
            seen(subject, "finds_nothing", "the stored address finds no customer")
        }
        (true, _) => unknown(subject, late),
        (false, Some(other)) if other.is_empty() && timing.came_and_went => unknown(subject, late),
        (false, Some(other)) if other.is_empty() => {
            seen(subject, "exact", "only the address as it is stored finds the customer")
        }
        (false, Some(_)) if is_filtered => {
            seen(subject, "loose", "another case finds the customer too, and no other one")
        }
        (false, Some(_)) => {
            likely(subject, "loose", "another case finds the customer too; no other one is listed")
        }
        (false, None) => unknown(subject, "the list for another case could not be read"),
    }
}

/// Whether the address as it was sent finds the customer's records.
pub(super) fn sent_address(evidence: &Evidence, timing: &Timing) -> Finding {
    let subject = "filter_by_sent_address";
    let question = Question::ForCustomers(View::OfTagged);
    let asked = evidence.answers(question).map(|reply| reply.asked).max();
    let (Some(filtered), Some(asked)) = (evidence.page(question), asked) else {
        return unknown(subject, "the list could not be read");
    };
    // Whether the list without the filter shows an order, and showed it before.
    let is_listed = |order: usize| {
        let mut pages = evidence.newest(Question::ForCustomers(View::Newest));
        pages.any(|(_, page)| evidence.shows(order, page))
            && timing.must_show(evidence, order, asked)
    };
    let mut others = (0..ORDERS.len())
        .filter(|order| ORDERS[*order].customer.is_some_and(|customer| customer != TAGGED));
    if others.clone().any(|order| evidence.shows(order, filtered)) {
        return seen(subject, "ignored", "/v1/customer_records with customer_email shows others");
    }
    match evidence.shows(TAGGED_ORDER, filtered) {
        true if others.any(is_listed) => {
            seen(subject, "finds_it", "/v1/customer_records with customer_email")
        }
        true => likely(subject, "finds_it", "/v1/customer_records lists no other customer"),
        false if is_listed(TAGGED_ORDER) => {
            seen(subject, "misses_it", "/v1/customer_records shows it, but not with customer_email")
        }
        false => unknown(subject, "/v1/customer_records did not show the purchase before"),
    }
}
