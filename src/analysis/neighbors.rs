//! Exact nearest neighbours, and the fuzzy graph that UMAP and `scanpy.pp.neighbors` build from them.
//!
//! May use: `error`, `data` (Csr), `cpu::dgemm`, `linalg`. Distances are Euclidean. Candidates come
//! from a matrix product with a bound on its rounding error; the order is then decided on distances
//! that are summed from differences, so it is exact up to those sums. Ties go to the lower index. The
//! same bits for any number of threads.
#![forbid(unsafe_code)]

use super::linalg::{dot, exp};
use crate::cpu::dgemm::{Mat, gemm};
use crate::data::Csr;
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Queries per task.
const PANEL: usize = 32;

/// The `k` nearest reference points of each query, nearest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbors {
    /// Neighbours of each point.
    pub k: usize,
    /// `[n, k]`, rows of the reference.
    pub indices: Vec<u32>,
    /// `[n, k]`, Euclidean.
    pub distances: Vec<f64>,
}

impl Neighbors {
    /// Indices and distances of one point.
    pub fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let range = i * self.k..(i + 1) * self.k;
        (&self.indices[range.clone()], &self.distances[range])
    }
}

/// The neighbours of each row of `x` `[n, d]` among the other rows; a row is not its own neighbour.
///
/// # Errors
/// As [`knn_query`]; `k` must be below n.
pub fn knn(x: &[f64], d: usize, k: usize) -> Result<Neighbors> {
    search(x, x, d, k, true)
}

/// The neighbours of each row of `query` `[m, d]` among the rows of `reference` `[n, d]`.
///
/// # Errors
/// `Error::Argument` if `k` is 0 or above n, or a coordinate is not finite; `Error::Shape` if the
/// values do not form rows of d.
pub fn knn_query(query: &[f64], reference: &[f64], d: usize, k: usize) -> Result<Neighbors> {
    search(query, reference, d, k, false)
}

fn search(query: &[f64], reference: &[f64], d: usize, k: usize, skip_self: bool) -> Result<Neighbors> {
    if d == 0 || !query.len().is_multiple_of(d) || !reference.len().is_multiple_of(d) {
        return Err(Error::Shape {
            op: "knn",
            expected: format!("rows of {d} values"),
            found: format!("{} and {}", query.len(), reference.len()),
        });
    }
    let n = reference.len() / d;
    let most = n - usize::from(skip_self && n > 0);
    if k == 0 || k > most {
        return Err(Error::Argument { op: "knn", what: format!("{k} neighbours of {most} points") });
    }
    let squares = |x: &[f64]| -> Vec<f64> { x.par_chunks_exact(d).map(|row| dot(row, row)).collect() };
    let (own, other) = (squares(query), squares(reference));
    if !own.iter().chain(&other).all(|v| v.is_finite()) {
        return Err(Error::Argument { op: "knn", what: "coordinates that are not finite".into() });
    }
    let largest = other.iter().copied().fold(0.0, f64::max);
    let parts: Vec<(Vec<u32>, Vec<f64>)> = query
        .par_chunks(PANEL * d)
        .zip(own.par_chunks(PANEL))
        .enumerate()
        .map(|(panel, (rows, own))| {
            let m = own.len();
            let mut rough = vec![0.0; m * n];
            gemm(-2.0, Mat::new(rows, m, d), Mat::new(reference, n, d).t(), 0.0, &mut rough, n);
            let (mut indices, mut distances) = (Vec::with_capacity(m * k), Vec::with_capacity(m * k));
            let mut scratch = Vec::with_capacity(n);
            for (q, row) in rough.chunks_exact_mut(n).enumerate() {
                row.iter_mut().zip(&other).for_each(|(v, s)| *v += own[q] + s);
                let this = skip_self.then_some(panel * PANEL + q);
                if let Some(this) = this {
                    row[this] = f64::INFINITY;
                }
                scratch.clear();
                scratch.extend_from_slice(row);
                let (_, &mut border, _) = scratch.select_nth_unstable_by(k - 1, f64::total_cmp);
                // Both sides of the comparison may be off by this much.
                let slack = 8.0 * (d + 4) as f64 * f64::EPSILON * (own[q] + largest);
                let point = &rows[q * d..(q + 1) * d];
                let mut near: Vec<(f64, u32)> = row
                    .iter()
                    .enumerate()
                    .filter(|&(j, &v)| v <= border + slack && Some(j) != this)
                    .map(|(j, _)| {
                        let apart = point.iter().zip(&reference[j * d..(j + 1) * d]);
                        (apart.map(|(a, b)| (a - b) * (a - b)).sum::<f64>(), j as u32)
                    })
                    .collect();
                near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                for &(square, j) in &near[..k] {
                    indices.push(j);
                    distances.push(square.sqrt());
                }
            }
            (indices, distances)
        })
        .collect();
    let mut found = Neighbors { k, indices: Vec::new(), distances: Vec::new() };
    for (indices, distances) in parts {
        found.indices.extend(indices);
        found.distances.extend(distances);
    }
    Ok(found)
}

/// Local scale of one point in the fuzzy graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalScale {
    /// Distance to the nearest neighbour that is not at the same place.
    pub rho: f64,
    /// Width of the membership's decay beyond rho.
    pub sigma: f64,
}

/// The scales of all points (McInnes et al. 2018, arXiv:1802.03426, algorithm 3): sigma such that
/// `sum over neighbours of exp(-max(0, d - rho)/sigma) = log2(k + 1)`, by bisection to 1e-5.
///
/// The published code counts the point itself among its `k + 1` neighbours: it does not enter the
/// sum, but the target and the mean distances that bound sigma from below (by 1e-3 of them).
pub fn local_scales(neighbors: &Neighbors) -> Vec<LocalScale> {
    let counted = (neighbors.k + 1) as f64;
    let target = counted.log2();
    let overall = neighbors.distances.iter().sum::<f64>()
        / (counted * (neighbors.distances.len() / neighbors.k.max(1)).max(1) as f64);
    let scale = |row: &[f64]| {
        let rho = row.iter().copied().find(|&v| v > 0.0).unwrap_or(0.0);
        let (mut low, mut high, mut sigma) = (0.0, f64::INFINITY, 1.0);
        for _ in 0..64 {
            let sum: f64 = row.iter().map(|&v| if v > rho { exp((rho - v) / sigma) } else { 1.0 }).sum();
            if (sum - target).abs() < 1e-5 {
                break;
            }
            if sum > target {
                high = sigma;
            } else {
                low = sigma;
            }
            sigma = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * sigma };
        }
        let floor = if rho > 0.0 { row.iter().sum::<f64>() / counted } else { overall };
        LocalScale { rho, sigma: sigma.max(1e-3 * floor) }
    };
    neighbors.distances.par_chunks_exact(neighbors.k.max(1)).map(scale).collect()
}

/// The symmetric fuzzy graph `[n, n]` of `scanpy.pp.neighbors` (method umap): directed memberships
/// `exp(-max(0, d - rho_i)/sigma_i)`, joined by the probabilistic union `a + b - a b`.
///
/// scanpy's `n_neighbors` counts the cell itself: for its result give `knn(x, d, n_neighbors - 1)`.
///
/// # Errors
/// `Error::Argument` if the neighbours are not those of the same n points.
pub fn connectivities(neighbors: &Neighbors) -> Result<Csr> {
    let n = neighbors.indices.len().checked_div(neighbors.k).unwrap_or(0);
    if neighbors.indices.iter().any(|&j| j as usize >= n) || neighbors.distances.len() != neighbors.indices.len() {
        return Err(Error::Argument { op: "connectivities", what: "neighbours beyond the points".into() });
    }
    // Every pair at both of its places: (row, column, own membership, the other's).
    let mut pairs: Vec<(u32, u32, f64, f64)> = Vec::with_capacity(2 * neighbors.indices.len());
    for (i, scale) in local_scales(neighbors).iter().enumerate() {
        let (indices, distances) = neighbors.row(i);
        for (&j, &far) in indices.iter().zip(distances) {
            let beyond = far - scale.rho;
            let member = if beyond <= 0.0 || scale.sigma == 0.0 { 1.0 } else { exp(-beyond / scale.sigma) };
            if member > 0.0 && j as usize != i {
                pairs.push((i as u32, j, member, 0.0));
                pairs.push((j, i as u32, 0.0, member));
            }
        }
    }
    pairs.par_sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
    let mut indptr = vec![0; n + 1];
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    for same in pairs.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let (a, b) = same.iter().fold((0.0f64, 0.0f64), |(a, b), p| (a.max(p.2), b.max(p.3)));
        columns.push(same[0].1);
        values.push((a + b - a * b) as f32);
        indptr[same[0].0 as usize + 1] = columns.len();
    }
    for i in 1..=n {
        indptr[i] = indptr[i].max(indptr[i - 1]);
    }
    Csr::new(n, n, indptr, columns, values)
}

/// For each query the label that most of its `k` neighbours have (ties: the one whose neighbours are
/// nearest in sum, then the lowest), and its share of them.
pub fn vote(neighbors: &Neighbors, labels: &[u32]) -> Vec<(u32, f64)> {
    let one = |(indices, distances): (&[u32], &[f64])| {
        let mut votes: Vec<(u32, usize, f64)> = Vec::new();
        for (&j, &far) in indices.iter().zip(distances) {
            let label = labels[j as usize];
            match votes.iter_mut().find(|v| v.0 == label) {
                Some(v) => (v.1, v.2) = (v.1 + 1, v.2 + far),
                None => votes.push((label, 1, far)),
            }
        }
        votes.sort_by(|a, b| b.1.cmp(&a.1).then(a.2.total_cmp(&b.2)).then(a.0.cmp(&b.0)));
        (votes[0].0, votes[0].1 as f64 / indices.len() as f64)
    };
    (0..neighbors.indices.len() / neighbors.k).map(|i| one(neighbors.row(i))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Stream, stream};

    #[test]
    fn neighbours_equal_a_full_sort_with_ties_by_index() {
        let mut rng = Stream::new(5, stream::TEST).rng();
        // A coarse grid far from the origin: many ties, and cancellation in the product form.
        let (n, d, k) = (150, 3, 9);
        let x: Vec<f64> = (0..n * d).map(|_| 1e6 + f64::from(rng.below(4))).collect();
        let found = knn(&x, d, k).unwrap();
        for i in 0..n {
            let mut all: Vec<(f64, u32)> = (0..n)
                .filter(|&j| j != i)
                .map(|j| ((0..d).map(|c| (x[i * d + c] - x[j * d + c]).powi(2)).sum::<f64>(), j as u32))
                .collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let (indices, distances) = found.row(i);
            assert_eq!(indices, all[..k].iter().map(|p| p.1).collect::<Vec<_>>());
            assert_eq!(distances, all[..k].iter().map(|p| p.0.sqrt()).collect::<Vec<_>>());
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(|| knn(&x, d, k).unwrap()), found);
        let itself = knn_query(&x[..3 * d], &x, d, 1).unwrap();
        assert!(itself.distances.iter().all(|&v| v == 0.0));
        assert!(knn(&x, d, n).is_err() && knn_query(&x, &x, d, n).is_ok());
        assert!(knn(&[f64::NAN, 1.0], 1, 1).is_err() && knn(&[], 1, 1).is_err());
    }

    #[test]
    fn memberships_sum_to_the_target_and_the_graph_is_symmetric() {
        let mut rng = Stream::new(6, stream::TEST).rng();
        let x: Vec<f64> = (0..400).map(|_| rng.uniform53()).collect();
        let found = knn(&x, 4, 9).unwrap();
        for (i, s) in local_scales(&found).iter().enumerate() {
            let sum: f64 = found.row(i).1.iter().map(|&v| (-(v - s.rho).max(0.0) / s.sigma).exp()).sum();
            assert!((sum - 10f64.log2()).abs() < 1e-5, "{sum}");
        }
        let graph = connectivities(&found).unwrap();
        let turned = graph.transpose();
        assert_eq!((graph.indices(), graph.values()), (turned.indices(), turned.values()));
        assert!(graph.values().iter().all(|&v| v > 0.0 && v <= 1.0));
    }

    #[test]
    fn the_vote_prefers_the_nearer_on_ties() {
        let found = Neighbors { k: 4, indices: vec![0, 1, 2, 3], distances: vec![1.0, 2.0, 3.0, 3.5] };
        assert_eq!(vote(&found, &[7, 3, 3, 7]), [(7, 0.5)]);
        assert_eq!(vote(&found, &[7, 3, 3, 3]), [(3, 0.75)]);
    }
}
