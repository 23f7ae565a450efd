//! Work that is done again and again, recorded and replayed where the device can (CUDA graphs).

use crate::device::{Device, Recording};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// A piece of work that runs, is recorded when it comes again, and replayed from then on: a few
/// launches instead of one per kernel, and the bits of running it.
///
/// What changes from run to run are the inputs, the step of random draws, and tensors that are
/// overwritten in place (parameters, an optimiser's state and [`crate::nn::Optimizer::prepare`]d scalars,
/// running statistics). Everything else must be the same each time: what the work decides and uploads
/// on the host is decided once, and it reads no values. An input of another shape is run, not replayed.
pub struct Step<R> {
    device: Device,
    state: State<R>,
    replayed: bool,
}

enum State<R> {
    /// The shapes of the last run, which loaded its kernels.
    Ran(Option<Vec<Vec<usize>>>),
    Recorded(Box<Recorded<R>>),
    /// The device records nothing.
    Eager,
}

struct Recorded<R> {
    recording: Recording,
    /// Where the recorded launches read their inputs.
    slots: Vec<Tensor>,
    result: R,
}

impl<R: Clone> Step<R> {
    /// Work on `device`, not done yet.
    pub fn new(device: &Device) -> Self {
        Step { device: device.clone(), state: State::Ran(None), replayed: false }
    }

    /// `work(inputs, step)`, or what does the same. The inputs are constants to it; its random draws
    /// are those of step `step` as `work` was given it, which need not be `t`. A result lasts until
    /// the next run, which may overwrite it.
    ///
    /// # Errors
    /// Those of `work` and of the device.
    pub fn run(&mut self, inputs: &[&Tensor], t: u32, work: &dyn Fn(&[Tensor], u32) -> Result<R>) -> Result<R> {
        let shapes = || inputs.iter().map(|x| x.shape().to_vec()).collect::<Vec<_>>();
        if let State::Ran(last) = &mut self.state {
            let again = last.as_ref().is_some_and(|last| *last == shapes());
            *last = Some(shapes());
            if again {
                self.state = self.record(inputs, work)?;
            }
        }
        self.replayed = false;
        if let State::Recorded(recorded) = &self.state
            && recorded.slots.iter().map(Tensor::shape).eq(inputs.iter().map(|x| x.shape()))
        {
            for (input, slot) in inputs.iter().zip(&recorded.slots) {
                slot.assign(input)?;
            }
            recorded.recording.replay(t)?;
            self.replayed = true;
            return Ok(recorded.result.clone());
        }
        work(&inputs.iter().map(|x| x.detach()).collect::<Vec<_>>(), t)
    }

    fn record(&self, inputs: &[&Tensor], work: &dyn Fn(&[Tensor], u32) -> Result<R>) -> Result<State<R>> {
        let slot = |x: &&Tensor| Tensor::uninit("step", x.shape(), x.dtype(), &self.device);
        let slots = inputs.iter().map(slot).collect::<Result<Vec<_>>>()?;
        match self.device.record(|| work(&slots, 0)) {
            Ok(Some((recording, result))) => Ok(State::Recorded(Box::new(Recorded { recording, slots, result }))),
            // What is recorded keeps its memory; there may be too little for that.
            Ok(None) | Err(Error::OutOfMemory { .. }) => Ok(State::Eager),
            Err(other) => Err(other),
        }
    }

    /// Whether the last run was a replay. Then its results are the very tensors of the one before.
    pub fn replayed(&self) -> bool {
        self.replayed
    }
}
