//! Batch correction by an energy-based model (Liu et al., appendix A.4; CLAMS specification, section 9).
//!
//! One class and no labels: the model learns the density of reference cells, and its replay buffer *is*
//! the query, slot i the cell i for ever. Each time a cell is drawn its chain climbs on towards the
//! reference; when every cell has been drawn often enough, the buffer is the corrected query.

use super::cells::Cells;
use super::clip::Clip;
use super::config::{EbmConfig, LossConfig, NetConfig, OptimConfig, SgldConfig};
use super::joint::BUFFER;
use super::log::{Divergence, StepLog};
use super::train::{Select, Trainer};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::Act;
use serde::{Deserialize, Serialize};

/// How a query is corrected; defaults of the specification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorrectConfig {
    /// The network.
    pub net: NetConfig,
    /// Learning rate of Adam.
    pub lr: f64,
    /// Cells per step, of the reference and of the query.
    pub batch: usize,
    /// Langevin steps each time a cell is drawn.
    pub steps: usize,
    /// Step size.
    pub alpha: f32,
    /// Noise standard deviation: more of it takes cells from type to type.
    pub sigma: f32,
    /// How often every cell is drawn, at least.
    pub visits: usize,
}

impl Default for CorrectConfig {
    fn default() -> Self {
        CorrectConfig {
            net: NetConfig { widths: vec![64, 32], blocks: vec![1, 1], act: Act::Elu, norm: false, dropout: 0.0 },
            lr: 1e-3,
            batch: 64,
            steps: 20,
            alpha: 0.1,
            sigma: 0.01,
            visits: 20,
        }
    }
}

/// A corrected query.
#[derive(Clone, Debug)]
pub struct Corrected {
    /// `[n, d]`
    pub x: Vec<f32>,
    /// The same at the start, after a quarter and after half of the iterations.
    pub snapshots: [Vec<f32>; 3],
    /// Iterations done.
    pub iterations: u64,
    /// Whether and when the training diverged; what was reached before is kept.
    pub divergence: Divergence,
}

/// Moves `query` `[n, d]` towards the density of `reference` `[m, d]`; both in units of the reference's
/// standard deviations. `each` hears of every iteration and their number, and may stop it.
///
/// # Errors
/// `Error::Data` without cells; those of `each` and of the device.
pub fn correct(
    reference: &[f32],
    query: &[f32],
    d: usize,
    config: &CorrectConfig,
    seed: u64,
    device: &Device,
    each: &mut dyn FnMut(u64, &StepLog) -> Result<()>,
) -> Result<Corrected> {
    let n = query.len().checked_div(d).unwrap_or(0);
    if n == 0 || !query.iter().chain(reference).all(|v| v.is_finite()) {
        return Err(Error::data("batch correction", "no finite cells to correct", "check --batch-key"));
    }
    let cells = |x: &[f32]| Cells { x: x.to_vec(), y: vec![0; x.len() / d], features: d };
    let ebm = EbmConfig {
        net: config.net.clone(),
        optim: OptimConfig {
            lr: config.lr,
            batch: config.batch,
            epochs: usize::MAX,
            decay_epochs: Vec::new(),
            ..OptimConfig::default()
        },
        sgld: SgldConfig {
            steps: config.steps,
            alpha: config.alpha,
            sigma: config.sigma,
            buffer: n,
            reinit: 0.0,
            ..SgldConfig::default()
        },
        // One class: the cross-entropy is 0 whatever the network says.
        loss: LossConfig { clip: Clip::Elu, p_on: 1.0, w_y: 0.0, ..LossConfig::default() },
        ..EbmConfig::default()
    };
    let mut trainer = Trainer::new(ebm, Select::Last, cells(reference), cells(&[]), 1, seed, device)?;
    trainer.objective.set_generative(&[(BUFFER.into(), vec![n, d], query.to_vec())])?;
    let total = iterations(&trainer, n, config);
    let mut snapshots = [query.to_vec(), Vec::new(), Vec::new()];
    for (slot, until) in [(1, total.div_ceil(4)), (2, total.div_ceil(2)), (0, total)] {
        while trainer.iteration() < until && !trainer.finished() {
            trainer.steps(until, &|| false)?.iter().try_for_each(|log| each(total, log))?;
        }
        if slot > 0 && !trainer.finished() {
            snapshots[slot] = buffer(&trainer)?;
        }
    }
    Ok(Corrected {
        x: buffer(&trainer)?,
        snapshots,
        iterations: trainer.iteration(),
        divergence: trainer.divergence().clone(),
    })
}

fn buffer(trainer: &Trainer) -> Result<Vec<f32>> {
    trainer.sampler().map_or_else(|| Ok(Vec::new()), |sampler| sampler.buffer().slots().to_vec())
}

/// How many iterations it takes to draw each of `n` cells often enough: the draws are known beforehand.
fn iterations(trainer: &Trainer, n: usize, config: &CorrectConfig) -> u64 {
    let Some(sampler) = trainer.sampler() else { return 0 };
    let mut left = vec![config.visits; n];
    let mut waiting = if config.visits == 0 { 0 } else { n };
    let mut t = 0;
    while waiting > 0 {
        for slot in sampler.slots_of(config.batch.min(trainer.batch_size()), t) {
            let left = &mut left[slot as usize];
            waiting -= usize::from(*left == 1);
            *left = left.saturating_sub(1);
        }
        t += 1;
    }
    u64::from(t)
}
