//! What a decoder of gzip is trusted with: nothing.

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

fn decode(answer: Response<Vec<u8>>) -> Error {
    let plant = PlantTree::new(Trees::of::<1>());
    Api::sandbox("test_5ecretKey").unwrap().decode(&plant, answer).unwrap_err()
}

#[test]
fn what_inflates_without_end_takes_no_more_memory_than_a_body_of_the_limit() {
    let endless: Gunzip = |_| Box::new(io::repeat(b' '));
    let used = allocation_counter::measure(|| {
        let error = finish(endless, MEBIBYTE).unwrap_err();
        assert_eq!(error.phase(), Phase::TooLarge);
        assert_eq!(error.status().unwrap(), 200);
    });
    // A vector grows by doubling, and moves while it does.
    assert!(used.bytes_max < 4 * MEBIBYTE as u64, "{used:?}");
}

#[test]
fn more_than_the_limit_can_explain_is_not_kept_however_little_it_holds() {
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
fn what_comes_out_is_the_body_and_the_head_says_so() {
    let twice: Gunzip = |packed| Box::new(packed.chain(packed));
    for limit in [6, usize::MAX] {
        let answer = finish(twice, limit).unwrap();
        assert_eq!(answer.body(), b"abcabc");
        assert!(answer.headers().is_empty(), "{:?}", answer.headers());
    }
    assert_eq!(finish(twice, 5).unwrap_err().phase(), Phase::TooLarge);
}

#[test]
fn without_a_decoder_the_answer_stays_as_it_is_and_the_error_says_so() {
    let answer = reader(None, 3).push(b"abc").unwrap().finish().unwrap();
    assert_eq!((&answer.body()[..], answer.headers().len()), (&b"abc"[..], 2));
    let error = decode(answer);
    assert!(matches!(error.kind(), ErrorKind::Decode), "{error:?}");
    assert_eq!(error.execution(), Execution::Unknown);
    assert_eq!(
        error.to_string(),
        "POST /v1/plant_tree: the response body could not be decoded: its content-encoding \
         gzip was not decoded; the request may have been executed, so check before sending it again",
    );
}

#[test]
fn an_encoding_that_repeats_the_key_or_an_address_is_in_no_message() {
    for echo in ["test_5ecretKey", "5ecretKey", "ada@example.com"] {
        let mut answer = Response::new(b"...".to_vec());
        answer.headers_mut().insert("content-encoding", echo.parse().unwrap());
        let shown = format!("{:?}", decode(answer));
        assert!(!shown.to_lowercase().contains("5ecret") && !shown.contains("ada@"), "{shown}");
    }
}

#[test]
fn gzip_is_taken_off_under_its_two_names_and_nothing_else_is() {
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
fn an_answer_that_names_no_encoding_or_identity_is_read_as_it_is() {
    for encoding in ["identity", "Identity", ""] {
        let mut answer = Response::new(&b"what?"[..]);
        answer.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        let plant = PlantTree::new(Trees::of::<1>());
        let error = Api::sandbox("test_key").unwrap().decode(&plant, answer).unwrap_err();
        assert!(!error.to_string().contains("encoding"), "{error}");
    }
}

/// What does not compress grows by less than an eighth and a kibibyte.
#[test]
fn as_much_arrives_as_a_body_of_the_limit_can_need() {
    let one: Gunzip = |_| Box::new(&b"1"[..]);
    for limit in [0, 8, 8000] {
        let most = limit + limit / 8 + 1024;
        assert!(reader(Some(one), limit).push(&vec![0; most]).is_ok());
        assert!(reader(Some(one), limit).push(&vec![0; most + 1]).is_err());
    }
}
