//! A shop on axum that plants a tree with every order, and never plants one
//! twice.
//!
//! 1. The order and its tree's intent are stored in one `SQLite` transaction: either both
//!    exist or neither. The handler sends nothing.
//! 2. A worker in the same process plants the trees. If it dies, the next process goes on:
//!    the test below kills the shop in the middle of a purchase.
//! 3. A refund cancels the tree, which is safe to repeat, or drops one that was not planted.
//!
//! The example sends a few orders to its own HTTP interface and ends.

use std::fmt::Display;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use oneclick_examples::{Failure, Place};
use oneclick_outbox::rusqlite::{Connection, TransactionBehavior};
use oneclick_outbox::{Outbox, OutboxError, Status, Worker, enqueue};
use oneclick_reqwest::{Api, CancelImpact, Client, Email, PlantTree, Reason, Trees};
use serde::Deserialize;
use serde_json::{Value, json};

const SHOP: &str = "axum-shop";

/// The body of `POST /orders`.
#[derive(Deserialize)]
struct Order {
    id: i64,
    email: Email,
}

#[derive(Clone)]
struct Shop {
    client: Client,
    database: Arc<Mutex<Connection>>,
    /// In the same file.
    outbox: Outbox,
}

/// Shows the text to the customer, which an example may do.
fn failed(error: impl Display) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

type Answer = Result<Json<Value>, (StatusCode, String)>;

/// `POST /orders`. A second click stores nothing.
async fn order(State(shop): State<Shop>, Json(order): Json<Order>) -> Answer {
    shop.store(order.id, order.email).map_err(failed)?;
    shop.tree(order.id)
}

/// `GET /orders/{id}`
async fn show(State(shop): State<Shop>, Path(id): Path<i64>) -> Answer {
    shop.tree(id)
}

/// `POST /orders/{id}/refund`. The customer may ask again after any failure.
async fn refund(State(shop): State<Shop>, Path(id): Path<i64>) -> Answer {
    let entry = shop.outbox.find(SHOP, &key(id)).map_err(failed)?;
    let entry = entry.ok_or_else(|| (StatusCode::NOT_FOUND, "no such order".to_owned()))?;
    match (entry.status, entry.bought) {
        (Status::Bought, Some(bought)) => {
            let reason = Reason::new("order refunded").map_err(failed)?;
            let cancel = CancelImpact::new(bought.id).reason(reason);
            let cancelled = shop.client.cancel_impact(cancel).await.map_err(failed)?;
            Ok(Json(json!({ "cancelled_on": cancelled.cancelled_on })))
        }
        // Nothing has left. It fails if a worker has taken it meanwhile.
        (Status::Ready, _) => {
            shop.outbox.drop_intent(entry.id).map_err(failed)?;
            shop.tree(id)
        }
        (Status::Claimed | Status::Open, _) => {
            Err((StatusCode::CONFLICT, "the tree is being planted: ask again".to_owned()))
        }
        _ => shop.tree(id),
    }
}

fn key(order: i64) -> String {
    format!("order-{order}:tree")
}

impl Shop {
    fn open(api: Api, database: &FilePath) -> Result<Self, Failure> {
        let connection = Connection::open(database)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, email TEXT NOT NULL)",
        )?;
        let outbox = Outbox::open(database)?;
        let database = Arc::new(Mutex::new(connection));
        Ok(Self { client: Client::new(api)?, database, outbox })
    }

    /// Stores an order and its tree, both or neither.
    fn store(&self, id: i64, email: Email) -> Result<(), OutboxError> {
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute("INSERT OR IGNORE INTO orders VALUES (?1, ?2)", (id, email.as_str()))?;
        enqueue(&tx, SHOP, &key(id), PlantTree::new(Trees::of::<1>()).customer(email))?;
        Ok(tx.commit()?)
    }

    /// What is known of an order's tree.
    fn tree(&self, id: i64) -> Answer {
        let entry = self.outbox.find(SHOP, &key(id)).map_err(failed)?;
        let entry = entry.ok_or_else(|| (StatusCode::NOT_FOUND, "no such order".to_owned()))?;
        let impact = entry.bought.map(|bought| bought.id.to_string());
        Ok(Json(json!({ "tree": entry.status, "impact": impact })))
    }

    /// Serves and plants until it is killed.
    async fn run(self, listener: tokio::net::TcpListener) -> Result<(), Failure> {
        let worker = Worker::new(&self.outbox, self.client.clone());
        let router = Router::new()
            .route("/orders", post(order))
            .route("/orders/{id}", get(show))
            .route("/orders/{id}/refund", post(refund))
            .with_state(self);
        let works = tokio::spawn(async move { worker.run().await });
        let serves = tokio::spawn(async move { axum::serve(listener, router).await });
        works.await??;
        Ok(serves.await??)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let place = Place::find()?;
    println!("A shop that plants a tree with every order, against {place}");
    // Another order in each run, since the hosted sandbox remembers those of earlier runs.
    let id = Utc::now().timestamp_millis();
    let database = std::env::temp_dir().join(format!("axum_shop-{id}.db"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/orders", listener.local_addr()?);
    let shop = tokio::spawn(Shop::open(place.api(), &database)?.run(listener));

    // The customer is a blocking client.
    let ordered = tokio::task::spawn_blocking(move || -> Result<(), Failure> {
        println!("ordered:          {}", post_order(&url, id)?);
        println!("and once more:    {}", post_order(&url, id)?);
        println!("planted:          {}", wait_until_planted(&url, id)?);
        let refund = || Ok::<_, Failure>(ureq::post(format!("{url}/{id}/refund")).send_empty()?);
        println!("refunded:         {}", refund()?.into_body().read_to_string()?);
        println!("and once more:    {}", refund()?.into_body().read_to_string()?);
        Ok(())
    })
    .await?;
    shop.abort();
    std::fs::remove_file(database)?;
    ordered
}

fn post_order(url: &str, id: i64) -> Result<String, Failure> {
    let body = json!({ "id": id, "email": "ada@example.com" }).to_string();
    let response = ureq::post(url).header("content-type", "application/json").send(body)?;
    Ok(response.into_body().read_to_string()?)
}

/// For half a minute.
fn wait_until_planted(url: &str, id: i64) -> Result<String, Failure> {
    for _ in 0..600 {
        let tree = ureq::get(format!("{url}/{id}")).call()?.into_body().read_to_string()?;
        if tree.contains("bought") {
            return Ok(tree);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(Failure::new("the tree is not planted yet"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use oneclick_emulator::{Fault, FaultRule, Server};

    use super::*;

    /// The shop as a process, which a test starts.
    #[test]
    #[ignore = "it runs until it is killed"]
    fn process() {
        let var = |name| std::env::var(name).unwrap();
        let api = Api::with_base_url(var("SHOP_API"), "test_shop").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            println!("\nhttp://{}/orders", listener.local_addr().unwrap());
            let shop = Shop::open(api, FilePath::new(&var("SHOP_DATABASE"))).unwrap();
            shop.run(listener).await.unwrap();
        });
    }

    /// Starts the shop, and returns its URL.
    fn start(server: &Server, database: &FilePath) -> (Killed, String) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--ignored", "--exact", "--nocapture", "tests::process"])
            .env("SHOP_API", server.base_url())
            .env("SHOP_DATABASE", database)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find(|line| line.starts_with("http://"));
        (Killed(child), url.unwrap())
    }

    /// Is killed when it is dropped.
    struct Killed(Child);

    impl Drop for Killed {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_shop_that_is_killed_in_the_middle_of_a_purchase_plants_once() {
        let folder = std::env::temp_dir().join(format!("axum_shop-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let database = folder.join("shop.db");
        let server = Server::start().unwrap();
        let late = Fault::LateResponse { millis: 60_000 };
        server.emulator().inject(FaultRule::new(late).on("/v1/plant_tree").times(1));
        let planted = || {
            let emulator = server.emulator();
            emulator.account("test_shop").map_or(0, |account| account.ledger().count())
        };

        let (shop, url) = start(&server, &database);
        post_order(&url, 1).unwrap();
        for _ in 0..3_000 {
            if planted() == 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(shop);
        // A minute passes, for which the dead process holds the intent.
        let expire = "UPDATE oneclick_outbox_intent SET due = 0 WHERE status = 'open'";
        assert_eq!(Connection::open(&database).unwrap().execute(expire, []).unwrap(), 1);

        let (_shop, url) = start(&server, &database);
        post_order(&url, 1).unwrap();
        wait_until_planted(&url, 1).unwrap();
        assert_eq!(planted(), 1);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
