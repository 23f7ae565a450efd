//! What is in cells and genes, from one pass over the counts (scanpy `calculate_qc_metrics`).

use crate::data::{Column, Csr, Dataset, Table};
use crate::error::Result;

/// Columns of `var` that hold symbols where the index does not.
const SYMBOLS: [&str; 6] = ["gene_symbols", "feature_name", "gene_name", "gene_names", "gene_symbol", "symbol"];

/// Figures of the cells that have enough genes, and of all genes over those cells.
pub(super) struct Quality {
    min_genes: usize,
    /// Whether each gene is mitochondrial; `None` if no name tells.
    mitochondrial: Option<Vec<bool>>,
    /// The cells that are kept, ascending.
    pub(super) cells: Vec<usize>,
    n_genes: Vec<i64>,
    /// Sum of the counts of each kept cell.
    pub(super) totals: Vec<f64>,
    of_mitochondria: Vec<f64>,
    /// For each gene, kept cells with a count.
    n_cells: Vec<usize>,
}

impl Quality {
    pub(super) fn new(var: &Table, min_genes: usize) -> Quality {
        Quality {
            min_genes,
            mitochondrial: mitochondrial(var),
            cells: Vec::new(),
            n_genes: Vec::new(),
            totals: Vec::new(),
            of_mitochondria: Vec::new(),
            n_cells: vec![0; var.n_rows()],
        }
    }

    /// Takes in a block of cells, the first of which is `first`.
    pub(super) fn add(&mut self, first: usize, block: &Csr) {
        for row in 0..block.n_rows() {
            let (columns, values) = block.row(row);
            let positive = values.iter().filter(|&&v| v > 0.0).count();
            if positive < self.min_genes {
                continue;
            }
            self.cells.push(first + row);
            self.n_genes.push(positive as i64);
            self.totals.push(values.iter().map(|&v| f64::from(v)).sum());
            for (&gene, _) in columns.iter().zip(values).filter(|(_, v)| **v > 0.0) {
                self.n_cells[gene as usize] += 1;
            }
            if let Some(mitochondrial) = &self.mitochondrial {
                let theirs = columns.iter().zip(values).filter(|(gene, _)| mitochondrial[**gene as usize]);
                self.of_mitochondria.push(theirs.map(|(_, &v)| f64::from(v)).sum());
            }
        }
    }

    /// Genes in at least so many of the kept cells.
    pub(super) fn genes(&self, min_cells: usize) -> Vec<usize> {
        (0..self.n_cells.len()).filter(|&gene| self.n_cells[gene] >= min_cells).collect()
    }

    /// Adds the figures to the tables of a data set that still has all cells and genes.
    pub(super) fn describe(&self, frame: &mut Dataset) -> Result<()> {
        let n = frame.n_obs();
        // Cells that go have no figures, and go before anybody sees it.
        let spread = |values: &[f64]| {
            let mut all = vec![0.0; n];
            self.cells.iter().zip(values).for_each(|(&cell, &v)| all[cell] = v);
            Column::Float(all)
        };
        let mut n_genes = vec![0; n];
        self.cells.iter().zip(&self.n_genes).for_each(|(&cell, &v)| n_genes[cell] = v);
        frame.obs.set("n_genes_by_counts", Column::Int(n_genes))?;
        frame.obs.set("total_counts", spread(&self.totals))?;
        if self.mitochondrial.is_some() {
            let share = |(&part, &total): (&f64, &f64)| if total > 0.0 { 100.0 * part / total } else { 0.0 };
            let shares: Vec<f64> = self.of_mitochondria.iter().zip(&self.totals).map(share).collect();
            frame.obs.set("pct_counts_mt", spread(&shares))?;
        }
        frame.var.set("n_cells_by_counts", Column::Int(self.n_cells.iter().map(|&n| n as i64).collect()))
    }
}

/// Genes whose symbol begins with `MT-` (`mt-` of mice), by the index or a column of symbols.
fn mitochondrial(var: &Table) -> Option<Vec<bool>> {
    let is = |name: &str| name.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("mt-"));
    let by_index: Vec<bool> = var.index.iter().map(|name| is(name)).collect();
    if by_index.contains(&true) {
        return Some(by_index);
    }
    SYMBOLS.iter().filter_map(|name| var.get(name)).find_map(|column| {
        let found: Vec<bool> = (0..column.len()).map(|row| column.text(row).is_some_and(|t| is(&t))).collect();
        found.contains(&true).then_some(found)
    })
}
