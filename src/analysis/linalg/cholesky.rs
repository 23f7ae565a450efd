//! `A = L L'` of a symmetric positive definite matrix, and what follows from it.

use super::dot;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The factor of a symmetric positive definite matrix.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cholesky {
    n: usize,
    /// L, row-major `[n, n]`; the part above the diagonal is 0.
    factor: Vec<f64>,
}

impl Cholesky {
    /// Factorises `a`, row-major `[n, n]`; only the lower triangle is read.
    ///
    /// # Errors
    /// `Error::Argument` if `a` is not positive definite, or not finite.
    pub fn new(a: &[f64], n: usize) -> Result<Self> {
        if a.len() != n * n {
            return Err(Error::Shape {
                op: "cholesky",
                expected: format!("{n} x {n} values"),
                found: a.len().to_string(),
            });
        }
        let mut factor = vec![0.0; n * n];
        for i in 0..n {
            let (done, rest) = factor.split_at_mut(i * n);
            let row = &mut rest[..n];
            for j in 0..i {
                let other = &done[j * n..j * n + n];
                row[j] = (a[i * n + j] - dot(&row[..j], &other[..j])) / other[j];
            }
            let pivot = a[i * n + i] - dot(&row[..i], &row[..i]);
            if !(pivot > 0.0 && pivot.is_finite()) {
                return Err(Error::Argument {
                    op: "cholesky",
                    what: format!("the matrix is not positive definite (pivot {i} is {pivot:e}); shrink it"),
                });
            }
            row[i] = pivot.sqrt();
        }
        Ok(Cholesky { n, factor })
    }

    /// The order of the matrix.
    pub fn order(&self) -> usize {
        self.n
    }

    /// The least squared diagonal element of L; infinite for order 0.
    pub fn smallest_pivot(&self) -> f64 {
        (0..self.n).map(|i| self.factor[i * self.n + i]).fold(f64::INFINITY, |m, v| m.min(v * v))
    }

    /// `b <- L^-1 b`.
    pub fn forward(&self, b: &mut [f64]) {
        for i in 0..self.n {
            let row = &self.factor[i * self.n..][..self.n];
            b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
        }
    }

    /// `b <- A^-1 b`.
    pub fn solve(&self, b: &mut [f64]) {
        self.forward(b);
        for i in (0..self.n).rev() {
            let row = &self.factor[i * self.n..][..self.n];
            b[i] /= row[i];
            let value = b[i];
            for (x, l) in b[..i].iter_mut().zip(row) {
                *x -= value * l;
            }
        }
    }

    /// `ln det A`.
    pub fn ln_det(&self) -> f64 {
        (0..self.n).map(|i| 2.0 * super::ln(self.factor[i * self.n + i])).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_and_refuses() {
        let a = [4.0, 2.0, 1.0, 2.0, 5.0, 3.0, 1.0, 3.0, 6.0];
        let chol = Cholesky::new(&a, 3).unwrap();
        let x = [1.0, -2.0, 0.5];
        let mut b: Vec<f64> = (0..3).map(|i| dot(&a[i * 3..][..3], &x)).collect();
        chol.solve(&mut b);
        for (b, x) in b.iter().zip(x) {
            assert!((b - x).abs() < 1e-14);
        }
        let det: f64 = 4.0 * (30.0 - 9.0) - 2.0 * (12.0 - 3.0) + (6.0 - 5.0);
        assert!((chol.smallest_pivot() - 4.0).abs() < 1e-14);
        assert!((chol.ln_det() - det.ln()).abs() < 1e-14);
        assert!(Cholesky::new(&[1.0, 2.0, 2.0, 1.0], 2).is_err());
        assert!(Cholesky::new(&[f64::NAN], 1).is_err());
    }
}
