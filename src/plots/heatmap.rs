//! A table of shares as shades, its columns each summing to 1.

use super::colour::{GREY, INK, LIGHT, shade};
use super::drawing::{Anchor, Drawing, MARGIN, TEXT, Weight};
use super::font::{shortened, widest};

/// Shares by row and column.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatmapChart {
    /// What it is.
    pub title: String,
    /// What rows are.
    pub row_name: String,
    /// What columns are.
    pub column_name: String,
    /// Names of the rows, from the top.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// `values[row][column]`, from 0 to 1.
    pub values: Vec<Vec<f64>>,
    /// The first row of a second block, a little below the others.
    pub second_rows: usize,
    /// The first column of a second block, a little apart.
    pub second_columns: usize,
}

/// Room between blocks.
const GAP: f64 = 8.0;

impl HeatmapChart {
    /// As a drawing.
    pub fn draw(&self) -> Drawing {
        let (n_rows, n_columns) = (self.rows.len(), self.columns.len());
        let longest = |names: &[String]| widest(names.iter().map(String::as_str), TEXT, Weight::Regular).min(170.0);
        let cell = (700.0 / n_columns.max(1) as f64).clamp(16.0, 44.0);
        let tall = (640.0 / n_rows.max(1) as f64).clamp(16.0, 28.0);
        let left = MARGIN + longest(&self.rows) + 10.0;
        let top = 66.0;
        // Names of columns lean: 45 degrees.
        let foot = 0.72 * longest(&self.columns) + 26.0;
        let at_column = |c: usize| left + cell * c as f64 + if c >= self.second_columns { GAP } else { 0.0 };
        let at_row = |r: usize| top + tall * r as f64 + if r >= self.second_rows { GAP } else { 0.0 };
        let (right, bottom) = (at_column(n_columns), at_row(n_rows));
        // The first names lean out to the left.
        let mut drawing = Drawing::new((right + MARGIN + 64.0).max(320.0), bottom + foot + 26.0);
        drawing.title(&self.title);
        drawing.text([MARGIN, top - 12.0], &self.row_name, INK, Anchor::Start);
        for (r, name) in self.rows.iter().enumerate() {
            let name = shortened(name, TEXT, Weight::Regular, 170.0);
            drawing.text([left - 8.0, at_row(r) + 0.5 * tall + 4.0], &name, INK, Anchor::End);
            for c in 0..n_columns {
                let value = self.values.get(r).and_then(|row| row.get(c)).copied().unwrap_or(f64::NAN);
                let place = [at_column(c), at_row(r)];
                drawing.rect(
                    place,
                    [cell - 1.0, tall - 1.0],
                    if value > 0.0 { shade(value) } else { [0xf6, 0xf7, 0xf8] },
                    1.0,
                );
                if value >= 0.005 && cell >= 28.0 && tall >= 18.0 {
                    let ink = if value > 0.45 { [255; 3] } else { INK };
                    let text = format!("{value:.2}");
                    let text = text.strip_prefix('0').unwrap_or(&text);
                    let place = [place[0] + 0.5 * (cell - 1.0), place[1] + 0.5 * tall + 3.5];
                    drawing.letters(place, text, 10.5, Weight::Regular, ink, Anchor::Middle, 0.0, false);
                }
            }
        }
        for (c, name) in self.columns.iter().enumerate() {
            let name = shortened(name, TEXT, Weight::Regular, 170.0);
            let place = [at_column(c) + 0.5 * cell + 4.0, bottom + 14.0];
            drawing.letters(place, &name, TEXT, Weight::Regular, INK, Anchor::End, -45.0, false);
        }
        drawing.text([right, bottom + foot + 8.0], &self.column_name, INK, Anchor::End);
        legend(&mut drawing, right + 16.0, top);
        drawing
    }
}

/// The shades from 0 to 1.
fn legend(drawing: &mut Drawing, x: f64, top: f64) {
    const STEPS: usize = 20;
    let step = 100.0 / STEPS as f64;
    for k in 0..STEPS {
        let value = 1.0 - (k as f64 + 0.5) / STEPS as f64;
        drawing.rect([x, top + step * k as f64], [10.0, step + 0.3], shade(value), 1.0);
    }
    drawing.line(&[[x, top], [x + 10.0, top], [x + 10.0, top + 100.0], [x, top + 100.0], [x, top]], LIGHT, 1.0, false);
    drawing.text([x + 16.0, top + 8.0], "1", GREY, Anchor::Start);
    drawing.text([x + 16.0, top + 102.0], "0", GREY, Anchor::Start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plots::Mark;

    #[test]
    fn every_entry_is_a_rectangle_and_missing_ones_are_empty() {
        let chart = HeatmapChart {
            title: "t".into(),
            row_name: "label".into(),
            column_name: "truth".into(),
            rows: vec!["A & B".into(), "C".into(), "unknown".into()],
            columns: vec!["A & B".into(), "<D>".into()],
            values: vec![vec![1.0, f64::NAN], vec![0.0, 0.25]],
            second_rows: 2,
            second_columns: 1,
        };
        let drawing = chart.draw();
        let rects = drawing.marks.iter().filter(|m| matches!(m, Mark::Rect { .. })).count();
        assert_eq!(rects, 3 * 2 + 20);
        let svg = drawing.svg("t");
        assert!(svg.contains("A &amp; B") && svg.contains("&lt;D&gt;") && svg.contains(">.25<"), "{svg}");
        let empty = HeatmapChart { rows: vec![], columns: vec![], values: vec![], ..chart };
        assert!(!empty.draw().svg("t").contains("NaN"));
    }
}
