//! How often to retry a call, and how long to wait before each retry. Whether a failure may be
//! retried at all is decided by `Error::classify`.

use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};
use http::HeaderMap;
use http::header::{AGE, DATE, RETRY_AFTER};

use crate::setters::setters;

/// How often to retry a call, and how long to wait before each retry.
///
/// The policy does not decide which failures are retried. A purchase is retried only
/// after a failure that proves that nothing was bought, and no setting changes that.
/// Idempotent calls, which are the reads and `cancel_impact`, are retried after transient
/// failures.
///
/// Each wait is random, between zero and a bound that grows exponentially ("full
/// jitter"), so that clients that failed at the same time do not retry at the same time.
/// The `Retry-After` of a response is added to it.
///
/// ```
/// use std::time::Duration;
/// use oneclick_proto::RetryPolicy;
///
/// let patient = RetryPolicy::STANDARD.attempts(6).deadline(Duration::from_secs(300));
/// assert_eq!(patient.base, Duration::from_millis(500));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The largest number of attempts, including the first; zero counts as one.
    /// [`STANDARD`](Self::STANDARD): 3.
    pub attempts: u32,
    /// The bound of the first wait. It doubles with each further one.
    /// [`STANDARD`](Self::STANDARD): half a second.
    pub base: Duration,
    /// The largest bound. [`STANDARD`](Self::STANDARD): 10 seconds.
    pub cap: Duration,
    /// The longest time from the start of the call to the start of an attempt.
    /// [`STANDARD`](Self::STANDARD): 60 seconds.
    pub deadline: Duration,
    /// The longest `Retry-After` to wait for. A longer one ends the call, and
    /// [`Error::retry_after`](crate::Error::retry_after) returns it.
    /// [`STANDARD`](Self::STANDARD): 30 seconds.
    pub max_retry_after: Duration,
}

impl RetryPolicy {
    /// One attempt, whatever happens.
    pub const NEVER: Self = Self { attempts: 1, ..Self::STANDARD };

    /// The default policy: three attempts within a minute, with waits of up to half a
    /// second before the second and up to a second before the third, plus a
    /// `Retry-After` of up to 30 seconds.
    pub const STANDARD: Self = Self {
        attempts: 3,
        base: Duration::from_millis(500),
        cap: Duration::from_secs(10),
        deadline: Duration::from_secs(60),
        max_retry_after: Duration::from_secs(30),
    };

    setters! { const
        attempts: u32,
        base: Duration,
        cap: Duration,
        deadline: Duration,
        max_retry_after: Duration,
    }

    /// How long to wait after this attempt, counted from 1; `None` if it was the last.
    pub(crate) fn wait(
        &self,
        attempt: u32,
        seed: u64,
        retry_after: Option<Duration>,
        elapsed: Duration,
    ) -> Option<Duration> {
        let asked = retry_after.unwrap_or_default();
        if attempt >= self.attempts || asked > self.max_retry_after {
            return None;
        }
        let doubled = 2_u32.saturating_pow(attempt - 1);
        let bound = self.base.saturating_mul(doubled).min(self.cap);
        let wait = asked.saturating_add(draw(seed, attempt, bound));
        (elapsed.saturating_add(wait) <= self.deadline).then_some(wait)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::STANDARD
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A uniformly distributed duration between zero and a bound.
fn draw(seed: u64, attempt: u32, bound: Duration) -> Duration {
    // A step and the finalizer of splitmix64.
    let mut number = seed.wrapping_add(u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^= number >> 31;
    // 32 bits are precise enough, and the product fits.
    let nanos = (bound.as_nanos() * u128::from(number >> 32)) >> 32;
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).unwrap_or(u64::MAX);
    Duration::from_secs(seconds) + Duration::from_nanos((nanos % NANOS_PER_SECOND) as u64)
}

/// How long a response asks the client to wait: its longest `Retry-After`, in seconds,
/// rounded up, or as a date.
///
/// A date counts from the response's own `Date`, since the client's clock may differ.
/// Without a `Date` it is ignored, as is a date in the past.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let now = date(headers);
    let until = |text: &str| (http_date(text)? - now?).to_std().ok();
    let fields = headers.get_all(RETRY_AFTER).iter().filter_map(|value| value.to_str().ok());
    // A proxy may have joined several fields with commas; a date contains a comma too.
    let read = |field: &str| {
        let seconds = field.split(',').filter_map(|part| whole_seconds(part.trim())).max();
        seconds.or_else(|| until(field.trim()))
    };
    fields.filter_map(read).max()
}

/// A number of seconds, rounded up; too large a number becomes the maximum.
fn whole_seconds(text: &str) -> Option<Duration> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty() || fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let more = fraction.bytes().any(|digit| digit != b'0');
    let whole: u64 = whole.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(whole.saturating_add(more.into())))
}

/// How long ago a response was made, by its longest `Age` (RFC 9111, 5.1): a cache had it that
/// long. Zero without the header.
pub(crate) fn age(headers: &HeaderMap) -> Duration {
    let fields = headers.get_all(AGE).iter().filter_map(|value| value.to_str().ok());
    let parts = fields.flat_map(|field| field.split(','));
    parts.filter_map(|part| whole_seconds(part.trim())).max().unwrap_or_default()
}

/// The `Date` of a response.
pub(crate) fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    http_date(headers.get(DATE)?.to_str().ok()?.trim())
}

/// A date in any of the three forms of HTTP (RFC 9110, 5.6.7). Implausible years are
/// refused, because times are computed from the date and stored.
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    let forms = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let date = |form: &&str| NaiveDateTime::parse_from_str(text, form).ok();
    let date = forms.iter().find_map(date)?.and_utc();
    (1970..9000).contains(&date.year()).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_TIME: Duration = Duration::ZERO;

    fn wait_for(wait: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, wait.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        retry_after(&headers)
    }

    #[test]
    fn a_wait_is_between_zero_and_a_bound_that_doubles_up_to_the_cap() {
        let policy = RetryPolicy::STANDARD.attempts(99).deadline(Duration::MAX);
        for (attempt, bound) in [(1, 500), (2, 1_000), (3, 2_000), (5, 8_000), (6, 10_000)] {
            let bound = Duration::from_millis(bound);
            let waits = (0..2_000).map(|seed| policy.wait(attempt, seed, None, NO_TIME).unwrap());
            let waits: Vec<_> = waits.collect();
            assert!(waits.iter().all(|wait| *wait <= bound));
            // About a tenth of them is in each tenth.
            for tenth in 0..10 {
                let within = bound * tenth / 10..bound * (tenth + 1) / 10;
                let count = waits.iter().filter(|wait| within.contains(wait)).count();
                assert!((120..280).contains(&count), "{attempt}: {count} in {within:?}");
            }
        }
        let longest = policy.base(Duration::MAX).cap(Duration::MAX);
        for attempt in [1, 31, 32, 33, 98] {
            assert!(longest.wait(attempt, 7, None, NO_TIME).is_some());
        }
    }

    #[test]
    fn the_draws_are_those_of_splitmix64() {
        // The upper halves of the reference generator's first outputs for seed 0:
        // 0xe220a8397b1dcdaf and so on.
        let bound = Duration::from_nanos(1 << 32);
        let halves = [0xe220_a839, 0x6e78_9e6a, 0x06c4_5d18, 0xf88b_b8a8, 0x1b39_896a];
        for (attempt, half) in (1..).zip(halves) {
            assert_eq!(draw(0, attempt, bound), Duration::from_nanos(half));
        }
        assert_eq!(draw(0, 1, Duration::ZERO), Duration::ZERO);
        assert!(draw(0, 1, Duration::MAX) < Duration::MAX);
    }

    #[test]
    fn the_seed_determines_the_waits() {
        let waits = |seed| -> Vec<_> {
            (1..3).map(|at| RetryPolicy::STANDARD.wait(at, seed, None, NO_TIME)).collect()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn a_call_ends_after_its_attempts_or_its_deadline() {
        let policy = RetryPolicy::STANDARD;
        assert!(policy.wait(2, 0, None, NO_TIME).is_some());
        assert_eq!(policy.wait(3, 0, None, NO_TIME), None);
        assert_eq!(RetryPolicy::NEVER.wait(1, 0, None, NO_TIME), None);
        assert_eq!(policy.attempts(0).wait(1, 0, None, NO_TIME), None);

        let wait = policy.wait(1, 7, None, NO_TIME).unwrap();
        let last = policy.deadline.checked_sub(wait).unwrap();
        assert_eq!(policy.wait(1, 7, None, last), Some(wait));
        assert_eq!(policy.wait(1, 7, None, last + Duration::from_nanos(1)), None);
    }

    #[test]
    fn retry_after_is_added_to_the_wait_unless_it_is_too_long() {
        let policy = RetryPolicy::STANDARD;
        let drawn = policy.wait(1, 7, None, NO_TIME).unwrap();
        let asked = Duration::from_secs(30);
        assert_eq!(policy.wait(1, 7, Some(asked), NO_TIME), Some(asked + drawn));
        let longer = asked + Duration::from_nanos(1);
        assert_eq!(policy.wait(1, 7, Some(longer), NO_TIME), None);
        assert_eq!(policy.wait(1, 7, Some(Duration::MAX), NO_TIME), None);
        let all = policy.max_retry_after(Duration::MAX).deadline(Duration::MAX);
        assert_eq!(all.wait(1, 7, Some(Duration::MAX), NO_TIME), Some(Duration::MAX));
    }

    #[test]
    fn retry_after_is_read_as_seconds() {
        assert_eq!(wait_for("0", None), Some(Duration::ZERO));
        assert_eq!(wait_for(" 120 ", None), Some(Duration::from_secs(120)));
        let most = wait_for("99999999999999999999999", None);
        assert_eq!(most, Some(Duration::from_secs(u64::MAX)));
        for (text, seconds) in [
            ("299.997", 300),
            ("0.001", 1),
            ("7.000", 7),
            ("0.0", 0),
            ("5, 120, 60", 120),
            ("soon, 5", 5),
            ("99999999999999999999999.5", u64::MAX),
        ] {
            assert_eq!(wait_for(text, None), Some(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "-1", "+1", "1.", ".5", "1.-5", "-0.5", "1e3", "0x10", "soon", "１"] {
            let header = http::HeaderValue::from_bytes(wrong.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(RETRY_AFTER, header)]);
            assert_eq!(retry_after(&headers), None, "{wrong}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn the_longest_of_several_retry_afters_counts() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let fields = ["7", "Sun, 06 Nov 1994 08:51:37 GMT", "soon", "60.5"];
        let fields = fields.into_iter().map(|field| (RETRY_AFTER, field.parse().unwrap()));
        let mut headers: HeaderMap = fields.collect();
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(61)));
        headers.insert(DATE, date.parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(120)));
    }

    #[test]
    fn the_longest_of_several_ages_counts() {
        let age_of = |fields: &[&str]| {
            let fields = fields.iter().map(|field| (AGE, field.parse().unwrap()));
            age(&fields.collect()).as_secs()
        };
        for (fields, seconds) in [
            (&[][..], 0),
            (&["7"], 7),
            (&["7", "120", "60"], 120),
            (&["5, 9"], 9),
            (&["-5"], 0),
            (&["soon"], 0),
            (&["99999999999999999999999"], u64::MAX),
        ] {
            assert_eq!(age_of(fields), seconds, "{fields:?}");
        }
    }

    #[test]
    fn a_retry_after_date_in_any_form_counts_from_the_date_of_the_response() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for date in [
            "Sun, 06 Nov 1994 08:51:37 GMT",
            "Sunday, 06-Nov-94 08:51:37 GMT",
            "Sun Nov  6 08:51:37 1994",
        ] {
            assert_eq!(wait_for(date, now), Some(Duration::from_secs(120)), "{date}");
        }
        assert_eq!(wait_for("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::ZERO));
        assert_eq!(wait_for("Sun, 06 Nov 1994 08:49:36 GMT", now), None);
        assert_eq!(wait_for("Sun, 06 Nov 1994 08:51:37 GMT", None), None);
        assert_eq!(wait_for("Mon, 06 Nov 1994 08:51:37 GMT", now), None);
        assert_eq!(wait_for("Sun, 06 Nov 1994 08:51:37 GMT", Some("now")), None);
        for date in [
            "Mon, 31 Dec +262142 23:59:59 GMT",
            "Thu, 01 Jan -262143 00:00:00 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
        ] {
            assert_eq!(wait_for(date, now), None, "{date}");
        }
    }
}
