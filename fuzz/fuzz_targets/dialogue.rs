//! Runs calls of a client against the emulator and injects faults into their exchanges.
//! Each result of the client must agree with the emulator's ledger.
//!
//! The input is a head of four bytes, sixteen bytes for each call, and the body of responses
//! that do not come from the API. The first four bytes of a call choose the operation and
//! its arguments. Each pair of the others is the fault of one exchange; zeros mean no fault.
#![no_main]

#[path = "dialogue/world.rs"]
mod world;

use std::time::Duration;

use chrono::TimeDelta;
use libfuzzer_sys::fuzz_target;
use oneclick_emulator::LedgerEntry;
use oneclick_proto::{
    Action, BlockingTransport, CancelImpact, CaptureCarbon, Cents, CleanOcean, Customer,
    DonateMoney, Error, ErrorKind, Execution, Fragments, GetDailyTotals, ImpactId, Intent, Limit,
    List, ListCustomerRecords, ListCustomers, ListProjects, ListRecords, Metadata, Outcome,
    PlantTree, Pounds, Purchase, PurchaseState, RestoreCoral, RetryPolicy, Settled, Settlement,
    SortOrder, Step, TrackImpact, Trees, UnresolvedReason, VerifiedPurchase,
};

use world::{MAX_DELAY, TIMEOUT, World};

fuzz_target!(|input: &[u8]| {
    let (&[mode, seed, date, calls], rest) = input.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let (scripts, _) = rest.as_chunks::<16>();
    let scripts = &scripts[..scripts.len().min(usize::from(calls % 13))];
    let outside_body = &rest[16 * scripts.len()..];
    let mut dialogue = Dialogue {
        // The `Date` header differs from the server's clock by up to 16 seconds.
        world: World::new(seed, mode % 2 == 1, i64::from(date) / 8 - 16, outside_body),
        promises: Vec::new(),
        orders: Default::default(),
        cancel_attempts: Vec::new(),
        settles: mode / 2 % 2 == 0,
    };
    for script in scripts {
        dialogue.call(script);
        dialogue.check();
    }
    dialogue.end();
});

/// The number of impacts that a call bought, according to the client.
#[derive(Debug)]
enum Promise {
    Nothing,
    One,
    OneAtMost,
}

struct Dialogue {
    world: World,
    /// Promises with the number of their call. Delayed requests must not break them later.
    promises: Vec<(usize, Promise)>,
    orders: [Option<Order>; 4],
    /// The impacts that a call tried to cancel. No other impact may be cancelled.
    cancel_attempts: Vec<ImpactId>,
    /// Whether one walk looks up all open orders at the end.
    settles: bool,
}

/// An order that must be bought once, and its stored state.
struct Order {
    at: usize,
    intent: Intent,
    /// Whether a process may have sent it. Each process stores the state before it sends.
    may_be_sent: bool,
    stored: Option<PurchaseState>,
    outcome: Option<Outcome>,
}

impl Dialogue {
    fn call(&mut self, script: &[u8; 16]) {
        let [operation, which, how, time, faults @ ..] = script;
        let verified = operation % 8 >= 5;
        self.world.begin(verified, faults);
        {
            let mut state = self.world.state();
            state.pass(Duration::from_millis(u64::from(*time).pow(3)));
            // An open order relies on the server's clock, so the clock must not jump.
            if how % 16 == 15 && self.orders.iter().all(Option::is_none) {
                state.jump(TimeDelta::hours(i64::from(*time)));
            }
        }
        let retry = match how / 16 % 4 {
            0 | 1 => RetryPolicy::STANDARD,
            2 => RetryPolicy::NEVER,
            _ => RetryPolicy::STANDARD.attempts(6).deadline(Duration::from_secs(600)),
        };
        match operation % 8 {
            0 | 1 => self.purchase(*which, *how, retry),
            2 => self.cancel(*which, retry),
            3 => self.read(*which, retry),
            4 => self.walk(*which, *how, retry),
            _ => self.order(*which, *how, retry),
        }
        let state = self.world.state();
        assert!(verified || state.call.exchanges <= 40, "{} exchanges", state.call.exchanges);
    }

    /// Checks that an error shows no secret and that a call without a fault succeeds.
    fn check_result<T>(&self, result: &Result<T, Error>) {
        if let Err(error) = result {
            let shown = format!("{error} {error:#} {error:?}");
            assert!(!shown.contains("5ecretKey") && !shown.contains("ada@"), "{shown}");
        }
        let state = self.world.state();
        let clean = state.call.last_was_clean && !state.call.altered;
        assert!(result.is_ok() || !clean, "an error without a fault");
    }

    fn purchase(&mut self, which: u8, how: u8, retry: RetryPolicy) {
        let amount = u64::from(how) + 1;
        let pounds = || Pounds::new(amount).unwrap();
        let note = Metadata::from_pairs([("note", "any")]).unwrap();
        let customer = |on: bool| on.then(customer);
        let on = which >= 128;
        match which % 5 {
            0 => {
                let mut tree = PlantTree::new(Trees::new(amount).unwrap()).metadata(note);
                tree.customer = customer(on);
                self.buy(tree, amount, retry);
            }
            1 => {
                let mut ocean = CleanOcean::new(pounds());
                ocean.customer = customer(on);
                self.buy(ocean, amount, retry);
            }
            2 => {
                let mut carbon = CaptureCarbon::new(pounds());
                carbon.customer = customer(on);
                self.buy(carbon, amount, retry);
            }
            3 => {
                let mut money = DonateMoney::new(Cents::new(amount).unwrap());
                money.customer = customer(on);
                self.buy(money, amount, retry);
            }
            _ => {
                let mut coral = RestoreCoral::new(Fragments::new(amount).unwrap());
                coral.customer = customer(on);
                self.buy(coral, amount, retry);
            }
        }
    }

    fn buy<A: Action>(&mut self, action: A, amount: u64, retry: RetryPolicy) {
        let (kind, call) = (A::kind(), self.world.state().call.number);
        let result = self.world.client(retry).send(action);
        self.check_result(&result);
        let promise = match &result {
            Ok(_) => Promise::One,
            Err(error) => match error.execution() {
                Execution::NotExecuted => Promise::Nothing,
                Execution::Unknown => Promise::OneAtMost,
                Execution::Executed => Promise::One,
            },
        };
        self.promises.push((call, promise));
        let altered = self.world.state().call.altered;
        if let Some(receipt) = result.ok().filter(|_| !altered) {
            let bought = self.world.effects(call, false);
            assert_eq!(bought, [ImpactId::from(&receipt)]);
            assert_eq!(receipt.impact.kind, kind);
            assert_eq!(u64::try_from(receipt.impact.amount), Ok(amount));
        }
    }

    fn cancel(&mut self, which: u8, retry: RetryPolicy) {
        let ledger = self.world.ledger();
        let known = ledger.get(usize::from(which) % (ledger.len() + 1));
        let id = match known {
            Some(entry) => ImpactId::from(&entry.receipt),
            None => "U1-2024-09-16T20:34:04.429Z".parse().unwrap(),
        };
        self.cancel_attempts.push(id.clone());
        let call = self.world.state().call.number;
        let result = self.world.client(retry).send(CancelImpact::new(&id));
        self.promises.push((call, Promise::Nothing));
        let cancelled = self.world.effects(call, true);
        assert!(cancelled.iter().all(|cancelled| *cancelled == id), "{cancelled:?}");
        let ledger = self.world.ledger();
        let entry = ledger.iter().find(|entry| ImpactId::from(&entry.receipt) == id);
        let gone = entry.is_some_and(|entry| entry.cancelled_on.is_some());
        match result {
            Ok(response) => {
                assert!(gone, "a success, but the impact is not cancelled in the ledger");
                assert!(self.world.state().call.altered || ImpactId::from(&response) == id);
            }
            Err(error) => match error.execution() {
                Execution::NotExecuted => assert!(cancelled.is_empty(), "{error}"),
                Execution::Unknown => {}
                Execution::Executed => assert!(gone, "{error}"),
            },
        }
    }

    fn read(&mut self, which: u8, retry: RetryPolicy) {
        let client = self.world.client(retry);
        match which % 5 {
            0 => self.check_result(&client.whoami()),
            1 => self.check_result(&client.impact()),
            2 => self.check_result(&client.daily_impact(GetDailyTotals::new())),
            3 => self.check_result(&client.projects(ListProjects::new())),
            _ => {
                // A hidden record cannot be tracked yet.
                if let Some(entry) = self.world.ledger().last().filter(|entry| !entry.hidden) {
                    self.check_result(
                        &client.track(TrackImpact::new(ImpactId::from(&entry.receipt))),
                    );
                }
            }
        }
    }

    fn walk(&mut self, which: u8, how: u8, retry: RetryPolicy) {
        let order = if which < 128 { SortOrder::Asc } else { SortOrder::Desc };
        let limit = Limit::new(1 + u64::from(how % 16)).unwrap();
        let shown = |entry: &LedgerEntry| !entry.hidden;
        match which % 3 {
            0 => {
                let list = ListRecords::new().sort_order(order).limit(limit);
                let own = |entry: &LedgerEntry| shown(entry) && entry.receipt.customer.is_none();
                self.list(list, retry, order, |record| Some(ImpactId::from(record)), own);
            }
            1 => {
                let list = ListCustomerRecords::new().sort_order(order).limit(limit);
                let theirs = |entry: &LedgerEntry| shown(entry) && entry.receipt.customer.is_some();
                self.list(list, retry, order, |record| Some(ImpactId::from(record)), theirs);
            }
            _ => {
                let list = ListCustomers::new().sort_order(order).limit(limit);
                self.list(list, retry, order, |_| None, |_| false);
            }
        }
    }

    /// Walks a list to its end or the first error, and compares its items with the ledger.
    fn list<L: List>(
        &self,
        list: L,
        retry: RetryPolicy,
        order: SortOrder,
        id: impl Fn(&L::Item) -> Option<ImpactId>,
        listed: impl Fn(&LedgerEntry) -> bool,
    ) {
        let before = self.world.ledger();
        let mut items = self.world.client(retry).list(list);
        let mut ids = Vec::new();
        for _ in 0..2_000 {
            match items.next() {
                None => break,
                Some(Ok(item)) => ids.extend(id(&item)),
                Some(Err(error)) => {
                    let is_row = matches!(error.kind(), ErrorKind::MalformedRow);
                    self.check_result(&Err::<(), _>(error));
                    // The rows after a malformed one follow.
                    assert!(is_row || items.next().is_none(), "the walk continued after an error");
                    return;
                }
            }
        }
        assert!(items.next().is_none(), "the walk did not end");
        let after = self.world.ledger();
        // A walk may or may not list a change that happens during it.
        if self.world.state().call.altered || before != after {
            return;
        }
        let entries = after.iter().filter(|entry| listed(entry));
        let mut expected: Vec<_> = entries.map(|entry| ImpactId::from(&entry.receipt)).collect();
        if order == SortOrder::Desc {
            expected.reverse();
        }
        assert_eq!(ids, expected);
    }

    /// Works on an order in a process that may crash between any two steps.
    fn order(&mut self, which: u8, how: u8, retry: RetryPolicy) {
        let at = usize::from(which % 4);
        let mut order = self.orders[at].take().unwrap_or_else(|| Order::new(at));
        let not_bought = matches!(order.outcome, Some(Outcome::Refused(_) | Outcome::NotBought(_)));
        match how % 16 {
            // Nothing was bought for certain, so the order starts again.
            1 if not_bought => (order.may_be_sent, order.stored) = (false, None),
            // The stored state is lost, and only the intent is left.
            2 => order.stored = None,
            _ => {}
        }
        // The last argument numbers the point of the crash; zero means no crash.
        order.work(&self.world, retry, usize::from(which / 4));
        self.orders[at] = Some(order);
    }

    /// Checks the invariants that hold between any two calls.
    fn check(&self) {
        for (call, promise) in &self.promises {
            let bought = self.world.effects(*call, false).len();
            let kept = match promise {
                Promise::Nothing => bought == 0,
                Promise::One => bought == 1,
                Promise::OneAtMost => bought <= 1,
            };
            assert!(kept, "call {call}: promised {promise:?}, but bought {bought}");
        }
        for order in self.orders.iter().flatten() {
            order.check(&self.world);
        }
    }

    /// Ends all faults and delays, and checks that each order then reaches a final outcome.
    fn end(mut self) {
        self.world.begin(true, &[]);
        self.world.state().pass(5 * MAX_DELAY + TIMEOUT);
        self.check();
        if self.settles {
            self.settle();
        }
        let long_delays = self.world.state().long_delays;
        for order in self.orders.iter_mut().flatten() {
            for _ in 0..4 {
                order.work(&self.world, RetryPolicy::STANDARD, 0);
                order.check(&self.world);
                let Some(Outcome::Pending(pending)) = &order.outcome else { break };
                self.world.state().pass(pending.after + Duration::from_secs(1));
            }
            let mut live = self.world.marked(order.intent.marker());
            live.retain(|entry| entry.cancelled_on.is_none());
            let live: Vec<_> = live.iter().map(|entry| ImpactId::from(&entry.receipt)).collect();
            match order.outcome.as_ref().expect("a process without a crash has an outcome") {
                Outcome::Confirmed(receipt) => {
                    let id = ImpactId::from(receipt);
                    // The receipt may be from before the cancellation.
                    let gone = live.is_empty() && self.cancel_attempts.contains(&id);
                    assert!(gone || live == [id], "{live:?}");
                }
                Outcome::Cancelled(ids) => {
                    assert!(live.is_empty());
                    assert!(ids.iter().all(|id| self.cancel_attempts.contains(id)), "{ids:?}");
                }
                Outcome::NotBought(not) => assert!(live.is_empty() && !not.state.may_send()),
                Outcome::Unresolved(left) => match left.reason {
                    UnresolvedReason::Candidates => assert!(!left.found.is_empty()),
                    // This requires a record whose time is a whole second.
                    UnresolvedReason::SameTime => {
                        let whole = |entry: &LedgerEntry| {
                            entry.receipt.time_utc.datetime().timestamp_subsec_nanos() == 0
                        };
                        assert!(self.world.ledger().iter().any(whole), "{live:?}");
                    }
                    UnresolvedReason::BoughtTwice => assert!(long_delays && live.len() > 1),
                    reason => panic!("unresolved although all faults have ended: {reason:?}"),
                },
                outcome => panic!("expected a final outcome, got: {outcome}"),
            }
        }
        self.check();
    }

    /// Looks up all open orders in one walk. The walk has no faults, so it finds every
    /// impact that was bought.
    fn settle(&mut self) {
        let mut open: Vec<_> = self.orders.iter_mut().flatten().collect();
        open.retain(|order| {
            let sent = order.stored.as_ref().is_some_and(|stored| stored.sends() > 0);
            sent && !matches!(order.outcome, Some(Outcome::Confirmed(_) | Outcome::Cancelled(_)))
        });
        let resume = |order: &&mut Order| {
            let stored = order.stored.clone().expect("an order that was sent has a state");
            VerifiedPurchase::resume(&order.intent, order.purchase(), stored).unwrap()
        };
        let settlement = Settlement::new(open.iter().map(resume));
        let before = self.world.state().effects.len();
        let settled = self.world.client(RetryPolicy::STANDARD).run(settlement);
        assert_eq!(self.world.state().effects.len(), before, "the settlement changed the ledger");
        assert_eq!(settled.len(), open.len(), "one for each");
        let long_delays = self.world.state().long_delays;
        for (order, settled) in open.into_iter().zip(settled) {
            match settled {
                Settled::Done(outcome) => order.end(*outcome),
                Settled::Absent(absent) => {
                    assert!(long_delays || order.bought(&self.world).is_empty(), "{absent:?}");
                }
            }
            order.check(&self.world);
        }
    }
}

impl Order {
    fn new(at: usize) -> Self {
        let intent = Intent::new("shop", &format!("order-{at}"));
        Self { at, intent, may_be_sent: false, stored: None, outcome: None }
    }

    fn purchase(&self) -> Purchase {
        match self.at {
            0 => PlantTree::new(Trees::of::<5>()).into(),
            1 => PlantTree::new(Trees::of::<5>()).customer(customer()).into(),
            2 => DonateMoney::new(Cents::of::<5>()).into(),
            _ => CleanOcean::new(Pounds::of::<5>()).customer(customer()).into(),
        }
    }

    fn work(&mut self, world: &World, retry: RetryPolicy, crash_point: usize) {
        let (intent, purchase) = (&self.intent, self.purchase());
        let is_new = !self.may_be_sent;
        let verified = match self.stored.clone() {
            Some(stored) => VerifiedPurchase::resume(intent, purchase, stored),
            None if self.may_be_sent => VerifiedPurchase::recover(intent, purchase),
            None => VerifiedPurchase::new(intent, purchase),
        };
        self.outcome = None;
        let call = world.state().call.number;
        let before = world.effects(call, false).len();
        let mut point = 0;
        let mut crashes = || {
            point += 1;
            point == crash_point
        };
        let mut step = world.client(retry).start(verified.unwrap());
        for _ in 0..1_000 {
            if crashes() {
                // The process crashed before it carried out the step.
                return;
            }
            step = match step {
                Step::Send(request, sent) => {
                    if sent.may_buy() {
                        self.may_be_sent = true;
                        self.store(sent.state());
                    }
                    if crashes() {
                        // It crashed before the request was sent.
                        return;
                    }
                    let outcome = world.send(request);
                    if crashes() {
                        // It crashed before it read the response.
                        return;
                    }
                    sent.finish(outcome, world.now())
                }
                Step::Wait(wait, waiting) => {
                    world.sleep(wait);
                    waiting.wake(world.now())
                }
                Step::Done(outcome) => {
                    self.end(outcome);
                    break;
                }
            };
        }
        let outcome = self.outcome.as_ref().expect("the purchase ends within 1,000 steps");
        let bought = world.effects(call, false).len() - before;
        assert!(bought <= 2, "expected at most 2 impacts of one run, got {bought}");
        let (long_delays, faults) = {
            let state = world.state();
            (state.long_delays, state.call.faults)
        };
        if is_new && faults == 0 && !long_delays {
            assert!(
                matches!(outcome, Outcome::Confirmed(_)),
                "expected a confirmation without a fault, got: {outcome}"
            );
        }
    }

    fn store(&mut self, state: &PurchaseState) {
        let json = serde_json::to_string(state).unwrap();
        self.stored = Some(serde_json::from_str(&json).unwrap());
    }

    /// Keeps the outcome, and stores its state if it has one.
    fn end(&mut self, outcome: Outcome) {
        match &outcome {
            Outcome::NotBought(not) => self.store(&not.state),
            Outcome::Pending(pending) => self.store(&pending.state),
            Outcome::Unresolved(left) => self.store(&left.state),
            Outcome::Confirmed(_) | Outcome::Refused(_) | Outcome::Cancelled(_) => {}
        }
        self.outcome = Some(outcome);
    }

    /// Returns the impacts that were bought for the order, including cancelled ones.
    fn bought(&self, world: &World) -> Vec<ImpactId> {
        let marked = world.marked(self.intent.marker());
        marked.iter().map(|entry| ImpactId::from(&entry.receipt)).collect()
    }

    /// Checks the invariants that hold between any two steps.
    fn check(&self, world: &World) {
        let ids = self.bought(world);
        let long_delays = world.state().long_delays;
        assert!(
            long_delays || self.may_be_sent || ids.is_empty(),
            "bought before any state was stored"
        );
        // The client never buys a duplicate, not even one that it could cancel.
        assert!(long_delays || ids.len() <= 1, "expected at most 1 impact, got {}", ids.len());
        match &self.outcome {
            Some(Outcome::Confirmed(receipt)) => {
                assert!(ids.contains(&ImpactId::from(receipt)), "confirmed, but not in the ledger");
                assert_eq!(receipt.impact.amount, 5);
            }
            Some(outcome @ (Outcome::Refused(_) | Outcome::NotBought(_))) => {
                assert!(long_delays || ids.is_empty(), "{outcome}");
            }
            Some(Outcome::Cancelled(gone)) => {
                assert!(!gone.is_empty() && gone.iter().all(|id| ids.contains(id)), "{gone:?}");
            }
            Some(Outcome::Pending(pending)) => {
                assert_eq!(self.stored.as_ref(), Some(&pending.state));
            }
            Some(Outcome::Unresolved(left)) => {
                assert_eq!(left.state.marker(), self.intent.marker());
                let ours = left.found.iter().all(|id| ids.contains(id));
                assert!(ours || left.reason == UnresolvedReason::Candidates, "{:?}", left.found);
            }
            None => {}
        }
    }
}

fn customer() -> Customer {
    Customer::new("ada@example.com").unwrap().name("Ada")
}
