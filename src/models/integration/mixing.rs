//! How well batches are mixed and labels kept apart, before and after.

use crate::analysis::lisi::{lisi, median};
use crate::error::Result;
use crate::rng::{Stream, stream};
use serde::Serialize;

/// Neighbourhoods have an effective size of this many cells.
const PERPLEXITY: f64 = 30.0;
/// Cells that are looked at; of more, so many are drawn.
const MOST: usize = 10_000;

/// LISI over the cells (Korsunsky et al. 2019): the effective number of batches, or of labels, around a
/// cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mixing {
    /// Of batches, mean: 1 is apart, the number of batches is mixed.
    pub ilisi: f64,
    /// Its median.
    pub ilisi_median: f64,
    /// Of labels, mean: 1 is one label around every cell.
    pub clisi: Option<f64>,
    /// Its median.
    pub clisi_median: Option<f64>,
}

/// Of cells `x` `[n, d]`.
///
/// # Errors
/// As [`lisi`].
pub(super) fn mixing(x: &[f64], d: usize, batch: &[u32], labels: Option<&[u32]>, seed: u64) -> Result<Mixing> {
    let n = batch.len();
    let mut rows: Vec<u32> = (0..n as u32).collect();
    if n > MOST {
        rows = Stream::new(seed, stream::SUBSAMPLE).rng().sample_without_replacement(n, MOST);
        rows.sort_unstable();
    }
    let perplexity = PERPLEXITY.min((rows.len().saturating_sub(1) as f64 / 3.0).max(1.0));
    let x: Vec<f64> = rows.iter().flat_map(|&r| &x[r as usize * d..(r as usize + 1) * d]).copied().collect();
    let of = |codes: &[u32]| -> Result<(f64, f64)> {
        let codes: Vec<u32> = rows.iter().map(|&r| codes[r as usize]).collect();
        let all = lisi(&x, d, &codes, perplexity)?;
        Ok((all.iter().sum::<f64>() / all.len().max(1) as f64, median(all)))
    };
    let (ilisi, ilisi_median) = of(batch)?;
    let labels = labels.map(of).transpose()?;
    Ok(Mixing { ilisi, ilisi_median, clisi: labels.map(|l| l.0), clisi_median: labels.map(|l| l.1) })
}
