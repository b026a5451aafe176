//! Compressed responses, which are requested only with the feature `gzip`.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use oneclick_proto::{ErrorKind, Execution};

use crate::adapter::{Adapter, plant};
use crate::adapter_parity::all_fail_alike;
use crate::behaviours;
use crate::raw_server::{RECEIPT, RawServer};

behaviours! {
    an_unrequested_encoding_is_an_error_that_names_it
    the_identity_encoding_is_no_error
}

const ERROR: &str = r#"{"type":"key_error","message":"API Key does not exist"}"#;

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// A response with this encoding.
fn encoded(status: &str, encoding: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-encoding: {encoding}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// The encodings that are not decoded.
fn unread() -> Vec<&'static str> {
    let mut unread = vec!["br", "zstd", "deflate", "gzip, gzip", "gzip\r\ncontent-encoding: br"];
    if cfg!(not(feature = "gzip")) {
        unread.extend(["gzip", "GZIP", "x-gzip"]);
    }
    unread
}

fn an_unrequested_encoding_is_an_error_that_names_it<S: Adapter>() {
    let body = gzip(RECEIPT);
    for encoding in unread() {
        let server = RawServer::responding(encoded("200 OK", encoding, &body));
        let error = S::new(&server.url()).fails(plant());
        assert!(matches!(error.kind(), ErrorKind::Decode), "{error:?}");
        assert_eq!(error.execution(), Execution::Unknown);
        assert_eq!(error.body(), body);
        let encoding = encoding.replace("\r\ncontent-encoding:", ",").to_ascii_lowercase();
        let says =
            format!("its content-encoding {encoding} was not decoded; the request may have been");
        assert!(error.to_string().contains(&says), "{error}");

        let server = RawServer::responding(encoded("401 X", &encoding, &body));
        let error = S::new(&server.url()).fails(plant());
        assert!(matches!(error.kind(), ErrorKind::Status(_)), "{error:?}");
        assert_eq!(error.execution(), Execution::Unknown);
        assert_eq!(error.body(), body);
        assert!(error.to_string().contains(&says), "{error}");
    }
}

fn the_identity_encoding_is_no_error<S: Adapter>() {
    for encoding in ["identity", "Identity", ""] {
        let server = RawServer::responding(encoded("200 OK", encoding, RECEIPT.as_bytes()));
        S::new(&server.url()).send(plant()).unwrap();
    }
}

#[test]
fn unreadable_responses_give_the_same_error_over_all_adapters() {
    let receipt = gzip(RECEIPT);
    let mut damaged = receipt.clone();
    damaged[20] ^= 0xff;
    let whole = encoded("200 OK", "gzip", &receipt);
    for bytes in [
        encoded("200 OK", "br", &receipt),
        encoded("200 OK", "gzip", &receipt[..40]),
        encoded("200 OK", "gzip", &damaged),
        encoded("200 OK", "gzip", &[&receipt, b"garbage".as_slice()].concat()),
        encoded("200 OK", "gzip", b""),
        encoded("401 X", "gzip", &gzip(ERROR)),
        encoded("401 X", "gzip", b"<html></html>"),
        encoded("500 X", "gzip", &damaged),
        whole[..whole.len() - 30].to_vec(),
    ] {
        all_fail_alike(bytes);
    }
}

#[cfg(feature = "gzip")]
mod taken_off {
    //! Behaviour with the feature `gzip`.

    use std::sync::OnceLock;

    use oneclick_proto::{Error, ListRecords, Phase, TransportOptions};

    use super::*;
    use crate::adapter::phase;
    use crate::raw_server::response;

    behaviours! {
        a_gzip_response_is_read
        a_gzip_response_of_several_members_is_read_completely
        a_page_of_a_thousand_records_compresses_to_a_sixth
        a_gzip_error_response_is_read
        a_gzip_response_without_a_body_is_empty
        a_body_at_the_limit_is_read_and_one_byte_more_is_not
        a_gzip_bomb_is_stopped_at_the_limit
        endless_gzip_that_decompresses_to_nothing_is_stopped
        truncated_gzip_is_unknown_and_keeps_the_part_that_arrived
        a_connection_lost_within_gzip_is_unknown_and_keeps_the_part_that_arrived
        damaged_gzip_is_unknown
        an_error_response_in_damaged_gzip_is_unknown_and_kept
    }

    /// The error of a purchase that gets this response.
    fn buy<S: Adapter>(bytes: impl Into<Vec<u8>>) -> Error {
        let bytes = bytes.into();
        let server = RawServer::start(move |_, wire| {
            wire.request();
            wire.write(&bytes);
        });
        let error = S::new(&server.url()).fails(plant());
        assert_eq!(server.requests().len(), 1);
        error
    }

    fn capped(bytes: usize) -> TransportOptions {
        TransportOptions::new().max_response_bytes(bytes)
    }

    #[track_caller]
    fn assert_cut(error: &Error) {
        assert_eq!(phase(error), Some(Phase::Body), "{error:?}");
        assert_eq!(error.execution(), Execution::Unknown);
        assert_eq!(error.status().unwrap(), 200);
        assert!(!error.is_timeout());
    }

    fn a_gzip_response_is_read<S: Adapter>() {
        let body = gzip(RECEIPT);
        let mut chunked =
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
                .to_vec();
        for byte in &body {
            chunked.extend([b"1\r\n", [*byte].as_slice(), b"\r\n"].concat());
        }
        chunked.extend(b"0\r\n\r\n");
        for bytes in [
            encoded("200 OK", "gzip", &body),
            encoded("201 Created", "GZip", &body),
            encoded("200 OK", "x-gzip", &body),
            chunked,
        ] {
            let server = RawServer::responding(bytes);
            let client = S::new(&server.url());
            // The connection is reused.
            for _ in 0..2 {
                assert_eq!(client.send(plant()).unwrap().impact.amount, 5);
            }
            assert_eq!(server.connections(), 1);
        }
        // An uncompressed response is read as well.
        let server = RawServer::responding(response("200 OK", "", RECEIPT));
        S::new(&server.url()).send(plant()).unwrap();
    }

    fn a_gzip_response_of_several_members_is_read_completely<S: Adapter>() {
        let (first, second) = RECEIPT.split_at(30);
        let body = [gzip(first), gzip(""), gzip(second)].concat();
        let server = RawServer::responding(encoded("200 OK", "gzip", &body));
        assert_eq!(S::new(&server.url()).send(plant()).unwrap().impact.amount, 5);
    }

    fn a_page_of_a_thousand_records_compresses_to_a_sixth<S: Adapter>() {
        let row = |number: u32| {
            // Pseudo-random times, since those do not compress well.
            let drawn = number.wrapping_mul(2_654_435_761);
            let (day, hour, minute) = (drawn % 30 + 1, drawn / 32 % 24, drawn / 1024 % 60);
            let (second, millis) = (drawn / 65_536 % 60, drawn / 4_194_304 % 1000);
            let time = format!("2024-09-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z");
            let amount = drawn / 512 % 20 + 1;
            format!(r#"{{"user_id":"U1234567890","time_utc":"{time}","tree_planted":{amount}}}"#)
        };
        let rows: Vec<_> = (0..1000).map(row).collect();
        let page = format!(r#"{{"user_records":[{}],"cursor":null}}"#, rows.join(","));
        let body = gzip(&page);
        assert!(body.len() * 6 < page.len(), "{} of {}", body.len(), page.len());
        let server = RawServer::responding(encoded("200 OK", "gzip", &body));
        let page = S::new(&server.url()).send(ListRecords::new()).unwrap();
        assert_eq!(page.items.len(), 1000);
    }

    fn a_gzip_error_response_is_read<S: Adapter>() {
        for (status, execution) in [
            ("401 X", Execution::NotExecuted),
            ("429 X", Execution::NotExecuted),
            ("500 X", Execution::Unknown),
        ] {
            let error = buy::<S>(encoded(status, "gzip", &gzip(ERROR)));
            assert!(matches!(error.kind(), ErrorKind::Status(_)), "{error:?}");
            assert_eq!(error.execution(), execution);
            assert_eq!(error.message(), Some("API Key does not exist"));
            assert_eq!(error.body(), ERROR.as_bytes());
        }
    }

    fn a_gzip_response_without_a_body_is_empty<S: Adapter>() {
        let error = buy::<S>(encoded("200 OK", "gzip", b""));
        assert!(matches!(error.kind(), ErrorKind::Decode), "{error:?}");
        assert_eq!(error.execution(), Execution::Unknown);
        let error = buy::<S>(encoded("503 X", "gzip", b""));
        assert!(matches!(error.kind(), ErrorKind::Status(_)), "{error:?}");
    }

    fn a_body_at_the_limit_is_read_and_one_byte_more_is_not<S: Adapter>() {
        // One body is smaller than its gzip, the other is larger.
        for receipt in [RECEIPT.to_owned(), format!("{RECEIPT}{}", " ".repeat(50_000))] {
            let server = RawServer::responding(encoded("200 OK", "gzip", &gzip(&receipt)));
            S::at(&server.url(), &capped(receipt.len())).send(plant()).unwrap();

            let error = S::at(&server.url(), &capped(receipt.len() - 1)).fails(plant());
            assert_eq!(phase(&error), Some(Phase::TooLarge), "{error:?}");
            assert_eq!(error.execution(), Execution::Unknown);
            assert!(error.body().starts_with(b"{\"user_id\""), "{error:?}");
        }
    }

    /// Two gibibytes of blanks in two megabytes.
    fn bomb() -> &'static [u8] {
        static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
        BOMB.get_or_init(|| gzip(vec![b' '; 1024 * 1024]).repeat(2048))
    }

    fn a_gzip_bomb_is_stopped_at_the_limit<S: Adapter>() {
        // The beginning of an error response is kept.
        for (status, expected) in [("200 OK", Some(Phase::TooLarge)), ("401 X", None)] {
            let error = buy::<S>(encoded(status, "gzip", bomb()));
            assert_eq!(phase(&error), expected, "{error:?}");
            assert_eq!(error.execution(), Execution::Unknown);
            assert_eq!(error.body().len(), Error::MAX_BODY_BYTES);
        }
    }

    fn endless_gzip_that_decompresses_to_nothing_is_stopped<S: Adapter>() {
        let piece = gzip("").repeat(200);
        let server = RawServer::start(move |_, wire| {
            wire.request();
            wire.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n");
            // A hundred times the limit, if the client reads all of it.
            for _ in 0..1600 {
                if !wire.write(&piece) {
                    break;
                }
            }
        });
        let error = S::at(&server.url(), &capped(64 * 1024)).fails(plant());
        assert_eq!(phase(&error), Some(Phase::TooLarge), "{error:?}");
    }

    fn truncated_gzip_is_unknown_and_keeps_the_part_that_arrived<S: Adapter>() {
        let body = gzip(RECEIPT);
        for length in [1, 9, 10, 11, body.len() / 2, body.len() - 8, body.len() - 1] {
            assert_cut(&buy::<S>(encoded("200 OK", "gzip", &body[..length])));
        }
        let error = buy::<S>(encoded("200 OK", "gzip", &body[..body.len() - 20]));
        assert!(error.body().starts_with(b"{\"user_id\""), "{error:?}");
        assert!(format!("{error:#}").contains(": the gzip body is invalid: "), "{error:#}");
    }

    fn a_connection_lost_within_gzip_is_unknown_and_keeps_the_part_that_arrived<S: Adapter>() {
        let bytes = encoded("200 OK", "gzip", &gzip(RECEIPT));
        for missing in [1, 8, 30] {
            let error = buy::<S>(&bytes[..bytes.len() - missing]);
            assert_cut(&error);
            assert!(error.body().starts_with(b"{\"user_id\""), "{error:?}");
        }
        let error = buy::<S>(
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n20\r\n\x1f\x8b",
        );
        assert_cut(&error);
    }

    fn damaged_gzip_is_unknown<S: Adapter>() {
        let body = gzip(RECEIPT);
        // The magic number, the data, the checksum, the length.
        for place in [0, 10, 20, body.len() - 8, body.len() - 1] {
            let mut body = body.clone();
            body[place] ^= 0xff;
            assert_cut(&buy::<S>(encoded("200 OK", "gzip", &body)));
        }
        for garbage in ["x", "garbage", "garbage, longer than a head of gzip", "\0", "\x1f"] {
            let body = [&body, garbage.as_bytes()].concat();
            assert_cut(&buy::<S>(encoded("200 OK", "gzip", &body)));
        }
        assert_cut(&buy::<S>(encoded("200 OK", "gzip", RECEIPT.as_bytes())));
    }

    fn an_error_response_in_damaged_gzip_is_unknown_and_kept<S: Adapter>() {
        let mut body = gzip(ERROR);
        body[10] ^= 0xff;
        for body in [&body, "<html>no gzip at all</html>".as_bytes()] {
            for status in ["401 X", "500 X"] {
                let error = buy::<S>(encoded(status, "gzip", body));
                assert_eq!(error.execution(), Execution::Unknown);
                assert_eq!(error.body(), body);
            }
        }
    }
}
