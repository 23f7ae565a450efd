//! The kernels of [`mod@crate::reference`], fast: several threads, vector instructions, the same bits.
//!
//! May use: `math`, `rng`, `kernel`, `backend`. One file per family, each with a `KERNELS` table.

pub mod ceiling;
pub mod dgemm;
pub mod elementwise;
pub mod gather;
pub mod gemm;
mod lanes;
pub mod mmd;
pub mod norm;
pub mod optim;
pub mod random;
pub mod reduce;
pub mod sgld;
pub mod simd;
pub mod softmax;
pub mod spmm;
pub mod stream;
pub mod sums;
mod team;
pub mod threads;
pub mod wide;
pub mod zinb;

use crate::backend::host::Host;
use crate::kernel::Kernel;
use std::collections::HashMap;
pub use threads::Threads;

/// A kernel of this backend: params, buffers read, buffers written or updated, threads.
pub type Function = fn(&[u8], &[&[u32]], &mut [&mut [u32]], &Threads);

/// The CPU backend.
pub struct Cpu {
    kernels: HashMap<&'static str, Function>,
    threads: Threads,
}

impl Cpu {
    /// With a number of threads of its own.
    pub fn new(threads: usize) -> Self {
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
        Cpu { kernels, threads: Threads::new(threads) }
    }
}

impl Host for Cpu {
    const NAME: &'static str = "cpu";

    fn run(&self, kernel: &str, params: &[u8], inputs: &[&[u32]], outputs: &mut [&mut [u32]]) -> Option<()> {
        (self.kernels.get(kernel)?)(params, inputs, outputs, &self.threads);
        Some(())
    }
}
