//! The 1ClickImpact API on this machine, for tests and for development without
//! a network.
//!
//! What is bought shows up in the totals, the lists and in tracking, as with
//! the real API, but nothing is paid, sent or stored. What the real API might
//! let pass and then lose, such as `customerEmail`, is refused with a message
//! that says what to fix.
//!
//! Three ways to use it:
//!
//! * [`Emulator`], a pure function of state, request and time, for tests that
//!   need no socket and run thousands of exchanges;
//! * [`Server`], the same on a free port, for tests of whole programs:
//!   `let server = Server::start()?;`, stopped when dropped;
//! * the command `oneclick-emulator --listen 127.0.0.1:8787`.
//!
//! Every key that begins with `test_` is an account of its own, empty until
//! it is used. With a seed and a [`ManualClock`], the same requests get the
//! same bytes as answers.
//!
//! # Faults
//!
//! A [`FaultRule`] has requests go wrong on purpose, at a phase that its
//! [`Fault`] names: refused before they are applied, dropped before or after,
//! applied after the caller is gone, answered by a gateway, late, cut, wrongly or
//! never, or hidden from readers for a while. It hits a path or all of them, the next few requests, some by a probability
//! under the seed, or every one. What the API refuses anyway is answered as
//! usual, and uses no rule up.
//!
//! [`Account::ledger`] says what was really bought, to be held against what a
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
//! let exchange = emulator.exchange(&request, "2025-03-12T15:22:14Z".parse().unwrap());
//! assert_eq!(exchange.delivery, Delivery::Dropped);
//! assert_eq!(emulator.account("test_doc").unwrap().ledger().count(), 1);
//! # Ok::<(), oneclick_proto::Error>(())
//! ```
//!
//! # Behaviour
//!
//! No source states everything that the API does, and a gateway, a cache or a
//! replica may stand before it. Each such point is a switch of [`Behaviour`]. Its
//! first value is the kindest reading, and the default. Set the others to see
//! whether an integration survives them. Any number of switches hold at the same
//! time. They change what is shown and accepted; [`Account::ledger`] and
//! `/_emulator/state` always show what was really bought.
//!
//! A purchase can be tracked and cancelled by the handle of its receipt, and by
//! every `user_id` and `time_utc` that the switches show for its record. If several
//! purchases are shown with one handle, it means the first. Whatever is drawn at
//! random is drawn from the seed.
//!
//! | switch | values | what is unstated |
//! |---|---|---|
//! | `metadata` | `kept`, `dropped`, `keys_camel_case`, `keys_upper_case`, `values_upper_case`, `{"cut_short":{"chars":16}}`, `reordered`, `one_text`, `nulls`, `records_only`, `customer_records_only` | what a record shows of the metadata that was sent |
//! | `address` | `kept`, `lower_case`, `tag_removed`, `other_domain_form` | how a customer's address is stored, and shown in records, customers and receipts |
//! | `address_filter` | `exact`, `loose` | how `customer_email` in a query compares with the stored address |
//! | `user_id` | `same`, `other_case`, `customers`, `another` | the `user_id` of a record, beside its receipt |
//! | `time_utc` | `same`, `microseconds`, `seconds_cut`, `seconds_rounded`, `offset`, `changing` | the `time_utc` of a record, beside its receipt |
//! | `listed_in` | `customer_records`, `records`, `both` | which list shows a customer's purchase; `/v1/records` shows it without the customer |
//! | `unknown_filter` | `honoured`, `empty`, `everything`, `refused` | what a `filter_by` does that the reference does not list, `coral_restored` among them |
//! | `sort_order` | `honoured`, `ignored`, `within_page` | whether lists are sorted as asked |
//! | `dates` | `inclusive`, `exclusive`, `start_exclusive`, `end_exclusive` | whether `start_date` and `end_date` are part of the range |
//! | `days` | `utc`, `{"offset":{"hours":-8}}` | where days begin, in queries and in `/v1/impact/daily` |
//! | `limit` | `honoured`, `{"capped":{"at":5}}` | how many rows a page has |
//! | `cursors` | `last`, `{"expire":{"millis":1000}}`, `shift` | how long a cursor lasts; a shifting one shows a row twice or misses one if rows are added |
//! | `visibility` | `at_once`, `{"after":{"millis":5000}}`, `{"replicas":{"millis":5000}}` | when readers see a purchase; of two replicas one lags behind, and each request meets either |
//! | `clock` | `same`, `{"ahead":{"days":2}}`, `{"behind":{"days":2}}` | the server's clock, beside the emulator's |
//! | `date` | `usual`, `{"apart":{"seconds":30}}`, `absent` | the `Date` header, beside the server's clock |
//! | `receipt` | `own`, `crossed`, `bare`, `fraction` | whether a receipt is that of its purchase or of the account's latest other one, is without customer and category, or has an amount such as `5.0` |
//! | `cancel` | `at_once`, `{"later":{"millis":5000}}` | when a cancellation takes effect |
//! | `cancel_repeat` | `all_fields`, `four_fields` | the response to a repeated cancellation |
//! | `cancel_refusal` | `bad_request`, `not_found`, `conflict`, `unprocessable_content` | the status if an impact cannot be cancelled any more: 400, 404, 409, 422 |
//! | `track_by` | `account`, `customer` | the `user_id` by which `/v1/track` finds a customer's impact |
//! | `other_rows` | `well_formed`, `null`, `without_user_id`, `amount_as_text`, `half_surrogate`, `unknown_kind` | what else is on each page of records |
//! | `other_software` | `none`, `buys_the_same`, `buys_for_itself` | what is bought on the same account with each purchase, without metadata, even if that purchase is not made |
//!
//! What comes back after a purchase, and when it is made, are faults:
//! [`Fault::Gateway`] with any status and several bodies, [`Fault::ApplyThenDrop`],
//! [`Fault::CutResponse`], [`Fault::NoLength`], [`Fault::DropThenApply`] and the
//! others.
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
//! A server answers tests in any language under `/_emulator/`, in JSON and
//! without a key; a body needs `Content-Type: application/json`. Faults never
//! hit these paths. A web page can neither change nor read anything: a request
//! that changes something is refused if it has an `Origin`, no CORS header is ever
//! sent, and a page whose own name leads to this machine has that name in `Host`,
//! to which the server does not answer (see [`ServerBuilder::allow_host`]).
//!
//! | request | does |
//! |---|---|
//! | `GET /_emulator/` | lists these requests with an example of each, and every fault with its defaults |
//! | `GET /_emulator/faults` | lists the fault rules; `times` is how many requests a rule will still hit |
//! | `POST /_emulator/faults` | adds a fault rule, such as `{"fault":"apply_then_drop","path":"/v1/plant_tree","times":3}`; `"probability":0.3` instead of `times` hits requests at random; without either it hits every request, and without `path` on every path. A fault is its name, or an object if its fields are not to have their defaults: `{"fault":{"cut_response":{"at":10}}}`. A rule that can never hit is refused |
//! | `DELETE /_emulator/faults` | removes all fault rules |
//! | `GET /_emulator/behaviour` | lists the behaviour switches, each with its `value` and the possible `values` |
//! | `PATCH` or `POST /_emulator/behaviour` | sets some of them, such as `{"metadata":"dropped","limit":{"capped":{"at":5}}}`; if one is wrong, none is set |
//! | `DELETE /_emulator/behaviour` | sets all of them to their defaults |
//! | `GET /_emulator/clock` | shows the time of the emulator's clock: `{"now":"…"}` |
//! | `PUT /_emulator/clock` | sets the clock, such as to `{"now":"2025-01-31T12:00:00Z"}`; it goes on from there |
//! | `POST /_emulator/clock/advance` | advances the clock, such as by `{"millis":60000}` |
//! | `POST /_emulator/reset` | removes all accounts, fault rules, switch settings and logged requests, and undoes the setting of the clock |
//! | `GET /_emulator/requests` | lists the latest 1,000 requests to the API: number, time, method, path, query, the first 64 KiB of the body, status, fault, and the account instead of the key |
//! | `GET /_emulator/state` | shows the totals, customers and ledger of every account, the time, and the fault rules |
//!
//! # What this emulator chose
//!
//! The API's reference does not say everything. Where it is silent the
//! emulator behaves as follows, unless a switch of [`Behaviour`] says otherwise; the
//! real API may differ, and a client must not depend on any of it.
//!
//! **Keys.** A key that does not begin with `test_` gets 401 `key_error`,
//! `API Key does not exist`; so does a `live_` key. A header that is missing,
//! empty or sent twice gets 401 with a message that names `x-api-key`. Account
//! ids and e-mail addresses (at `example.com`) are derived from seed and key.
//!
//! **Order of checks.** Path (404), method (405 with `Allow`), key (401), size
//! of the body (413 above [`MAX_BODY_BYTES`]), content type (415), then the
//! fields (400). A request that is refused has changed nothing. All of these
//! but 401 have the type `invalid_request_error`. There is no rate limit, so
//! neither 429 nor `Retry-After` but by a fault. Success is always 200. A
//! request that is no HTTP gets hyper's own answer, without a body.
//!
//! **Bodies.** A POST needs `Content-Type: application/json`, with parameters
//! or without. Refused are: a field that the path does not take (unless
//! [`Config::lenient`]), a field sent twice, `null` for any field, a number
//! with a fraction or an exponent as `amount` even if it is whole (`5.0`), a
//! query beside the body, and a body beside a GET. `category` is for
//! `plant_tree`, where it can be `food` alone, and for `donate_money`, where it
//! can be any text but an empty one. An e-mail address is refused as
//! `oneclick_proto::Email` does, metadata as `oneclick_proto::Metadata`; a name
//! can be any string, the empty one too. `notify` is checked and has no effect.
//!
//! **Queries.** A parameter that the path does not take is refused, and so is
//! one sent twice, save `filter_by`; a `filter_by` sent twice with one value
//! counts once. An empty value is a wrong value.
//!
//! **Time.** An impact's `time_utc` is the clock's, cut to milliseconds, or one
//! millisecond after the account's last impact if the clock has not gone on
//! since: `(user_id, time_utc)` is unique and impacts stay in the order they
//! were made, even if the clock goes back. The clock is held within the years
//! 0 to 9998.
//!
//! **Days** are days in UTC. `start_date` and `end_date` are both included. A
//! range that ends before it starts is refused.
//!
//! **Customers** are told apart by the bytes of their address. `onboarded_on`
//! is the time of the first impact. A later name replaces the earlier one
//! everywhere, in old records too; an action without a name leaves it.
//! Impacts for customers are in `/v1/customer_records` and not in
//! `/v1/records`, in `customer_impact` and not in `user_impact`; the days of
//! `/v1/impact/daily` hold both. Somebody who is no customer has empty lists.
//!
//! **Records** have one amount field, that of their kind, and the metadata that
//! was sent; empty metadata counts as none. Receipts do not repeat it.
//!
//! **Cancelling** is possible until the donation is sent
//! ([`DONATION_SENT_AFTER`]), then refused with 400. It lowers the totals of
//! `/v1/impact` and of the impact's day; a day on which nothing is left is left
//! out. Records and customers stay as they are, and the impact goes through no
//! further stage. To cancel again is answered as the first time, with the first
//! reason, and the message `impact was already cancelled`. An impact that
//! `/v1/track` would not find gets 404 here as well.
//!
//! **Pages.** A cursor belongs to the account, the path, the filters, the
//! dates, the customer and the order it was given for; with any other it is
//! refused. The limit may change between pages. What is added during a walk
//! shows up in it if its place is still ahead. Every cursor holds `+`, `/` and
//! `=`, to try the client's encoding; a space in a cursor is nevertheless read
//! as `+`, because the official Python SDK encodes nothing.
//!
//! **Tracking** knows four stages, by the emulator's clock: `impact_initiated`
//! at once, then `donation_available` ([`DONATION_AVAILABLE_AFTER`]),
//! `donation_sent` ([`DONATION_SENT_AFTER`]; with it `assigned_agent`,
//! `project_location`, `location_map`, for trees, ocean and carbon
//! `project_id`, for money `donation_category`, for food trees
//! `live_session_date`) and `impact_completed`
//! ([`IMPACT_COMPLETED_AFTER`]; with it `impact_video`). Agents, places and
//! links are invented and say so. `is_test_transaction` is always true;
//! `certificate` and `is_bonus_impact` are never there. An impact that does
//! not exist, that belongs to another account, or whose `time_utc` is written
//! differently than it was given, gets 404.
//!
//! **Projects** are five, invented, labelled so, and the same for every account:
//! two of trees, two of the ocean, one of carbon, one of them not available.
//! Names, places and texts are there in five languages, English if none is
//! asked for; another `type` or `locale` gets 400, an id that is not there 404.
//!
//! **HTTP.** HEAD is answered as GET is, without the body. An HTTP/1.1 request
//! without `Host`, one with two and one whose `Host` is not a host and a port get
//! 400. Any host but a loopback name gets 421 unless it is allowed
//! ([`ServerBuilder::allow_host`]); a target in absolute form counts instead of the
//! header. Neither is in the log. A client that closes its sending side after its
//! request gets its response.
//!
//! **Connections** that are idle for 60 seconds are closed
//! ([`ServerBuilder::read_timeout`]); a body that does not arrive within the
//! same time gets 408.
//!
//! Not there: webhooks, and `GET /v1/carbon`, whose answer no source shows.

mod clock;
mod control;
mod delivery;
mod host;
mod in_memory;
mod log;
mod server;
mod shared;
mod state;

pub use clock::{Clock, ManualClock};
pub use host::{HostName, InvalidHost};
pub use in_memory::InMemory;
pub use log::Logged;
pub use server::{Server, ServerBuilder};
pub use state::behaviour;
pub use state::{
    Account, Behaviour, Config, DONATION_AVAILABLE_AFTER, DONATION_SENT_AFTER, Delivery, Emulator,
    Exchange, Fault, FaultRule, GatewayBody, IMPACT_COMPLETED_AFTER, InvalidRule, LedgerEntry,
    MAX_BODY_BYTES, RetryAfter, When,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
