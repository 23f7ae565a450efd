//! scPred (Alquicira-Hernandez et al. 2019, doi:10.1186/s13059-019-1862-5): per class, the components that
//! tell it from the rest, and a support vector machine with a Gaussian kernel on them.
//!
//! Components are kept whose Wilcoxon rank-sum test, adjusted over components (Benjamini and Hochberg
//! 1995), gives p < 1: scPred's default, which keeps nearly all. The kernel's width is from the spread
//! of pair distances, its cost from cross-validation by AUROC. Cells whose largest probability is at
//! most 0.55 are scPred's "unassigned"; here that is the score `maxp`.

use super::platt::Platt;
use super::{Cells, Classifier, Prediction, get, put, require_rows, stored};
use crate::analysis::conformal::quantile;
use crate::analysis::linalg::{dot, exp};
use crate::analysis::metrics::ranking::auroc;
use crate::analysis::metrics::special::ndtr;
use crate::data::batches::k_folds;
use crate::error::Result;
use crate::models::run::State;
use crate::rng::{Stream, stream};
use rayon::prelude::*;

/// Costs to choose from.
const COSTS: [f64; 3] = [0.25, 0.5, 1.0];
const FOLDS: usize = 5;
/// Adjusted p-values below this keep a component.
const SIGNIFICANCE: f64 = 1.0;
const PASSES: u32 = 200;
const TOLERANCE: f64 = 1e-3;
/// Cells whose pair distances set the kernel's width.
const PAIRS: usize = 500;

/// One machine per class over the reference's cells.
pub(super) struct ScPred {
    width: usize,
    classes: usize,
    /// `[n, width]`, centred and scaled.
    x: Vec<f64>,
    center: Vec<f64>,
    scale: Vec<f64>,
    /// `[classes, width]`: 1 for components that the class uses.
    used: Vec<f64>,
    /// `[classes, n]`: signed dual variables.
    duals: Vec<f64>,
    /// `[classes, 3]`: the kernel's gamma, slope and offset of Platt's curve.
    curves: Vec<f64>,
}

impl ScPred {
    pub fn fit(cells: &Cells) -> Result<ScPred> {
        let (n, d) = (cells.len(), cells.width);
        let column = |j: usize| cells.x.iter().skip(j).step_by(d);
        let center: Vec<f64> = (0..d).map(|j| column(j).sum::<f64>() / n as f64).collect();
        let scale: Vec<f64> = (0..d)
            .map(|j| (column(j).map(|v| (v - center[j]).powi(2)).sum::<f64>() / (n.max(2) - 1) as f64).sqrt().max(1e-6))
            .collect();
        let (center, scale) = (stored(&center), stored(&scale));
        let x = stored(&standardised(&cells.x, &center, &scale));
        let folds = if n < 2 { vec![] } else { k_folds(&cells.y, FOLDS.min(n), 0)? };
        let each = |class: u32| one_class(&x, d, cells, class, &folds);
        let fitted = (0..cells.classes as u32).into_par_iter().map(each).collect::<Result<Vec<OneClass>>>()?;
        Ok(ScPred {
            width: d,
            classes: cells.classes,
            x,
            center,
            scale,
            used: fitted.iter().flat_map(|f| f.used.iter().map(|&u| f64::from(u8::from(u)))).collect(),
            duals: stored(&fitted.iter().flat_map(|f| f.duals.iter().copied()).collect::<Vec<_>>()),
            curves: stored(&fitted.iter().flat_map(|f| [f.gamma, f.curve.slope, f.curve.offset]).collect::<Vec<_>>()),
        })
    }

    pub fn load(state: &State, width: usize, classes: usize) -> Result<ScPred> {
        let [n, _] = super::rows_of(state, "baseline.x", width)?;
        Ok(ScPred {
            width,
            classes,
            x: get(state, "baseline.x", &[n, width])?,
            center: get(state, "baseline.center", &[width])?,
            scale: get(state, "baseline.scale", &[width])?,
            used: get(state, "baseline.used", &[classes, width])?,
            duals: get(state, "baseline.duals", &[classes, n])?,
            curves: get(state, "baseline.curves", &[classes, 3])?,
        })
    }
}

impl Classifier for ScPred {
    /// Shares of the classes' probabilities: scPred itself leaves them as they are.
    fn predict(&self, x: &[f64]) -> Result<Prediction> {
        let (d, c) = (self.width, self.classes);
        require_rows(x, d)?;
        let x = standardised(x, &self.center, &self.scale);
        let n = self.x.len() / d;
        let mut probs = vec![0.0; x.len() / d * c];
        probs.par_chunks_exact_mut(c).zip(x.par_chunks_exact(d)).for_each(|(row, cell)| {
            for (class, p) in row.iter_mut().enumerate() {
                let used = &self.used[class * d..(class + 1) * d];
                let (gamma, curve) = (self.curves[3 * class], &self.curves[3 * class + 1..3 * class + 3]);
                let duals = &self.duals[class * n..(class + 1) * n];
                let reference = self.x.chunks_exact(d).zip(duals).filter(|(_, a)| **a != 0.0);
                let value: f64 = reference.map(|(other, a)| a * kernel(cell, other, used, gamma)).sum();
                *p = Platt { slope: curve[0], offset: curve[1] }.probability(value);
            }
            super::svm::share(row);
        });
        Ok(Prediction { probs, classes: c, log_px: None })
    }

    fn save(&self, state: &mut State) {
        let (c, d, n) = (self.classes, self.width, self.x.len() / self.width);
        put(state, "baseline.x", &[n, d], &self.x);
        put(state, "baseline.center", &[d], &self.center);
        put(state, "baseline.scale", &[d], &self.scale);
        put(state, "baseline.used", &[c, d], &self.used);
        put(state, "baseline.duals", &[c, n], &self.duals);
        put(state, "baseline.curves", &[c, 3], &self.curves);
    }
}

struct OneClass {
    used: Vec<bool>,
    duals: Vec<f64>,
    gamma: f64,
    curve: Platt,
}

fn one_class(x: &[f64], d: usize, cells: &Cells, class: u32, folds: &[Vec<usize>]) -> Result<OneClass> {
    let n = cells.len();
    let positive: Vec<bool> = cells.y.iter().map(|&y| y == class).collect();
    let used = informative(x, d, &positive);
    let weights: Vec<f64> = used.iter().map(|&u| f64::from(u8::from(u))).collect();
    let gamma = width_of(x, d, &weights)?;
    let row = |i: usize| &x[i * d..(i + 1) * d];
    // One more than the kernel: the bias, regularised like everything else.
    let gram: Vec<f64> =
        (0..n * n).into_par_iter().map(|ij| 1.0 + kernel(row(ij / n), row(ij % n), &weights, gamma)).collect();
    let everyone: Vec<usize> = (0..n).collect();
    let mut best: Option<(f64, f64, Vec<f64>)> = None;
    for cost in COSTS {
        let all = descend(&gram, n, &everyone, &positive, cost);
        let mut values: Vec<f64> = everyone.iter().map(|&i| dot(&gram[i * n..(i + 1) * n], &all)).collect();
        for fold in folds {
            let rest: Vec<usize> = everyone.iter().copied().filter(|row| fold.binary_search(row).is_err()).collect();
            // A class with one cell is calibrated on what it was fitted to.
            if rest.iter().any(|&i| positive[i]) {
                let duals = descend(&gram, n, &rest, &positive, cost);
                fold.iter().for_each(|&i| values[i] = dot(&gram[i * n..(i + 1) * n], &duals));
            }
        }
        let area = auroc(&positive, &values)?;
        if best.as_ref().is_none_or(|(most, ..)| area > *most) {
            best = Some((area, cost, values));
        }
    }
    let (_, cost, values) = best.unwrap_or((f64::NAN, 1.0, vec![0.0; n]));
    let duals = descend(&gram, n, &everyone, &positive, cost);
    // The bias's part is the same for every cell: it moves the curve.
    let bias: f64 = duals.iter().sum();
    let plain: Vec<f64> = values.iter().map(|v| v - bias).collect();
    Ok(OneClass { used, duals, gamma, curve: Platt::fit(&plain, &positive) })
}

/// Dual coordinate descent of the hinge loss with the kernel matrix `gram` `[n, n]`, over some cells;
/// returns `side * alpha` of all.
fn descend(gram: &[f64], n: usize, rows: &[usize], positive: &[bool], cost: f64) -> Vec<f64> {
    let side = |i: usize| if positive[i] { 1.0 } else { -1.0 };
    let (mut duals, mut values) = (vec![0.0; n], vec![0.0; n]);
    for pass in 0..PASSES {
        let order = Stream::new(0, stream::SUBSAMPLE).at(pass).rng().permutation(rows.len());
        let mut worst = 0.0f64;
        for i in order.into_iter().map(|at| rows[at as usize]) {
            let alpha = duals[i] * side(i);
            let gradient = side(i) * values[i] - 1.0;
            let next = (alpha - gradient / gram[i * n + i]).clamp(0.0, cost);
            let change = (next - alpha) * side(i);
            if change != 0.0 {
                worst = worst.max(change.abs());
                duals[i] += change;
                // Only the cells in question need their value.
                rows.iter().for_each(|&j| values[j] += change * gram[i * n + j]);
            }
        }
        if worst < TOLERANCE * cost {
            break;
        }
    }
    duals
}

/// `exp(-gamma |a - b|^2)` over the components with weight 1.
fn kernel(a: &[f64], b: &[f64], weights: &[f64], gamma: f64) -> f64 {
    let far: f64 = a.iter().zip(b).zip(weights).map(|((a, b), w)| w * (a - b) * (a - b)).sum();
    exp(-gamma * far)
}

/// The mean of `1/q10` and `1/q90` of squared pair distances (the convention of kernlab and caret).
fn width_of(x: &[f64], d: usize, weights: &[f64]) -> Result<f64> {
    let n = x.len() / d;
    let mut rng = Stream::new(0, stream::SUBSAMPLE).part(1).rng();
    let row = |i: usize| &x[i * d..(i + 1) * d];
    let squares: Vec<f64> = (0..PAIRS.min(n * n))
        .map(|_| (rng.below(n as u32) as usize, rng.below(n as u32) as usize))
        .filter(|(a, b)| a != b)
        .map(|(a, b)| row(a).iter().zip(row(b)).zip(weights).map(|((a, b), w)| w * (a - b) * (a - b)).sum())
        .filter(|v: &f64| *v > 0.0)
        .collect();
    if squares.is_empty() {
        return Ok(1.0);
    }
    let (near, far) = (quantile(&squares, 0.1)?, quantile(&squares, 0.9)?);
    Ok(0.5 * (1.0 / near + 1.0 / far))
}

/// Components whose adjusted p-value is below [`SIGNIFICANCE`]; all of them if that leaves none.
fn informative(x: &[f64], d: usize, positive: &[bool]) -> Vec<bool> {
    let p: Vec<f64> = (0..d)
        .map(|j| {
            let values: Vec<f64> = x.iter().skip(j).step_by(d).copied().collect();
            rank_sum_p(&values, positive)
        })
        .collect();
    let mut order: Vec<usize> = (0..d).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![1.0; d];
    let mut least = 1.0f64;
    for (rank, &j) in order.iter().enumerate().rev() {
        least = least.min(p[j] * d as f64 / (rank + 1) as f64);
        adjusted[j] = least;
    }
    let used: Vec<bool> = adjusted.iter().map(|&p| p < SIGNIFICANCE).collect();
    if used.contains(&true) { used } else { vec![true; d] }
}

/// Two-sided p-value of the Wilcoxon rank-sum test, by its normal approximation.
fn rank_sum_p(values: &[f64], positive: &[bool]) -> f64 {
    let n_pos = positive.iter().filter(|p| **p).count() as f64;
    let n_neg = positive.len() as f64 - n_pos;
    let Ok(area) = auroc(positive, values) else { return 1.0 };
    if !area.is_finite() {
        return 1.0;
    }
    let spread = (n_pos * n_neg * (n_pos + n_neg + 1.0) / 12.0).sqrt();
    let z = (area - 0.5) * n_pos * n_neg / spread;
    2.0 * ndtr(-z.abs())
}

fn standardised(x: &[f64], center: &[f64], scale: &[f64]) -> Vec<f64> {
    let rows = x.chunks_exact(center.len());
    rows.flat_map(|row| row.iter().zip(center).zip(scale).map(|((v, c), s)| (v - c) / s)).collect()
}
