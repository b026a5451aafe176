//! Formats measurements as Markdown tables.

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use oneclick_benches::callers::Failure;

/// A table with notes below it.
pub(crate) struct Table {
    pub(crate) title: &'static str,
    pub(crate) rows: Vec<Row>,
    pub(crate) notes: Vec<String>,
}

/// A figure, its name and its target.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) target: Target,
    pub(crate) figure: Figure,
    pub(crate) unit: &'static str,
}

/// The bound that a figure should meet.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
    None,
}

/// A median, and the lower and upper quartiles if it was measured more than once.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) spread: Option<[f64; 2]>,
}

impl Figure {
    /// A figure that is measured once.
    pub(crate) const fn exact(value: f64) -> Self {
        Self { median: value, spread: None }
    }

    /// The median and the quartiles of some figures.
    pub(crate) fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let quarter = |n: usize| figures.get(figures.len() * n / 4).copied().unwrap_or(f64::NAN);
        Self { median: quarter(2), spread: Some([quarter(1), quarter(3)]) }
    }

    /// The median and the quartiles of the ratios of figures from the same rounds.
    pub(crate) fn ratio(above: &[f64], below: &[f64]) -> Self {
        Self::of(above.iter().zip(below).map(|(above, below)| above / below).collect())
    }
}

impl Row {
    /// A row for a ratio.
    pub(crate) fn ratio(what: impl Into<String>, target: Target, figure: Figure) -> Self {
        Self { what: what.into(), target, figure, unit: "x" }
    }

    fn holds(&self) -> Option<bool> {
        match self.target {
            Target::AtMost(most) => Some(self.figure.median <= most),
            Target::AtLeast(least) => Some(self.figure.median >= least),
            Target::None => None,
        }
    }
}

impl Table {
    pub(crate) const fn new(title: &'static str) -> Self {
        Self { title, rows: Vec::new(), notes: Vec::new() }
    }

    /// Whether a row misses its target.
    pub(crate) fn misses(&self) -> bool {
        self.rows.iter().any(|row| row.holds() == Some(false))
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n", self.title)?;
        if !self.rows.is_empty() {
            writeln!(f, "| what | target | measured | quartiles | |\n|---|---|---|---|---|")?;
        }
        for row in &self.rows {
            let shown = |value: f64| format!("{}{}", rounded(value), row.unit);
            let target = match row.target {
                Target::AtMost(most) => format!("at most {}", shown(most)),
                Target::AtLeast(least) => format!("at least {}", shown(least)),
                Target::None => String::new(),
            };
            let spread = match row.figure.spread {
                Some([low, high]) => format!("{} to {}", shown(low), shown(high)),
                None => String::new(),
            };
            let holds = match row.holds() {
                Some(true) => "held",
                Some(false) => "**missed**",
                None => "",
            };
            let (what, measured) = (&row.what, shown(row.figure.median));
            writeln!(f, "| {what} | {target} | {measured} | {spread} | {holds} |")?;
        }
        for note in &self.notes {
            writeln!(f, "\n{note}")?;
        }
        Ok(())
    }
}

/// Rounds a value to three or four significant digits, in thousands from 10,000.
fn rounded(value: f64) -> String {
    match value.abs() {
        size if size >= 10_000.0 => format!("{:.0} k", value / 1_000.0),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 2.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Runs each of `runs` once per round. Each round starts with the next one, so that none
/// of them is always first. Returns the seconds of each in every round.
pub(crate) fn in_turns(
    rounds: usize,
    runs: &mut [Box<dyn FnMut() -> Result<Duration, Failure> + '_>],
) -> Result<Vec<Vec<f64>>, Failure> {
    let mut seconds = vec![Vec::with_capacity(rounds); runs.len()];
    // The first round is a warm-up and is not recorded.
    for round in 0..=rounds {
        for turn in 0..runs.len() {
            let which = (round + turn) % runs.len();
            let took = runs[which]()?.as_secs_f64();
            if round > 0 {
                seconds[which].push(took);
            }
        }
    }
    Ok(seconds)
}

/// Returns how long `run` takes.
pub(crate) fn timed(run: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed())
}

/// Describes the date, the machine and the compiler of this run.
pub(crate) fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = std::process::Command::new("rustc").arg("--version").output();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!(
        "{} · {}, {cores} cores · {} {} · {}",
        chrono::Utc::now().format("%Y-%m-%d"),
        cpu.as_deref().unwrap_or("unknown processor"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        rustc.as_deref().unwrap_or("unknown rustc"),
    )
}
