//! How compact groups of points are, and how far batches overlap within them. May use: error, labels.
//!
//! All distances are computed, n^2 of them, row by row and never stored.

use super::labels::{Groups, check_length, check_matrix};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Distance between two cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// Root of the sum of squared differences.
    Euclidean,
    /// One less the cosine of the angle.
    Cosine,
}

impl Distance {
    fn between(self, x: &[f64], y: &[f64]) -> f64 {
        match self {
            Distance::Euclidean => x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt(),
            Distance::Cosine => {
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(p, q)| p * q).sum::<f64>();
                (1.0 - dot(x, y) / (dot(x, x) * dot(y, y)).sqrt()).clamp(0.0, 2.0)
            }
        }
    }
}

/// What a cell's own group is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// The nearest other group, by mean distance: the usual silhouette.
    Nearest,
    /// All cells of other groups together: BRAS (Rautenstrauch and Ohler 2025).
    Mean,
}

/// Silhouette of each cell (Rousseeuw 1987): `(b - a) / max(a, b)` with a the mean distance to the
/// other cells of its group and b that to `others`; 0 for a cell alone in its group.
///
/// # Errors
/// `Error::Shape` if sizes disagree; `Error::Argument` for a coordinate that is not finite or fewer
/// than two groups.
pub fn silhouette_samples(
    x: &[f64],
    dims: usize,
    labels: &[u32],
    distance: Distance,
    others: Others,
) -> Result<Vec<f64>> {
    let n = check_matrix("silhouette", x, dims)?;
    check_length("silhouette", "labels", n, labels.len())?;
    let groups = Groups::new(labels);
    check_groups("silhouette", &groups)?;
    let row = |i: usize| &x[i * dims..(i + 1) * dims];
    let cell = |i: usize| {
        let mut sums = vec![0.0; groups.len()];
        for j in 0..n {
            sums[groups.of[j]] += distance.between(row(i), row(j));
        }
        let own = groups.of[i];
        if groups.sizes[own] == 1 {
            return 0.0;
        }
        let a = sums[own] / (groups.sizes[own] - 1) as f64;
        let rest = (0..groups.len()).filter(|&g| g != own);
        let b = match others {
            Others::Nearest => rest.map(|g| sums[g] / groups.sizes[g] as f64).fold(f64::INFINITY, f64::min),
            Others::Mean => rest.map(|g| sums[g]).sum::<f64>() / (n - groups.sizes[own]) as f64,
        };
        let s = (b - a) / a.max(b);
        if s.is_nan() { 0.0 } else { s }
    };
    Ok((0..n).into_par_iter().map(cell).collect())
}

fn check_groups(op: &'static str, groups: &Groups) -> Result<()> {
    if groups.len() >= 2 {
        return Ok(());
    }
    Err(Error::Argument { op, what: "needs at least two groups of cells".into() })
}

/// Mean silhouette, in [-1, 1].
pub fn silhouette(x: &[f64], dims: usize, labels: &[u32]) -> Result<f64> {
    Ok(mean(&silhouette_samples(x, dims, labels, Distance::Euclidean, Others::Nearest)?))
}

/// Mean silhouette moved to [0, 1], as integration benchmarks report it.
pub fn silhouette_label(x: &[f64], dims: usize, labels: &[u32]) -> Result<f64> {
    Ok((silhouette(x, dims, labels)? + 1.0) / 2.0)
}

/// Overlap of batches within each label (Luecken et al. 2022): mean over labels of the mean of
/// `1 - |silhouette of the batch|`; 1 is full overlap.
///
/// Labels found in one batch only, or with one cell per batch, are left out; NaN if none is left.
pub fn silhouette_batch(x: &[f64], dims: usize, labels: &[u32], batch: &[u32]) -> Result<f64> {
    batch_overlap(x, dims, labels, batch, Distance::Euclidean, Others::Nearest)
}

/// Batch removal adapted silhouette: [`silhouette_batch`] with cosine distances, against all other
/// batches together (Rautenstrauch and Ohler 2025).
pub fn bras(x: &[f64], dims: usize, labels: &[u32], batch: &[u32]) -> Result<f64> {
    batch_overlap(x, dims, labels, batch, Distance::Cosine, Others::Mean)
}

fn batch_overlap(
    x: &[f64],
    dims: usize,
    labels: &[u32],
    batch: &[u32],
    distance: Distance,
    others: Others,
) -> Result<f64> {
    let n = check_matrix("silhouette of batches", x, dims)?;
    check_length("silhouette of batches", "labels", n, labels.len())?;
    check_length("silhouette of batches", "batches", n, batch.len())?;
    let mut means = Vec::new();
    for members in Groups::new(labels).members() {
        let sub_batch: Vec<u32> = members.iter().map(|&i| batch[i]).collect();
        let batches = Groups::new(&sub_batch).len();
        if batches == 1 || batches == members.len() {
            continue;
        }
        let sub_x: Vec<f64> = members.iter().flat_map(|&i| x[i * dims..(i + 1) * dims].iter().copied()).collect();
        let mut s = silhouette_samples(&sub_x, dims, &sub_batch, distance, others)?;
        s.iter_mut().for_each(|v| *v = 1.0 - v.abs());
        means.push(mean(&s));
    }
    Ok(mean(&means))
}

/// Mean over the isolated labels (those found in the fewest batches) of the silhouette of their
/// cells against all other labels, moved to [0, 1].
pub fn isolated_labels(x: &[f64], dims: usize, labels: &[u32], batch: &[u32]) -> Result<f64> {
    check_length("isolated labels", "batches", labels.len(), batch.len())?;
    let s = silhouette_samples(x, dims, labels, Distance::Euclidean, Others::Nearest)?;
    let members = Groups::new(labels).members();
    let batches = |cells: &[usize]| Groups::new(&cells.iter().map(|&i| batch[i]).collect::<Vec<_>>()).len();
    let counts: Vec<usize> = members.iter().map(|cells| batches(cells)).collect();
    let fewest = counts.iter().min().copied().unwrap_or(0);
    let score = |cells: &Vec<usize>| cells.iter().map(|&i| (s[i] + 1.0) / 2.0).sum::<f64>() / cells.len() as f64;
    let isolated = members.iter().zip(&counts).filter(|&(_, &c)| c == fewest);
    Ok(mean(&isolated.map(|(cells, _)| score(cells)).collect::<Vec<_>>()))
}

/// Davies-Bouldin index: mean over groups of the worst `(s_i + s_j) / d_ij`, with s the mean distance
/// to the centroid and d the distance of centroids; lower is better.
pub fn davies_bouldin(x: &[f64], dims: usize, labels: &[u32]) -> Result<f64> {
    let (groups, centroids) = centroids("davies-bouldin", x, dims, labels)?;
    let centroid = |g: usize| &centroids[g * dims..(g + 1) * dims];
    let mut spread = vec![0.0; groups.len()];
    for (point, &g) in x.chunks_exact(dims).zip(&groups.of) {
        spread[g] += Distance::Euclidean.between(point, centroid(g));
    }
    spread.iter_mut().zip(&groups.sizes).for_each(|(s, &n)| *s /= n as f64);
    let worst = |i: usize| {
        let ratio = |j: usize| match Distance::Euclidean.between(centroid(i), centroid(j)) {
            // Groups on the same spot count 0, as scikit-learn has it.
            0.0 => 0.0,
            d => (spread[i] + spread[j]) / d,
        };
        (0..groups.len()).filter(|&j| j != i).map(ratio).fold(0.0, f64::max)
    };
    Ok(mean(&(0..groups.len()).map(worst).collect::<Vec<_>>()))
}

/// Calinski-Harabasz index: dispersion between over dispersion within groups, each per degree of
/// freedom; higher is better, 1 if the groups have no extent.
pub fn calinski_harabasz(x: &[f64], dims: usize, labels: &[u32]) -> Result<f64> {
    let (groups, centroids) = centroids("calinski-harabasz", x, dims, labels)?;
    let n = groups.of.len();
    let middle: Vec<f64> = (0..dims).map(|d| x[d..].iter().step_by(dims).sum::<f64>() / n as f64).collect();
    let squared = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(p, q)| (p - q) * (p - q)).sum::<f64>();
    let between: f64 = (centroids.chunks_exact(dims).zip(&groups.sizes))
        .map(|(centroid, &size)| size as f64 * squared(centroid, &middle))
        .sum();
    let within: f64 = (x.chunks_exact(dims).zip(&groups.of))
        .map(|(point, &g)| squared(point, &centroids[g * dims..(g + 1) * dims]))
        .sum();
    if within == 0.0 {
        return Ok(1.0);
    }
    Ok(between * (n - groups.len()) as f64 / (within * (groups.len() - 1) as f64))
}

fn centroids(op: &'static str, x: &[f64], dims: usize, labels: &[u32]) -> Result<(Groups, Vec<f64>)> {
    let n = check_matrix(op, x, dims)?;
    check_length(op, "labels", n, labels.len())?;
    let groups = Groups::new(labels);
    check_groups(op, &groups)?;
    let mut centroids = vec![0.0; groups.len() * dims];
    for (point, &g) in x.chunks_exact(dims).zip(&groups.of) {
        centroids[g * dims..(g + 1) * dims].iter_mut().zip(point).for_each(|(c, p)| *c += p);
    }
    for (centroid, &size) in centroids.chunks_exact_mut(dims).zip(&groups.sizes) {
        centroid.iter_mut().for_each(|c| *c /= size as f64);
    }
    Ok((groups, centroids))
}

/// NaN of nothing.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_points_far_apart_are_well_separated() {
        let x = [0.0, 0.1, 10.0, 10.1];
        let s = silhouette(&x, 1, &[0, 0, 1, 1]).unwrap();
        assert!(s > 0.98 && s < 1.0);
        assert!(silhouette(&x, 1, &[0, 1, 0, 1]).unwrap() < 0.0);
    }

    #[test]
    fn a_cell_alone_counts_zero() {
        let s = silhouette_samples(&[0.0, 1.0, 5.0], 1, &[0, 0, 1], Distance::Euclidean, Others::Nearest).unwrap();
        assert_eq!(s[2], 0.0);
        assert_eq!(s[0], (5.0 - 1.0) / 5.0);
    }

    #[test]
    fn one_group_is_refused_and_no_shared_label_is_nan() {
        assert!(silhouette(&[0.0, 1.0], 1, &[3, 3]).is_err());
        assert!(silhouette_batch(&[0.0, 1.0, 2.0, 3.0], 1, &[0, 0, 1, 1], &[0, 0, 1, 1]).unwrap().is_nan());
    }

    #[test]
    fn threads_change_no_bit() {
        let x: Vec<f64> = (0..300).map(|i| f64::from(i * 7919 % 1000) / 37.0).collect();
        let labels: Vec<u32> = (0..100).map(|i| i % 3).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| silhouette(&x, 3, &labels).unwrap().to_bits())
        };
        assert_eq!(run(1), run(5));
    }
}
