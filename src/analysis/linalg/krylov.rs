//! The largest eigenpairs of a large symmetric operator: block Lanczos with full
//! reorthogonalisation and thick restarts (Wu & Simon 2000, doi:10.1137/S0895479898334605, in blocks).
//!
//! Krylov spaces resolve the flat tail of a single-cell spectrum to full precision, where plain
//! subspace iteration would need thousands of products. Blocks make the products matrix-matrix and
//! find eigenvalues that are repeated up to [`BLOCK`] times.

use super::{Eigen, axpy, dot, norm, symmetric_eigen};
use crate::cpu::dgemm::{Mat, NARROW, gemm};
use crate::error::{Error, Result};
use crate::rng::{Rng, Stream, stream};

/// Vectors that the operator is applied to at once.
pub const BLOCK: usize = NARROW;
/// Residual `|A v - lambda v| / lambda` of every pair that is returned ...
const TOLERANCE: f64 = 1e-11;
/// ... or, where rounding allows no better, relative to the largest eigenvalue.
const FLOOR: f64 = 1e-14;
const MAX_RESTARTS: usize = 1000;

/// The `k` largest eigenpairs of a symmetric positive semidefinite operator on `n` coordinates.
///
/// `apply(q, w)` writes `w = q A` for any number of rows `[rows, n]`. The start is drawn from `seed`;
/// the result depends on it only within the tolerance. An operator that is small against `k` is
/// written out and decomposed in full.
///
/// # Errors
/// `Error::Argument` if the operator yields values that are not finite, or does not converge.
pub fn top_eigen(n: usize, k: usize, seed: u64, apply: &mut dyn FnMut(&[f64], &mut [f64])) -> Result<Eigen> {
    let k = k.min(n);
    // Room for the kept pairs and for a Krylov space that grows well beyond them.
    let capacity = 3 * k + 16 * BLOCK;
    let keep = k + k / 2 + 2 * BLOCK;
    if k == 0 || capacity + 2 * BLOCK > n {
        let mut identity = vec![0.0; n * n];
        (0..n).for_each(|i| identity[i * n + i] = 1.0);
        let mut dense = vec![0.0; n * n];
        apply(&identity, &mut dense);
        return symmetric_eigen(&dense, n, k);
    }
    let mut space = Space { n, vectors: Vec::with_capacity(capacity * n), len: 0 };
    let mut h = vec![0.0; capacity * capacity];
    let mut rng = Stream::new(seed, stream::PCA).rng();
    let mut block: Vec<f64> = (0..BLOCK * n).map(|_| rng.uniform53() - 0.5).collect();
    space.orthonormalise(&mut block, &mut rng);
    for _ in 0..MAX_RESTARTS {
        let mut factor = [0.0; BLOCK * BLOCK];
        while space.len + BLOCK <= capacity {
            let start = space.len;
            space.vectors.extend_from_slice(&block);
            space.len += BLOCK;
            let mut next = vec![0.0; BLOCK * n];
            apply(&block, &mut next);
            let coefficients = space.project_out(&mut next);
            for (r, row) in coefficients.chunks_exact(space.len).enumerate() {
                for (c, &value) in row.iter().enumerate() {
                    h[c * capacity + start + r] = value;
                    h[(start + r) * capacity + c] = value;
                }
            }
            factor = space.orthonormalise(&mut next, &mut rng);
            block = next;
        }
        let m = space.len;
        let projected: Vec<f64> = (0..m * m).map(|i| h[i / m * capacity + i % m]).collect();
        let ritz = symmetric_eigen(&projected, m, keep)?;
        // A V = V H + (last block's factor) x next block: the rest of the other columns lies in V.
        let converged = (0..k).all(|i| {
            let last = &ritz.vectors[(i + 1) * m - BLOCK..(i + 1) * m];
            let mut rest = [0.0; BLOCK];
            for (s, row) in last.iter().zip(factor.chunks_exact(BLOCK)) {
                axpy(*s, row, &mut rest);
            }
            norm(&rest) <= (TOLERANCE * ritz.values[i]).max(FLOOR * ritz.values[0])
        });
        let kept = if converged { k } else { keep };
        let mut vectors = vec![0.0; kept * n];
        let old = Mat::new(&space.vectors, m, n);
        gemm(1.0, Mat::new(&ritz.vectors[..kept * m], kept, m), old, 0.0, &mut vectors, n);
        if converged {
            return Ok(Eigen { values: ritz.values[..k].to_vec(), vectors });
        }
        space.vectors.truncate(0);
        space.vectors.extend_from_slice(&vectors);
        space.len = keep;
        h.fill(0.0);
        (0..keep).for_each(|i| h[i * capacity + i] = ritz.values[i]);
    }
    Err(Error::Argument { op: "top_eigen", what: format!("no convergence of {k} pairs of order {n}") })
}

/// An orthonormal basis, one vector per row.
struct Space {
    n: usize,
    vectors: Vec<f64>,
    len: usize,
}

impl Space {
    /// Takes out of every row of `w` its part in the space; returns the coefficients `[rows, len]`.
    fn project_out(&self, w: &mut [f64]) -> Vec<f64> {
        let (n, len) = (self.n, self.len);
        let rows = w.len() / n;
        let basis = Mat::new(&self.vectors, len, n);
        let mut total = vec![0.0; rows * len];
        // The second pass removes what rounding left of the first.
        for _ in 0..2 {
            let mut c = vec![0.0; rows * len];
            gemm(1.0, Mat::new(w, rows, n), basis.t(), 0.0, &mut c, len);
            gemm(-1.0, Mat::new(&c, rows, len), basis, 1.0, w, n);
            axpy(1.0, &c, &mut total);
        }
        total
    }

    /// Makes the block's rows orthonormal and orthogonal to the space; returns F with old = F new.
    /// A row that depends on the others is replaced by a random direction (its entry of F is 0).
    fn orthonormalise(&self, block: &mut [f64], rng: &mut Rng) -> [f64; BLOCK * BLOCK] {
        let factor = factorise(block, self.n, rng);
        // Short rows were mostly rounding error before they were scaled, and random ones lie
        // anywhere: clean the block once more.
        if self.len > 0 {
            self.project_out(block);
        }
        factorise(block, self.n, rng);
        factor
    }
}

/// Gram-Schmidt, twice per row: block = F x orthonormal block; dependent rows become random.
fn factorise(block: &mut [f64], n: usize, rng: &mut Rng) -> [f64; BLOCK * BLOCK] {
    let mut factor = [0.0; BLOCK * BLOCK];
    let largest = block.chunks_exact(n).map(norm).fold(0.0, f64::max);
    for r in 0..BLOCK {
        let (done, rest) = block.split_at_mut(r * n);
        let row = &mut rest[..n];
        let mut reduce = |row: &mut [f64], record: bool| {
            for (c, q) in done.chunks_exact(n).enumerate() {
                let t = dot(q, row);
                axpy(-t, q, row);
                if record {
                    factor[r * BLOCK + c] += t;
                }
            }
        };
        reduce(row, true);
        reduce(row, true);
        let mut length = norm(row);
        if length > 1e-12 * largest && length > f64::MIN_POSITIVE {
            factor[r * BLOCK + r] = length;
        } else {
            row.iter_mut().for_each(|v| *v = rng.uniform53() - 0.5);
            reduce(row, false);
            reduce(row, false);
            length = norm(row);
        }
        row.iter_mut().for_each(|v| *v /= length);
    }
    factor
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(a: &[f64], n: usize, k: usize) {
        let mut products = 0;
        let found = top_eigen(n, k, 1, &mut |q, w| {
            products += 1;
            gemm(1.0, Mat::new(q, q.len() / n, n), Mat::new(a, n, n), 0.0, w, n);
        })
        .unwrap();
        let exact = symmetric_eigen(a, n, k).unwrap();
        for i in 0..k {
            let (f, e) = (found.values[i], exact.values[i]);
            assert!((f - e).abs() <= 1e-12 * exact.values[0], "value {i}: {f:e} against {e:e}");
            let v = &found.vectors[i * n..][..n];
            assert!((norm(v) - 1.0).abs() < 1e-12);
            for (row, x) in a.chunks_exact(n).zip(v) {
                let rest = dot(row, v) - f * x;
                assert!(rest.abs() <= 1e-10 * exact.values[0], "pair {i} ({f:e}): residual {rest:e}");
            }
        }
        assert!(products > 1, "the operator was written out");
    }

    #[test]
    fn krylov_agrees_with_full_decomposition_on_flat_and_repeated_spectra() {
        let n = 300;
        let mut rng = Stream::new(7, stream::TEST).rng();
        let x: Vec<f64> = (0..n * n).map(|_| rng.uniform53() - 0.5).collect();
        let mut gram = vec![0.0; n * n];
        gemm(1.0, Mat::new(&x, n, n), Mat::new(&x, n, n).t(), 0.0, &mut gram, n);
        agree(&gram, n, 20);
        // Four-fold eigenvalues, and a rank below k.
        let mut repeated = vec![0.0; n * n];
        (0..12).for_each(|i| repeated[i * n + i] = 10.0 - (i / 4) as f64);
        agree(&repeated, n, 20);
        agree(&vec![0.0; n * n], n, 3);
    }
}
