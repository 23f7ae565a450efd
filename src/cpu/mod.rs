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
pub mod threads;
pub mod wide;
pub mod zinb;

use crate::backend::{Backend, Buffer, Call, host};
use crate::error::{Error, Result};
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

impl Backend for Cpu {
    fn name(&self) -> &str {
        "cpu"
    }

    fn alloc(&self, bytes: usize) -> Result<Buffer> {
        Ok(host::alloc(bytes))
    }

    fn upload(&self, dst: &Buffer, src: &[u8]) -> Result<()> {
        host::upload(dst, src)
    }

    fn download(&self, src: &Buffer, dst: &mut [u8]) -> Result<()> {
        host::download(src, dst)
    }

    fn launch(&self, call: &Call) -> Result<()> {
        let Some(f) = self.kernels.get(call.kernel.name) else {
            return Err(Error::Launch { kernel: call.kernel.name, why: "unknown to the cpu backend".into() });
        };
        host::launch(call, &mut |params, inputs, outputs| {
            f(params, inputs, outputs, &self.threads);
            Ok(())
        })
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}
