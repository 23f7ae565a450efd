//! Harmony: batch correction of principal components (Korsunsky et al. 2019,
//! doi:10.1038/s41592-019-0619-0).
//!
//! May use: `error`, `rng`, `cpu::dgemm`, `linalg`, `kmeans`. Binary64 throughout; the same bits for
//! any number of threads.
//!
//! Two rounds alternate. *Clustering*: soft k-means on the unit sphere whose assignments R are pulled
//! towards clusters where the cell's batch is rare. *Correction*: in each cluster a ridge regression of
//! the original coordinates on the batches, whose batch terms are taken off in proportion to R.
//!
//! | file | what |
//! |---|---|
//! | [`engine`] | the two rounds and their state; every random choice can be given |
//! | [`ridge`] | the regression, for one batch variable in closed form, for several by a dense solve |
//!
//! # Two forms of the diversity penalty
//! With O the observed and E the expected mass of a batch in a cluster, [`Penalty::Smoothed`] weighs
//! an assignment by `((E+1)/(O+1))^theta` (the Python package of 2022, our default) and
//! [`Penalty::Ratio`] by `(E/(O+E))^theta` (R package 1.2 and newer). The cross term of the objective
//! follows: `sigma theta O ln((O+1)/(E+1))` and `sigma theta O ln((O+E)/E)`.
#![forbid(unsafe_code)]

pub mod engine;
pub mod ridge;
#[cfg(test)]
mod tests;

pub use engine::{Engine, Objective};

use super::kmeans::kmeans;
use super::linalg::normalise_rows;
use crate::error::{Error, Result};
use crate::rng::{Stream, stream};
use serde::{Deserialize, Serialize};

/// The diversity penalty; see the module's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Penalty {
    /// `((E+1)/(O+1))^theta`
    Smoothed,
    /// `(E/(O+E))^theta`
    Ratio,
}

/// The ridge penalty on batch terms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
// Each variant's own line tells of its fields.
#[allow(missing_docs)]
pub enum Lambda {
    /// The same for all batches and clusters.
    Fixed(f64),
    /// `alpha E_kb` in cluster k for batch b.
    Estimated { alpha: f64 },
}

/// How Harmony runs; the defaults are those of the reference implementation of 2022.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HarmonyConfig {
    /// Clusters K; `None`: `round(n/30)`, at least 1, at most 100.
    pub n_clusters: Option<usize>,
    /// Width of the soft assignment, > 0: `R ~ exp(-2 (1 - cos) / sigma)`.
    pub sigma: f64,
    /// Strength of the diversity penalty, >= 0; 0 is none.
    pub theta: f64,
    /// Ridge penalty.
    pub lambda: Lambda,
    /// Weakens theta for small batches: `theta (1 - exp(-(N_b/(K tau))^2))`; 0 is off.
    pub tau: f64,
    /// Share of cells whose assignments are renewed together, in (0, 1].
    pub block_size: f64,
    /// Rounds of clustering and correction.
    pub max_outer: usize,
    /// Iterations of one clustering.
    pub max_inner: usize,
    /// Relative change of the objective over a window of 3 that ends a clustering.
    pub eps_cluster: f64,
    /// Relative decrease of the objective that ends the run.
    pub eps_harmony: f64,
    /// Form of the penalty.
    pub penalty: Penalty,
    /// Restarts and iterations of the k-means that starts the clusters.
    pub kmeans_restarts: usize,
    /// Iterations of clustering in each round, at most.
    pub kmeans_iterations: usize,
    /// Seed of the first centroids.
    pub seed: u64,
}

impl Default for HarmonyConfig {
    fn default() -> Self {
        HarmonyConfig {
            n_clusters: None,
            sigma: 0.1,
            theta: 1.0,
            lambda: Lambda::Fixed(1.0),
            tau: 0.0,
            block_size: 0.05,
            max_outer: 10,
            max_inner: 20,
            eps_cluster: 1e-5,
            eps_harmony: 1e-4,
            penalty: Penalty::Smoothed,
            kmeans_restarts: 10,
            kmeans_iterations: 25,
            seed: 0,
        }
    }
}

impl HarmonyConfig {
    /// # Errors
    /// `Error::Usage` that names the value outside its range.
    pub fn check(&self) -> Result<()> {
        let lambda = match self.lambda {
            Lambda::Fixed(v) | Lambda::Estimated { alpha: v } => v,
        };
        let rules = [
            ("sigma", self.sigma, self.sigma > 0.0, "above 0"),
            ("theta", self.theta, self.theta >= 0.0, "0 or more"),
            ("lambda", lambda, lambda >= 0.0, "0 or more"),
            ("tau", self.tau, self.tau >= 0.0, "0 or more"),
            ("block_size", self.block_size, self.block_size > 0.0 && self.block_size <= 1.0, "in (0, 1]"),
        ];
        for (name, value, fine, range) in rules {
            if !fine || !value.is_finite() {
                return Err(Error::usage(format!("harmony.{name} = {value}"), format!("give a value {range}")));
            }
        }
        if self.n_clusters == Some(0) {
            return Err(Error::usage("harmony.n_clusters = 0", "give at least 1, or none"));
        }
        Ok(())
    }

    /// K for n cells.
    pub fn clusters(&self, n: usize) -> usize {
        let auto = ((n as f64 / 30.0).round() as usize).clamp(1, 100);
        self.n_clusters.unwrap_or(auto).min(n.max(1))
    }
}

/// One batch variable: the level of every cell.
#[derive(Clone, Copy, Debug)]
pub struct BatchVariable<'a> {
    /// `[n]`, each below `levels`.
    pub codes: &'a [u32],
    /// Number of batches.
    pub levels: usize,
}

/// What a run leaves.
#[derive(Clone, Debug)]
pub struct Harmony {
    /// Dimensions d.
    pub n_dims: usize,
    /// Clusters K.
    pub n_clusters: usize,
    /// Corrected coordinates `[n, d]`.
    pub corrected: Vec<f64>,
    /// Soft assignments `[n, K]`, rows sum to 1.
    pub assignments: Vec<f64>,
    /// Unit centroids `[K, d]`.
    pub centroids: Vec<f64>,
    /// The objective at the start and after every clustering iteration.
    pub objective: Vec<Objective>,
    /// Clustering iterations of each outer round.
    pub rounds: Vec<usize>,
    /// The objective at the start and after every outer round.
    pub outer_objective: Vec<f64>,
    /// Whether the last round changed the objective by less than `eps_harmony`.
    pub converged: bool,
}

/// Corrects `z` `[n, d]` for one or more batch variables.
///
/// # Errors
/// `Error::Usage` from [`HarmonyConfig::check`]; `Error::Data` for no cells, coordinates that are not
/// finite, a batch variable of another length or a code beyond its levels.
pub fn harmonize(z: &[f64], d: usize, batches: &[BatchVariable], config: &HarmonyConfig) -> Result<Harmony> {
    config.check()?;
    let n = z.len().checked_div(d).unwrap_or(0);
    if n == 0 || z.len() != n * d || !z.iter().all(|v| v.is_finite()) {
        return Err(Error::data(
            "harmony",
            format!("{} coordinates are not a finite matrix with {d} columns", z.len()),
            "give the principal components of at least one cell",
        ));
    }
    let k = config.clusters(n);
    let mut unit = z.to_vec();
    normalise_rows(&mut unit, d);
    let start = kmeans(&unit, d, k, config.kmeans_restarts, config.kmeans_iterations, config.seed)?;
    let mut engine = Engine::new(z, d, batches, config, &start.centroids)?;
    let mut rng = Stream::new(config.seed, stream::CLUSTER).at(1).rng();
    engine.run(&mut || rng.permutation(n));
    Ok(engine.finish())
}
