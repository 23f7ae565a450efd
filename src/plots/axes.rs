//! From numbers to places on the sheet: scales, ticks, thin axes.

use super::colour::{GREY, INK, LIGHT};
use super::drawing::{Anchor, Drawing, TEXT, Weight};

/// The part of the sheet that data are drawn in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Panel {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

/// A linear scale from numbers to places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub low: f64,
    pub high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// `low` at `from`, `high` at `to`; a range without width is widened.
    pub fn new((low, high): (f64, f64), from: f64, to: f64) -> Scale {
        let (low, high) = if low.is_finite() && high.is_finite() { (low, high) } else { (0.0, 1.0) };
        let (low, high) = if high - low > 1e-12 * low.abs().max(high.abs()).max(1e-300) {
            (low, high)
        } else {
            let half = 0.5 * low.abs().max(1.0);
            (low - half, high + half)
        };
        Scale { low, high, from, to }
    }

    /// The same scale with some room at both ends.
    pub fn padded(self, share: f64) -> Scale {
        let room = share * (self.high - self.low);
        Scale { low: self.low - room, high: self.high + room, ..self }
    }

    /// The place of a number.
    pub fn at(&self, v: f64) -> f64 {
        self.from + (v - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The place of a number, at the nearer end if it is beyond.
    pub fn within(&self, v: f64) -> f64 {
        self.at(if v.is_nan() { v } else { v.clamp(self.low, self.high) })
    }

    /// About `n` round numbers with their names.
    pub fn ticks(&self, n: usize) -> Vec<(f64, String)> {
        let rough = (self.high - self.low) / n.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|&s| s >= rough * 0.999).unwrap_or(rough);
        let digits = (-(step.log10() + 1e-9).floor()).clamp(0.0, 12.0) as usize;
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|k| (k as f64 * step, named(k as f64 * step, digits))).collect()
    }
}

/// A number with a true minus sign and thousands apart.
pub(super) fn named(v: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", v.abs());
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(w, r)| (w, Some(r)));
    let mut out = String::new();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if let Some(rest) = rest {
        out = format!("{out}.{rest}");
    }
    let zero = out.chars().all(|c| matches!(c, '0' | '.' | ','));
    if v < 0.0 && !zero { format!("−{out}") } else { out }
}

/// Smallest and largest of the finite values; a few far ones (under 1 % at each end) are left out if
/// they would make the range more than three times as wide.
pub(super) fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let mut values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    let (Some(&low), Some(&high)) = (values.first(), values.last()) else { return (f64::NAN, f64::NAN) };
    let cut = values.len() / 100;
    let (inner_low, inner_high) = (values[cut], values[values.len() - 1 - cut]);
    if inner_high > inner_low && high - low > 3.0 * (inner_high - inner_low) {
        (inner_low, inner_high)
    } else {
        (low, high)
    }
}

/// What an axis is called; no ticks without a name.
pub(super) struct Names<'a> {
    pub x: &'a str,
    pub y: &'a str,
}

/// Light lines at the ticks of y, a thin line and ticks for x, the axes' names.
pub(super) fn axes(drawing: &mut Drawing, panel: Panel, x: &Scale, y: &Scale, names: Names) {
    for (v, name) in y.ticks(5) {
        let at = y.at(v);
        drawing.line(&[[panel.left, at], [panel.right, at]], LIGHT, 1.0, false);
        drawing.text([panel.left - 8.0, at + 4.0], &name, GREY, Anchor::End);
    }
    let ticks = ((panel.right - panel.left) / 80.0).max(2.0) as usize;
    for (v, name) in x.ticks(ticks) {
        let at = x.at(v);
        drawing.line(&[[at, panel.bottom], [at, panel.bottom + 4.0]], GREY, 1.0, false);
        drawing.text([at, panel.bottom + 18.0], &name, GREY, Anchor::Middle);
    }
    drawing.line(&[[panel.left, panel.bottom], [panel.right, panel.bottom]], GREY, 1.0, false);
    drawing.text([0.5 * (panel.left + panel.right), panel.bottom + 38.0], names.x, INK, Anchor::Middle);
    // The name of y lies flat above its axis, where it is read without turning the head.
    drawing.letters(
        [super::drawing::MARGIN, panel.top - 12.0],
        names.y,
        TEXT,
        Weight::Regular,
        INK,
        Anchor::Start,
        0.0,
        false,
    );
}

/// Moves heights apart so that neighbours are at least `gap` apart, within `low..high` if they fit.
pub(super) fn apart(places: &mut [f64], gap: f64, low: f64, high: f64) {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|&a, &b| places[a].total_cmp(&places[b]).then(a.cmp(&b)));
    let mut least = low;
    for &i in &order {
        places[i] = places[i].max(least);
        least = places[i] + gap;
    }
    let mut most = high;
    for &i in order.iter().rev() {
        places[i] = places[i].min(most);
        most = places[i] - gap;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let names = |low, high, n| -> Vec<String> {
            Scale::new((low, high), 0.0, 1.0).ticks(n).into_iter().map(|t| t.1).collect()
        };
        assert_eq!(names(0.0, 1.0, 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(names(-7.0, 11.0, 5), ["−5", "0", "5", "10"]);
        assert_eq!(names(0.0, 20_000.0, 4), ["0", "5,000", "10,000", "15,000", "20,000"]);
        assert_eq!(names(0.001, 0.0042, 4), ["0.001", "0.002", "0.003", "0.004"]);
        assert!(!names(3.0, 3.0, 4).is_empty() && !names(f64::NAN, 1.0, 4).is_empty());
    }

    #[test]
    fn far_values_do_not_squeeze_the_rest() {
        let mut values: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(range(values.clone()), (0.0, 999.0));
        values.push(-1e9);
        let (low, high) = range(values);
        assert!(low > -1.0 && high < 1000.0, "{low} {high}");
        assert!(range([f64::NAN]).0.is_nan());
    }

    #[test]
    fn places_move_apart() {
        let mut places = [10.0, 11.0, 50.0, 10.5];
        apart(&mut places, 14.0, 0.0, 60.0);
        let mut sorted = places;
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|w| w[1] - w[0] >= 14.0 - 1e-9), "{places:?}");
        assert!(places[0] < places[3] && places[3] < places[1], "{places:?}");
    }
}
