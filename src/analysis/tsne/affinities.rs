//! Who is whose neighbour, as symmetric probabilities over pairs.

use crate::analysis::linalg::{exp, ln};
use crate::analysis::neighbors::Neighbors;
use crate::error::{Error, Result};
use rayon::prelude::*;

/// The bisection stops at this difference in entropy (nats) or after [`TRIES`].
const TOLERANCE: f64 = 1e-9;
const TRIES: usize = 100;

/// `P` `[n, n]`, sparse and symmetric, sum 1: `p_ij = (p_j|i + p_i|j) / 2n` with Gaussian `p_j|i`
/// whose width gives every point the same perplexity.
#[derive(Clone, Debug, PartialEq)]
pub struct Affinities {
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f64>,
}

impl Affinities {
    /// From the neighbours of each of n points among the others.
    ///
    /// # Errors
    /// `Error::Argument` if the neighbours are not those of the same n points.
    pub fn new(neighbors: &Neighbors, perplexity: f64) -> Result<Affinities> {
        let k = neighbors.k;
        let n = neighbors.indices.len().checked_div(k).unwrap_or(0);
        if neighbors.indices.iter().any(|&j| j as usize >= n) || neighbors.distances.len() != neighbors.indices.len() {
            return Err(Error::Argument { op: "t-SNE", what: "neighbours beyond the points".into() });
        }
        let own: Vec<f64> =
            neighbors.distances.par_chunks_exact(k.max(1)).flat_map_iter(|row| conditional(row, perplexity)).collect();
        let mut pairs: Vec<(u32, u32, f64)> = Vec::with_capacity(2 * own.len());
        for (at, (&j, &p)) in neighbors.indices.iter().zip(&own).enumerate() {
            let (i, p) = ((at / k) as u32, p / (2 * n) as f64);
            pairs.push((i, j, p));
            pairs.push((j, i, p));
        }
        pairs.par_sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
        let mut found = Affinities { indptr: vec![0; n + 1], indices: Vec::new(), values: Vec::new() };
        for same in pairs.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            found.indices.push(same[0].1);
            found.values.push(same.iter().map(|pair| pair.2).sum());
            found.indptr[same[0].0 as usize + 1] = found.indices.len();
        }
        for i in 1..=n {
            found.indptr[i] = found.indptr[i].max(found.indptr[i - 1]);
        }
        Ok(found)
    }

    /// The pairs of point `i`, ascending.
    pub fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let range = self.indptr[i]..self.indptr[i + 1];
        (&self.indices[range.clone()], &self.values[range])
    }
}

/// `p_j|i` of one point's neighbours: `exp(-beta d^2)`, normalised, beta such that the entropy is
/// `ln perplexity`.
fn conditional(distances: &[f64], perplexity: f64) -> Vec<f64> {
    let nearest = distances.iter().copied().fold(f64::INFINITY, f64::min);
    // Relative to the nearest, so that not every weight can vanish.
    let beyond: Vec<f64> = distances.iter().map(|d| d * d - nearest * nearest).collect();
    let target = ln(perplexity);
    let (mut low, mut high, mut beta) = (0.0, f64::INFINITY, 1.0);
    let mut weights = vec![0.0; beyond.len()];
    let mut total = 0.0;
    for _ in 0..TRIES {
        weights.iter_mut().zip(&beyond).for_each(|(w, &b)| *w = exp(-beta * b));
        total = weights.iter().sum();
        let mean: f64 = weights.iter().zip(&beyond).map(|(w, b)| w * b).sum::<f64>() / total;
        let excess = ln(total) + beta * mean - target;
        if excess.abs() < TOLERANCE {
            break;
        }
        if excess > 0.0 {
            low = beta;
        } else {
            high = beta;
        }
        beta = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * beta };
    }
    weights.iter().map(|w| w / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_has_the_perplexity_asked_for() {
        let distances: Vec<f64> = (1..40).map(|i| 100.0 + f64::from(i).sqrt()).collect();
        let p = conditional(&distances, 7.5);
        let entropy: f64 = p.iter().map(|&p| if p > 0.0 { -p * p.ln() } else { 0.0 }).sum();
        assert!((entropy.exp() - 7.5).abs() < 1e-6, "{}", entropy.exp());
        let same = conditional(&[0.0; 5], 3.0);
        assert!(same.iter().all(|p| (p - 0.2).abs() < 1e-12), "points at one place share evenly");
    }
}
