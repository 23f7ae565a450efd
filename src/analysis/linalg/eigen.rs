//! All eigenpairs of a small symmetric matrix: Householder reduction to tridiagonal form, then QL
//! with implicit Wilkinson shifts (Golub & Van Loan, "Matrix Computations", 4th ed., 8.3).

use super::{axpy, dot, norm};
use crate::error::{Error, Result};

/// Eigenpairs, largest eigenvalue first.
#[derive(Clone, Debug)]
pub struct Eigen {
    /// `[k]`, descending.
    pub values: Vec<f64>,
    /// `[k, n]`: row i is the unit eigenvector of `values[i]`; the sign is arbitrary.
    pub vectors: Vec<f64>,
}

/// The `k` largest eigenpairs of a symmetric matrix, row-major `[n, n]` (the whole of it is read),
/// from a full decomposition: about 9 n^3 operations.
///
/// # Errors
/// `Error::Argument` if the matrix is not finite (or QL does not converge, which finite input does).
pub fn symmetric_eigen(a: &[f64], n: usize, k: usize) -> Result<Eigen> {
    let k = k.min(n);
    let scale = a.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if !a.iter().all(|v| v.is_finite()) {
        return Err(Error::Argument {
            op: "symmetric_eigen",
            what: "the matrix has values that are not finite".into(),
        });
    }
    if scale == 0.0 {
        let mut vectors = vec![0.0; k * n];
        (0..k).for_each(|i| vectors[i * n + i] = 1.0);
        return Ok(Eigen { values: vec![0.0; k], vectors });
    }
    // Unit scale keeps squares from overflowing; a power of two changes no digit.
    let scale = f64::from_bits(scale.to_bits() & 0x7ff0_0000_0000_0000).max(f64::MIN_POSITIVE);
    let mut work: Vec<f64> = a.iter().map(|v| v / scale).collect();
    let (mut diagonal, mut off, reflectors) = tridiagonalise(&mut work, n);
    let mut rows = work;
    rows.fill(0.0);
    (0..n).for_each(|i| rows[i * n + i] = 1.0);
    ql(&mut diagonal, &mut off, &mut rows, n)?;

    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| diagonal[j].total_cmp(&diagonal[i]).then(i.cmp(&j)));
    let mut values = Vec::with_capacity(k);
    let mut vectors = Vec::with_capacity(k * n);
    for &i in &order[..k] {
        values.push(diagonal[i] * scale);
        let mut vector = rows[i * n..(i + 1) * n].to_vec();
        for (first, v) in reflectors.iter().rev() {
            let part = &mut vector[*first..];
            let t = -2.0 * dot(v, part);
            axpy(t, v, part);
        }
        vectors.extend_from_slice(&vector);
    }
    Ok(Eigen { values, vectors })
}

/// `A = Q T Q'`, `Q = H_0 H_1 ...`. Returns T's diagonal, T's subdiagonal (with a 0 behind it) and the
/// unit vectors v of the reflections `H = 1 - 2 v v'` with the coordinate at which each starts.
#[allow(clippy::type_complexity)]
fn tridiagonalise(a: &mut [f64], n: usize) -> (Vec<f64>, Vec<f64>, Vec<(usize, Vec<f64>)>) {
    let mut off = vec![0.0; n];
    let mut reflectors = Vec::with_capacity(n.saturating_sub(2));
    for step in 0..n.saturating_sub(2) {
        let first = step + 1;
        // The row holds the same values as the column.
        let mut v = a[step * n + first..(step + 1) * n].to_vec();
        let length = norm(&v);
        let rest = norm(&v[1..]);
        if rest == 0.0 {
            off[step] = v[0];
            continue;
        }
        let alpha = if v[0] > 0.0 { -length } else { length };
        v[0] -= alpha;
        let size = norm(&v);
        v.iter_mut().for_each(|x| *x /= size);
        off[step] = alpha;
        // A22 <- H A22 H = A22 - v w' - w v', w = 2 (p - (v.p) v), p = A22 v.
        let mut w: Vec<f64> = (first..n).map(|i| dot(&a[i * n + first..(i + 1) * n], &v)).collect();
        let t = -dot(&v, &w);
        axpy(t, &v, &mut w);
        w.iter_mut().for_each(|x| *x *= 2.0);
        for i in first..n {
            let (vi, wi) = (v[i - first], w[i - first]);
            let row = &mut a[i * n + first..(i + 1) * n];
            for ((x, vj), wj) in row.iter_mut().zip(&v).zip(&w) {
                *x -= vi * wj + wi * vj;
            }
        }
        reflectors.push((first, v));
    }
    if n >= 2 {
        off[n - 2] = a[(n - 2) * n + n - 1];
    }
    let diagonal = (0..n).map(|i| a[i * n + i]).collect();
    (diagonal, off, reflectors)
}

/// Sweeps for an eigenvalue after which it need not be exact relative to itself.
const PATIENCE: usize = 30;

/// Diagonalises a tridiagonal matrix; each rotation is applied to two rows of `rows` `[n, n]`.
fn ql(d: &mut [f64], e: &mut [f64], rows: &mut [f64], n: usize) -> Result<()> {
    let size = d.iter().chain(e.iter()).fold(0.0f64, |most, v| most.max(v.abs()));
    for l in 0..n {
        for sweep in 0.. {
            let mut m = l;
            // Eigenvalues far below the largest, of a matrix of lower rank, may consist of rounding: then
            // what is small beside the largest counts as nothing.
            let floor = if sweep < PATIENCE { 0.0 } else { f64::EPSILON * size };
            while m + 1 < n && e[m].abs() > floor + f64::EPSILON * (d[m].abs() + d[m + 1].abs()) {
                m += 1;
            }
            if m == l {
                break;
            }
            if sweep == 100 {
                return Err(Error::Argument { op: "symmetric_eigen", what: "QL did not converge".into() });
            }
            let g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let r = (g * g + 1.0).sqrt();
            let mut g = d[m] - d[l] + e[l] / (g + r.copysign(g));
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut split = false;
            for i in (l..m).rev() {
                let (f, b) = (s * e[i], c * e[i]);
                let r = (f * f + g * g).sqrt();
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    split = true;
                    break;
                }
                s = f / r;
                c = g / r;
                g = d[i + 1] - p;
                let t = (d[i] - g) * s + 2.0 * c * b;
                p = s * t;
                d[i + 1] = g + p;
                g = c * t - b;
                let (upper, lower) = rows.split_at_mut((i + 1) * n);
                for (x, y) in upper[i * n..].iter_mut().zip(&mut lower[..n]) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
            }
            if split {
                continue;
            }
            d[l] -= p;
            e[l] = g;
            e[m] = 0.0;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Stream, stream};

    /// Residual and orthogonality of all pairs, relative to the largest eigenvalue.
    fn check(a: &[f64], n: usize) -> Eigen {
        let eigen = symmetric_eigen(a, n, n).unwrap();
        let size = eigen.values.iter().fold(1e-300f64, |m, v| m.max(v.abs()));
        for i in 0..n {
            let v = &eigen.vectors[i * n..][..n];
            for (row, value) in a.chunks_exact(n).zip(v) {
                assert!((dot(row, v) - eigen.values[i] * value).abs() < 1e-13 * size * n as f64);
            }
            for j in 0..=i {
                let expected = f64::from(u8::from(i == j));
                assert!((dot(v, &eigen.vectors[j * n..][..n]) - expected).abs() < 1e-13 * n as f64);
            }
            assert!(i == 0 || eigen.values[i - 1] >= eigen.values[i]);
        }
        eigen
    }

    #[test]
    fn random_matrices_decompose() {
        let mut rng = Stream::new(3, stream::TEST).rng();
        for n in [1, 2, 3, 7, 40, 101] {
            let x: Vec<f64> = (0..n * n).map(|_| rng.uniform53() - 0.5).collect();
            let a: Vec<f64> = (0..n * n).map(|i| x[i] + x[i % n * n + i / n]).collect();
            check(&a, n);
        }
    }

    #[test]
    fn repeated_zero_and_extreme_eigenvalues() {
        let eigen = check(&[2.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 2.0], 3);
        assert_eq!(eigen.values, [5.0, 2.0, 2.0]);
        check(&[0.0; 16], 4);
        let ones = check(&[1e200; 25], 5);
        assert!((ones.values[0] / 5e200 - 1.0).abs() < 1e-14);
        assert!(symmetric_eigen(&[f64::NAN], 1, 1).is_err());
    }
}
