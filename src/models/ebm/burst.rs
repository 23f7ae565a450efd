//! Iterations that were launched and not yet heard of: their figures stay on the device until the host
//! asks for all of them at once.

use super::log::StepLog;
use super::objective::Batch;
use crate::device::Device;
use crate::error::Result;
use crate::tensor::{Dtype, Tensor};

/// Most iterations between two waits of the host.
pub const BURST: u64 = 16;

/// Figures of an iteration beside the scores of its cells, at most.
const ALONE: usize = 16;

/// The iterations since the host last waited.
pub(super) struct Burst {
    /// Their figures, one after the other.
    figures: Tensor,
    used: usize,
    pending: Vec<(StepLog, Batch, usize)>,
}

impl Burst {
    /// For iterations that report scores of `batch` real and as many other cells.
    pub fn new(batch: usize, device: &Device) -> Result<Burst> {
        let room = BURST as usize * (ALONE + 2 * batch);
        Ok(Burst { figures: Tensor::uninit("burst", &[room], Dtype::F32, device)?, used: 0, pending: Vec::new() })
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Keeps an iteration's figures `[n]`, which the next one overwrites.
    ///
    /// # Errors
    /// `Error::Shape` if they do not fit; device errors.
    pub fn push(&mut self, log: StepLog, batch: Batch, figures: &Tensor) -> Result<()> {
        let n = figures.numel();
        self.figures.narrow(0, self.used, n)?.assign(figures)?;
        self.used += n;
        self.pending.push((log, batch, n));
        Ok(())
    }

    /// All pending iterations with their figures. Waits for the device.
    pub fn take(&mut self) -> Result<Vec<(StepLog, Batch, Vec<f32>)>> {
        let values = self.figures.narrow(0, 0, std::mem::take(&mut self.used))?.to_vec()?;
        let mut rest = values.as_slice();
        let told = std::mem::take(&mut self.pending).into_iter().map(|(log, batch, n)| {
            let (own, after) = rest.split_at(n);
            rest = after;
            (log, batch, own.to_vec())
        });
        Ok(told.collect())
    }
}
