//! Simulated counts with known types: for the demo and for tests, without any download.
//!
//! May use: `error`, `rng`, `math`, the data types. Everything is drawn from the `SIMULATE` stream
//! with the portable functions of `math`, so a seed gives the same counts on every machine.
//!
//! The model (CLAMS protocol, "synthetic fallback", with zero inflation added):
//!
//! ```text
//! weights     w ~ Dirichlet(1.5), floored at 0.03, normalised
//! expression  e_cg = exp(sum_j 3 exp(-j/8) z_cj l_jg / sqrt(12)), j < 12; shares of a cell: softmax
//! library     l_i ~ lognormal(ln 5000, 0.35)
//! batch       f_bg ~ lognormal(0, 0.3); 1 in the first batch
//! count       x_ig ~ NB(mean l_i share_g f_bg, inverse dispersion 2), set to 0 with probability 0.05
//! ```
#![forbid(unsafe_code)]

use super::csr::{Csr, CsrBuilder};
use super::{Categorical, Column, Dataset, Matrix, Table, Value};
use crate::error::{Error, Result};
use crate::math;
use crate::rng::{Rng, Stream, stream};
use rayon::prelude::*;
use std::ops::Range;

/// Sizes and strengths; the defaults are those in the module's head.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulateParams {
    /// Cells in all, shared equally by the batches.
    pub n_cells: usize,
    /// Number of genes.
    pub n_genes: usize,
    /// Number of cell types.
    pub n_types: usize,
    /// Number of batches.
    pub n_batches: usize,
    /// The last type occurs in the last batch only.
    pub hold_out_last: bool,
    /// Size of the first expression factor; later ones shrink by `exp(-1/8)` each.
    pub factor_scale: f32,
    /// Median of a cell's total before dropout.
    pub library_median: f32,
    /// Spread of the totals (standard deviation of the logarithm).
    pub library_sigma: f32,
    /// Inverse dispersion of the negative binomial, > 0.
    pub inverse_dispersion: f32,
    /// Spread of the batch factors (standard deviation of the logarithm).
    pub batch_sigma: f32,
    /// Chance that a count is lost, in [0, 1).
    pub dropout: f32,
    /// Seed of all draws.
    pub seed: u64,
}

impl Default for SimulateParams {
    fn default() -> Self {
        SimulateParams {
            n_cells: 4000,
            n_genes: 1000,
            n_types: 9,
            n_batches: 2,
            hold_out_last: true,
            factor_scale: 3.0,
            library_median: 5000.0,
            library_sigma: 0.35,
            inverse_dispersion: 2.0,
            batch_sigma: 0.3,
            dropout: 0.05,
            seed: 0,
        }
    }
}

impl SimulateParams {
    fn check(&self) -> Result<()> {
        let wrong = |what: String, fix: &str| Err(Error::usage(what, fix));
        if self.n_genes == 0 || self.n_types == 0 || self.n_batches == 0 || self.n_cells < self.n_batches {
            let what = format!(
                "simulation of {} cells, {} genes, {} types, {} batches",
                self.n_cells, self.n_genes, self.n_types, self.n_batches
            );
            return wrong(what, "give at least one of each, and a cell per batch");
        }
        if self.hold_out_last && (self.n_types < 2 || self.n_batches < 2) {
            return wrong("a type is to be held out".into(), "give at least two types and two batches");
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return wrong(format!("dropout {}", self.dropout), "give a chance from 0 to below 1");
        }
        let positive = [self.library_median, self.inverse_dispersion];
        let not_negative = [self.library_sigma, self.batch_sigma, self.factor_scale];
        if positive.iter().any(|v| !v.is_finite() || *v <= 0.0)
            || not_negative.iter().any(|v| !v.is_finite() || *v < 0.0)
        {
            return wrong("a negative or infinite strength".into(), "give finite sizes above 0");
        }
        Ok(())
    }
}

/// Number of expression factors.
const FACTORS: usize = 12;

/// What a step of the random stream is for.
mod step {
    pub const WEIGHTS: u32 = 0;
    pub const TYPES: u32 = 1;
    pub const SCORES: u32 = 2;
    pub const LOADINGS: u32 = 3;
    pub const LIBRARY: u32 = 4;
    pub const BATCH: u32 = 5;
    pub const COUNTS: u32 = 6;
}

/// Draws a data set: counts in `X`, `cell_type` and `batch` (`batch0`, ...) in `obs`.
///
/// # Errors
/// `Error::Usage` for sizes or strengths that make no sense.
pub fn simulate(params: &SimulateParams) -> Result<Dataset> {
    let simulation = Simulation::new(params)?;
    let mut dataset = simulation.frame()?;
    dataset.x = Matrix::Csr(simulation.rows(0..params.n_cells));
    Ok(dataset)
}

/// A simulation whose counts are drawn as they are asked for.
pub struct Simulation {
    params: SimulateParams,
    random: Stream,
    batch: Vec<usize>,
    types: Vec<usize>,
    shares: Vec<Vec<f32>>,
    factors: Vec<Vec<f32>>,
}

impl Simulation {
    /// # Errors
    /// `Error::Usage` for sizes or strengths that make no sense.
    pub fn new(params: &SimulateParams) -> Result<Simulation> {
        params.check()?;
        let random = Stream::new(params.seed, stream::SIMULATE);
        let batch: Vec<usize> = (0..params.n_cells).map(|i| i * params.n_batches / params.n_cells).collect();
        let types = cell_types(params, random, &batch);
        let (shares, factors) = (expression_shares(params, random), batch_factors(params, random));
        Ok(Simulation { params: params.clone(), random, batch, types, shares, factors })
    }

    /// Counts of some cells, all genes.
    pub fn rows(&self, cells: Range<usize>) -> Csr {
        let params = &self.params;
        let rows: Vec<Vec<(u32, f32)>> = cells
            .into_par_iter()
            .map(|cell| {
                let spread = params.library_sigma * self.random.at(step::LIBRARY).normal(cell as u32);
                let library = params.library_median * math::exp(spread);
                let mut rng = self.random.at(step::COUNTS).part(cell as u32).rng();
                let shares = &self.shares[self.types[cell]];
                let means = shares.iter().zip(&self.factors[self.batch[cell]]).map(|(s, f)| library * s * f);
                let counts = means.map(|mean| {
                    let count = negative_binomial(f64::from(mean), params.inverse_dispersion, &mut rng);
                    if rng.uniform() < params.dropout { 0.0 } else { count }
                });
                (0u32..).zip(counts).filter(|(_, count)| *count > 0.0).collect()
            })
            .collect();
        let mut x = CsrBuilder::new(params.n_genes, rows.iter().map(Vec::len).sum());
        rows.iter().for_each(|row| x.push_row(row.iter().copied()));
        x.finish()
    }

    /// Everything but the counts, which are all zero.
    ///
    /// # Errors
    /// None that a checked simulation has.
    pub fn frame(&self) -> Result<Dataset> {
        let params = &self.params;
        let digits = |n: usize| n.saturating_sub(1).max(1).to_string().len();
        let (cell_digits, gene_digits) = (digits(params.n_cells), digits(params.n_genes));
        let mut obs = Table::new((0..params.n_cells).map(|i| format!("cell{i:0cell_digits$}")).collect());
        let named = |prefix: &str, codes: &[usize], n: usize| {
            let categories = (0..n).map(|i| format!("{prefix}{i}")).collect();
            let names: Vec<String> = codes.iter().map(|code| format!("{prefix}{code}")).collect();
            Column::Categorical(Categorical::with_categories(&names, categories))
        };
        obs.set("cell_type", named("type", &self.types, params.n_types))?;
        obs.set("batch", named("batch", &self.batch, params.n_batches))?;
        let var = Table::new((0..params.n_genes).map(|g| format!("gene{g:0gene_digits$}")).collect());
        let zeros = Csr::zeros(params.n_cells, params.n_genes);
        let mut dataset = Dataset::new(Matrix::Csr(zeros), obs, var)?;
        dataset.source = "simulation".into();
        dataset.uns.push(("simulation".into(), Value::dict().with("seed", params.seed as i64)));
        Ok(dataset)
    }
}

/// Type of each cell, by chance with the weights of its batch.
fn cell_types(params: &SimulateParams, random: Stream, batch: &[usize]) -> Vec<usize> {
    // A Gamma(3/2) number is half a squared normal plus an exponential one.
    let gamma = |c: u32| {
        let (n, u) = (random.at(step::WEIGHTS).normal(c), random.at(step::WEIGHTS).part(1).uniform_open0(c));
        0.5 * n * n - math::ln(u)
    };
    let raw: Vec<f32> = (0..params.n_types as u32).map(gamma).collect();
    let total: f32 = raw.iter().sum();
    let weights: Vec<f32> = raw.iter().map(|w| (w / total).max(0.03)).collect();
    (0..batch.len())
        .map(|cell| {
            let known = if params.hold_out_last && batch[cell] + 1 < params.n_batches {
                params.n_types - 1
            } else {
                params.n_types
            };
            let mut left = random.at(step::TYPES).uniform(cell as u32) * weights[..known].iter().sum::<f32>();
            for (class, weight) in weights[..known].iter().enumerate() {
                if left < *weight {
                    return class;
                }
                left -= weight;
            }
            known - 1
        })
        .collect()
}

/// Share of each gene in the counts of a type; sums to 1.
fn expression_shares(params: &SimulateParams, random: Stream) -> Vec<Vec<f32>> {
    (0..params.n_types)
        .map(|class| {
            let scores = random.at(step::SCORES).part(class as u32);
            let logs: Vec<f32> = (0..params.n_genes as u32)
                .map(|gene| {
                    (0..FACTORS as u32)
                        .map(|j| {
                            let scale = params.factor_scale * math::exp(-(j as f32) / 8.0);
                            scale * scores.normal(j) * random.at(step::LOADINGS).part(j).normal(gene)
                        })
                        .sum::<f32>()
                        / (FACTORS as f32).sqrt()
                })
                .collect();
            let highest = logs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let levels: Vec<f32> = logs.iter().map(|log| math::exp(log - highest)).collect();
            let total: f64 = levels.iter().map(|&v| f64::from(v)).sum();
            levels.iter().map(|&v| (f64::from(v) / total) as f32).collect()
        })
        .collect()
}

fn batch_factors(params: &SimulateParams, random: Stream) -> Vec<Vec<f32>> {
    (0..params.n_batches)
        .map(|b| {
            let draws = random.at(step::BATCH).part(b as u32);
            let factor = |g: u32| if b == 0 { 1.0 } else { math::exp(params.batch_sigma * draws.normal(g)) };
            (0..params.n_genes as u32).map(factor).collect()
        })
        .collect()
}

/// A negative binomial number with variance `mean + mean^2 / theta`, by inversion:
/// P(0) = q^theta, P(k+1) = P(k) (k + theta) / (k + 1) (1 - q), q = theta / (theta + mean).
fn negative_binomial(mean: f64, theta: f32, rng: &mut Rng) -> f32 {
    let uniform = rng.uniform53();
    let spare = rng.word(); // drawn always, so that every entry uses the same number of words
    if mean <= 0.0 {
        return 0.0;
    }
    let size = f64::from(theta);
    let q = size / (size + mean);
    let mut chance = f64::from(math::pow(q as f32, theta.fract()));
    for _ in 0..(theta as u32).min(4096) {
        chance *= q;
    }
    let deviation = (mean + mean * mean / size).sqrt();
    if chance < 1e-290 {
        // The walk from 0 would start below what f64 holds; the distribution is near normal here.
        let (normal, _) = crate::rng::normal_from(spare, rng_word_of(uniform));
        return (mean + deviation * f64::from(normal)).round().max(0.0) as f32;
    }
    let (mut count, mut below) = (0.0f64, chance);
    let farthest = mean + 60.0 * deviation + 60.0;
    while uniform >= below && count < farthest {
        chance *= (count + size) / (count + 1.0) * (1.0 - q);
        count += 1.0;
        below += chance;
    }
    count as f32
}

fn rng_word_of(uniform: f64) -> u32 {
    (uniform * 4_294_967_296.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> SimulateParams {
        SimulateParams { n_cells: 600, n_genes: 120, n_types: 4, ..SimulateParams::default() }
    }

    #[test]
    fn a_seed_gives_the_same_counts_with_any_number_of_threads() {
        let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        let one = pool(1).install(|| simulate(&small()).unwrap());
        assert_eq!(one, pool(3).install(|| simulate(&small()).unwrap()));
        assert_ne!(one.x, simulate(&SimulateParams { seed: 1, ..small() }).unwrap().x);
    }

    #[test]
    fn the_held_out_type_is_in_the_last_batch_only() {
        let data = simulate(&small()).unwrap();
        let text = |name: &str, row: usize| data.obs.get(name).unwrap().text(row).unwrap();
        let held: Vec<usize> = (0..600).filter(|&row| text("cell_type", row) == "type3").collect();
        assert!(!held.is_empty() && held.iter().all(|&row| text("batch", row) == "batch1"));
        assert_eq!((0..600).filter(|&row| text("batch", row) == "batch0").count(), 300);
    }

    #[test]
    fn counts_are_whole_and_totals_have_the_library_median() {
        let data = simulate(&SimulateParams { dropout: 0.0, ..small() }).unwrap();
        assert!(data.x.values().iter().all(|v| *v > 0.0 && v.fract() == 0.0));
        let mut totals = data.x.row_sums();
        totals.sort_unstable_by(f64::total_cmp);
        assert!((3500.0..7000.0).contains(&totals[300]), "median total {}", totals[300]);
        let kept = simulate(&SimulateParams { dropout: 0.5, ..small() }).unwrap();
        let share = kept.x.nnz() as f64 / data.x.nnz() as f64;
        assert!((share - 0.5).abs() < 0.02, "dropout of half keeps {share}");
    }

    #[test]
    fn negative_binomial_has_its_mean_and_variance() {
        for (mean, theta) in [(0.3, 2.0), (7.0, 2.0), (40.0, 0.7), (900.0, 2.5), (1e5, 400.0)] {
            let mut rng = Stream::new(3, stream::TEST).rng();
            let n = 20_000;
            let draws: Vec<f64> = (0..n).map(|_| f64::from(negative_binomial(mean, theta, &mut rng))).collect();
            let found = draws.iter().sum::<f64>() / f64::from(n);
            let variance = draws.iter().map(|d| (d - found).powi(2)).sum::<f64>() / f64::from(n);
            let expected = mean + mean * mean / f64::from(theta);
            assert!((found - mean).abs() < 5.0 * (expected / f64::from(n)).sqrt(), "mean {found} of {mean}");
            assert!((variance / expected - 1.0).abs() < 0.12, "variance {variance} of {expected}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(simulate(&SimulateParams { n_batches: 1, ..small() }).is_err());
        assert!(simulate(&SimulateParams { dropout: 1.0, ..small() }).is_err());
        assert!(simulate(&SimulateParams { n_genes: 0, ..small() }).is_err());
        assert!(simulate(&SimulateParams { inverse_dispersion: 0.0, ..small() }).is_err());
    }
}
