//! Cells on a plane, coloured by group, each group named where its cells are.

use super::axes::named;
use super::colour::{Colour, GREY, INK, LIGHT};
use super::drawing::{Anchor, Drawing, MARGIN, TEXT, Weight};
use super::font::{shortened, width};

/// A group of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its colour.
    pub colour: Colour,
}

/// Points with a group each.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    /// What it is.
    pub title: String,
    /// The places; those that are not finite are left out.
    pub points: Vec<[f64; 2]>,
    /// Each point's group; `None`: of no group, grey.
    pub codes: Vec<Option<usize>>,
    /// The groups.
    pub groups: Vec<Group>,
    /// Whether groups are named among their points, not only in the list beside.
    pub labelled: bool,
    /// Side of the square that the points are in.
    pub side: f64,
}

/// Width of the list of groups, and of its names.
const LIST: f64 = 176.0;
/// Rows of the list; more groups are counted together.
const ROWS: usize = 26;

impl Scatter {
    /// As a drawing.
    pub fn draw(&self) -> Drawing {
        let top = 40.0;
        let mut drawing = Drawing::new(self.side + 2.0 * MARGIN + LIST, top + self.side + MARGIN + 14.0);
        drawing.title(&self.title);
        let [left, right, bottom] = [MARGIN, MARGIN + self.side, top + self.side];
        drawing.line(&[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], LIGHT, 1.0, false);
        let place = self.places(left, top);
        let finite = place.iter().filter(|p| p[0].is_finite()).count();
        let radius = (0.07 * self.side / (finite.max(1) as f64).powf(0.42)).clamp(0.8, 4.0);
        let of = |g: Option<usize>| (0..place.len()).filter(move |&i| self.codes[i] == g);
        drawing.dots(of(None).map(|i| place[i]), radius, GREY, 0.35);
        // Large groups first, so that small ones are seen.
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        let counts: Vec<usize> = order.iter().map(|&g| of(Some(g)).count()).collect();
        order.sort_by_key(|&g| std::cmp::Reverse(counts[g]));
        for &g in &order {
            drawing.dots(of(Some(g)).map(|i| place[i]), radius, self.groups[g].colour, 0.75);
        }
        if self.labelled {
            self.labels(&mut drawing, &place, &counts, [left, right, top, bottom]);
        }
        self.list(&mut drawing, &counts, of(None).count(), right + 14.0, top);
        drawing.text([left, bottom + 16.0], &format!("{} cells", named(finite as f64, 0)), GREY, Anchor::Start);
        drawing
    }

    /// Both axes have the same scale; the middle of the points is that of the square.
    fn places(&self, left: f64, top: f64) -> Vec<[f64; 2]> {
        let finite = |p: &&[f64; 2]| p[0].is_finite() && p[1].is_finite();
        let mut ends = [[f64::INFINITY, f64::NEG_INFINITY]; 2];
        for p in self.points.iter().filter(finite) {
            for c in 0..2 {
                ends[c] = [ends[c][0].min(p[c]), ends[c][1].max(p[c])];
            }
        }
        let extent = (ends[0][1] - ends[0][0]).max(ends[1][1] - ends[1][0]);
        let scale = if extent > 0.0 && extent.is_finite() { (self.side - 28.0) / extent } else { 1.0 };
        let middle = [0.5 * (ends[0][0] + ends[0][1]), 0.5 * (ends[1][0] + ends[1][1])];
        let half = 0.5 * self.side;
        let one = |p: &[f64; 2]| match finite(&p) {
            true => [left + half + (p[0] - middle[0]) * scale, top + half - (p[1] - middle[1]) * scale],
            false => [f64::NAN; 2],
        };
        self.points.iter().map(one).collect()
    }

    fn labels(
        &self,
        drawing: &mut Drawing,
        place: &[[f64; 2]],
        counts: &[usize],
        [left, right, top, bottom]: [f64; 4],
    ) {
        let total: usize = counts.iter().sum();
        let mut boxes: Vec<([f64; 4], usize)> = Vec::new();
        let mut order: Vec<usize> = (0..counts.len()).filter(|&g| counts[g] > 0).collect();
        order.sort_by_key(|&g| std::cmp::Reverse(counts[g]));
        for g in order {
            if counts[g] * 400 < total {
                continue;
            }
            let own: Vec<[f64; 2]> = (0..place.len()).filter(|&i| self.codes[i] == Some(g)).map(|i| place[i]).collect();
            let Some([x, y]) = middle(&own) else { continue };
            let text = shortened(&self.groups[g].name, TEXT, Weight::Semibold, 160.0);
            let half = 0.5 * width(&text, TEXT, Weight::Semibold);
            let x = x.clamp(left + half + 4.0, (right - half - 4.0).max(left + half + 4.0));
            let free = |y: f64| {
                boxes.iter().all(|([l, r, t, b], _)| x + half < *l || x - half > *r || y + 4.0 < *t || y - 11.0 > *b)
            };
            // The nearest free line above or below.
            let shifts = (0..40).map(|k| f64::from((k + 1) / 2) * if k % 2 == 0 { 8.0 } else { -8.0 });
            let inside = |y: &f64| *y > top + 12.0 && *y < bottom - 4.0;
            let Some(y) = shifts.map(|s| y + 4.0 + s).filter(inside).find(|&y| free(y)) else { continue };
            boxes.push(([x - half, x + half, y - 11.0, y + 4.0], g));
            drawing.label([x, y], &text, INK, Anchor::Middle);
        }
    }

    fn list(&self, drawing: &mut Drawing, counts: &[usize], without: usize, x: f64, top: f64) {
        let mut rows: Vec<(String, Colour, usize)> =
            self.groups.iter().zip(counts).map(|(g, &n)| (g.name.clone(), g.colour, n)).filter(|r| r.2 > 0).collect();
        if rows.len() > ROWS {
            let rest = rows.split_off(ROWS - 1);
            rows.push((format!("{} more", rest.len()), GREY, rest.iter().map(|r| r.2).sum()));
        }
        if without > 0 {
            rows.push(("no label".into(), GREY, without));
        }
        let gap = 17f64.min((self.side - 8.0) / rows.len().max(1) as f64);
        for (k, (name, colour, n)) in rows.iter().enumerate() {
            let y = top + 12.0 + gap * k as f64;
            let count = named(*n as f64, 0);
            let room = LIST - 22.0 - 14.0 - width(&count, TEXT, Weight::Regular);
            drawing.dots([[x + 5.0, y - 4.0]], 5.0, *colour, 1.0);
            drawing.text([x + 15.0, y], &shortened(name, TEXT, Weight::Regular, room), INK, Anchor::Start);
            drawing.text([x + LIST - 14.0, y], &count, GREY, Anchor::End);
        }
    }
}

/// The point that is nearest to the medians of both coordinates.
fn middle(points: &[[f64; 2]]) -> Option<[f64; 2]> {
    let finite: Vec<[f64; 2]> = points.iter().copied().filter(|p| p[0].is_finite()).collect();
    let median = |c: usize| {
        let mut values: Vec<f64> = finite.iter().map(|p| p[c]).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let (x, y) = (median(0)?, median(1)?);
    finite.into_iter().min_by(|a, b| {
        let far = |p: &[f64; 2]| (p[0] - x).powi(2) + (p[1] - y).powi(2);
        far(a).total_cmp(&far(b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plots::{Mark, category};

    fn chart(points: Vec<[f64; 2]>, codes: Vec<Option<usize>>, names: &[&str]) -> Scatter {
        let groups = names.iter().enumerate().map(|(i, n)| Group { name: (*n).into(), colour: category(i) }).collect();
        Scatter { title: "cells".into(), points, codes, groups, labelled: true, side: 400.0 }
    }

    #[test]
    fn every_finite_point_is_drawn_once_inside_the_square() {
        let points: Vec<[f64; 2]> = (0..300).map(|i| [f64::from(i * 37 % 101), f64::from(i * 17 % 83)]).collect();
        let mut points = points;
        points[7] = [f64::NAN, 1.0];
        let codes = (0..300).map(|i| [Some(0), Some(1), None][i % 3]).collect();
        let drawing = chart(points, codes, &["T <1>", "B", "never"]).draw();
        let clouds: Vec<&Vec<[f64; 2]>> = drawing
            .marks
            .iter()
            .filter_map(|m| match m {
                Mark::Dots { points, .. } if points.len() > 1 => Some(points),
                _ => None,
            })
            .collect();
        assert_eq!(clouds.iter().map(|c| c.len()).sum::<usize>(), 299);
        assert!(
            clouds.iter().flat_map(|c| c.iter()).all(|p| p[0] > 16.0 && p[0] < 416.0 && p[1] > 40.0 && p[1] < 440.0)
        );
        let svg = drawing.svg("t");
        assert!(svg.contains("T &lt;1&gt;") && svg.contains("no label") && !svg.contains("never"), "{svg}");
    }

    #[test]
    fn no_cell_one_cell_and_many_groups_are_drawn() {
        for n in [0, 1, 60] {
            let names: Vec<String> = (0..n).map(|i| format!("type {i}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let points = (0..n).map(|i| [i as f64, 1.0]).collect();
            let svg = chart(points, (0..n).map(Some).collect(), &names).draw().svg("t");
            assert!(!svg.contains("NaN"), "{svg}");
            assert_eq!(svg.contains("35 more"), n == 60);
        }
    }
}
