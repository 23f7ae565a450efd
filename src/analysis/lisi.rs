//! Local inverse Simpson index: how many batches, or labels, a cell effectively has around it
//! (Korsunsky et al. 2019, doi:10.1038/s41592-019-0619-0). May use: error, metrics.
//!
//! A Gaussian-like kernel `exp(-beta d)` over the neighbours of a cell, its beta found so that the
//! weights have a given perplexity, gives each label a probability p; LISI is `1 / sum p^2`.
#![forbid(unsafe_code)]

use super::metrics::labels::{Groups, check_length, check_matrix, check_neighbors};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// The bisection stops at this difference in entropy (nats) or after [`TRIES`].
const TOLERANCE: f64 = 1e-5;
const TRIES: usize = 50;

/// LISI of each cell in an embedding, over its `3 perplexity` nearest other cells.
///
/// That is the count of harmonypy 2; R's lisi counts the cell itself among them and takes one less,
/// which moves the index by about 0.001.
///
/// # Shapes
/// - `x` `[cells, dims]`, row-major - `codes` `[cells]`: batch or label - returns `[cells]`, from 1 to
///   the number of distinct codes
///
/// # Errors
/// `Error::Shape` if sizes disagree; `Error::Argument` for a coordinate that is not finite, a
/// perplexity below 1, or fewer than two cells.
pub fn lisi(x: &[f64], dims: usize, codes: &[u32], perplexity: f64) -> Result<Vec<f64>> {
    let n = check_matrix("lisi", x, dims)?;
    check_length("lisi", "codes", n, codes.len())?;
    check_perplexity(perplexity)?;
    let (indices, distances) = exact_neighbors(x, dims, (3.0 * perplexity) as usize)?;
    lisi_knn(&indices, &distances, indices.len() / n, codes, perplexity)
}

/// LISI of each cell from given neighbours (`indices` and `distances` are `[cells, k]`; a cell among
/// its own neighbours is left out). NaN where no neighbour has any weight.
pub fn lisi_knn(indices: &[u32], distances: &[f64], k: usize, codes: &[u32], perplexity: f64) -> Result<Vec<f64>> {
    check_neighbors("lisi", codes.len(), indices, k)?;
    check_length("lisi", "distances", indices.len(), distances.len())?;
    check_perplexity(perplexity)?;
    let groups = Groups::new(codes);
    let cell = |i: usize| {
        let around = i * k..(i + 1) * k;
        let neighbours = indices[around.clone()].iter().zip(&distances[around]);
        let (of, d): (Vec<usize>, Vec<f64>) =
            neighbours.filter(|&(&j, _)| j as usize != i).map(|(&j, &d)| (groups.of[j as usize], d)).unzip();
        let mut share = vec![0.0; groups.len()];
        for (g, p) in of.into_iter().zip(weights(&d, perplexity)) {
            share[g] += p;
        }
        1.0 / share.iter().map(|p| p * p).sum::<f64>()
    };
    let index = (0..codes.len()).into_par_iter().map(cell).map(|v| if v.is_finite() { v } else { f64::NAN });
    Ok(index.collect())
}

/// Median LISI of the batch, scaled so that 0 is apart and 1 fully mixed; perplexity `k / 3`.
pub fn ilisi(indices: &[u32], distances: &[f64], k: usize, batch: &[u32]) -> Result<f64> {
    let (median, batches) = median_lisi(indices, distances, k, batch)?;
    Ok((median - 1.0) / (batches - 1.0))
}

/// Median LISI of the label, scaled so that 1 is one label around every cell and 0 all labels mixed.
pub fn clisi(indices: &[u32], distances: &[f64], k: usize, labels: &[u32]) -> Result<f64> {
    let (median, count) = median_lisi(indices, distances, k, labels)?;
    Ok((count - median) / (count - 1.0))
}

fn median_lisi(indices: &[u32], distances: &[f64], k: usize, codes: &[u32]) -> Result<(f64, f64)> {
    let index = lisi_knn(indices, distances, k, codes, (k / 3).max(1) as f64)?;
    Ok((median(index), Groups::new(codes).len() as f64))
}

/// Median of the values that are numbers; NaN of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|v| !v.is_nan());
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

fn check_perplexity(perplexity: f64) -> Result<()> {
    if perplexity >= 1.0 && perplexity.is_finite() {
        return Ok(());
    }
    Err(Error::Argument { op: "lisi", what: format!("perplexity {perplexity} is not at least 1") })
}

/// Weights `exp(-beta d)` normalised, beta found by doubling and bisection from 1.
fn weights(d: &[f64], perplexity: f64) -> Vec<f64> {
    let target = perplexity.ln();
    let (mut beta, mut low, mut high) = (1.0, f64::NEG_INFINITY, f64::INFINITY);
    let (mut entropy, mut p) = kernel(d, beta);
    for _ in 0..TRIES {
        let excess = entropy - target;
        if excess.abs() < TOLERANCE {
            break;
        }
        if excess > 0.0 {
            low = beta;
            beta = if high.is_infinite() { beta * 2.0 } else { (beta + high) / 2.0 };
        } else {
            high = beta;
            beta = if low.is_infinite() { beta / 2.0 } else { (beta + low) / 2.0 };
        }
        (entropy, p) = kernel(d, beta);
    }
    p
}

/// Entropy of the weights at one beta, and the weights; both 0 if all of them underflow.
fn kernel(d: &[f64], beta: f64) -> (f64, Vec<f64>) {
    let mut p: Vec<f64> = d.iter().map(|&d| (-d * beta).exp()).collect();
    let sum: f64 = p.iter().sum();
    if sum == 0.0 {
        return (0.0, p);
    }
    let moment: f64 = d.iter().zip(&p).map(|(d, p)| d * p).sum();
    p.iter_mut().for_each(|p| *p /= sum);
    (sum.ln() + beta * moment / sum, p)
}

/// The `k` nearest other cells of each cell by euclidean distance, nearest first, ties by index: all
/// pairs are looked at. Fewer than `k` if there are not that many.
///
/// Returns `[cells, k]` indices and distances.
pub fn exact_neighbors(x: &[f64], dims: usize, k: usize) -> Result<(Vec<u32>, Vec<f64>)> {
    let n = check_matrix("neighbours", x, dims)?;
    if n < 2 || k == 0 {
        return Err(Error::Argument { op: "neighbours", what: "needs at least two cells and one neighbour".into() });
    }
    let k = k.min(n - 1);
    let row = |i: usize| &x[i * dims..(i + 1) * dims];
    let of = |i: usize| {
        let squared = |j: usize| row(i).iter().zip(row(j)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let mut others: Vec<(f64, u32)> = (0..n).filter(|&j| j != i).map(|j| (squared(j), j as u32)).collect();
        let nearer = |a: &(f64, u32), b: &(f64, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if k < others.len() {
            others.select_nth_unstable_by(k - 1, nearer);
            others.truncate(k);
        }
        others.sort_unstable_by(nearer);
        others
    };
    let found: Vec<Vec<(f64, u32)>> = (0..n).into_par_iter().map(of).collect();
    Ok(found.into_iter().flatten().map(|(d, j)| (j, d.sqrt())).unzip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: usize) -> Vec<f64> {
        (0..n).map(|i| i as f64 + 0.01 * ((i * 37) % 11) as f64).collect()
    }

    #[test]
    fn one_label_around_is_one_and_even_mixing_the_number_of_labels() {
        let x = line(200);
        let apart: Vec<u32> = (0..200).map(|i| u32::from(i >= 100)).collect();
        let mixed: Vec<u32> = (0..200).map(|i| i % 2).collect();
        assert!((lisi(&x, 1, &apart, 10.0).unwrap()[0] - 1.0).abs() < 1e-12);
        assert!(median(lisi(&x, 1, &mixed, 30.0).unwrap()) > 1.98);
    }

    #[test]
    fn the_weights_have_the_perplexity_asked_for() {
        let d: Vec<f64> = (1..90).map(|i| 3.0 * f64::from(i).sqrt()).collect();
        let p = weights(&d, 30.0);
        let entropy: f64 = -p.iter().map(|p| p * p.ln()).sum::<f64>();
        assert!((entropy - 30f64.ln()).abs() < 2e-5, "{entropy}");
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn neighbours_are_sorted_with_ties_by_index() {
        let (indices, distances) = exact_neighbors(&[0.0, 1.0, -1.0, 5.0], 1, 9).unwrap();
        assert_eq!(&indices[..3], &[1, 2, 3]);
        assert_eq!(&distances[..3], &[1.0, 1.0, 5.0]);
        assert!(exact_neighbors(&[0.0], 1, 1).is_err());
    }

    #[test]
    fn threads_change_no_bit() {
        let (x, codes) = (line(120), (0..120).map(|i| i * 7 % 3).collect::<Vec<u32>>());
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| lisi(&x, 2, &codes[..60], 5.0).unwrap().iter().map(|v| v.to_bits()).collect::<Vec<_>>())
        };
        assert_eq!(run(1), run(5));
    }

    #[test]
    fn copies_of_one_point_and_bad_perplexity() {
        assert!(lisi(&[1.0; 20], 1, &[0; 20], 3.0).unwrap().iter().all(|&v| (v - 1.0).abs() < 1e-12));
        assert!(lisi(&line(20), 1, &[0; 20], 0.5).is_err());
    }
}
