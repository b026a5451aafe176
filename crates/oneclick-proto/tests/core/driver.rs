//! Both clients over a scripted transport.

use std::ffi::OsString;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use oneclick_proto::{
    Api, AsyncClient, AsyncTransport, BlockingClient, BlockingTransport, Cancellation, Client,
    Connect, CustomerRecord, ErrorKind, Execution, ImpactId, Intent, Limit, ListRecords, Metadata,
    Outcome, PlantTree, ProjectType, Receipt, Record, RetryPolicy, Step, TrackImpact, Tracking,
    TransportError, TransportOptions, Trees, UserId, VerifiedPurchase,
};
use serde_json::json;

type SendResult = Result<Response<Vec<u8>>, TransportError>;

/// A transport that returns scripted responses and records the requests.
#[derive(Clone, Default)]
struct Script {
    responses: Arc<Mutex<Vec<SendResult>>>,
    requests: Arc<Mutex<Vec<String>>>,
    waits: Arc<Mutex<Vec<Duration>>>,
}

impl Script {
    fn new(responses: Vec<SendResult>) -> Self {
        Self { responses: Arc::new(Mutex::new(responses)), ..Self::default() }
    }

    fn respond(&self, request: &Request<Vec<u8>>) -> SendResult {
        self.requests.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
        self.responses.lock().unwrap().remove(0)
    }

    fn total_wait(&self) -> Duration {
        self.waits.lock().unwrap().iter().sum()
    }

    fn request_count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

impl BlockingTransport for Script {
    type Body = Vec<u8>;

    fn send(&self, request: Request<Vec<u8>>) -> SendResult {
        self.respond(&request)
    }

    fn sleep(&self, duration: Duration) {
        self.waits.lock().unwrap().push(duration);
    }

    // Each exchange takes a second.
    fn now(&self) -> Duration {
        Duration::from_secs(self.request_count() as u64) + self.total_wait()
    }

    fn seed(&self) -> u64 {
        7
    }
}

impl AsyncTransport for Script {
    type Body = Vec<u8>;

    async fn send(&self, request: Request<Vec<u8>>) -> SendResult {
        // Return `Pending` once, as a socket would.
        let mut waited = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.respond(&request)
    }

    async fn sleep(&self, duration: Duration) {
        BlockingTransport::sleep(self, duration);
    }

    fn now(&self) -> Duration {
        BlockingTransport::now(self)
    }

    fn seed(&self) -> u64 {
        BlockingTransport::seed(self)
    }
}

impl Connect for Script {
    fn connect(
        api: &Api,
        _: &TransportOptions,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        if api.base_url().is_https() {
            return Err("no TLS here".into());
        }
        Ok(Self::default())
    }

    fn var(name: &str) -> Option<OsString> {
        match name {
            "ONECLICK_API_KEY" => Some("test_key".into()),
            "ONECLICK_BASE_URL" => Some("http://127.0.0.1:1".into()),
            _ => None,
        }
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

fn ok(body: &serde_json::Value) -> SendResult {
    Ok(Response::new(body.to_string().into_bytes()))
}

fn read<T: serde::de::DeserializeOwned>(row: &serde_json::Value) -> T {
    serde_json::from_value(row.clone()).unwrap()
}

fn page(amounts: &[i64], cursor: Option<&str>) -> SendResult {
    let rows: Vec<_> = amounts
        .iter()
        .map(|amount| json!({"user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z", "tree_planted": amount}))
        .collect();
    ok(&json!({"user_records": rows, "cursor": cursor}))
}

/// A client without retries.
fn blocking(responses: Vec<SendResult>) -> BlockingClient<Script> {
    let api = Api::sandbox("test_key").unwrap();
    Client::with_transport(api, Script::new(responses)).with_retry(RetryPolicy::NEVER)
}

fn asynchronous(responses: Vec<SendResult>) -> AsyncClient<Script> {
    let api = Api::sandbox("test_key").unwrap();
    Client::with_transport(api, Script::new(responses)).with_retry(RetryPolicy::NEVER)
}

#[test]
fn a_call_is_sent_once() {
    let receipt =
        json!({"user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z", "tree_planted": 5});
    let client = blocking(vec![ok(&receipt)]);
    assert_eq!(client.plant_tree(Trees::of::<5>()).unwrap().user_id, UserId::new("U1"));
    let client = asynchronous(vec![ok(&receipt)]);
    assert_eq!(block_on(client.plant_tree(Trees::of::<5>())).unwrap().user_id, UserId::new("U1"));
    let expected = ["POST https://sandbox.1clickimpact.com/v1/plant_tree"];
    assert_eq!(*client.transport().requests.lock().unwrap(), expected);
}

#[test]
fn every_value_with_an_impact_id_can_be_tracked_and_cancelled() {
    const TIME: &str = "2024-09-16T20:34:04.429Z";
    let row = json!({
        "user_id": "U1", "time_utc": TIME, "tree_planted": 5, "tracking_id": format!("U1-{TIME}"),
        "impact_initiated": TIME, "cancelled_on": TIME, "message": "impact cancelled",
        "customer": {"customer_id": "U2", "customer_email": "a@x.com"},
    });
    let (receipt, record, of_customer): (Receipt, Record, CustomerRecord) =
        (read(&row), read(&row), read(&row));
    let (cancelled, tracking): (Cancellation, Tracking) = (read(&row), read(&row));
    let id: ImpactId = tracking.tracking_id.parse().unwrap();

    macro_rules! check {
        ($($it:expr),*) => {$(
            let client = blocking(vec![ok(&row), ok(&row)]);
            assert_eq!(client.track($it).unwrap(), tracking);
            assert_eq!(client.cancel_impact($it).unwrap(), cancelled);
            let requests = client.transport().requests.lock().unwrap().clone();
            let client = asynchronous(vec![ok(&row), ok(&row)]);
            assert_eq!(block_on(client.track($it)).unwrap(), tracking);
            assert_eq!(block_on(client.cancel_impact($it)).unwrap(), cancelled);
            assert_eq!(*client.transport().requests.lock().unwrap(), requests);
            assert!(requests[0].ends_with("/v1/track?user_id=U1&time_utc=2024-09-16T20%3A34%3A04.429Z"));
            assert_eq!(requests[1], "POST https://sandbox.1clickimpact.com/v1/cancel_impact");
        )*};
    }
    check!(&receipt, &record, &of_customer, &cancelled, &tracking, &id);
    check!(TrackImpact::new(&id).impact);
}

#[test]
fn a_tracking_with_an_invalid_id_is_not_sent() {
    let tracking = json!({"tracking_id": "U1", "impact_initiated": "2024-09-16T20:34:04.429Z"});
    let tracking: Tracking = read(&tracking);
    let client = blocking(Vec::new());
    let error = client.cancel_impact(&tracking).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Invalid(_)));
    assert_eq!(error.execution(), Execution::NotExecuted);
    assert!(client.track(&tracking).is_err());
    assert_eq!(client.transport().request_count(), 0);
}

#[test]
fn projects_are_requested_by_type_and_by_id() {
    let project = json!({"project_id": "a/b", "name": "n", "type": "trees", "available": true});
    let client = blocking(vec![ok(&json!({"projects": [project]})), ok(&project)]);
    let list = client.projects(ProjectType::Trees).unwrap();
    assert_eq!(client.project("a/b").unwrap(), list.projects[0]);
    let requests = client.transport().requests.lock().unwrap().clone();
    assert!(requests[0].ends_with("/v1/projects?type=trees"));
    assert!(requests[1].ends_with("/v1/projects/a%2Fb"));
}

#[test]
fn a_purchase_whose_response_is_lost_is_not_retried() {
    let client = blocking(vec![Err(TransportError::exchange("reset")), page(&[], None)]);
    let error = client.plant_tree(Trees::of::<5>()).unwrap_err();
    assert_eq!(error.execution(), Execution::Unknown);
    assert_eq!((error.attempts(), client.transport().request_count()), (1, 1));
    assert_eq!(error.elapsed(), Duration::from_secs(1));
}

#[test]
fn a_read_is_retried_after_a_wait_by_both_clients() {
    let busy = || {
        let response = Response::builder().status(429).header("retry-after", "2");
        Ok(response.body(Vec::new()).unwrap())
    };
    let lost = || Err(TransportError::exchange("reset"));
    let account = || ok(&json!({"user_id": "U1", "email": "a@x.com"}));

    let once = blocking(vec![lost(), busy(), account()]);
    let client = once.with_retry(RetryPolicy::STANDARD);
    assert_eq!(client.whoami().unwrap().user_id, UserId::new("U1"));
    let waits = client.transport().waits.lock().unwrap().clone();
    assert_eq!((client.transport().request_count(), waits.len()), (3, 2));
    assert!(waits[0] <= client.retry().base && waits[1] >= Duration::from_secs(2));

    let client = asynchronous(vec![lost(), busy(), account()]);
    let client = client.with_retry(RetryPolicy::STANDARD);
    assert_eq!(block_on(client.whoami()).unwrap().user_id, UserId::new("U1"));
    assert_eq!(*client.transport().waits.lock().unwrap(), waits);

    // A policy for a single call does not change the client.
    let client = blocking(vec![lost(), lost(), lost()]).with_retry(RetryPolicy::STANDARD);
    let error = client.with_retry(RetryPolicy::NEVER).whoami().unwrap_err();
    assert_eq!(error.attempts(), 1);
    assert_eq!(client.retry(), RetryPolicy::STANDARD);
}

#[test]
fn the_last_error_reports_attempts_and_elapsed_time() {
    let lost = || Err(TransportError::exchange("reset"));
    let client = blocking(vec![lost(), lost(), lost(), lost()]).with_retry(RetryPolicy::STANDARD);
    let error = client.whoami().unwrap_err();
    assert_eq!((error.attempts(), client.transport().request_count()), (3, 3));
    assert_eq!(error.elapsed(), Duration::from_secs(3) + client.transport().total_wait());
    assert!(error.to_string().ends_with("(after 3 attempts)"), "{error}");
}

#[test]
fn a_purchase_is_retried_only_if_it_certainly_was_not_made() {
    let receipt =
        json!({"user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z", "tree_planted": 5});
    let refused = || Err(TransportError::connect("refused"));
    let client = blocking(vec![refused(), refused(), ok(&receipt)]);
    let client = client.with_retry(RetryPolicy::default());
    client.plant_tree(Trees::of::<5>()).unwrap();
    assert_eq!(client.transport().request_count(), 3);

    let lost = Err(TransportError::exchange("reset"));
    let client = blocking(vec![refused(), lost, ok(&receipt)]);
    let client = client.with_retry(RetryPolicy::default().attempts(9));
    let error = client.plant_tree(Trees::of::<5>()).unwrap_err();
    assert_eq!(error.execution(), Execution::Unknown);
    assert_eq!((error.attempts(), client.transport().request_count()), (2, 2));
}

/// A response with the server's time, which a verified purchase needs first.
fn account() -> SendResult {
    let mut account = ok(&json!({"user_id": "U1", "email": "a@x.com"})).unwrap();
    let date = "Mon, 16 Sep 2024 20:34:04 GMT".parse().unwrap();
    account.headers_mut().insert("date", date);
    Ok(account)
}

#[test]
fn both_clients_find_a_verified_purchase_whose_response_was_lost() {
    let intent = Intent::new("shop", "order-1");
    let row = json!({
        "user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z", "tree_planted": 5,
        "metadata": {Intent::METADATA_KEY: intent.marker()},
        "tracking_id": "x", "impact_initiated": "2024-09-16T20:34:04.429Z",
    });
    let lost = || Err(TransportError::exchange("reset"));
    let none = || ok(&json!({"customer_records": []}));
    let found = || ok(&json!({"user_records": [row]}));
    let responses = || vec![account(), lost(), none(), page(&[], None), none(), found(), ok(&row)];
    let plant = || PlantTree::new(Trees::of::<5>());

    let client = blocking(responses());
    let Outcome::Confirmed(receipt) = client.buy_verified(&intent, plant()) else {
        panic!("confirmed")
    };
    assert_eq!(receipt.time_utc.to_string(), "2024-09-16T20:34:04.429Z");
    let requests = client.transport().requests.lock().unwrap().clone();
    let paths = ["whoami", "plant_tree", "customer_records", "records"];
    for (request, path) in requests.iter().zip(paths) {
        assert!(request.contains(&format!("/v1/{path}")), "{request}");
    }
    assert!(requests[6].contains("/v1/track?"));
    let waits = client.transport().total_wait();
    assert!(waits > Duration::ZERO);

    let client = asynchronous(responses());
    let outcome = block_on(client.buy_verified(&intent, plant()));
    assert!(matches!(outcome, Outcome::Confirmed(_)), "{outcome}");
    assert_eq!(*client.transport().requests.lock().unwrap(), requests);
    assert_eq!(client.transport().total_wait(), waits);

    // Metadata without room for the marker: nothing is sent.
    let full = (0..20).map(|at| (at.to_string(), ""));
    let full = plant().metadata(Metadata::from_pairs(full).unwrap());
    let client = blocking(Vec::new());
    let refused = client.buy_verified(&intent, full).into_result().unwrap_err();
    assert!(matches!(&refused, Outcome::Refused(_)) && refused.error().is_some());
    let shown: Box<dyn std::error::Error> = refused.into();
    assert!(shown.to_string().starts_with("not bought, because it was refused: "), "{shown}");
    assert_eq!(client.transport().request_count(), 0);
}

#[test]
fn a_verified_purchase_with_a_receipt_takes_two_requests() {
    let intent = Intent::new("shop", "order-1");
    let receipt =
        json!({"user_id": "U1", "time_utc": "2024-09-16T20:34:04.429Z", "tree_planted": 5});
    let client = blocking(vec![account(), ok(&receipt)]);
    let purchase = VerifiedPurchase::new(&intent, PlantTree::new(Trees::of::<5>())).unwrap();
    let transport = client.transport();
    let mut step = client.start(purchase);
    for buys in [false, true] {
        let Step::Send(request, sent) = step else { panic!("a request") };
        assert_eq!(sent.may_buy(), buys);
        let outcome = BlockingTransport::send(transport, request);
        step = sent.finish(outcome, BlockingTransport::now(transport));
    }
    assert!(matches!(step, Step::Done(Outcome::Confirmed(_))), "{step:?}");
    assert_eq!(transport.request_count(), 2);
}

#[test]
fn a_list_returns_the_items_of_all_pages_and_ends() {
    let responses = || vec![page(&[1, 2], Some("a")), page(&[], Some("b")), page(&[3], None)];
    let client = blocking(responses());
    let amounts: Result<Vec<_>, _> = client
        .records(ListRecords::new())
        .map(|record| Ok::<_, oneclick_proto::Error>(record?.impact.amount))
        .collect();
    assert_eq!(amounts.unwrap(), [1, 2, 3]);

    let client = asynchronous(responses());
    block_on(async {
        let mut items = client.records(ListRecords::new());
        let mut amounts = Vec::new();
        while let Some(record) = items.next().await {
            amounts.push(record.unwrap().impact.amount);
        }
        assert_eq!(amounts, [1, 2, 3]);
        assert!(items.next().await.is_none());
    });
    assert_eq!(client.transport().request_count(), 3);
}

#[test]
fn a_list_ends_after_an_error_and_keeps_the_cursor_to_resume_from() {
    let responses = || vec![page(&[1], Some("a")), Err(TransportError::exchange("reset"))];
    let client = blocking(responses());
    let mut items = client.records(ListRecords::new());
    assert!(items.next().unwrap().is_ok());
    assert!(items.next().unwrap().is_err());
    assert!(items.next().is_none() && items.next().is_none());
    assert_eq!(items.cursor().unwrap().as_str(), "a");

    let client = asynchronous(responses());
    let mut pages = client.records(ListRecords::new()).into_pages();
    assert!(block_on(pages.next()).unwrap().is_ok());
    assert!(block_on(pages.next()).unwrap().is_err());
    assert!(block_on(pages.next()).is_none());
    assert_eq!(pages.cursor().unwrap().as_str(), "a");
}

#[test]
fn a_list_whose_cursors_repeat_ends_with_an_error() {
    let client = blocking(vec![page(&[1], Some("a")), page(&[2], Some("a"))]);
    let mut items = client.records(ListRecords::new());
    assert!(items.next().unwrap().is_ok());
    assert!(items.next().unwrap().is_ok(), "the page before the error is returned");
    let error = items.next().unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::CursorRepeated));
    assert_eq!(error.endpoint(), Some("/v1/records"));
    assert!(items.next().is_none());
}

#[test]
fn a_list_ends_at_its_caps() {
    let client = blocking(vec![page(&[1, 2], Some("a")), page(&[3, 4], Some("b"))]);
    let records = ListRecords::new().limit(Limit::of::<2>());
    let items = client.records(records.clone()).max_items(3);
    assert_eq!(items.filter_map(Result::ok).count(), 3);
    assert!(client.transport().requests.lock().unwrap()[1].ends_with("?limit=1&cursor=a"));

    let client = asynchronous(vec![page(&[1, 2], Some("a"))]);
    let mut pages = client.records(records).max_pages(1).into_pages();
    block_on(async {
        assert_eq!(pages.next().await.unwrap().unwrap().items.len(), 2);
        assert!(pages.next().await.is_none());
        assert!(!pages.is_complete());
    });
}

#[test]
fn a_transport_that_cannot_be_set_up_fails_before_any_request() {
    let error = BlockingClient::<Script>::sandbox("test_key").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Setup));
    assert_eq!(error.execution(), Execution::NotExecuted);
    assert!(BlockingClient::<Script>::with_base_url("http://127.0.0.1:1", "test_key").is_ok());
    let client = AsyncClient::<Script>::from_env().unwrap();
    assert_eq!(client.api().base_url().to_string(), "http://127.0.0.1:1");
}

#[test]
fn environment_variables_choose_key_and_base_url() {
    let api = |key: Option<&str>, url: Option<&str>| {
        Api::from_vars(|name| match name {
            "ONECLICK_API_KEY" => key.map(str::to_owned),
            "ONECLICK_BASE_URL" => url.map(str::to_owned),
            _ => None,
        })
        .map(|api| api.base_url().to_string())
        .map_err(|error| error.to_string())
    };
    assert_eq!(api(Some("test_1"), None).unwrap(), "https://sandbox.1clickimpact.com");
    assert_eq!(api(Some("live_1"), None).unwrap(), "https://api.1clickimpact.com");
    assert_eq!(api(Some("old"), Some("https://x.y")).unwrap(), "https://x.y");
    assert_eq!(api(None, None).unwrap_err(), "ONECLICK_API_KEY is not set: set it to your API key");
    // An empty variable is a mistake, and ignoring it could send the key elsewhere.
    assert_eq!(api(Some(""), None).unwrap_err(), "ONECLICK_API_KEY is set but empty");
    assert_eq!(api(Some("test_1"), Some("")).unwrap_err(), "ONECLICK_BASE_URL is set but empty");
    #[cfg(unix)]
    for (key, url, damaged) in [
        (&b"test_1"[..], &b"http://127.0.0.1:8787/\xff"[..], "ONECLICK_BASE_URL"),
        (b"test_\xff", b"http://127.0.0.1:8787", "ONECLICK_API_KEY"),
    ] {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let error = Api::from_vars(|name| match name {
            "ONECLICK_API_KEY" => Some(OsStr::from_bytes(key)),
            "ONECLICK_BASE_URL" => Some(OsStr::from_bytes(url)),
            _ => None,
        });
        assert_eq!(error.unwrap_err().to_string(), format!("{damaged} is not valid Unicode"));
    }
    assert!(api(Some("old"), None).unwrap_err().contains("set ONECLICK_BASE_URL"));
    assert!(api(Some("test_1"), Some("https://api.1clickimpact.com")).is_err());
}

#[test]
fn plain_http_to_another_host_needs_oneclick_insecure_to_be_1() {
    let api = |url: Option<&str>, insecure: Option<&str>| {
        Api::from_vars(|name| match name {
            "ONECLICK_API_KEY" => Some("test_1".to_owned()),
            "ONECLICK_BASE_URL" => url.map(str::to_owned),
            "ONECLICK_INSECURE" => insecure.map(str::to_owned),
            _ => None,
        })
        .map(|api| api.base_url().to_string())
        .map_err(|error| error.to_string())
    };
    let emulator = Some("http://emulator:8787");
    assert_eq!(api(emulator, Some("1")).unwrap(), "http://emulator:8787");
    for other in [None, Some(""), Some("0"), Some("true"), Some("yes"), Some(" 1"), Some("11")] {
        let refused = api(emulator, other).unwrap_err();
        assert!(refused.contains("set ONECLICK_INSECURE=1"), "{other:?}: {refused}");
    }
    // The variable changes nothing else.
    for insecure in [None, Some("1")] {
        assert_eq!(api(None, insecure).unwrap(), "https://sandbox.1clickimpact.com");
        assert_eq!(api(Some("http://127.0.0.1:1"), insecure).unwrap(), "http://127.0.0.1:1");
        assert!(api(Some("https://api.1clickimpact.com"), insecure).is_err());
        assert!(api(Some("ftp://emulator"), insecure).is_err());
        assert!(api(Some("http://user@emulator"), insecure).is_err());
    }
}

#[test]
fn clients_and_their_futures_are_send() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn streamed<T: futures_core::Stream + Send + Unpin + 'static>(_: &T) {}
    fn sent<T: Send>(_: &T) {}
    let client = asynchronous(Vec::new());
    shared(&client);
    sent(&client.whoami());
    streamed(&client.records(ListRecords::new()));
    streamed(&client.records(ListRecords::new()).into_pages());
    shared(&blocking(Vec::new()));
}
