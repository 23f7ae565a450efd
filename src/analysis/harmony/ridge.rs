//! The correction step: per cluster, ridge regression on an intercept and the batch indicators.
//!
//! `Z ~ beta_0 + beta_b` with weights `R_k`, penalty `lambda_kb` on batch terms and none on the
//! intercept. A reference whose cells are not at hand enters through its mass and weighted sum in each
//! cluster, which add to the intercept's equation (Kang et al. 2021, doi:10.1038/s41467-021-25957-x).

use super::BatchVariable;
use crate::analysis::linalg::{Cholesky, axpy};
use crate::cpu::dgemm::{Mat, gemm};
use rayon::prelude::*;

/// Cells that are gathered at once.
const PANEL: usize = 1024;

/// The cells of each level of a batch variable, in ascending order.
#[derive(Clone, Debug)]
pub struct Levels {
    pub(super) codes: Vec<u32>,
    /// Index of the first level among all variables' levels.
    pub(super) offset: usize,
    pub(super) cells: Vec<Vec<u32>>,
}

impl Levels {
    /// The levels of all variables, stacked in order.
    pub fn stack(batches: &[BatchVariable]) -> Vec<Levels> {
        let mut offset = 0;
        let mut stacked = Vec::new();
        for batch in batches {
            let mut cells = vec![Vec::new(); batch.levels];
            for (i, &code) in batch.codes.iter().enumerate() {
                cells[code as usize].push(i as u32);
            }
            stacked.push(Levels { codes: batch.codes.to_vec(), offset, cells });
            offset += batch.levels;
        }
        stacked
    }
}

/// Mass and weighted sum of a reference in each cluster.
#[derive(Clone, Copy, Debug)]
pub struct Intercept<'a> {
    /// `[K]`
    pub mass: &'a [f64],
    /// `[K, d]`
    pub sums: &'a [f64],
}

/// Rows `cells` of a matrix with `width` columns.
fn gather(x: &[f64], width: usize, cells: &[u32]) -> Vec<f64> {
    let mut out = Vec::with_capacity(cells.len() * width);
    cells.iter().for_each(|&i| out.extend_from_slice(&x[i as usize * width..][..width]));
    out
}

/// Batch terms `[B, K, d]` of all clusters.
///
/// - `z` `[n, d]`, `r` `[n, K]`; `lambda(k, b)` is the penalty on level b in cluster k.
/// - A cluster without mass gets no terms.
pub fn batch_terms(
    z: &[f64],
    d: usize,
    r: &[f64],
    k: usize,
    levels: &[Levels],
    lambda: &(impl Fn(usize, usize) -> f64 + Sync),
    reference: Option<Intercept>,
) -> Vec<f64> {
    let blocks: Vec<&Vec<u32>> = levels.iter().flat_map(|v| &v.cells).collect();
    let total = blocks.len();
    // Per level: n_b [K] and s_b [K, d].
    let moments: Vec<(Vec<f64>, Vec<f64>)> = blocks
        .par_iter()
        .map(|cells| {
            let (mut mass, mut sums) = (vec![0.0; k], vec![0.0; k * d]);
            for part in cells.chunks(PANEL) {
                let (rows, weights) = (gather(z, d, part), gather(r, k, part));
                weights.chunks_exact(k).for_each(|w| axpy(1.0, w, &mut mass));
                gemm(1.0, Mat::new(&weights, part.len(), k).t(), Mat::new(&rows, part.len(), d), 1.0, &mut sums, d);
            }
            (mass, sums)
        })
        .collect();
    let crossed = if levels.len() > 1 { Some(crossed_mass(r, k, levels, total)) } else { None };
    let per_cluster: Vec<Vec<f64>> = (0..k)
        .into_par_iter()
        .map(|c| {
            let extra = reference.map(|i| (i.mass[c], &i.sums[c * d..(c + 1) * d]));
            let of = |b: usize| (moments[b].0[c], &moments[b].1[c * d..(c + 1) * d], lambda(c, b));
            let mass: f64 = levels.first().map_or(0.0, |v| (0..v.cells.len()).map(|b| of(b).0).sum());
            if mass < 1e-8 {
                return vec![0.0; total * d];
            }
            match &crossed {
                None => one_variable(total, d, &of, extra),
                Some(crossed) => several_variables(levels, total, d, &of, crossed, c, k, extra),
            }
        })
        .collect();
    let mut terms = vec![0.0; total * k * d];
    for (c, rows) in per_cluster.iter().enumerate() {
        for b in 0..total {
            terms[(b * k + c) * d..][..d].copy_from_slice(&rows[b * d..(b + 1) * d]);
        }
    }
    terms
}

/// The closed form for one variable. With the shrinkage `f_b = lambda/(n_b + lambda)`:
/// `beta_0 = sum f_b s_b / sum f_b n_b`, `beta_b = (s_b - n_b beta_0)/(n_b + lambda)`.
fn one_variable<'a>(
    levels: usize,
    d: usize,
    of: &impl Fn(usize) -> (f64, &'a [f64], f64),
    extra: Option<(f64, &[f64])>,
) -> Vec<f64> {
    let mut intercept = vec![0.0; d];
    let mut weight = 0.0;
    let mut plain = (vec![0.0; d], 0.0);
    for b in 0..levels {
        let (mass, sum, lambda) = of(b);
        let f = if mass + lambda > 0.0 { lambda / (mass + lambda) } else { 0.0 };
        axpy(f, sum, &mut intercept);
        weight += f * mass;
        axpy(1.0, sum, &mut plain.0);
        plain.1 += mass;
    }
    if let Some((mass, sum)) = extra {
        axpy(1.0, sum, &mut intercept);
        weight += mass;
    }
    if weight > 1e-12 * plain.1 {
        intercept.iter_mut().for_each(|v| *v /= weight);
    } else {
        // No penalty: any intercept fits; the weighted mean leaves the centre where it is.
        intercept = plain.0.iter().map(|v| v / plain.1).collect();
    }
    let mut terms = vec![0.0; levels * d];
    for b in 0..levels {
        let (mass, sum, lambda) = of(b);
        if mass + lambda > 0.0 {
            for ((t, s), i) in terms[b * d..(b + 1) * d].iter_mut().zip(sum).zip(&intercept) {
                *t = (s - mass * i) / (mass + lambda);
            }
        }
    }
    terms
}

/// `sum of R_ki` over the cells that are in both of two levels: `[B, B, K]`.
fn crossed_mass(r: &[f64], k: usize, levels: &[Levels], total: usize) -> Vec<f64> {
    let mut crossed = vec![0.0; total * total * k];
    let mut own = vec![0usize; levels.len()];
    for (i, row) in r.chunks_exact(k).enumerate() {
        own.iter_mut().zip(levels).for_each(|(o, v)| *o = v.offset + v.codes[i] as usize);
        for &a in &own {
            for &b in &own {
                axpy(1.0, row, &mut crossed[(a * total + b) * k..][..k]);
            }
        }
    }
    crossed
}

/// The normal equations of `1 + B` unknowns.
fn several_variables<'a>(
    levels: &[Levels],
    total: usize,
    d: usize,
    of: &impl Fn(usize) -> (f64, &'a [f64], f64),
    crossed: &[f64],
    cluster: usize,
    k: usize,
    extra: Option<(f64, &[f64])>,
) -> Vec<f64> {
    let size = total + 1;
    let mut a = vec![0.0; size * size];
    let mut rhs = vec![0.0; size * d];
    for b in 0..total {
        let (mass, sum, lambda) = of(b);
        a[(b + 1) * size] = mass;
        a[b + 1] = mass;
        for c in 0..total {
            a[(b + 1) * size + c + 1] = crossed[(b * total + c) * k + cluster];
        }
        a[(b + 1) * size + b + 1] += lambda;
        rhs[(b + 1) * d..(b + 2) * d].copy_from_slice(sum);
        if b < levels[0].cells.len() {
            a[0] += mass;
            axpy(1.0, sum, &mut rhs[..d]);
        }
    }
    if let Some((mass, sum)) = extra {
        a[0] += mass;
        axpy(1.0, sum, &mut rhs[..d]);
    }
    solve_columns(&mut a, size, &mut rhs, d);
    rhs.split_off(d)
}

/// Solves `A X = B` for all columns of B `[n, d]` in place. A singular A (no penalty, or a level
/// without cells) gets the smallest shift that makes it definite.
fn solve_columns(a: &mut [f64], n: usize, b: &mut [f64], d: usize) {
    let scale = (0..n).map(|i| a[i * n + i]).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let mut shift = 1e-12;
    let factor = loop {
        match Cholesky::new(a, n) {
            Ok(factor) => break factor,
            Err(_) if shift < 1.0 => {
                (0..n).for_each(|i| a[i * n + i] += shift * scale);
                shift *= 10.0;
            }
            Err(_) => return b.fill(0.0),
        }
    };
    let mut column = vec![0.0; n];
    for j in 0..d {
        (0..n).for_each(|i| column[i] = b[i * d + j]);
        factor.solve(&mut column);
        (0..n).for_each(|i| b[i * d + j] = column[i]);
    }
}

/// `z - sum over k and variables of R_ki beta_kb(i)`, `[n, d]`.
pub fn subtract(z: &[f64], d: usize, r: &[f64], k: usize, levels: &[Levels], terms: &[f64]) -> Vec<f64> {
    let mut corrected = z.to_vec();
    for variable in levels {
        let parts: Vec<Vec<Vec<f64>>> = variable
            .cells
            .par_iter()
            .enumerate()
            .map(|(b, cells)| {
                let terms = &terms[(variable.offset + b) * k * d..][..k * d];
                cells
                    .par_chunks(PANEL)
                    .map(|part| {
                        let weights = gather(r, k, part);
                        let mut out = vec![0.0; part.len() * d];
                        gemm(1.0, Mat::new(&weights, part.len(), k), Mat::new(terms, k, d), 0.0, &mut out, d);
                        out
                    })
                    .collect()
            })
            .collect();
        for (cells, parts) in variable.cells.iter().zip(&parts) {
            let shifts = parts.iter().flat_map(|p| p.chunks_exact(d));
            for (&i, shift) in cells.iter().zip(shifts) {
                axpy(-1.0, shift, &mut corrected[i as usize * d..][..d]);
            }
        }
    }
    corrected
}
