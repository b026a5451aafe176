//! A client and the emulator in a dialogue in which anything goes wrong: whatever
//! the client says about money is so in the emulator's ledger.
//!
//! The input is four bytes, sixteen for each call, and a body that somebody else
//! answers with. Of a call's sixteen the first four say what is called and the
//! others, in pairs, what goes wrong with its exchanges; zeros are all well.
#![no_main]

#[path = "dialogue/world.rs"]
mod world;

use std::time::Duration;

use chrono::TimeDelta;
use libfuzzer_sys::fuzz_target;
use oneclick_emulator::LedgerEntry;
use oneclick_proto::{
    Action, BlockingTransport, CancelImpact, CaptureCarbon, Cents, CleanOcean, Customer,
    DonateMoney, Error, Execution, Fragments, GetDailyTotals, ImpactId, Intent, Limit, List,
    ListCustomerRecords, ListCustomers, ListProjects, ListRecords, Metadata, Outcome, PlantTree,
    Pounds, Purchase, PurchaseState, RestoreCoral, RetryPolicy, Settled, Settlement, SortOrder,
    Step, TrackImpact, Trees, UnresolvedReason, VerifiedPurchase,
};

use world::{ARRIVED, TIMEOUT, World};

fuzz_target!(|input: &[u8]| {
    let (&[mode, seed, date, calls], rest) = input.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let (scripts, _) = rest.as_chunks::<16>();
    let scripts = &scripts[..scripts.len().min(usize::from(calls % 13))];
    let foreign = &rest[16 * scripts.len()..];
    let mut dialogue = Dialogue {
        // `Date` is off by up to 16 seconds.
        world: World::new(seed, mode % 2 == 1, i64::from(date) / 8 - 16, foreign),
        promises: Vec::new(),
        orders: Default::default(),
        taken_back: Vec::new(),
        settles: mode / 2 % 2 == 0,
    };
    for script in scripts {
        dialogue.call(script);
        dialogue.check();
    }
    dialogue.end();
});

/// What the client said of a call about what it bought.
#[derive(Debug)]
enum Promise {
    Nothing,
    One,
    OneAtMost,
}

struct Dialogue {
    world: World,
    /// By call. They must still hold when what was delayed is executed.
    promises: Vec<(usize, Promise)>,
    orders: [Option<Order>; 4],
    /// What a call tried to cancel: no duplicate, but a change of mind.
    taken_back: Vec<ImpactId>,
    /// Whether all that is open is looked up in one walk at the end.
    settles: bool,
}

/// What is wanted once, and what is stored of it.
struct Order {
    at: usize,
    intent: Intent,
    /// Whether a process may have sent it: one that did stored its state before.
    begun: bool,
    stored: Option<PurchaseState>,
    outcome: Option<Outcome>,
}

impl Dialogue {
    fn call(&mut self, script: &[u8; 16]) {
        let [what, which, how, time, faults @ ..] = script;
        let verified = what % 8 >= 5;
        self.world.begin(verified, faults);
        {
            let mut state = self.world.state();
            state.pass(Duration::from_millis(u64::from(*time).pow(3)));
            // What is open relies on the server's clock.
            if how % 16 == 15 && self.orders.iter().all(Option::is_none) {
                state.jump(TimeDelta::hours(i64::from(*time)));
            }
        }
        let retry = match how / 16 % 4 {
            0 | 1 => RetryPolicy::STANDARD,
            2 => RetryPolicy::NEVER,
            _ => RetryPolicy::STANDARD.attempts(6).deadline(Duration::from_secs(600)),
        };
        match what % 8 {
            0 | 1 => self.purchase(*which, *how, retry),
            2 => self.cancel(*which, retry),
            3 => self.read(*which, retry),
            4 => self.walk(*which, *how, retry),
            _ => self.once(*which, *how, retry),
        }
        let state = self.world.state();
        assert!(verified || state.call.exchanges <= 40, "{} exchanges", state.call.exchanges);
    }

    /// What may be read in an error, and that there is none if all went well.
    fn told<T>(&self, result: &Result<T, Error>) {
        if let Err(error) = result {
            let shown = format!("{error} {error:#} {error:?}");
            assert!(!shown.contains("5ecretKey") && !shown.contains("ada@"), "{shown}");
        }
        let state = self.world.state();
        let well = state.call.well && !state.call.misled;
        assert!(result.is_ok() || !well, "nothing went wrong");
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
        self.told(&result);
        let promise = match &result {
            Ok(_) => Promise::One,
            Err(error) => match error.execution() {
                Execution::NotExecuted => Promise::Nothing,
                Execution::Unknown => Promise::OneAtMost,
                Execution::Executed => Promise::One,
            },
        };
        self.promises.push((call, promise));
        let misled = self.world.state().call.misled;
        if let Some(receipt) = result.ok().filter(|_| !misled) {
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
        self.taken_back.push(id.clone());
        let call = self.world.state().call.number;
        let result = self.world.client(retry).send(CancelImpact::new(&id));
        self.promises.push((call, Promise::Nothing));
        let cancelled = self.world.effects(call, true);
        assert!(cancelled.iter().all(|cancelled| *cancelled == id), "{cancelled:?}");
        let ledger = self.world.ledger();
        let entry = ledger.iter().find(|entry| ImpactId::from(&entry.receipt) == id);
        let gone = entry.is_some_and(|entry| entry.cancelled_on.is_some());
        match result {
            Ok(answer) => {
                assert!(gone, "said to be cancelled");
                assert!(self.world.state().call.misled || ImpactId::from(&answer) == id);
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
            0 => self.told(&client.whoami()),
            1 => self.told(&client.impact()),
            2 => self.told(&client.daily_impact(GetDailyTotals::new())),
            3 => self.told(&client.projects(ListProjects::new())),
            _ => {
                // What readers do not see yet is not found.
                if let Some(entry) = self.world.ledger().last().filter(|entry| !entry.hidden) {
                    self.told(&client.track(TrackImpact::new(ImpactId::from(&entry.receipt))));
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

    /// Walks a list to its end or the first error, and holds what it gave
    /// against the ledger.
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
                    self.told(&Err::<(), _>(error));
                    assert!(items.next().is_none(), "a walk ends after an error");
                    return;
                }
            }
        }
        assert!(items.next().is_none(), "a walk ends");
        let after = self.world.ledger();
        // What changes during a walk may show up in it or not.
        if self.world.state().call.misled || before != after {
            return;
        }
        let entries = after.iter().filter(|entry| listed(entry));
        let mut expected: Vec<_> = entries.map(|entry| ImpactId::from(&entry.receipt)).collect();
        if order == SortOrder::Desc {
            expected.reverse();
        }
        assert_eq!(ids, expected);
    }

    /// Works on an order, in a process that may die between any two steps.
    fn once(&mut self, which: u8, how: u8, retry: RetryPolicy) {
        let at = usize::from(which % 4);
        let mut order = self.orders[at].take().unwrap_or_else(|| Order::new(at));
        let not_bought = matches!(order.outcome, Some(Outcome::Refused(_) | Outcome::NotBought(_)));
        match how % 16 {
            // What was certainly not bought is meant anew.
            1 if not_bought => (order.begun, order.stored) = (false, None),
            // Nothing is left but the intent.
            2 => order.stored = None,
            _ => {}
        }
        // At which of the points between its steps it dies; never if that is zero.
        order.work(&self.world, retry, usize::from(which / 4));
        self.orders[at] = Some(order);
    }

    /// What must hold at any time.
    fn check(&self) {
        for (call, promise) in &self.promises {
            let bought = self.world.effects(*call, false).len();
            let kept = match promise {
                Promise::Nothing => bought == 0,
                Promise::One => bought == 1,
                Promise::OneAtMost => bought <= 1,
            };
            assert!(kept, "call {call}: {promise:?}, but {bought} bought");
        }
        for order in self.orders.iter().flatten() {
            order.check(&self.world);
        }
    }

    /// Nothing goes wrong any more, and everything is seen: then each order is settled.
    fn end(mut self) {
        self.world.begin(true, &[]);
        self.world.state().pass(5 * ARRIVED + TIMEOUT);
        self.check();
        if self.settles {
            self.settle();
        }
        let wild = self.world.state().wild;
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
            match order.outcome.as_ref().expect("it lives") {
                Outcome::Confirmed(receipt) => {
                    let id = ImpactId::from(receipt);
                    // Its receipt may be older than the cancellation.
                    let gone = live.is_empty() && self.taken_back.contains(&id);
                    assert!(gone || live == [id], "{live:?}");
                }
                Outcome::Cancelled(ids) => {
                    assert!(live.is_empty());
                    assert!(ids.iter().all(|id| self.taken_back.contains(id)), "{ids:?}");
                }
                Outcome::NotBought(not) => assert!(live.is_empty() && !not.state.may_send()),
                Outcome::Unresolved(left) => match left.reason {
                    UnresolvedReason::Candidates => assert!(!left.found.is_empty()),
                    // One of those within its second was made at a whole one.
                    UnresolvedReason::SameTime => {
                        let whole = |entry: &LedgerEntry| {
                            entry.receipt.time_utc.datetime().timestamp_subsec_nanos() == 0
                        };
                        assert!(self.world.ledger().iter().any(whole), "{live:?}");
                    }
                    UnresolvedReason::BoughtTwice => assert!(wild && live.len() > 1),
                    reason => panic!("nothing is in the way any more: {reason:?}"),
                },
                outcome => panic!("an order was lost: {outcome}"),
            }
        }
        self.check();
    }

    /// Looks all orders that are open up in one walk. Nothing goes wrong with it,
    /// and so it finds whatever there is.
    fn settle(&mut self) {
        let mut open: Vec<_> = self.orders.iter_mut().flatten().collect();
        open.retain(|order| {
            let sent = order.stored.as_ref().is_some_and(|stored| stored.sends() > 0);
            sent && !matches!(order.outcome, Some(Outcome::Confirmed(_) | Outcome::Cancelled(_)))
        });
        let resume = |order: &&mut Order| {
            let stored = order.stored.clone().expect("it was sent");
            VerifiedPurchase::resume(&order.intent, order.purchase(), stored).unwrap()
        };
        let settlement = Settlement::new(open.iter().map(resume));
        let before = self.world.state().effects.len();
        let settled = self.world.client(RetryPolicy::STANDARD).run(settlement);
        assert_eq!(self.world.state().effects.len(), before, "it only reads");
        assert_eq!(settled.len(), open.len(), "one for each");
        let wild = self.world.state().wild;
        for (order, settled) in open.into_iter().zip(settled) {
            match settled {
                Settled::Done(outcome) => order.end(*outcome),
                Settled::Absent(absent) => {
                    assert!(wild || order.bought(&self.world).is_empty(), "{absent:?}");
                }
            }
            order.check(&self.world);
        }
    }
}

impl Order {
    fn new(at: usize) -> Self {
        let intent = Intent::new("shop", &format!("order-{at}"));
        Self { at, intent, begun: false, stored: None, outcome: None }
    }

    fn purchase(&self) -> Purchase {
        match self.at {
            0 => PlantTree::new(Trees::of::<5>()).into(),
            1 => PlantTree::new(Trees::of::<5>()).customer(customer()).into(),
            2 => DonateMoney::new(Cents::of::<5>()).into(),
            _ => CleanOcean::new(Pounds::of::<5>()).customer(customer()).into(),
        }
    }

    fn work(&mut self, world: &World, retry: RetryPolicy, death: usize) {
        let (intent, purchase) = (&self.intent, self.purchase());
        let is_new = !self.begun;
        let verified = match self.stored.clone() {
            Some(stored) => VerifiedPurchase::resume(intent, purchase, stored),
            None if self.begun => VerifiedPurchase::recover(intent, purchase),
            None => VerifiedPurchase::new(intent, purchase),
        };
        self.outcome = None;
        let call = world.state().call.number;
        let before = world.effects(call, false).len();
        let mut point = 0;
        let mut dies = || {
            point += 1;
            point == death
        };
        let mut step = world.client(retry).start(verified.unwrap());
        for _ in 0..1_000 {
            if dies() {
                // Nobody carries the step out.
                return;
            }
            step = match step {
                Step::Send(request, sent) => {
                    if sent.may_buy() {
                        self.begun = true;
                        self.store(sent.state());
                    }
                    if dies() {
                        // Before the request left.
                        return;
                    }
                    let outcome = world.send(request);
                    if dies() {
                        // Nobody heard of what became of it.
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
        let outcome = self.outcome.as_ref().expect("it ends");
        let bought = world.effects(call, false).len() - before;
        assert!(bought <= 2, "it is sent once more, not {bought} times in all");
        let (wild, faults) = {
            let state = world.state();
            (state.wild, state.call.faults)
        };
        if is_new && faults == 0 && !wild {
            assert!(matches!(outcome, Outcome::Confirmed(_)), "nothing went wrong: {outcome}");
        }
    }

    fn store(&mut self, state: &PurchaseState) {
        let json = serde_json::to_string(state).unwrap();
        self.stored = Some(serde_json::from_str(&json).unwrap());
    }

    /// Takes the outcome in, and what is open with the state that it left.
    fn end(&mut self, outcome: Outcome) {
        match &outcome {
            Outcome::NotBought(not) => self.store(&not.state),
            Outcome::Pending(pending) => self.store(&pending.state),
            Outcome::Unresolved(left) => self.store(&left.state),
            Outcome::Confirmed(_) | Outcome::Refused(_) | Outcome::Cancelled(_) => {}
        }
        self.outcome = Some(outcome);
    }

    /// What was bought of it, what was cancelled later included.
    fn bought(&self, world: &World) -> Vec<ImpactId> {
        let marked = world.marked(self.intent.marker());
        marked.iter().map(|entry| ImpactId::from(&entry.receipt)).collect()
    }

    /// What must hold at any time.
    fn check(&self, world: &World) {
        let ids = self.bought(world);
        let wild = world.state().wild;
        assert!(wild || self.begun || ids.is_empty(), "bought, and nothing was stored");
        // None is ever made that would have to be cancelled.
        assert!(wild || ids.len() <= 1, "bought {} times", ids.len());
        match &self.outcome {
            Some(Outcome::Confirmed(receipt)) => {
                assert!(ids.contains(&ImpactId::from(receipt)), "said to be bought");
                assert_eq!(receipt.impact.amount, 5);
            }
            Some(outcome @ (Outcome::Refused(_) | Outcome::NotBought(_))) => {
                assert!(wild || ids.is_empty(), "{outcome}");
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
