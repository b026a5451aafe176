//! A test for each rule: without the rule, the conclusion would be wrong.

use serde_json::json;

use super::*;
use crate::value::{Customer, Metadata, Timestamp};
use crate::{CustomerRecord, PlantTree, Record, Trees};

const MARKER: &str = "1eccac8f9ea6039e0e21dd62b2285a8d";
const POLICY: VerifyPolicy = VerifyPolicy::STANDARD;

fn time(text: &str) -> DateTime<Utc> {
    format!("2025-03-12T{text}Z").parse().unwrap()
}

fn tree() -> Purchase {
    PlantTree::new(Trees::of::<5>()).into()
}

fn for_customer(email: &str) -> Purchase {
    PlantTree::new(Trees::of::<5>()).customer(Customer::new(email).unwrap()).into()
}

/// The state of a purchase that left at 12:00:00 and was given up at 12:00:10.
fn sent(purchase: &Purchase) -> PurchaseState {
    let mut state = PurchaseState::new(&Intent::new("shop", "order-1"), purchase);
    assert_eq!(state.marker(), MARKER);
    state.sends = 1;
    state.from = Some(time("12:00:00").into());
    state.until = Some(time("12:00:10").into());
    state
}

type ShownRow = (ListName, Receipt);

/// A row of the account's own list.
#[expect(clippy::needless_pass_by_value, reason = "it is written where it is passed")]
fn own(at: &str, metadata: Value) -> ShownRow {
    row(json!({"user_id": "U1", "time_utc": format!("2025-03-12T{at}Z"), "tree_planted": 5,
        "metadata": metadata}))
}

fn row(json: Value) -> ShownRow {
    let record: Record = serde_json::from_value(json).unwrap();
    (ListName::Own, record.into())
}

/// A row of the customers' list.
#[expect(clippy::needless_pass_by_value, reason = "it is written where it is passed")]
fn customers(at: &str, email: &str, metadata: Value) -> ShownRow {
    let record: CustomerRecord = serde_json::from_value(json!({
        "user_id": "U1", "time_utc": format!("2025-03-12T{at}Z"), "tree_planted": 5,
        "customer": {"customer_id": "U2", "customer_email": email}, "metadata": metadata,
    }))
    .unwrap();
    (ListName::Customers, record.into())
}

fn marked() -> Value {
    json!({"oneclick_intent": MARKER})
}

/// What is known; by default, two whole lists that were read late.
struct Known {
    rows: ListedRows,
    whole: bool,
    late: bool,
    seen_before: bool,
    tracked: HashMap<ImpactId, TrackResult>,
}

impl Known {
    fn of(rows: impl IntoIterator<Item = ShownRow>) -> Self {
        let mut all = ListedRows::default();
        let (own, customers): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|(list, _)| *list == ListName::Own);
        for (list, rows) in [(ListName::Own, own), (ListName::Customers, customers)] {
            all.add(list, rows.into_iter().map(|(_, receipt)| receipt).collect(), |_| true);
        }
        Self { rows: all, whole: true, late: true, seen_before: false, tracked: HashMap::new() }
    }

    fn early(self) -> Self {
        Self { late: false, ..self }
    }

    fn tracked(mut self, id: &str, result: TrackResult) -> Self {
        self.tracked.insert(id.parse().unwrap(), result);
        self
    }

    fn with_malformed(mut self, row: Value) -> Self {
        self.rows.add_malformed(vec![row]);
        self
    }

    fn conclude(&self, purchase: &Purchase) -> Conclusion {
        self.conclude_state(purchase, &sent(purchase))
    }

    fn conclude_state(&self, purchase: &Purchase, state: &PurchaseState) -> Conclusion {
        let Self { rows, tracked, whole, late, seen_before } = self;
        let (whole, late, seen_before) = (*whole, *late, *seen_before);
        let evidence = Evidence { rows, whole, late, seen_before, tracked };
        conclude(purchase, state, &evidence, &POLICY)
    }

    /// Asserts the conclusion, written as a few words.
    #[track_caller]
    fn gives(&self, purchase: &Purchase, expected: &str) {
        let given = match self.conclude(purchase) {
            Conclusion::Track(row) => format!("track {}", ImpactId::from(&row.receipt)),
            Conclusion::Confirmed(receipt) => format!("confirmed {}", ImpactId::from(&receipt)),
            Conclusion::Cancelled(ids) => format!("cancelled {}", ids.len()),
            Conclusion::NotYet => "not yet".to_owned(),
            Conclusion::Absent => "absent".to_owned(),
            Conclusion::Unresolved(reason, found) => format!("{reason:?} {}", found.len()),
        };
        assert_eq!(given, expected);
    }
}

fn active() -> TrackResult {
    TrackResult::Active("U1".into())
}

const ID: &str = "U1-2025-03-12T12:00:01.500Z";

#[test]
fn r3_a_receipt_confirms_only_its_own_purchase() {
    let receipt = |at: &str| own(at, json!(null)).1;
    let confirms = |receipt: &Receipt, purchase: &Purchase| {
        receipt_confirms(receipt, purchase, time("12:00:00"), time("12:00:05"), &POLICY)
    };
    for at in ["11:59:00.000", "12:00:01.500", "12:01:05.000"] {
        assert!(confirms(&receipt(at), &tree()), "{at}");
    }
    for at in ["11:58:59.999", "12:01:05.001"] {
        assert!(!confirms(&receipt(at), &tree()), "{at}");
    }
    let mut other = receipt("12:00:01.500");
    other.impact.amount = 6;
    assert!(!confirms(&other, &tree()));
    let ada = customers("12:00:01.500", "Ada@example.com", json!(null)).1;
    assert!(confirms(&ada, &for_customer("ada+trees@example.com")));
    assert!(!confirms(&ada, &for_customer("bob@example.com")));
    assert!(!confirms(&ada, &tree()));
    // If the addresses may be spellings of the same one, only the record can tell.
    let zoe = customers("12:00:01.500", "zoe\u{308}@example.com", json!(null)).1;
    assert!(!confirms(&zoe, &for_customer("zo\u{eb}@example.com")));
    assert!(!confirms(&ada, &for_customer("zo\u{eb}@example.com")));
    // A receipt without a customer does not contradict the request.
    assert!(confirms(&receipt("12:00:01.500"), &for_customer("ada@example.com")));
    // Neither does one with a marker that is ours or damaged.
    let mine = Metadata::from_pairs([(Intent::METADATA_KEY, MARKER)]).unwrap();
    let mine = tree().with_metadata(mine);
    let shows = |marker: &str| own("12:00:01.500", json!({"oneclick_intent": marker})).1;
    assert!(confirms(&shows(MARKER), &mine));
    assert!(confirms(&shows(&MARKER[..20]), &mine));
    assert!(!confirms(&shows(&"0".repeat(32)), &mine));
}

#[test]
fn r8_a_marker_is_ours_in_any_spelling() {
    for metadata in [
        marked(),
        json!({"oneclickIntent": MARKER}),
        json!({"oneclick_intent": MARKER.to_uppercase()}),
        json!({"oneclick_intent": &MARKER[..16]}),
        json!(format!("{{\"oneclick_intent\": \"{MARKER}\"}}")),
        json!({"order": "7", "oneclick_intent": MARKER}),
    ] {
        let known = Known::of([own("12:00:01.500", metadata.clone())]);
        known.gives(&tree(), &format!("track {ID}"));
    }
    for metadata in [json!({"oneclick_intent": &MARKER[..15]}), json!({"oneclick_intent": null})] {
        Known::of([own("12:00:01.500", metadata)]).gives(&tree(), "Candidates 1");
    }
}

#[test]
fn r8_only_an_intact_marker_belongs_to_another_intent() {
    let another = "0123456789abcdef0123456789abcdef";
    Known::of([own("12:00:01.500", json!({"oneclick_intent": another}))]).gives(&tree(), "absent");
    for unclear in [
        json!({"oneclick_intent": another.to_uppercase()}),
        json!({"oneclick_intent": &another[..31]}),
        json!({"oneclickIntent": another}),
        json!(null),
    ] {
        Known::of([own("12:00:01.500", unclear)]).gives(&tree(), "Candidates 1");
    }
}

/// A look keeps older rows only if they are ours.
#[test]
fn r8_the_marker_alone_makes_a_row_ours() {
    let ours = |metadata| is_ours(&own("12:00:01.500", metadata).1, MARKER);
    assert!(ours(marked()));
    assert!(ours(json!({"oneclick_intent": MARKER.to_uppercase()})));
    assert!(ours(json!({"note": format!("intent {MARKER}")})));
    assert!(!ours(json!({"oneclick_intent": MARKER.replace('1', "2")})));
    assert!(!ours(json!({"oneclick_intent": "order-1"})));
    assert!(!ours(json!(null)));
}

#[test]
fn r9_rows_within_two_seconds_are_one_purchase() {
    let twice = |second: &str| {
        let first = own("12:00:01.500", marked());
        Known::of([first, own(second, marked())]).tracked(ID, active())
    };
    twice("12:00:03.499").gives(&tree(), &format!("confirmed {ID}"));
    twice("12:00:03.500").gives(&tree(), "track U1-2025-03-12T12:00:03.500Z");
}

/// The lists may show different times for one purchase, and the API may track only one.
#[test]
fn r9_any_row_of_a_purchase_may_tell_its_fate() {
    let other = "U1-2025-03-12T12:00:01.501Z";
    let rows = || Known::of([own("12:00:01.500", marked()), own("12:00:01.501", marked())]);
    for first in [TrackResult::NotFound, TrackResult::Failed] {
        rows().tracked(ID, first.clone()).gives(&tree(), &format!("track {other}"));
        let second = |result| rows().tracked(ID, first.clone()).tracked(other, result);
        second(active()).gives(&tree(), &format!("confirmed {other}"));
        second(TrackResult::Cancelled).gives(&tree(), "cancelled 1");
    }
    rows().tracked(ID, active()).gives(&tree(), &format!("confirmed {ID}"));
    rows().tracked(ID, TrackResult::Cancelled).gives(&tree(), "cancelled 1");
    let neither = |one, two| rows().tracked(ID, one).tracked(other, two);
    neither(TrackResult::NotFound, TrackResult::NotFound).gives(&tree(), "Untrackable 1");
    neither(TrackResult::NotFound, TrackResult::Failed).gives(&tree(), "not yet");
    neither(TrackResult::Failed, TrackResult::NotFound).gives(&tree(), "not yet");
}

#[test]
fn r10_a_row_that_is_found_is_tracked_and_confirms_at_once() {
    let known = || Known::of([own("12:00:01.500", marked())]).early();
    known().gives(&tree(), &format!("track {ID}"));
    known().tracked(ID, active()).gives(&tree(), &format!("confirmed {ID}"));
    known().tracked(ID, TrackResult::Cancelled).gives(&tree(), "cancelled 1");
    known().tracked(ID, TrackResult::NotFound).gives(&tree(), "not yet");
    let late = Known::of([own("12:00:01.500", marked())]).tracked(ID, TrackResult::NotFound);
    late.gives(&tree(), "Untrackable 1");
    // Failed tracking is repeated, however late it is.
    let late = Known::of([own("12:00:01.500", marked())]).tracked(ID, TrackResult::Failed);
    late.gives(&tree(), "not yet");
}

#[test]
fn r10_a_row_of_another_kind_amount_or_customer_does_not_confirm() {
    let mut six = own("12:00:01.500", marked());
    six.1.impact.amount = 6;
    let ada = || customers("12:00:01.500", "ada@example.com", marked());
    for (row, asked) in [(six, tree()), (ada(), for_customer("bob@example.com"))] {
        let known = |result| Known::of([row.clone()]).early().tracked(ID, result);
        for result in [active(), TrackResult::NotFound, TrackResult::Failed] {
            known(result).gives(&asked, "OtherPurchase 1");
        }
        known(TrackResult::Cancelled).gives(&asked, "cancelled 1");
        Known::of([row]).gives(&asked, &format!("track {ID}"));
    }
    Known::of([ada()]).gives(&for_customer("ada@example.com"), &format!("track {ID}"));
}

#[test]
fn r11_of_several_purchases_a_single_active_one_confirms() {
    let second = "U1-2025-03-12T12:00:09.000Z";
    let known = |one, other| {
        let rows = [own("12:00:01.500", marked()), own("12:00:09.001", marked())];
        let second = second.replace(".000", ".001");
        Known::of(rows).tracked(ID, one).tracked(&second, other)
    };
    known(active(), TrackResult::Cancelled).gives(&tree(), &format!("confirmed {ID}"));
    known(TrackResult::Cancelled, active()).gives(&tree(), "confirmed U1-2025-03-12T12:00:09.001Z");
    known(TrackResult::Cancelled, TrackResult::Cancelled).gives(&tree(), "cancelled 2");
    known(active(), active()).gives(&tree(), "BoughtTwice 2");
    known(active(), TrackResult::NotFound).gives(&tree(), "Untrackable 2");
    known(TrackResult::Failed, TrackResult::NotFound).gives(&tree(), "not yet");
    known(active(), TrackResult::Failed).gives(&tree(), "not yet");
    let many = |count| {
        let at = |number: i32| format!("12:00:{:02}.500", 3 * number + 1);
        Known::of((0..count).map(|number| own(&at(number), marked())))
    };
    many(6).gives(&tree(), &format!("track {ID}"));
    many(7).gives(&tree(), "BoughtTwice 7");
}

#[test]
fn r12_a_row_is_not_tracked_if_another_row_has_its_time() {
    let mine = || own("12:00:01.500", marked());
    // Even if the other row has another user_id.
    let other = row(json!({"user_id": "U9", "time_utc": "2025-03-12T12:00:01.500Z",
        "waste_removed": 1}));
    Known::of([mine(), other]).gives(&tree(), "SameTime 1");
    Known::of([mine(), own("12:00:01", json!(null))]).gives(&tree(), "SameTime 1");
    Known::of([mine(), own("12:00:01.500", json!(null))]).gives(&tree(), "SameTime 1");
    Known::of([mine(), own("12:00:01.501", json!(null))]).gives(&tree(), &format!("track {ID}"));
    // A row of the other list is the same purchase.
    let twin = customers("12:00:01.500", "ada@example.com", json!(null));
    let known = Known::of([mine(), twin]);
    known.gives(&for_customer("ada@example.com"), &format!("track {ID}"));
    // Not if it has the marker of another intent.
    let other = json!({"oneclick_intent": "0".repeat(32)});
    let twin = customers("12:00:01.500", "ada@example.com", other);
    Known::of([mine(), twin]).gives(&for_customer("ada@example.com"), "SameTime 1");
}

#[test]
fn r12_different_rows_with_the_same_time_are_two() {
    let mut rows = ListedRows::default();
    let bob = customers("12:00:02", "bob@example.com", json!(null)).1;
    let ada = || customers("12:00:02", "ada@example.com", marked()).1;
    rows.add(ListName::Customers, vec![bob], |_| true);
    // A row that moved to the next page counts once.
    rows.add(ListName::Customers, vec![ada()], |_| true);
    rows.add(ListName::Customers, vec![ada()], |_| true);
    assert_eq!((rows.all.len(), rows.ours(MARKER).len()), (2, 1));
    // Two equal rows on one page are two.
    let mut rows = ListedRows::default();
    rows.add(ListName::Customers, vec![ada(), ada()], |_| true);
    assert_eq!(rows.ours(MARKER).len(), 2);
}

#[test]
fn r12_a_time_in_whole_seconds_is_tracked_only_if_every_purchase_must_be_listed() {
    for at in ["12:00:01", "12:00:01.000"] {
        let known = || Known::of([own(at, marked())]);
        assert!(matches!(known().conclude(&tree()), Conclusion::Track(_)), "{at}");
        known().early().gives(&tree(), "not yet");
        Known { whole: false, ..known() }.gives(&tree(), "SameTime 1");
        known().with_malformed(json!({"user_id": 7})).gives(&tree(), "SameTime 1");
        let beside = customers("12:00:01.999", "bob@example.com", json!(null));
        Known::of([own(at, marked()), beside]).gives(&tree(), "SameTime 1");
    }
    // Another row of the same purchase may identify it.
    let rows = [own("12:00:02", marked()), own("12:00:01.500", marked())];
    Known::of(rows).gives(&tree(), &format!("track {ID}"));
    // If another time has milliseconds, then so does this one, which ends in .000.
    let rows = || [own("12:00:01.000", marked()), own("12:00:01.999", json!(null))];
    Known::of(rows()).early().gives(&tree(), "track U1-2025-03-12T12:00:01.000Z");
}

#[test]
fn r13_a_missing_row_means_nothing_before_absence_counts() {
    Known::of([]).early().gives(&tree(), "not yet");
    Known::of([]).gives(&tree(), "absent");
    let gone = Known { seen_before: true, ..Known::of([]) };
    gone.gives(&tree(), "SeenAndGone 0");
}

#[test]
fn r13_a_purchase_that_was_never_sent_is_absent_at_once() {
    let mut state = sent(&tree());
    state.sends = 0;
    let unmarked = || Known::of([own("12:00:01.500", json!(null))]);
    for known in [unmarked(), unmarked().early(), Known { whole: false, ..unmarked() }] {
        assert!(matches!(known.conclude_state(&tree(), &state), Conclusion::Absent));
    }
    // A record contradicts the state.
    let marked = || Known::of([]).with_malformed(marked());
    for known in [marked(), marked().early()] {
        let conclusion = known.conclude_state(&tree(), &state);
        assert!(
            matches!(conclusion, Conclusion::Unresolved(UnresolvedReason::Malformed, _)),
            "{conclusion:?}"
        );
    }
}

#[test]
fn r14_r15_absence_requires_that_both_lists_were_read_as_a_whole() {
    Known { whole: false, ..Known::of([]) }.gives(&tree(), "TooManyRecords 0");
}

#[test]
fn r16_a_row_that_may_be_ours_prevents_absence() {
    let unmarked = |at: &str| Known::of([own(at, json!(null))]);
    unmarked("12:00:01.500").gives(&tree(), "Candidates 1");
    // Candidates begin a minute before the purchase left.
    unmarked("11:59:00.000").gives(&tree(), "Candidates 1");
    unmarked("11:58:59.999").gives(&tree(), "absent");
    let mut six = own("12:00:01.500", json!(null));
    six.1.impact.amount = 6;
    Known::of([six]).gives(&tree(), "absent");
    // A row without an amount, or with an amount of zero, may be any purchase.
    for amount in [json!({}), json!({"waste_removed": 0}), json!({"tree_planted": null})] {
        let mut lacking = json!({"user_id": "U1", "time_utc": "2025-03-12T12:00:01.500Z"});
        lacking.as_object_mut().unwrap().extend(amount.as_object().unwrap().clone());
        Known::of([row(lacking)]).gives(&tree(), "Candidates 1");
    }

    let ada = |email: &str| Known::of([customers("12:00:01.500", email, json!(null))]);
    for email in ["ada@example.com", "ADA@example.com", "ada+x@Example.com", "ädä@example.com"] {
        ada(email).gives(&for_customer("Ada+trees@example.com"), "Candidates 1");
    }
    for email in ["bob@example.com", "ada@example.org", "ada@sub.example.com"] {
        ada(email).gives(&for_customer("Ada+trees@example.com"), "absent");
    }
    ada("ada@xn--bcher-kva.example").gives(&for_customer("ada@bücher.example"), "Candidates 1");
    // Punycode maps some letters to others.
    ada("ada@strasse.example").gives(&for_customer("ada@straße.example"), "Candidates 1");
    ada("bob@strasse.example").gives(&for_customer("ada@straße.example"), "absent");
    // The account's own list may show a customer's row without the customer.
    unmarked("12:00:01.500").gives(&for_customer("ada@example.com"), "Candidates 1");
    ada("ada@example.com").gives(&tree(), "absent");
}

#[test]
fn r16_a_customer_may_be_listed_under_a_normalized_address() {
    let listed = |shown: &str| Known::of([customers("12:00:01.500", shown, json!(null))]);
    let asked = for_customer("ada.l+trees@googlemail.com");
    for shown in [
        "adal@gmail.com",
        "ADA.L@gmail.com ",
        "a.d.a.l+x@gmail.com",
        "ada.l trees@googlemail.com",
        "ada.l%2Btrees@googlemail.com",
        "\"ada.l\"@gmail.com",
        "Ada <ada.l@gmail.com>",
        "Ada ‹ada.l@gmail.com›",
        "a***@gmail.com",
        "0cc175b9c0f1b6a831c399e269772661",
        "",
    ] {
        listed(shown).gives(&asked, "Candidates 1");
    }
    listed("adam@gmail.com").gives(&asked, "absent");
    listed("adal@gmail.example").gives(&asked, "absent");
    listed("ada@yahoo.example").gives(&for_customer("ada-trees@yahoo.example"), "Candidates 1");
}

#[test]
fn r16_a_malformed_row_that_may_be_ours_prevents_absence() {
    let with = |row: Value| Known::of([]).with_malformed(row);
    let time = |at: &str| format!("2025-03-12T{at}Z");
    for row in [
        json!({}),
        json!({"tree_planted": "5"}),
        json!({"user_id": "U1", "time_utc": 1_741_780_800_000_u64, "tree_planted": 5}),
        json!({"user_id": null, "time_utc": time("12:00:01.500"), "tree_planted": 5}),
        json!({"user_id": 7, "time_utc": time("11:59:00.000"), "tree_planted": 5.5}),
        json!({"user_id": 7, "tree_planted": 5, "waste_removed": 0}),
        // It is not known which of the two amounts counts.
        json!({"user_id": 7, "tree_planted": 5, "waste_removed": 3}),
        json!({"user_id": 7, "tree_planted": "5", "waste_removed": 0}),
        json!({"user_id": 7, "metadata": {"oneclick_intent": "other"}}),
    ] {
        with(row.clone()).gives(&tree(), "Unreadable 0");
        with(row).early().gives(&tree(), "not yet");
    }
    for row in [
        json!(null),
        json!([MARKER]),
        json!({"user_id": 7, "time_utc": time("11:58:59.999"), "tree_planted": 5}),
        json!({"user_id": 7, "tree_planted": 6}),
        json!({"user_id": 7, "waste_removed": 5}),
        json!({"user_id": 7, "metadata": {"oneclick_intent": "0".repeat(32)}}),
    ] {
        with(row).gives(&tree(), "absent");
    }
}

#[test]
fn r16_more_malformed_rows_than_are_kept_prevent_absence() {
    let harmless = || (0..=MAX_MALFORMED).map(|_| json!({"user_id": 7, "tree_planted": 6}));
    let mut known = Known::of([]);
    known.rows.add_malformed(harmless().take(MAX_MALFORMED).collect());
    known.gives(&tree(), "absent");
    known.rows.add_malformed(harmless().collect());
    known.gives(&tree(), "Unreadable 0");
    assert_eq!(known.rows.malformed.len(), MAX_MALFORMED + 1);
}

#[test]
fn r8_a_malformed_row_with_the_marker_is_ours() {
    for row in [
        json!({"tree_planted": 6, "time_utc": "2020-01-01T00:00:00.000Z", "metadata": marked()}),
        json!({"notes": [{"deep": format!("x{}", MARKER.to_uppercase())}]}),
        json!({"metadata": &MARKER[..16]}),
    ] {
        let known = || Known::of([]).with_malformed(row.clone());
        known().gives(&tree(), "Malformed 0");
        // It was bought, whatever a person decides.
        let mut state = sent(&tree());
        state.show();
        state.allow_another();
        let conclusion = known().conclude_state(&tree(), &state);
        assert!(
            matches!(conclusion, Conclusion::Unresolved(UnresolvedReason::Malformed, _)),
            "{conclusion:?}"
        );
    }
    let short = json!({"metadata": &MARKER[..15], "tree_planted": 6});
    Known::of([]).with_malformed(short).gives(&tree(), "absent");
}

/// A person sees an unresolved outcome, and decides that nothing was bought.
#[test]
fn r16_candidates_that_a_person_dismissed_do_not_prevent_absence() {
    let unmarked = || Known::of([own("12:00:01.500", json!(null))]);
    let known = || {
        let malformed = unmarked().with_malformed(json!({}));
        [unmarked(), malformed, Known { whole: false, ..unmarked() }]
    };
    let unresolved = |state: &PurchaseState| {
        let conclusions = known().map(|known| known.conclude_state(&tree(), state));
        conclusions.into_iter().filter(|one| matches!(one, Conclusion::Unresolved(..))).count()
    };
    let mut state = sent(&tree());
    assert_eq!(unresolved(&state), 3);
    // No person has seen them yet.
    state.allow_another();
    assert_eq!(unresolved(&state), 3);
    state.show();
    assert_eq!(unresolved(&state), 3);
    state.allow_another();
    assert_eq!(unresolved(&state), 0);
    for known in known() {
        assert!(matches!(known.conclude_state(&tree(), &state), Conclusion::Absent));
        let early = known.early().conclude_state(&tree(), &state);
        assert!(matches!(early, Conclusion::NotYet));
    }
    // Rows from before the next send are no candidates for it.
    let times = (time("12:30:00"), time("12:30:02"));
    state.count_send(Some(times));
    assert_eq!(
        (state.earliest_send(), state.latest_send(), state.sends()),
        (Some(times.0), Some(times.1), 2)
    );
    assert!(matches!(unmarked().conclude_state(&tree(), &state), Conclusion::Absent));
    let after = Known::of([own("12:30:01.500", json!(null))]);
    assert!(matches!(after.conclude_state(&tree(), &state), Conclusion::Unresolved(..)));
    state.count_send(Some((time("12:40:00"), time("12:40:02"))));
    assert_eq!((state.earliest_send(), state.sends()), (Some(times.0), 3));
}

#[test]
fn r10_the_receipt_has_the_id_that_the_api_tracks() {
    let result = TrackResult::Active("U2".into());
    let known = Known::of([own("12:00:01.500", marked())]).tracked(ID, result);
    known.gives(&tree(), "confirmed U2-2025-03-12T12:00:01.500Z");
}

#[test]
fn r1_without_the_servers_time_every_row_may_be_ours() {
    let purchase = tree();
    let mut state = sent(&purchase);
    state.from = None;
    let known = Known::of([own("00:00:00.001", json!(null))]);
    let Known { rows, tracked, .. } = &known;
    let evidence = Evidence { rows, whole: true, late: true, seen_before: false, tracked };
    let conclusion = conclude(&purchase, &state, &evidence, &POLICY);
    assert!(matches!(conclusion, Conclusion::Unresolved(UnresolvedReason::Candidates, _)));
    let _: Option<Timestamp> = state.until;
}

#[test]
fn r11_too_many_rows_with_one_marker_are_left_to_a_person() {
    let rows = |count: i32| {
        (0..count).map(|row| {
            let metadata = json!({"oneclick_intent": MARKER, "row": row.to_string()});
            own("12:00:01.500", metadata)
        })
    };
    Known::of(rows(24)).gives(&tree(), &format!("track {ID}"));
    Known::of(rows(25)).gives(&tree(), "BoughtTwice 1");
}

#[test]
fn a_row_of_an_earlier_page_is_reported() {
    let mut rows = ListedRows::default();
    let page = |seconds: &[u32]| -> Vec<Receipt> {
        let row = |second: &u32| own(&format!("12:00:{second:02}.500"), json!(null)).1;
        seconds.iter().map(row).collect()
    };
    assert!(!rows.add(ListName::Own, page(&[9, 9, 8]), |_| true), "equal rows on one page");
    assert!(!rows.add(ListName::Customers, page(&[8]), |_| true), "another list");
    assert!(!rows.add(ListName::Own, page(&[7, 6]), |_| true));
    assert!(rows.add(ListName::Own, page(&[6, 5]), |_| true));
    assert_eq!(rows.near(time("12:00:08")).count(), 5);
}
