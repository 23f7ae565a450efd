//! k-means in binary64: k-means++ starts, Lloyd iterations, the best of several restarts.
//!
//! May use: `error`, `rng`, `cpu::dgemm`, `linalg`. The same bits for any number of threads: sums run
//! over fixed blocks of cells, added in order.

use super::linalg::dot;
use crate::cpu::dgemm::{Mat, gemm};
use crate::error::{Error, Result};
use crate::rng::{Rng, Stream, stream};
use rayon::prelude::*;

/// Cells per block.
const PANEL: usize = 512;

/// A clustering.
#[derive(Clone, Debug)]
pub struct KMeans {
    /// `[k, d]`
    pub centroids: Vec<f64>,
    /// `[n]`, the nearest centroid (ties: the lowest).
    pub assignment: Vec<u32>,
    /// Sum of squared distances to the nearest centroid.
    pub inertia: f64,
}

/// Clusters `x` `[n, d]` into `k` groups: the best of `restarts` runs of at most `iterations` Lloyd
/// steps from k-means++ starts (Arthur & Vassilvitskii 2007). An empty cluster keeps its centroid.
///
/// # Errors
/// `Error::Argument` unless `1 <= k <= n` and `x` is finite and `[n, d]`.
pub fn kmeans(x: &[f64], d: usize, k: usize, restarts: usize, iterations: usize, seed: u64) -> Result<KMeans> {
    let n = x.len().checked_div(d).unwrap_or(0);
    if k == 0 || k > n || x.len() != n * d {
        return Err(Error::Argument { op: "kmeans", what: format!("{k} clusters of {n} cells in {d} dimensions") });
    }
    let squares: Vec<f64> = x.chunks_exact(d).map(|row| dot(row, row)).collect();
    if !squares.iter().all(|s| s.is_finite()) {
        return Err(Error::Argument { op: "kmeans", what: "coordinates that are not finite".into() });
    }
    let mut best: Option<KMeans> = None;
    for restart in 0..restarts.max(1) {
        let mut rng = Stream::new(seed, stream::CLUSTER).part(restart as u32).rng();
        let mut centroids = plus_plus(x, d, k, &squares, &mut rng);
        let mut now = assign(x, d, &squares, &centroids);
        for _ in 0..iterations {
            update(x, d, &now.0, &mut centroids);
            let next = assign(x, d, &squares, &centroids);
            let same = next.0 == now.0;
            now = next;
            if same {
                break;
            }
        }
        if best.as_ref().is_none_or(|b| now.1 < b.inertia) {
            best = Some(KMeans { centroids, assignment: now.0, inertia: now.1 });
        }
    }
    best.ok_or_else(|| Error::Argument { op: "kmeans", what: "no run".into() })
}

/// Starting centroids, each drawn with probability proportional to the squared distance to those
/// already drawn.
fn plus_plus(x: &[f64], d: usize, k: usize, squares: &[f64], rng: &mut Rng) -> Vec<f64> {
    let n = squares.len();
    let mut centroids = Vec::with_capacity(k * d);
    let mut nearest = vec![f64::INFINITY; n];
    let mut pick = rng.below(n as u32) as usize;
    for _ in 0..k {
        let centre = &x[pick * d..(pick + 1) * d];
        centroids.extend_from_slice(centre);
        nearest.par_chunks_mut(PANEL).zip(x.par_chunks(PANEL * d)).for_each(|(nearest, rows)| {
            for (best, row) in nearest.iter_mut().zip(rows.chunks_exact(d)) {
                let far: f64 = row.iter().zip(centre).map(|(a, b)| (a - b) * (a - b)).sum();
                *best = best.min(far);
            }
        });
        let total: f64 = nearest.iter().sum();
        let mut left = rng.uniform53() * total;
        // All cells on a centroid: any cell will do.
        pick = if total > 0.0 { n - 1 } else { rng.below(n as u32) as usize };
        for (i, &v) in nearest.iter().enumerate() {
            if v > 0.0 && left < v {
                pick = i;
                break;
            }
            left -= v;
        }
    }
    centroids
}

/// The nearest centroid of every cell, and the sum of squared distances.
fn assign(x: &[f64], d: usize, squares: &[f64], centroids: &[f64]) -> (Vec<u32>, f64) {
    let k = centroids.len() / d;
    let sizes: Vec<f64> = centroids.chunks_exact(d).map(|c| dot(c, c)).collect();
    let parts: Vec<(Vec<u32>, f64)> = x
        .par_chunks(PANEL * d)
        .zip(squares.par_chunks(PANEL))
        .map(|(rows, squares)| {
            let m = squares.len();
            let mut products = vec![0.0; m * k];
            gemm(-2.0, Mat::new(rows, m, d), Mat::new(centroids, k, d).t(), 0.0, &mut products, k);
            let mut inertia = 0.0;
            let nearest = products
                .chunks_exact(k)
                .zip(squares)
                .map(|(row, square)| {
                    let mut best = (0, f64::INFINITY);
                    for (c, (p, s)) in row.iter().zip(&sizes).enumerate() {
                        if p + s < best.1 {
                            best = (c as u32, p + s);
                        }
                    }
                    inertia += (square + best.1).max(0.0);
                    best.0
                })
                .collect();
            (nearest, inertia)
        })
        .collect();
    let inertia = parts.iter().map(|p| p.1).sum();
    (parts.into_iter().flat_map(|p| p.0).collect(), inertia)
}

/// Means of the clusters.
fn update(x: &[f64], d: usize, assignment: &[u32], centroids: &mut [f64]) {
    let k = centroids.len() / d;
    let mut sums = vec![0.0; k * d];
    let mut counts = vec![0u32; k];
    for (row, &c) in x.chunks_exact(d).zip(assignment) {
        counts[c as usize] += 1;
        super::linalg::axpy(1.0, row, &mut sums[c as usize * d..][..d]);
    }
    for ((centre, sum), &count) in centroids.chunks_exact_mut(d).zip(sums.chunks_exact(d)).zip(&counts) {
        if count > 0 {
            centre.iter_mut().zip(sum).for_each(|(c, s)| *c = s / f64::from(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separated_clusters_are_found_on_any_number_of_threads() {
        let mut rng = Stream::new(1, stream::TEST).rng();
        let x: Vec<f64> = (0..3000).map(|i| (i / 3 % 5) as f64 * 10.0 + rng.uniform53()).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| kmeans(&x, 3, 5, 10, 25, 3).unwrap())
        };
        let (found, other) = (run(1), run(3));
        assert_eq!(found.centroids, other.centroids);
        assert_eq!(found.inertia, other.inertia);
        for i in 0..1000 {
            assert_eq!(found.assignment[i], found.assignment[i % 5]);
        }
        assert!(found.inertia < 300.0, "{}", found.inertia);
    }

    #[test]
    fn equal_cells_and_wrong_sizes() {
        let same = kmeans(&[1.0; 12], 2, 3, 2, 5, 0).unwrap();
        assert_eq!(same.inertia, 0.0);
        assert!(kmeans(&[1.0; 4], 2, 3, 1, 5, 0).is_err());
        assert!(kmeans(&[f64::NAN; 4], 2, 1, 1, 5, 0).is_err());
    }
}
