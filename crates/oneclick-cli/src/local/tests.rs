//! Tests of the journal, on files of their own.

use std::path::PathBuf;
use std::process;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use oneclick_emulator::ManualClock;
use oneclick_ureq::{
    BlockingClient, Cents, Customer, DonateMoney, Execution, ImpactId, ImpactKind, ListRecords,
    Metadata, Phase, Receipt,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A folder that goes when the test does.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let name = format!("oneclick-local-{}-{number}", process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// Not there yet, nor are its folders.
    fn file(&self) -> PathBuf {
        self.0.join("some/folders/local.jsonl")
    }

    fn holding(text: impl AsRef<[u8]>) -> Self {
        let place = Self::new();
        fs::create_dir_all(place.file().parent().unwrap()).unwrap();
        fs::write(place.file(), text).unwrap();
        place
    }

    fn client(&self) -> BlockingClient<Transport> {
        let (api, transport) = open(&self.file()).unwrap();
        BlockingClient::with_transport(api, transport)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn planted(client: &BlockingClient<Transport>) -> i64 {
    client.impact().unwrap().total.get(&ImpactKind::TreePlanted)
}

fn plant(client: &BlockingClient<Transport>) -> Receipt {
    client.plant_tree(Trees::of::<1>()).unwrap()
}

#[test]
fn what_was_bought_is_there_when_it_is_opened_again() {
    let place = Place::new();
    let bought = plant(&place.client());
    place.client().cancel_impact(&bought).unwrap();
    let client = place.client();
    assert!(client.track(&bought).unwrap().cancelled_on.is_some());
    let later = plant(&client);
    assert!(later.time_utc > bought.time_utc);
    let records: Vec<_> = client.records(ListRecords::new()).map(Result::unwrap).collect();
    assert_eq!(ImpactId::from(&records[0]), ImpactId::from(&bought));
    assert_eq!(records.len(), 2);
    let account = client.whoami().unwrap();
    assert_eq!(account, place.client().whoami().unwrap());
}

#[test]
fn only_what_was_accepted_is_written_down_and_never_the_key() {
    let place = Place::new();
    let client = place.client();
    client.whoami().unwrap();
    client.track("U1-2025-03-12T15:22:14.753Z".parse::<ImpactId>().unwrap()).unwrap_err();
    client.cancel_impact("U1-2025-03-12T15:22:14.753Z".parse::<ImpactId>().unwrap()).unwrap_err();
    assert_eq!(place.text(), "");
    let time = plant(&client).time_utc;
    let line = format!(r#"{{"time":"{time}","path":"/v1/plant_tree","body":"{{\"amount\":1}}"}}"#);
    assert_eq!(place.text(), format!("{HEADING}{line}\n"));
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    plant(&place.client());
    assert_eq!(fs::metadata(place.file()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn commands_that_run_at_the_same_time_lose_nothing() {
    let place = Place::new();
    let together = Barrier::new(4);
    let ids: Vec<_> = thread::scope(|scope| {
        let buy = || -> Vec<_> {
            together.wait();
            // One that stays open, and one for each purchase.
            let client = place.client();
            let both = |_| [plant(&client), plant(&place.client())];
            (0..10).flat_map(both).map(|receipt| ImpactId::from(&receipt)).collect()
        };
        let threads = [(); 4].map(|()| scope.spawn(buy));
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let client = place.client();
    assert_eq!(planted(&client), 80);
    for id in ids {
        assert_eq!(client.track(id).unwrap().impact.amount, 1);
    }
}

#[test]
fn a_command_that_waits_keeps_nobody_waiting_and_sees_what_others_do() {
    let place = Place::new();
    let waiting = place.client();
    plant(&waiting);
    let other = place.client();
    plant(&other);
    assert_eq!((planted(&waiting), planted(&other)), (2, 2));
}

#[test]
fn a_last_line_that_is_cut_anywhere_is_left_out_and_written_over() {
    let whole = Place::new();
    plant(&whole.client());
    let before = whole.text().len();
    plant(&whole.client());
    let text = whole.text();
    let cuts = (0..HEADING.len()).map(|at| (at, 0)).chain((before..text.len()).map(|at| (at, 1)));
    for (at, left) in cuts {
        let place = Place::holding(&text[..at]);
        let client = place.client();
        assert_eq!(planted(&client), left, "{at}");
        // Whoever only reads changes nothing.
        assert_eq!(place.text(), text[..at]);
        plant(&client);
        assert_eq!(planted(&place.client()), left + 1, "{at}");
        assert_eq!(place.text().lines().count(), usize::try_from(left).unwrap() + 2, "{at}");
    }
    // What a machine may leave that lost its power, longer than what is written over it.
    let place = Place::holding(format!("{text}{}", "\0".repeat(1_000)));
    let client = place.client();
    plant(&place.client());
    assert_eq!(planted(&client), 3);
    assert!(!place.text().contains('\0'));
}

#[test]
fn a_file_that_is_no_journal_is_left_alone() {
    let entry = r#"{"time":"2025-01-01T00:00:00.000Z","path":"/v1/plant_tree","body":"{}"}"#;
    let wrong_path = entry.replace("/v1/plant_tree", "a b");
    for (text, words) in [
        ("hello".to_owned(), "no journal"),
        ("hello\n".to_owned(), "no journal"),
        ("{}\n{}\n".to_owned(), "no journal"),
        ("\0".to_owned(), "no journal"),
        (HEADING.replace('1', "2"), "no journal"),
        (HEADING.trim_end().to_owned() + " ", "no journal"),
        (format!("{HEADING}nonsense\n"), "line 2 cannot be read"),
        (format!("{HEADING}\n"), "line 2 cannot be read"),
        (format!("{HEADING}{wrong_path}\n"), "line 2 cannot be read"),
        (format!("{HEADING}{entry}\n"), "refuses its line 2 with 400"),
    ] {
        let place = Place::holding(&text);
        let Err(Failure::Machine(error)) = open(&place.file()) else { panic!("{text}") };
        let file = place.file().display().to_string();
        assert!(error.starts_with(&file) && error.contains(words), "{error}");
        assert!(error.ends_with("; move it away, or name another file with --state"), "{error}");
        assert_eq!(place.text(), text);
    }
    let place = Place::holding("");
    let Err(Failure::Machine(_)) = open(place.file().parent().unwrap()) else {
        panic!("a folder is no journal")
    };
}

#[test]
fn what_cannot_be_written_was_not_bought() {
    let place = Place::new();
    let (api, transport) = open(&place.file()).unwrap();
    let client = BlockingClient::with_transport(api.clone(), transport.clone());
    plant(&client);
    let writable = {
        let mut journal = transport.journal.lock().unwrap();
        std::mem::replace(&mut journal.file, File::open(place.file()).unwrap())
    };
    let request = api.encode(&PlantTree::new(Trees::of::<1>())).unwrap();
    assert_eq!(transport.send(request).unwrap_err().phase(), Phase::Connect);
    assert_eq!(planted(&client), 1);
    transport.journal.lock().unwrap().file = writable;
    plant(&client);
    assert_eq!((planted(&client), planted(&place.client())), (2, 2));
}

#[test]
fn a_journal_that_others_spoil_meanwhile_buys_nothing() {
    let place = Place::new();
    let (api, transport) = open(&place.file()).unwrap();
    let client = BlockingClient::with_transport(api, transport)
        .with_retry(oneclick_ureq::RetryPolicy::NEVER);
    plant(&client);
    let spoilt = place.text() + "nonsense\n";
    fs::write(place.file(), &spoilt).unwrap();
    let error = client.plant_tree(Trees::of::<1>()).unwrap_err();
    assert_eq!(error.execution(), Execution::NotExecuted);
    assert!(format!("{error:#}").contains("line 3 cannot be read"), "{error:#}");
    assert_eq!(place.text(), spoilt);
}

/// Something that a command may do, or that may happen.
#[derive(Clone, Debug)]
enum Step {
    Buy {
        cents: u64,
        customer: Option<u8>,
        order: Option<u8>,
    },
    Cancel(prop::sample::Index),
    /// Of a purchase that was never made.
    Refused,
    Clock {
        millis: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let option = || proptest::option::of(0..3_u8);
    prop_oneof![
        4 => (1..1_000_u64, option(), option())
            .prop_map(|(cents, customer, order)| Step::Buy { cents, customer, order }),
        2 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        1 => Just(Step::Refused),
        2 => (-86_400_000..86_400_000_i64).prop_map(|millis| Step::Clock { millis }),
    ]
}

fn time(line: &str) -> Timestamp {
    serde_json::from_str::<Entry>(line).unwrap().time
}

/// Everything that an account can be asked, and the same bytes only if all is the same.
fn answers(api: &Api, transport: &Transport, ids: &[ImpactId]) -> Vec<Vec<u8>> {
    let mut requests = vec![
        api.encode(&oneclick_ureq::GetAccount).unwrap(),
        api.encode(&oneclick_ureq::GetImpactTotals).unwrap(),
        api.encode(&oneclick_ureq::GetDailyTotals::default()).unwrap(),
        api.encode(&ListRecords::new()).unwrap(),
        api.encode(&oneclick_ureq::ListCustomerRecords::new()).unwrap(),
        api.encode(&oneclick_ureq::ListCustomers::new()).unwrap(),
    ];
    let track = |id: &ImpactId| api.encode(&oneclick_ureq::TrackImpact::from(id)).unwrap();
    requests.extend(ids.iter().map(track));
    requests.into_iter().map(|request| transport.send(request).unwrap().into_body()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_command_answers_as_the_one_that_wrote_the_journal(
        steps in vec((any::<bool>(), step()), 0..30),
    ) {
        let place = Place::new();
        let clock = ManualClock::new("2025-03-12T15:22:14.753Z".parse().unwrap());
        let open = || open_at(&place.file(), clock.clone().into()).unwrap();
        let ((api, one), (_, two)) = (open(), open());
        let mut ids: Vec<ImpactId> = Vec::new();
        for (first, step) in steps {
            let transport = if first { &one } else { &two };
            let client = BlockingClient::with_transport(api.clone(), transport.clone());
            match step {
                Step::Buy { cents, customer, order } => {
                    let mut donate = DonateMoney::new(Cents::new(cents).unwrap());
                    if let Some(number) = customer {
                        let customer = Customer::new(format!("c{number}@example.com")).unwrap();
                        donate = donate.customer(customer.name(format!("\u{1f333}\n{cents}")));
                    }
                    if let Some(number) = order {
                        let pair = [("order", number.to_string())];
                        donate = donate.metadata(Metadata::from_pairs(pair).unwrap());
                    }
                    let id = ImpactId::from(&client.donate_money(donate).unwrap());
                    // No time goes back, and none is used twice.
                    let last = ids.last().map(|id| id.time_utc.clone());
                    prop_assert!(last.is_none_or(|last| last < id.time_utc));
                    ids.push(id);
                }
                Step::Cancel(index) if !ids.is_empty() => {
                    // Refused if its donation was sent.
                    let _ = client.cancel_impact(index.get(&ids));
                }
                Step::Cancel(_) | Step::Refused => {
                    let nobodys: ImpactId = "U1-2025-03-12T15:22:14.753Z".parse().unwrap();
                    client.cancel_impact(nobodys).unwrap_err();
                }
                Step::Clock { millis } => clock.set(clock.now() + TimeDelta::milliseconds(millis)),
            }
        }
        let times: Vec<_> = place.text().lines().skip(1).map(time).collect();
        prop_assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        let (_, again) = open();
        let expected = answers(&api, &one, &ids);
        prop_assert_eq!(&answers(&api, &two, &ids), &expected);
        prop_assert_eq!(&answers(&api, &again, &ids), &expected);
    }
}
