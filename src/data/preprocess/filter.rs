//! What a cell or gene is worth: counts, and filters on them.

use crate::data::Csr;

/// Quality figures (scanpy `calculate_qc_metrics`).
#[derive(Clone, Debug, PartialEq)]
pub struct Qc {
    /// Per cell: sum of counts.
    pub total_counts: Vec<f64>,
    /// Per cell: genes with a count.
    pub n_genes: Vec<usize>,
    /// Per cell: share of its counts in its `top` most abundant genes, in percent; 0 for an empty
    /// cell.
    pub percent_top: Vec<f64>,
    /// Per gene: mean over all cells.
    pub gene_mean: Vec<f64>,
    /// Per gene: cells with a count.
    pub gene_cells: Vec<usize>,
}

/// Quality figures of a count matrix; `top` is how many genes `percent_top` looks at (scanpy: 50).
pub fn qc_metrics(x: &Csr, top: usize) -> Qc {
    let total_counts = x.row_sums();
    let percent_top = (0..x.n_rows())
        .map(|row| {
            let mut values: Vec<f64> = x.row(row).1.iter().map(|&v| f64::from(v)).collect();
            values.sort_unstable_by(|a, b| b.total_cmp(a));
            let share: f64 = values.iter().take(top).sum();
            if total_counts[row] > 0.0 { 100.0 * share / total_counts[row] } else { 0.0 }
        })
        .collect();
    let n = x.n_rows().max(1) as f64;
    Qc {
        n_genes: positive_per_row(x),
        percent_top,
        gene_mean: x.col_sums().iter().map(|sum| sum / n).collect(),
        gene_cells: positive_per_column(x),
        total_counts,
    }
}

/// Cells with at least `min_genes` genes above 0.
pub fn filter_cells(x: &Csr, min_genes: usize) -> Vec<usize> {
    at_least(&positive_per_row(x), min_genes)
}

/// Genes above 0 in at least `min_cells` cells.
pub fn filter_genes(x: &Csr, min_cells: usize) -> Vec<usize> {
    at_least(&positive_per_column(x), min_cells)
}

fn at_least(counts: &[usize], minimum: usize) -> Vec<usize> {
    (0..counts.len()).filter(|&i| counts[i] >= minimum).collect()
}

fn positive_per_row(x: &Csr) -> Vec<usize> {
    (0..x.n_rows()).map(|row| x.row(row).1.iter().filter(|&&v| v > 0.0).count()).collect()
}

fn positive_per_column(x: &Csr) -> Vec<usize> {
    let mut counts = vec![0; x.n_cols()];
    for (&column, &value) in x.indices().iter().zip(x.values()) {
        counts[column as usize] += usize::from(value > 0.0);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_small_matrix() {
        let x = Csr::from_dense(3, 3, &[4., 1., 0., 0., 0., 0., 0., 2., 2.]).unwrap();
        let qc = qc_metrics(&x, 1);
        assert_eq!(qc.total_counts, [5., 0., 4.]);
        assert_eq!(qc.n_genes, [2, 0, 2]);
        assert_eq!(qc.percent_top, [80., 0., 50.]);
        assert_eq!(qc.gene_cells, [1, 2, 1]);
        assert_eq!(filter_cells(&x, 1), [0, 2]);
        assert_eq!(filter_genes(&x, 2), [1]);
    }
}
