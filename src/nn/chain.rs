//! Langevin chains that are recorded once and replayed, where the device can (CUDA graphs).

use super::{Sgld, Step};
use crate::error::Result;
use crate::rng::Stream;
use crate::tensor::Tensor;

/// Chains of one shape that are run again and again: recorded at their second run, where the device
/// can record, and replayed from then on. The bits are those of [`Sgld::run`].
///
/// The score must be the same function each time, of the same tensors (their values may change, in
/// place).
pub struct Chain {
    sgld: Sgld,
    shape: Vec<usize>,
    /// The chains, and their draws but for the step.
    step: Option<(Step<Tensor>, Stream)>,
}

impl Chain {
    /// Chains `[chains, d]`.
    pub fn new(sgld: Sgld, shape: &[usize]) -> Self {
        Chain { sgld, shape: shape.to_vec(), step: None }
    }

    /// Whether these are chains of that kind and shape.
    pub fn fits(&self, sgld: &Sgld, shape: &[usize]) -> bool {
        self.sgld == *sgld && self.shape == shape
    }

    /// [`Sgld::run`].
    pub fn run(&mut self, start: &Tensor, draws: Stream, score: &dyn Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let (step, recorded) = self.step.get_or_insert_with(|| (Step::new(start.device()), draws.at(0)));
        if *recorded != draws.at(0) {
            return self.sgld.run(start, draws, score);
        }
        let x = step.run(&[start], draws.step, &|inputs, t| self.sgld.run(&inputs[0], draws.at(t), score))?;
        if step.replayed() { x.copy() } else { Ok(x) }
    }
}
