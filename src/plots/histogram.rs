//! Distributions of one number in several groups of cells, over each other.

use super::axes::{Names, Panel, Scale, axes, named, range};
use super::colour::{Colour, GREY};
use super::drawing::{Anchor, Drawing, MARGIN, TEXT, Weight};
use super::font::width;

/// A group of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its colour.
    pub colour: Colour,
    /// Its values; those that are not finite are left out.
    pub values: Vec<f64>,
}

/// A border on the axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// Where.
    pub at: f64,
    /// What it is.
    pub name: String,
}

/// Shares of each group over common bins.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// What it is.
    pub title: String,
    /// What the values are.
    pub x_name: String,
    /// The groups, later ones on top.
    pub parts: Vec<Part>,
    /// A border.
    pub cut: Option<Cut>,
    /// Ends of the axis, if they are not to follow the data.
    pub x_range: Option<(f64, f64)>,
    /// Number of bins.
    pub bins: usize,
    /// Width and height.
    pub size: [f64; 2],
}

impl Histogram {
    /// Borders of the bins, and per part the share of its values in each; values beyond the ends are in
    /// the outer bins.
    pub fn shares(&self) -> (Vec<f64>, Vec<Vec<f64>>) {
        let bins = self.bins.max(1);
        let all = self.parts.iter().flat_map(|p| p.values.iter().copied());
        let cut = self.cut.iter().map(|c| c.at);
        let scale = Scale::new(self.x_range.unwrap_or_else(|| range(all.chain(cut))), 0.0, bins as f64);
        let borders = (0..=bins).map(|b| scale.low + (scale.high - scale.low) * b as f64 / bins as f64).collect();
        let share = |part: &Part| {
            let finite: Vec<f64> = part.values.iter().copied().filter(|v| v.is_finite()).collect();
            let mut counts = vec![0.0; bins];
            finite.iter().for_each(|&v| counts[(scale.within(v) as usize).min(bins - 1)] += 1.0);
            counts.iter().map(|c| c / finite.len().max(1) as f64).collect()
        };
        (borders, self.parts.iter().map(share).collect())
    }

    /// As a drawing.
    pub fn draw(&self) -> Drawing {
        let [sheet, height] = self.size;
        let mut drawing = Drawing::new(sheet, height);
        drawing.title(&self.title);
        let top = self.legend(&mut drawing, sheet) + 46.0;
        let panel = Panel { left: 56.0, top, right: sheet - MARGIN, bottom: height - 52.0 };
        let (borders, shares) = self.shares();
        let most = shares.iter().flatten().copied().fold(0.0, f64::max).max(1e-9);
        let x = Scale::new((borders[0], borders[borders.len() - 1]), panel.left, panel.right);
        let y = Scale::new((0.0, 1.06 * most), panel.bottom, panel.top);
        axes(&mut drawing, panel, &x, &y, Names { x: &self.x_name, y: "share of the group" });
        for (part, shares) in self.parts.iter().zip(&shares) {
            if shares.iter().all(|&s| s == 0.0) {
                continue;
            }
            let mut steps = vec![[panel.left, panel.bottom]];
            for (b, &share) in shares.iter().enumerate() {
                steps.extend([[x.at(borders[b]), y.at(share)], [x.at(borders[b + 1]), y.at(share)]]);
            }
            steps.push([panel.right, panel.bottom]);
            drawing.area(steps.clone(), part.colour, 0.3);
            drawing.line(&steps, part.colour, 1.5, false);
        }
        if let Some(cut) = self.cut.as_ref().filter(|c| c.at >= x.low && c.at <= x.high) {
            let at = x.at(cut.at);
            drawing.line(&[[at, panel.top - 4.0], [at, panel.bottom]], GREY, 1.0, true);
            let (place, anchor) =
                if at > 0.5 * (panel.left + panel.right) { (at - 6.0, Anchor::End) } else { (at + 6.0, Anchor::Start) };
            drawing.letters([place, panel.top + 8.0], &cut.name, TEXT, Weight::Regular, GREY, anchor, 0.0, true);
        }
        drawing
    }

    /// The groups' names in their colours, in rows under the title; returns the height of the last one.
    fn legend(&self, drawing: &mut Drawing, sheet: f64) -> f64 {
        let (mut x, mut y) = (MARGIN, 46.0);
        for part in &self.parts {
            let n = part.values.iter().filter(|v| v.is_finite()).count();
            let text = format!("{} ({})", part.name, named(n as f64, 0));
            let needed = 16.0 + width(&text, TEXT, Weight::Semibold) + 18.0;
            if x > MARGIN && x + needed > sheet {
                (x, y) = (MARGIN, y + 16.0);
            }
            drawing.rect([x, y - 9.0], [10.0, 10.0], part.colour, 1.0);
            drawing.label([x + 16.0, y], &text, part.colour, Anchor::Start);
            x += needed;
        }
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plots::{KNOWN, UNKNOWN};

    fn chart(a: Vec<f64>, b: Vec<f64>) -> Histogram {
        let part = |name: &str, colour, values| Part { name: name.into(), colour, values };
        Histogram {
            title: "t".into(),
            x_name: "x".into(),
            parts: vec![part("known", KNOWN, a), part("unknown", UNKNOWN, b)],
            cut: Some(Cut { at: 0.5, name: "cut".into() }),
            x_range: Some((0.0, 1.0)),
            bins: 4,
            size: [500.0, 300.0],
        }
    }

    #[test]
    fn shares_sum_to_one_and_ends_hold_what_lies_beyond() {
        let (borders, shares) = chart(vec![0.1, 0.3, 0.3, 1.0, 7.0], vec![f64::NAN, -3.0]).shares();
        assert_eq!(borders, [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(shares, [vec![0.2, 0.4, 0.0, 0.4], vec![1.0, 0.0, 0.0, 0.0]]);
    }

    #[test]
    fn groups_without_values_are_drawn_without_nan() {
        for (a, b) in [(vec![], vec![]), (vec![f64::NAN; 3], vec![1.0]), (vec![2.0; 5], vec![2.0])] {
            let mut chart = chart(a, b);
            chart.x_range = None;
            let svg = chart.draw().svg("t");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
