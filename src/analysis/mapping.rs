//! Mapping new cells onto a corrected reference without running Harmony again (Symphony, Kang et al.
//! 2021, doi:10.1038/s41467-021-25957-x).
//!
//! May use: `error`, `cpu::dgemm`, `linalg`, `kmeans`, `harmony`. What a reference keeps is small: for
//! each cluster its centroid, its mass `N_k` and the sum `C_k` of its cells' corrected coordinates. A
//! query, projected to the reference's principal components, is assigned softly to the clusters and
//! corrected by the same ridge regression as the reference was, in which the reference's cells stand
//! for the intercept.
#![forbid(unsafe_code)]

use super::harmony::engine::soft_assign;
use super::harmony::ridge::{Intercept, Levels, batch_terms, subtract};
use super::harmony::{BatchVariable, Harmony, HarmonyConfig};
use super::kmeans::kmeans;
use super::linalg::{axpy, normalise_rows};
use crate::cpu::dgemm::{Mat, gemm, par_gemm};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The compressed reference. Rotation and centring are kept by [`super::pca::Pca`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceMap {
    /// Dimensions d.
    pub n_dims: usize,
    /// Clusters K.
    pub n_clusters: usize,
    /// Width of the soft assignment.
    pub sigma: f64,
    /// Ridge penalty on the query's batch terms.
    pub lambda: f64,
    /// Unit centroids `[K, d]`.
    pub centroids: Vec<f64>,
    /// `N_k`, `[K]`.
    pub mass: Vec<f64>,
    /// `C_k`, `[K, d]`.
    pub sums: Vec<f64>,
}

/// A mapped query.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// Corrected coordinates `[m, d]`.
    pub corrected: Vec<f64>,
    /// Soft assignments `[m, K]`.
    pub assignments: Vec<f64>,
}

/// Symphony's penalty.
const LAMBDA: f64 = 1.0;

impl ReferenceMap {
    /// From a run of Harmony with width `sigma`.
    pub fn from_harmony(run: &Harmony, sigma: f64) -> Self {
        Self::compress(&run.corrected, run.n_dims, &run.assignments, run.n_clusters, &run.centroids, sigma)
    }

    /// From coordinates `[n, d]` that need no correction (one batch): clusters from k-means.
    ///
    /// # Errors
    /// `Error::Usage` from the configuration, `Error::Argument` for no cells or values not finite.
    pub fn from_embedding(z: &[f64], d: usize, config: &HarmonyConfig) -> Result<Self> {
        config.check()?;
        let n = z.len().checked_div(d).unwrap_or(0);
        let k = config.clusters(n);
        let mut unit = z.to_vec();
        normalise_rows(&mut unit, d);
        let start = kmeans(&unit, d, k, config.kmeans_restarts, config.kmeans_iterations, config.seed)?;
        let mut y = start.centroids;
        normalise_rows(&mut y, d);
        let r = assign(&unit, d, &y, k, config.sigma);
        Ok(Self::compress(z, d, &r, k, &y, config.sigma))
    }

    /// `N = R 1`, `C = R Z`, `Y = C` scaled to length 1 (or the old centroid where C is 0).
    fn compress(z: &[f64], d: usize, r: &[f64], k: usize, old: &[f64], sigma: f64) -> Self {
        let n = z.len() / d;
        let mut mass = vec![0.0; k];
        r.chunks_exact(k).for_each(|row| axpy(1.0, row, &mut mass));
        let mut sums = vec![0.0; k * d];
        gemm(1.0, Mat::new(r, n, k).t(), Mat::new(z, n, d), 0.0, &mut sums, d);
        let mut centroids = sums.clone();
        normalise_rows(&mut centroids, d);
        for (new, old) in centroids.chunks_exact_mut(d).zip(old.chunks_exact(d)) {
            if new.iter().all(|&v| v == 0.0) {
                new.copy_from_slice(old);
            }
        }
        ReferenceMap { n_dims: d, n_clusters: k, sigma, lambda: LAMBDA, centroids, mass, sums }
    }

    /// Corrects a query `[m, d]` in the reference's principal components for its own batches. With no
    /// batch variable the whole query is one batch, different from the reference.
    ///
    /// # Errors
    /// `Error::Shape` for another number of dimensions; `Error::Data` for coordinates that are not
    /// finite or a batch variable that does not fit.
    pub fn map(&self, z: &[f64], batches: &[BatchVariable]) -> Result<Mapped> {
        let (d, k) = (self.n_dims, self.n_clusters);
        let whole = k > 0 && self.centroids.len() == k * d && self.mass.len() == k && self.sums.len() == k * d;
        if d == 0 || !z.len().is_multiple_of(d) || !whole {
            return Err(Error::Shape {
                op: "reference mapping",
                expected: format!("rows of {d} values and {k} whole clusters"),
                found: format!("{} values", z.len()),
            });
        }
        let m = z.len() / d;
        if !z.iter().all(|v| v.is_finite()) {
            return Err(Error::data("query", "coordinates that are not finite", "check its counts"));
        }
        if batches.iter().any(|b| b.codes.len() != m || b.codes.iter().any(|&c| c as usize >= b.levels)) {
            return Err(Error::data("query", "a batch variable that does not fit its cells", "give each cell a level"));
        }
        let single = vec![0; m];
        let one = [BatchVariable { codes: &single, levels: 1 }];
        let levels = Levels::stack(if batches.is_empty() { &one } else { batches });
        let mut unit = z.to_vec();
        normalise_rows(&mut unit, d);
        let r = assign(&unit, d, &self.centroids, k, self.sigma);
        let reference = Intercept { mass: &self.mass, sums: &self.sums };
        let terms = batch_terms(z, d, &r, k, &levels, &|_, _| self.lambda, Some(reference));
        Ok(Mapped { corrected: subtract(z, d, &r, k, &levels, &terms), assignments: r })
    }
}

/// `R ~ exp(-2 (1 - Y.Z)/sigma)` for unit rows.
fn assign(unit: &[f64], d: usize, y: &[f64], k: usize, sigma: f64) -> Vec<f64> {
    let n = unit.len() / d;
    let mut dist = vec![0.0; n * k];
    par_gemm(-2.0, Mat::new(unit, n, d), Mat::new(y, k, d).t(), 0.0, &mut dist);
    let mut r = vec![0.0; n * k];
    soft_assign(&dist, k, sigma, &mut r);
    r
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::harmony::harmonize;
    use crate::analysis::neighbors::{knn_query, vote};
    use crate::rng::{Stream, stream};

    /// Three clusters in 10 dimensions around the origin, all moved by `shift` in dimensions 3 to 5.
    fn clusters(n: usize, shift: f64, part: u32) -> (Vec<f64>, Vec<u32>) {
        let mut rng = Stream::new(21, stream::TEST).part(part).rng();
        let mut z = Vec::new();
        let label = |i: usize| (i % 3) as u32;
        for i in 0..n {
            for j in 0..10 {
                let noise: f64 = (0..12).map(|_| rng.uniform53()).sum::<f64>() - 6.0;
                let centre = if j == i % 3 {
                    6.0
                } else if j < 3 {
                    -3.0
                } else {
                    0.0
                };
                z.push(centre + if (3..6).contains(&j) { shift } else { 0.0 } + 0.6 * noise);
            }
        }
        (z, (0..n).map(label).collect())
    }

    fn offset(a: &[f64], b: &[f64]) -> f64 {
        let mean = |x: &[f64], j: usize| x.iter().skip(j).step_by(10).sum::<f64>() / (x.len() / 10) as f64;
        (0..10).map(|j| (mean(a, j) - mean(b, j)).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn a_shifted_query_moves_onto_the_reference() {
        // A reference of two batches, corrected; a query of two more.
        let (mut z, mut labels) = clusters(450, 0.0, 0);
        let (other, more) = clusters(450, 1.5, 1);
        z.extend(other);
        labels.extend(more);
        let batch: Vec<u32> = (0..900).map(|i| i / 450).collect();
        let config = HarmonyConfig::default();
        let run = harmonize(&z, 10, &[BatchVariable { codes: &batch, levels: 2 }], &config).unwrap();
        let map = ReferenceMap::from_harmony(&run, config.sigma);
        let (mut query, mut truth) = clusters(240, 3.0, 2);
        let (second, more) = clusters(240, -2.0, 3);
        query.extend(second);
        truth.extend(more);
        let codes: Vec<u32> = (0..480).map(|i| i / 240).collect();
        let mapped = map.map(&query, &[BatchVariable { codes: &codes, levels: 2 }]).unwrap();
        for part in [0..2400, 2400..4800] {
            let before = offset(&query[part.clone()], &run.corrected);
            let after = offset(&mapped.corrected[part], &run.corrected);
            assert!(after < 0.15 * before, "{before} to {after}");
        }
        let near = knn_query(&mapped.corrected, &run.corrected, 10, 15).unwrap();
        let right = vote(&near, &labels).iter().zip(&truth).filter(|(v, t)| v.0 == **t).count();
        assert!(right as f64 >= 0.99 * 480.0, "{right} of 480");
        let text = serde_json::to_string(&map).unwrap();
        assert_eq!(serde_json::from_str::<ReferenceMap>(&text).unwrap(), map);
    }

    #[test]
    fn an_unshifted_query_stays_where_it_is() {
        let (z, labels) = clusters(600, 0.0, 4);
        let map = ReferenceMap::from_embedding(&z, 10, &HarmonyConfig::default()).unwrap();
        assert!((map.mass.iter().sum::<f64>() - 600.0).abs() < 1e-9);
        let (query, truth) = clusters(300, 0.0, 5);
        let mapped = map.map(&query, &[]).unwrap();
        let moved: f64 = query.iter().zip(&mapped.corrected).map(|(a, b)| (a - b) * (a - b)).sum();
        assert!((moved / 300.0).sqrt() < 0.5, "{}", (moved / 300.0).sqrt());
        let near = knn_query(&mapped.corrected, &z, 10, 15).unwrap();
        let right = vote(&near, &labels).iter().zip(&truth).filter(|(v, t)| v.0 == **t).count();
        assert!(right >= 297);
        assert!(map.map(&[1.0; 9], &[]).is_err() && map.map(&[f64::NAN; 10], &[]).is_err());
        assert!(map.map(&[1.0; 10], &[BatchVariable { codes: &[1], levels: 1 }]).is_err());
        assert!(map.map(&[], &[]).unwrap().corrected.is_empty());
    }
}
