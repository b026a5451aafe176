//! The verified purchase against a world of a few lines: what was bought, what
//! the records show, and what goes wrong.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::Response;
use oneclick_proto::{
    Api, Attempt, CancelImpact, CancelMessage, Cancellation, CaptureCarbon, Cursor, Customer,
    CustomerRecord, Doubt, Endpoint, Error, Impact, ImpactId, ImpactKind, Intent, InvalidValue,
    Limit, ListCustomerRecords, ListRecords, Metadata, Next, Once, OncePolicy, OnceState, OnceStep,
    Outcome, Page, PlantTree, Pounds, Receipt, Record, RecordCustomer, RetryPolicy, SortOrder,
    Timestamp, TransportError, Trees, Unresolved,
};

const SETTLE: Duration = Duration::from_secs(30);

/// What becomes of a purchase.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    /// Executed, visible after a while, and the answer lost.
    LostAfter(Duration),
    LostBefore,
    /// Executed, and answered with something that is no receipt.
    Undecodable,
    Status(u16),
    Refused,
}

struct World {
    fates: VecDeque<Fate>,
    /// What was bought: metadata's marker, time, from when on it shows, and
    /// whether it was cancelled.
    bought: Vec<(String, Timestamp, Duration, bool)>,
    /// How many of the next reads fail.
    failing_reads: u32,
    cancel_refused: bool,
    /// A millisecond for each purchase, or the same for all.
    clock_stands: bool,
    now: Duration,
    sends: u32,
    reads: u32,
    waited: Duration,
    states: Vec<OnceState>,
}

fn start() -> DateTime<Utc> {
    "2025-03-12T15:22:14.000Z".parse().unwrap()
}

fn intent() -> Intent {
    Intent::new("shop", "order-1:tree", start())
}

fn tree() -> PlantTree {
    PlantTree::new(Trees::of::<1>())
}

/// The error of a call that ends so.
fn failure<E: Endpoint>(endpoint: E, outcome: Result<u16, TransportError>) -> Error {
    let api = Api::sandbox("test_key").unwrap();
    let (_, attempt) = Attempt::begin(&api, endpoint, RetryPolicy::NEVER, 0).unwrap();
    let answer = outcome.map(|status| Response::builder().status(status).body(Vec::new()).unwrap());
    match attempt.finish(answer, Duration::ZERO) {
        Next::Done(Err(error)) => error,
        _ => panic!("not a failure"),
    }
}

impl World {
    fn new(fates: &[Fate]) -> Self {
        Self {
            fates: fates.iter().copied().collect(),
            bought: Vec::new(),
            failing_reads: 0,
            cancel_refused: false,
            clock_stands: false,
            now: Duration::from_secs(1_000),
            sends: 0,
            reads: 0,
            waited: Duration::ZERO,
            states: Vec::new(),
        }
    }

    fn send(&mut self, action: &PlantTree) -> Result<Receipt, Error> {
        self.sends += 1;
        self.now += Duration::from_secs(1);
        let marker = action.metadata.get(Intent::METADATA_KEY).unwrap().to_owned();
        let lost = || TransportError::exchange("reset");
        let mut buy = |visible: Duration| {
            let step = if self.clock_stands { 0 } else { self.sends };
            let time = Timestamp::from(start() + TimeDelta::milliseconds(step.into()));
            self.bought.push((marker.clone(), time.clone(), visible, false));
            Receipt::new("U1".into(), time, Impact::new(ImpactKind::TreePlanted, 1))
        };
        match self.fates.pop_front().expect("no further purchase") {
            Fate::Answered => Ok(buy(self.now)),
            Fate::LostAfter(while_) => {
                buy(self.now + while_);
                Err(failure(action.clone(), Err(lost())))
            }
            Fate::LostBefore => Err(failure(action.clone(), Err(lost()))),
            Fate::Undecodable => {
                buy(self.now);
                Err(failure(action.clone(), Ok(200)))
            }
            Fate::Status(status) => Err(failure(action.clone(), Ok(status))),
            Fate::Refused => Err(failure(action.clone(), Err(TransportError::connect("refused")))),
        }
    }

    fn records(&mut self) -> Result<Page<Record>, Error> {
        self.reads += 1;
        if self.failing_reads > 0 {
            self.failing_reads -= 1;
            return Err(failure(ListRecords::new(), Ok(500)));
        }
        let shown = self.bought.iter().rev().filter(|(_, _, visible, _)| *visible <= self.now);
        let records = shown.map(|(marker, time, _, _)| record(marker, time.clone()));
        Ok(Page::new(records.collect(), None))
    }

    fn cancel(&mut self, cancel: &CancelImpact) -> Result<Cancellation, Error> {
        if self.cancel_refused {
            return Err(failure(cancel.clone(), Ok(400)));
        }
        let same =
            |bought: &&mut (String, Timestamp, Duration, bool)| bought.1 == cancel.impact.time_utc;
        let bought = self.bought.iter_mut().find(same).expect("nothing else is cancelled");
        bought.3 = true;
        let impact = Impact::new(ImpactKind::TreePlanted, 1);
        let (id, on) = (cancel.impact.clone(), bought.1.clone());
        Ok(Cancellation::new(id, on, CancelMessage::Cancelled, impact))
    }

    fn run(&mut self, mut once: Once<PlantTree>) -> Outcome {
        once = once.policy(OncePolicy::STANDARD.settle(SETTLE));
        for _ in 0..1_000 {
            self.states.push(once.state().clone());
            once = match once.step(self.now) {
                OnceStep::Done(outcome) => return outcome,
                OnceStep::Send(action, mut once) => {
                    once.sent(self.send(&action), self.now);
                    once
                }
                OnceStep::ReadRecords(list, mut once) => {
                    assert_eq!(list.sort_order, Some(SortOrder::Desc));
                    assert_eq!(list.filter_by, [ImpactKind::TreePlanted]);
                    assert_eq!(list.limit, Some(Limit::of::<1000>()));
                    assert_eq!(list.dates.start_date().unwrap().to_string(), "2025-03-10");
                    once.read(self.records());
                    once
                }
                OnceStep::ReadCustomerRecords(..) => panic!("there is no customer"),
                OnceStep::Cancel(cancel, mut once) => {
                    once.cancelled(self.cancel(&cancel));
                    once
                }
                OnceStep::Wait(wait, once) => {
                    (self.now, self.waited) = (self.now + wait, self.waited + wait);
                    once
                }
            };
        }
        panic!("it does not end");
    }

    fn buy(&mut self) -> Outcome {
        self.run(Once::new(&intent(), tree()).unwrap())
    }

    /// The times of what was bought and not cancelled.
    fn kept(&self) -> Vec<&Timestamp> {
        self.bought.iter().filter(|bought| !bought.3).map(|bought| &bought.1).collect()
    }
}

fn record(marker: &str, time: Timestamp) -> Record {
    let mut record = Record::new("U1".into(), time, Impact::new(ImpactKind::TreePlanted, 1));
    let metadata = Metadata::from_pairs([(Intent::METADATA_KEY, marker)]).unwrap();
    record.metadata = metadata.into();
    record
}

#[track_caller]
fn confirmed(outcome: Outcome) -> Receipt {
    match outcome {
        Outcome::Confirmed(receipt) => receipt,
        other => panic!("{other}"),
    }
}

#[track_caller]
fn unresolved(outcome: Outcome, doubt: Doubt) -> Unresolved {
    match outcome {
        Outcome::Unresolved(unresolved) if unresolved.doubt == doubt => unresolved,
        other => panic!("{other}"),
    }
}

#[test]
fn an_answer_confirms_and_nothing_is_read() {
    let mut world = World::new(&[Fate::Answered]);
    let receipt = confirmed(world.buy());
    assert_eq!(world.kept(), [&receipt.time_utc]);
    assert_eq!((world.reads, world.waited), (0, Duration::ZERO));
    // What was to be stored before the purchase left.
    assert_eq!((world.states[0].sends(), world.states[0].marker()), (1, intent().marker()));
    assert_eq!(world.bought[0].0, intent().marker());
}

#[test]
fn a_lost_answer_is_found_in_the_records() {
    for (visible, waited) in [(0, 0), (20, 31), (29, 31)] {
        let mut world = World::new(&[Fate::LostAfter(Duration::from_secs(visible))]);
        let receipt = confirmed(world.buy());
        assert_eq!(world.kept(), [&receipt.time_utc]);
        assert_eq!(world.sends, 1);
        assert!(world.waited <= Duration::from_secs(waited), "{:?}", world.waited);
    }
}

#[test]
fn without_a_trace_after_the_settle_time_it_is_sent_once_more() {
    let mut world = World::new(&[Fate::LostBefore, Fate::Answered]);
    let receipt = confirmed(world.buy());
    assert_eq!(world.kept(), [&receipt.time_utc]);
    assert_eq!(world.sends, 2);
    assert!(world.waited >= SETTLE && world.reads >= 3);
    // Once before the second one and once after it, and no longer.
    assert!(world.waited <= 2 * SETTLE + 4 * SETTLE / 32, "{:?}", world.waited);
    // Stored before the second one left.
    assert!(world.states.iter().any(|state| state.sends() == 2));
}

#[test]
fn two_reads_at_least_show_that_there_is_no_trace() {
    let mut world = World::new(&[Fate::LostBefore, Fate::Answered]);
    let once = Once::new(&intent(), tree()).unwrap();
    let once = once.policy(OncePolicy::STANDARD.settle(Duration::ZERO));
    let OnceStep::Send(action, mut once) = once.step(world.now) else { panic!("the purchase") };
    once.sent(world.send(&action), world.now);
    for _ in 0..2 {
        let OnceStep::ReadRecords(_, mut next) = once.step(world.now) else { panic!("a read") };
        next.read(world.records());
        once = match next.step(world.now) {
            OnceStep::Wait(wait, once) => {
                assert_eq!(wait, Duration::ZERO);
                once
            }
            OnceStep::Send(..) => {
                assert_eq!(world.reads, 2);
                return;
            }
            _ => panic!("neither a wait nor a purchase"),
        };
    }
    panic!("it is not sent again");
}

#[test]
fn an_answer_that_comes_late_shows_what_there_was_when_it_was_asked_for() {
    let once = Once::recover(&intent(), tree()).unwrap();
    let mut now = Duration::ZERO;
    let mut step = once.step(now);
    for read in 1.. {
        let OnceStep::ReadRecords(_, mut once) = step else { panic!("a read") };
        let asked = now;
        // Every answer takes longer than the settle time.
        now += SETTLE + Duration::from_secs(1);
        once.read(Ok(Page::new(Vec::new(), None)));
        step = match once.step(now) {
            OnceStep::Wait(wait, once) => {
                now += wait;
                once.step(now)
            }
            OnceStep::Send(..) => {
                assert!(asked >= SETTLE && read == 2);
                return;
            }
            _ => panic!("neither a wait nor a purchase"),
        };
    }
}

#[test]
fn it_is_sent_once_more_and_no_more_than_that() {
    let mut world = World::new(&[Fate::LostBefore, Fate::LostBefore]);
    let outcome = unresolved(world.buy(), Doubt::NotFound);
    assert!(outcome.error.is_some() && outcome.found.is_empty());
    assert_eq!((world.sends, outcome.state.sends()), (2, 2));

    // Taken up later, it is read first and may be sent again.
    world.fates = [Fate::Answered].into();
    let reads = world.reads;
    let receipt = confirmed(world.run(Once::resume(outcome.state, tree()).unwrap()));
    assert_eq!(world.kept(), [&receipt.time_utc]);
    assert!(world.reads >= reads + 2);
}

#[test]
fn a_process_that_died_is_taken_up_by_another() {
    for (fate, sends) in [(Fate::LostAfter(Duration::ZERO), 1), (Fate::LostBefore, 2)] {
        let mut world = World::new(&[fate, Fate::Answered]);
        let once = Once::new(&intent(), tree()).unwrap();
        let stored = serde_json::to_string(once.state()).unwrap();
        let OnceStep::Send(action, once) = once.step(world.now) else { panic!("the purchase") };
        drop((world.send(&action), once));

        let state: OnceState = serde_json::from_str(&stored).unwrap();
        let receipt = confirmed(world.run(Once::resume(state, tree()).unwrap()));
        assert_eq!(world.kept(), [&receipt.time_utc]);
        assert_eq!(world.sends, sends);
        // Without a state, from the intent alone.
        assert_eq!(
            confirmed(world.run(Once::recover(&intent(), tree()).unwrap())).time_utc,
            receipt.time_utc
        );
        assert_eq!(world.sends, sends);
    }
}

#[test]
fn a_purchase_that_nobody_told_about_is_looked_for() {
    let mut world = World::new(&[Fate::LostAfter(Duration::ZERO)]);
    let once = Once::new(&intent(), tree()).unwrap();
    let OnceStep::Send(action, once) = once.step(world.now) else { panic!("the purchase") };
    drop(world.send(&action));
    confirmed(world.run(once));
    assert_eq!(world.sends, 1);
}

#[test]
fn of_several_the_earliest_is_kept_and_the_others_are_cancelled() {
    // The first one shows up too late, after the second one was sent.
    let late = Fate::LostAfter(SETTLE + Duration::from_secs(10));
    for second in [Fate::Answered, Fate::LostAfter(Duration::ZERO)] {
        let mut world = World::new(&[late, second]);
        let receipt = confirmed(world.buy());
        assert_eq!(world.bought.len(), 2);
        assert_eq!(receipt.time_utc, world.bought[0].1);
        assert_eq!(world.kept(), [&receipt.time_utc]);
    }
}

#[test]
fn one_that_is_too_many_and_cannot_be_cancelled_is_for_a_person() {
    let late = Fate::LostAfter(SETTLE + Duration::from_secs(10));
    let mut world = World::new(&[late, Fate::Answered]);
    world.cancel_refused = true;
    let outcome = unresolved(world.buy(), Doubt::CancelRefused);
    assert_eq!(outcome.found.len(), 2);
    assert_eq!(outcome.error.unwrap().status().unwrap(), 400);

    // Later it can be, and is.
    world.cancel_refused = false;
    let receipt = confirmed(world.run(Once::resume(outcome.state, tree()).unwrap()));
    assert_eq!(world.kept(), [&receipt.time_utc]);
}

#[test]
fn two_of_one_time_are_for_a_person() {
    let late = Fate::LostAfter(SETTLE + Duration::from_secs(10));
    let mut world = World::new(&[late, Fate::LostAfter(Duration::ZERO)]);
    world.clock_stands = true;
    unresolved(world.buy(), Doubt::SameTime);
    assert_eq!(world.kept().len(), 2);
}

#[test]
fn what_was_refused_was_not_bought() {
    for status in [400, 401, 404, 422, 302] {
        let mut world = World::new(&[Fate::Status(status)]);
        let Outcome::Rejected(error) = world.buy() else { panic!("{status}") };
        assert_eq!(error.status().unwrap(), status);
        assert_eq!(world.reads, 0);
    }
    for fate in [Fate::Refused, Fate::Status(429), Fate::Status(425)] {
        let mut world = World::new(&[fate]);
        assert!(matches!(world.buy(), Outcome::NotSent(_)), "{fate:?}");
        assert_eq!(world.reads, 0);
    }
}

#[test]
fn a_refusal_of_the_second_does_not_speak_for_the_first() {
    let late = Fate::LostAfter(SETTLE + Duration::from_secs(10));
    for second in [Fate::Refused, Fate::Status(400)] {
        let mut world = World::new(&[late, second]);
        assert_eq!(confirmed(world.buy()).time_utc, world.bought[0].1);

        let mut world = World::new(&[Fate::LostBefore, second]);
        match (second, world.buy()) {
            (Fate::Refused, Outcome::NotSent(_)) | (_, Outcome::Rejected(_)) => {}
            (_, other) => panic!("{other}"),
        }
        assert!(world.bought.is_empty());
    }
}

#[test]
fn what_was_executed_is_never_sent_again() {
    let mut world = World::new(&[Fate::Undecodable]);
    assert_eq!(confirmed(world.buy()).time_utc, world.bought[0].1);

    let mut world = World::new(&[Fate::Undecodable]);
    let once = Once::new(&intent(), tree()).unwrap();
    let OnceStep::Send(action, mut once) = once.step(world.now) else { panic!("the purchase") };
    once.sent(world.send(&action), world.now);
    let state = once.state().clone();
    world.bought.clear();
    unresolved(world.run(once), Doubt::NotFound);
    unresolved(world.run(Once::resume(state, tree()).unwrap()), Doubt::NotFound);
    assert_eq!(world.sends, 1);
}

#[test]
fn what_was_answered_is_never_sent_again() {
    let mut world = World::new(&[Fate::LostBefore, Fate::Answered]);
    let mut once = Once::new(&intent(), tree()).unwrap();
    while world.sends < 2 {
        once = match once.policy(OncePolicy::STANDARD.settle(SETTLE)).step(world.now) {
            OnceStep::Send(action, mut once) => {
                once.sent(world.send(&action), world.now);
                once
            }
            OnceStep::ReadRecords(_, mut once) => {
                once.read(world.records());
                once
            }
            OnceStep::Wait(wait, once) => {
                world.now += wait;
                once
            }
            step => panic!("{step:?}"),
        };
    }
    let state = once.state().clone();
    // Its record shows late, and this process has not seen the receipt.
    world.bought.clear();
    unresolved(world.run(Once::resume(state, tree()).unwrap()), Doubt::NotFound);
    assert_eq!(world.sends, 2);
}

#[test]
fn what_one_read_showed_was_bought_whatever_later_ones_show() {
    let state = serde_json::to_value(Once::new(&intent(), tree()).unwrap().state()).unwrap();
    let sent_twice = || {
        let mut state = state.clone();
        state["sends"] = 2.into();
        Once::resume(serde_json::from_value(state).unwrap(), tree()).unwrap()
    };
    // The second read is answered by a server that lags behind.
    let mut world = World::new(&[]);
    let time = Timestamp::from(start());
    world.bought.push((intent().marker().to_owned(), time.clone(), Duration::ZERO, false));
    let OnceStep::ReadRecords(_, mut once) = sent_twice().step(world.now) else { panic!("a read") };
    once.read(world.records());
    world.bought.clear();
    let state = once.state().clone();
    assert_eq!(confirmed(world.run(once)).time_utc, time);
    // Nor does a process that takes it up from there buy again.
    unresolved(world.run(Once::resume(state, tree()).unwrap()), Doubt::NotFound);
    assert_eq!(world.sends, 0);
}

#[test]
fn reads_that_fail_are_tried_again_and_not_for_ever() {
    let mut world = World::new(&[Fate::LostAfter(Duration::ZERO)]);
    world.failing_reads = 2;
    confirmed(world.buy());

    let mut world = World::new(&[Fate::LostAfter(Duration::ZERO)]);
    world.failing_reads = 3;
    let outcome = unresolved(world.buy(), Doubt::Unreadable);
    assert_eq!(outcome.error.unwrap().status().unwrap(), 500);
    assert_eq!((world.reads, world.sends), (3, 1));
    // A failed read is no read that found nothing.
    let mut world = World::new(&[Fate::LostBefore, Fate::Answered]);
    world.failing_reads = 1;
    confirmed(world.buy());
    assert!(world.reads >= 4);
}

#[test]
fn what_was_answered_is_told_even_if_the_records_cannot_be_read() {
    let once = Once::new(&intent(), tree()).unwrap();
    let once = once.policy(OncePolicy::STANDARD.settle(Duration::ZERO));
    let mut world = World::new(&[Fate::LostBefore, Fate::Answered]);
    let mut step = once.step(world.now);
    for _ in 0..100 {
        step = match step {
            OnceStep::Send(action, mut once) => {
                once.sent(world.send(&action), world.now);
                // From the second purchase on nothing can be read.
                world.failing_reads = if world.sends == 2 { 100 } else { 0 };
                once.step(world.now)
            }
            OnceStep::ReadRecords(_, mut once) => {
                once.read(world.records());
                once.step(world.now)
            }
            OnceStep::Wait(_, once) => once.step(world.now),
            OnceStep::Done(outcome) => {
                let found = unresolved(outcome, Doubt::Unreadable).found;
                assert_eq!(found.len(), 1);
                assert_eq!(found[0].time_utc, world.bought[0].1);
                return;
            }
            _ => panic!("nothing is cancelled"),
        };
    }
    panic!("it does not end");
}

/// Answers every read with a page of other purchases, made from some time on.
fn read_others(ages: &[i64], cursor: bool) -> OnceStep<PlantTree> {
    let once = Once::recover(&intent(), tree()).unwrap();
    let once = once.policy(OncePolicy::STANDARD.max_pages(3).settle(Duration::ZERO));
    let mut step = once.step(Duration::ZERO);
    for page in 0..20 {
        let OnceStep::ReadRecords(_, mut once) = step else { return step };
        let time = |age: &i64| Timestamp::from(start() - TimeDelta::hours(*age));
        let records = ages.iter().map(|age| record("other", time(age))).collect();
        let cursor = cursor.then(|| Cursor::new(page.to_string()));
        once.read(Ok(Page::new(records, cursor)));
        step = once.step(Duration::ZERO);
    }
    panic!("it does not end");
}

#[test]
fn a_read_ends_where_the_purchase_cannot_be_any_more() {
    // Newest first, and older than a day: the rest cannot hold it.
    assert!(matches!(read_others(&[1, 23, 25], true), OnceStep::Wait(..)));
    // In another order it can.
    let OnceStep::Done(outcome) = read_others(&[25, 23, 1], true) else { panic!("too many") };
    unresolved(outcome, Doubt::TooManyRecords);
    let OnceStep::Done(outcome) = read_others(&[1, 2, 3], true) else { panic!("too many") };
    unresolved(outcome, Doubt::TooManyRecords);
    assert!(matches!(read_others(&[1, 2, 3], false), OnceStep::Wait(..)));
    // A day old to the millisecond, it can as well.
    let OnceStep::Done(outcome) = read_others(&[1, 23, 24], true) else { panic!("too many") };
    unresolved(outcome, Doubt::TooManyRecords);
}

#[test]
fn old_rows_do_not_say_that_the_rest_is_older_unless_their_times_fall() {
    // Of a list that ignores the order: one old row, and two of one moment.
    for rows in [1, 2] {
        let once = Once::recover(&intent(), tree()).unwrap();
        let OnceStep::ReadRecords(_, mut once) = once.step(Duration::ZERO) else {
            panic!("a read")
        };
        let old = record("other", (start() - TimeDelta::hours(25)).into());
        once.read(Ok(Page::new(vec![old; rows], Some(Cursor::new("next")))));
        let OnceStep::ReadRecords(_, mut once) = once.step(Duration::ZERO) else {
            panic!("a page")
        };
        let bought = record(intent().marker(), start().into());
        once.read(Ok(Page::new(vec![bought], None)));
        let OnceStep::Done(outcome) = once.step(Duration::ZERO) else { panic!("it was found") };
        confirmed(outcome);
    }
}

#[test]
fn a_read_ends_behind_the_first_row_that_is_too_old() {
    let once = Once::recover(&intent(), tree()).unwrap();
    let OnceStep::ReadRecords(_, mut once) = once.step(Duration::ZERO) else { panic!("a read") };
    let rows = [23, 25].map(|hours| record("other", (start() - TimeDelta::hours(hours)).into()));
    once.read(Ok(Page::new(rows.into(), Some(Cursor::new("next")))));
    let step = once.step(Duration::ZERO);
    assert!(matches!(step, OnceStep::Wait(..)), "{step:?}");
}

#[test]
fn one_purchase_whose_time_is_written_in_two_ways_is_one_and_stays() {
    let once = Once::new(&intent(), tree()).unwrap();
    let mut once = once.policy(OncePolicy::STANDARD.settle(Duration::ZERO));
    let lost = || Err(failure(tree(), Err(TransportError::exchange("reset"))));
    let bought = |time: &str| record(intent().marker(), time.parse().unwrap());
    let mut sends = 0;
    for _ in 0..100 {
        once = match once.step(Duration::ZERO) {
            OnceStep::Send(_, mut once) => {
                sends += 1;
                let receipt = Receipt::from(bought("2025-03-12T15:22:14.001Z"));
                once.sent(if sends == 1 { lost() } else { Ok(receipt) }, Duration::ZERO);
                once
            }
            OnceStep::ReadRecords(_, mut once) => {
                let shown = (sends == 2).then(|| bought("2025-03-12T15:22:14.001000Z"));
                once.read(Ok(Page::new(shown.into_iter().collect(), None)));
                once
            }
            OnceStep::Wait(_, once) => once,
            OnceStep::Done(outcome) => {
                confirmed(outcome);
                assert_eq!(sends, 2);
                return;
            }
            other => panic!("{other:?}"),
        };
    }
    panic!("it does not end");
}

#[test]
fn the_waits_double_and_the_last_one_ends_with_the_settle_time() {
    for failing in [false, true] {
        let once = Once::recover(&intent(), tree()).unwrap();
        let once = once.policy(OncePolicy::STANDARD.settle(Duration::from_secs(32)));
        let (mut now, mut waits) = (Duration::from_secs(7), Vec::new());
        let mut step = once.step(now);
        for read in 0..10 {
            step = match step {
                OnceStep::ReadRecords(_, mut once) => {
                    once.read(if failing && read == 0 {
                        Err(failure(ListRecords::new(), Ok(500)))
                    } else {
                        Ok(Page::new(Vec::new(), None))
                    });
                    let OnceStep::Wait(wait, once) = once.step(now) else { break };
                    waits.push(wait.as_secs());
                    now += wait;
                    once.step(now)
                }
                _ => break,
            };
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 1]);
    }
}

#[test]
fn a_clock_that_stands_still_ends_in_doubt_and_not_in_a_second_purchase() {
    let mut step = Once::recover(&intent(), tree()).unwrap().step(Duration::ZERO);
    for _ in 0..1_000 {
        step = match step {
            OnceStep::ReadRecords(_, mut once) => {
                once.read(Ok(Page::new(Vec::new(), None)));
                once.step(Duration::ZERO)
            }
            OnceStep::Wait(_, once) => once.step(Duration::ZERO),
            OnceStep::Done(outcome) => {
                unresolved(outcome, Doubt::NotFound);
                return;
            }
            _ => panic!("neither a read nor a wait"),
        };
    }
    panic!("it does not end");
}

#[test]
fn what_came_of_it_is_said_in_a_line_that_may_be_logged() {
    let mut world = World::new(&[Fate::Answered]);
    assert_eq!(world.buy().to_string(), "bought as U1-2025-03-12T15:22:14.001Z");
    let impact = Impact::new(ImpactKind::TreePlanted, 1);
    let receipt = Receipt::new("U1\nERROR".into(), start().into(), impact);
    assert_eq!(Outcome::Confirmed(receipt).to_string().lines().count(), 1);
    let mut world = World::new(&[Fate::Status(401)]);
    assert_eq!(
        world.buy().to_string(),
        "not bought, and refused: POST /v1/plant_tree: answered 401 Unauthorized; \
         it was not executed",
    );
    let mut world = World::new(&[Fate::Refused]);
    assert_eq!(
        world.buy().to_string(),
        "not bought, to be tried later: POST /v1/plant_tree: could not connect; \
         it was not executed",
    );
    let mut world = World::new(&[Fate::LostBefore, Fate::LostBefore]);
    assert_eq!(
        world.buy().to_string(),
        "not known: there is no trace of the purchase: POST /v1/plant_tree: the connection \
         failed before an answer arrived; whether it was executed is not known",
    );
    let all = [
        Doubt::NotFound,
        Doubt::Unreadable,
        Doubt::TooManyRecords,
        Doubt::SameTime,
        Doubt::CancelRefused,
    ];
    let mut said: Vec<_> = all.iter().map(ToString::to_string).collect();
    said.sort();
    said.dedup();
    assert_eq!(said.len(), all.len());
}

#[test]
fn a_purchase_for_a_customer_is_looked_for_among_the_customers() {
    let customer = Customer::new("a+b@x.com").unwrap();
    let once = Once::recover(&intent(), tree().customer(customer)).unwrap();
    let OnceStep::ReadCustomerRecords(list, mut once) = once.step(Duration::ZERO) else {
        panic!("the customers' records");
    };
    let expected = ListCustomerRecords::new().filter_by(ImpactKind::TreePlanted);
    assert_eq!(list.customer_email.unwrap().as_str(), "a+b@x.com");
    assert_eq!(list.filter_by, expected.filter_by);
    let info = RecordCustomer::new("U2", "a+b@x.com");
    let bought = record(intent().marker(), start().into());
    let impact = bought.impact.clone();
    let mut of_customer =
        CustomerRecord::new(bought.user_id, bought.time_utc, impact, info.clone());
    of_customer.metadata = bought.metadata;
    once.read_of_customer(Ok(Page::new(vec![of_customer], None)));
    let OnceStep::Done(outcome) = once.step(Duration::ZERO) else { panic!("it was found") };
    assert_eq!(confirmed(outcome).customer, Some(info));
}

#[test]
fn a_match_that_moved_to_the_next_page_is_one() {
    let once = Once::recover(&intent(), tree()).unwrap();
    let OnceStep::ReadRecords(_, mut once) = once.step(Duration::ZERO) else { panic!("a read") };
    let bought = || record(intent().marker(), start().into());
    once.read(Ok(Page::new(vec![bought()], Some(Cursor::new("next")))));
    let OnceStep::ReadRecords(_, mut once) = once.step(Duration::ZERO) else { panic!("a page") };
    once.read(Ok(Page::new(vec![bought()], None)));
    let OnceStep::Done(outcome) = once.step(Duration::ZERO) else { panic!("it was found") };
    assert_eq!(ImpactId::from(confirmed(outcome)), ImpactId::from(bought()));
}

#[test]
fn the_marker_needs_room_and_belongs_to_one_intent() {
    let full = (0..20).map(|at| (at.to_string(), "x"));
    let full = tree().metadata(Metadata::from_pairs(full).unwrap());
    assert!(matches!(Once::new(&intent(), full), Err(InvalidValue::Metadata { .. })));

    let key = Intent::METADATA_KEY;
    let with = |marker: &str| tree().metadata(Metadata::from_pairs([(key, marker)]).unwrap());
    assert!(Once::new(&intent(), with("another")).is_err());
    assert!(Once::new(&intent(), with(intent().marker())).is_ok());
}

#[test]
fn a_state_belongs_to_one_kind_of_action_and_one_customer() {
    let state = |action: PlantTree| Once::new(&intent(), action).unwrap().state().clone();
    let carbon = CaptureCarbon::new(Pounds::of::<1>());
    assert_eq!(Once::resume(state(tree()), carbon).unwrap_err(), InvalidValue::OtherAction);

    // Another customer's records would not show what was bought.
    let of = |email: &str| tree().customer(Customer::new(email).unwrap());
    let (ada, bob) = (of("ada@example.com"), of("bob@example.com"));
    for (then, now) in [(&ada, &tree()), (&tree(), &ada), (&ada, &bob)] {
        let error = Once::resume(state(then.clone()), now.clone()).unwrap_err();
        assert_eq!(error, InvalidValue::OtherAction);
    }
    let stored = serde_json::to_string(&state(ada.clone())).unwrap();
    assert!(!stored.contains("ada"), "{stored}");
    let named = Customer::new("ada@example.com").unwrap().name("Ada");
    assert!(Once::resume(serde_json::from_str(&stored).unwrap(), tree().customer(named)).is_ok());
}

#[test]
fn what_is_told_unasked_changes_nothing() {
    let mut world = World::new(&[Fate::Answered]);
    let mut once = Once::new(&intent(), tree()).unwrap();
    once.read(Ok(Page::new(vec![record(intent().marker(), start().into())], None)));
    once.cancelled(Err(failure(ListRecords::new(), Ok(500))));
    confirmed(world.run(once));
    assert_eq!(world.sends, 1);

    // An earlier process may have bought it, whatever this one is told of.
    let mut world = World::new(&[Fate::LostBefore, Fate::Answered]);
    let mut once = Once::recover(&intent(), tree()).unwrap();
    once.sent(Err(failure(tree(), Err(TransportError::connect("refused")))), world.now);
    assert!(once.finished().is_continue());
    let mut once = Once::recover(&intent(), tree()).unwrap();
    let intent = intent();
    let marker = (Intent::METADATA_KEY, intent.marker());
    once.sent(world.send(&tree().metadata(Metadata::from_pairs([marker]).unwrap())), world.now);
    confirmed(world.run(once));
    assert_eq!(world.sends, 2);
}
