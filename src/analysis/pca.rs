//! Principal components, exact and with fixed signs.
//!
//! May use: `error`, `rng`, `data` (Csr), `cpu::dgemm`, `linalg`. The smaller of the two Gram matrices
//! of the centred data is decomposed: in full when it is small, else by block Lanczos to a residual of
//! 1e-11, so that no component depends on a random start beyond rounding. Centring is implicit: blocks
//! of rows are widened to binary64 and centred as they are read.
#![forbid(unsafe_code)]

use super::linalg::{Eigen, symmetric_eigen, top_eigen};
use crate::cpu::dgemm::{Mat, NARROW, gemm, par_gemm, par_narrow};
use crate::data::preprocess::{ScaleParams, Scaling};
use crate::data::{Csr, RowBlocks, RowStore};
use crate::error::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A matrix `[n_obs, n_vars]` that can be read in pieces, in binary64.
pub trait Rows: Sync {
    /// Number of rows (cells).
    fn n_rows(&self) -> usize;
    /// Number of columns (features).
    fn n_cols(&self) -> usize;
    /// Writes row `row`, columns `first .. first + out.len()`.
    fn read(&self, row: usize, first: usize, out: &mut [f64]);
}

/// A dense row-major matrix for [`Pca`].
#[derive(Clone, Copy, Debug)]
pub struct DenseRows<'a, T> {
    /// Row-major, rows after rows.
    pub values: &'a [T],
    /// Number of columns.
    pub n_cols: usize,
}

impl<T: Copy + Into<f64> + Sync> Rows for DenseRows<'_, T> {
    fn n_rows(&self) -> usize {
        self.values.len().checked_div(self.n_cols).unwrap_or(0)
    }
    fn n_cols(&self) -> usize {
        self.n_cols
    }
    fn read(&self, row: usize, first: usize, out: &mut [f64]) {
        let from = row * self.n_cols + first;
        for (o, &v) in out.iter_mut().zip(&self.values[from..]) {
            *o = v.into();
        }
    }
}

impl Rows for Csr {
    fn n_rows(&self) -> usize {
        Csr::n_rows(self)
    }
    fn n_cols(&self) -> usize {
        Csr::n_cols(self)
    }
    fn read(&self, row: usize, first: usize, out: &mut [f64]) {
        let (columns, values) = self.row(row);
        place(columns, values, first, out);
    }
}

impl Rows for RowStore {
    fn n_rows(&self) -> usize {
        RowBlocks::n_rows(self)
    }
    fn n_cols(&self) -> usize {
        RowBlocks::n_cols(self)
    }
    fn read(&self, row: usize, first: usize, out: &mut [f64]) {
        self.row(row, |columns, values| place(columns, values, first, out));
    }
}

/// Sparse rows with their genes scaled as they are read, so that no dense matrix is ever made.
#[derive(Clone, Copy)]
pub struct ScaledRows<'a> {
    /// The rows.
    pub rows: &'a RowStore,
    /// Mean and standard deviation of each gene.
    pub scaling: &'a Scaling,
    /// How they are used.
    pub params: ScaleParams,
}

impl Rows for ScaledRows<'_> {
    fn n_rows(&self) -> usize {
        RowBlocks::n_rows(self.rows)
    }
    fn n_cols(&self) -> usize {
        RowBlocks::n_cols(self.rows)
    }
    fn read(&self, row: usize, first: usize, out: &mut [f64]) {
        self.rows.row(row, |columns, values| place(columns, values, first, out));
        for (i, value) in out.iter_mut().enumerate() {
            *value = f64::from(self.scaling.score(first + i, *value, self.params));
        }
    }
}

/// Writes the columns `first ..` of a sparse row.
fn place(columns: &[u32], values: &[f32], first: usize, out: &mut [f64]) {
    out.fill(0.0);
    let start = columns.partition_point(|&c| (c as usize) < first);
    for (&c, &v) in columns[start..].iter().zip(&values[start..]) {
        let Some(slot) = out.get_mut(c as usize - first) else { break };
        *slot = f64::from(v);
    }
}

/// Principal components of a matrix, largest variance first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pca {
    /// Number of features that went in.
    pub n_vars: usize,
    /// Number of components k.
    pub n_comps: usize,
    /// `[n_vars]`, subtracted before the rotation.
    pub mean: Vec<f64>,
    /// `[k, n_vars]`, unit rows; the largest |loading| of each is positive. A component beyond the
    /// rank of the data is all zero.
    pub components: Vec<f64>,
    /// `[n_obs, k]`; not kept by serde.
    #[serde(skip)]
    pub scores: Vec<f64>,
    /// `[k]`
    pub singular_values: Vec<f64>,
    /// `[k]`, `singular^2 / (n_obs - 1)`
    pub variance: Vec<f64>,
    /// `[k]`, share of the total variance.
    pub variance_ratio: Vec<f64>,
}

/// Order up to which a Gram matrix is decomposed in full.
const FULL: usize = 256;
/// Order up to which a Gram matrix is written out.
const GRAM: usize = 4096;
/// Rows or columns that are widened at once.
const PANEL: usize = 1024;

impl Pca {
    /// The first `n_comps` components (or as many as the smaller side has) of `x` `[n_obs, n_vars]`.
    ///
    /// `seed` starts the iteration for large matrices; it shows in the result within 1e-9 only.
    ///
    /// # Errors
    /// `Error::Data` if `x` has fewer than two rows, no columns, or values that are not finite.
    pub fn fit(x: &impl Rows, n_comps: usize, seed: u64) -> Result<Pca> {
        let (n, g) = (x.n_rows(), x.n_cols());
        if n < 2 || g == 0 || n_comps == 0 {
            return Err(Error::data(
                "pca",
                format!("no components of {n} cells x {g} genes"),
                "give at least two cells, one gene and one component",
            ));
        }
        let k = n_comps.min(n).min(g);
        let (mean, total) = mean_and_total(x);
        if !total.is_finite() {
            return Err(Error::data("pca", "the matrix has values that are not finite", "remove or replace them"));
        }
        let x = Centred { x, mean: &mean, n, g };
        let side = n.min(g);
        let eigen = if side <= GRAM {
            let gram = if g <= n { x.gram_of_columns() } else { x.gram_of_rows() };
            if side <= FULL.max(4 * k) && side <= 4 * FULL {
                symmetric_eigen(&gram, side, k)?
            } else {
                top_eigen(side, k, seed, &mut |q, w| {
                    let rows = q.len() / side;
                    // w' = A q', since a task takes rows of A.
                    let mut transposed = vec![0.0; w.len()];
                    if rows == NARROW {
                        let mut columns = vec![0.0; q.len()];
                        transpose(q, rows, side, &mut columns);
                        par_narrow(&gram, &columns, side, &mut transposed);
                    } else {
                        par_gemm(1.0, Mat::new(&gram, side, side), Mat::new(q, rows, side).t(), 0.0, &mut transposed);
                    }
                    transpose(&transposed, side, rows, w);
                })?
            }
        } else {
            top_eigen(side, k, seed, &mut |q, w| {
                let rows = q.len() / side;
                if g <= n {
                    x.to_loadings(&x.to_scores(q, rows), rows, w);
                } else {
                    let mut loadings = vec![0.0; rows * g];
                    let mut scores = vec![0.0; w.len()];
                    transpose(q, rows, side, &mut scores);
                    x.to_loadings(&scores, rows, &mut loadings);
                    transpose(&x.to_scores(&loadings, rows), side, rows, w);
                }
            })?
        };
        Ok(finish(&x, eigen, total))
    }

    /// The first `k` components alone.
    pub fn truncated(mut self, k: usize) -> Pca {
        let (old, k) = (self.n_comps, k.min(self.n_comps));
        self.scores = self.scores.chunks_exact(old.max(1)).flat_map(|row| row[..k].iter().copied()).collect();
        self.components.truncate(k * self.n_vars);
        self.singular_values.truncate(k);
        self.variance.truncate(k);
        self.variance_ratio.truncate(k);
        self.n_comps = k;
        self
    }

    /// The scores `[rows, k]` of other cells.
    ///
    /// # Errors
    /// `Error::Shape` if they have another number of columns.
    pub fn project(&self, rows: &impl Rows) -> Result<Vec<f64>> {
        if rows.n_cols() != self.n_vars {
            return Err(Error::Shape {
                op: "pca projection",
                expected: format!("{} columns", self.n_vars),
                found: rows.n_cols().to_string(),
            });
        }
        let x = Centred { x: rows, mean: &self.mean, n: rows.n_rows(), g: self.n_vars };
        Ok(x.to_scores(&self.components, self.n_comps))
    }
}

/// Column means, and the sum of squared deviations from them.
fn mean_and_total(x: &impl Rows) -> (Vec<f64>, f64) {
    let (n, g) = (x.n_rows(), x.n_cols());
    // Two passes, each over fixed panels of rows whose totals are added in order.
    let pass = |mean: Option<&[f64]>| -> Vec<f64> {
        let parts: Vec<Vec<f64>> = (0..n.div_ceil(PANEL))
            .into_par_iter()
            .map(|p| {
                let mut sums = vec![0.0; g];
                let mut row = vec![0.0; g];
                for i in p * PANEL..((p + 1) * PANEL).min(n) {
                    x.read(i, 0, &mut row);
                    match mean {
                        None => sums.iter_mut().zip(&row).for_each(|(s, v)| *s += v),
                        Some(m) => sums.iter_mut().zip(&row).zip(m).for_each(|((s, v), m)| *s += (v - m) * (v - m)),
                    }
                }
                sums
            })
            .collect();
        let mut sums = vec![0.0; g];
        for part in parts {
            sums.iter_mut().zip(&part).for_each(|(s, p)| *s += p);
        }
        sums
    };
    let mean: Vec<f64> = pass(None).into_iter().map(|s| s / n as f64).collect();
    let total = pass(Some(&mean)).iter().sum();
    (mean, total)
}

fn transpose(x: &[f64], rows: usize, cols: usize, out: &mut [f64]) {
    for (i, row) in x.chunks_exact(cols.max(1)).enumerate() {
        for (j, &v) in row.iter().enumerate() {
            out[j * rows + i] = v;
        }
    }
}

/// A matrix with its column means taken off.
struct Centred<'a, X> {
    x: &'a X,
    mean: &'a [f64],
    n: usize,
    g: usize,
}

impl<X: Rows> Centred<'_, X> {
    /// Rows `first .. first + count`, centred, row-major `[count, n_vars]`.
    fn rows(&self, first: usize, count: usize) -> Vec<f64> {
        let mut panel = vec![0.0; count * self.g];
        panel.par_chunks_exact_mut(self.g).enumerate().for_each(|(i, row)| {
            self.x.read(first + i, 0, row);
            row.iter_mut().zip(self.mean).for_each(|(v, m)| *v -= m);
        });
        panel
    }

    /// Columns `first .. first + count` of all rows, centred, row-major `[n_obs, count]`.
    fn columns(&self, first: usize, count: usize) -> Vec<f64> {
        let mut panel = vec![0.0; self.n * count];
        panel.par_chunks_exact_mut(count).enumerate().for_each(|(i, row)| {
            self.x.read(i, first, row);
            row.iter_mut().zip(&self.mean[first..]).for_each(|(v, m)| *v -= m);
        });
        panel
    }

    /// `X' X`, `[n_vars, n_vars]`.
    fn gram_of_columns(&self) -> Vec<f64> {
        let g = self.g;
        let mut gram = vec![0.0; g * g];
        for first in (0..self.n).step_by(PANEL) {
            let count = PANEL.min(self.n - first);
            let panel = self.rows(first, count);
            let panel = Mat::new(&panel, count, g).t();
            add_upper(&mut gram, g, |i, strip, c| gemm(1.0, panel.rows(i, strip), panel.rows(i, g - i).t(), 1.0, c, g));
        }
        mirror(&mut gram, g);
        gram
    }

    /// `X X'`, `[n_obs, n_obs]`.
    fn gram_of_rows(&self) -> Vec<f64> {
        let n = self.n;
        let mut gram = vec![0.0; n * n];
        for first in (0..self.g).step_by(PANEL) {
            let count = PANEL.min(self.g - first);
            let panel = self.columns(first, count);
            let panel = Mat::new(&panel, n, count);
            add_upper(&mut gram, n, |i, strip, c| gemm(1.0, panel.rows(i, strip), panel.rows(i, n - i).t(), 1.0, c, n));
        }
        mirror(&mut gram, n);
        gram
    }

    /// `X V'` for loadings `[k, n_vars]`: `[n_obs, k]`.
    fn to_scores(&self, loadings: &[f64], k: usize) -> Vec<f64> {
        let mut scores = vec![0.0; self.n * k];
        for first in (0..self.n).step_by(PANEL) {
            let count = PANEL.min(self.n - first);
            let panel = self.rows(first, count);
            let out = &mut scores[first * k..(first + count) * k];
            par_gemm(1.0, Mat::new(&panel, count, self.g), Mat::new(loadings, k, self.g).t(), 0.0, out);
        }
        scores
    }

    /// `S' X` for scores `[n_obs, k]`: `[k, n_vars]`.
    fn to_loadings(&self, scores: &[f64], k: usize, out: &mut [f64]) {
        let mut transposed = vec![0.0; self.g * k];
        for first in (0..self.n).step_by(PANEL) {
            let count = PANEL.min(self.n - first);
            let panel = self.rows(first, count);
            let part = Mat::new(&scores[first * k..], count, k);
            par_gemm(1.0, Mat::new(&panel, count, self.g).t(), part, 1.0, &mut transposed);
        }
        transpose(&transposed, self.g, k, out);
    }
}

/// Adds to the upper triangle of a square matrix by strips of rows: `add(first, rows, part)` with
/// `part` starting at the diagonal element of row `first`.
fn add_upper(gram: &mut [f64], n: usize, add: impl Fn(usize, usize, &mut [f64]) + Sync) {
    const STRIP: usize = 128;
    gram.par_chunks_mut(STRIP * n).enumerate().for_each(|(s, strip)| {
        let i = s * STRIP;
        add(i, strip.len() / n, &mut strip[i..]);
    });
}

/// Copies the upper triangle to the lower one.
fn mirror(gram: &mut [f64], n: usize) {
    for i in 1..n {
        for j in 0..i {
            gram[i * n + j] = gram[j * n + i];
        }
    }
}

/// Loadings from eigenvectors of either side, signs, scores and variances.
fn finish<X: Rows>(x: &Centred<X>, eigen: Eigen, total: f64) -> Pca {
    let (n, g) = (x.n, x.g);
    let k = eigen.values.len();
    let largest = eigen.values.first().copied().unwrap_or(0.0).max(0.0);
    // Eigenvalues of a Gram matrix below this are rounding: the rank ends there.
    let floor = largest * f64::EPSILON * n.max(g) as f64;
    let values: Vec<f64> = eigen.values.iter().map(|&v| if v > floor { v } else { 0.0 }).collect();
    let mut components = eigen.vectors;
    if g > n {
        let mut scores = vec![0.0; n * k];
        transpose(&components, k, n, &mut scores);
        components = vec![0.0; k * g];
        x.to_loadings(&scores, k, &mut components);
    }
    for (row, &value) in components.chunks_exact_mut(g).zip(&values) {
        if value == 0.0 {
            row.fill(0.0);
            continue;
        }
        let mut peak = 0.0f64;
        row.iter().for_each(|&v| peak = if v.abs() > peak.abs() { v } else { peak });
        let length = super::linalg::norm(row).copysign(peak);
        row.iter_mut().for_each(|v| *v /= length);
    }
    let scores = x.to_scores(&components, k);
    let variance: Vec<f64> = values.iter().map(|v| v / (n - 1) as f64).collect();
    let all = total / (n - 1) as f64;
    Pca {
        n_vars: g,
        n_comps: k,
        mean: x.mean.to_vec(),
        scores,
        singular_values: values.iter().map(|v| v.sqrt()).collect(),
        variance_ratio: variance.iter().map(|v| if all > 0.0 { v / all } else { 0.0 }).collect(),
        variance,
        components,
    }
}

#[cfg(test)]
#[path = "pca_tests.rs"]
mod tests;
