//! A drawing: marks on a white sheet, in the units of a screen (96 to the inch), y downwards.

use super::colour::Colour;
use super::font;

/// How text lies at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Begins there.
    Start,
    /// Has its middle there.
    Middle,
    /// Ends there.
    End,
}

/// How strong letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Text.
    Regular,
    /// Titles and labels.
    Semibold,
}

/// One thing on the sheet. Marks with coordinates that are not finite are left out; such a point
/// breaks a line.
// Each variant's own line tells of its fields.
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// A filled rectangle.
    Rect { x: f64, y: f64, width: f64, height: f64, fill: Colour, opacity: f64 },
    /// A line through points.
    Line { points: Vec<[f64; 2]>, stroke: Colour, width: f64, dashed: bool },
    /// A filled polygon.
    Area { points: Vec<[f64; 2]>, fill: Colour, opacity: f64 },
    /// Filled discs; where they overlap they are not darker.
    Dots { points: Vec<[f64; 2]>, radius: f64, fill: Colour, opacity: f64 },
    /// A line of text on its baseline; `turn` in degrees, clockwise about (x, y); with `halo` on a
    /// white border.
    Text {
        x: f64,
        y: f64,
        text: String,
        size: f64,
        weight: Weight,
        fill: Colour,
        anchor: Anchor,
        turn: f64,
        halo: bool,
    },
}

/// Marks in the order in which they are painted.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// Width of the sheet.
    pub width: f64,
    /// Height of the sheet.
    pub height: f64,
    /// What is on it.
    pub marks: Vec<Mark>,
}

/// Size of plain text.
pub(super) const TEXT: f64 = 12.0;

impl Drawing {
    /// An empty sheet.
    pub fn new(width: f64, height: f64) -> Drawing {
        Drawing { width, height, marks: Vec::new() }
    }

    /// A filled rectangle.
    pub(super) fn rect(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2], fill: Colour, opacity: f64) {
        if [x, y, width, height].iter().all(|v| v.is_finite()) && width > 0.0 && height > 0.0 {
            self.marks.push(Mark::Rect { x, y, width, height, fill, opacity });
        }
    }

    /// A line; pieces end where a point is not finite.
    pub(super) fn line(&mut self, points: &[[f64; 2]], stroke: Colour, width: f64, dashed: bool) {
        for piece in points.split(|p| !finite(p)).filter(|piece| piece.len() > 1) {
            self.marks.push(Mark::Line { points: piece.to_vec(), stroke, width, dashed });
        }
    }

    /// A filled polygon.
    pub(super) fn area(&mut self, points: Vec<[f64; 2]>, fill: Colour, opacity: f64) {
        if points.len() > 2 && points.iter().all(finite) {
            self.marks.push(Mark::Area { points, fill, opacity });
        }
    }

    /// Discs.
    pub(super) fn dots(&mut self, points: impl IntoIterator<Item = [f64; 2]>, radius: f64, fill: Colour, opacity: f64) {
        let points: Vec<[f64; 2]> = points.into_iter().filter(finite).collect();
        if !points.is_empty() {
            self.marks.push(Mark::Dots { points, radius, fill, opacity });
        }
    }

    /// Plain text.
    pub(super) fn text(&mut self, [x, y]: [f64; 2], text: &str, fill: Colour, anchor: Anchor) {
        self.letters([x, y], text, TEXT, Weight::Regular, fill, anchor, 0.0, false);
    }

    /// Semibold text with a white border, on top of marks.
    pub(super) fn label(&mut self, [x, y]: [f64; 2], text: &str, fill: Colour, anchor: Anchor) {
        self.letters([x, y], text, TEXT, Weight::Semibold, fill, anchor, 0.0, true);
    }

    /// The title, at the top left.
    pub(super) fn title(&mut self, text: &str) {
        let text = font::shortened(text, 15.0, Weight::Semibold, self.width - 2.0 * MARGIN);
        self.letters([MARGIN, 24.0], &text, 15.0, Weight::Semibold, super::INK, Anchor::Start, 0.0, false);
    }

    /// Text in every way.
    pub(super) fn letters(
        &mut self,
        [x, y]: [f64; 2],
        text: &str,
        size: f64,
        weight: Weight,
        fill: Colour,
        anchor: Anchor,
        turn: f64,
        halo: bool,
    ) {
        if finite(&[x, y]) && !text.is_empty() {
            let text = text.chars().filter(|c| !c.is_control()).collect();
            self.marks.push(Mark::Text { x, y, text, size, weight, fill, anchor, turn, halo });
        }
    }
}

/// White space at the border of a sheet.
pub(super) const MARGIN: f64 = 16.0;

fn finite(p: &[f64; 2]) -> bool {
    p[0].is_finite() && p[1].is_finite()
}
