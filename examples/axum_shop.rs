//! A shop on axum that plants a tree with every order, and never plants one
//! twice.
//!
//! Three rules do it. An order is written down as parked, with the state of its
//! purchase, before its request leaves, so that it stays parked if the answer is
//! lost, the shop crashes or the customer closes the browser. What is parked is
//! not sent again by anybody who asks. And what is parked is taken up from its
//! state: looked for in the records, and sent once more only if there is no
//! trace of it.
//!
//! A refund cancels the tree. That can be repeated as often as it takes.
//!
//! The example puts a few orders through its own HTTP interface and ends.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{Method, Request, Response, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use chrono::Utc;
use oneclick_examples::{Failure, Place};
use oneclick_reqwest::{
    AsyncClient, AsyncTransport, CancelImpact, Client, Email, ImpactId, Intent, Once, OnceState,
    Outcome, PlantTree, Reason, Transport, TransportError, Trees,
};
use serde::{Deserialize, Serialize};

/// What a customer posts to `/orders`.
#[derive(Deserialize)]
struct Order {
    id: u64,
    email: String,
}

/// What became of the tree of an order.
#[derive(Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum Tree {
    /// It has a receipt, or a record.
    Planted(ImpactId),
    /// Nobody knows yet.
    Parked,
    /// It certainly was not planted; the order may be sent again.
    NotPlanted,
    /// It was taken back, since the order was.
    Cancelled,
}

/// A line of the shop's order book.
#[derive(Clone)]
struct Entry {
    email: Email,
    /// What another process needs to take the purchase up.
    state: OnceState,
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
    let intent = Intent::new("axum-shop", &format!("order-{}:tree", order.id), Utc::now());
    let once =
        Once::new(&intent, purchase(&email)).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    // Before the request leaves.
    if let Some(tree) = shop.park(order.id, &email, once.state()) {
        // A second click, or a retry: it gets the answer that is known.
        return Ok(Json(tree));
    }
    // One step, since a customer is waiting; what is not over then is parked.
    let tree = match shop.client.advance(once).await {
        ControlFlow::Break(outcome) => settled(order.id, outcome),
        ControlFlow::Continue(_) => Tree::Parked,
    };
    shop.settle(order.id, tree.clone());
    Ok(Json(tree))
}

fn purchase(email: &Email) -> PlantTree {
    PlantTree::new(Trees::of::<1>()).customer(email.clone())
}

fn settled(id: u64, outcome: Outcome) -> Tree {
    println!("  order {id}: {outcome}");
    match outcome {
        Outcome::Confirmed(receipt) => Tree::Planted(receipt.into()),
        Outcome::Rejected(_) | Outcome::NotSent(_) => Tree::NotPlanted,
        Outcome::Unresolved(_) => Tree::Parked,
    }
}

/// `POST /orders/{id}/refund`
async fn refund(State(shop): State<Shop>, Path(id): Path<u64>) -> Result<Json<Tree>, StatusCode> {
    let tree = shop.book().get(&id).map(|entry| entry.tree.clone());
    let cancel = match tree {
        None => return Err(StatusCode::NOT_FOUND),
        Some(Tree::Planted(impact)) => CancelImpact::new(impact),
        // What is parked has to be looked up first.
        Some(Tree::Parked) => return Err(StatusCode::CONFLICT),
        Some(tree) => return Ok(Json(tree)),
    };
    let reason = Reason::new("order refunded").map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    // Twice does what once does, so after any failure the customer may ask again.
    shop.client.cancel_impact(cancel.reason(reason)).await.map_err(|error| {
        eprintln!("refund of order {id}: {error}");
        StatusCode::BAD_GATEWAY
    })?;
    shop.settle(id, Tree::Cancelled);
    Ok(Json(Tree::Cancelled))
}

impl Shop {
    /// Parks an order that is to be sent; `Some` if it must not be.
    fn park(&self, id: u64, email: &Email, state: &OnceState) -> Option<Tree> {
        let mut book = self.book();
        match book.get(&id) {
            Some(Entry { tree, .. }) if !matches!(tree, Tree::NotPlanted) => Some(tree.clone()),
            _ => {
                let (email, state) = (email.clone(), state.clone());
                book.insert(id, Entry { email, state, tree: Tree::Parked });
                None
            }
        }
    }

    fn settle(&self, id: u64, tree: Tree) {
        if let Some(entry) = self.book().get_mut(&id) {
            entry.tree = tree;
        }
    }

    /// Takes up what is parked. A real shop does it every few minutes, for
    /// orders that have been parked for longer than any call takes, and stores
    /// the state before each step as it did before the first one.
    async fn reconcile(&self) -> Result<(), Failure> {
        let mut parked = self.book().clone();
        parked.retain(|_, entry| matches!(entry.tree, Tree::Parked));
        for (id, Entry { email, state, .. }) in parked {
            let once = Once::resume(state, purchase(&email))?;
            self.settle(id, settled(id, self.client.complete(once).await));
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
    let lose_next = Arc::new(AtomicBool::new(false));
    let unlucky = Unlucky { inner, lose_next: lose_next.clone() };
    let client = AsyncClient::with_transport(place.api(), unlucky);
    let shop = Shop { client, book: Arc::default() };

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/orders", listener.local_addr()?);
    let router = Router::new()
        .route("/orders", post(order))
        .route("/orders/{id}/refund", post(refund))
        .with_state(shop.clone());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    // The customers, who know nothing of this runtime.
    tokio::task::spawn_blocking(move || -> Result<(), Failure> {
        // Of their own for each run, so that no earlier run's trees are found.
        let run = Utc::now().timestamp_millis();
        let (ada, bob) = (format!("ada+{run}@example.com"), format!("bob+{run}@example.com"));
        println!("order 1:             {}", post_order(&url, 1, &ada)?);
        println!("order 1, once more:  {}", post_order(&url, 1, &ada)?);
        lose_next.store(true, Ordering::Relaxed);
        println!("order 2, lost:       {}", post_order(&url, 2, &bob)?);
        println!("order 2, once more:  {}", post_order(&url, 2, &bob)?);
        println!("order 1, refunded:   {}", post_json(&format!("{url}/1/refund"), String::new())?);
        Ok(())
    })
    .await??;

    println!("What was parked is taken up:");
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
    let answer = ureq::post(url).header("content-type", "application/json").send(body)?;
    Ok(answer.into_body().read_to_string()?)
}

/// A transport that loses an answer when it is told to, as networks do. The
/// request has been executed by then.
#[derive(Clone)]
struct Unlucky {
    inner: Transport,
    lose_next: Arc<AtomicBool>,
}

impl AsyncTransport for Unlucky {
    type Body = <Transport as AsyncTransport>::Body;

    async fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Self::Body>, TransportError> {
        let lose =
            request.method() == Method::POST && self.lose_next.swap(false, Ordering::Relaxed);
        let answer = self.inner.send(request).await?;
        if lose { Err(TransportError::exchange("lost on purpose")) } else { Ok(answer) }
    }

    async fn sleep(&self, duration: Duration) {
        self.inner.sleep(duration).await;
    }

    fn now(&self) -> Duration {
        self.inner.now()
    }
}
