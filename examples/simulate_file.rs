//! A large h5ad file of simulated counts, written in blocks of cells.
//!
//! `cargo run --release --example simulate_file -- OUT.h5ad CELLS GENES [TOTAL]`: TOTAL is the median
//! of the cells' totals, which decides how dense the matrix is.

use cytograd::data::Which;
use cytograd::data::h5ad::Stepwise;
use cytograd::data::simulate::{SimulateParams, Simulation};
use std::path::Path;

/// Cells drawn at once.
const BLOCK: usize = 4096;

fn main() -> cytograd::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| arguments.get(i).and_then(|text| text.parse::<usize>().ok());
    let (Some(out), Some(n_cells), Some(n_genes)) = (arguments.first(), number(1), number(2)) else {
        return Err(cytograd::Error::usage("OUT.h5ad, CELLS and GENES are needed", "see the head of this example"));
    };
    let library_median = number(3).unwrap_or(2000) as f32;
    let params = SimulateParams { n_cells, n_genes, library_median, ..SimulateParams::default() };
    let simulation = Simulation::new(&params)?;
    let mut file = Stepwise::new(Path::new(out))?;
    let mut x = file.matrix(&Which::X, n_genes)?;
    let mut entries = 0;
    for first in (0..n_cells).step_by(BLOCK) {
        let rows = simulation.rows(first..(first + BLOCK).min(n_cells));
        entries += rows.nnz();
        x.push(&rows)?;
    }
    x.finish()?;
    file.finish(&simulation.frame()?)?;
    let density = 100.0 * entries as f64 / (n_cells as f64 * n_genes as f64);
    println!("{out}: {n_cells} cells x {n_genes} genes, {entries} entries ({density:.1} %)");
    Ok(())
}
