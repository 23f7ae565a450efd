//! `seurat_v3`: variance of counts, clipped and standardised by a trend over all genes
//! (Stuart et al. 2019, doi:10.1016/j.cell.2019.05.031).

use super::hvg::{Hvg, batch_codes};
use super::loess::loess;
use super::moments::{Moments, Part, PartOf, Parts, moments_of_blocks};
use super::normalize::median;
use crate::data::RowBlocks;
use crate::error::Result;

pub(super) fn select(x: &dyn RowBlocks, batch: Option<&[u32]>, n_top: usize, span: f64) -> Result<Hvg> {
    let n_genes = x.n_cols();
    let whole = moments_of_blocks(x)?;
    let codes = batch.map(batch_codes);
    let of = codes.as_ref().map(|(codes, n)| PartOf { codes, n: *n });
    let parts = match of {
        None => vec![Part { moments: whole.clone(), n: x.n_rows(), positive: Vec::new() }],
        Some(_) => Parts::new(x, of, f64::from)?.parts,
    };
    let per_batch = normalised_variances(x, of, &parts, span)?;
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
    Ok(Hvg {
        selected,
        means: whole.mean,
        dispersions: whole.variance,
        dispersions_norm: (0..n_genes).map(mean_of).collect(),
        rank: Some(rank),
        n_batches,
    })
}

/// Variance of (count - mean) / (trend's deviation) in each part of the cells, counts clipped at
/// sqrt(n) deviations.
fn normalised_variances(x: &dyn RowBlocks, of: Option<PartOf>, parts: &[Part], span: f64) -> Result<Vec<Vec<f64>>> {
    let n_genes = x.n_cols();
    let deviation: Vec<Vec<f64>> = parts.iter().map(|part| deviations(&part.moments, span)).collect();
    let clip: Vec<Vec<f64>> = parts
        .iter()
        .zip(&deviation)
        .map(|(part, deviation)| {
            let bound = |(d, m): (&f64, &f64)| d * (part.n as f64).sqrt() + m;
            deviation.iter().zip(&part.moments.mean).map(bound).collect()
        })
        .collect();
    let mut sums = vec![vec![(0f64, 0f64); n_genes]; parts.len()];
    x.pass(&mut |first, block| {
        for row in 0..block.n_rows() {
            let part = of.map_or(0, |of| of.codes[first + row]);
            let (sums, clip) = (&mut sums[part], &clip[part]);
            let (columns, values) = block.row(row);
            for (&gene, &value) in columns.iter().zip(values) {
                let gene = gene as usize;
                let value = f64::from(value).min(clip[gene]);
                sums[gene].0 += value;
                sums[gene].1 += value * value;
            }
        }
        Ok(())
    })?;
    let variance = |part: usize, g: usize| {
        let (m, n) = (parts[part].moments.mean[g], parts[part].n as f64);
        let ((sum, squares), deviation) = (sums[part][g], deviation[part][g]);
        (n * m * m + squares - 2.0 * sum * m) / ((n - 1.0) * deviation * deviation)
    };
    Ok((0..parts.len()).map(|part| (0..n_genes).map(|g| variance(part, g)).collect()).collect())
}

/// The standard deviation that the trend expects of each gene.
fn deviations(moments: &Moments, span: f64) -> Vec<f64> {
    let n_genes = moments.mean.len();
    let varying: Vec<usize> = (0..n_genes).filter(|&g| moments.variance[g] > 0.0).collect();
    let log_of = |values: &[f64]| -> Vec<f64> { varying.iter().map(|&g| values[g].log10()).collect() };
    let trend = loess(&log_of(&moments.mean), &log_of(&moments.variance), span);
    let mut deviation = vec![1f64; n_genes];
    for (&gene, log_variance) in varying.iter().zip(trend) {
        deviation[gene] = 10f64.powf(log_variance).sqrt();
    }
    deviation
}
