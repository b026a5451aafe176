//! The responses to a shop: purchases through the outbox, everything else passed on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chrono::Utc;
use oneclick_emulator::{Config, Emulator};
use oneclick_outbox::{Entry, Outbox, OutboxError, Status};
use oneclick_ureq::http::header::{ALLOW, CONTENT_TYPE, DATE, RETRY_AFTER};
use oneclick_ureq::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use oneclick_ureq::{BlockingClient, BlockingTransport, GetAccount, Phase, Purchase};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::headers::{idempotency_key, preferred_wait};
use crate::session::AnyTransport;

/// The beginning of the paths that the API does not have.
const PREFIX: &str = "/_outbox/";
/// For how long a new purchase is waited for if the shop names no time.
const USUAL_WAIT: Duration = Duration::from_secs(30);
/// How many requests may wait at a time. Others are told to ask again.
const MAX_WAITING: usize = 256;
/// When to ask again for a purchase that is being settled, and for one that a person has to
/// look at, in seconds.
const SOON: u32 = 1;
const LATER: u32 = 60;

/// The response headers of the API that are passed on. The others are about the connection or
/// the encoding of a body that was decoded meanwhile.
const PASSED_ON: [HeaderName; 4] = [ALLOW, CONTENT_TYPE, DATE, RETRY_AFTER];

/// What a shop gets its responses from. It is cheap to clone.
#[derive(Clone)]
pub(super) struct Shop(Arc<Inner>);

struct Inner {
    outbox: Outbox,
    client: BlockingClient<AnyTransport>,
    namespace: String,
    allow_unkeyed: bool,
    stopping: AtomicBool,
    waiting: AtomicUsize,
    trouble: Mutex<Option<Trouble>>,
}

/// Why nothing is carried out. The text holds no personal data.
pub(super) struct Trouble(pub(super) String);

type Answered = Result<Response<Vec<u8>>, Refusal>;

impl Shop {
    pub(super) fn new(
        outbox: Outbox,
        client: BlockingClient<AnyTransport>,
        namespace: String,
        allow_unkeyed: bool,
    ) -> Self {
        let trouble = Mutex::new(Some(Trouble("it has just started".to_owned())));
        let (stopping, waiting) = (AtomicBool::new(false), AtomicUsize::new(0));
        let inner = Inner { outbox, client, namespace, allow_unkeyed, stopping, waiting, trouble };
        Self(Arc::new(inner))
    }

    /// From now on no request waits.
    pub(super) fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Relaxed)
    }

    /// Sleeps, but not beyond the end.
    pub(super) fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.is_stopping() && Instant::now() < until {
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn set_trouble(&self, trouble: Option<Trouble>) {
        *self.trouble() = trouble;
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Responds to a request, and may wait meanwhile.
    pub(super) fn respond(&self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let reads = [Method::GET, Method::HEAD].contains(request.method());
        let path = request.uri().path();
        let answered = match path.strip_prefix(PREFIX) {
            Some("health") if reads => Ok(self.health()),
            Some("counts") if reads => self.counts(),
            Some(_) => Err(Refusal::invalid(
                StatusCode::NOT_FOUND,
                "expected GET /_outbox/health or GET /_outbox/counts",
            )),
            None if reads || (request.method() == Method::POST && path == "/v1/cancel_impact") => {
                self.pass_on(request)
            }
            None => self.buy(request),
        };
        answered.unwrap_or_else(Refusal::response)
    }

    fn buy(&self, request: &Request<Vec<u8>>) -> Answered {
        let checked = check(request);
        if checked.status() != StatusCode::OK {
            return Ok(checked);
        }
        let bad = |text: String| Refusal::invalid(StatusCode::BAD_REQUEST, text);
        let Some(key) = idempotency_key(request.headers()).map_err(bad)? else {
            if self.0.allow_unkeyed {
                return self.pass_on(request);
            }
            return Err(bad(
                "the Idempotency-Key header is missing, and without it the purchase could be made \
                 twice: send a name for it that is the same whenever it is sent again, such as \
                 `Idempotency-Key: \"order-123\"`"
                    .to_owned(),
            ));
        };
        let purchase = purchase(request).map_err(bad)?;
        let Inner { outbox, namespace, .. } = &*self.0;
        let enqueued = outbox.enqueue(namespace, &key, purchase)?;
        let preferred = preferred_wait(request.headers());
        let usual = if enqueued.is_new { USUAL_WAIT } else { Duration::ZERO };
        let answered = self.settled(enqueued.id, &key, preferred.unwrap_or(usual));
        let mut response = answered.unwrap_or_else(Refusal::response);
        let applied =
            preferred.map(|wait| HeaderValue::try_from(format!("wait={}", wait.as_secs())));
        if let Some(Ok(applied)) = applied {
            response.headers_mut().insert("preference-applied", applied);
        }
        Ok(response)
    }

    /// The answer to a purchase that is stored, as soon as there is one.
    fn settled(&self, id: i64, key: &str, wait: Duration) -> Answered {
        let _waiting = Waiting::enter(&self.0.waiting);
        let full = self.0.waiting.load(Ordering::Relaxed) > MAX_WAITING;
        let began = Instant::now();
        loop {
            let entry = self.0.outbox.entry(id)?.ok_or(OutboxError::NoSuchIntent)?;
            if entry.status.is_final() {
                return answer(&entry);
            }
            let waited = began.elapsed();
            if full || self.is_stopping() || waited >= wait {
                return Err(self.unsettled(&entry, key));
            }
            let pause = (waited / 4).clamp(Duration::from_millis(10), Duration::from_millis(250));
            thread::sleep(pause.min(wait.saturating_sub(waited)));
        }
    }

    fn unsettled(&self, entry: &Entry, key: &str) -> Refusal {
        let reasons = [
            entry.problem.clone(),
            self.trouble().as_ref().map(|trouble| trouble.0.clone()),
            self.0.outbox.paused().ok().flatten().map(|reason| {
                format!("the outbox is paused: {reason}; `oneclick outbox resume` ends that")
            }),
        ];
        let reasons: Vec<_> = reasons.into_iter().flatten().collect();
        let text = format!(
            "the purchase with the key {key:?} is stored and still being settled: send the same \
             request again, with `Prefer: wait=20` to wait up to 20 seconds for the receipt"
        );
        let text = [vec![text], reasons].concat().join("; ");
        Refusal::keyed(StatusCode::CONFLICT, text, entry.status).retry_after(SOON)
    }

    /// Sends a request to the API with the command's key, and passes its response on.
    fn pass_on(&self, request: &Request<Vec<u8>>) -> Answered {
        let client = &self.0.client;
        let failed = |error: &dyn std::fmt::Display| {
            Refusal::api(
                StatusCode::BAD_GATEWAY,
                format!("the request cannot be passed on: {error}"),
            )
        };
        // Any request of the API's: it has the headers and the key.
        let mut sent = client.api().encode(&GetAccount).map_err(|error| failed(&error))?;
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri = format!("{}{path}", client.api().base_url());
        *sent.uri_mut() = uri.parse().map_err(|error| failed(&error))?;
        if request.method() == Method::POST {
            *sent.method_mut() = Method::POST;
            sent.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            sent.body_mut().clone_from(request.body());
        }
        let buys = !matches!(request.method(), &Method::GET | &Method::HEAD)
            && request.uri().path() != "/v1/cancel_impact";
        let response = client.transport().send(sent).map_err(|error| {
            let status = if error.is_timeout() {
                StatusCode::GATEWAY_TIMEOUT
            } else {
                StatusCode::BAD_GATEWAY
            };
            let bought = match (buys, error.phase()) {
                (false, _) => "",
                (true, Phase::Connect) => "; nothing was bought",
                (true, _) => "; it is not known whether it was bought",
            };
            Refusal::api(status, format!("the API did not respond: {error}{bought}"))
        })?;
        let (head, body) = response.into_parts();
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        for name in PASSED_ON {
            if let Some(value) = head.headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        Ok(response)
    }

    /// Whether purchases are stored and sent.
    fn health(&self) -> Response<Vec<u8>> {
        let problem = match self.0.outbox.paused() {
            Err(error) => Some(("failing", error.to_string())),
            Ok(paused) => paused
                .map(|reason| ("paused", reason))
                .or_else(|| self.trouble().as_ref().map(|trouble| ("failing", trouble.0.clone()))),
        };
        match problem {
            None => response(StatusCode::OK, &json!({ "status": "ok" })),
            Some((status, reason)) => response(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({ "status": status, "reason": reason }),
            ),
        }
    }

    fn counts(&self) -> Answered {
        Ok(response(StatusCode::OK, &self.0.outbox.counts()?))
    }
}

/// Counts a request that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Checks a purchase as the API would, before anything is stored: an emulator of its own
/// buys it. Its error is the response.
fn check(request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let mut tried = Request::new(request.body());
    *tried.method_mut() = request.method().clone();
    *tried.uri_mut() = request.uri().clone();
    if let Some(content_type) = request.headers().get(CONTENT_TYPE) {
        tried.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    tried.headers_mut().insert("x-api-key", HeaderValue::from_static("test_check"));
    Emulator::new(Config::new()).respond(&tried, Utc::now())
}

/// The purchase that a request asks for, which [`check`] has accepted.
fn purchase(request: &Request<Vec<u8>>) -> Result<Purchase, String> {
    let action = request.uri().path().trim_start_matches("/v1/");
    let read = || {
        let mut body: Map<String, Value> = serde_json::from_slice(request.body())?;
        body.insert("action".to_owned(), action.into());
        serde_json::from_value(body.into())
    };
    // An error of serde_json can quote the body.
    read().map_err(|_: serde_json::Error| {
        format!("the body cannot be stored as a purchase of {action}: this version does not know all of its fields")
    })
}

/// The answer to a purchase with a final status.
fn answer(entry: &Entry) -> Answered {
    let Entry { key, status, problem, .. } = entry;
    let problem = problem.as_deref().unwrap_or("nothing more is known");
    let found: Vec<_> = entry.found.iter().map(ToString::to_string).collect();
    let found = found.join(", ");
    match status {
        Status::Bought | Status::Refused => match &entry.answer {
            Some(answer) => {
                let status = StatusCode::from_u16(answer.status);
                Ok(response(status.unwrap_or(StatusCode::BAD_REQUEST), &answer.body))
            }
            None => Err(Refusal::invalid(StatusCode::BAD_REQUEST, problem)),
        },
        Status::Cancelled => {
            let text = format!(
                "the purchase with the key {key:?} was bought as {found} and has been cancelled \
                 since: to buy it again, use another key"
            );
            Err(Refusal::keyed(StatusCode::GONE, text, *status))
        }
        Status::Dropped => {
            let text = format!(
                "a person has dropped the purchase with the key {key:?}, and it is not sent any \
                 more: to buy it, use another key"
            );
            Err(Refusal::keyed(StatusCode::GONE, text, *status))
        }
        // It may have been bought, so it is no failure that a shop may take for an answer.
        _ => {
            let found = if found.is_empty() { String::new() } else { format!("; found: {found}") };
            let text = format!(
                "a person has to look at the purchase with the key {key:?}, which may have been \
                 made: {problem}{found}; `oneclick outbox show` says more, and `oneclick outbox \
                 resolve`, `retry` or `drop` decides it; then send the same request again"
            );
            Err(Refusal::keyed(StatusCode::CONFLICT, text, *status).retry_after(LATER))
        }
    }
}

/// An error of this command, in the form of the API's.
struct Refusal {
    status: StatusCode,
    body: Value,
    retry_after: Option<u32>,
}

impl Refusal {
    fn of(status: StatusCode, error_type: &str, message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self { status, body: json!({ "type": error_type, "message": message }), retry_after: None }
    }

    fn invalid(status: StatusCode, message: impl Into<String>) -> Self {
        Self::of(status, "invalid_request_error", message)
    }

    fn api(status: StatusCode, message: impl Into<String>) -> Self {
        Self::of(status, "api_error", message)
    }

    /// The status of the key's purchase does not allow a receipt.
    fn keyed(status: StatusCode, message: impl Into<String>, of: Status) -> Self {
        let mut refusal = Self::of(status, "idempotency_error", message);
        refusal.body["status"] = of.as_str().into();
        refusal
    }

    fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    fn response(self) -> Response<Vec<u8>> {
        let mut response = response(self.status, &self.body);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<OutboxError> for Refusal {
    fn from(error: OutboxError) -> Self {
        let text = error.to_string();
        match error {
            OutboxError::OtherPurchase { .. } => {
                Self::of(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_error", text)
            }
            OutboxError::Invalid(_) => Self::invalid(StatusCode::BAD_REQUEST, text),
            // The database may have stored it nevertheless.
            _ => Self::api(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{text}: send the same request again, with the same key"),
            )
            .retry_after(SOON),
        }
    }
}

fn response(status: StatusCode, body: &impl Serialize) -> Response<Vec<u8>> {
    // These types have no maps with keys that are no texts, so this cannot fail.
    let mut response = Response::new(serde_json::to_vec(body).unwrap_or_default());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
