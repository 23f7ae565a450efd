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
    _held: Vec<Arc<Lease>>,
    /// Last, since what is held goes back to it.
    device: Device,
}

impl Recording {
    /// Runs the recorded launches on the buffers they were recorded with.
    ///
    /// # Errors
    /// Those of the device.
    pub fn replay(&self) -> Result<()> {
        self.device.pool().stats.launches += 1;
        self.steps.replay()
    }
}

impl Device {
    /// Keeps what `work` launches and uploads instead of running it. The tensors that `work` returns
    /// have their values after [`Recording::replay`], and new ones after each further one. `None`, and
    /// `work` not called, on a device that cannot record: call it each time instead.
    ///
    /// What `work` decides on the host is decided once; to draw new numbers each time, its random
    /// kernels read a counter that is written before a replay. Run the same work once before, so that
    /// its kernels are loaded. Meanwhile no other thread may use the device.
    ///
    /// # Errors
    /// Those of `work`; `Error::Launch` if it reads a value from the device, which there is none of yet.
    pub fn record<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<Option<(Recording, R)>> {
        if self.recording() {
            return Err(not_now("another recording was begun"));
        }
        let mut work = Some(work);
        let mut result = None;
        let recorded = self.inner.backend.record(&mut || {
            let Some(work) = work.take() else { return Ok(()) };
            *unpoisoned(&self.inner.held) = Some(Vec::new());
            self.inner.recording.store(true, Ordering::Release);
            let worked = work();
            self.inner.recording.store(false, Ordering::Release);
            result = Some(worked?);
            Ok(())
        });
        let held = unpoisoned(&self.inner.held).take().unwrap_or_default();
        let Some(steps) = recorded? else { return Ok(None) };
        let recording = Recording { steps, _held: held, device: self.clone() };
        Ok(result.map(|result| (recording, result)))
    }

    pub(super) fn recording(&self) -> bool {
        self.inner.recording.load(Ordering::Acquire)
    }

    /// While a recording is made: memory of this class that the recorded launches are done with.
    pub(super) fn reuse(&self, class: usize) -> Option<Storage> {
        if !self.recording() {
            return None;
        }
        let held = unpoisoned(&self.inner.held);
        // Only the recording holds it.
        let free = |lease: &&Arc<Lease>| lease.pooled && lease.buffer.bytes() == class && Arc::strong_count(lease) == 1;
        let lease = held.as_ref()?.iter().find(free)?;
        Some(Storage { lease: lease.clone() })
    }

    /// While a recording is made: holds a buffer of it.
    pub(super) fn hold(&self, storage: &Storage) {
        if !self.recording() {
            return;
        }
        if let Some(held) = unpoisoned(&self.inner.held).as_mut()
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
