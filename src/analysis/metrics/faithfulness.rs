//! How well a plane keeps the neighbourhoods of the data it shows. May use: error, labels.

use super::labels::check_matrix;
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Neighbourhoods of a plane `[n, 2]` (or any embedding) against those of the data `[n, d]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faithfulness {
    /// Trustworthiness (Venna and Kaski 2001): 1 less a penalty for neighbours in the embedding that
    /// are none in the data, by how far down the list of the data they are; 1 is perfect.
    pub trustworthiness: f64,
    /// Mean share of a point's `k` nearest neighbours in the data that are so in the embedding.
    pub kept: f64,
}

impl Faithfulness {
    /// Over the `k` nearest neighbours of each point.
    ///
    /// # Errors
    /// `Error::Shape` if sizes disagree; `Error::Argument` for a coordinate that is not finite, or
    /// unless `0 < k < n / 2`.
    pub fn new(x: &[f64], dims: usize, embedding: &[f64], embedding_dims: usize, k: usize) -> Result<Faithfulness> {
        const OP: &str = "trustworthiness";
        let n = check_matrix(OP, x, dims)?;
        let m = check_matrix(OP, embedding, embedding_dims)?;
        if m != n {
            return Err(Error::Shape { op: OP, expected: format!("{n} points"), found: m.to_string() });
        }
        if k == 0 || 2 * k >= n {
            return Err(Error::Argument { op: OP, what: format!("{k} neighbours of {n} points") });
        }
        let point = |i: usize| {
            let (far, near) = (squares(x, dims, i), squares(embedding, embedding_dims, i));
            let (order, shown) = (nearest(&far, i, k), nearest(&near, i, k));
            let rank = |j: usize| {
                let before = |&l: &usize| l != i && (far[l], l) < (far[j], j);
                1 + (0..n).filter(before).count()
            };
            let strangers = shown.iter().filter(|j| !order.contains(j));
            let penalty: usize = strangers.clone().map(|&j| rank(j) - k).sum();
            (penalty, k - strangers.count())
        };
        let points: Vec<(usize, usize)> = (0..n).into_par_iter().map(point).collect();
        let (penalty, kept) = points.iter().fold((0, 0), |(p, s), point| (p + point.0, s + point.1));
        let (n, k) = (n as f64, k as f64);
        Ok(Faithfulness {
            trustworthiness: 1.0 - 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0)) * penalty as f64,
            kept: kept as f64 / (n * k),
        })
    }
}

/// Squared distances of all points from point `i`.
fn squares(x: &[f64], dims: usize, i: usize) -> Vec<f64> {
    let own = &x[i * dims..(i + 1) * dims];
    x.chunks_exact(dims).map(|row| row.iter().zip(own).map(|(a, b)| (a - b) * (a - b)).sum()).collect()
}

/// The `k` nearest to point `i`, ties by index.
fn nearest(squares: &[f64], i: usize, k: usize) -> Vec<usize> {
    let mut others: Vec<usize> = (0..squares.len()).filter(|&j| j != i).collect();
    let by = |a: &usize, b: &usize| squares[*a].total_cmp(&squares[*b]).then(a.cmp(b));
    others.select_nth_unstable_by(k - 1, by);
    others.truncate(k);
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_perfect_and_a_swap_costs_its_ranks() {
        let x: Vec<f64> = (0..10).map(|i| f64::from(i * i)).collect();
        let same = Faithfulness::new(&x, 1, &x, 1, 3).unwrap();
        assert_eq!((same.trustworthiness, same.kept), (1.0, 1.0));
        // Point 0 goes to the other end: with k = 1 its neighbour is then 9, rank 9 instead of 1; that
        // of 1 becomes 2, rank 2 (1 and 0 are 1 apart, 1 and 2 are 3); the others keep theirs.
        let mut moved = x.clone();
        moved[0] = 99.0;
        let found = Faithfulness::new(&x, 1, &moved, 1, 1).unwrap();
        let penalty = 8.0 + 1.0;
        assert!((found.trustworthiness - (1.0 - 2.0 / (10.0 * 16.0) * penalty)).abs() < 1e-12, "{found:?}");
        assert!((found.kept - 0.8).abs() < 1e-12, "{found:?}");
        assert!(Faithfulness::new(&x, 1, &x, 1, 5).is_err());
    }
}
