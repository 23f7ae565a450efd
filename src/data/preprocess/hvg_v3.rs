//! `seurat_v3`: variance of counts, clipped and standardised by a trend over all genes
//! (Stuart et al. 2019, doi:10.1016/j.cell.2019.05.031).

use super::hvg::{Hvg, rows_by_batch};
use super::loess::loess;
use super::moments::column_moments;
use super::normalize::median;
use crate::data::Csr;

pub(super) fn select(x: &Csr, batch: Option<&[u32]>, n_top: usize, span: f64) -> Hvg {
    let n_genes = x.n_cols();
    let whole = column_moments(x);
    let per_batch: Vec<Vec<f64>> = match batch {
        None => vec![normalised_variance(x, span)],
        Some(batch) => {
            rows_by_batch(batch).iter().map(|rows| normalised_variance(&x.select_rows(rows), span)).collect()
        }
    };
    let mut good_ranks = vec![Vec::new(); n_genes];
    for variances in &per_batch {
        let key = |g: usize| if variances[g].is_nan() { f64::NEG_INFINITY } else { variances[g] };
        let mut order: Vec<usize> = (0..n_genes).collect();
        order.sort_by(|&a, &b| key(b).total_cmp(&key(a)));
        for (rank, &gene) in order.iter().enumerate().take(n_top) {
            good_ranks[gene].push(rank as f64);
        }
    }
    let n_batches: Vec<usize> = good_ranks.iter().map(Vec::len).collect();
    let rank: Vec<f64> = good_ranks.iter_mut().map(|r| if r.is_empty() { f64::NAN } else { median(r) }).collect();
    let mut order: Vec<usize> = (0..n_genes).collect();
    let key = |g: usize| if rank[g].is_nan() { f64::INFINITY } else { rank[g] };
    order.sort_by(|&a, &b| key(a).total_cmp(&key(b)).then(n_batches[b].cmp(&n_batches[a])));
    let mut selected = vec![false; n_genes];
    order.iter().take(n_top).for_each(|&gene| selected[gene] = true);
    let mean_of = |g: usize| per_batch.iter().map(|v| v[g]).sum::<f64>() / per_batch.len() as f64;
    Hvg {
        selected,
        means: whole.mean,
        dispersions: whole.variance,
        dispersions_norm: (0..n_genes).map(mean_of).collect(),
        rank: Some(rank),
        n_batches,
    }
}

/// Variance of (count - mean) / (trend's deviation), counts clipped at sqrt(n) deviations.
fn normalised_variance(x: &Csr, span: f64) -> Vec<f64> {
    let n = x.n_rows() as f64;
    let moments = column_moments(x);
    let varying: Vec<usize> = (0..x.n_cols()).filter(|&g| moments.variance[g] > 0.0).collect();
    let log_of = |values: &[f64]| -> Vec<f64> { varying.iter().map(|&g| values[g].log10()).collect() };
    let trend = loess(&log_of(&moments.mean), &log_of(&moments.variance), span);
    let mut deviation = vec![1f64; x.n_cols()];
    for (&gene, log_variance) in varying.iter().zip(trend) {
        deviation[gene] = 10f64.powf(log_variance).sqrt();
    }
    let clip: Vec<f64> = deviation.iter().zip(&moments.mean).map(|(d, m)| d * n.sqrt() + m).collect();
    let (mut sums, mut squares) = (vec![0f64; x.n_cols()], vec![0f64; x.n_cols()]);
    for (&gene, &value) in x.indices().iter().zip(x.values()) {
        let gene = gene as usize;
        let value = f64::from(value).min(clip[gene]);
        sums[gene] += value;
        squares[gene] += value * value;
    }
    (0..x.n_cols())
        .map(|g| {
            let m = moments.mean[g];
            (n * m * m + squares[g] - 2.0 * sums[g] * m) / ((n - 1.0) * deviation[g] * deviation[g])
        })
        .collect()
}
