//! Is a probability of 0.8 right in eight of ten? Accuracy over confidence, bin by bin.

use super::axes::{Names, Panel, Scale, axes};
use super::colour::{BLUE, GREY, INK, LIGHT, UNKNOWN};
use super::drawing::{Anchor, Drawing};

/// A bin of confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilityBin {
    /// Cells in it.
    pub cells: usize,
    /// Their mean confidence.
    pub confidence: f64,
    /// Share of them that is right.
    pub accuracy: f64,
}

/// Bins of equal width from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct ReliabilityChart {
    /// What it is.
    pub title: String,
    /// The bins.
    pub bins: Vec<ReliabilityBin>,
    /// A figure of merit, in words.
    pub note: String,
}

impl ReliabilityChart {
    /// As a drawing: bars of accuracy under the diagonal, the difference to the mean confidence in
    /// another colour, the number of cells below.
    pub fn draw(&self) -> Drawing {
        let mut drawing = Drawing::new(460.0, 480.0);
        drawing.title(&self.title);
        let panel = Panel { left: 56.0, top: 66.0, right: 444.0, bottom: 372.0 };
        let x = Scale::new((0.0, 1.0), panel.left, panel.right);
        let y = Scale::new((0.0, 1.0), panel.bottom, panel.top);
        axes(&mut drawing, panel, &x, &y, Names { x: "", y: "share of right labels" });
        let n = self.bins.len().max(1) as f64;
        for (b, bin) in self.bins.iter().enumerate().filter(|(_, bin)| bin.cells > 0) {
            let (from, to) = (x.at(b as f64 / n) + 1.0, x.at((b + 1) as f64 / n) - 1.0);
            let (accuracy, confidence) = (y.within(bin.accuracy), y.within(bin.confidence));
            // Heights grow downwards: what both reach, then what one has more.
            let (high, low) = (accuracy.min(confidence), accuracy.max(confidence));
            drawing.rect([from, low], [to - from, panel.bottom - low], BLUE, 0.85);
            let (gap, opacity) = if accuracy < confidence { (BLUE, 0.4) } else { (UNKNOWN, 0.45) };
            drawing.rect([from, high], [to - from, low - high], gap, opacity);
        }
        drawing.line(&[[x.at(0.0), y.at(0.0)], [x.at(1.0), y.at(1.0)]], INK, 1.0, true);
        drawing.label([panel.left + 10.0, panel.top + 16.0], &self.note, INK, Anchor::Start);
        let key = [(UNKNOWN, 0.45, "surer than right"), (BLUE, 0.4, "righter than sure")];
        for (k, (colour, opacity, name)) in key.into_iter().enumerate() {
            let y = panel.top + 35.0 + 17.0 * k as f64;
            drawing.rect([panel.left + 10.0, y - 9.0], [10.0, 10.0], colour, opacity);
            drawing.text([panel.left + 26.0, y], name, GREY, Anchor::Start);
        }
        // How many cells speak for each bar.
        let most = self.bins.iter().map(|b| b.cells).max().unwrap_or(0).max(1) as f64;
        let (base, tall) = (440.0, 40.0);
        for (b, bin) in self.bins.iter().enumerate() {
            let (from, to) = (x.at(b as f64 / n) + 1.0, x.at((b + 1) as f64 / n) - 1.0);
            let height = tall * bin.cells as f64 / most;
            drawing.rect([from, base - height], [to - from, height], GREY, 0.6);
        }
        drawing.line(&[[panel.left, base], [panel.right, base]], LIGHT, 1.0, false);
        drawing.text([panel.left - 8.0, base], "cells", GREY, Anchor::End);
        drawing.text([0.5 * (panel.left + panel.right), base + 20.0], "probability of the label", INK, Anchor::Middle);
        drawing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plots::Mark;

    #[test]
    fn bars_of_bins_with_cells_only() {
        let bin = |cells, accuracy| ReliabilityBin { cells, confidence: 0.5, accuracy };
        let chart = |bins| ReliabilityChart { title: "t".into(), bins, note: "ECE 0.1".into() };
        let rects = |d: &Drawing| d.marks.iter().filter(|m| matches!(m, Mark::Rect { .. })).count();
        // Two bars with gaps, their two counts, the key.
        assert_eq!(rects(&chart(vec![bin(0, 0.0), bin(3, 0.4), bin(5, 0.9)]).draw()), 2 + 2 + 2 + 2);
        assert_eq!(rects(&chart(vec![]).draw()), 2);
    }
}
