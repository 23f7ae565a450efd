//! From expression to principal components, as in training (CLAMS specification, section 1, steps 2 to 5).

use crate::analysis::pca::{DenseRows, Pca};
use crate::data::Csr;
use crate::data::preprocess::{ScaleParams, Scaling, Target, clams_genes, log1p, normalize_total};
use crate::error::{Error, Result};

/// Z-scores of genes are clipped at plus and minus this.
const CLIP: f32 = 10.0;

/// Cells as principal components.
pub(super) struct Components {
    /// `[cells, d]`
    pub scores: Vec<f64>,
    /// Components, at most as many as asked for.
    pub d: usize,
    /// Genes that they were made of.
    pub genes: usize,
}

/// Components of abundances `x`; `cells` and `place` are for messages.
///
/// # Errors
/// `Error::Data` for a cell without counts and for fewer than two cells.
pub(super) fn components(x: &Csr, cells: &[String], place: &str, n_hvg: usize, n_pcs: usize) -> Result<Components> {
    let sums = x.col_sums();
    let expressed: Vec<usize> = (0..sums.len()).filter(|&gene| sums[gene] > 0.0).collect();
    let mut x = x.select_cols(&expressed);
    let (scaled, _) = normalize_total(&x, Target::Median)?;
    if x.n_cols() > n_hvg {
        x = x.select_cols(&clams_genes(&scaled, n_hvg));
    }
    if let Some(row) = x.row_sums().iter().position(|&sum| sum == 0.0) {
        let what = format!("cell {} has no counts in the {} genes used", cells[row], x.n_cols());
        return Err(Error::data(place, what, "filter cells first (cytograd preprocess)"));
    }
    let (mut x, _) = normalize_total(&x, Target::Median)?;
    log1p(&mut x);
    let z = Scaling::fit(&x).apply(&x, ScaleParams { zero_center: true, max_value: Some(CLIP) })?;
    let pca = Pca::fit(&DenseRows { values: z.values(), n_cols: z.n_cols() }, n_pcs, 0)?;
    Ok(Components { scores: pca.scores, d: pca.n_comps, genes: x.n_cols() })
}
