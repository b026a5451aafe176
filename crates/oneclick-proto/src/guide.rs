//! Write your own transport in fifteen minutes.
//!
//! The core writes requests and reads responses; a transport carries them. This page
//! builds one on the sockets of the standard library and ends with a client that has
//! every endpoint, retries, pages and the truth about money. What it says holds for
//! any transport: another HTTP library, a proxy's client, a queue in a test.
//!
//! # 1. A project
//!
//! ```sh
//! cargo new plain-socket && cd plain-socket
//! cargo add oneclick-proto --path ../oneclick/crates/oneclick-proto # your checkout
//! cargo add http
//! ```
//!
//! In a second terminal, in that checkout, start the API on your machine. Any key that
//! begins with `test_` is an account:
//!
//! ```sh
//! cargo run -p oneclick-emulator -- --listen 127.0.0.1:8787
//! ```
//!
//! # 2. The program
//!
//! This is the whole of `src/main.rs`. The reasons for each part follow below.
//!
//! ```no_run
#![doc = include_str!("../guide/plain_socket.rs")]
//!
//! fn main() -> Result<(), Box<dyn Error>> {
//!     use oneclick_proto::{BlockingClient, Trees};
//!
//!     let client =
//!         BlockingClient::<PlainSocket>::with_base_url("http://127.0.0.1:8787", "test_guide")?;
//!     let receipt = client.plant_tree(Trees::of::<5>())?;
//!     println!("{} at {}", receipt.impact, receipt.time_utc);
//!     for record in client.records(oneclick_proto::ListRecords::new()) {
//!         println!("recorded: {}", record?.impact);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! `cargo run` prints, the first time:
//!
//! ```text
//! 5 trees planted at 2026-11-23T12:00:00.000Z
//! recorded: 5 trees planted
//! ```
//!
//! # 3. What a transport must get right
//!
//! [`BlockingTransport`] has three required methods, and so has [`AsyncTransport`],
//! whose `send` and `sleep` are futures that are `Send` and may be dropped at any
//! moment. `sleep` waits and `now` reads a clock that never goes back; the work is in
//! `send`.
//!
//! * **It sends once.** A purchase that goes out twice is paid twice, and only the
//!   core knows which request may be repeated. So the transport does not retry, does
//!   not follow redirects, and has no pool that sends again: many libraries, libcurl
//!   and hyper-util among them, repeat a request that met a kept connection which was
//!   just closed. Switch that off, or the pool.
//! * **It says in which phase it failed.** [`TransportError::connect`] claims that
//!   nothing left that a server could execute, and a purchase may be sent again after
//!   it. Use it only for what happens before there is a connection. From the first
//!   byte on, and where a library does not say how far it had come, it is
//!   [`TransportError::exchange`]. Once the head of the response has arrived,
//!   [`BodyReader`] holds it, and [`BodyReader::cut`] keeps its status and what
//!   arrived. A deadline around the whole of `send` would lose that, so an
//!   asynchronous transport puts one around the head and one around each piece.
//! * **It accepts every status.** A 429 or a 500 is not a failure of the transport.
//!   The core reads it, with what the API says of the cause.
//! * **It ends.** [`TransportOptions`] says how long a connection and a whole attempt
//!   may take, and how large a response may be. A timeout for each read is not enough:
//!   a server can send a byte a second. [`BodyReader`] enforces the limit; the
//!   transport enforces the time, as `Socket` does above. (The look-up of a name has
//!   no timeout in the standard library, and none here.)
//! * **It hands over whole responses.** A body that stops before its
//!   `content-length`, or before the last chunk, is cut, not short. The program
//!   above does not read chunks, and says so instead of guessing. It skips 1xx
//!   responses, which come before the final one. A library's own decompression is
//!   off: the transport asks for gzip, and [`BodyReader::gunzip`] decodes it within
//!   the limit.
//! * **It adds what the wire needs and no more.** The request has an absolute URI
//!   and all headers but `host` and `content-length`. The key is one of the headers,
//!   marked [sensitive](http::HeaderValue::set_sensitive): print none of them. A
//!   transport's own errors must not name the URI either, since a query can hold an
//!   address.
//!
//! [`Connect`] is only for the one-line constructors. A transport that needs more
//! than an API and options goes into [`Client::with_transport`] instead.
//!
//! # 4. See it fail
//!
//! The emulator fails on purpose. This makes the next purchase happen and its answer
//! get lost:
//!
//! ```sh
//! curl -s http://127.0.0.1:8787/_emulator/faults -H 'content-type: application/json' \
//!   -d '{"fault": "apply_then_drop", "path": "/v1/plant_tree", "times": 1}'
//! cargo run
//! ```
//!
//! The program says that it is not known whether the purchase was made, and does
//! not make it again. With `{"rate_limited": {}}` for the fault it waits and makes it.
//!
//! A transport is right when what the client says never contradicts the emulator's
//! ledger, `http://127.0.0.1:8787/_emulator/state`, whatever goes wrong and on kept
//! connections too. The test in `examples/custom_transport.rs` of the checkout holds
//! this page's transport to that under each fault; put yours in its place.
//!
//! # 5. The loop
//!
//! The client above runs one loop, and so can you: in an event loop, behind a foreign
//! interface, or with a store in the middle. Everything that takes a request is a
//! [`Machine`]. It gives a [`Step`], and each step is exchanged for the next one:
//!
//! ```
//! use oneclick_proto::{
//!     BlockingClient, BlockingTransport, Intent, Outcome, Purchase, PurchaseState, Step,
//!     VerifiedPurchase,
//! };
//!
//! /// Buys something once, and survives a crash: `store` commits what another process
//! /// needs, and may fail.
//! fn buy<T: BlockingTransport, E>(
//!     client: &BlockingClient<T>,
//!     purchase: VerifiedPurchase,
//!     store: impl Fn(&PurchaseState) -> Result<(), E>,
//! ) -> Result<Outcome, E> {
//!     let transport = client.transport();
//!     let mut step = client.start(purchase);
//!     loop {
//!         step = match step {
//!             Step::Send(request, sent) => {
//!                 if sent.may_buy() {
//!                     store(sent.state())?; // before it leaves
//!                 }
//!                 sent.finish(transport.send(request), transport.now())
//!             }
//!             Step::Wait(wait, waiting) => {
//!                 transport.sleep(wait);
//!                 waiting.wake(transport.now())
//!             }
//!             Step::Done(outcome) => return Ok(outcome),
//!         };
//!     }
//! }
//!
//! /// After a crash, another process takes it up.
//! fn resume(
//!     intent: &Intent,
//!     stored_purchase: &str,
//!     stored_state: &str,
//! ) -> Result<VerifiedPurchase, Box<dyn std::error::Error>> {
//!     let purchase: Purchase = serde_json::from_str(stored_purchase)?;
//!     let state: PurchaseState = serde_json::from_str(stored_state)?;
//!     Ok(VerifiedPurchase::resume(intent, purchase, state)?)
//! }
//! ```
//!
//! The same loop drives a [`Call`] of any endpoint and a [`Settlement`] of many
//! purchases; for futures it has three `.await`s more. [`Pager`] says which page of a
//! list comes next. Nothing of this waits or reads a clock by itself.

#[cfg(doc)]
use crate::{
    AsyncTransport, BlockingTransport, BodyReader, Call, Client, Connect, Machine, Pager,
    Settlement, Step, TransportError, TransportOptions,
};
