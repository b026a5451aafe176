//! Which requests a fault hits.

use std::error::Error as StdError;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::de::{Deserializer, Error};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::fields::Fields;
use super::super::hash::hash;
use super::super::problem::Problem;
use super::super::route::check_path;
use super::Fault;

/// A fault, and the requests that it hits.
///
/// A rule hits only requests that the API would otherwise accept. One that the API refuses
/// gets its usual response, and does not count for [`times`](Self::times).
///
/// ```
/// use oneclick_emulator::{Fault, FaultRule};
///
/// let rule = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(3);
/// let json = r#"{"fault":"apply_then_drop","path":"/v1/plant_tree","times":3}"#;
/// assert_eq!(json.parse::<FaultRule>()?, rule);
/// assert_eq!(serde_json::to_string(&rule).unwrap(), json);
///
/// // The name of a fault alone is a rule for every request.
/// assert_eq!("server_error".parse::<FaultRule>()?, FaultRule::new(Fault::ServerError));
/// # Ok::<(), oneclick_emulator::InvalidRule>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRule {
    fault: Fault,
    path: Option<&'static str>,
    when: When,
}

/// Which of the requests to its path a rule hits.
///
/// In the JSON of a rule this is `"times":3`, `"probability":0.3`, or neither.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum When {
    /// Every one.
    Always,
    /// The next so many; at least 1.
    Times(u32),
    /// Each with this probability, above 0 and at most 1.
    Probability(f64),
}

impl FaultRule {
    /// A fault that hits every request.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { fault, path: None, when: When::Always }
    }

    /// Hits only requests to this path, such as `/v1/plant_tree` or
    /// `/v1/projects/{project_id}`.
    ///
    /// # Panics
    /// If the API has no such path, because the rule would never hit.
    #[must_use]
    #[track_caller]
    pub fn on(mut self, path: &str) -> Self {
        match check_path(path) {
            Ok(path) => self.path = Some(path),
            Err(problem) => panic!("{problem}"),
        }
        self
    }

    /// Hits only the next so many requests; then the rule is removed.
    ///
    /// # Panics
    /// If `times` is 0, because the rule would never hit.
    #[must_use]
    #[track_caller]
    pub fn times(mut self, times: u32) -> Self {
        assert!(times > 0, "`times` must be 1 or more, got 0");
        self.when = When::Times(times);
        self
    }

    /// Hits each request with this probability, above 0 and at most 1. The emulator's seed
    /// decides which, so the same requests meet the same faults again.
    ///
    /// # Panics
    /// If `probability` is outside that range.
    #[must_use]
    #[track_caller]
    pub fn probability(mut self, probability: f64) -> Self {
        assert!(is_probability(probability), "{PROBABILITY}, got {probability}");
        self.when = When::Probability(probability);
        self
    }

    /// The fault.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// The path whose requests it hits; `None` for every path.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.path
    }

    /// Which of those requests it hits. For a rule inside an emulator: how many are left.
    #[must_use]
    pub fn when(&self) -> When {
        self.when
    }

    /// Reads a rule from the fields of a JSON object.
    pub(crate) fn read(fields: &Fields) -> Result<Self, Problem> {
        let example = |problem: Problem| problem.hint(&format!("; for example {EXAMPLE}"));
        fields.only("a rule", &["fault", "path", "times", "probability"]).map_err(example)?;
        let missing = || {
            Problem::invalid(
                "`fault` is missing: it is the name of a fault, or an object with its name and fields",
            )
        };
        let fault = fields.get("fault").and_then(|fault| fault.ok_or_else(missing));
        let fault = Fault::read(fault.map_err(example)?)?;
        let path = fields.text("path")?.map(check_path).transpose()?;
        let when = When::read(fields).map_err(|problem| {
            let example = Self::new(fault.clone()).on("/v1/plant_tree").times(1);
            problem.hint(&format!("; for example {}", json!(example)))
        })?;
        Ok(Self { fault, path, when })
    }

    /// Whether it hits every request that the other rule could hit.
    fn covers(&self, other: &Self) -> bool {
        self.when == When::Always && (self.path.is_none() || self.path == other.path)
    }
}

impl When {
    fn read(fields: &Fields) -> Result<Self, Problem> {
        let whole = "a whole number between 1 and 4,294,967,295";
        let times: Option<NonZeroU32> = fields.read("times", whole)?;
        let probability: Option<f64> = fields.read("probability", "a number")?;
        match (times, probability) {
            (None, None) => Ok(Self::Always),
            (Some(times), None) => Ok(Self::Times(times.get())),
            (None, Some(number)) if is_probability(number) => Ok(Self::Probability(number)),
            (None, Some(number)) => Err(Problem::invalid(format!("{PROBABILITY}, got {number}"))),
            (Some(_), Some(_)) => Err(Problem::invalid("send `times` or `probability`, not both")),
        }
    }
}

/// A rule, as JSON.
pub(crate) const EXAMPLE: &str = r#"{"fault":"apply_then_drop","path":"/v1/plant_tree","times":1}"#;

/// The range of a probability, in words.
const PROBABILITY: &str = "`probability` must be a number above 0 and at most 1";

fn is_probability(number: f64) -> bool {
    number > 0.0 && number <= 1.0
}

/// The error of a text that is not a valid rule. Its message explains why, with an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRule(String);

impl fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for InvalidRule {}

/// The JSON of a rule, or the name of a fault.
impl FromStr for FaultRule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let text = text.trim();
        let rule = if text.is_empty() || text.starts_with('{') {
            Fields::parse("rule", text.as_bytes(), EXAMPLE).and_then(|fields| Self::read(&fields))
        } else {
            Fault::read(&json!(text)).map(Self::new)
        };
        rule.map_err(|problem| InvalidRule(problem.to_string()))
    }
}

impl<'de> Deserialize<'de> for FaultRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&Fields::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for FaultRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("fault", &self.fault)?;
        if let Some(path) = self.path {
            map.serialize_entry("path", path)?;
        }
        match self.when {
            When::Always => {}
            When::Times(times) => map.serialize_entry("times", &times)?,
            When::Probability(probability) => map.serialize_entry("probability", &probability)?,
        }
        map.end()
    }
}

/// The rules of an emulator. Of several that match a request the first one counts.
#[derive(Default)]
pub(in super::super) struct Faults {
    rules: Vec<FaultRule>,
    draws: u64,
}

impl Faults {
    pub(in super::super) fn inject(&mut self, rule: FaultRule) {
        self.rules.push(rule);
    }

    /// The rule that keeps a new one from ever hitting, if there is one.
    pub(in super::super) fn covering(&self, rule: &FaultRule) -> Option<&FaultRule> {
        self.rules.iter().find(|earlier| earlier.covers(rule))
    }

    pub(in super::super) fn rules(&self) -> &[FaultRule] {
        &self.rules
    }

    pub(in super::super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The fault that hits the next request to a path.
    pub(in super::super) fn hit(&mut self, seed: u64, path: &str) -> Option<Fault> {
        let draws = &mut self.draws;
        let mut hits = |rule: &FaultRule| {
            rule.path().is_none_or(|only| only == path)
                && match rule.when {
                    When::Always | When::Times(_) => true,
                    When::Probability(probability) => draw(seed, draws) < probability,
                }
        };
        let at = self.rules.iter().position(&mut hits)?;
        match &mut self.rules[at].when {
            When::Times(1) => return Some(self.rules.remove(at).fault),
            When::Times(left) => *left -= 1,
            When::Always | When::Probability(_) => {}
        }
        Some(self.rules[at].fault.clone())
    }
}

/// The next random number: at least 0 and below 1.
fn draw(seed: u64, draws: &mut u64) -> f64 {
    *draws += 1;
    let number = hash(&[b"fault", &seed.to_be_bytes(), &draws.to_be_bytes()]);
    f64::from((number >> 32) as u32) / 2_f64.powi(32)
}
