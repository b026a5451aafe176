//! Which requests a fault hits.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::hash::hash;
use super::{Fault, GATEWAY_STATUSES};

/// A fault, and the requests that it hits. What the API refuses anyway is no
/// such request: it is answered as usual, and uses no rule up.
///
/// ```
/// use oneclick_emulator::{Fault, FaultRule};
///
/// let rule = FaultRule::new(Fault::ApplyThenDrop).on("/v1/plant_tree").times(3);
/// let json = r#"{"fault":"apply_then_drop","path":"/v1/plant_tree","times":3}"#;
/// assert_eq!(serde_json::from_str::<FaultRule>(json).unwrap(), rule);
/// assert_eq!(serde_json::to_string(&rule).unwrap(), json);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct FaultRule {
    fault: Fault,
    path: Option<String>,
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
    /// The next so many, 1 or more.
    Times(u32),
    /// Each with this probability, from 0 to 1.
    Probability(f64),
}

impl FaultRule {
    /// A fault that hits every request.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { fault, path: None, when: When::Always }
    }

    /// Only on this path, such as `/v1/plant_tree` or
    /// `/v1/projects/{project_id}`. One that the API does not have is never hit.
    #[must_use]
    pub fn on(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Only the next so many; then the rule is gone. One of none is never there.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.when = When::Times(times);
        self
    }

    /// Each with this probability, drawn from the emulator's seed: the same
    /// requests meet the same faults again.
    ///
    /// # Errors
    /// [`InvalidRule`] for a number that is not from 0 to 1.
    pub fn probability(mut self, probability: f64) -> Result<Self, InvalidRule> {
        if !(0.0..=1.0).contains(&probability) {
            return Err(InvalidRule("`probability` must be a number from 0 to 1"));
        }
        self.when = When::Probability(probability);
        Ok(self)
    }

    /// What goes wrong.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// The path on which it does; any if `None`.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// With which requests it does. Of a rule in an emulator: what is left.
    #[must_use]
    pub fn when(&self) -> When {
        self.when
    }
}

/// Why something is no rule, in words for who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRule(&'static str);

impl fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for InvalidRule {}

/// A rule as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    fault: Fault,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
}

impl TryFrom<Wire> for FaultRule {
    type Error = InvalidRule;

    fn try_from(wire: Wire) -> Result<Self, InvalidRule> {
        if let Fault::Gateway { status, .. } = wire.fault {
            if !GATEWAY_STATUSES.contains(&status) {
                return Err(InvalidRule("`status` must be a number from 200 to 599"));
            }
        }
        let rule = Self { fault: wire.fault, path: wire.path, when: When::Always };
        match (wire.times, wire.probability) {
            (None, None) => Ok(rule),
            (Some(0), None) => Err(InvalidRule("`times` must be 1 or more")),
            (Some(times), None) => Ok(rule.times(times)),
            (None, Some(probability)) => rule.probability(probability),
            (Some(_), Some(_)) => Err(InvalidRule("a rule has `times` or `probability`, not both")),
        }
    }
}

impl From<FaultRule> for Wire {
    fn from(FaultRule { fault, path, when }: FaultRule) -> Self {
        let (times, probability) = match when {
            When::Always => (None, None),
            When::Times(times) => (Some(times), None),
            When::Probability(probability) => (None, Some(probability)),
        };
        Self { fault, path, times, probability }
    }
}

/// The rules, the first of which that hits a request counts.
#[derive(Default)]
pub(in super::super) struct Faults {
    rules: Vec<FaultRule>,
    draws: u64,
}

impl Faults {
    pub(in super::super) fn inject(&mut self, rule: FaultRule) {
        if rule.when != When::Times(0) {
            self.rules.push(rule);
        }
    }

    pub(in super::super) fn rules(&self) -> &[FaultRule] {
        &self.rules
    }

    pub(in super::super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The fault that hits the next request of a path.
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

/// The next number from 0 to just below 1.
fn draw(seed: u64, draws: &mut u64) -> f64 {
    *draws += 1;
    let number = hash(&[b"fault", &seed.to_be_bytes(), &draws.to_be_bytes()]);
    f64::from((number >> 32) as u32) / 2_f64.powi(32)
}
