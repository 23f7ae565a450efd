//! Multinomial logistic regression with a ridge penalty, on the genes.
//!
//! The genes come as their principal components without correction: with a rotation-invariant penalty
//! a regression on all components is the one on the genes, and the last components carry next to
//! nothing. Minimises `sum of cross-entropies + |W|^2 / 2` (the intercept is free) by L-BFGS.

use super::{Cells, Classifier, Prediction, get, put, require_rows, softmax_rows, stored};
use crate::analysis::linalg::{axpy, dot, ln};
use crate::cpu::dgemm::{Mat, par_gemm};
use crate::error::Result;
use crate::models::run::State;
use std::collections::VecDeque;

/// Weight of the cross-entropies beside `|W|^2 / 2`.
const C: f64 = 1.0;
const ITERATIONS: usize = 500;
/// Gradient norm at which the fit is done, relative to that at the start.
const TOLERANCE: f64 = 1e-5;
/// Pairs of steps and gradient changes that L-BFGS remembers.
const MEMORY: usize = 10;

pub(super) struct Logreg {
    width: usize,
    classes: usize,
    /// `[classes, width]`
    weights: Vec<f64>,
    /// `[classes]`
    intercepts: Vec<f64>,
}

impl Logreg {
    pub fn fit(cells: &Cells) -> Result<Logreg> {
        let (d, c, n) = (cells.width, cells.classes, cells.len());
        // Parameters are `[classes, width]`, then `[classes]`.
        let split = c * d;
        let objective = |p: &[f64], gradient: &mut [f64]| -> f64 {
            let (w, b) = p.split_at(split);
            let mut z: Vec<f64> = (0..n).flat_map(|_| b.iter().copied()).collect();
            par_gemm(1.0, Mat::new(&cells.x, n, d), Mat::new(w, c, d).t(), 1.0, &mut z);
            softmax_rows(&mut z, c);
            let mut loss = 0.5 * dot(w, w);
            for (row, &y) in z.chunks_exact_mut(c).zip(&cells.y) {
                loss -= C * ln(row[y as usize].max(f64::MIN_POSITIVE));
                row[y as usize] -= 1.0;
            }
            gradient[..split].copy_from_slice(w);
            par_gemm(C, Mat::new(&z, n, c).t(), Mat::new(&cells.x, n, d), 1.0, &mut gradient[..split]);
            gradient[split..].fill(0.0);
            z.chunks_exact(c).for_each(|row| axpy(C, row, &mut gradient[split..]));
            loss
        };
        let p = minimise(objective, split + c);
        Ok(Logreg { width: d, classes: c, weights: stored(&p[..split]), intercepts: stored(&p[split..]) })
    }

    pub fn load(state: &State, width: usize, classes: usize) -> Result<Logreg> {
        Ok(Logreg {
            width,
            classes,
            weights: get(state, "baseline.weights", &[classes, width])?,
            intercepts: get(state, "baseline.intercepts", &[classes])?,
        })
    }
}

impl Classifier for Logreg {
    fn predict(&self, x: &[f64]) -> Result<Prediction> {
        let (d, c) = (self.width, self.classes);
        require_rows(x, d)?;
        let n = x.len() / d;
        let mut z: Vec<f64> = (0..n).flat_map(|_| self.intercepts.iter().copied()).collect();
        par_gemm(1.0, Mat::new(x, n, d), Mat::new(&self.weights, c, d).t(), 1.0, &mut z);
        softmax_rows(&mut z, c);
        Ok(Prediction { probs: z, classes: c, log_px: None })
    }

    fn save(&self, state: &mut State) {
        put(state, "baseline.weights", &[self.classes, self.width], &self.weights);
        put(state, "baseline.intercepts", &[self.classes], &self.intercepts);
    }
}

/// L-BFGS from 0 with a backtracking line search (Nocedal and Wright 2006, algorithms 3.1 and 7.4).
fn minimise(f: impl Fn(&[f64], &mut [f64]) -> f64, n: usize) -> Vec<f64> {
    let (mut x, mut g) = (vec![0.0; n], vec![0.0; n]);
    let mut value = f(&x, &mut g);
    let enough = TOLERANCE * dot(&g, &g).sqrt();
    let mut past: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
    for _ in 0..ITERATIONS {
        if dot(&g, &g).sqrt() <= enough {
            break;
        }
        let mut direction: Vec<f64> = g.iter().map(|v| -v).collect();
        let mut taken = Vec::with_capacity(past.len());
        for (s, y, rho) in past.iter().rev() {
            let a = rho * dot(s, &direction);
            axpy(-a, y, &mut direction);
            taken.push(a);
        }
        let scale = match past.back() {
            Some((s, y, _)) => dot(s, y) / dot(y, y),
            None => 1.0 / dot(&g, &g).sqrt().max(1.0),
        };
        direction.iter_mut().for_each(|v| *v *= scale);
        for ((s, y, rho), a) in past.iter().zip(taken.iter().rev()) {
            let b = rho * dot(y, &direction);
            axpy(a - b, s, &mut direction);
        }
        let slope = dot(&g, &direction);
        let mut step = 1.0;
        let (mut next, mut next_g) = (vec![0.0; n], vec![0.0; n]);
        let found = loop {
            next.copy_from_slice(&x);
            axpy(step, &direction, &mut next);
            let v = f(&next, &mut next_g);
            if v <= value + 1e-4 * step * slope {
                break Some(v);
            }
            step *= 0.5;
            if step < 1e-12 {
                break None;
            }
        };
        // No step lowers the objective: rounding is all that is left.
        let Some(v) = found else { break };
        let s: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = next_g.iter().zip(&g).map(|(a, b)| a - b).collect();
        let curvature = dot(&s, &y);
        if curvature > 1e-12 * dot(&y, &y) {
            past.push_back((s, y, 1.0 / curvature));
            if past.len() > MEMORY {
                past.pop_front();
            }
        }
        (x, g, value) = (next, next_g, v);
    }
    x
}
