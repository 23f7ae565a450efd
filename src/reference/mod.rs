//! Every kernel as a plain loop: **the specification**. Never optimised, one thread.
//!
//! May use: `math`, `rng`, `kernel`, `backend`. One file per family; each has a `KERNELS` table of
//! its entries.
#![forbid(unsafe_code)]

pub mod elementwise;
pub mod gather;
pub mod gemm;
pub mod mmd;
pub mod norm;
pub mod optim;
pub mod random;
pub mod reduce;
pub mod sgld;
pub mod softmax;
pub mod spmm;
pub mod zinb;

use crate::backend::host::Host;
use crate::kernel::Kernel;
use std::collections::HashMap;

/// A kernel of this backend: params, buffers read, buffers written or updated.
pub type Function = fn(&[u8], &[&[u32]], &mut [&mut [u32]]);

/// The reference backend.
pub struct Reference {
    kernels: HashMap<&'static str, Function>,
}

impl Reference {
    /// With all kernels.
    pub fn new() -> Self {
        let families: &[&[(&Kernel, Function)]] = &[
            // One line per family.
            &elementwise::KERNELS,
            &gather::KERNELS,
            &gemm::KERNELS,
            &norm::KERNELS,
            &mmd::KERNELS,
            &optim::KERNELS,
            &random::KERNELS,
            &reduce::KERNELS,
            &sgld::KERNELS,
            &softmax::KERNELS,
            &spmm::KERNELS,
            &zinb::KERNELS,
        ];
        let kernels = families.iter().copied().flatten().map(|(kernel, f)| (kernel.name, *f)).collect();
        Reference { kernels }
    }
}

impl Default for Reference {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for Reference {
    const NAME: &'static str = "reference";

    fn run(&self, kernel: &str, params: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) -> Option<()> {
        (self.kernels.get(kernel)?)(params, inputs, outputs);
        Some(())
    }
}

/// Views a buffer's words as f32.
pub(crate) fn floats(words: &[u32]) -> &[f32] {
    bytemuck::cast_slice(words)
}

/// Views a buffer's words as f32, to write.
pub(crate) fn floats_mut(words: &mut [u32]) -> &mut [f32] {
    bytemuck::cast_slice_mut(words)
}
