//! The six [promises](crate::promises), checked on random histories against the emulator
//! with all its faults and all values of its switches.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use oneclick_emulator::behaviour::{DateHeader, ReceiptForm, ServerClock};
use oneclick_emulator::{
    Account, Behaviour, Config, Emulator, Fault, FaultRule, GatewayBody, InMemory, LedgerEntry,
    RetryAfter,
};
use oneclick_proto::{BlockingTransport, Intent, VerifyPolicy};

use crate::promises::{ARRIVED, BEGIN, Bought, Exchanged, World, check_promises};
use crate::unkind_server::{Dice, KEY, Order};

struct EmulatorWorld {
    transport: InMemory,
    order: Order,
    marker: String,
    /// The emulator's time when the world began, before a switch shifts it.
    began: DateTime<Utc>,
}

impl EmulatorWorld {
    /// Others make an equal purchase with another marker.
    fn buy_for_others(&mut self, dice: &mut Dice, at: Duration) {
        let Order { kind, amount, .. } = self.order;
        let marker = format!("{:016x}{:016x}", dice.number(), dice.number());
        let body = format!(r#"{{"amount":{amount},"metadata":{{"oneclick_intent":"{marker}"}}}}"#);
        let request = Request::post(kind.path())
            .header("x-api-key", KEY)
            .header("content-type", "application/json")
            .body(body.into_bytes());
        self.pass(at);
        let response = self.transport.send(request.unwrap()).unwrap();
        assert!(response.status().is_success(), "{:?}", response.body());
    }

    fn ledger(&self) -> Vec<LedgerEntry> {
        self.transport.emulator().account(KEY).into_iter().flat_map(Account::ledger).collect()
    }
}

/// Random values for some switches of the table in the emulator's documentation.
fn behaviour(dice: &mut Dice) -> Behaviour {
    let share = *dice.pick(&[10, 40, 80]);
    let table = include_str!("../../crates/oneclick-emulator/src/lib.rs");
    let mut switches = serde_json::Map::new();
    let rows = table.lines().skip_while(|line| !line.starts_with("//! | `metadata` |"));
    for row in rows.take_while(|line| line.starts_with("//! | `")) {
        let cells: Vec<_> = row.split(" | ").map(|cell| cell.trim_matches('`')).collect();
        let values: Vec<_> = cells[2].split("`, `").collect();
        if dice.percent(share) {
            let value = *dice.pick(&values[1..]);
            let object = value.starts_with('{');
            let json = if object { serde_json::from_str(value).unwrap() } else { value.into() };
            switches.insert(cells[1].to_owned(), json);
        }
    }
    serde_json::from_value(switches.into()).unwrap()
}

fn fault(dice: &mut Dice) -> Fault {
    let arrives = u64::try_from(ARRIVED.as_millis() / 2).unwrap();
    let applied = dice.percent(50);
    match dice.index(18) {
        0 => Fault::RateLimited { retry_after: None },
        1 => Fault::RateLimited { retry_after: Some(RetryAfter::Seconds(7)) },
        2 => Fault::RateLimited { retry_after: Some(RetryAfter::Date(90)) },
        3 => Fault::ServerError,
        4 => Fault::Unavailable,
        5 => Fault::DropBefore,
        6 => Fault::DropThenApply { millis: dice.number() % arrives },
        7 => Fault::ApplyThenDrop,
        8 => Fault::ApplyThenError,
        9 => Fault::LateResponse { millis: dice.number() % 60_000 },
        10 => Fault::CutResponse { at: dice.index(200) },
        11 => Fault::NoLength { at: Some(dice.index(200)) },
        12 => Fault::Garbage,
        13 => Fault::NotHttp,
        14 => Fault::NeverRespond { applied },
        15 => Fault::WrongLength { by: i32::try_from(dice.index(200)).unwrap() - 100 },
        16 => Fault::SlowBytes { millis: dice.number() % 1_000 },
        // Up to longer than a client's patience, but shorter than absence takes.
        17 => Fault::Hidden { millis: dice.number() % 120_000 },
        _ => unreachable!(),
    }
}

/// A gateway responds instead of the API.
fn gateway(dice: &mut Dice) -> Fault {
    let statuses = [
        200, 201, 202, 204, 205, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409,
        413, 422, 425, 429, 500, 502, 503, 504,
    ];
    let status = *dice.pick(&statuses);
    let body = *dice.pick(&[GatewayBody::Html, GatewayBody::Message, GatewayBody::Empty]);
    // 307 and 308 send the request elsewhere, so it is not executed here.
    let applied = dice.percent(50) && ![307, 308].contains(&status);
    Fault::Gateway { status, applied, body }
}

impl World for EmulatorWorld {
    fn new(dice: &mut Dice, order: &Order, marker: &str, kind: bool) -> Self {
        let behaviour = if kind { Behaviour::new() } else { behaviour(dice) };
        let began = DateTime::from_timestamp(1_740_787_200, 0).unwrap();
        let transport = InMemory::from(Emulator::new(Config::new().seed(dice.number())));
        transport.set_time(began);
        transport.emulator().set_behaviour(behaviour);
        let (order, marker) = (order.clone(), marker.to_owned());
        let mut world = Self { transport, order, marker, began };
        for before in (1..=*dice.pick(&[0, 2, 15])).rev() {
            world.buy_for_others(dice, BEGIN.saturating_sub(Duration::from_secs(120 * before)));
        }
        if kind {
            for fault in [Fault::DropBefore, Fault::ApplyThenDrop] {
                let rule = FaultRule::new(fault).on(world.order.kind.path());
                world.transport.emulator().inject(rule.probability(0.05));
            }
            return world;
        }
        for _ in 0..=dice.index(3) {
            let rule = FaultRule::new(if dice.percent(30) { gateway(dice) } else { fault(dice) });
            let buying = dice.percent(70);
            let rule = if buying { rule.on(world.order.kind.path()) } else { rule };
            world.transport.emulator().inject(match dice.index(2) {
                0 => rule.times(1 + u32::try_from(dice.index(3)).unwrap()),
                _ => rule.probability(*dice.pick(&[0.1, 0.4, 0.8])),
            });
        }
        world
    }

    fn shown(&self) -> String {
        let emulator = self.transport.emulator();
        format!("{:?} {:?}", emulator.behaviour(), emulator.faults())
    }

    fn policy(&self) -> VerifyPolicy {
        // Crossed receipts are equal here, so only records may confirm.
        let crossed = self.transport.emulator().behaviour().receipt == ReceiptForm::Crossed;
        VerifyPolicy::STANDARD.confirm_by_receipt(!crossed)
    }

    fn exchange(&mut self, request: &Request<Vec<u8>>, now: Duration) -> (Duration, Exchanged) {
        self.pass(now);
        let result = self.transport.send(request.clone());
        // If others buy in the same millisecond, a purchase is dated a little later than now.
        self.transport.advance(Duration::from_millis(20));
        (self.transport.now().saturating_sub(now), result)
    }

    fn pass(&mut self, until: Duration) {
        self.transport.advance(until.saturating_sub(self.transport.now()));
    }

    fn bought(&self) -> Vec<Bought> {
        let ours = |entry: &LedgerEntry| {
            entry.receipt.metadata.get(Intent::METADATA_KEY) == Some(&self.marker)
        };
        let shift = match self.transport.emulator().behaviour().clock {
            ServerClock::Ahead { days } => TimeDelta::days(days.into()),
            ServerClock::Behind { days } => -TimeDelta::days(days.into()),
            _ => TimeDelta::zero(),
        };
        let bought = |entry: LedgerEntry| {
            let time = entry.receipt.time_utc.datetime();
            let made_at = (time - shift - self.began).to_std().unwrap();
            // Nothing is cancelled in these histories.
            Bought { time, made_at, cancelled_at: None, readable: true }
        };
        self.ledger().into_iter().filter(ours).map(bought).collect()
    }

    fn has_candidates(&self) -> bool {
        let amount = i64::try_from(self.order.amount).unwrap();
        self.ledger().iter().any(|entry| {
            let impact = &entry.receipt.impact;
            (impact.kind.as_str(), impact.amount) == (self.order.kind.field(), amount)
                && entry.receipt.metadata.get(Intent::METADATA_KEY).is_none()
        })
    }

    fn times(&self) -> Vec<DateTime<Utc>> {
        self.ledger().iter().map(|entry| entry.receipt.time_utc.datetime()).collect()
    }

    fn become_kind(&mut self) {
        // A jump of the server's clock would not be kind.
        let Behaviour { clock, mut date, .. } = self.transport.emulator().behaviour();
        if date == DateHeader::Absent {
            date = DateHeader::Usual;
        }
        let mut emulator = self.transport.emulator();
        emulator.clear_faults();
        emulator.set_behaviour(Behaviour::new().clock(clock).date(date));
    }
}

#[test]
fn every_promise_is_kept_on_the_default_emulator() {
    check_promises::<EmulatorWorld>("every_promise_is_kept_on_the_default_emulator", true);
}

#[test]
fn every_promise_is_kept_on_an_emulator_with_any_switch() {
    check_promises::<EmulatorWorld>("every_promise_is_kept_on_an_emulator_with_any_switch", false);
}
