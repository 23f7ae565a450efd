//! Curves over one axis, each named at its right end.

use super::axes::{Names, Panel, Scale, apart, axes, range};
use super::colour::{Colour, GREY};
use super::drawing::{Anchor, Drawing, MARGIN, TEXT, Weight};
use super::font::widest;

/// A curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name at its right end; empty for none.
    pub name: String,
    /// Its name over its left end; empty for none.
    pub start_name: String,
    /// Its colour.
    pub colour: Colour,
    /// Its points, by x; a gap where a value is not finite.
    pub points: Vec<[f64; 2]>,
    /// Thickness of the line.
    pub width: f64,
}

/// A straight line across the panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// Where on the x axis.
    pub at: f64,
    /// What is there.
    pub name: String,
}

/// Curves on common axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    /// What it is.
    pub title: String,
    /// What goes to the right.
    pub x_name: String,
    /// What goes up.
    pub y_name: String,
    /// The curves, later ones on top.
    pub series: Vec<Series>,
    /// Places on the x axis.
    pub references: Vec<Reference>,
    /// Ends of the y axis, if they are not to follow the data.
    pub y_range: Option<(f64, f64)>,
    /// Width and height.
    pub size: [f64; 2],
}

/// Points of a curve that are drawn; of more the extremes are kept.
const DRAWN: usize = 1200;

impl Lines {
    /// As a drawing.
    pub fn draw(&self) -> Drawing {
        let [width, height] = self.size;
        let mut drawing = Drawing::new(width, height);
        drawing.title(&self.title);
        let names = self.series.iter().map(|s| s.name.as_str());
        let right = width - MARGIN - widest(names, TEXT, Weight::Semibold) - 10.0;
        let panel = Panel { left: 64.0, top: 66.0, right, bottom: height - 52.0 };
        let values = |c: usize| self.series.iter().flat_map(move |s| s.points.iter().map(move |p| p[c]));
        let all_x = values(0).filter(|v| v.is_finite());
        let (low, high) = all_x.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let x = Scale::new((low, high), panel.left, panel.right);
        let y = match self.y_range {
            Some(given) => Scale::new(given, panel.bottom, panel.top),
            None => Scale::new(range(values(1)), panel.bottom, panel.top).padded(0.04),
        };
        axes(&mut drawing, panel, &x, &y, Names { x: &self.x_name, y: &self.y_name });
        for reference in self.references.iter().filter(|r| r.at >= x.low && r.at <= x.high) {
            let at = x.at(reference.at);
            drawing.line(&[[at, panel.top - 14.0], [at, panel.bottom]], GREY, 1.0, true);
            let (place, anchor) =
                if at > 0.5 * (panel.left + panel.right) { (at - 6.0, Anchor::End) } else { (at + 6.0, Anchor::Start) };
            drawing.letters([place, panel.top - 6.0], &reference.name, TEXT, Weight::Regular, GREY, anchor, 0.0, true);
        }
        for series in &self.series {
            let points: Vec<[f64; 2]> =
                thinned(&series.points, DRAWN).iter().map(|p| [x.at(p[0]), y.within(p[1])]).collect();
            drawing.line(&points, series.colour, series.width, false);
            if let Some(p) = points.first() {
                drawing.text([p[0] + 4.0, p[1] - 5.0], &series.start_name, GREY, Anchor::Start);
            }
            // One point makes no line.
            if points.len() == 1 {
                drawing.dots(points, 3.0, series.colour, 1.0);
            }
        }
        let named: Vec<&Series> = self.series.iter().filter(|s| !s.name.is_empty()).collect();
        let end = |s: &Series| s.points.iter().rev().map(|p| p[1]).find(|v| v.is_finite());
        let labelled: Vec<(&Series, f64)> = named.into_iter().filter_map(|s| Some((s, y.within(end(s)?)))).collect();
        let mut heights: Vec<f64> = labelled.iter().map(|l| l.1).collect();
        apart(&mut heights, 15.0, panel.top, panel.bottom);
        for ((series, _), height) in labelled.iter().zip(heights) {
            drawing.label([panel.right + 8.0, height + 4.0], &series.name, series.colour, Anchor::Start);
        }
        if labelled.is_empty() {
            drawing.text(
                [0.5 * (panel.left + panel.right), 0.5 * (panel.top + panel.bottom)],
                "no values",
                GREY,
                Anchor::Middle,
            );
        }
        drawing
    }
}

/// At most about `most` points: of each stretch the lowest and the highest.
fn thinned(points: &[[f64; 2]], most: usize) -> Vec<[f64; 2]> {
    if points.len() <= most {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(most / 2);
    let ends = |part: &[[f64; 2]]| {
        let finite = || part.iter().enumerate().filter(|(_, p)| p[1].is_finite());
        let low = finite().min_by(|a, b| a.1[1].total_cmp(&b.1[1]));
        let high = finite().max_by(|a, b| a.1[1].total_cmp(&b.1[1]));
        match (low, high) {
            (Some((i, low)), Some((j, high))) if i < j => vec![*low, *high],
            (Some((i, low)), Some((j, high))) if i > j => vec![*high, *low],
            (Some((_, one)), _) => vec![*one],
            _ => vec![[part[0][0], f64::NAN]],
        }
    };
    points.chunks(stretch).flat_map(ends).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plots::{BLUE, Mark};

    fn chart(points: Vec<[f64; 2]>) -> Lines {
        Lines {
            title: "t".into(),
            x_name: "x".into(),
            y_name: "y".into(),
            series: vec![Series { name: "a".into(), start_name: String::new(), colour: BLUE, points, width: 2.0 }],
            references: vec![Reference { at: 1.0, name: "here".into() }],
            y_range: None,
            size: [600.0, 300.0],
        }
    }

    #[test]
    fn peaks_survive_thinning() {
        let mut points: Vec<[f64; 2]> = (0..50_000).map(|i| [f64::from(i), f64::from(i % 7)]).collect();
        points[31_234][1] = 99.0;
        let kept = thinned(&points, 1000);
        assert!(kept.len() <= 1000 && kept.contains(&[31_234.0, 99.0]), "{}", kept.len());
        assert!(kept.windows(2).all(|w| w[0][0] <= w[1][0]));
    }

    #[test]
    fn nothing_one_point_and_gaps_are_drawn_without_nan() {
        for points in [vec![], vec![[1.0, 5.0]], vec![[0.0, 1.0], [1.0, f64::NAN], [2.0, f64::INFINITY], [3.0, 2.0]]] {
            let drawing = chart(points).draw();
            let svg = drawing.svg("t");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        let named = |d: &Drawing| d.marks.iter().any(|m| matches!(m, Mark::Text { text, .. } if text == "no values"));
        assert!(named(&chart(vec![]).draw()) && !named(&chart(vec![[1.0, 5.0]]).draw()));
    }
}
