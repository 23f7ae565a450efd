//! How a number is spread in each of several groups: one row each, quantiles as thin and thick bars.

use super::axes::{Scale, named};
use super::colour::{Colour, GREY, INK, LIGHT};
use super::drawing::{Anchor, Drawing, MARGIN, TEXT, Weight};
use super::font::{shortened, widest};

/// A group of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// Its name.
    pub name: String,
    /// Its colour.
    pub colour: Colour,
    /// Its values; those that are not finite are left out.
    pub values: Vec<f64>,
}

/// Rows of groups over one axis from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Spreads {
    /// What it is.
    pub title: String,
    /// What the values are.
    pub x_name: String,
    /// The rows, from the top.
    pub rows: Vec<Spread>,
}

/// The quantiles that are drawn.
pub(super) const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

impl Spread {
    /// The 5, 25, 50, 75 and 95 % quantiles (linear between values); `None` without values.
    pub fn quantiles(&self) -> Option<[f64; 5]> {
        let mut values: Vec<f64> = self.values.iter().copied().filter(|v| v.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        Some(QUANTILES.map(|q| {
            let at = q * last as f64;
            let (low, high) = (values[at.floor() as usize], values[at.ceil() as usize]);
            low + (high - low) * at.fract()
        }))
    }
}

impl Spreads {
    /// As a drawing.
    pub fn draw(&self) -> Drawing {
        const ROW: f64 = 24.0;
        let names: Vec<String> = self.rows.iter().map(|r| shortened(&r.name, TEXT, Weight::Regular, 180.0)).collect();
        let left = MARGIN + widest(names.iter().map(String::as_str), TEXT, Weight::Regular) + 10.0;
        let (top, right) = (48.0, left + 420.0);
        let bottom = top + ROW * self.rows.len().max(1) as f64;
        let mut drawing = Drawing::new(right + 64.0 + MARGIN, bottom + 52.0);
        drawing.title(&self.title);
        let x = Scale::new((0.0, 1.0), left, right);
        for (v, name) in x.ticks(5) {
            let at = x.at(v);
            drawing.line(&[[at, top], [at, bottom]], LIGHT, 1.0, false);
            drawing.text([at, bottom + 16.0], &name, GREY, Anchor::Middle);
        }
        drawing.text([0.5 * (left + right), bottom + 36.0], &self.x_name, INK, Anchor::Middle);
        for (k, (row, name)) in self.rows.iter().zip(&names).enumerate() {
            let y = top + ROW * (k as f64 + 0.5);
            drawing.text([left - 8.0, y + 4.0], name, INK, Anchor::End);
            let n = row.values.iter().filter(|v| v.is_finite()).count();
            drawing.text([right + 64.0, y + 4.0], &named(n as f64, 0), GREY, Anchor::End);
            let Some(q) = row.quantiles() else { continue };
            let at = q.map(|v| x.within(v));
            drawing.line(&[[at[0], y], [at[4], y]], row.colour, 1.5, false);
            drawing.rect([at[1], y - 5.0], [(at[3] - at[1]).max(1.0), 10.0], row.colour, 0.55);
            drawing.rect([at[2] - 1.5, y - 7.0], [3.0, 14.0], row.colour, 1.0);
        }
        drawing.text([right + 64.0, top - 6.0], "cells", GREY, Anchor::End);
        drawing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plots::BLUE;

    #[test]
    fn quantiles_lie_between_values_and_need_one() {
        let spread = |values| Spread { name: "a".into(), colour: BLUE, values };
        let even = spread((0..=100).map(|i| f64::from(i) / 100.0).collect()).quantiles().unwrap();
        even.iter().zip(QUANTILES).for_each(|(found, q)| assert!((found - q).abs() < 1e-12));
        assert_eq!(spread(vec![0.3, f64::NAN]).quantiles(), Some([0.3; 5]));
        assert_eq!(spread(vec![f64::NAN]).quantiles(), None);
        let chart = Spreads {
            title: "t".into(),
            x_name: "p".into(),
            rows: vec![spread(vec![]), spread(vec![0.5; 3]), spread(vec![0.1, 0.9])],
        };
        let svg = chart.draw().svg("t");
        // Box and median of the two rows that have values, and the sheet.
        assert_eq!(svg.matches("<rect").count(), 2 * 2 + 1, "{svg}");
        assert!(!svg.contains("NaN"));
    }
}
