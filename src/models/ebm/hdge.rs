//! HDGE's contrastive estimate of the density (Liu & Abbeel 2020): a cell's score against the scores
//! of many past cells, whose logits are kept in a memory (CLAMS specification, section 5).
//!
//! With `v = z/|z|` and class weights d, `s = log sum_c exp(d_c v_c)` of the cell and of every remembered
//! one, the loss is `-log softmax([s+, s_1 .. s_K]/tau)_0`. For d = onehot(y) a remembered cell's score
//! depends on the class alone, so all K of them enter through one number per class,
//! `lse_y = logsumexp_k s_k(y)/tau`, and the loss is `softplus(lse_y - s+/tau)`.

use super::train::Named;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::sampler::{normal, overwrite_rows};
use crate::rng::{Stream, stream};
use crate::tensor::{Tensor, no_grad};
use serde::{Deserialize, Serialize};

/// Which scores are contrasted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contrast {
    /// `p(x|y)`: `log(C - 1 + e^(v_y))` (the authors' code).
    #[default]
    Class,
    /// `p(x)`: `logsumexp v`.
    Cell,
    /// The paper's formula: the logit `z_y` as it is.
    Logit,
}

/// The contrastive term; defaults of the specification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HdgeConfig {
    /// Remembered cells K.
    pub memory: usize,
    /// Temperature.
    pub tau: f32,
    /// What is contrasted.
    pub contrast: Contrast,
}

impl Default for HdgeConfig {
    fn default() -> Self {
        HdgeConfig { memory: 65_536, tau: 0.1, contrast: Contrast::Class }
    }
}

/// What the contrastive term reports of an iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContrastLog {
    /// The loss, in nats; `ln(K + 1)` where nothing tells the cell from the remembered ones.
    pub loss: f32,
    /// Share of cells whose score is above all remembered ones.
    pub top1: f32,
    /// Entries of the memory that are still random.
    pub random_left: usize,
}

/// The loss of a batch and the share of cells above all remembered ones.
#[derive(Clone)]
pub struct Contrasted {
    /// Mean loss, on the tape.
    pub loss: Tensor,
    /// See [`ContrastLog::top1`].
    pub top1: Tensor,
}

/// Logits of past cells, first in first out.
pub struct Memory {
    config: HdgeConfig,
    /// `[K, C]`, raw.
    slots: Tensor,
    /// Logits written so far.
    written: u64,
}

impl Memory {
    /// What it is called in a state.
    pub const NAME: &'static str = "memory";

    /// Normal numbers to begin with.
    ///
    /// # Errors
    /// `Error::Usage` for a memory shorter than a batch; device errors.
    pub fn new(config: &HdgeConfig, batch: usize, classes: usize, seed: u64, device: &Device) -> Result<Memory> {
        if config.memory < batch || !(config.tau > 0.0) {
            return Err(Error::usage(
                format!("hdge: a memory of {} for batches of {batch}, temperature {}", config.memory, config.tau),
                "give a memory of at least a batch and a temperature above 0",
            ));
        }
        let slots = normal(Stream::new(seed, stream::MEMORY), 0.0, 1.0, &[config.memory, classes], device)?;
        Ok(Memory { config: config.clone(), slots, written: 0 })
    }

    /// All remembered logits, `[K, C]`.
    pub fn slots(&self) -> &Tensor {
        &self.slots
    }

    /// Logits written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Entries that are still random.
    pub fn random_left(&self) -> usize {
        self.config.memory.saturating_sub(usize::try_from(self.written).unwrap_or(usize::MAX))
    }

    /// Scores of logits `[n, C]`, `[n, C]` by class or `[n, 1]` where the class does not matter.
    fn scores(&self, z: &Tensor) -> Result<Tensor> {
        let unit = |z: &Tensor| z.div(&z.norm(&[1], true)?.add_scalar(1e-12)?);
        match self.config.contrast {
            Contrast::Class => unit(z)?.exp()?.add_scalar(z.size(1) as f32 - 1.0)?.ln(),
            Contrast::Cell => unit(z)?.logsumexp()?.unsqueeze(1),
            Contrast::Logit => Ok(z.clone()),
        }
    }

    /// The loss of cells with logits `z` `[n, C]` and labels `y` `[n]`. No gradient reaches the memory.
    ///
    /// # Errors
    /// Device errors.
    pub fn contrast(&self, z: &Tensor, y: &Tensor) -> Result<Contrasted> {
        let own = self.scores(z)?;
        let y = match self.config.contrast {
            Contrast::Cell => Tensor::from_u32(&vec![0; y.numel()], y.shape(), y.device())?,
            _ => y.clone(),
        };
        let own = own.gather(1, &y.unsqueeze(1)?)?.reshape(&[y.numel()])?;
        let (others, highest) = no_grad(|| {
            let table = self.scores(&self.slots)?.t()?;
            let others = table.mul_scalar(1.0 / self.config.tau)?.logsumexp()?;
            Ok::<_, Error>((others.index_select(&y)?, table.amax(&[1], false)?.index_select(&y)?))
        })?;
        let loss = others.sub(&own.mul_scalar(1.0 / self.config.tau)?)?.softplus()?.mean_all()?;
        let top1 = no_grad(|| own.gt(&highest)?.mean_all())?;
        Ok(Contrasted { loss, top1 })
    }

    /// Where the next `n` logits go.
    pub fn next(&self, n: usize) -> Vec<u32> {
        let k = self.config.memory as u64;
        (0..n as u64).map(|i| ((self.written + i) % k) as u32).collect()
    }

    /// Remembers `z` `[n, C]` at [`Memory::next`], as a tensor; [`Memory::advance`] counts it.
    pub fn write(&self, next: &Tensor, z: &Tensor) -> Result<()> {
        overwrite_rows(&self.slots, next, &z.detach())
    }

    /// Counts `n` logits as written.
    pub fn advance(&mut self, n: usize) {
        self.written += n as u64;
    }

    /// For a checkpoint, with [`Memory::written`].
    pub fn export(&self) -> Result<Named> {
        Ok((Memory::NAME.into(), self.slots.shape().to_vec(), self.slots.to_vec()?))
    }

    /// Puts back what [`Memory::export`] gave after `written` logits.
    pub fn import(&mut self, values: &[f32], written: u64) -> Result<()> {
        self.slots.overwrite(values)?;
        self.written = written;
        Ok(())
    }
}
