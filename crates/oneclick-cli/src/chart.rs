//! The chart of `oneclick daily`, as SVG.

use std::fs;
use std::path::Path;

use chrono::NaiveDate;
use oneclick_ureq::ImpactKind;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::failure::Failure;

const HEIGHT: u32 = 420;
const MIN_WIDTH: u32 = 960;
/// Wide enough to tell one day from the next.
const DAY_WIDTH: u32 = 4;
const GREEN: RGBColor = RGBColor(46, 125, 50);

/// A day and its amount.
pub(crate) type Bar = (NaiveDate, i64);

/// Writes the chart. If that fails, the file keeps its old content.
pub(crate) fn write(
    path: &Path,
    title: &str,
    bars: &[Bar],
    kind: &ImpactKind,
) -> Result<(), Failure> {
    let mut svg = String::new();
    let days = u32::try_from(bars.len()).unwrap_or(0);
    let size = (MIN_WIDTH.max(MIN_WIDTH / 8 + DAY_WIDTH * days), HEIGHT);
    let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    draw(&root, title, bars, kind).map_err(|error| Failure::machine(path.display(), error))?;
    drop(root);
    let new = path.with_extension("svg.new");
    fs::write(&new, svg)
        .and_then(|()| fs::rename(&new, path))
        .map_err(|error| Failure::machine(path.display(), error))
}

/// An amount for a person to read: cents as dollars.
pub(crate) fn amount_text(kind: &ImpactKind, amount: i64) -> String {
    if *kind != ImpactKind::MoneyDonated {
        return amount.to_string();
    }
    let (sign, cents) = (if amount < 0 { "-" } else { "" }, amount.unsigned_abs());
    format!("{sign}${}.{:02}", cents / 100, cents % 100)
}

fn draw<'a>(
    root: &DrawingArea<SVGBackend<'a>, Shift>,
    title: &str,
    bars: &[Bar],
    kind: &ImpactKind,
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>> {
    root.fill(&WHITE)?;
    let max = height(bars.iter().map(|(_, amount)| *amount).max().unwrap_or(0).max(1));
    let days = i64::try_from(bars.len()).unwrap_or(i64::MAX).max(1);
    let mut chart = ChartBuilder::on(root)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(36)
        .y_label_area_size(72)
        .build_cartesian_2d(0..days, 0.0..max)?;
    let date = |at: &i64| {
        let bar = usize::try_from(*at).ok().and_then(|at| bars.get(at));
        bar.map(|(date, _)| date.to_string()).unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .y_max_light_lines(1)
        .x_labels(8)
        .x_label_formatter(&date)
        .y_labels(6)
        .y_label_formatter(&|height| label(kind, *height))
        .draw()?;
    let bar = |(at, (_, amount)): (i64, &Bar)| {
        let mut bar = Rectangle::new([(at, 0.0), (at + 1, height(*amount))], GREEN.filled());
        bar.set_margin(0, 0, 1, 1);
        bar
    };
    let shown = (0..).zip(bars).filter(|(_, (_, amount))| *amount > 0);
    chart.draw_series(shown.map(bar))?;
    root.present()
}

/// The height of a bar. The library's axis of whole numbers would overflow.
#[expect(clippy::cast_precision_loss, reason = "less than a pixel")]
fn height(amount: i64) -> f64 {
    amount.max(0) as f64
}

/// The label of the axis at this height: only whole amounts have one.
#[expect(clippy::cast_possible_truncation, reason = "a whole number, and the cast saturates")]
fn label(kind: &ImpactKind, height: f64) -> String {
    if height.fract() == 0.0 { amount_text(kind, height as i64) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use chrono::{Days, NaiveDate};

    use super::*;

    #[test]
    fn each_day_with_an_amount_has_a_bar_and_the_title_is_escaped() {
        let first = NaiveDate::from_ymd_opt(2025, 1, 1).unwrap();
        let bars: Vec<Bar> = [3, 0, 5, 0, i64::MAX]
            .iter()
            .enumerate()
            .map(|(at, amount)| (first + Days::new(at as u64), *amount))
            .collect();
        let path = std::env::temp_dir().join(format!("oneclick-chart-{}.svg", std::process::id()));
        write(&path, "5 < 6 & \"more\"", &bars, &ImpactKind::TreePlanted).unwrap();
        let svg = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        let green = svg.matches(r##"fill="#2E7D32""##).count();
        assert_eq!(green, 3, "{svg}");
        assert!(svg.contains("5 &lt; 6 &amp;"), "{svg}");
        assert!(svg.contains("2025-01-01"), "{svg}");
    }

    #[test]
    fn an_error_names_the_file() {
        let path = Path::new("no/such/folder/chart.svg");
        let Err(Failure::Machine(error)) = write(path, "", &[], &ImpactKind::TreePlanted) else {
            panic!("it was written")
        };
        assert!(error.contains("chart.svg"), "{error}");
    }
}
