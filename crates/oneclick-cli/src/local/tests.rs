//! Tests of the journal, each with its own file.

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

/// A journal in a folder that is removed when this is dropped.
struct TestFile(PathBuf);

impl TestFile {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("oneclick-local-{}-{number}", process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// Neither the file nor its folders exist at first.
    fn path(&self) -> PathBuf {
        self.0.join("some/folders/local.jsonl")
    }

    fn holding(text: impl AsRef<[u8]>) -> Self {
        let file = Self::new();
        fs::create_dir_all(file.path().parent().unwrap()).unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    fn client(&self) -> BlockingClient<Transport> {
        let (api, transport) = open(&self.path()).unwrap();
        BlockingClient::with_transport(api, transport)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }
}

impl Drop for TestFile {
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
fn a_purchase_is_there_when_the_file_is_opened_again() {
    let file = TestFile::new();
    let bought = plant(&file.client());
    file.client().cancel_impact(&bought).unwrap();
    let client = file.client();
    assert!(client.track(&bought).unwrap().cancelled_on.is_some());
    let later = plant(&client);
    assert!(later.time_utc > bought.time_utc);
    let records: Vec<_> = client.records(ListRecords::new()).map(Result::unwrap).collect();
    assert_eq!(ImpactId::from(&records[0]), ImpactId::from(&bought));
    assert_eq!(records.len(), 2);
    let account = client.whoami().unwrap();
    assert_eq!(account, file.client().whoami().unwrap());
}

#[test]
fn the_journal_holds_accepted_requests_only_and_never_the_key() {
    let file = TestFile::new();
    let client = file.client();
    client.whoami().unwrap();
    client.track("U1-2025-03-12T15:22:14.753Z".parse::<ImpactId>().unwrap()).unwrap_err();
    client.cancel_impact("U1-2025-03-12T15:22:14.753Z".parse::<ImpactId>().unwrap()).unwrap_err();
    assert_eq!(file.text(), "");
    let time = plant(&client).time_utc;
    let line = format!(r#"{{"time":"{time}","path":"/v1/plant_tree","body":"{{\"amount\":1}}"}}"#);
    assert_eq!(file.text(), format!("{HEADING}{line}\n"));
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt;

    let file = TestFile::new();
    plant(&file.client());
    assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn commands_at_the_same_time_lose_nothing() {
    let file = TestFile::new();
    let together = Barrier::new(4);
    let ids: Vec<_> = thread::scope(|scope| {
        let buy = || -> Vec<_> {
            together.wait();
            // One client that stays open, and one for each purchase.
            let client = file.client();
            let both = |_| [plant(&client), plant(&file.client())];
            (0..10).flat_map(both).map(|receipt| ImpactId::from(&receipt)).collect()
        };
        let threads = [(); 4].map(|()| scope.spawn(buy));
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let client = file.client();
    assert_eq!(planted(&client), 80);
    for id in ids {
        assert_eq!(client.track(id).unwrap().impact.amount, 1);
    }
}

#[test]
fn a_client_that_stays_open_blocks_no_other_and_sees_its_purchases() {
    let file = TestFile::new();
    let waiting = file.client();
    plant(&waiting);
    let other = file.client();
    plant(&other);
    assert_eq!((planted(&waiting), planted(&other)), (2, 2));
}

#[test]
fn an_incomplete_last_line_is_ignored_and_then_overwritten() {
    let whole = TestFile::new();
    plant(&whole.client());
    let before = whole.text().len();
    plant(&whole.client());
    let text = whole.text();
    let cuts = (0..HEADING.len()).map(|at| (at, 0)).chain((before..text.len()).map(|at| (at, 1)));
    for (at, left) in cuts {
        let file = TestFile::holding(&text[..at]);
        let client = file.client();
        assert_eq!(planted(&client), left, "{at}");
        // Reading does not change the file.
        assert_eq!(file.text(), text[..at]);
        plant(&client);
        assert_eq!(planted(&file.client()), left + 1, "{at}");
        assert_eq!(file.text().lines().count(), usize::try_from(left).unwrap() + 2, "{at}");
    }
    // A power failure can leave zeros, here more than the next line overwrites.
    let file = TestFile::holding(format!("{text}{}", "\0".repeat(1_000)));
    let client = file.client();
    plant(&file.client());
    assert_eq!(planted(&client), 3);
    assert!(!file.text().contains('\0'));
}

#[test]
fn a_file_that_is_not_a_journal_is_refused_and_left_unchanged() {
    let entry = r#"{"time":"2025-01-01T00:00:00.000Z","path":"/v1/plant_tree","body":"{}"}"#;
    let wrong_path = entry.replace("/v1/plant_tree", "a b");
    for (text, words) in [
        ("hello".to_owned(), "not a file of this version's local emulator"),
        ("hello\n".to_owned(), "not a file of this version's local emulator"),
        ("{}\n{}\n".to_owned(), "not a file of this version's local emulator"),
        ("\0".to_owned(), "not a file of this version's local emulator"),
        (HEADING.replace('1', "2"), "not a file of this version's local emulator"),
        (HEADING.trim_end().to_owned() + " ", "not a file of this version's local emulator"),
        (format!("{HEADING}nonsense\n"), "line 2 cannot be read"),
        (format!("{HEADING}\n"), "line 2 cannot be read"),
        (format!("{HEADING}{wrong_path}\n"), "line 2 cannot be read"),
        (format!("{HEADING}{entry}\n"), "refuses line 2 with status 400"),
    ] {
        let file = TestFile::holding(&text);
        let Err(Failure::Machine(error)) = open(&file.path()) else { panic!("{text}") };
        let path = file.path().display().to_string();
        assert!(error.contains(&path) && error.contains(words), "{error}");
        assert!(error.ends_with("; move it away, or name another file with --state"), "{error}");
        assert_eq!(file.text(), text);
    }
    let file = TestFile::holding("");
    let Err(Failure::Machine(_)) = open(file.path().parent().unwrap()) else {
        panic!("a folder was accepted")
    };
}

#[test]
fn a_purchase_that_cannot_be_written_was_not_made() {
    let file = TestFile::new();
    let (api, transport) = open(&file.path()).unwrap();
    let client = BlockingClient::with_transport(api.clone(), transport.clone());
    plant(&client);
    let writable = {
        let mut journal = transport.journal.lock().unwrap();
        std::mem::replace(&mut journal.file, File::open(file.path()).unwrap())
    };
    let request = api.encode(&PlantTree::new(Trees::of::<1>())).unwrap();
    assert_eq!(transport.send(request).unwrap_err().phase(), Phase::Connect);
    assert_eq!(planted(&client), 1);
    transport.journal.lock().unwrap().file = writable;
    plant(&client);
    assert_eq!((planted(&client), planted(&file.client())), (2, 2));
}

#[test]
fn nothing_is_bought_with_a_journal_that_became_invalid() {
    let file = TestFile::new();
    let (api, transport) = open(&file.path()).unwrap();
    let client = BlockingClient::with_transport(api, transport)
        .with_retry(oneclick_ureq::RetryPolicy::NEVER);
    plant(&client);
    let invalid = file.text() + "nonsense\n";
    fs::write(file.path(), &invalid).unwrap();
    let error = client.plant_tree(Trees::of::<1>()).unwrap_err();
    assert_eq!(error.execution(), Execution::NotExecuted);
    assert!(format!("{error:#}").contains("line 3 cannot be read"), "{error:#}");
    assert_eq!(file.text(), invalid);
}

/// A request, or a change of the machine's clock.
#[derive(Clone, Debug)]
enum Step {
    Buy {
        cents: u64,
        customer: Option<u8>,
        order: Option<u8>,
    },
    Cancel(prop::sample::Index),
    /// A cancellation of a purchase that was never made.
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

/// The responses to all reads: the same bytes only if the state is the same.
fn responses(api: &Api, transport: &Transport, ids: &[ImpactId]) -> Vec<Vec<u8>> {
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
    fn every_client_of_a_journal_has_the_same_state(
        steps in vec((any::<bool>(), step()), 0..30),
    ) {
        let file = TestFile::new();
        let clock = ManualClock::new("2025-03-12T15:22:14.753Z".parse().unwrap());
        let open = || open_at(&file.path(), clock.clone().into()).unwrap();
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
                    // Times ascend, whatever the clock does.
                    let last = ids.last().map(|id| id.time_utc.clone());
                    prop_assert!(last.is_none_or(|last| last < id.time_utc));
                    ids.push(id);
                }
                Step::Cancel(index) if !ids.is_empty() => {
                    // Refused if the donation has been sent.
                    let _ = client.cancel_impact(index.get(&ids));
                }
                Step::Cancel(_) | Step::Refused => {
                    let unknown: ImpactId = "U1-2025-03-12T15:22:14.753Z".parse().unwrap();
                    client.cancel_impact(unknown).unwrap_err();
                }
                Step::Clock { millis } => clock.set(clock.now() + TimeDelta::milliseconds(millis)),
            }
        }
        let times: Vec<_> = file.text().lines().skip(1).map(time).collect();
        prop_assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        let (_, again) = open();
        let expected = responses(&api, &one, &ids);
        prop_assert_eq!(&responses(&api, &two, &ids), &expected);
        prop_assert_eq!(&responses(&api, &again, &ids), &expected);
    }
}
