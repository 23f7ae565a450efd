//! Harmony's state and its two rounds. Starting centroids and the orders in which cells are renewed
//! are arguments, so that a run can be followed step by step.

use super::ridge::{self, Levels};
use super::{BatchVariable, Harmony, HarmonyConfig, Lambda, Penalty};
use crate::analysis::linalg::{axpy, exp, ln, normalise_rows};
use crate::cpu::dgemm::{Mat, gemm, par_gemm};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Cells per task; sums over tasks are added in order.
const PANEL: usize = 256;

/// The objective and its three parts (not divided by the number of cells).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Objective {
    /// The sum of the parts.
    pub total: f64,
    /// `sum R d`
    pub distance: f64,
    /// `sigma sum R ln R`
    pub entropy: f64,
    /// `sigma sum theta R ln(...)`, the diversity penalty's part
    pub cross: f64,
}

/// A run of Harmony between its steps.
#[derive(Clone, Debug)]
pub struct Engine {
    config: HarmonyConfig,
    n: usize,
    d: usize,
    k: usize,
    /// Number of levels of all variables.
    b: usize,
    levels: Vec<Levels>,
    /// `[B]`
    share: Vec<f64>,
    theta: Vec<f64>,
    original: Vec<f64>,
    unit: Vec<f64>,
    /// `2 (1 - Y.Z)`, `[n, K]`
    dist: Vec<f64>,
    corrected: Vec<f64>,
    r: Vec<f64>,
    y: Vec<f64>,
    e: Vec<f64>,
    o: Vec<f64>,
    objective: Vec<Objective>,
    outer: Vec<f64>,
    rounds: Vec<usize>,
    converged: bool,
}

impl Engine {
    /// Starts from `centroids` `[K, d]` (scaled to length 1 here) with `R ~ exp(-d/sigma)`.
    ///
    /// # Errors
    /// `Error::Data` if a batch variable does not fit `z` `[n, d]`, `Error::Shape` for the centroids.
    pub fn new(
        z: &[f64],
        d: usize,
        batches: &[BatchVariable],
        config: &HarmonyConfig,
        centroids: &[f64],
    ) -> Result<Engine> {
        let n = z.len().checked_div(d).unwrap_or(0);
        let k = centroids.len().checked_div(d).unwrap_or(0);
        if n == 0 || k == 0 || z.len() != n * d || centroids.len() != k * d {
            return Err(Error::Shape {
                op: "harmony",
                expected: format!("cells and centroids with {d} columns"),
                found: format!("{} and {} values", z.len(), centroids.len()),
            });
        }
        for (v, batch) in batches.iter().enumerate() {
            if batch.codes.len() != n || batch.codes.iter().any(|&c| c as usize >= batch.levels) {
                return Err(Error::data(
                    format!("harmony, batch variable {v}"),
                    format!("{} codes of {} levels for {n} cells", batch.codes.len(), batch.levels),
                    "give every cell one of the levels",
                ));
            }
        }
        let levels = Levels::stack(batches);
        let sizes: Vec<f64> = levels.iter().flat_map(|v| &v.cells).map(|c| c.len() as f64).collect();
        let b = sizes.len();
        let theta = sizes.iter().map(|&size| {
            let full = config.theta;
            let x = size / (k as f64 * config.tau);
            if config.tau > 0.0 { full * (1.0 - exp(-x * x)) } else { full }
        });
        let mut engine = Engine {
            theta: theta.collect(),
            share: sizes.iter().map(|s| s / n as f64).collect(),
            config: config.clone(),
            n,
            d,
            k,
            b,
            levels,
            original: z.to_vec(),
            unit: z.to_vec(),
            corrected: z.to_vec(),
            dist: vec![0.0; n * k],
            r: vec![0.0; n * k],
            y: centroids.to_vec(),
            e: vec![0.0; k * b],
            o: vec![0.0; k * b],
            objective: Vec::new(),
            outer: Vec::new(),
            rounds: Vec::new(),
            converged: false,
        };
        normalise_rows(&mut engine.unit, d);
        normalise_rows(&mut engine.y, d);
        engine.distances();
        soft_assign(&engine.dist, k, engine.config.sigma, &mut engine.r);
        let all: Vec<u32> = (0..n as u32).collect();
        engine.add_mass(&all, 1.0, None);
        engine.record();
        engine.outer.push(engine.objective[0].total);
        Ok(engine)
    }

    /// Soft assignments `[n, K]`.
    pub fn assignments(&self) -> &[f64] {
        &self.r
    }
    /// Unit centroids `[K, d]`.
    pub fn centroids(&self) -> &[f64] {
        &self.y
    }
    /// Expected mass of each level in each cluster, `[K, B]`.
    pub fn expected(&self) -> &[f64] {
        &self.e
    }
    /// Observed mass of each level in each cluster, `[K, B]`.
    pub fn observed(&self) -> &[f64] {
        &self.o
    }
    /// Corrected coordinates `[n, d]`.
    pub fn corrected(&self) -> &[f64] {
        &self.corrected
    }
    /// The objective at the start and after each clustering iteration.
    pub fn objective(&self) -> &[Objective] {
        &self.objective
    }
    /// The objective at the start and after each clustering.
    pub fn outer_objective(&self) -> &[f64] {
        &self.outer
    }
    /// Iterations of each clustering.
    pub fn rounds(&self) -> &[usize] {
        &self.rounds
    }

    /// Clustering and correction until the objective settles or `max_outer` rounds are done.
    pub fn run(&mut self, order: &mut dyn FnMut() -> Vec<u32>) {
        for _ in 0..self.config.max_outer {
            self.cluster(order);
            self.correct();
            if self.settled() {
                self.converged = true;
                break;
            }
        }
    }

    /// Whether the last round lowered the objective by less than `eps_harmony` of the one before.
    pub fn settled(&self) -> bool {
        let [.., before, now] = self.outer[..] else { return false };
        (before - now) / before.abs() < self.config.eps_harmony
    }

    /// One clustering: up to `max_inner` iterations. `order` gives, for each, all cells in the order
    /// in which they are renewed.
    pub fn cluster(&mut self, order: &mut dyn FnMut() -> Vec<u32>) {
        let mut iterations = 0;
        for i in 0..self.config.max_inner {
            self.move_centroids();
            self.distances();
            self.renew(&order());
            self.record();
            iterations += 1;
            if i >= 4 && self.window_settled() {
                break;
            }
        }
        self.rounds.push(iterations);
        self.outer.push(self.objective.last().map_or(0.0, |o| o.total));
    }

    /// The correction, always from the original coordinates.
    pub fn correct(&mut self) {
        let (e, b) = (&self.e, self.b);
        let config = self.config.lambda;
        let lambda = |k: usize, level: usize| match config {
            Lambda::Fixed(value) => value,
            Lambda::Estimated { alpha } => alpha * e[k * b + level].max(0.0),
        };
        let terms = ridge::batch_terms(&self.original, self.d, &self.r, self.k, &self.levels, &lambda, None);
        self.corrected = ridge::subtract(&self.original, self.d, &self.r, self.k, &self.levels, &terms);
        self.unit.copy_from_slice(&self.corrected);
        normalise_rows(&mut self.unit, self.d);
    }

    /// The result.
    pub fn finish(self) -> Harmony {
        Harmony {
            n_dims: self.d,
            n_clusters: self.k,
            corrected: self.corrected,
            assignments: self.r,
            centroids: self.y,
            objective: self.objective,
            rounds: self.rounds,
            outer_objective: self.outer,
            converged: self.converged,
        }
    }

    fn window_settled(&self) -> bool {
        let [.., a, b, c, d] = &self.objective[..] else { return false };
        let before = a.total + b.total + c.total;
        let now = b.total + c.total + d.total;
        (before - now).abs() < self.config.eps_cluster * before.abs()
    }

    /// `Y = normalise(R' Z)`; a cluster without direction keeps its centroid.
    fn move_centroids(&mut self) {
        let (n, d, k) = (self.n, self.d, self.k);
        let parts: Vec<Vec<f64>> = self
            .r
            .par_chunks(8 * PANEL * k)
            .zip(self.unit.par_chunks(8 * PANEL * d))
            .map(|(r, z)| {
                let rows = r.len() / k;
                let mut y = vec![0.0; k * d];
                gemm(1.0, Mat::new(r, rows, k).t(), Mat::new(z, rows, d), 0.0, &mut y, d);
                y
            })
            .collect();
        debug_assert_eq!(parts.len(), n.div_ceil(8 * PANEL));
        let mut y = vec![0.0; k * d];
        parts.iter().for_each(|part| axpy(1.0, part, &mut y));
        normalise_rows(&mut y, d);
        for (old, new) in self.y.chunks_exact_mut(d).zip(y.chunks_exact(d)) {
            if new.iter().any(|&v| v != 0.0) {
                old.copy_from_slice(new);
            }
        }
    }

    fn distances(&mut self) {
        let (n, d, k) = (self.n, self.d, self.k);
        par_gemm(-2.0, Mat::new(&self.unit, n, d), Mat::new(&self.y, k, d).t(), 0.0, &mut self.dist);
        self.dist.par_chunks_mut(PANEL * k).for_each(|part| part.iter_mut().for_each(|v| *v += 2.0));
    }

    /// Renews the assignments block by block.
    fn renew(&mut self, order: &[u32]) {
        let n = order.len();
        let blocks = (1.0 / self.config.block_size).ceil().max(1.0) as usize;
        let size = ((n as f64 * self.config.block_size) as usize).max(1);
        for block in 0..blocks {
            let first = (block * size).min(n);
            let last = if block + 1 == blocks { n } else { (first + size).min(n) };
            let cells = &order[first..last];
            self.add_mass(cells, -1.0, None);
            let weights = self.penalties();
            let new = self.assign_block(cells, &weights);
            self.add_mass(cells, 1.0, Some(&new));
            for (&i, row) in cells.iter().zip(new.chunks_exact(self.k)) {
                self.r[i as usize * self.k..][..self.k].copy_from_slice(row);
            }
        }
    }

    /// `[B, K]`: the factor by which a cell of level b is drawn to cluster k.
    fn penalties(&self) -> Vec<f64> {
        let mut weights = vec![0.0; self.b * self.k];
        for k in 0..self.k {
            for b in 0..self.b {
                let ratio = self.ratio(k, b);
                let theta = self.theta[b];
                weights[b * self.k + k] = if theta == 1.0 { ratio } else { exp(theta * ln(ratio)) };
            }
        }
        weights
    }

    /// The base of the penalty, > 0.
    fn ratio(&self, k: usize, b: usize) -> f64 {
        // Masses are updated by differences: rounding may leave them a little below 0.
        let (e, o) = (self.e[k * self.b + b].max(0.0), self.o[k * self.b + b].max(0.0));
        match self.config.penalty {
            Penalty::Smoothed => (e + 1.0) / (o + 1.0),
            Penalty::Ratio if e + o > 0.0 => (e / (e + o)).max(f64::MIN_POSITIVE),
            Penalty::Ratio => 1.0,
        }
    }

    /// New assignments `[cells, K]`: `exp(-d/sigma) x sum over variables of the penalty`, normalised.
    fn assign_block(&self, cells: &[u32], weights: &[f64]) -> Vec<f64> {
        let k = self.k;
        let mut new = vec![0.0; cells.len() * k];
        new.par_chunks_mut(PANEL * k).zip(cells.par_chunks(PANEL)).for_each(|(out, cells)| {
            let mut factor = vec![1.0; k];
            for (row, &i) in out.chunks_exact_mut(k).zip(cells) {
                let i = i as usize;
                if !self.levels.is_empty() {
                    factor.fill(0.0);
                }
                for variable in &self.levels {
                    let level = variable.offset + variable.codes[i] as usize;
                    axpy(1.0, &weights[level * k..][..k], &mut factor);
                }
                let dist = &self.dist[i * k..(i + 1) * k];
                let nearest = dist.iter().fold(f64::INFINITY, |m, &v| m.min(v));
                let mut sum = 0.0;
                for ((x, &far), f) in row.iter_mut().zip(dist).zip(&factor) {
                    *x = exp((nearest - far) / self.config.sigma) * f;
                    sum += *x;
                }
                row.iter_mut().for_each(|x| *x /= sum);
            }
        });
        new
    }

    /// Adds (or takes off) the assignments of some cells to E and O.
    fn add_mass(&mut self, cells: &[u32], sign: f64, new: Option<&[f64]>) {
        let (k, b) = (self.k, self.b);
        let (r, levels) = (&self.r, &self.levels);
        let parts: Vec<Vec<f64>> = cells
            .par_chunks(PANEL)
            .enumerate()
            .map(|(p, cells)| {
                // K totals, then B x K by level.
                let mut mass = vec![0.0; (1 + b) * k];
                for (j, &i) in cells.iter().enumerate() {
                    let i = i as usize;
                    let row = match new {
                        Some(new) => &new[(p * PANEL + j) * k..][..k],
                        None => &r[i * k..][..k],
                    };
                    axpy(1.0, row, &mut mass[..k]);
                    for v in levels {
                        axpy(1.0, row, &mut mass[(1 + v.offset + v.codes[i] as usize) * k..][..k]);
                    }
                }
                mass
            })
            .collect();
        let mut mass = vec![0.0; (1 + b) * k];
        parts.iter().for_each(|part| axpy(1.0, part, &mut mass));
        for c in 0..k {
            for level in 0..b {
                self.e[c * b + level] += sign * mass[c] * self.share[level];
                self.o[c * b + level] += sign * mass[(1 + level) * k + c];
            }
        }
    }

    fn record(&mut self) {
        let k = self.k;
        let parts: Vec<(f64, f64)> = self
            .r
            .par_chunks(PANEL * k)
            .zip(self.dist.par_chunks(PANEL * k))
            .map(|(r, dist)| {
                let far = crate::analysis::linalg::dot(r, dist);
                let entropy: f64 = r.iter().filter(|&&v| v > 0.0).map(|&v| v * ln(v)).sum();
                (far, entropy)
            })
            .collect();
        let sigma = self.config.sigma;
        let distance = parts.iter().map(|p| p.0).sum();
        let entropy = sigma * parts.iter().map(|p| p.1).sum::<f64>();
        let mut cross = 0.0;
        for c in 0..k {
            for level in 0..self.b {
                cross -= self.theta[level] * self.o[c * self.b + level] * ln(self.ratio(c, level));
            }
        }
        cross *= sigma;
        self.objective.push(Objective { total: distance + entropy + cross, distance, entropy, cross });
    }
}

/// `R ~ exp(-d/sigma)`, rows normalised: `dist` and `r` are `[n, K]`.
pub fn soft_assign(dist: &[f64], k: usize, sigma: f64, r: &mut [f64]) {
    r.par_chunks_mut(PANEL * k).zip(dist.par_chunks(PANEL * k)).for_each(|(r, dist)| {
        for (row, dist) in r.chunks_exact_mut(k).zip(dist.chunks_exact(k)) {
            let nearest = dist.iter().fold(f64::INFINITY, |m, &v| m.min(v));
            let mut sum = 0.0;
            for (x, far) in row.iter_mut().zip(dist) {
                *x = exp((nearest - far) / sigma);
                sum += *x;
            }
            row.iter_mut().for_each(|x| *x /= sum);
        }
    });
}
