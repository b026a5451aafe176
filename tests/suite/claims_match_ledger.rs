//! Compares the client's claims with the emulator's ledger, under every fault, at every
//! endpoint, over every adapter, for plain calls and for verified purchases.
//!
//! Nothing may be bought twice, nothing that was executed may be reported as not executed,
//! and nothing that was not bought may be confirmed.

use std::fmt::Debug;
use std::time::Duration;

use oneclick_emulator::{Fault, FaultRule, GatewayBody, LedgerEntry, RetryAfter, Server};
use oneclick_proto::{
    Action, CancelImpact, CaptureCarbon, Cents, CleanOcean, Customer, DonateMoney, Endpoint, Error,
    Execution, Fragments, GetAccount, GetDailyTotals, GetImpactTotals, GetProject, ImpactId,
    Intent, ListCustomerRecords, ListCustomers, ListProjects, ListRecords, Outcome, PlantTree,
    Pounds, Purchase, PurchaseState, RestoreCoral, RetryPolicy, Timestamp, TrackImpact,
    TransportOptions, Trees, UnresolvedReason, VerifiedPurchase, VerifyPolicy,
};

use crate::adapter::{Adapter, KEY, soon};
use crate::behaviours;

behaviours! {
    the_execution_of_a_call_matches_the_ledger
    a_verified_purchase_is_made_once_or_not_at_all
}

/// The transport of the core's guide passes the same tests.
mod guide {
    use crate::adapter::Guide;

    #[test]
    fn the_execution_of_a_call_matches_the_ledger() {
        super::the_execution_of_a_call_matches_the_ledger::<Guide>();
    }

    #[test]
    fn a_verified_purchase_is_made_once_or_not_at_all() {
        super::a_verified_purchase_is_made_once_or_not_at_all::<Guide>();
    }
}

/// Short, because some faults wait for it. On a busy machine it causes more timeouts, and
/// the claims must be right for those as well.
const TIMEOUT: Duration = Duration::from_millis(300);
/// How long after a purchase was given up it may still be made, or be hidden.
const LATE: u64 = 100;
/// Durations that are longer than [`LATE`], but short enough for a test.
const POLICY: VerifyPolicy = VerifyPolicy::STANDARD
    .patience(Duration::from_millis(600))
    .absence_after(Duration::from_millis(400));

fn faults() -> Vec<Fault> {
    let limited = |retry_after| Fault::RateLimited { retry_after };
    let gateway = |status, applied, body| Fault::Gateway { status, applied, body };
    vec![
        limited(None),
        limited(Some(RetryAfter::Seconds(0))),
        limited(Some(RetryAfter::Seconds(90))),
        limited(Some(RetryAfter::Date(0))),
        limited(Some(RetryAfter::Date(90))),
        Fault::ServerError,
        Fault::Unavailable,
        gateway(502, true, GatewayBody::Html),
        gateway(429, true, GatewayBody::Message),
        gateway(404, true, GatewayBody::Html),
        gateway(400, false, GatewayBody::Message),
        gateway(302, true, GatewayBody::Empty),
        gateway(307, false, GatewayBody::Empty),
        gateway(200, true, GatewayBody::Html),
        gateway(204, true, GatewayBody::Empty),
        Fault::DropBefore,
        Fault::DropThenApply { millis: LATE },
        Fault::ApplyThenDrop,
        Fault::ApplyThenError,
        Fault::LateResponse { millis: 20 },
        Fault::LateResponse { millis: 2_000 },
        Fault::CutResponse { at: 0 },
        Fault::CutResponse { at: 20 },
        Fault::NoLength { at: None },
        Fault::NoLength { at: Some(20) },
        Fault::Garbage,
        Fault::NotHttp,
        Fault::WrongLength { by: 7 },
        Fault::WrongLength { by: -7 },
        Fault::SlowBytes { millis: 20 },
        Fault::NeverRespond { applied: false },
        Fault::NeverRespond { applied: true },
        Fault::Hidden { millis: LATE },
    ]
}

/// Checks all faults in parallel, because most of the time is spent waiting.
fn each_fault(check: impl Fn(&Fault) + Sync) {
    let faults = faults();
    std::thread::scope(|scope| {
        for fault in &faults {
            let check = &check;
            scope.spawn(move || check(fault));
        }
    });
}

fn client<S: Adapter>(server: &Server, retry: RetryPolicy) -> S {
    let options = TransportOptions::new().timeout(TIMEOUT).connect_timeout(TIMEOUT);
    S::at(server.base_url(), &options).with_retry(retry)
}

fn ledger(server: &Server) -> Vec<LedgerEntry> {
    let emulator = server.emulator();
    emulator.account(KEY).map_or_else(Vec::new, |account| account.ledger().collect())
}

/// Replaces all faults by one for this path.
fn inject(server: &Server, path: &str, fault: &Fault, times: Option<u32>) {
    let rule = FaultRule::new(fault.clone()).on(path);
    let mut emulator = server.emulator();
    emulator.clear_faults();
    emulator.inject(match times {
        Some(times) => rule.times(times),
        None => rule,
    });
}

/// Asserts that the result of a call matches what it did.
#[track_caller]
fn assert_true<T>(result: &Result<T, Error>, done: bool, what: &str) {
    match result.as_ref().map_err(Error::execution) {
        Ok(_) | Err(Execution::Executed) => assert!(done, "{what}: said to be executed"),
        Err(Execution::NotExecuted) => assert!(!done, "{what}: said not to be executed"),
        Err(Execution::Unknown) => {}
    }
}

fn buy<S: Adapter, A: Action>(client: &S, server: &Server, fault: &Fault, action: &A) {
    for times in [Some(1), Some(2), None] {
        inject(server, A::PATH, fault, times);
        let before = ledger(server).len();
        let result = client.send(action.clone());
        if matches!(fault, Fault::DropThenApply { .. }) {
            std::thread::sleep(Duration::from_millis(2 * LATE));
        }
        let bought = ledger(server).len() - before;
        let what = format!("{fault:?} at {} {times:?}", A::PATH);
        assert!(bought <= 1, "{what}: bought {bought} times");
        assert_true(&result, bought == 1, &what);
    }
}

fn read<S: Adapter, E: Endpoint + Clone>(client: &S, server: &Server, fault: &Fault, read: &E) {
    for times in [Some(1), None] {
        inject(server, E::PATH, fault, times);
        let before = ledger(server).len();
        let result = client.send(read.clone());
        assert_eq!(ledger(server).len(), before);
        // A retry gets past a single fault, unless that is not transient: a complete but
        // wrong response, or a wait that is too long.
        let lasting = match fault {
            Fault::Garbage
            | Fault::WrongLength { by: -7 }
            | Fault::NoLength { at: Some(_) }
            | Fault::RateLimited {
                retry_after: Some(RetryAfter::Seconds(90) | RetryAfter::Date(90)),
            } => true,
            Fault::Gateway { status, .. } => ![429, 502].contains(status),
            _ => false,
        };
        if let (Some(1), false, Err(error)) = (times, lasting, &result) {
            // Only a busy machine can make all three attempts time out.
            assert!(error.is_timeout(), "{fault:?} at {}: {error}", E::PATH);
        }
    }
}

fn cancel<S: Adapter>(client: &S, server: &Server, fault: &Fault) {
    for times in [Some(1), None] {
        server.emulator().clear_faults();
        let receipt = loop {
            if let Ok(receipt) = client.send(PlantTree::new(Trees::of::<1>())) {
                break receipt;
            }
        };
        inject(server, CancelImpact::PATH, fault, times);
        let result = client.send(CancelImpact::new(&receipt));
        let id = ImpactId::from(&receipt);
        let same = |entry: &&LedgerEntry| ImpactId::from(&entry.receipt) == id;
        let cancelled = ledger(server).iter().find(same).unwrap().cancelled_on.is_some();
        assert_true(&result, cancelled, &format!("{fault:?} at a cancellation {times:?}"));
    }
}

fn the_execution_of_a_call_matches_the_ledger<S: Adapter>() {
    each_fault(|fault| {
        let server = Server::start().unwrap();
        let client = client::<S>(&server, soon());
        macro_rules! each {
            ($what:ident: $($endpoint:expr),* $(,)?) => {
                $($what(&client, &server, fault, &$endpoint);)*
            };
        }
        let customer = || Customer::new("ada.lovelace@example.com").unwrap();
        each!(buy:
            PlantTree::new(Trees::of::<5>()),
            PlantTree::new(Trees::of::<5>()).customer(customer()),
            CleanOcean::new(Pounds::of::<5>()),
            CaptureCarbon::new(Pounds::of::<5>()),
            RestoreCoral::new(Fragments::of::<5>()),
            DonateMoney::new(Cents::of::<500>()),
        );
        cancel(&client, &server, fault);
        // A purchase that was made without the fault, so it is not hidden.
        let some = ledger(&server).into_iter().find(|entry| !entry.hidden).unwrap();
        each!(read:
            GetAccount,
            GetImpactTotals,
            GetDailyTotals::new(),
            ListRecords::new(),
            ListCustomerRecords::new(),
            ListCustomers::new(),
            TrackImpact::new(some.receipt),
            ListProjects::new(),
            GetProject::new("emulator-clean-bay"),
        );
    });
}

/// Runs a verified purchase under a fault, then resumes it without the fault until it ends.
fn once<S: Adapter, A: Action + Debug>(client: &S, server: &Server, rule: FaultRule, action: &A) {
    let what = format!("{rule:?} at {} {action:?}", A::PATH);
    let intent = Intent::new("ledger", &what);
    let purchase = || -> Purchase { action.clone().into() };
    let bought = || -> Vec<ImpactId> {
        let marker = Some(intent.marker());
        let ledger = ledger(server).into_iter().map(|entry| {
            assert_eq!(entry.cancelled_on, None, "{what}: cancelled");
            entry.receipt
        });
        let ours = ledger.filter(|receipt| receipt.metadata.get(Intent::METADATA_KEY) == marker);
        ours.map(ImpactId::from).collect()
    };
    server.emulator().clear_faults();
    server.emulator().inject(rule);
    let mut verified = VerifiedPurchase::new(&intent, purchase());
    // A busy machine may need several rounds.
    let mut outcomes = Vec::new();
    for _ in 0..20 {
        let outcome = client.run(verified.unwrap().policy(POLICY));
        outcomes.push(outcome.to_string());
        let bought = bought();
        assert!(bought.len() <= 1, "{what}: bought {} times", bought.len());
        let mut state = match outcome {
            Outcome::Confirmed(receipt) => {
                assert_eq!(bought, [ImpactId::from(&receipt)], "{what}");
                return;
            }
            Outcome::Refused(_) => {
                assert_eq!(bought, [], "{what}");
                server.emulator().clear_faults();
                verified = VerifiedPurchase::new(&intent, purchase());
                continue;
            }
            Outcome::NotBought(not) => {
                assert_eq!(bought, [], "{what}");
                not.state
            }
            Outcome::Pending(pending) => {
                std::thread::sleep(pending.after);
                pending.state
            }
            Outcome::Unresolved(left) if left.reason == UnresolvedReason::SameTime => {
                // One purchase in a thousand is made at a whole second. That time is then
                // ambiguous if others were made within the second (R12).
                let mut times = ledger(server).into_iter().map(|entry| entry.receipt.time_utc);
                let whole = |time: Timestamp| time.datetime().timestamp_subsec_nanos() == 0;
                assert!(times.any(whole), "{what}: {bought:?}");
                return;
            }
            Outcome::Unresolved(left) => left.state,
            Outcome::Cancelled(ids) => panic!("{what}: nobody cancelled {ids:?}"),
        };
        assert!(state.sends() <= PurchaseState::MAX_SENDS, "{what}: {} sends", state.sends());
        if !state.may_send() {
            // Either nothing was bought, or the next look will find it.
            state.allow_another();
        }
        server.emulator().clear_faults();
        verified = VerifiedPurchase::resume(&intent, purchase(), state);
    }
    panic!("{what}: never confirmed: {outcomes:#?}");
}

fn a_verified_purchase_is_made_once_or_not_at_all<S: Adapter>() {
    each_fault(|fault| {
        let server = Server::start().unwrap();
        let client = client::<S>(&server, soon());
        macro_rules! each {
            ($($action:expr),* $(,)?) => {$(
                let action = $action;
                for rule in [
                    FaultRule::new(fault.clone()).on(path(&action)).times(1),
                    FaultRule::new(fault.clone()).on(path(&action)),
                    // At the purchase and the reads that follow.
                    FaultRule::new(fault.clone()).times(4),
                ] {
                    once(&client, &server, rule, &action);
                }
            )*};
        }
        let customer = || Customer::new("ada.lovelace@example.com").unwrap();
        each!(
            PlantTree::new(Trees::of::<5>()),
            PlantTree::new(Trees::of::<5>()).customer(customer()),
            CleanOcean::new(Pounds::of::<5>()),
            CaptureCarbon::new(Pounds::of::<5>()).customer(customer()),
            RestoreCoral::new(Fragments::of::<5>()),
            DonateMoney::new(Cents::of::<500>()),
        );
    });
}

fn path<A: Action>(_: &A) -> &'static str {
    A::PATH
}
