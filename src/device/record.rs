//! Launches that are recorded once and replayed: a step without the cost of launching its kernels one
//! by one, where the backend can (CUDA graphs).

use super::{Device, Lease, Storage, unpoisoned};
use crate::backend::Replay;
use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A recorded step. It holds every buffer that its launches use, so that none is handed to others
/// while it can be replayed.
pub struct Recording {
    steps: Box<dyn Replay>,
    /// [`Device::counter`] of the recorded launches, if any of them reads it.
    counter: Option<Storage>,
    _held: Vec<Arc<Lease>>,
    /// Last, since what is held goes back to it.
    device: Device,
}

impl Recording {
    /// Runs the recorded launches on the buffers they were recorded with. `step` is added to the step
    /// that random draws were recorded with.
    ///
    /// # Errors
    /// Those of the device.
    pub fn replay(&self, step: u32) -> Result<()> {
        if let Some(counter) = &self.counter {
            self.device.write(counter, &[step])?;
        }
        self.device.pool().stats.launches += 1;
        self.steps.replay()
    }
}

/// What a recording under way uses.
pub(super) struct Uses {
    counter: Storage,
    held: Vec<Arc<Lease>>,
}

impl Device {
    /// Keeps what `work` launches and uploads instead of running it. The tensors that `work` returns
    /// have their values after [`Recording::replay`], and new ones after each further one. `None`, and
    /// `work` not called, on a device that cannot record: call it each time instead.
    ///
    /// What `work` decides and uploads is decided and copied once; new random numbers come with each
    /// step of [`Recording::replay`]. Run the same work once before, so that its kernels are loaded.
    /// Meanwhile no other thread may use the device.
    ///
    /// # Errors
    /// Those of `work`; `Error::Launch` if it reads a value from the device, which there is none of yet.
    pub fn record<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<Option<(Recording, R)>> {
        if self.recording() {
            return Err(not_now("another recording was begun"));
        }
        // Of this recording alone, and written before it begins.
        let mut uses = Some(Uses { counter: self.upload(&[0])?, held: Vec::new() });
        let mut work = Some(work);
        let mut result = None;
        let recorded = self.inner.backend.record(&mut || {
            let Some(work) = work.take() else { return Ok(()) };
            *unpoisoned(&self.inner.uses) = uses.take();
            self.inner.recording.store(true, Ordering::Release);
            let worked = work();
            self.inner.recording.store(false, Ordering::Release);
            result = Some(worked?);
            Ok(())
        });
        let uses = unpoisoned(&self.inner.uses).take();
        let (Some(steps), Some(Uses { counter, held })) = (recorded?, uses) else { return Ok(None) };
        let counter = held.iter().any(|lease| Arc::ptr_eq(lease, &counter.lease)).then_some(counter);
        let recording = Recording { steps, counter, _held: held, device: self.clone() };
        Ok(result.map(|result| (recording, result)))
    }

    pub(super) fn recording(&self) -> bool {
        self.inner.recording.load(Ordering::Acquire)
    }

    /// While a recording is made: the counter of its random draws.
    pub(super) fn recorded_counter(&self) -> Option<Storage> {
        if !self.recording() {
            return None;
        }
        unpoisoned(&self.inner.uses).as_ref().map(|uses| Storage { lease: uses.counter.lease.clone() })
    }

    /// While a recording is made: memory of this class that the recorded launches are done with.
    pub(super) fn reuse(&self, class: usize) -> Option<Storage> {
        if !self.recording() {
            return None;
        }
        let uses = unpoisoned(&self.inner.uses);
        // Only the recording holds it.
        let free = |lease: &&Arc<Lease>| lease.pooled && lease.buffer.bytes() == class && Arc::strong_count(lease) == 1;
        let lease = uses.as_ref()?.held.iter().find(free)?;
        Some(Storage { lease: lease.clone() })
    }

    /// While a recording is made: holds a buffer of it.
    pub(super) fn hold(&self, storage: &Storage) {
        if !self.recording() {
            return;
        }
        if let Some(Uses { held, .. }) = unpoisoned(&self.inner.uses).as_mut()
            && !held.iter().any(|lease| Arc::ptr_eq(lease, &storage.lease))
        {
            held.push(storage.lease.clone());
        }
    }

    /// Fails while a recording is made.
    pub(super) fn expect_running(&self) -> Result<()> {
        if self.recording() { Err(not_now("a value was asked for")) } else { Ok(()) }
    }
}

fn not_now(what: &str) -> Error {
    Error::Launch { kernel: "record", why: format!("{what} while a step was recorded; do that before or after") }
}
