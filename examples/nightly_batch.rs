//! A nightly batch: plants the trees of each order in a CSV file once, however often the
//! batch is started and wherever it was interrupted.
//!
//! A journal makes that possible. The state of a purchase is written to it, and synced to
//! the disk, before the purchase leaves. The next run takes each order up from there.
//!
//! ```sh
//! cargo run --example nightly_batch
//! cargo test --example nightly_batch
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use fs4::{FileExt, TryLockError};
use oneclick_emulator::{Fault, FaultRule, Server};
use oneclick_examples::Failure;
use oneclick_ureq::{
    BlockingTransport, Client, Customer, Email, Intent, Outcome, PlantTree, PurchaseState, Step,
    Trees, VerifiedPurchase,
};
use serde::{Deserialize, Serialize};

const ORDERS: &str = "\
order,email,name,trees
A-1001,ada@example.com,Ada Lovelace,5
A-1002,grace@example.com,,1
A-1003,alan@example.com,Alan Turing,0
";

fn main() -> Result<(), Failure> {
    // In your program: `Client::from_env()?`, and two paths of yours.
    let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
    let server = Server::builder().fault(lost).start()?;
    let client = Client::with_base_url(server.base_url(), "test_batch")?;
    let folder = std::env::temp_dir().join(format!("nightly-batch-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let (orders, journal) = (folder.join("orders.csv"), folder.join("journal.jsonl"));

    println!("The first night: one response is lost, and one row is wrong.");
    fs::write(&orders, ORDERS)?;
    let open = batch(&client, &orders, &journal)?;
    println!("{open} open\n");

    println!("The row is corrected, and the same file is run again.");
    fs::write(&orders, ORDERS.replace("Turing,0", "Turing,3"))?;
    let open = batch(&client, &orders, &journal)?;
    println!("{open} open");

    fs::remove_dir_all(folder)?;
    Ok(())
}

/// A row of the CSV file.
#[derive(Deserialize)]
struct Order {
    /// Unique among all orders, not only in this file.
    #[serde(rename = "order")]
    id: String,
    email: Email,
    name: Option<String>,
    trees: Trees,
}

/// Buys what the file asks for, and returns how many rows are not done: run the same file
/// again until there are none.
fn batch(client: &Client, orders: &Path, journal: &Path) -> Result<usize, Failure> {
    let mut journal = Journal::open(journal)?;
    let mut open = 0;
    for (row, order) in csv::Reader::from_path(orders)?.deserialize().enumerate() {
        // One bad row costs that row.
        let done =
            order.map_err(Failure::from).and_then(|order| plant(client, order, &mut journal));
        open += usize::from(!done.unwrap_or_else(|failure| {
            println!("row {}: {failure:?}", row + 1);
            false
        }));
    }
    Ok(open)
}

/// Takes an order as far as it goes tonight; whether it is done.
fn plant(client: &Client, row: Order, journal: &mut Journal) -> Result<bool, Failure> {
    let Order { id: order, email, name, trees } = row;
    let mut customer = Customer::from(email);
    if let Some(name) = name {
        customer = customer.name(name);
    }
    let plant = PlantTree::new(trees).customer(customer);
    let intent = Intent::new("shop.example", &format!("{order}:trees"));
    let entry = journal.orders.get(&order).cloned().unwrap_or_default();
    let purchase = match entry.state {
        // Refuses a row that has changed since: another amount, another customer.
        Some(state) => VerifiedPurchase::resume(&intent, plant, state)?,
        None => VerifiedPurchase::new(&intent, plant)?,
    };
    if let Some(done) = entry.done {
        println!("{order}: {done} (an earlier run)");
        return Ok(true);
    }

    let transport = client.transport();
    let mut step = client.start(purchase);
    let outcome = loop {
        step = match step {
            Step::Send(request, sent) => {
                if sent.may_buy() {
                    journal.write(&order, Some(sent.state()), None)?;
                }
                sent.finish(transport.send(request), transport.now())
            }
            Step::Wait(wait, waiting) => {
                transport.sleep(wait);
                waiting.wake(transport.now())
            }
            Step::Done(outcome) => break outcome,
        };
    };
    println!("{order}: {outcome}");
    let state = match &outcome {
        Outcome::Confirmed(_) | Outcome::Cancelled(_) => {
            let state = journal.orders.get(&order).and_then(|entry| entry.state.clone());
            journal.write(&order, state.as_ref(), Some(outcome.to_string()))?;
            return Ok(true);
        }
        // Nothing was bought, so a corrected row is a new purchase.
        Outcome::Refused(_) => None,
        Outcome::NotBought(not) => Some(&not.state),
        Outcome::Pending(pending) => Some(&pending.state),
        // A person has to look; until then, every run looks again.
        Outcome::Unresolved(left) => Some(&left.state),
    };
    journal.write(&order, state, None)?;
    Ok(false)
}

/// What is known of each order, a line of JSON for each change. It names no customer.
struct Journal {
    file: File,
    orders: BTreeMap<String, Entry>,
}

#[derive(Clone, Default, Deserialize, Serialize)]
struct Entry {
    order: String,
    state: Option<PurchaseState>,
    /// How it ended; `None` while it is open.
    done: Option<String>,
}

impl Journal {
    /// Opens a journal for this run alone.
    fn open(path: &Path) -> Result<Self, Failure> {
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        FileExt::try_lock(&file).map_err(|error| match error {
            TryLockError::WouldBlock => Failure::new("another run has the journal open"),
            TryLockError::Error(error) => error.into(),
        })?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // A line that a crash cut short was not synced, so its purchase did not leave.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64)?;
        file.seek(io::SeekFrom::End(0))?;
        let mut orders = BTreeMap::new();
        for line in text[..whole].lines() {
            let entry: Entry = serde_json::from_str(line)?;
            orders.insert(entry.order.clone(), entry);
        }
        Ok(Self { file, orders })
    }

    fn write(
        &mut self,
        order: &str,
        state: Option<&PurchaseState>,
        done: Option<String>,
    ) -> Result<(), Failure> {
        let entry = Entry { order: order.to_owned(), state: state.cloned(), done };
        self.file.write_all(format!("{}\n", serde_json::to_string(&entry)?).as_bytes())?;
        self.file.sync_data()?;
        self.orders.insert(entry.order.clone(), entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Night {
        server: Server,
        client: Client,
        folder: std::path::PathBuf,
    }

    impl Night {
        fn new(name: &str) -> Self {
            let lost = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1);
            let server = Server::builder().fault(lost).start().unwrap();
            let client = Client::with_base_url(server.base_url(), "test_batch").unwrap();
            let name = format!("nightly-batch-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            fs::create_dir(&folder).unwrap();
            Self { server, client, folder }
        }

        fn run(&self, orders: &str) -> usize {
            fs::write(self.folder.join("orders.csv"), orders).unwrap();
            batch(&self.client, &self.folder.join("orders.csv"), &self.journal()).unwrap()
        }

        fn journal(&self) -> std::path::PathBuf {
            self.folder.join("journal.jsonl")
        }

        fn bought(&self) -> usize {
            self.server.emulator().account("test_batch").map_or(0, |account| account.ledger().len())
        }
    }

    impl Drop for Night {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    #[test]
    fn each_order_is_bought_once_however_often_its_file_is_run() {
        let night = Night::new("often");
        assert_eq!(night.run(ORDERS), 1);
        assert_eq!(night.bought(), 2);
        let corrected = ORDERS.replace("Turing,0", "Turing,3");
        assert_eq!(night.run(&corrected), 0);
        assert_eq!(night.run(&corrected), 0);
        assert_eq!(night.bought(), 3);
        // An order that was bought cannot become another one.
        assert_eq!(night.run(&corrected.replace("Turing,3", "Turing,4")), 1);
        assert_eq!(night.bought(), 3);
    }

    #[test]
    fn a_crash_at_any_byte_of_the_journal_buys_nothing_twice() {
        let night = Night::new("crash");
        night.run(ORDERS);
        let journal = fs::read(night.journal()).unwrap();
        let order: String = ORDERS.lines().take(2).flat_map(|row| [row, "\n"]).collect();
        // Until its first line is whole, the purchase has not left.
        let first = journal.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in (first..=journal.len()).step_by(13) {
            fs::write(night.journal(), &journal[..cut]).unwrap();
            assert_eq!(night.run(&order), 0, "{cut}");
            assert_eq!(night.bought(), 2, "{cut}");
        }
    }

    #[test]
    fn two_runs_at_a_time_are_refused() {
        let night = Night::new("two");
        let _first = Journal::open(&night.journal()).unwrap();
        assert!(Journal::open(&night.journal()).is_err());
    }
}
