//! What the findings mean for a verified purchase.

use super::report::{Finding, Measured, ProbeReport};

/// What follows, in sentences.
pub(super) fn consequences(report: &ProbeReport) -> Vec<String> {
    let value = |subject| report.finding(subject).map_or("", |finding| &*finding.value);
    let mut sentences = Vec::new();
    let mut say = |sentence: &str| sentences.push(sentence.to_owned());
    for (list, subject) in [
        ("/v1/records", "metadata_in_records"),
        ("/v1/customer_records", "metadata_in_customer_records"),
    ] {
        match value(subject) {
            "kept" => {
                say(&format!("{list} shows the marker, by which a purchase is recognized."));
            }
            Finding::UNKNOWN => say(&format!("{list}: whether it shows the marker is not known.")),
            "values_respelled" | "keys_respelled" | "one_text" | "cut_short" => {
                say(&format!("{list} shows the marker in another form, which is recognized."));
            }
            _ => say(&format!(
                "Unsafe: {list} does not always show the marker: after a lost response, a person has to decide \
                 if a similar purchase is near."
            )),
        }
    }
    match value("receipt") {
        "of_another_purchase" => say(
            "Unsafe: a receipt may be that of another purchase. With this policy, only a record \
             confirms.",
        ),
        _ if !report.policy().confirm_by_receipt => {
            say("Date and time_utc are far apart: with this policy, only a record confirms.");
        }
        "own" => say("A receipt confirms a purchase at once."),
        _ => {}
    }
    let metadata = ["metadata_in_records", "metadata_in_customer_records"];
    let records_seen = metadata.iter().any(|subject| value(subject) != Finding::UNKNOWN);
    let Measured { missing, looked_for_ms, worst_delay_ms, .. } = report.measured;
    match worst_delay_ms {
        _ if missing > 0 => say(&format!(
            "Unsafe: {missing} records did not show within {} ms. If one takes longer than the \
             time below, a purchase may be made twice.",
            looked_for_ms.unwrap_or_default(),
        )),
        Some(worst) => say(&format!(
            "Each record showed within {worst} ms. A missing record still counts only after the \
             time below, because a request can be under way for long."
        )),
        None if records_seen => {
            say(
                "How long a record takes to show is not known: a missing record still counts only \
                 after the time below.",
            );
        }
        None => say("Unsafe: no record was seen, so a lost purchase may not be found."),
    }
    match value("sort_order") {
        "honoured" | Finding::UNKNOWN => {}
        _ => say("The lists are not sorted as asked: on a large account, a look may not end."),
    }
    let times = report.finding("time_utc");
    let in_seconds = |times: &Finding| {
        times.value.starts_with("seconds")
            || (times.value == "changing" && times.basis.contains("seconds"))
    };
    if times.is_some_and(in_seconds) {
        say("Times are in whole seconds: two purchases in one second cannot be told apart.");
    }
    if value("date") == "absent" {
        say("Responses have no Date: after a restart, a purchase stays pending for longer.");
    }
    if value("track_by") == "neither" {
        say("Impacts of customers cannot be tracked: they may end as unresolved.");
    }
    sentences
}
