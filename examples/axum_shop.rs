//! A shop on axum that plants a tree with every order, and never plants one twice.
//!
//! An order and the intent to plant its tree are stored in one transaction, so that either both
//! exist or neither does. A worker in the same process carries the intents out. Whatever dies in
//! between, the next start of the shop goes on where the last one ended. A refund cancels the
//! tree, also while it is not known yet whether it was planted.
//!
//! `axum_shop` sends itself a few orders and ends. `axum_shop shop.db` keeps its orders in that
//! file, and serves until it is interrupted.

use std::path::{self, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use oneclick_examples::{Failure, Place};
use oneclick_outbox::rusqlite::{Connection, TransactionBehavior, params};
use oneclick_outbox::{Entry, Outbox, Worker, enqueue};
use oneclick_reqwest::{Client, Email, PlantTree, Trees};
use serde::{Deserialize, Serialize};

/// The body of `POST /orders`.
#[derive(Deserialize)]
struct Order {
    id: u32,
    email: String,
}

/// What has become of the tree of an order.
#[derive(Serialize)]
struct Tree {
    order: u32,
    status: &'static str,
    impact: Option<String>,
}

#[derive(Clone)]
struct Shop {
    /// The shop's own connection, with the table of its orders.
    orders: Arc<Mutex<Connection>>,
    /// The outbox in the same database.
    outbox: Outbox,
}

impl Shop {
    fn open(database: &path::Path) -> Result<Self, Failure> {
        let outbox = Outbox::open(database)?;
        let orders = Connection::open(database)?;
        orders.busy_timeout(Duration::from_secs(10))?;
        orders.execute_batch(
            "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, email TEXT NOT NULL)",
        )?;
        Ok(Self { orders: Arc::new(Mutex::new(orders)), outbox })
    }

    /// Stores an order and its tree, or neither. A second click changes nothing.
    fn order(&self, order: &Order) -> Result<(), Failure> {
        let email = Email::new(order.email.as_str())?;
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = orders.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "INSERT INTO orders (id, email) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![order.id, order.email],
        )?;
        let tree = PlantTree::new(Trees::of::<1>()).customer(email);
        enqueue(&transaction, NAMESPACE, &key(order.id), tree)?;
        Ok(transaction.commit()?)
    }

    fn find(&self, order: u32) -> Result<Entry, Failure> {
        let entry = self.outbox.find(NAMESPACE, &key(order))?;
        entry.ok_or_else(|| Failure::new("there is no such order"))
    }

    fn tree(&self, order: u32) -> Result<Tree, Failure> {
        let Entry { status, bought, .. } = self.find(order)?;
        let impact = bought.map(|bought| bought.id.to_string());
        Ok(Tree { order, status: status.as_str(), impact })
    }
}

const NAMESPACE: &str = "axum-shop";

fn key(order: u32) -> String {
    format!("order-{order}")
}

/// The tree of an order, after something was done on a thread that may wait for the database.
async fn answer(
    shop: Shop,
    order: u32,
    act: impl FnOnce(&Shop) -> Result<(), Failure> + Send + 'static,
) -> Result<Json<Tree>, (StatusCode, String)> {
    let act = move || act(&shop).and_then(|()| shop.tree(order));
    let done = tokio::task::spawn_blocking(act).await.unwrap_or_else(|error| Err(error.into()));
    done.map(Json).map_err(|failure| (StatusCode::UNPROCESSABLE_ENTITY, format!("{failure:?}\n")))
}

/// `POST /orders`
async fn order(
    State(shop): State<Shop>,
    Json(order): Json<Order>,
) -> Result<Json<Tree>, (StatusCode, String)> {
    answer(shop, order.id, move |shop| shop.order(&order)).await
}

/// `GET /orders/{id}`
async fn show(
    State(shop): State<Shop>,
    Path(id): Path<u32>,
) -> Result<Json<Tree>, (StatusCode, String)> {
    answer(shop, id, |_| Ok(())).await
}

/// `POST /orders/{id}/refund`. The worker cancels what was bought.
async fn refund(
    State(shop): State<Shop>,
    Path(id): Path<u32>,
) -> Result<Json<Tree>, (StatusCode, String)> {
    answer(shop, id, move |shop| {
        shop.outbox.cancel(shop.find(id)?.id)?;
        Ok(())
    })
    .await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let place = Place::find()?;
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let temporary = std::env::temp_dir().join(format!("axum-shop-{}.db", std::process::id()));
    let shop = Shop::open(given.as_ref().unwrap_or(&temporary))?;
    let worker = Worker::new(&shop.outbox, Client::new(place.api())?)
        .poll(Duration::from_millis(200))
        .on_outcome(|intent| println!("  {} is {}", intent.key, intent.status));
    let handle = worker.stop_handle();
    let worker = tokio::spawn(async move {
        if let Err(error) = worker.run().await {
            eprintln!("no more trees are planted: {error}");
        }
    });

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/orders", listener.local_addr()?);
    println!("A shop that plants a tree with every order, against {place}\nlistening on {url}");
    let router = Router::new()
        .route("/orders", post(order))
        .route("/orders/{id}", get(show))
        .route("/orders/{id}/refund", post(refund))
        .with_state(shop);
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let visited = if given.is_some() {
        Ok(tokio::signal::ctrl_c().await?)
    } else {
        // The customers are blocking clients.
        tokio::task::spawn_blocking(move || visit(&url)).await?
    };
    server.abort();
    handle.stop();
    worker.await?;
    if given.is_none() {
        std::fs::remove_file(temporary)?;
    }
    visited
}

/// What the customers do.
fn visit(url: &str) -> Result<(), Failure> {
    println!("order 1:            {}", post_order(url, 1, "ada@example.com")?);
    println!("order 1, again:     {}", post_order(url, 1, "ada@example.com")?);
    println!("order 2:            {}", post_order(url, 2, "bob@example.com")?);
    println!("order 2, refunded:  {}", post_json(&format!("{url}/2/refund"), "")?);
    for id in [1, 2] {
        // No longer than half a minute.
        for _ in 0..300 {
            let tree = ureq::get(format!("{url}/{id}")).call()?.into_body().read_to_string()?;
            if ["bought", "cancelled", "dropped"].iter().any(|end| tree.contains(end)) {
                println!("At the end, order {id} is {tree}");
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

fn post_order(url: &str, id: u32, email: &str) -> Result<String, Failure> {
    post_json(url, &serde_json::json!({ "id": id, "email": email }).to_string())
}

fn post_json(url: &str, body: &str) -> Result<String, Failure> {
    let response = ureq::post(url).header("content-type", "application/json").send(body)?;
    Ok(response.into_body().read_to_string()?)
}
