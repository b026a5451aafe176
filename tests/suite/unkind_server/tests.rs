//! Tests of the server itself: its kind responses match the published examples, and each
//! value of each dimension has its effect.

mod buying;
mod kind;
mod reading;
mod worlds;

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{Method, Request, Response};
use serde_json::{Value, json};

use super::*;

/// Histories begin some days after the world.
const BEGINNING: Duration = Duration::from_secs(10 * 86_400);
const SECOND: Duration = Duration::from_secs(1);
const MARKER: &str = "1eccac8f9ea6039e0e21dd62b2285a8d";
const TREE: &str = "/v1/plant_tree";

/// A server and the time of its client.
struct World {
    server: UnkindServer,
    now: Duration,
}

impl World {
    fn new(dimensions: Dimensions) -> Self {
        Self::seeded(7, dimensions)
    }

    fn seeded(seed: u64, dimensions: Dimensions) -> Self {
        Self { server: UnkindServer::new(seed, dimensions), now: BEGINNING }
    }

    fn kind() -> Self {
        Self::new(Dimensions::default())
    }

    fn send(&mut self, request: &Request<Vec<u8>>) -> Reply {
        let reply = self.server.exchange(request, self.now);
        self.now += reply.after();
        reply
    }

    fn post(&mut self, path: &str, body: &Value) -> Reply {
        self.send(&request(Method::POST, path, body.to_string()))
    }

    /// The response to a read.
    fn response(&mut self, target: &str) -> Response<Vec<u8>> {
        whole(self.send(&request(Method::GET, target, "")))
    }

    fn get(&mut self, target: &str) -> (u16, Value) {
        parsed(&self.response(target))
    }

    /// The rows of the first page of a list.
    fn rows(&mut self, target: &str) -> Vec<Value> {
        let (status, body) = self.get(target);
        assert_eq!(status, 200, "{target}: {body}");
        rows(&body)
    }

    /// Every row of a list, page by page.
    fn pages(&mut self, target: &str) -> Vec<Vec<Value>> {
        let (_, mut body) = self.get(target);
        let mut pages = vec![rows(&body)];
        while let Some(cursor) = body["cursor"].as_str() {
            let encode = form_urlencoded::byte_serialize;
            let cursor: String = encode(cursor.as_bytes()).collect();
            (_, body) = self.get(&format!("{target}&cursor={cursor}"));
            pages.push(rows(&body));
        }
        pages
    }

    /// Buys a tree and returns its receipt.
    fn tree(&mut self, body: &Value) -> Value {
        let (status, receipt) = parsed(&whole(self.post(TREE, body)));
        assert_eq!(status, 200, "{receipt}");
        receipt
    }

    /// Buys 1, 2, … trees, some milliseconds apart.
    fn trees(&mut self, number: u64) {
        for amount in 1..=number {
            self.tree(&json!({"amount": amount}));
        }
    }
}

/// A time before the beginning, in seconds.
fn before(seconds: u64) -> Duration {
    BEGINNING.saturating_sub(Duration::from_secs(seconds))
}

fn request(method: Method, target: &str, body: impl Into<Vec<u8>>) -> Request<Vec<u8>> {
    let builder = Request::builder().method(method).uri(target).header("x-api-key", KEY);
    builder.header("content-type", "application/json").body(body.into()).unwrap()
}

fn whole(reply: Reply) -> Response<Vec<u8>> {
    match reply {
        Reply::Response { response, .. } => response,
        other => panic!("no whole response: {other:?}"),
    }
}

fn parsed(response: &Response<Vec<u8>>) -> (u16, Value) {
    let body = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
    (response.status().as_u16(), body)
}

fn rows(body: &Value) -> Vec<Value> {
    let lists = ["user_records", "customer_records", "customers"];
    let list = lists.iter().find_map(|list| body[list].as_array());
    list.unwrap_or_else(|| panic!("no list: {body}")).clone()
}

fn amounts(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["tree_planted"].as_u64().unwrap()).collect()
}

fn time(text: &Value) -> DateTime<Utc> {
    text.as_str().unwrap().parse().unwrap()
}

/// The target `/v1/track` for an id and a time.
fn track(user_id: &Value, time_utc: &Value) -> String {
    let mut query = form_urlencoded::Serializer::new(String::from("/v1/track?"));
    query.append_pair("user_id", user_id.as_str().unwrap());
    query.append_pair("time_utc", time_utc.as_str().unwrap());
    query.finish()
}
