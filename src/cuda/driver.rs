//! What a CUDA device must be able to do for [`super::Cuda`].
//!
//! May use: `error`, `plan`. The real one is `device`; the test suite has one that runs the kernels'
//! own source on the host.

use super::plan::{Chip, Step};
use crate::backend::Replay;
use crate::error::Result;
use std::any::Any;

/// Device memory; freed when dropped.
pub struct Memory {
    address: u64,
    /// Frees the memory when it is dropped.
    _owner: Box<dyn Any + Send + Sync>,
}

impl Memory {
    /// Memory at `address`, at least 16-byte aligned, that lives as long as `owner`.
    pub fn new(address: u64, owner: impl Any + Send + Sync) -> Self {
        Memory { address, _owner: Box::new(owner) }
    }

    /// Of its first byte, on the device.
    pub fn address(&self) -> u64 {
        self.address
    }
}

/// A device that holds memory and runs functions of modules, in the order it is asked to.
pub trait Driver: Send + Sync {
    /// `"cuda:0"`.
    fn name(&self) -> &str;

    /// What planners need to know of it.
    fn chip(&self) -> Chip;

    /// At least `bytes` bytes with undefined content.
    fn alloc(&self, bytes: usize) -> Result<Memory>;

    /// Copies `src` to `address`, in launch order; `src` may be reused at once.
    ///
    /// # Safety
    /// `address` is the start of live memory of this driver of at least `src.len()` bytes.
    unsafe fn upload(&self, address: u64, src: &[u8]) -> Result<()>;

    /// Copies from `address` after everything launched before, and waits for it.
    ///
    /// # Safety
    /// `address` is the start of live memory of this driver of at least `dst.len()` bytes.
    unsafe fn download(&self, address: u64, dst: &mut [u8]) -> Result<()>;

    /// Launches one function of a module; returns before it has finished.
    ///
    /// # Safety
    /// `arguments` are values of the types of the function's parameters, in order; addresses among
    /// them are live memory that the function's definition fits, and stay so until it has run.
    unsafe fn launch(&self, module: &'static str, step: &Step, arguments: &[&[u8]]) -> Result<()>;

    /// Waits for everything launched.
    fn sync(&self) -> Result<()>;

    /// From here on launches and uploads are kept instead of run. False if this driver cannot.
    fn begin_recording(&self) -> Result<bool> {
        Ok(false)
    }

    /// Ends what `begin_recording` began; the result runs what was kept.
    fn end_recording(&self) -> Result<Box<dyn Replay>> {
        unreachable!("nothing was begun")
    }
}
