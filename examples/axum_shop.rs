//! A shop on axum that plants a tree with every order, and never plants one
//! twice.
//!
//! Three rules ensure this:
//!
//! 1. An order is stored as parked, with the state of its purchase, before its request
//!    leaves. It stays parked if the response is lost, the shop crashes or the customer
//!    closes the browser.
//! 2. A second request for a parked order sends nothing.
//! 3. Parked orders are resumed from their states: all are looked up in one walk of the
//!    lists, and one is sent again only if no list shows it long after.
//!
//! A refund cancels the tree, which is safe to repeat.
//!
//! The example sends a few orders to its own HTTP interface and ends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use chrono::Utc;
use oneclick_examples::{Failure, Place};
use oneclick_reqwest::{
    AsyncClient, AsyncTransport, CancelImpact, Client, Email, ImpactId, Intent, Machine, Outcome,
    PlantTree, Purchase, PurchaseState, Reason, Settled, Settlement, Step, Transport,
    TransportError, Trees, VerifiedPurchase,
};
use serde::{Deserialize, Serialize};

/// The body of `POST /orders`.
#[derive(Deserialize)]
struct Order {
    id: u64,
    email: String,
}

/// The tree of an order.
#[derive(Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum Tree {
    /// It has a receipt, or a record.
    Planted(ImpactId),
    /// It may have been planted.
    Parked,
    /// The API refused it.
    NotPlanted,
    /// It was cancelled, since the order was refunded.
    Cancelled,
}

/// A line of the shop's order book.
#[derive(Clone)]
struct Entry {
    /// Another process needs this and the state to resume it.
    purchase: Purchase,
    state: PurchaseState,
    tree: Tree,
}

#[derive(Clone)]
struct Shop {
    /// In your shop: `oneclick_reqwest::Client`.
    client: AsyncClient<Unlucky>,
    /// In your shop: a table in the database, unique in the order's id.
    book: Arc<Mutex<BTreeMap<u64, Entry>>>,
}

/// `POST /orders`
async fn order(
    State(shop): State<Shop>,
    Json(order): Json<Order>,
) -> Result<Json<Tree>, StatusCode> {
    let email = Email::new(order.email).map_err(|_| StatusCode::UNPROCESSABLE_ENTITY)?;
    let tree = PlantTree::new(Trees::of::<1>()).customer(email);
    let purchase = VerifiedPurchase::new(&intent(order.id), tree)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    if let Some(tree) = shop.park(order.id, &purchase) {
        // A second click, or a retry: it gets what is known.
        return Ok(Json(tree));
    }
    Ok(Json(shop.buy(order.id, purchase).await))
}

fn intent(order: u64) -> Intent {
    Intent::new("axum-shop", &format!("order-{order}:tree"))
}

/// `POST /orders/{id}/refund`
async fn refund(State(shop): State<Shop>, Path(id): Path<u64>) -> Result<Json<Tree>, StatusCode> {
    let tree = shop.book().get(&id).map(|entry| entry.tree.clone());
    let cancel = match tree {
        None => return Err(StatusCode::NOT_FOUND),
        Some(Tree::Planted(impact)) => CancelImpact::new(impact),
        // A parked order has to be looked up first.
        Some(Tree::Parked) => return Err(StatusCode::CONFLICT),
        Some(tree) => return Ok(Json(tree)),
    };
    let reason = Reason::new("order refunded").map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    // Cancelling twice is safe, so the customer may ask again after any failure.
    shop.client.cancel_impact(cancel.reason(reason)).await.map_err(|error| {
        eprintln!("refund of order {id}: {error}");
        StatusCode::BAD_GATEWAY
    })?;
    shop.settle(id, Tree::Cancelled);
    Ok(Json(Tree::Cancelled))
}

impl Shop {
    /// Parks a new order; returns the tree of one that is not new.
    fn park(&self, id: u64, purchase: &VerifiedPurchase) -> Option<Tree> {
        let mut book = self.book();
        if let Some(entry) = book.get(&id) {
            return Some(entry.tree.clone());
        }
        let (state, purchase) = (purchase.state().clone(), purchase.purchase().clone());
        book.insert(id, Entry { purchase, state, tree: Tree::Parked });
        None
    }

    /// Drives a purchase to its end, or to its first wait: then it stays parked.
    async fn buy(&self, id: u64, purchase: VerifiedPurchase) -> Tree {
        let transport = self.client.transport();
        let mut step = self.client.start(purchase);
        loop {
            step = match step {
                Step::Send(request, sent) => {
                    if sent.may_buy() {
                        self.store(id, sent.state());
                    }
                    sent.finish(transport.send(request).await, transport.now())
                }
                Step::Wait(_, waiting) => {
                    self.store(id, waiting.state());
                    return Tree::Parked;
                }
                Step::Done(outcome) => return self.end(id, outcome),
            };
        }
    }

    /// Stores how a purchase ended.
    fn end(&self, id: u64, outcome: Outcome) -> Tree {
        println!("  order {id}: {outcome}");
        let (tree, state) = match outcome {
            Outcome::Confirmed(receipt) => (Tree::Planted(receipt.into()), None),
            Outcome::Refused(_) => (Tree::NotPlanted, None),
            Outcome::Cancelled(_) => (Tree::Cancelled, None),
            // It is sent again when it is resumed.
            Outcome::NotBought(not) => (Tree::Parked, Some(not.state)),
            Outcome::Pending(pending) => (Tree::Parked, Some(pending.state)),
            // Here a real shop calls a person.
            Outcome::Unresolved(left) => (Tree::Parked, Some(left.state)),
        };
        if let Some(state) = state {
            self.store(id, &state);
        }
        self.settle(id, tree.clone());
        tree
    }

    fn store(&self, id: u64, state: &PurchaseState) {
        if let Some(entry) = self.book().get_mut(&id) {
            entry.state = state.clone();
        }
    }

    fn settle(&self, id: u64, tree: Tree) {
        if let Some(entry) = self.book().get_mut(&id) {
            entry.tree = tree;
        }
    }

    /// Resumes all parked orders. A real shop does so every few minutes, for orders that
    /// have been parked for longer than any handler takes.
    async fn reconcile(&self) -> Result<(), Failure> {
        let mut parked = Vec::new();
        let mut ids = Vec::new();
        for (id, entry) in self.book().clone() {
            if matches!(entry.tree, Tree::Parked) {
                let purchase = VerifiedPurchase::resume(&intent(id), entry.purchase, entry.state)?;
                parked.push(purchase);
                ids.push(id);
            }
        }
        // One walk finds them all.
        for (id, settled) in ids.into_iter().zip(self.client.run(Settlement::new(parked)).await) {
            match settled {
                Settled::Done(outcome) => self.end(id, *outcome),
                Settled::Absent(purchase) => self.buy(id, *purchase).await,
            };
        }
        Ok(())
    }

    fn book(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let place = Place::find()?;
    println!("A shop that plants a tree with every order, against {place}");
    let inner = Client::new(place.api())?.transport().clone();
    let outage = Arc::new(AtomicBool::new(false));
    let unlucky = Unlucky { inner, outage: outage.clone() };
    let client = AsyncClient::with_transport(place.api(), unlucky);
    let shop = Shop { client, book: Arc::default() };

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/orders", listener.local_addr()?);
    let router = Router::new()
        .route("/orders", post(order))
        .route("/orders/{id}/refund", post(refund))
        .with_state(shop.clone());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    // The customers are blocking clients.
    tokio::task::spawn_blocking(move || -> Result<(), Failure> {
        // New customers in each run, so that no earlier run's trees are found.
        let run = Utc::now().timestamp_millis();
        let (ada, bob) = (format!("ada+{run}@example.com"), format!("bob+{run}@example.com"));
        println!("order 1:             {}", post_order(&url, 1, &ada)?);
        println!("order 1, once more:  {}", post_order(&url, 1, &ada)?);
        outage.store(true, Ordering::Relaxed);
        println!("order 2, lost:       {}", post_order(&url, 2, &bob)?);
        outage.store(false, Ordering::Relaxed);
        println!("order 2, once more:  {}", post_order(&url, 2, &bob)?);
        println!("order 1, refunded:   {}", post_json(&format!("{url}/1/refund"), String::new())?);
        Ok(())
    })
    .await??;

    println!("Parked orders are resumed:");
    shop.reconcile().await?;
    let book = shop.book().clone();
    for (id, entry) in book {
        let tree = match entry.tree {
            Tree::Planted(impact) => format!("planted as {impact}"),
            Tree::Parked => "parked".into(),
            Tree::NotPlanted => "not planted".into(),
            Tree::Cancelled => "cancelled".into(),
        };
        println!("At the end, order {id} is {tree}");
    }
    server.abort();
    Ok(())
}

fn post_order(url: &str, id: u64, email: &str) -> Result<String, Failure> {
    post_json(url, serde_json::json!({ "id": id, "email": email }).to_string())
}

fn post_json(url: &str, body: String) -> Result<String, Failure> {
    let response = ureq::post(url).header("content-type", "application/json").send(body)?;
    Ok(response.into_body().read_to_string()?)
}

/// A transport that loses responses during an outage: that of a purchase, which was
/// executed, and those of the reads that look for it.
#[derive(Clone)]
struct Unlucky {
    inner: Transport,
    outage: Arc<AtomicBool>,
}

impl AsyncTransport for Unlucky {
    type Body = <Transport as AsyncTransport>::Body;

    async fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Self::Body>, TransportError> {
        let is_whoami = request.uri().path() == "/v1/whoami";
        let response = self.inner.send(request).await?;
        let lost = self.outage.load(Ordering::Relaxed) && !is_whoami;
        if lost { Err(TransportError::exchange("lost on purpose")) } else { Ok(response) }
    }

    async fn sleep(&self, duration: Duration) {
        self.inner.sleep(duration).await;
    }

    fn now(&self) -> Duration {
        self.inner.now()
    }
}
