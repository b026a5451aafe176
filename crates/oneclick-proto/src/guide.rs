//! A client over a transport of your own, in fifteen minutes.
//!
//! The core writes requests and reads answers; something has to carry them. This
//! page builds that something on the sockets of the standard library and ends with
//! a client that has every endpoint, retries, pages and the truth about money. What
//! it says holds for any transport: another HTTP library, a proxy's client, a queue
//! in a test.
//!
//! # 1. A project
//!
//! ```sh
//! cargo new plain-socket && cd plain-socket
//! cargo add oneclick-proto --path ../oneclick/crates/oneclick-proto # your checkout
//! cargo add http
//! ```
//!
//! In a second terminal, in that checkout, something to talk to. It is the API on
//! your machine, and any key that begins with `test_` is an account:
//!
//! ```sh
//! cargo run -p oneclick-sandbox -- --listen 127.0.0.1:8787
//! ```
//!
//! # 2. The program
//!
//! The whole of `src/main.rs`. Below it stands why it is as it is.
//!
//! ```no_run
#![doc = include_str!("guide/plain_socket.rs")]
//!
//! fn main() -> Result<(), Box<dyn Error>> {
//!     use oneclick_proto::{BlockingClient, Trees};
//!
//!     let client =
//!         BlockingClient::<PlainSocket>::with_base_url("http://127.0.0.1:8787", "test_guide")?;
//!     let receipt = client.plant_tree(Trees::of::<5>())?;
//!     println!("{} at {}", receipt.impact, receipt.time_utc);
//!     for record in client.records(oneclick_proto::Records::new()) {
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
//! [`BlockingTransport`] wants three methods, and so does [`AsyncTransport`], whose
//! `send` and `sleep` are futures that are `Send` and may be dropped at any moment.
//! `sleep` waits and `now` is a clock that only goes forward; the work is in `send`.
//!
//! * **It sends once.** A purchase that goes out twice is paid twice, and only the
//!   core knows which call may be repeated. So no retry, no redirect, and no second
//!   sending by a pool: many libraries, libcurl and hyper-util among them, send again
//!   what met a kept connection that was just closed. Switch that off, or the pool.
//! * **It says in which phase it failed.** [`TransportError::connect`] is the claim
//!   that nothing left that a server could execute, and a purchase may be sent again
//!   after it: make it only for what happens before there is a connection. From the
//!   first byte on it is [`TransportError::exchange`], and also where a library does
//!   not say how far it had come. Once the head of the answer is there,
//!   [`BodyReader`] holds it, and [`BodyReader::cut`] keeps its status and what
//!   arrived: a deadline around the whole of `send` would lose that, so an
//!   asynchronous transport puts one around the head and one around each piece.
//! * **It takes every status as an answer.** A 429 or a 500 is not its failure. The
//!   core reads it, with what the API says of the cause.
//! * **It ends.** [`TransportOptions`] says how long a connection and how long all
//!   of an attempt may take, and how large an answer may be. A timeout for each read
//!   is not enough: a server can send a byte a second. [`BodyReader`] keeps the
//!   limit; the time is the transport's to keep, as `Socket` does above. (The
//!   look-up of a name has no timeout in the standard library, and none here.)
//! * **It hands over whole answers.** A body that stops before its
//!   `content-length`, or before the last chunk, is cut, not short. The program
//!   above knows no chunks, and says so instead of guessing; it passes over answers
//!   of 1xx, which come before the one that counts. A library's own decompression is
//!   off: gzip is asked for by the transport and taken off by
//!   [`BodyReader::gunzip`], within the limit.
//! * **It adds what the wire needs and no more.** The request has an absolute URI
//!   and all headers but `host` and `content-length`. The key is one of the headers,
//!   marked [sensitive](http::HeaderValue::set_sensitive): print none of them. Its
//!   own errors must not name the URI either, since a query can hold an address.
//!
//! [`Connect`] is only for the one-line constructors. A transport that needs more
//! than an API and options goes into [`Client::with_transport`] instead.
//!
//! # 4. See it fail
//!
//! The sandbox fails on purpose. This makes the next purchase happen and its answer
//! get lost:
//!
//! ```sh
//! curl -s http://127.0.0.1:8787/_sandbox/faults -H 'content-type: application/json' \
//!   -d '{"fault": "apply_then_drop", "path": "/v1/plant_tree", "times": 1}'
//! cargo run
//! ```
//!
//! The program says that it is not known whether the purchase was made, and does
//! not make it again. With `{"rate_limited": {}}` for the fault it waits and makes it.
//!
//! A transport is right when what the client says never contradicts the sandbox's
//! ledger, `http://127.0.0.1:8787/_sandbox/state`, whatever goes wrong and on kept
//! connections too. The test in `examples/custom_transport.rs` of the checkout holds
//! this page's transport to that under each fault; put yours in its place.
//!
//! # 5. Without the driver
//!
//! Where a trait does not fit, in an event loop or behind a foreign interface, the
//! machines below the client are driven by hand. [`Attempt`] hands out a request and
//! takes what became of it, and its page has the loop around it; [`Pager`] says which
//! page comes next; [`Once`] says what to send, read or wait for until a purchase is
//! certain. None of them waits or reads a clock.

#[cfg(doc)]
use crate::{
    AsyncTransport, Attempt, BlockingTransport, BodyReader, Client, Connect, Once, Pager,
    TransportError, TransportOptions,
};
