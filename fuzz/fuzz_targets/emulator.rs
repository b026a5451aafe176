//! Sends any requests to the emulator. It always responds in JSON with a status of the
//! API, and a request that it rejects changes nothing.
#![no_main]

use chrono::DateTime;
use http::Request;
use libfuzzer_sys::fuzz_target;
use oneclick_emulator::Emulator;

/// Whether the method is POST, the request target below `/v1/`, and the body.
type Input<'a> = (bool, &'a str, &'a [u8]);

fuzz_target!(|input: Vec<Input<'_>>| {
    let mut emulator = Emulator::default();
    let mut now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    for (post, target, body) in input.into_iter().take(16) {
        now += chrono::TimeDelta::milliseconds(1);
        let request = Request::builder()
            .method(if post { "POST" } else { "GET" })
            .uri(format!("/v1/{target}"))
            .header("x-api-key", "test_fuzz")
            .header("content-type", "application/json")
            .body(body);
        // A request with an invalid URI cannot be sent.
        let Ok(request) = request else { continue };
        let before = emulator.account("test_fuzz").map_or(0, |account| account.ledger().len());
        let response = emulator.respond(&request, now);
        let after = emulator.account("test_fuzz").map_or(0, |account| account.ledger().len());
        let status = response.status().as_u16();
        assert!(matches!(status, 200 | 400 | 401 | 404 | 405 | 413 | 415), "{status}");
        assert!(serde_json::from_slice::<serde_json::Value>(response.body()).is_ok());
        assert!(after == before || (post && status == 200 && after == before + 1));
    }
});
