//! Products of binary64 matrices for the analysis floor: a checked, safe face on `matrixmultiply`.
//!
//! May use: rayon, `matrixmultiply`. Every element of the product is a chain of additions in
//! ascending k whose grouping depends on the shape alone, so the bits do not depend on the number of
//! threads: [`par_gemm`] always cuts C into the same strips of rows.

use rayon::prelude::*;

/// Rows of C that one task of [`par_gemm`] computes.
const STRIP: usize = 128;

/// A matrix to read: any strides, every element inside `data`.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a> {
    data: &'a [f64],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Mat<'a> {
    /// A row-major matrix `[rows, cols]`.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * cols`.
    pub fn new(data: &'a [f64], rows: usize, cols: usize) -> Self {
        assert!(data.len() >= rows * cols, "matrix of {rows} x {cols} in {} values", data.len());
        Mat { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// The transpose, without a copy.
    pub fn t(self) -> Self {
        Mat {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            data: self.data,
        }
    }

    /// Rows `start..start + count`, without a copy.
    ///
    /// # Panics
    /// If they are not all there.
    pub fn rows(self, start: usize, count: usize) -> Self {
        assert!(start + count <= self.rows);
        Mat { data: &self.data[(start * self.row_stride).min(self.data.len())..], rows: count, ..self }
    }

    /// Whether the last element lies inside `data`.
    fn fits(&self) -> bool {
        self.rows == 0
            || self.cols == 0
            || (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride < self.data.len()
    }
}

/// `C <- alpha A B + beta C` on one thread; row `i` of C starts at `c[i * ldc]`. With `beta` 0, C is
/// not read.
///
/// # Panics
/// If the shapes do not fit.
pub fn gemm(alpha: f64, a: Mat, b: Mat, beta: f64, c: &mut [f64], ldc: usize) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    assert_eq!(k, b.rows, "inner dimensions");
    assert!(a.fits() && b.fits() && ldc >= n);
    if m == 0 || n == 0 {
        return;
    }
    assert!(c.len() >= (m - 1) * ldc + n);
    // SAFETY: all elements that the shapes and strides name lie inside the slices (asserted above);
    // `c` is borrowed mutably, so it overlaps neither `a` nor `b`, and `ldc >= n` keeps its rows apart.
    unsafe {
        matrixmultiply::dgemm(
            m,
            k,
            n,
            alpha,
            a.data.as_ptr(),
            a.row_stride as isize,
            a.col_stride as isize,
            b.data.as_ptr(),
            b.row_stride as isize,
            b.col_stride as isize,
            beta,
            c.as_mut_ptr(),
            ldc as isize,
            1,
        );
    }
}

/// [`gemm`] on the threads of the current pool, by strips of rows of a dense C `[m, n]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn par_gemm(alpha: f64, a: Mat, b: Mat, beta: f64, c: &mut [f64]) {
    let n = b.cols;
    assert_eq!(c.len(), a.rows * n);
    if c.is_empty() {
        return;
    }
    c.par_chunks_mut(STRIP * n).enumerate().for_each(|(i, strip)| {
        gemm(alpha, a.rows(i * STRIP, strip.len() / n), b, beta, strip, n);
    });
}

/// Columns of the right factor in [`par_narrow`].
pub const NARROW: usize = 8;

crate::simd_fn! {
    /// `out[i, ..] = sum over j of a[i, j] b[j, ..]` in ascending j, for a few rows of `a` `[rows, k]`.
    fn narrow(a: &[f64], b: &[f64], k: usize, out: &mut [f64]) {
        let b = &b[..k * NARROW];
        for (rows, outs) in a.chunks(4 * k).zip(out.chunks_mut(4 * NARROW)) {
            let mut sums = [[0.0; NARROW]; 4];
            if rows.len() == 4 * k {
                let (upper, lower) = rows.split_at(2 * k);
                let ((r0, r1), (r2, r3)) = (upper.split_at(k), lower.split_at(k));
                for ((((x0, x1), x2), x3), y) in r0.iter().zip(r1).zip(r2).zip(r3).zip(b.chunks_exact(NARROW)) {
                    for l in 0..NARROW {
                        sums[0][l] += x0 * y[l];
                        sums[1][l] += x1 * y[l];
                        sums[2][l] += x2 * y[l];
                        sums[3][l] += x3 * y[l];
                    }
                }
            } else {
                for (row, sum) in rows.chunks_exact(k).zip(&mut sums) {
                    for (x, y) in row.iter().zip(b.chunks_exact(NARROW)) {
                        for l in 0..NARROW {
                            sum[l] += x * y[l];
                        }
                    }
                }
            }
            for (o, sum) in outs.chunks_exact_mut(NARROW).zip(&sums) {
                o.copy_from_slice(sum);
            }
        }
    }
}

/// `C = A B` for a row-major A `[m, k]` and a B `[k, 8]`: reads A once, without packing it.
///
/// # Panics
/// If the shapes do not fit.
pub fn par_narrow(a: &[f64], b: &[f64], k: usize, c: &mut [f64]) {
    assert!(k > 0 && b.len() == k * NARROW && a.len() / k * NARROW == c.len());
    a.par_chunks(64 * k).zip(c.par_chunks_mut(64 * NARROW)).for_each(|(a, c)| narrow(a, b, k, c));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_equals_plain_loops_in_all_transposes() {
        let (m, k, n) = (131, 37, 5);
        let value = |i: usize| ((i * 7919 % 101) as f64 - 50.0) / 8.0;
        let a: Vec<f64> = (0..m * k).map(value).collect();
        let b: Vec<f64> = (0..k * n).map(|i| value(i + 13)).collect();
        let transpose =
            |x: &[f64], r: usize, c: usize| -> Vec<f64> { (0..r * c).map(|i| x[(i % r) * c + i / r]).collect() };
        let (at, bt) = (transpose(&a, m, k), transpose(&b, k, n));
        let expected: Vec<f64> =
            (0..m * n).map(|i| (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum()).collect();
        for (x, y) in [
            (Mat::new(&a, m, k), Mat::new(&b, k, n)),
            (Mat::new(&at, k, m).t(), Mat::new(&b, k, n)),
            (Mat::new(&a, m, k), Mat::new(&bt, n, k).t()),
        ] {
            let mut c = vec![f64::NAN; m * n];
            par_gemm(1.0, x, y, 0.0, &mut c);
            // Small multiples of 1/64: every sum is exact.
            assert_eq!(c, expected);
        }
        let b: Vec<f64> = (0..k * NARROW).map(|i| value(i + 5)).collect();
        let (mut c, mut d) = (vec![f64::NAN; m * NARROW], vec![0.0; m * NARROW]);
        par_narrow(&a, &b, k, &mut c);
        par_gemm(1.0, Mat::new(&a, m, k), Mat::new(&b, k, NARROW), 0.0, &mut d);
        assert_eq!(c, d);
    }
}
