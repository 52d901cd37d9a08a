//! Plots as SVG text. Their colours are names in disguise: the page's style sheet gives each its value, for light and dark.
use plotters::prelude::*;

/// Also stand in `templates/report.html`, which turns them into what fits the reader's screen.
pub(super) const BLUE: RGBColor = RGBColor(0x25, 0x63, 0xeb);
pub(super) const TEAL: RGBColor = RGBColor(0x0d, 0x94, 0x88);
pub(super) const AMBER: RGBColor = RGBColor(0xd9, 0x77, 0x06);
pub(super) const ROSE: RGBColor = RGBColor(0xe1, 0x1d, 0x48);
const GRID: RGBColor = RGBColor(0xe5, 0xe7, 0xeb);
const TEXT: RGBColor = RGBColor(0x6b, 0x72, 0x80);
const SHADE: RGBColor = RGBColor(0xf1, 0xf5, 0xf9);

/// Made for half a desktop's page, and still readable when a phone shrinks it.
const SIZE: (u32, u32) = (520, 220);
const FONT: (&str, i32) = ("sans-serif", 13);
/// Free space above the highest value.
const HEADROOM: f64 = 1.12;

/// Axes of counts go at least this far, so that their labels are whole.
const FEWEST: u64 = 4;

/// One line of a plot.
pub(super) struct Line {
    pub(super) colour: RGBColor,
    /// Seconds and values.
    pub(super) points: Vec<(f64, f64)>,
    /// Filled down to the axis.
    pub(super) filled: bool,
}

/// Seconds: how long everything took, and from when to when was measured.
#[derive(Clone, Copy)]
pub(super) struct Spans {
    pub(super) whole: f64,
    pub(super) window: (f64, f64),
}

/// Lines over time, the measured time shaded. `least` is the smallest range that the axis covers.
pub(super) fn lines(lines: &[Line], spans: Spans, least: f64) -> anyhow::Result<String> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let Spans { whole, window } = spans;
    let highest = points().map(|(_, value)| *value).fold(least, f64::max) * HEADROOM;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(6)
            .margin_right(20)
            .x_label_area_size(24)
            .y_label_area_size(46)
            .build_cartesian_2d(0.0..whole.max(1.0), 0.0..highest)?;
        chart.draw_series([Rectangle::new([(window.0, 0.0), (window.1, highest)], SHADE.filled())])?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(7)
            .y_labels(5)
            .label_style(FONT.into_font().color(&TEXT))
            .x_label_formatter(&|second| format!("{second:.0} s"))
            .y_label_formatter(&|value| short(*value))
            .draw()?;
        for line in lines {
            let points = line.points.iter().copied();
            if line.filled {
                chart.draw_series(AreaSeries::new(points.clone(), 0.0, line.colour.mix(0.15)))?;
            }
            chart.draw_series(LineSeries::new(points, line.colour.stroke_width(2)))?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// How many of something took how long.
pub(super) fn bars((counts, width): &(Vec<u64>, f64), colour: RGBColor) -> anyhow::Result<String> {
    let highest = counts.iter().copied().max().unwrap_or(0).max(FEWEST) as f64 * HEADROOM;
    let most = width * counts.len() as f64;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(6)
            .margin_right(20)
            .x_label_area_size(24)
            .y_label_area_size(46)
            .build_cartesian_2d(0.0..most, 0.0..highest)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(7)
            .y_labels(5)
            .label_style(FONT.into_font().color(&TEXT))
            .x_label_formatter(&|ms| format!("{} ms", short(*ms)))
            .y_label_formatter(&|count| short(*count))
            .draw()?;
        let gap = width * 0.08;
        chart.draw_series(counts.iter().enumerate().filter(|(_, count)| **count > 0).map(
            |(index, count)| {
                let from = width * index as f64;
                Rectangle::new([(from + gap, 0.0), (from + width - gap, *count as f64)], colour.filled())
            },
        ))?;
        root.present()?;
    }
    Ok(svg)
}

/// As few letters as tell it: `1.5k`, `20M`, `0.25`.
fn short(value: f64) -> String {
    let trimmed = |value: f64, unit: &str| {
        let text = format!("{value:.1}");
        format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
    };
    match value.abs() {
        size if size >= 1e6 => trimmed(value / 1e6, "M"),
        size if size >= 1e4 => trimmed(value / 1e3, "k"),
        size if size >= 10.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 1.0 => trimmed(value, ""),
        _ => {
            let text = format!("{value:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_labelled_in_few_letters() {
        let labels: Vec<String> = [0.0, 0.25, 1.5, 2.0, 250.0, 12_500.0, 3e6].map(short).into();
        assert_eq!(labels, ["0", "0.25", "1.5", "2", "250", "12.5k", "3M"]);
    }

    #[test]
    fn a_plot_scales_and_uses_the_colours_that_the_page_knows() {
        let points = (0..10).map(|second| (f64::from(second), f64::from(second * second))).collect();
        let line = Line { colour: BLUE, points, filled: true };
        let svg = lines(&[line], Spans { whole: 10.0, window: (2.0, 8.0) }, 1.0).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("viewBox"), "{}", &svg[..200]);
        let page = include_str!("../../templates/report.html");
        for colour in [BLUE, TEAL, AMBER, ROSE, GRID, TEXT, SHADE] {
            let hex = format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
            assert!(page.contains(&format!("\"{hex}\"")), "the page gives {hex} no meaning");
        }
        assert!(svg.contains("\"#2563EB\""));
        // Nothing to show is still a plot.
        assert!(bars(&(vec![0; 3], 1.0), TEAL).unwrap().contains("</svg>"));
    }
}
