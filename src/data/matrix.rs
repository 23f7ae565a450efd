//! A matrix as a file holds it: dense or sparse rows.
//!
//! May use: `error`, [`Csr`].
#![forbid(unsafe_code)]

use super::csr::Csr;
use crate::error::{Error, Result};

/// Row-major f32 values.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    n_rows: usize,
    n_cols: usize,
    values: Vec<f32>,
}

impl Dense {
    /// # Errors
    /// `Error::Shape` if there are not `n_rows * n_cols` values.
    pub fn new(n_rows: usize, n_cols: usize, values: Vec<f32>) -> Result<Dense> {
        if values.len() != n_rows * n_cols {
            return Err(Error::Shape {
                op: "dense matrix",
                expected: format!("{n_rows} x {n_cols} values"),
                found: format!("{} values", values.len()),
            });
        }
        Ok(Dense { n_rows, n_cols, values })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// Row-major values.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, row-major.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// All values, row-major.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// The values of a row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.n_cols..(row + 1) * self.n_cols]
    }

    /// The given rows in the given order.
    pub fn select_rows(&self, rows: &[usize]) -> Dense {
        let values = rows.iter().flat_map(|&row| self.row(row).iter().copied()).collect();
        Dense { n_rows: rows.len(), n_cols: self.n_cols, values }
    }

    /// The given columns in the given order.
    pub fn select_cols(&self, columns: &[usize]) -> Dense {
        let values = (0..self.n_rows).flat_map(|row| columns.iter().map(move |&c| self.row(row)[c])).collect();
        Dense { n_rows: self.n_rows, n_cols: columns.len(), values }
    }
}

/// Dense or sparse, as it was stored; compressed columns become compressed rows on reading.
#[derive(Clone, Debug, PartialEq)]
pub enum Matrix {
    /// Every value stored.
    Dense(Dense),
    /// Zeros not stored.
    Csr(Csr),
}

impl Matrix {
    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        match self {
            Matrix::Dense(m) => m.n_rows(),
            Matrix::Csr(m) => m.n_rows(),
        }
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        match self {
            Matrix::Dense(m) => m.n_cols(),
            Matrix::Csr(m) => m.n_cols(),
        }
    }

    /// Stored entries.
    pub fn nnz(&self) -> usize {
        self.values().len()
    }

    /// The stored values: all of a dense matrix, the entries of a sparse one.
    pub fn values(&self) -> &[f32] {
        match self {
            Matrix::Dense(m) => m.values(),
            Matrix::Csr(m) => m.values(),
        }
    }

    /// Visits (column, value) of the stored entries of one row, in column order.
    pub fn for_each_in_row(&self, row: usize, mut visit: impl FnMut(usize, f32)) {
        match self {
            Matrix::Dense(m) => m.row(row).iter().enumerate().for_each(|(column, &value)| visit(column, value)),
            Matrix::Csr(m) => {
                let (columns, values) = m.row(row);
                columns.iter().zip(values).for_each(|(&column, &value)| visit(column as usize, value));
            }
        }
    }

    /// Sum of each row.
    pub fn row_sums(&self) -> Vec<f64> {
        match self {
            Matrix::Dense(m) => (0..m.n_rows()).map(|r| m.row(r).iter().map(|&v| f64::from(v)).sum()).collect(),
            Matrix::Csr(m) => m.row_sums(),
        }
    }

    /// The rows of that order.
    pub fn select_rows(&self, rows: &[usize]) -> Matrix {
        match self {
            Matrix::Dense(m) => Matrix::Dense(m.select_rows(rows)),
            Matrix::Csr(m) => Matrix::Csr(m.select_rows(rows)),
        }
    }

    /// The columns of that order.
    pub fn select_cols(&self, columns: &[usize]) -> Matrix {
        match self {
            Matrix::Dense(m) => Matrix::Dense(m.select_cols(columns)),
            Matrix::Csr(m) => Matrix::Csr(m.select_cols(columns)),
        }
    }

    /// As sparse rows (a dense matrix is converted).
    pub fn to_csr(&self) -> Result<Csr> {
        match self {
            Matrix::Dense(m) => Csr::from_dense(m.n_rows(), m.n_cols(), m.values()),
            Matrix::Csr(m) => Ok(m.clone()),
        }
    }

    /// As sparse rows, without a copy where it is sparse already.
    pub fn into_csr(self) -> Result<Csr> {
        match self {
            Matrix::Csr(m) => Ok(m),
            dense => dense.to_csr(),
        }
    }

    /// As row-major values.
    pub fn to_dense(&self) -> Vec<f32> {
        match self {
            Matrix::Dense(m) => m.values().to_vec(),
            Matrix::Csr(m) => m.to_dense(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_and_sparse_agree() {
        let dense = Dense::new(2, 3, vec![1., 0., 2., 0., 3., 0.]).unwrap();
        let sparse = Matrix::Csr(Csr::from_dense(2, 3, dense.values()).unwrap());
        let dense = Matrix::Dense(dense);
        assert_eq!(dense.row_sums(), sparse.row_sums());
        assert_eq!(dense.select_rows(&[1]).to_dense(), sparse.select_rows(&[1]).to_dense());
        assert_eq!(dense.select_cols(&[2, 0]).to_dense(), sparse.select_cols(&[2, 0]).to_dense());
        assert_eq!(Matrix::Csr(dense.to_csr().unwrap()), sparse);
        assert!(Dense::new(2, 3, vec![0.; 5]).is_err());
    }
}
