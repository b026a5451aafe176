//! Timestamps against chrono, ids of impacts, and `Retry-After`.
#![no_main]

use chrono::DateTime;
use http::{Response, StatusCode};
use libfuzzer_sys::fuzz_target;
use oneclick_proto::{Api, ImpactId, Timestamp, Whoami};

fuzz_target!(|text: &str| {
    let expected = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let read = text.parse::<Timestamp>();
    assert_eq!(read.as_ref().map(Timestamp::datetime), expected.as_ref().map(|time| *time));
    if let Ok(read) = read {
        assert_eq!(read.to_string(), text);
    }
    if let Ok(id) = text.parse::<ImpactId>() {
        assert_eq!(id.to_string(), text);
    }
    let Ok(after) = text.parse::<http::HeaderValue>() else { return };
    let mut answer = Response::new("");
    *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    answer.headers_mut().insert("retry-after", after);
    let error = Api::sandbox("test_key").unwrap().decode(&Whoami, answer).unwrap_err();
    let seconds = error.retry_after().map(|wait| wait.as_secs());
    // Without a date beside it only a number of seconds says how long.
    if let Ok(number) = text.trim().parse::<u64>() {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            assert_eq!(seconds, Some(number));
        }
    }
});
