//! Langevin chains that are recorded once and replayed, where the device can (CUDA graphs).

use super::Sgld;
use crate::device::{Recording, Storage};
use crate::error::Result;
use crate::kernel::gather::{COPY, CopyParams};
use crate::rng::Stream;
use crate::tensor::Tensor;

/// Chains of one shape that are run again and again: recorded at their second run, where the device
/// can record, and replayed from then on. The bits are those of [`Sgld::run`].
///
/// The score must be the same function each time, of the same tensors (their values may change, in
/// place), and draw no random numbers.
pub struct Chain {
    sgld: Sgld,
    shape: Vec<usize>,
    state: State,
}

enum State {
    New,
    /// Run once, so that its kernels are loaded.
    Warm,
    Recorded(Box<Recorded>),
    /// The device records nothing.
    Eager,
}

struct Recorded {
    recording: Recording,
    /// Where the chains start and end.
    x: Tensor,
    /// One word: the step of the draws.
    step: Storage,
    /// The draws that were recorded, but for their step.
    draws: Stream,
}

impl Chain {
    /// Chains `[chains, d]`.
    pub fn new(sgld: Sgld, shape: &[usize]) -> Self {
        Chain { sgld, shape: shape.to_vec(), state: State::New }
    }

    /// Whether these are chains of that kind and shape.
    pub fn fits(&self, sgld: &Sgld, shape: &[usize]) -> bool {
        self.sgld == *sgld && self.shape == shape
    }

    /// [`Sgld::run`].
    pub fn run(&mut self, start: &Tensor, draws: Stream, score: &dyn Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        if let State::Warm = self.state {
            let x = start.detach().copy()?;
            let step = x.device().upload(&[0])?;
            let draws = draws.at(0);
            let record = x.device().record(|| self.sgld.advance(&x, draws, &step, score))?;
            self.state = match record {
                Some((recording, ())) => State::Recorded(Box::new(Recorded { recording, x, step, draws })),
                None => State::Eager,
            };
        }
        if let State::Recorded(recorded) = &self.state
            && recorded.draws == draws.at(0)
        {
            let device = recorded.x.device();
            let params = CopyParams { src: start.layout(), dst: recorded.x.layout() };
            let n = start.numel() as u32;
            device.launch(&COPY, &params, &[start.storage(), recorded.x.storage()], [n, 1, 1])?;
            device.write(&recorded.step, &[draws.step])?;
            recorded.recording.replay()?;
            return recorded.x.copy();
        }
        if let State::New = self.state {
            self.state = State::Warm;
        }
        self.sgld.run(start, draws, score)
    }
}
