//! Which of the cells unlike the reference make populations of their own.
//!
//! At a false-positive rate of 5 % one in twenty ordinary cells is flagged, here and there. A
//! population is where flags lie close together: a flagged cell most of whose neighbours are flagged is
//! a core; cores that are neighbours belong together, and so does a flagged cell beside a core.

use super::cells::Cells;
use crate::analysis::neighbors::knn_query;
use crate::data::check::{Content, describe_blocks};
use crate::data::source::{self, choose};
use crate::data::{Blocks, Memory, RowBlocks};
use crate::error::Result;
use crate::plots::Table;
use std::collections::BTreeMap;
use std::path::Path;

/// Neighbours that are looked at.
const NEAREST: usize = 15;
/// Share of them that must be flagged around a core.
const DENSE: f64 = 0.6;
/// Fewer cells are no population.
const FEWEST: usize = 10;
/// Genes that are named.
const GENES: usize = 6;

/// Cells that are unlike the reference and like each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    /// Its cells, ascending.
    pub cells: Vec<usize>,
    /// The label that most of them were given: the nearest known type.
    pub nearest: String,
    /// The share of them that were.
    pub share: f64,
    /// Mean probability of the labels.
    pub prob: f64,
    /// The true type that most of them have, and its share, if true types are known.
    pub truth: Option<(String, f64)>,
    /// Genes that are higher in it than in all other cells, highest t first.
    pub markers: Vec<String>,
}

/// Populations among the flagged cells, largest first.
///
/// # Errors
/// As [`knn_query`].
pub fn populations(cells: &Cells) -> Result<Vec<Population>> {
    let Some((embedding, width)) = &cells.embedding else { return Ok(Vec::new()) };
    let usable = |i: &usize| embedding[i * width..(i + 1) * width].iter().all(|v| v.is_finite());
    let all: Vec<usize> = (0..cells.len()).filter(usable).collect();
    let flagged: Vec<usize> = all.iter().copied().filter(|&i| cells.flagged[i] && cells.given[i].is_some()).collect();
    if flagged.len() < FEWEST || all.len() <= NEAREST {
        return Ok(Vec::new());
    }
    let rows = |which: &[usize]| -> Vec<f64> {
        which.iter().flat_map(|&i| embedding[i * width..(i + 1) * width].iter().map(|&v| f64::from(v))).collect()
    };
    let found = knn_query(&rows(&flagged), &rows(&all), *width, NEAREST + 1)?;
    // Places among the flagged, of all cells.
    let place: BTreeMap<usize, usize> = flagged.iter().enumerate().map(|(place, &cell)| (cell, place)).collect();
    let near: Vec<Vec<usize>> = (0..flagged.len())
        .map(|f| found.row(f).0.iter().map(|&j| all[j as usize]).filter(|&c| c != flagged[f]).take(NEAREST).collect())
        .collect();
    let flags = |f: usize| near[f].iter().filter_map(|cell| place.get(cell).copied());
    let core: Vec<bool> = (0..flagged.len()).map(|f| flags(f).count() as f64 >= DENSE * NEAREST as f64).collect();
    let mut groups = Groups::new(flagged.len());
    for f in (0..flagged.len()).filter(|&f| core[f]) {
        flags(f).filter(|&g| core[g]).for_each(|g| groups.join(f, g));
    }
    for f in (0..flagged.len()).filter(|&f| !core[f]) {
        if let Some(g) = flags(f).find(|&g| core[g]) {
            groups.join(f, g);
        }
    }
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    (0..flagged.len()).for_each(|f| members.entry(groups.root(f)).or_default().push(flagged[f]));
    let mut out: Vec<Population> =
        members.into_values().filter(|cells| cells.len() >= FEWEST).map(|own| describe(cells, own)).collect();
    out.sort_by(|a, b| b.cells.len().cmp(&a.cells.len()).then(a.cells.cmp(&b.cells)));
    Ok(out)
}

fn describe(cells: &Cells, own: Vec<usize>) -> Population {
    let n = own.len() as f64;
    let (nearest, count) = most(own.iter().filter_map(|&i| cells.given[i].map(|g| cells.labels[g].as_str())));
    let (truth, known) = most(own.iter().filter_map(|&i| cells.true_type(i)));
    Population {
        prob: own.iter().map(|&i| cells.prob[i]).sum::<f64>() / n,
        truth: (known > 0).then_some((truth, known as f64 / n)),
        share: count as f64 / n,
        nearest,
        markers: Vec::new(),
        cells: own,
    }
}

/// The most frequent name (the first in order among equals) and how often it occurs.
fn most<'a>(names: impl Iterator<Item = &'a str>) -> (String, usize) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    let (name, count) = counts.into_iter().fold(("", 0), |best, next| if next.1 > best.1 { next } else { best });
    (name.to_owned(), count)
}

/// Disjoint sets; the root of a set is its smallest member.
struct Groups(Vec<usize>);

impl Groups {
    fn new(n: usize) -> Groups {
        Groups((0..n).collect())
    }

    fn root(&mut self, mut i: usize) -> usize {
        while self.0[i] != i {
            self.0[i] = self.0[self.0[i]];
            i = self.0[i];
        }
        i
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}

/// Names for each population the genes with the largest Welch t of its cells against all others, on
/// log-normalised expression; genes in fewer than a quarter of its cells are left out.
///
/// # Errors
/// Those of reading the file.
pub fn name_markers(populations: &mut [Population], file: &Path, layer: Option<&str>, memory: Memory) -> Result<()> {
    if populations.is_empty() {
        return Ok(());
    }
    let opened = source::open_within(file, memory)?;
    let which = choose(opened.as_ref(), layer)?;
    let names = opened.var(&which).index.clone();
    let blocks = Blocks::new(opened.as_ref(), &which, memory)?;
    let counts = match describe_blocks(&blocks)?.content {
        Content::Counts | Content::Normalised { .. } | Content::Fractional => true,
        Content::Log1p { .. } => false,
        // Nothing can be said of genes in units of standard deviations.
        _ => return Ok(()),
    };
    let (n, g) = (blocks.n_rows(), names.len());
    let mut of = vec![usize::MAX; n];
    for (k, population) in populations.iter().enumerate() {
        population.cells.iter().filter(|&&i| i < n).for_each(|&i| of[i] = k);
    }
    // Sum, sum of squares and number of cells above 0: of each population, then of all cells.
    let all = populations.len();
    let mut sums = vec![[0.0f64; 3]; (all + 1) * g];
    blocks.pass(&mut |first, rows| {
        for i in 0..rows.n_rows() {
            let (columns, values) = rows.row(i);
            let total: f64 = values.iter().map(|&v| f64::from(v)).sum();
            let scale = if total > 0.0 { 1e4 / total } else { 0.0 };
            for (&c, &v) in columns.iter().zip(values) {
                let v = if counts { (f64::from(v) * scale).ln_1p() } else { f64::from(v) };
                for k in [all, of[first + i]].into_iter().filter(|&k| k <= all) {
                    let sum = &mut sums[k * g + c as usize];
                    *sum = [sum[0] + v, sum[1] + v * v, sum[2] + f64::from(u8::from(v > 0.0))];
                }
            }
        }
        Ok(())
    })?;
    for (k, population) in populations.iter_mut().enumerate() {
        let m = population.cells.len() as f64;
        let rest = n as f64 - m;
        if rest < 2.0 {
            continue;
        }
        let mut scored: Vec<(f64, usize)> = (0..g)
            .filter_map(|c| {
                let (own, every) = (sums[k * g + c], sums[all * g + c]);
                let moments = |sum: f64, squares: f64, n: f64| {
                    let mean = sum / n;
                    (mean, ((squares - n * mean * mean) / (n - 1.0)).max(0.0) / n)
                };
                let (mean, own_var) = moments(own[0], own[1], m);
                let (other, other_var) = moments(every[0] - own[0], every[1] - own[1], rest);
                let t = (mean - other) / (own_var + other_var).sqrt().max(1e-9);
                (own[2] >= 0.25 * m && t > 3.0).then_some((t, c))
            })
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        population.markers = scored.iter().take(GENES).map(|&(_, c)| names[c].clone()).collect();
    }
    Ok(())
}

/// As a table.
pub fn table(populations: &[Population]) -> Table {
    let mut table =
        Table::new(&["population", "cells", "nearest known type", "its share", "mean probability", "marker genes"]);
    if populations.iter().any(|p| p.truth.is_some()) {
        table.header.extend(["true type".to_owned(), "share".to_owned()]);
    }
    for (k, p) in populations.iter().enumerate() {
        let mut row = vec![
            format!("U{}", k + 1),
            p.cells.len().to_string(),
            p.nearest.clone(),
            format!("{:.2}", p.share),
            format!("{:.2}", p.prob),
            p.markers.join(" "),
        ];
        if table.header.len() > row.len() {
            let (truth, share) = p.truth.clone().unwrap_or_default();
            row.extend([truth, format!("{share:.2}")]);
        }
        table.push(row);
    }
    table
}
