//! Compressed sparse rows: the form in which counts travel from disk to kernel.
//!
//! May use: `error`. Invariants, checked by [`Csr::new`] and kept by every method: `indptr` has
//! `n_rows + 1` non-decreasing entries from 0 to `nnz`; within a row `indices` ascend strictly and
//! stay below `n_cols`. Explicit zeros are allowed (files hold them) and count in [`Csr::nnz`].
#![forbid(unsafe_code)]

use crate::error::{Error, Result};

/// A sparse matrix of f32, cells in rows, genes in columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Csr {
    n_rows: usize,
    n_cols: usize,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl Csr {
    /// Takes the three arrays of a matrix after checking them.
    ///
    /// # Errors
    /// `Error::Data` that names the first row that breaks an invariant.
    pub fn new(n_rows: usize, n_cols: usize, indptr: Vec<usize>, indices: Vec<u32>, values: Vec<f32>) -> Result<Csr> {
        check_pointers(n_rows, n_cols, &indptr, &indices, &values)?;
        for row in 0..n_rows {
            let columns = &indices[indptr[row]..indptr[row + 1]];
            if columns.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err(broken(format!("the column indices of row {row} do not ascend")));
            }
            if columns.last().is_some_and(|&c| c as usize >= n_cols) {
                return Err(broken(format!("row {row} has an index beyond the {n_cols} columns")));
            }
        }
        Ok(Csr { n_rows, n_cols, indptr, indices, values })
    }

    /// Like [`Csr::new`] for arrays whose rows may be unsorted or name a column twice (other
    /// writers leave both); rows are sorted, values of the same column added.
    pub fn from_unsorted(
        n_rows: usize,
        n_cols: usize,
        indptr: Vec<usize>,
        indices: Vec<u32>,
        values: Vec<f32>,
    ) -> Result<Csr> {
        check_pointers(n_rows, n_cols, &indptr, &indices, &values)?;
        let ascends = |row: usize| indices[indptr[row]..indptr[row + 1]].windows(2).all(|pair| pair[0] < pair[1]);
        if (0..n_rows).all(ascends) {
            return Csr::new(n_rows, n_cols, indptr, indices, values);
        }
        let mut sorted = CsrBuilder::new(n_cols, indices.len());
        let mut row_entries: Vec<(u32, f32)> = Vec::new();
        for row in 0..n_rows {
            let span = indptr[row]..indptr[row + 1];
            row_entries.clear();
            row_entries.extend(indices[span.clone()].iter().copied().zip(values[span].iter().copied()));
            if row_entries.iter().any(|&(c, _)| c as usize >= n_cols) {
                return Err(broken(format!("row {row} has an index beyond the {n_cols} columns")));
            }
            row_entries.sort_by_key(|&(column, _)| column); // stable: equal columns add in file order
            row_entries.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 += next.1;
                }
                same
            });
            sorted.push_row(row_entries.iter().copied());
        }
        Ok(sorted.finish())
    }

    /// An all-zero matrix.
    pub fn zeros(n_rows: usize, n_cols: usize) -> Csr {
        Csr { n_rows, n_cols, indptr: vec![0; n_rows + 1], indices: Vec::new(), values: Vec::new() }
    }

    /// The non-zero entries of a row-major array of `n_rows * n_cols` values (NaN is kept).
    ///
    /// # Errors
    /// `Error::Shape` if the number of values is another.
    pub fn from_dense(n_rows: usize, n_cols: usize, dense: &[f32]) -> Result<Csr> {
        if dense.len() != n_rows * n_cols {
            return Err(Error::Shape {
                op: "csr from dense",
                expected: format!("{n_rows} x {n_cols} values"),
                found: format!("{} values", dense.len()),
            });
        }
        let mut builder = CsrBuilder::new(n_cols, 0);
        for row in 0..n_rows {
            let values = &dense[row * n_cols..(row + 1) * n_cols];
            builder.push_row(values.iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(c, &v)| (c as u32, v)));
        }
        Ok(builder.finish())
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// Stored entries, explicit zeros included.
    pub fn nnz(&self) -> usize {
        self.values.len()
    }

    /// Where each row starts in [`Csr::indices`]; `n_rows + 1` entries.
    pub fn indptr(&self) -> &[usize] {
        &self.indptr
    }

    /// Column of each stored value.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The stored values, row after row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The stored values, to be changed in place; the pattern stays.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Columns and values of one row (`row < n_rows`).
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let span = self.indptr[row]..self.indptr[row + 1];
        (&self.indices[span.clone()], &self.values[span])
    }

    /// The value at (row, column), 0 where nothing is stored.
    pub fn get(&self, row: usize, column: usize) -> f32 {
        let (columns, values) = self.row(row);
        columns.binary_search(&(column as u32)).map_or(0.0, |at| values[at])
    }

    /// The given rows in the given order (repeats allowed; every index `< n_rows`).
    pub fn select_rows(&self, rows: &[usize]) -> Csr {
        let nnz = rows.iter().map(|&r| self.indptr[r + 1] - self.indptr[r]).sum();
        let mut selected = CsrBuilder::new(self.n_cols, nnz);
        for &row in rows {
            let (columns, values) = self.row(row);
            selected.push_slices(columns, values);
        }
        selected.finish()
    }

    /// The given columns in the given order (no repeats; every index `< n_cols`).
    pub fn select_cols(&self, columns: &[usize]) -> Csr {
        let mut target = vec![u32::MAX; self.n_cols];
        for (new, &old) in columns.iter().enumerate() {
            target[old] = new as u32;
        }
        self.map_cols(&target, columns.len())
    }

    /// Moves column `c` to `target[c]` (`u32::MAX` drops it); columns that meet are added.
    pub fn map_cols(&self, target: &[u32], n_cols: usize) -> Csr {
        let mut mapped = CsrBuilder::new(n_cols, self.nnz());
        let mut entries: Vec<(u32, f32)> = Vec::new();
        for row in 0..self.n_rows {
            let (columns, values) = self.row(row);
            entries.clear();
            entries.extend(
                columns.iter().zip(values).map(|(&c, &v)| (target[c as usize], v)).filter(|&(c, _)| c != u32::MAX),
            );
            if entries.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
                entries.sort_by_key(|&(column, _)| column);
                entries.dedup_by(|next, kept| {
                    let same = next.0 == kept.0;
                    if same {
                        kept.1 += next.1;
                    }
                    same
                });
            }
            mapped.push_row(entries.iter().copied());
        }
        mapped.finish()
    }

    /// The transposed matrix, which is this one in compressed columns.
    pub fn transpose(&self) -> Csr {
        let mut indptr = vec![0usize; self.n_cols + 1];
        for &column in &self.indices {
            indptr[column as usize + 1] += 1;
        }
        for column in 0..self.n_cols {
            indptr[column + 1] += indptr[column];
        }
        let mut next = indptr.clone();
        let mut indices = vec![0u32; self.nnz()];
        let mut values = vec![0f32; self.nnz()];
        for row in 0..self.n_rows {
            let (columns, row_values) = self.row(row);
            for (&column, &value) in columns.iter().zip(row_values) {
                let at = next[column as usize];
                next[column as usize] += 1;
                indices[at] = row as u32;
                values[at] = value;
            }
        }
        Csr { n_rows: self.n_cols, n_cols: self.n_rows, indptr, indices, values }
    }

    /// Matrices of the same width, one below the other.
    ///
    /// # Errors
    /// `Error::Shape` if widths differ or nothing is given.
    pub fn vstack(parts: &[&Csr]) -> Result<Csr> {
        let n_cols = parts.first().map_or(0, |part| part.n_cols);
        if let Some(odd) = parts.iter().find(|part| part.n_cols != n_cols) {
            return Err(Error::Shape {
                op: "vstack",
                expected: format!("{n_cols} columns"),
                found: format!("{} columns", odd.n_cols),
            });
        }
        let mut stacked = CsrBuilder::new(n_cols, parts.iter().map(|part| part.nnz()).sum());
        for part in parts {
            for row in 0..part.n_rows {
                let (columns, values) = part.row(row);
                stacked.push_slices(columns, values);
            }
        }
        Ok(stacked.finish())
    }

    /// Row-major values, zeros filled in.
    pub fn to_dense(&self) -> Vec<f32> {
        let mut dense = vec![0f32; self.n_rows * self.n_cols];
        for row in 0..self.n_rows {
            let (columns, values) = self.row(row);
            let out = &mut dense[row * self.n_cols..(row + 1) * self.n_cols];
            for (&column, &value) in columns.iter().zip(values) {
                out[column as usize] = value;
            }
        }
        dense
    }

    /// Sum of each row in f64, in column order.
    pub fn row_sums(&self) -> Vec<f64> {
        (0..self.n_rows).map(|row| self.row(row).1.iter().map(|&v| f64::from(v)).sum()).collect()
    }

    /// Sum of each column in f64, in row order.
    pub fn col_sums(&self) -> Vec<f64> {
        let mut sums = vec![0f64; self.n_cols];
        for (&column, &value) in self.indices.iter().zip(&self.values) {
            sums[column as usize] += f64::from(value);
        }
        sums
    }
}

/// Builds a matrix row by row; each pushed row must ascend and stay inside the width.
pub(crate) struct CsrBuilder {
    n_cols: usize,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl CsrBuilder {
    pub(crate) fn new(n_cols: usize, nnz: usize) -> Self {
        CsrBuilder { n_cols, indptr: vec![0], indices: Vec::with_capacity(nnz), values: Vec::with_capacity(nnz) }
    }

    pub(crate) fn push_row(&mut self, entries: impl Iterator<Item = (u32, f32)>) {
        for (column, value) in entries {
            self.indices.push(column);
            self.values.push(value);
        }
        self.indptr.push(self.indices.len());
    }

    fn push_slices(&mut self, columns: &[u32], values: &[f32]) {
        self.indices.extend_from_slice(columns);
        self.values.extend_from_slice(values);
        self.indptr.push(self.indices.len());
    }

    pub(crate) fn finish(self) -> Csr {
        Csr {
            n_rows: self.indptr.len() - 1,
            n_cols: self.n_cols,
            indptr: self.indptr,
            indices: self.indices,
            values: self.values,
        }
    }
}

fn check_pointers(n_rows: usize, n_cols: usize, indptr: &[usize], indices: &[u32], values: &[f32]) -> Result<()> {
    if n_cols > u32::MAX as usize {
        return Err(broken(format!("{n_cols} columns are more than 32-bit indices can name")));
    }
    if indptr.len() != n_rows + 1 {
        return Err(broken(format!("{n_rows} rows need {} row pointers, found {}", n_rows + 1, indptr.len())));
    }
    if indices.len() != values.len() {
        return Err(broken(format!("{} column indices for {} values", indices.len(), values.len())));
    }
    if indptr[0] != 0 || indptr[n_rows] != values.len() {
        return Err(broken(format!("row pointers do not run from 0 to the {} values", values.len())));
    }
    if let Some(row) = (0..n_rows).find(|&row| indptr[row] > indptr[row + 1]) {
        return Err(broken(format!("row pointers fall after row {row}")));
    }
    Ok(())
}

fn broken(what: String) -> Error {
    Error::data("sparse matrix", what, "write the file again with a current anndata")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Csr {
        Csr::from_dense(3, 4, &[1., 0., 2., 0., 0., 0., 0., 0., 0., 3., 0., 4.]).unwrap()
    }

    #[test]
    fn dense_round_trip_keeps_every_value() {
        let matrix = sample();
        assert_eq!(matrix.nnz(), 4);
        assert_eq!(matrix.to_dense(), [1., 0., 2., 0., 0., 0., 0., 0., 0., 3., 0., 4.]);
        assert_eq!((matrix.get(2, 3), matrix.get(2, 2)), (4., 0.));
    }

    #[test]
    fn transpose_twice_is_identity_and_sums_swap() {
        let matrix = sample();
        assert_eq!(matrix.transpose().transpose(), matrix);
        assert_eq!(matrix.transpose().row_sums(), matrix.col_sums());
        assert_eq!(matrix.row_sums(), [3., 0., 7.]);
    }

    #[test]
    fn selection_reorders_rows_and_columns() {
        let matrix = sample();
        assert_eq!(matrix.select_rows(&[2, 0]).to_dense(), [0., 3., 0., 4., 1., 0., 2., 0.]);
        assert_eq!(matrix.select_cols(&[3, 1]).to_dense(), [0., 0., 0., 0., 4., 3.]);
    }

    #[test]
    fn columns_that_meet_are_added() {
        let merged = sample().map_cols(&[0, 1, 0, u32::MAX], 2);
        assert_eq!(merged.to_dense(), [3., 0., 0., 0., 0., 3.]);
    }

    #[test]
    fn vstack_needs_equal_widths() {
        let matrix = sample();
        assert_eq!(Csr::vstack(&[&matrix, &matrix]).unwrap().row_sums(), [3., 0., 7., 3., 0., 7.]);
        assert!(Csr::vstack(&[&matrix, &Csr::zeros(1, 3)]).is_err());
    }

    #[test]
    fn broken_arrays_are_refused() {
        assert!(Csr::new(1, 2, vec![0, 2], vec![1, 0], vec![1., 1.]).is_err());
        assert!(Csr::new(1, 2, vec![0, 1], vec![2], vec![1.]).is_err());
        assert!(Csr::new(2, 2, vec![0, 1], vec![0], vec![1.]).is_err());
        assert!(Csr::new(2, 2, vec![0, 2, 1], vec![0], vec![1.]).is_err());
        assert!(Csr::new(1, 2, vec![0, 2], vec![0], vec![1.]).is_err());
    }

    #[test]
    fn unsorted_rows_are_sorted_and_repeats_added() {
        let matrix = Csr::from_unsorted(1, 3, vec![0, 3], vec![2, 0, 2], vec![1., 5., 2.]).unwrap();
        assert_eq!(matrix.to_dense(), [5., 0., 3.]);
        assert!(Csr::from_unsorted(1, 3, vec![0, 2], vec![7, 0], vec![1., 5.]).is_err());
    }
}
