//! A gzip decoder is not trusted: its output is limited, and its errors are errors.

use std::io::{self, Read};

use http::{Method, Response};
use oneclick_proto::{
    Api, BodyReader, Error, ErrorKind, Execution, Gunzip, Phase, PlantTree, TransportError, Trees,
};

const MEBIBYTE: usize = 1024 * 1024;

fn reader(decoder: Option<Gunzip>, limit: usize) -> BodyReader {
    let head = Response::builder().header("content-encoding", "gzip").header("content-length", 3);
    let (head, ()) = head.body(()).unwrap().into_parts();
    BodyReader::new(&Method::GET, head, limit).gunzip(decoder)
}

fn finish(decoder: Gunzip, limit: usize) -> Result<Response<Vec<u8>>, TransportError> {
    reader(Some(decoder), limit).push(b"abc").unwrap().finish()
}

fn decode(response: Response<Vec<u8>>) -> Error {
    let plant = PlantTree::new(Trees::of::<1>());
    Api::sandbox("test_5ecretKey").unwrap().decode(&plant, response).unwrap_err()
}

#[test]
fn endless_output_takes_no_more_memory_than_the_limit() {
    let endless: Gunzip = |_| Box::new(io::repeat(b' '));
    let used = allocation_counter::measure(|| {
        let error = finish(endless, MEBIBYTE).unwrap_err();
        assert_eq!(error.phase(), Phase::TooLarge);
        assert_eq!(error.status().unwrap(), 200);
    });
    // A vector doubles when it grows, and for a moment both allocations exist.
    assert!(used.bytes_max < 4 * MEBIBYTE as u64, "{used:?}");
}

#[test]
fn input_is_limited_even_if_it_decompresses_to_nothing() {
    let empty: Gunzip = |_| Box::new(io::empty());
    let used = allocation_counter::measure(|| {
        let mut reader = reader(Some(empty), MEBIBYTE);
        let error = (0..100).find_map(|_| {
            let piece = vec![0; MEBIBYTE / 4];
            let old = std::mem::replace(&mut reader, self::reader(None, 0));
            old.push(&piece).map(|next| reader = next).err()
        });
        assert_eq!(error.unwrap().phase(), Phase::TooLarge);
    });
    assert!(used.bytes_max < 4 * MEBIBYTE as u64, "{used:?}");
}

#[test]
fn the_decompressed_body_has_no_content_encoding() {
    let twice: Gunzip = |packed| Box::new(packed.chain(packed));
    for limit in [6, usize::MAX] {
        let response = finish(twice, limit).unwrap();
        assert_eq!(response.body(), b"abcabc");
        assert!(response.headers().is_empty(), "{:?}", response.headers());
    }
    assert_eq!(finish(twice, 5).unwrap_err().phase(), Phase::TooLarge);
}

#[test]
fn without_a_decoder_the_error_names_the_encoding() {
    let response = reader(None, 3).push(b"abc").unwrap().finish().unwrap();
    assert_eq!((&response.body()[..], response.headers().len()), (&b"abc"[..], 2));
    let error = decode(response);
    assert!(matches!(error.kind(), ErrorKind::Decode), "{error:?}");
    assert_eq!(error.execution(), Execution::Unknown);
    assert_eq!(
        error.to_string(),
        "POST /v1/plant_tree: the response body could not be decoded: its content-encoding gzip \
         was not decoded; the request may have been executed, so check before sending it again",
    );
}

#[test]
fn an_encoding_that_repeats_the_key_or_an_address_is_hidden() {
    for echo in ["test_5ecretKey", "5ecretKey", "ada@example.com"] {
        let mut response = Response::new(b"...".to_vec());
        response.headers_mut().insert("content-encoding", echo.parse().unwrap());
        let shown = format!("{:?}", decode(response));
        assert!(!shown.to_lowercase().contains("5ecret") && !shown.contains("ada@"), "{shown}");
    }
}

#[test]
fn gzip_and_x_gzip_are_decoded_and_nothing_else() {
    let other: Gunzip = |_| Box::new(&b"inflated"[..]);
    let read = |encodings: &[&str]| {
        let mut head = Response::builder();
        for encoding in encodings {
            head = head.header("content-encoding", *encoding);
        }
        let (head, ()) = head.body(()).unwrap().into_parts();
        let reader =
            BodyReader::new(&Method::GET, head, 100).gunzip(Some(other)).push(b"abc").unwrap();
        reader.finish().unwrap().into_body()
    };
    for encodings in [&["gzip"][..], &["GZip"], &["x-gzip"], &[" gzip "]] {
        assert_eq!(read(encodings), b"inflated", "{encodings:?}");
    }
    for encodings in [&[][..], &["identity"], &[""], &["br"], &["br", "gzip"], &["gzip, gzip"]] {
        assert_eq!(read(encodings), b"abc", "{encodings:?}");
    }
}

#[test]
fn an_empty_encoding_and_identity_are_not_encodings() {
    for encoding in ["identity", "Identity", ""] {
        let mut response = Response::new(&b"what?"[..]);
        response.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        let plant = PlantTree::new(Trees::of::<1>());
        let error = Api::sandbox("test_key").unwrap().decode(&plant, response).unwrap_err();
        assert!(!error.to_string().contains("encoding"), "{error}");
    }
}

/// Data that cannot be compressed grows by less than that.
#[test]
fn compressed_input_may_exceed_the_limit_by_an_eighth_and_a_kibibyte() {
    let one: Gunzip = |_| Box::new(&b"1"[..]);
    for limit in [0, 8, 8000] {
        let most = limit + limit / 8 + 1024;
        assert!(reader(Some(one), limit).push(&vec![0; most]).is_ok());
        assert!(reader(Some(one), limit).push(&vec![0; most + 1]).is_err());
    }
}
