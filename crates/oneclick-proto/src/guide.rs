//! Write your own transport in fifteen minutes.
//!
//! The core encodes requests and decodes responses; a transport sends and receives
//! them. This page builds a transport on the sockets of the standard library. The result
//! is a client with every endpoint, retries, pages, and reliable answers about whether
//! something was bought. The rules below hold for any transport: another HTTP library, a
//! proxy's client, a queue in a test.
//!
//! # 1. A project
//!
//! ```sh
//! cargo new plain-socket && cd plain-socket
//! cargo add oneclick-proto --path ../oneclick/crates/oneclick-proto # your checkout
//! cargo add http
//! ```
//!
//! In a second terminal, in that checkout, start the emulator. It accepts any key that
//! begins with `test_`, and each key is an account:
//!
//! ```sh
//! cargo run -p oneclick-emulator -- --listen 127.0.0.1:8787
//! ```
//!
//! # 2. The program
//!
//! This is the complete `src/main.rs`. The reasons for each part follow below.
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
//! The first `cargo run` prints:
//!
//! ```text
//! 5 trees planted at 2026-11-23T12:00:00.000Z
//! recorded: 5 trees planted
//! ```
//!
//! # 3. What a transport must get right
//!
//! [`BlockingTransport`] and [`AsyncTransport`] have three required methods. In
//! [`AsyncTransport`], `send` and `sleep` return futures that are `Send`, and that the
//! caller may drop at any moment. `sleep` waits, and `now` reads a clock that never goes
//! back. The work is in `send`:
//!
//! * **It sends a request once.** A purchase that is sent twice is paid twice, and only
//!   the core knows which requests may be repeated. So the transport must not retry,
//!   follow redirects, or use a pool that resends. Many libraries, among them libcurl
//!   and hyper-util, resend a request if an idle connection turns out to be closed.
//!   Disable that, or the pool.
//! * **It reports the phase of a failure.** [`TransportError::connect`] means that
//!   nothing was sent that a server could execute, and a purchase may be sent again after
//!   it. Use it only for failures before a connection exists. After the first byte, and
//!   if a library does not tell, use [`TransportError::exchange`]. Once the head of the
//!   response has arrived, [`BodyReader`] holds it, and [`BodyReader::cut`] keeps the
//!   status and the part of the body that arrived. A deadline around all of `send` would
//!   lose them, so an async transport needs one around the head and one around each piece
//!   of the body.
//! * **It looks at the clock.** An outbox lets a purchase leave within a few seconds, and a
//!   process can sleep for an hour at any moment. [`BodyGate::of`] knows until when the request
//!   may leave. Take the body from it right before you send it.
//! * **It accepts every status.** A 429 or a 500 is not a failure of the transport.
//!   The core reads the response and the API's error in it.
//! * **It ends.** [`TransportOptions`] limits the time for connecting, the time for an
//!   attempt, and the size of a response. A timeout for each read is not enough, because
//!   a server can send one byte per second. [`BodyReader`] enforces the size; the
//!   transport enforces the time, as `Socket` does above. (Name resolution in the
//!   standard library has no timeout, so this program has none for it.)
//! * **It returns complete responses.** A body that ends before its `content-length`, or
//!   before the last chunk, is an error. The program above does not support chunks, and
//!   reports that instead of guessing. It skips 1xx responses, which precede the final
//!   one. Disable a library's own decompression: the transport asks for gzip, and
//!   [`BodyReader::gunzip`] decompresses it within the limit.
//! * **It adds only what the protocol requires.** The request has an absolute URI and all
//!   headers except `host` and `content-length`. One header is the key, marked
//!   [sensitive](http::HeaderValue::set_sensitive): do not print headers. The errors of a
//!   transport must not show the URI either, since a query can hold an e-mail address.
//!
//! [`Connect`] is only needed for the one-line constructors. A transport that needs more
//! than an API and options can be passed to [`Client::with_transport`].
//!
//! # 4. See it fail
//!
//! The emulator can fail on purpose. This makes the emulator execute the next purchase
//! and drop the response:
//!
//! ```sh
//! curl -s http://127.0.0.1:8787/_emulator/faults -H 'content-type: application/json' \
//!   -d '{"fault": "apply_then_drop", "path": "/v1/plant_tree", "times": 1}'
//! cargo run
//! ```
//!
//! The program reports that it is not known whether the purchase was made, and does not
//! send it again. With the fault `{"rate_limited": {}}` it waits and sends it again.
//!
//! A transport is correct if the client's errors never contradict the emulator's ledger,
//! `http://127.0.0.1:8787/_emulator/state`, whatever goes wrong, on new and on reused
//! connections. The test in `examples/custom_transport.rs` of the checkout checks that
//! for this transport under each fault; replace it with yours.
//!
//! # 5. The loop
//!
//! The client above runs one loop. You can write that loop yourself: in an event loop,
//! behind a foreign function interface, or with a store in the middle. Everything that
//! takes requests is a [`Machine`]. It returns a [`Step`], and each step is exchanged for
//! the next one:
//!
//! ```
//! use oneclick_proto::{
//!     BlockingClient, BlockingTransport, Intent, Outcome, Purchase, PurchaseState, Step,
//!     VerifiedPurchase,
//! };
//!
//! /// Buys something once, and survives a crash: `store` commits the state that another
//! /// process needs, and may fail.
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
//!                     store(sent.state())?; // before the request is sent
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
//! /// After a crash, another process resumes the purchase.
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
//! purchases; an async one has three `.await`s more. [`Pager`] determines the next page of
//! a list. None of these waits or reads a clock.

#[cfg(doc)]
use crate::{
    AsyncTransport, BlockingTransport, BodyGate, BodyReader, Call, Client, Connect, Machine, Pager,
    Settlement, Step, TransportError, TransportOptions,
};
