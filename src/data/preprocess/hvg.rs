//! Highly variable genes, as scanpy 1.11 selects them.

use super::hvg_v3;
use super::moments::{Moments, Part, PartOf, Parts, column_moments};
use super::normalize::median;
use crate::data::{Csr, RowBlocks};
use crate::error::{Error, Result};

/// Which statistic ranks the genes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Log dispersion, standardised within bins of equal width in log mean; input: log1p values.
    Seurat,
    /// Dispersion, standardised by median and MAD within bins of equal count; input: log1p values.
    CellRanger,
    /// Variance of counts clipped and standardised by a trend fitted over genes; input: counts.
    SeuratV3,
}

/// Bounds on mean and normalised dispersion, all exclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cutoffs {
    /// Smallest mean.
    pub min_mean: f64,
    /// Largest mean.
    pub max_mean: f64,
    /// Smallest normalised dispersion.
    pub min_disp: f64,
    /// Largest normalised dispersion.
    pub max_disp: f64,
}

impl Default for Cutoffs {
    fn default() -> Self {
        Cutoffs { min_mean: 0.0125, max_mean: 3.0, min_disp: 0.5, max_disp: f64::INFINITY }
    }
}

impl Cutoffs {
    fn hold(&self, mean: f64, dispersion: f64) -> bool {
        mean > self.min_mean && mean < self.max_mean && dispersion > self.min_disp && dispersion < self.max_disp
    }
}

/// How many genes, or which bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Select {
    /// So many genes, the most variable first.
    Top(usize),
    /// All within bounds.
    Cutoffs(Cutoffs),
}

/// Parameters with scanpy's defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HvgParams {
    /// How variability is measured.
    pub flavor: Flavor,
    /// How many are taken.
    pub select: Select,
    /// Bins of [`Flavor::Seurat`].
    pub n_bins: usize,
    /// Share of the genes in each local regression of [`Flavor::SeuratV3`].
    pub span: f64,
}

impl Default for HvgParams {
    fn default() -> Self {
        HvgParams { flavor: Flavor::Seurat, select: Select::Cutoffs(Cutoffs::default()), n_bins: 20, span: 0.3 }
    }
}

/// One value per gene. With batches: averages over them.
#[derive(Clone, Debug, PartialEq)]
pub struct Hvg {
    /// Whether each gene was chosen.
    pub selected: Vec<bool>,
    /// Mean of each gene.
    pub means: Vec<f64>,
    /// Dispersions; with [`Flavor::SeuratV3`] variances.
    pub dispersions: Vec<f64>,
    /// Normalised dispersions or variances; NaN where undefined.
    pub dispersions_norm: Vec<f64>,
    /// [`Flavor::SeuratV3`]: rank from 0 (median over batches), NaN where beyond the number asked.
    pub rank: Option<Vec<f64>>,
    /// In how many batches the gene was selected (1 or 0 without batches).
    pub n_batches: Vec<usize>,
}

impl Hvg {
    /// The selected genes in gene order.
    pub fn genes(&self) -> Vec<usize> {
        (0..self.selected.len()).filter(|&gene| self.selected[gene]).collect()
    }
}

/// Marks highly variable genes; `batch[cell]`, if given, selects within each batch and merges.
///
/// Fewer genes than asked for come back where fewer have a defined statistic. Genes that tie at
/// the border all come in for the dispersion flavours without batches, as in scanpy.
///
/// # Errors
/// `Error::Shape` if `batch` is not one per cell; `Error::Usage` for cutoffs with `SeuratV3`.
pub fn highly_variable_genes(x: &Csr, batch: Option<&[u32]>, params: &HvgParams) -> Result<Hvg> {
    variable_genes_of_blocks(x, batch, params)
}

/// The same of a matrix that is read in blocks (two or three times), with the same bits.
///
/// # Errors
/// As [`highly_variable_genes`], and those of reading.
pub fn variable_genes_of_blocks(x: &dyn RowBlocks, batch: Option<&[u32]>, params: &HvgParams) -> Result<Hvg> {
    if let Some(batch) = batch
        && batch.len() != x.n_rows()
    {
        return Err(Error::Shape {
            op: "variable genes",
            expected: format!("a batch for each of {} cells", x.n_rows()),
            found: format!("{}", batch.len()),
        });
    }
    match (params.flavor, params.select, batch) {
        (Flavor::SeuratV3, Select::Top(n), _) => hvg_v3::select(x, batch, n, params.span),
        (Flavor::SeuratV3, Select::Cutoffs(_), _) => {
            Err(Error::usage("seurat_v3 does not use cutoffs", "give a number of genes"))
        }
        (_, _, batch) => {
            let codes = batch.map(batch_codes);
            let of = codes.as_ref().map(|(codes, n)| PartOf { codes, n: *n });
            let parts = match params.flavor {
                Flavor::Seurat => Parts::new(x, of, |v| f64::from(v).exp_m1())?,
                _ => Parts::new(x, of, f64::from)?,
            };
            Ok(match parts.parts.as_slice() {
                [whole] if batch.is_none() => single(whole.moments.clone(), params),
                parts => batched(parts, x.n_cols(), params),
            })
        }
    }
}

/// For each row, which of the batch values that occur it has, in ascending order of value; how many
/// there are.
pub(super) fn batch_codes(batch: &[u32]) -> (Vec<usize>, usize) {
    let mut values: Vec<u32> = batch.to_vec();
    values.sort_unstable();
    values.dedup();
    (batch.iter().map(|value| values.partition_point(|v| v < value)).collect(), values.len())
}

fn single(moments: Moments, params: &HvgParams) -> Hvg {
    let logged = params.flavor == Flavor::Seurat;
    let Moments { mut mean, variance } = moments;
    mean.iter_mut().filter(|m| **m == 0.0).for_each(|m| *m = 1e-12);
    let mut dispersions: Vec<f64> = variance.iter().zip(&mean).map(|(v, m)| v / m).collect();
    if logged {
        dispersions.iter_mut().for_each(|d| *d = if *d == 0.0 { f64::NAN } else { d.ln() });
        mean.iter_mut().for_each(|m| *m = m.ln_1p());
    }
    let edges = if logged { equal_width(&mean, params.n_bins) } else { percentiles(&mean) };
    let mut norm = vec![f64::NAN; mean.len()];
    for genes in bins(&mean, &edges) {
        let values: Vec<f64> = genes.iter().map(|&g| dispersions[g]).filter(|d| !d.is_nan()).collect();
        let (center, spread) = if logged { mean_and_std(&values) } else { median_and_mad(&values) };
        for gene in genes {
            norm[gene] = (dispersions[gene] - center) / spread;
        }
    }
    let selected: Vec<bool> = match params.select {
        Select::Cutoffs(bounds) => {
            (0..mean.len()).map(|g| bounds.hold(mean[g], if norm[g].is_nan() { 0.0 } else { norm[g] })).collect()
        }
        Select::Top(n) => {
            let mut defined: Vec<f64> = norm.iter().copied().filter(|d| !d.is_nan()).collect();
            defined.sort_unstable_by(|a, b| b.total_cmp(a));
            let border = n.min(defined.len()).checked_sub(1).map_or(f64::INFINITY, |last| defined[last]);
            norm.iter().map(|d| n > 0 && *d >= border).collect()
        }
    };
    let n_batches = selected.iter().map(|&s| usize::from(s)).collect();
    Hvg { selected, means: mean, dispersions, dispersions_norm: norm, rank: None, n_batches }
}

fn batched(parts: &[Part], n_genes: usize, params: &HvgParams) -> Hvg {
    let mut sums = [(); 3].map(|()| vec![(0f64, 0usize); n_genes]);
    let mut n_batches = vec![0; n_genes];
    for part in parts {
        let expressed: Vec<usize> = (0..n_genes).filter(|&gene| part.positive[gene] > 0).collect();
        let pick = |values: &[f64]| expressed.iter().map(|&gene| values[gene]).collect();
        let moments = Moments { mean: pick(&part.moments.mean), variance: pick(&part.moments.variance) };
        let found = single(moments, params);
        // Genes that the batch does not express count as 0 in every average.
        let mut values = [(); 3].map(|()| vec![0f64; n_genes]);
        for (i, &gene) in expressed.iter().enumerate() {
            values[0][gene] = found.means[i];
            values[1][gene] = found.dispersions[i];
            values[2][gene] = found.dispersions_norm[i];
            n_batches[gene] += usize::from(found.selected[i]);
        }
        for (sums, values) in sums.iter_mut().zip(&values) {
            for (sum, value) in sums.iter_mut().zip(values).filter(|(_, v)| !v.is_nan()) {
                *sum = (sum.0 + value, sum.1 + 1);
            }
        }
    }
    let [means, dispersions, mut norm] =
        sums.map(|list| list.iter().map(|&(sum, n)| if n > 0 { sum / n as f64 } else { f64::NAN }).collect::<Vec<_>>());
    let mut selected = vec![false; n_genes];
    match params.select {
        Select::Top(n) => {
            let mut order: Vec<usize> = (0..n_genes).collect();
            let key = |g: usize| if norm[g].is_nan() { f64::NEG_INFINITY } else { norm[g] };
            order.sort_by(|&a, &b| n_batches[b].cmp(&n_batches[a]).then(key(b).total_cmp(&key(a))));
            order.iter().take(n).for_each(|&gene| selected[gene] = true);
        }
        Select::Cutoffs(bounds) => {
            norm.iter_mut().filter(|d| d.is_nan()).for_each(|d| *d = 0.0);
            (0..n_genes).for_each(|g| selected[g] = bounds.hold(means[g], norm[g]));
        }
    }
    Hvg { selected, means, dispersions, dispersions_norm: norm, rank: None, n_batches }
}

/// Genes of the CLAMS protocol: the `n_top` with the highest score, in gene order.
///
/// `x` holds normalised values that are not logged. d = variance / mean; 22 bins with edges at the
/// percentiles 10, 15, ..., 100 of the mean; score = (d - median) / MAD of the bin, 0 where
/// the MAD is 0; ties go to the lower gene index, so exactly `min(n_top, genes)` come back.
pub fn clams_genes(x: &Csr, n_top: usize) -> Vec<usize> {
    let Moments { mut mean, variance } = column_moments(x);
    mean.iter_mut().filter(|m| **m == 0.0).for_each(|m| *m = 1e-12);
    let dispersions: Vec<f64> = variance.iter().zip(&mean).map(|(v, m)| v / m).collect();
    let mut score = vec![0f64; mean.len()];
    for genes in bins(&mean, &percentiles(&mean)) {
        let values: Vec<f64> = genes.iter().map(|&g| dispersions[g]).collect();
        let (center, spread) = median_and_mad(&values);
        for gene in genes.into_iter().filter(|_| spread > 0.0) {
            score[gene] = (dispersions[gene] - center) / spread;
        }
    }
    let mut order: Vec<usize> = (0..score.len()).collect();
    order.sort_by(|&a, &b| score[b].total_cmp(&score[a]));
    order.truncate(n_top);
    order.sort_unstable();
    order
}

/// Edges of `n` bins of equal width; the first is lowered so that the smallest value is inside.
fn equal_width(means: &[f64], n: usize) -> Vec<f64> {
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let line = |low: f64, high: f64| -> Vec<f64> {
        let step = (high - low) / n as f64;
        (0..=n).map(|i| if i == n { high } else { low + i as f64 * step }).collect()
    };
    if low == high {
        let slack = if low == 0.0 { 0.001 } else { 0.001 * low.abs() };
        return line(low - slack, high + slack);
    }
    let mut edges = line(low, high);
    edges[0] -= (high - low) * 0.001;
    edges
}

/// -inf, the percentiles 10, 15, ..., 100, +inf. Repeats (many genes of one mean) are dropped.
fn percentiles(means: &[f64]) -> Vec<f64> {
    let mut sorted = means.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut edges = vec![f64::NEG_INFINITY];
    if let Some(last) = sorted.len().checked_sub(1) {
        for percent in (10..=100).step_by(5) {
            let at = last as f64 * (f64::from(percent) / 100.0);
            let (below, part) = (at.floor() as usize, at - at.floor());
            let (a, b) = (sorted[below], sorted[(below + 1).min(last)]);
            edges.push(if part >= 0.5 { b - (b - a) * (1.0 - part) } else { a + (b - a) * part });
        }
    }
    edges.push(f64::INFINITY);
    edges.dedup();
    edges
}

/// Genes per bin; bin i holds `edges[i] < mean <= edges[i + 1]`. Empty bins are left out.
fn bins(means: &[f64], edges: &[f64]) -> Vec<Vec<usize>> {
    let mut bins = vec![Vec::new(); edges.len().saturating_sub(1)];
    for (gene, mean) in means.iter().enumerate() {
        let bin = edges.partition_point(|edge| edge < mean);
        if bin > 0 && bin < edges.len() {
            bins[bin - 1].push(gene);
        }
    }
    bins.retain(|genes| !genes.is_empty());
    bins
}

/// A bin with a single gene gives (0, its value), so that its normalised dispersion is 1.
fn mean_and_std(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.len() == 1 {
        return (0.0, mean);
    }
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, (squares / (n - 1.0)).sqrt())
}

/// The MAD is scaled to the standard deviation of a normal distribution.
fn median_and_mad(values: &[f64]) -> (f64, f64) {
    if values.is_empty() {
        return (f64::NAN, f64::NAN);
    }
    let center = median(&mut values.to_vec());
    let mut distances: Vec<f64> = values.iter().map(|v| (v - center).abs()).collect();
    (center, median(&mut distances) / 0.674_489_750_196_081_7)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 40 cells, 400 genes of 40 different means; gene 7 is on in half of the cells only.
    fn sample() -> Csr {
        let mut dense = vec![0f32; 40 * 400];
        for cell in 0..40 {
            for gene in 0..400 {
                let wiggle = ((cell * 7 + gene * 13 + cell * gene % 11) % 5) as f32;
                dense[cell * 400 + gene] = ((gene % 40) as f32) * 0.5 + wiggle;
            }
            dense[cell * 400 + 7] = if cell % 2 == 0 { 20.0 } else { 0.0 };
        }
        Csr::from_dense(40, 400, &dense).unwrap()
    }

    #[test]
    fn every_flavor_finds_the_gene_that_varies_most() {
        for flavor in [Flavor::CellRanger, Flavor::SeuratV3] {
            let params = HvgParams { flavor, select: Select::Top(3), ..HvgParams::default() };
            let found = highly_variable_genes(&sample(), None, &params).unwrap();
            assert!(found.selected[7], "{flavor:?}");
            assert_eq!(found.genes().len(), 3, "{flavor:?}");
        }
        assert!(clams_genes(&sample(), 3).contains(&7));
        assert_eq!((clams_genes(&sample(), 100).len(), clams_genes(&sample(), 1000).len()), (100, 400));
    }

    #[test]
    fn empty_genes_and_constant_genes_do_no_harm() {
        let x = Csr::from_dense(4, 3, &[1., 0., 2., 1., 0., 0., 1., 0., 2., 1., 0., 0.]).unwrap();
        for flavor in [Flavor::Seurat, Flavor::CellRanger, Flavor::SeuratV3] {
            let params = HvgParams { flavor, select: Select::Top(1), ..HvgParams::default() };
            for batch in [None, Some([0u32, 0, 1, 1])] {
                let found = highly_variable_genes(&x, batch.as_ref().map(|b| &b[..]), &params).unwrap();
                assert_eq!(found.selected.len(), 3);
            }
        }
        assert_eq!(clams_genes(&x, 1), [2]);
    }

    #[test]
    fn wrong_requests_are_refused() {
        let params = HvgParams { flavor: Flavor::SeuratV3, ..HvgParams::default() };
        assert!(highly_variable_genes(&sample(), None, &params).is_err());
        assert!(highly_variable_genes(&sample(), Some(&[0]), &HvgParams::default()).is_err());
    }
}
