//! An emulator of the 1ClickImpact API, for tests and for development without a network.
//!
//! Purchases show up in totals, lists and tracking as with the real API, but nothing is
//! paid, e-mailed or written to disk. The emulator is strict: mistakes that the real API may
//! accept and then ignore, such as the field `customerEmail`, are refused with a message
//! that says how to fix them.
//!
//! There are four ways to use the emulator:
//!
//! * [`InMemory`], a transport for the unit tests of a Rust program: no socket, and waits
//!   take no time;
//! * [`Server`], an HTTP server on a free port for tests of whole programs, from
//!   [`Server::start`] until it is dropped;
//! * the command `oneclick-emulator --listen 127.0.0.1:8787`, for clients in any language;
//! * [`Emulator`], the API as a function of its state, a request and a time, which all of these
//!   call.
//!
//! [`LocalServer`] is only the HTTP part: it serves a function of your own.
//!
//! Each key that begins with `test_` has an account of its own, which is empty at first.
//! With the same seed and a [`ManualClock`], the same requests get the same responses, byte
//! for byte.
//!
//! # Faults
//!
//! A [`FaultRule`] makes requests fail in the way that its [`Fault`] describes. A request is
//! *applied* when the emulator does what it asks for, such as a purchase. A request can be
//! refused or dropped before that, be applied only once the client has given up, or be applied
//! and its response dropped. A response can come from a gateway, be late, cut short or
//! malformed, or never come. A purchase can be hidden from readers for a while. A rule hits one
//! path or all paths, and the next few requests, a random share of them or every one. A request
//! that the API refuses anyway gets its usual response and does not count for any rule.
//!
//! [`Account::ledger`] shows what was really bought, so a test can compare it with what the
//! client believes:
//!
//! ```
//! use oneclick_proto::{Api, PlantTree, Trees};
//! use oneclick_emulator::{Config, Delivery, Fault, FaultRule, Emulator};
//!
//! let mut emulator = Emulator::new(Config::new());
//! emulator.inject(FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(1));
//!
//! let api = Api::sandbox("test_doc")?;
//! let request = api.encode(&PlantTree::new(Trees::of::<5>()))?;
//! let delivered = emulator.exchange(&request, "2025-03-12T15:22:14Z".parse().unwrap());
//! assert_eq!(delivered.delivery, Delivery::Dropped);
//! assert_eq!(emulator.account("test_doc").unwrap().ledger().count(), 1);
//! # Ok::<(), oneclick_proto::Error>(())
//! ```
//!
//! # Behaviour
//!
//! No source describes everything that the API does, and a gateway, a cache or a replica may
//! sit in front of it. Each open point is a switch of [`Behaviour`], whose first value is
//! the default and the easiest for a client. Set other values, in any combination, to see
//! whether an integration copes with them. Switches change what is shown and accepted;
//! [`Account::ledger`] and `/_emulator/state` always show what was really bought.
//!
//! A purchase can be tracked and cancelled by the `user_id` and `time_utc` of its receipt,
//! and by every pair that the switches show for its record. If several purchases share a
//! pair, it refers to the first of them. Random choices depend on the seed alone.
//!
//! | switch | values | open point |
//! |---|---|---|
//! | `metadata` | `kept`, `dropped`, `keys_camel_case`, `keys_upper_case`, `values_upper_case`, `{"cut_short":{"chars":16}}`, `reordered`, `one_text`, `nulls`, `records_only`, `customer_records_only` | how a record shows the metadata that was sent |
//! | `address` | `kept`, `lower_case`, `tag_removed`, `other_domain_form` | how a customer's address is stored and then shown in records, customers and receipts |
//! | `address_filter` | `exact`, `loose` | how `customer_email` in a query is compared with the stored address |
//! | `user_id` | `same`, `other_case`, `customers`, `another` | the `user_id` of a record, compared with its receipt |
//! | `time_utc` | `same`, `microseconds`, `seconds_cut`, `seconds_rounded`, `offset`, `changing` | the `time_utc` of a record, compared with its receipt |
//! | `listed_in` | `customer_records`, `records`, `both` | which list shows a purchase for a customer; `/v1/records` does not show who the customer is |
//! | `unknown_filter` | `honoured`, `empty`, `everything`, `refused` | the effect of a `filter_by` that the reference does not list, such as `coral_restored` |
//! | `sort_order` | `honoured`, `ignored`, `within_page` | whether lists are sorted as requested |
//! | `dates` | `inclusive`, `exclusive`, `start_exclusive`, `end_exclusive` | whether `start_date` and `end_date` are part of the range |
//! | `days` | `utc`, `{"offset":{"hours":-8}}` | when days begin, in queries and in `/v1/impact/daily` |
//! | `limit` | `honoured`, `{"capped":{"at":5}}` | how many rows a page has |
//! | `cursors` | `last`, `{"expire":{"millis":1000}}`, `shift` | how long a cursor is valid; with `shift`, rows that are added between two pages make a row appear twice or not at all |
//! | `visibility` | `at_once`, `{"after":{"millis":5000}}`, `{"replicas":{"millis":5000}}` | when readers see a purchase; with `replicas`, one of two replicas responds to each request, and one of them lags behind |
//! | `clock` | `same`, `{"ahead":{"days":2}}`, `{"behind":{"days":2}}` | the server's clock, compared with the emulator's |
//! | `date` | `usual`, `{"apart":{"seconds":30}}`, `absent` | the `Date` header, compared with the server's clock |
//! | `receipt` | `own`, `crossed`, `bare`, `fraction` | whether a receipt is that of its purchase (`own`) or of the account's latest other purchase (`crossed`), lacks customer and category (`bare`), or has an amount such as `5.0` (`fraction`) |
//! | `cancel` | `at_once`, `{"later":{"millis":5000}}` | when a cancellation takes effect |
//! | `cancel_repeat` | `all_fields`, `four_fields` | the response to a repeated cancellation |
//! | `cancel_refusal` | `bad_request`, `not_found`, `conflict`, `unprocessable_content` | the status if an impact can no longer be cancelled: 400, 404, 409, 422 |
//! | `track_by` | `account`, `customer` | the `user_id` by which `/v1/track` finds a customer's impact |
//! | `other_rows` | `well_formed`, `null`, `without_user_id`, `amount_as_text`, `half_surrogate`, `unknown_kind` | an additional row on each page of records |
//! | `other_software` | `none`, `buys_the_same`, `buys_for_itself` | what other software buys on the same account with each purchase, without metadata, even if that purchase is not made |
//!
//! Faults decide when a purchase is made and which response it gets: [`Fault::Gateway`] with
//! any status and several bodies, [`Fault::ApplyThenDrop`], [`Fault::CutResponse`],
//! [`Fault::NoLength`], [`Fault::DropThenApply`] and others.
//!
//! ```
//! use oneclick_proto::{Api, ListRecords, Metadata, PlantTree, Trees};
//! use oneclick_emulator::behaviour::MetadataForm;
//! use oneclick_emulator::{Behaviour, Config, Emulator};
//!
//! let mut emulator = Emulator::new(Config::new());
//! emulator.set_behaviour(Behaviour::new().metadata(MetadataForm::Dropped));
//!
//! let api = Api::sandbox("test_doc")?;
//! let now = "2025-03-12T15:22:14Z".parse().unwrap();
//! let metadata = Metadata::from_pairs([("order", "A-1")])?;
//! let plant = PlantTree::new(Trees::of::<5>()).metadata(metadata);
//! api.decode(&plant, emulator.respond(&api.encode(&plant)?, now))?;
//!
//! let list = ListRecords::new();
//! let page = api.decode(&list, emulator.respond(&api.encode(&list)?, now))?;
//! assert!(page.items[0].metadata.is_empty());
//! # Ok::<(), oneclick_proto::Error>(())
//! ```
//!
//! # Control
//!
//! Tests in any language control a server under `/_emulator/`, in JSON and without a key. A
//! body needs `Content-Type: application/json`. Faults never hit these paths. Web pages can
//! neither change nor read anything: a request that changes something is refused if it has
//! an `Origin` header, the server never sends CORS headers, and it refuses requests whose
//! `Host` is neither a loopback name nor allowed, so a page cannot reach it through a name of
//! its own (see [`ServerBuilder::allow_host`]).
//!
//! | request | does |
//! |---|---|
//! | `GET /_emulator/` | lists these requests with an example of each, and every fault with its defaults |
//! | `GET /_emulator/faults` | lists the fault rules; `times` is how many requests a rule will still hit |
//! | `POST /_emulator/faults` | adds a fault rule, such as `{"fault":"apply_then_drop","path":"/v1/plant_tree","times":3}`; `"probability":0.3` instead of `times` hits requests at random; without either it hits every request, and without `path` on every path. A fault is written as its name, or as an object to set its fields: `{"fault":{"cut_response":{"at":10}}}`. A rule that can never hit is refused |
//! | `DELETE /_emulator/faults` | removes all fault rules |
//! | `GET /_emulator/behaviour` | lists the behaviour switches, each with its `value` and the possible `values` |
//! | `PATCH` or `POST /_emulator/behaviour` | sets some of them, such as `{"metadata":"dropped","limit":{"capped":{"at":5}}}`; if one is wrong, none is set |
//! | `DELETE /_emulator/behaviour` | sets all of them to their defaults |
//! | `GET /_emulator/clock` | shows the time of the emulator's clock: `{"now":"…"}` |
//! | `PUT /_emulator/clock` | sets the clock, such as to `{"now":"2025-01-31T12:00:00Z"}`; it goes on from there |
//! | `POST /_emulator/clock/advance` | advances the clock, such as by `{"millis":60000}` |
//! | `POST /_emulator/reset` | removes all accounts and logged requests, removes all fault rules and switch settings, also those of the server's start, and undoes all changes of the clock |
//! | `GET /_emulator/requests` | lists the latest 1,000 requests to the API: number, time, method, path, query, the first 64 KiB of the body, status, fault, and the account instead of the key |
//! | `GET /_emulator/state` | shows the totals, customers and ledger of every account, the time, and the fault rules |
//!
//! # Choices of this emulator
//!
//! Where the API's reference is silent, the emulator behaves as follows, unless a switch of
//! [`Behaviour`] says otherwise. The real API may differ, so a client must not depend on any of
//! these choices.
//!
//! **Keys.** A key that does not begin with `test_`, such as a `live_` key, gets a 401
//! `key_error` with the message `API Key does not exist`. If the header is missing, empty or
//! sent twice, the message of the 401 names `x-api-key`. The ids and e-mail addresses (at
//! `example.com`) of accounts are derived from the seed and the key.
//!
//! **Order of checks.** Path (404), method (405 with `Allow`), key (401), size of the body
//! (413 above [`MAX_BODY_BYTES`]), content type (415), then the fields (400). A refused
//! request changes nothing. All of these responses except the 401 have the error type
//! `invalid_request_error`. There is no rate limit: a 429 and a `Retry-After` come from
//! faults alone. The status of a success is always 200. A request that is not valid HTTP
//! gets hyper's own response, which has no body.
//!
//! **Bodies.** A POST needs `Content-Type: application/json`, with or without parameters.
//! The emulator refuses a field that the path does not take (unless [`Config::lenient`] is
//! set), a field that is sent twice, `null` for any field, an `amount` with a fraction or an
//! exponent even if it is whole (`5.0`), a query in a POST and a body in a GET. `category`
//! exists for `plant_tree`, where it must be `food`, and for `donate_money`, where it can be
//! any string but an empty one. E-mail addresses are checked as `oneclick_proto::Email`
//! does, metadata as `oneclick_proto::Metadata` does. A name can be any string, even an
//! empty one. `notify` is checked and has no effect.
//!
//! **Queries.** A parameter that the path does not take is refused, and so is one that is
//! sent twice, except `filter_by`. The same `filter_by` sent twice counts once. An empty
//! value is a wrong value.
//!
//! **Time.** The `time_utc` of an impact is the time of the clock in milliseconds, or one
//! millisecond after the account's last impact if the clock has not advanced since. So
//! `(user_id, time_utc)` is unique, and impacts stay in the order in which they were made,
//! even if the clock is set back. Times before the year 0 or after 9998 are treated as the
//! nearest time in that range.
//!
//! **Days** are days in UTC. `start_date` and `end_date` are both included. A range that
//! ends before it starts is refused.
//!
//! **Customers** are identified by the bytes of their e-mail address. `onboarded_on` is the
//! time of their first impact. A later name replaces the earlier one everywhere, in old
//! records too; an action without a name keeps it. Impacts for customers are in
//! `/v1/customer_records` and not in `/v1/records`, and in `customer_impact` and not in
//! `user_impact`; the days of `/v1/impact/daily` contain both. An address that belongs to no
//! customer has empty lists.
//!
//! **Records** have one amount field, that of their kind, and the metadata that was sent.
//! Empty metadata counts as none. Receipts do not show metadata.
//!
//! **Cancelling** is possible until the donation is sent ([`DONATION_SENT_AFTER`]), and
//! refused with 400 from then on. It lowers the totals of `/v1/impact` and of the impact's
//! day; a day on which nothing is left is omitted. Records and customers stay as they are,
//! and tracking shows no further stage. A second cancellation gets the response to the
//! first, with the first reason and the message `impact was already cancelled`. An impact
//! that `/v1/track` would not find gets a 404 here as well.
//!
//! **Pages.** A cursor is valid only with the account, path, filters, dates, customer and
//! order for which it was given. The limit may change between pages. A row that is added
//! while a client walks through a list appears if its place is still ahead. Every cursor
//! contains `+`, `/` and `=`, to test the client's encoding. A space in a cursor is
//! nevertheless read as `+`, because the official Python SDK encodes nothing.
//!
//! **Tracking** shows four stages, by the emulator's clock: `impact_initiated` at once, then
//! `donation_available` ([`DONATION_AVAILABLE_AFTER`]), `donation_sent`
//! ([`DONATION_SENT_AFTER`]; with it `assigned_agent`, `project_location`, `location_map`,
//! for trees, ocean and carbon `project_id`, for money `donation_category`, for food trees
//! `live_session_date`) and `impact_completed` ([`IMPACT_COMPLETED_AFTER`]; with it
//! `impact_video`). Agents, places and links are invented and say so. `is_test_transaction`
//! is always true; `certificate` and `is_bonus_impact` are always absent. An impact gets a
//! 404 if it does not exist, if it belongs to another account, or if its `time_utc` is not
//! written exactly as it was given.
//!
//! **Projects.** Every account has the same five projects, which are invented and say so:
//! two for trees, two for the ocean and one for carbon. One of the five is not available. Their
//! names, places and texts exist in five languages; the default is English. An unknown
//! `type` or `locale` gets a 400, an unknown id a 404.
//!
//! **HTTP.** The response to a HEAD is that to the GET without its body. An HTTP/1.1 request
//! gets a 400 if `Host` is missing, sent twice, or not a host with an optional port, and a
//! 421 if the host is neither a loopback name, nor the address on which the server listens,
//! nor allowed ([`ServerBuilder::allow_host`]). A request target in absolute form is checked
//! instead of the header. Requests that get this 400 or 421 are not logged. A client that
//! closes its sending side after its request gets its response.
//!
//! **Connections** that are idle for 60 seconds are closed
//! ([`ServerBuilder::read_timeout`]). A body that does not arrive within the same time gets a
//! 408.
//!
//! Webhooks and `GET /v1/carbon`, whose response no source shows, are not implemented.

mod clock;
mod control;
mod delivery;
mod host;
mod in_memory;
mod local_server;
mod log;
mod server;
mod shared;
mod state;

pub use clock::{Clock, ManualClock};
pub use host::{HostName, InvalidHost};
pub use in_memory::InMemory;
pub use local_server::LocalServer;
pub use log::Logged;
pub use server::{Server, ServerBuilder};
pub use state::behaviour;
pub use state::{
    Account, Behaviour, Config, DONATION_AVAILABLE_AFTER, DONATION_SENT_AFTER, Delivered, Delivery,
    Emulator, Fault, FaultRule, GatewayBody, IMPACT_COMPLETED_AFTER, InvalidRule, LedgerEntry,
    MAX_BODY_BYTES, RetryAfter, When,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
