//! Compares timestamps with chrono and `Retry-After` dates with httpdate, and checks impact
//! ids and `Retry-After` in seconds. The input is the text to parse. A line break and the
//! `Date` header of the response may follow it.
#![no_main]

use std::time::{Duration, SystemTime};

use chrono::DateTime;
use http::header::{DATE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use libfuzzer_sys::fuzz_target;
use oneclick_proto::{Api, GetAccount, ImpactId, Timestamp};

/// The last second of the year 8999. The client ignores later dates.
const LAST: u64 = 221_845_391_999;

fuzz_target!(|input: &str| {
    let (text, date) = match input.split_once('\n') {
        Some((text, date)) => (text, Some(date)),
        None => (input, None),
    };
    timestamp(text);
    retry_after(text, date);
    if let Some(numbers) = input.as_bytes().first_chunk() {
        every_date_is_read(*numbers);
    }
});

fn timestamp(text: &str) {
    let expected = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let read = text.parse::<Timestamp>();
    assert_eq!(read.as_ref().map(Timestamp::datetime), expected.as_ref().map(|time| *time));
    if let Ok(read) = read {
        assert_eq!(read.to_string(), text);
    }
    if let Ok(id) = text.parse::<ImpactId>() {
        assert_eq!(id.to_string(), text);
    }
}

fn retry_after(text: &str, date: Option<&str>) {
    let header = |text: &str| text.parse::<HeaderValue>().ok().filter(|text| text.to_str().is_ok());
    let Some(after) = header(text) else { return };
    let read = wait(after, date.and_then(header));
    let text = text.trim();
    if let Some(seconds) = seconds(text) {
        let read = read.expect("a number of seconds").as_secs_f64();
        // An `f64` is not exact for larger numbers.
        let most = 1e15;
        assert_eq!(read.min(most), seconds.min(most), "{text:?}");
        return;
    }
    // Only a number of seconds is usable without a `Date` header.
    let Some(date) = date.filter(|date| header(date).is_some()) else {
        return assert_eq!(read, None);
    };
    let moment = |text: &str| {
        let read = httpdate::parse_http_date(text).ok();
        let read = read.map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap());
        // httpdate accepts any character after a two-digit year.
        let read = read.filter(|time| written(time.as_secs()).contains(&text.trim().to_owned()));
        let read = read.filter(|time| time.as_secs() <= LAST);
        assert!(read.is_none() || read == since_1970(text), "{text:?}");
        read.or_else(|| since_1970(text).inspect(|time| check_lenient(text, time.as_secs())))
    };
    let (until, now) = (moment(text), moment(date));
    let expected = until.zip(now).and_then(|(until, now)| until.checked_sub(now));
    assert_eq!(read, expected, "{text:?} {date:?}");
}

/// Returns the moment that the client reads from a date, as the time since 1970.
fn since_1970(text: &str) -> Option<Duration> {
    let epoch = HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT");
    wait(text.parse().ok()?, Some(epoch)).filter(|_| seconds(text).is_none())
}

/// Returns the largest number of seconds in a comma-separated list, rounded up.
fn seconds(text: &str) -> Option<f64> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |part: &str| {
        let (whole, fraction) = part.split_once('.').unwrap_or((part, "0"));
        let more = f64::from(fraction.bytes().any(|digit| digit != b'0'));
        (digits(whole) && digits(fraction)).then(|| whole.parse::<f64>().expect("digits") + more)
    };
    text.split(',').map(str::trim).filter_map(number).reduce(f64::max)
}

/// Checks a date that the client reads and httpdate rejects. It may differ from an exact
/// date only in letter case, white space, leading zeros and abbreviated names.
fn check_lenient(text: &str, moment: u64) {
    // HTTP allows a leap second, and a year with a sign may have any number of zeros.
    let leaps = moment.is_multiple_of(60) && text.contains("60");
    if leaps || text.contains('+') {
        return;
    }
    let short = short_names(text);
    let same = |exact: &String| is_lenient_form(&short, &short_names(exact));
    let same = written(moment).iter().any(same);
    assert!(same, "{text:?} is read as {}", write(0, moment));
}

fn short_names(text: &str) -> String {
    const LONG: [&str; 18] = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "january",
        "february",
        "march",
        "april",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let text = text.to_ascii_lowercase();
    LONG.iter().fold(text, |text, name| text.replace(name, &name[..3]))
}

fn is_lenient_form(text: &str, exact: &str) -> bool {
    let mut letters = text.chars().filter(|letter| !letter.is_whitespace()).peekable();
    // Whether a zero here would be a leading zero of a number.
    let mut leading = true;
    for letter in exact.chars() {
        let here = letters.next_if(|other| *other == letter).is_some();
        if !(here || letter.is_whitespace() || (letter == '0' && leading)) {
            return false;
        }
        leading = !letter.is_ascii_digit() || (letter == '0' && leading);
    }
    letters.next().is_none()
}

/// Checks that the client reads two moments, each written in one of HTTP's three forms.
fn every_date_is_read(numbers: [u8; 11]) {
    let [forms, a, b, c, d, e, f, g, h, i, j] = numbers;
    // The form with a two-digit year ends in 2069, the others in the year 8999.
    let most = |form: u8| if form == 1 { 3_155_759_999 } else { LAST };
    let (first, second) = (forms % 3, forms / 3 % 3);
    let number = |bytes: [u8; 5]| bytes.iter().fold(0, |sum, byte| sum * 256 + u64::from(*byte));
    let now = number([a, b, c, d, e]) % (most(first) + 1);
    let until = number([f, g, h, i, j]) % (most(second) + 1);
    let header = |form, moment| write(form, moment).parse::<HeaderValue>().unwrap();
    let read = wait(header(second, until), Some(header(first, now)));
    // A date in the past gives no wait.
    assert_eq!(read, until.checked_sub(now).map(Duration::from_secs), "{now} {until}");
}

/// Returns a moment in all exact forms.
fn written(moment: u64) -> [String; 4] {
    let [usual, with_name, short] = [0, 1, 2].map(|form| write(form, moment));
    let padded = short.replacen("  ", " 0", 1);
    [usual, with_name, short, padded]
}

/// Writes a moment in one of HTTP's three forms.
fn write(form: u8, moment: u64) -> String {
    let usual = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(moment));
    let [day, month, year, time] = [&usual[5..7], &usual[8..11], &usual[12..16], &usual[17..25]];
    let weekday = &usual[..3];
    match form {
        0 => usual,
        1 => {
            let rest = match weekday {
                "Tue" => "s",
                "Wed" => "nes",
                "Thu" => "rs",
                "Sat" => "ur",
                _ => "",
            };
            format!("{weekday}{rest}day, {day}-{month}-{} {time} GMT", &year[2..])
        }
        _ => format!("{weekday} {month} {:>2} {time} {year}", day.trim_start_matches('0')),
    }
}

/// Returns the wait that the client reads from a response with these headers.
fn wait(after: HeaderValue, date: Option<HeaderValue>) -> Option<Duration> {
    let mut response = Response::new("");
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response.headers_mut().insert(RETRY_AFTER, after);
    response.headers_mut().extend(date.map(|date| (DATE, date)));
    Api::sandbox("test_key").unwrap().decode(&GetAccount, response).unwrap_err().retry_after()
}
