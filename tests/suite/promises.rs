//! The six promises of a verified purchase, over random histories against a server
//! that takes every value of what the API leaves unstated and shares no code with the
//! client.
//!
//! 1. Never twice: no two purchases of one intent stand, unless the outcome says so.
//! 2. Never for nothing: `Confirmed` only if exactly one purchase of the intent stands.
//! 3. Never denied: nothing that stands is called not bought or refused.
//! 4. Nothing is cancelled by a conclusion.
//! 5. At most two purchases that may have been made ever leave for an intent.
//! 6. No wedge: a server that is kind again resolves every intent that is not truly
//!    ambiguous.
//!
//! Each history has a seed, which draws the server's values, its faults, crashes of the
//! client, purchases of others, and cancellations by hand. There is no socket and no
//! time but a counted one.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Request, Response};
use oneclick_proto::{
    Api, CaptureCarbon, Customer, Fragments, Intent, Machine, Outcome, PlantTree, Pounds, Purchase,
    PurchaseState, RestoreCoral, RetryPolicy, Step, TransportError, Trees, UnresolvedReason,
    VerifiedPurchase, VerifyPolicy,
};

use crate::unkind_server::{
    Cancel, Dice, Dimensions, KEY, Kind, Metadata, MetadataChanged, Order, Reply, UnkindServer,
};

const DAY: Duration = Duration::from_secs(86_400);
/// How long after an outcome everything that was on its way has arrived.
const ARRIVED: Duration = Duration::from_secs(60);

/// The world of one history.
struct World {
    server: UnkindServer,
    dice: Dice,
    now: Duration,
    /// What happens at a time, the latest first.
    events: Vec<(Duration, Event)>,
    intent: Intent,
    /// How many purchases left that may have been made.
    sends: u32,
    cancels: u32,
    told: bool,
}

enum Event {
    Buy(Order),
    /// Somebody cancels what was bought for the intent: the first, or all.
    Cancel { all: bool },
}

impl World {
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.events.last().is_some_and(|(at, _)| *at <= until) {
            let Some((at, event)) = self.events.pop() else { break };
            match event {
                Event::Buy(order) => {
                    self.server.buy_for_others(&order, at);
                }
                Event::Cancel { all } => {
                    let old = |number: &usize| {
                        let bought = &self.server.ledger()[*number];
                        bought.made_at + Duration::from_secs(2) < at
                    };
                    let ours: Vec<_> = self.ours().into_iter().filter(old).collect();
                    for number in ours.into_iter().take(if all { usize::MAX } else { 1 }) {
                        self.server.cancel_by_hand(number, at);
                    }
                }
            }
        }
        self.now = until;
    }

    /// The numbers of what was bought for the intent.
    fn ours(&self) -> Vec<usize> {
        let marker = Some(self.intent.marker());
        let ledger = self.server.ledger().iter();
        ledger.filter(|bought| bought.marker() == marker).map(|bought| bought.number).collect()
    }

    fn standing(&self, now: Duration) -> usize {
        let ledger = self.server.ledger();
        self.ours().into_iter().filter(|number| ledger[*number].stands(now)).count()
    }

    fn exchange(
        &mut self,
        request: &Request<Vec<u8>>,
        buys: bool,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        self.cancels += u32::from(request.uri().path() == "/v1/cancel_impact");
        let before = self.ours().len();
        let reply = self.server.exchange(request, self.now);
        let made = self.ours().len() > before;
        if self.told {
            let shown = match &reply {
                Reply::Response { response, .. } => {
                    let body = String::from_utf8_lossy(response.body());
                    format!("{} {:.3000}", response.status(), body)
                }
                Reply::CutBody { .. } => "cut".into(),
                Reply::Lost { .. } => "lost".into(),
                Reply::NeverConnected { .. } => "never connected".into(),
            };
            let made = if made { "MADE " } else { "" };
            println!("{:?} {} {} {made}{shown}", self.now, request.method(), request.uri());
        }
        self.pass(reply.after());
        if buys && (made || may_have_been_made(&reply)) {
            self.sends += 1;
        }
        match reply {
            Reply::Response { response, .. } => Ok(response),
            Reply::CutBody { response, .. } => {
                let (head, body) = response.into_parts();
                let reader = oneclick_proto::BodyReader::new(head, usize::MAX).push(&body);
                Err(reader.map_or_else(|error| error, |reader| reader.cut("closed")))
            }
            Reply::Lost { .. } => Err(TransportError::exchange("lost")),
            Reply::NeverConnected { .. } => Err(TransportError::connect("refused")),
        }
    }
}

/// Whether a client must believe so.
fn may_have_been_made(reply: &Reply) -> bool {
    match reply {
        Reply::NeverConnected { .. } => false,
        Reply::Response { response, .. } => {
            let body: serde_json::Value =
                serde_json::from_slice(response.body()).unwrap_or_default();
            let own = body["type"].is_string() && body["message"].is_string();
            match response.status().as_u16() {
                307 | 308 => false,
                // In a stranger's words it may, unless it is then found to be absent.
                425 | 429 => false,
                400..=499 => !own,
                _ => true,
            }
        }
        Reply::CutBody { .. } | Reply::Lost { .. } => true,
    }
}

/// A process that works on the intent and may die; what it stored, and what it says.
fn work(
    world: &mut World,
    purchase: &Purchase,
    stored: &mut Option<PurchaseState>,
    begun: bool,
    mut death: Option<usize>,
) -> Option<Outcome> {
    let machine = match stored.clone() {
        Some(state) => VerifiedPurchase::resume(&world.intent, purchase.clone(), state),
        None if begun => VerifiedPurchase::recover(&world.intent, purchase.clone()),
        None => VerifiedPurchase::new(&world.intent, purchase.clone()),
    };
    let api = Api::with_base_url("http://127.0.0.1", KEY).unwrap();
    let seed = world.dice.number();
    let mut step = machine.unwrap().start(&api, RetryPolicy::STANDARD, seed, world.now);
    for _ in 0..3_000 {
        if let Some(steps) = &mut death {
            if *steps == 0 {
                return None;
            }
            *steps -= 1;
        }
        step = match step {
            Step::Send(request, sent) => {
                if sent.may_buy() {
                    let json = serde_json::to_string(sent.state()).unwrap();
                    *stored = Some(serde_json::from_str(&json).unwrap());
                }
                let outcome = world.exchange(&request, sent.may_buy());
                if let Some(0) = death {
                    return None;
                }
                sent.finish(outcome, world.now)
            }
            Step::Wait(wait, waiting) => {
                world.pass(wait);
                waiting.wake(world.now)
            }
            Step::Done(outcome) => return Some(outcome),
        };
    }
    panic!("it does not end");
}

/// What a history came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Confirmed,
    Refused,
    NotBought,
    TakenBack,
    Unresolved,
}

/// What a history has to tell: how it ended, why, and how long it was pending.
pub(crate) struct Told {
    pub(crate) end: End,
    pub(crate) reason: Option<UnresolvedReason>,
    pub(crate) pending: Duration,
}

fn outcome_of(
    world: &mut World,
    outcome: Outcome,
    stored: &mut Option<PurchaseState>,
) -> Result<Told, Duration> {
    let then = world.now;
    // Somebody may cancel in the last second, and what was on its way arrives.
    let before = then.saturating_sub(Duration::from_secs(1));
    world.pass(ARRIVED);
    let standing = [world.standing(before), world.standing(then), world.standing(world.now)];
    let ours = world.ours().len();
    let one = || standing[..2].contains(&1) || (standing[0] > 1 && standing[1] < 1);
    let told = |end| Ok(Told { end, reason: None, pending: Duration::ZERO });
    assert_eq!(world.cancels, 0, "promise 4: something was cancelled");
    assert!(world.sends <= 2, "promise 5: {} purchases left", world.sends);
    match outcome {
        Outcome::Confirmed(receipt) => {
            assert!(one(), "promise 2: confirmed, and {standing:?} of {ours} stand");
            let shown = receipt.time_utc.datetime();
            let ledger = world.server.ledger();
            let near = |number: &usize| {
                let time: chrono::DateTime<chrono::Utc> =
                    ledger[*number].time_utc.parse().unwrap();
                (time - shown).abs() <= chrono::TimeDelta::seconds(1)
            };
            assert!(world.ours().iter().any(near), "promise 2: the receipt of another purchase");
            told(End::Confirmed)
        }
        Outcome::Refused(error) => {
            assert_eq!(standing[1..], [0, 0], "promise 3: refused: {error}");
            told(End::Refused)
        }
        Outcome::NotBought(not) => {
            assert_eq!(standing[1..], [0, 0], "promise 3: not bought: {:?}", not.error);
            *stored = Some(not.state);
            told(End::NotBought)
        }
        Outcome::TakenBack(ids) => {
            assert!(ours > 0 && standing.contains(&0), "promise 3: {ids:?} taken back");
            told(End::TakenBack)
        }
        Outcome::Pending(pending) => {
            *stored = Some(pending.state);
            Err(pending.after)
        }
        Outcome::Unresolved(left) => {
            let twice = standing[1] > 1;
            assert!(!twice || left.found.len() > 1, "promise 1: {standing:?} stand: {}", left.reason);
            *stored = Some(left.state);
            Ok(Told { end: End::Unresolved, reason: Some(left.reason), pending: Duration::ZERO })
        }
    }
}

fn purchase(dice: &mut Dice) -> (Purchase, Order) {
    let email = *dice.pick(&[None, Some("Ada+1@bücher.de"), Some("Ada@x.com"), Some("zoë@x.com")]);
    let customer = |email: Option<&str>| email.map(|email| Customer::new(email).unwrap());
    let amount = 1 + u64::try_from(dice.index(2)).unwrap();
    let (purchase, kind): (Purchase, _) = match dice.index(3) {
        0 => {
            let mut tree = PlantTree::new(Trees::new(amount).unwrap());
            tree.customer = customer(email);
            (tree.into(), Kind::Tree)
        }
        1 => {
            let mut carbon = CaptureCarbon::new(Pounds::new(amount).unwrap());
            carbon.customer = customer(email);
            (carbon.into(), Kind::Carbon)
        }
        _ => {
            let mut coral = RestoreCoral::new(Fragments::new(amount).unwrap());
            coral.customer = customer(email);
            (coral.into(), Kind::Coral)
        }
    };
    let mut order = Order::new(kind, amount);
    order.email = email.map(str::to_owned);
    (purchase, order)
}

/// One history from a seed. `kind` takes the kind values, with one answer in ten lost.
pub(crate) fn history(seed: u64, kind: bool, told: bool) -> Told {
    let mut dice = Dice::new(seed);
    let mut dimensions = Dimensions::random(&mut dice);
    if kind {
        dimensions = Dimensions::default();
        (dimensions.odds.fault, dimensions.odds.made, dimensions.odds.lost) = (10, 50, 100);
    }
    if told {
        println!("{dimensions:?}");
    }
    let (purchase, order) = purchase(&mut dice);
    let intent = Intent::new("shop", &seed.to_string());
    let mut world = World {
        server: UnkindServer::new(dice.number(), dimensions),
        now: 5 * DAY,
        events: Vec::new(),
        intent,
        sends: 0,
        cancels: 0,
        told,
        dice,
    };
    surround(&mut world, &order, kind);

    let mut stored = None;
    let mut pending = Duration::ZERO;
    let began = world.now;
    let mut crashes = if kind { 0 } else { *world.dice.pick(&[0, 0, 0, 1, 2]) };
    let mut begun = false;
    let mut last = None;
    for _ in 0..12 {
        let death = (crashes > 0).then(|| world.dice.index(9));
        crashes = usize::saturating_sub(crashes, 1);
        let outcome = work(&mut world, &purchase, &mut stored, begun, death);
        // One that died before it stored anything has sent nothing.
        begun |= stored.is_some();
        let Some(outcome) = outcome else {
            if !kind && world.dice.percent(15) {
                // The state is lost too.
                stored = None;
            }
            let pause = *world.dice.pick(&[1, 5, 40, 200, 1_000]);
            world.pass(Duration::from_secs(pause));
            continue;
        };
        if told {
            println!("=> {outcome}");
        }
        match outcome_of(&mut world, outcome, &mut stored) {
            Ok(told) => {
                last = Some(told);
                break;
            }
            Err(after) => {
                let early = !kind && world.dice.percent(20);
                let wait = if early { after / 2 } else { after };
                world.pass(wait + Duration::from_secs(1));
                pending = world.now - began;
            }
        }
    }
    match last {
        Some(last) if last.end != End::Unresolved => Told { pending, ..last },
        last => {
            let last = last.map(|last| last.reason);
            let again = recover(&mut world, &purchase, &mut stored, begun);
            if again.end == End::Unresolved {
                let truly = is_ambiguous(&world, &order, stored.as_ref());
                assert!(truly, "promise 6: wedged: {:?}, before {last:?}", again.reason);
            }
            let end = if last.is_some() { End::Unresolved } else { again.end };
            Told { end, reason: last.flatten().or(again.reason), pending }
        }
    }
}

/// The server is kind again, and the intent is taken up until it is settled.
fn recover(
    world: &mut World,
    purchase: &Purchase,
    stored: &mut Option<PurchaseState>,
    begun: bool,
) -> Told {
    world.server.become_kind();
    world.pass(Duration::from_secs(3_600));
    for _ in 0..4 {
        let outcome = work(world, purchase, stored, begun, None).expect("it lives");
        if world.told {
            println!("=> {outcome}");
        }
        match outcome_of(world, outcome, stored) {
            Ok(told) => return told,
            Err(after) => world.pass(after + Duration::from_secs(1)),
        }
    }
    panic!("promise 6: pending for ever");
}

/// Whether nobody could tell from what the server stored.
fn is_ambiguous(world: &World, order: &Order, stored: Option<&PurchaseState>) -> bool {
    let ledger = world.server.ledger();
    let ours = world.ours();
    let readable = |number: usize| world.server.marker_is_readable(number);
    if !ours.is_empty() && ours.iter().all(|number| readable(*number)) {
        // More than one is for a person.
        return world.standing(world.now) > 1;
    }
    let _ = stored;
    ledger.iter().any(|bought| {
        bought.order.kind == order.kind
            && bought.order.amount == order.amount
            && !(bought.marker().is_some() && world.server.marker_is_intact(bought.number))
    })
}

/// Others buy before, meanwhile and afterwards, and somebody may cancel by hand.
fn surround(world: &mut World, order: &Order, kind: bool) {
    let dice = &mut world.dice;
    let busy = *dice.pick(&[0, 0, 3, 10]);
    let seconds = |dice: &mut Dice, most: u64| Duration::from_millis(dice.number() % (most * 1_000));
    let mut other = |dice: &mut Dice, marked: bool| {
        let mut other = Order::new(order.kind, if dice.percent(80) { order.amount } else { 9 });
        other.email = dice.pick(&[None, Some("bob@x.com".to_owned()), order.email.clone()]).clone();
        if !marked {
            other.email = dice.pick(&[None, None, Some("bob@x.com".to_owned())]).clone();
        }
        let number = dice.number();
        if marked { other.marker(format!("{number:016x}{:016x}", number ^ seed_of(dice))) } else { other }
    };
    for _ in 0..*dice.pick(&[0, 2, 15, 30]) {
        let ago = if dice.percent(70) {
            Duration::from_secs(3_600) + seconds(dice, 4 * 86_400)
        } else {
            Duration::from_secs(100) + seconds(dice, 3_500)
        };
        let marked = kind || dice.percent(50);
        let order = other(dice, marked);
        world.server.buy_for_others(&order, world.now - ago);
    }
    let mut events = Vec::new();
    for _ in 0..busy * dice.index(3) {
        events.push((world.now + seconds(dice, 1_200), Event::Buy(other(dice, true))));
    }
    if !kind && dice.percent(25) {
        for _ in 0..1 + busy {
            events.push((world.now + seconds(dice, 1_200), Event::Buy(other(dice, false))));
        }
    }
    if !kind && dice.percent(25) {
        let all = dice.percent(30);
        let at = if dice.percent(70) { seconds(dice, 70) } else { seconds(dice, 1_500) };
        events.push((world.now + at, Event::Cancel { all }));
    }
    events.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    world.events = events;
}

fn seed_of(dice: &mut Dice) -> u64 {
    dice.number()
}

/// Many histories, and what they came to.
pub(crate) fn long_run(first: u64, count: u64, kind: bool) {
    let mut ends: BTreeMap<End, u64> = BTreeMap::new();
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    let (mut pending, mut longest) = (0_u64, Duration::ZERO);
    let mut failed = 0;
    for seed in first..first + count {
        let told = match std::panic::catch_unwind(|| history(seed, kind, false)) {
            Ok(told) => told,
            Err(panic) => {
                println!("seed {seed}");
                failed += 1;
                if failed > 20 {
                    std::panic::resume_unwind(panic);
                }
                continue;
            }
        };
        *ends.entry(told.end).or_default() += 1;
        if let Some(reason) = told.reason {
            *reasons.entry(format!("{reason:?}")).or_default() += 1;
        }
        pending += u64::from(!told.pending.is_zero());
        longest = longest.max(told.pending);
    }
    println!("{count} histories from seed {first}: {ends:?}");
    println!("unresolved: {reasons:?}; pending: {pending}, at most {longest:?}; broken: {failed}");
}
