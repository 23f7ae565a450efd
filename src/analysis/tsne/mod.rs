//! t-SNE: cells on a plane, so that near neighbours stay near (van der Maaten and Hinton 2008).
//!
//! May use: `error`, `rng`, `linalg`, `neighbors`, `pca`. Attraction runs over the `3 perplexity`
//! nearest neighbours of each point ([`Affinities`]); repulsion over all pairs, or above
//! [`EXACT`] points over a quadtree (Barnes-Hut: van der Maaten 2014, arXiv:1301.3342). Every point's
//! force is summed by one thread in a fixed order, and totals are summed over points in order: the
//! same bits for any number of threads.
#![forbid(unsafe_code)]

mod affinities;
mod repulsion;
mod tree;

pub use affinities::Affinities;

use super::linalg::ln;
use super::neighbors::knn;
use super::pca::{DenseRows, Pca};
use crate::error::{Error, Result};
use crate::rng::{Stream, stream};
use rayon::prelude::*;
use repulsion::{Repulsion, repulsion};

/// Points up to which repulsion runs over all pairs.
pub const EXACT: usize = 5000;
/// Points that a task moves.
const SPAN: usize = 256;

/// Settings; the defaults are those of the literature (Kobak and Berens 2019,
/// doi:10.1038/s41467-019-13056-x).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TsneConfig {
    /// Effective number of neighbours of a point; at most a third of the other points.
    pub perplexity: f64,
    /// Steps.
    pub iterations: usize,
    /// Factor of the attraction in the first steps.
    pub exaggeration: f64,
    /// How many steps these are.
    pub exaggerated: usize,
    /// Step length; `None`: `max(200, n / 12)`. In the convention in which the gradient is
    /// `sum_j (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|^2)`, without the factor 4.
    pub learning_rate: Option<f64>,
    /// Opening angle of Barnes-Hut: a cell of the tree narrower than theta times its distance is one
    /// point. 0 is exact.
    pub theta: f64,
    /// Where randomness is needed: a second axis for data that have one only.
    pub seed: u64,
}

impl Default for TsneConfig {
    fn default() -> TsneConfig {
        TsneConfig {
            perplexity: 30.0,
            iterations: 1000,
            exaggeration: 12.0,
            exaggerated: 250,
            learning_rate: None,
            theta: 0.5,
            seed: 0,
        }
    }
}

impl TsneConfig {
    fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Argument { op: "t-SNE", what });
        if !(self.perplexity >= 1.0 && self.perplexity.is_finite()) {
            return wrong(format!("perplexity {}", self.perplexity));
        }
        if !(self.exaggeration > 0.0 && self.exaggeration.is_finite()) {
            return wrong(format!("exaggeration {}", self.exaggeration));
        }
        if !(0.0..=0.7).contains(&self.theta) {
            return wrong(format!("theta {}, beyond 0 to 0.7", self.theta));
        }
        match self.learning_rate {
            Some(rate) if !(rate > 0.0 && rate.is_finite()) => wrong(format!("learning rate {rate}")),
            _ => Ok(()),
        }
    }
}

/// Points on a plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Tsne {
    /// `[n, 2]`, centred.
    pub y: Vec<f64>,
    /// Divergence of the plane's neighbourhoods from those of the data, nats.
    pub kl: f64,
}

/// Puts the rows of `x` `[n, d]` on a plane, from their first two principal components.
///
/// `step` is told the number of steps done and may stop the work by an error.
///
/// # Errors
/// `Error::Argument` for settings out of range or coordinates that are not finite; `Error::Shape`
/// if the values do not form rows of d; what `step` returns.
pub fn tsne(x: &[f64], d: usize, config: &TsneConfig, step: &mut dyn FnMut(usize) -> Result<()>) -> Result<Tsne> {
    config.check()?;
    if d == 0 || !x.len().is_multiple_of(d) {
        return Err(Error::Shape { op: "t-SNE", expected: format!("rows of {d} values"), found: x.len().to_string() });
    }
    let n = x.len() / d;
    if n < 2 {
        return Ok(Tsne { y: vec![0.0; 2 * n], kl: 0.0 });
    }
    let perplexity = config.perplexity.min((n - 1) as f64 / 3.0).max(1.0);
    let p = Affinities::new(&knn(x, d, ((3.0 * perplexity) as usize).min(n - 1))?, perplexity)?;
    let theta = if n > EXACT { config.theta } else { 0.0 };
    let rate = config.learning_rate.unwrap_or((n as f64 / 12.0).max(200.0));
    let mut y = start(x, d, config.seed)?;
    let (mut velocity, mut gains) = (vec![0.0; 2 * n], vec![1.0; 2 * n]);
    for t in 0..config.iterations {
        step(t)?;
        if t == config.exaggerated {
            // The landscape is another one now; what was gathered for the old one does not carry over.
            velocity.fill(0.0);
            gains.fill(1.0);
        }
        let early = t < config.exaggerated;
        let (exaggeration, momentum) = if early { (config.exaggeration, 0.5) } else { (1.0, 0.8) };
        let force = gradient(&p, &y, theta, exaggeration);
        let spans = y.par_chunks_mut(SPAN).zip(velocity.par_chunks_mut(SPAN)).zip(gains.par_chunks_mut(SPAN));
        spans.zip(force.par_chunks(SPAN)).for_each(|(((y, velocity), gains), force)| {
            for i in 0..y.len() {
                // Steps grow along a coordinate that keeps its direction (Jacobs 1988).
                let same = (force[i] > 0.0) == (velocity[i] > 0.0);
                gains[i] = if same { (gains[i] * 0.8f64).max(0.01) } else { gains[i] + 0.2 };
                velocity[i] = momentum * velocity[i] - rate * gains[i] * force[i];
                y[i] += velocity[i];
            }
        });
        centre(&mut y);
    }
    step(config.iterations)?;
    let kl = divergence(&p, &y, repulsion(&y, theta).z);
    Ok(Tsne { y, kl })
}

/// A quarter of the derivative of [`kl`] by `y` `[n, 2]`, with the attraction times `exaggeration`.
pub fn gradient(p: &Affinities, y: &[f64], theta: f64, exaggeration: f64) -> Vec<f64> {
    let Repulsion { force, z } = repulsion(y, theta);
    let point = |(i, (own, away)): (usize, (&[f64], &[f64]))| {
        let (mut gx, mut gy) = (0.0, 0.0);
        let (columns, values) = p.row(i);
        for (&j, &p) in columns.iter().zip(values) {
            let (dx, dy) = (own[0] - y[2 * j as usize], own[1] - y[2 * j as usize + 1]);
            let pull = p / (1.0 + dx * dx + dy * dy);
            (gx, gy) = (gx + pull * dx, gy + pull * dy);
        }
        [exaggeration * gx - away[0] / z, exaggeration * gy - away[1] / z]
    };
    y.par_chunks_exact(2).zip(force.par_chunks_exact(2)).enumerate().map(point).flatten_iter().collect()
}

/// `KL(P || Q)` of the plane `y` `[n, 2]` over all pairs, nats.
pub fn kl(p: &Affinities, y: &[f64]) -> f64 {
    divergence(p, y, repulsion(y, 0.0).z)
}

/// `sum p ln(p / q)` with `q_ij = 1 / (1 + |y_i - y_j|^2) / z`.
fn divergence(p: &Affinities, y: &[f64], z: f64) -> f64 {
    let row = |i: usize| {
        let (columns, values) = p.row(i);
        let pair = |(&j, &p): (&u32, &f64)| {
            let (dx, dy) = (y[2 * i] - y[2 * j as usize], y[2 * i + 1] - y[2 * j as usize + 1]);
            if p > 0.0 { p * (ln(p) + ln(1.0 + dx * dx + dy * dy) + ln(z)) } else { 0.0 }
        };
        columns.iter().zip(values).map(pair).sum::<f64>()
    };
    (0..y.len() / 2).into_par_iter().map(row).collect::<Vec<f64>>().iter().sum()
}

/// The first two principal components, the first one with a standard deviation of 1e-4; noise of
/// that size along an axis in which the data do not vary.
fn start(x: &[f64], d: usize, seed: u64) -> Result<Vec<f64>> {
    const SPREAD: f64 = 1e-4;
    let pca = Pca::fit(&DenseRows { values: x, n_cols: d }, 2, seed)?;
    let n = x.len() / d;
    let spread = |c: usize| {
        let squares: f64 = (0..n).map(|i| pca.scores[i * pca.n_comps + c].powi(2)).sum();
        (squares / n as f64).sqrt()
    };
    let scale = spread(0);
    let mut noise = Stream::new(seed, stream::INIT).rng();
    let mut y = vec![0.0; 2 * n];
    for c in 0..2 {
        let varies = c < pca.n_comps && scale > 0.0 && spread(c) > 1e-9 * scale;
        for i in 0..n {
            y[2 * i + c] = SPREAD * if varies { pca.scores[i * pca.n_comps + c] / scale } else { noise.normal() };
        }
    }
    Ok(y)
}

fn centre(y: &mut [f64]) {
    let n = (y.len() / 2) as f64;
    let (sx, sy) = y.chunks_exact(2).fold((0.0, 0.0), |(sx, sy), point| (sx + point[0], sy + point[1]));
    y.chunks_exact_mut(2).for_each(|point| (point[0], point[1]) = (point[0] - sx / n, point[1] - sy / n));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters(n: usize, d: usize) -> Vec<f64> {
        let mut rng = Stream::new(3, stream::TEST).rng();
        (0..n * d).map(|i| if i / d % 3 == i % d { 8.0 } else { 0.0 } + rng.normal()).collect()
    }

    fn quick(x: &[f64], d: usize, config: TsneConfig) -> Tsne {
        tsne(x, d, &config, &mut |_| Ok(())).unwrap()
    }

    #[test]
    fn three_clusters_stay_apart_and_threads_do_not_matter() {
        let (n, d) = (150, 6);
        let x = clusters(n, d);
        let config = TsneConfig { iterations: 400, ..TsneConfig::default() };
        let found = quick(&x, d, config);
        let near = knn(&found.y, 2, 10).unwrap();
        let strangers = (0..n).flat_map(|i| near.row(i).0.iter().map(move |&j| (i, j as usize)));
        assert_eq!(strangers.filter(|(i, j)| i % 3 != j % 3).count(), 0);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(|| quick(&x, d, config)), found);
    }

    #[test]
    fn the_tree_pushes_as_all_pairs_do() {
        let x = clusters(400, 4);
        let y = quick(&x, 4, TsneConfig { iterations: 300, ..TsneConfig::default() }).y;
        let (all, tree) = (repulsion(&y, 0.0), repulsion(&y, 0.5));
        assert!((tree.z / all.z - 1.0).abs() < 1e-2, "{} {}", tree.z, all.z);
        let length = |f: &[f64]| f.iter().map(|v| v * v).sum::<f64>().sqrt();
        let apart: Vec<f64> = all.force.iter().zip(&tree.force).map(|(a, b)| a - b).collect();
        assert!(length(&apart) < 0.03 * length(&all.force), "{}", length(&apart) / length(&all.force));
        let fine = repulsion(&y, 1e-9);
        assert!((fine.z / all.z - 1.0).abs() < 1e-12);
    }

    #[test]
    fn few_points_and_points_at_one_place_have_finite_places() {
        for (x, d) in
            [(vec![], 3), (vec![1.0, 2.0], 2), (vec![1.0, 2.0, 3.0], 1), (vec![5.0; 60], 2), (clusters(5, 4), 4)]
        {
            let found = quick(&x, d, TsneConfig { iterations: 50, ..TsneConfig::default() });
            assert_eq!(found.y.len(), 2 * x.len() / d);
            assert!(found.y.iter().all(|v| v.is_finite()) && found.kl.is_finite(), "{x:?}");
        }
        assert!(tsne(&[f64::NAN, 1.0, 2.0, 3.0], 2, &TsneConfig::default(), &mut |_| Ok(())).is_err());
        let wrong = TsneConfig { theta: 2.0, ..TsneConfig::default() };
        assert!(tsne(&[1.0, 2.0], 1, &wrong, &mut |_| Ok(())).is_err());
    }
}
