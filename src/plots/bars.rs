//! Counts by name: horizontal bars in parts.

use super::axes::named;
use super::colour::{Colour, GREY, INK};
use super::drawing::{Anchor, Drawing, MARGIN, TEXT, Weight};
use super::font::{shortened, widest, width};

/// A bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its name.
    pub name: String,
    /// How much of each part.
    pub parts: Vec<f64>,
}

/// Bars of the same parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// What it is.
    pub title: String,
    /// Names and colours of the parts, from the left.
    pub parts: Vec<(String, Colour)>,
    /// The bars, from the top.
    pub bars: Vec<Bar>,
}

impl Bars {
    /// As a drawing; each bar's numbers stand at its end.
    pub fn draw(&self) -> Drawing {
        const ROW: f64 = 24.0;
        const LONG: f64 = 380.0;
        let names: Vec<String> = self.bars.iter().map(|b| shortened(&b.name, TEXT, Weight::Regular, 180.0)).collect();
        let left = MARGIN + widest(names.iter().map(String::as_str), TEXT, Weight::Regular) + 10.0;
        let top = 62.0;
        let mut drawing = Drawing::new(left + LONG + 150.0, top + ROW * self.bars.len().max(1) as f64 + MARGIN);
        drawing.title(&self.title);
        let mut x = MARGIN;
        for (name, colour) in &self.parts {
            drawing.rect([x, 37.0], [10.0, 10.0], *colour, 1.0);
            drawing.label([x + 16.0, 46.0], name, *colour, Anchor::Start);
            x += 34.0 + width(name, TEXT, Weight::Semibold);
        }
        let total = |bar: &Bar| bar.parts.iter().filter(|v| v.is_finite()).sum::<f64>();
        let most = self.bars.iter().map(total).fold(0.0, f64::max).max(1e-9);
        for (k, (bar, name)) in self.bars.iter().zip(&names).enumerate() {
            let y = top + ROW * k as f64;
            drawing.text([left - 8.0, y + 16.0], name, INK, Anchor::End);
            let mut x = left;
            for (v, (_, colour)) in bar.parts.iter().zip(&self.parts) {
                let long = LONG * v / most;
                drawing.rect([x, y + 4.0], [long, ROW - 8.0], *colour, 0.85);
                x += if long.is_finite() { long } else { 0.0 };
            }
            let numbers: Vec<String> = bar.parts.iter().map(|&v| named(v, 0)).collect();
            drawing.text([x + 8.0, y + 16.0], &numbers.join(" + "), GREY, Anchor::Start);
        }
        drawing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plots::{KNOWN, Mark, UNKNOWN};

    #[test]
    fn the_longest_bar_fills_the_width_and_nothing_of_nothing_is_drawn() {
        let parts = vec![("known".to_owned(), KNOWN), ("unknown".to_owned(), UNKNOWN)];
        let bar = |name: &str, parts: [f64; 2]| Bar { name: name.into(), parts: parts.to_vec() };
        let bars = vec![bar("A<", [30.0, 10.0]), bar("B", [0.0, 20.0]), bar("C", [0.0, 0.0])];
        let drawing = Bars { title: "t".into(), parts, bars }.draw();
        let long: Vec<f64> = drawing
            .marks
            .iter()
            .filter_map(|m| match m {
                Mark::Rect { width, height, .. } if *height > 11.0 => Some(*width),
                _ => None,
            })
            .collect();
        assert_eq!(long, [285.0, 95.0, 190.0]);
    }
}
