//! What a device must be able to do: hold buffers and run kernels. A backend knows no ops.
//!
//! May use: `error`, `kernel`. Implemented by `reference`, `cpu` (and `cuda`, `wgpu`).
#![forbid(unsafe_code)]

pub mod host;

use crate::error::Result;
use crate::kernel::Kernel;
use std::any::Any;
use std::sync::Arc;

/// Six methods, and one that a backend may have; arithmetic lives in kernels, memory reuse in
/// `device::Pool`.
pub trait Backend: Send + Sync {
    /// `"reference"`, `"cpu"`, `"cuda:0"`, `"wgpu"`.
    fn name(&self) -> &str;
    /// What its user should know, in one line.
    fn note(&self) -> Option<&str> {
        None
    }
    /// A buffer of `bytes` (rounded up to whole 32-bit words) with undefined content.
    fn alloc(&self, bytes: usize) -> Result<Buffer>;
    /// Copies `src` to the start of `dst`.
    fn upload(&self, dst: &Buffer, src: &[u8]) -> Result<()>;
    /// Copies the start of `src` into `dst`, after everything launched before.
    fn download(&self, src: &Buffer, dst: &mut [u8]) -> Result<()>;
    /// Runs a kernel, in launch order; may return before it has finished.
    fn launch(&self, call: &Call) -> Result<()>;
    /// Waits for everything launched.
    fn sync(&self) -> Result<()>;
    /// Keeps what `work` launches and uploads instead of running it; `None`, and `work` not called, if
    /// this backend cannot. Buffers that `work` uses must live as long as the result.
    fn record(&self, _work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Box<dyn Replay>>> {
        Ok(None)
    }
}

/// Launches and uploads that were recorded.
pub trait Replay: Send + Sync {
    /// Runs them all, in launch order; may return before they have finished.
    fn replay(&self) -> Result<()>;
}

/// How exactly a device computes. Only dense products on CUDA devices since capability 8.0 differ; everything
/// else is strict in every mode. A Vulkan adapter is taken as it is in any other mode than strict, unchecked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Math {
    /// The reference's bits.
    #[default]
    Strict,
    /// Inputs of products rounded to TF32 (relative error 2^-11), sums in f32 in any order.
    Fast,
    /// Inputs of products rounded to bf16 (relative error 2^-8), sums in f32 in any order.
    Bf16,
}

impl Math {
    /// As in `--math` and in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Math::Strict => "strict",
            Math::Fast => "fast",
            Math::Bf16 => "bf16",
        }
    }
}

/// Device memory of a fixed size. Cloning shares it.
#[derive(Clone)]
pub struct Buffer {
    bytes: usize,
    memory: Arc<dyn Any + Send + Sync>,
}

impl Buffer {
    /// Wraps a backend's own memory object.
    pub fn new<M: Any + Send + Sync>(bytes: usize, memory: M) -> Self {
        Buffer { bytes, memory: Arc::new(memory) }
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The backend's memory object, if it is an `M`.
    pub fn memory<M: Any>(&self) -> Option<&M> {
        self.memory.downcast_ref()
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} bytes)", self.bytes)
    }
}

/// One kernel launch.
///
/// `buffers` come in the order of `kernel.bindings`: all `Read` ones first. No buffer that is
/// written may be bound twice.
pub struct Call<'a> {
    /// What to run.
    pub kernel: &'static Kernel,
    /// The family's `Params`, as bytes.
    pub params: &'a [u8],
    /// In the order of the kernel's bindings.
    pub buffers: &'a [&'a Buffer],
    /// Number of independent work items along x, y, z, as the kernel's doc comment says; a GPU
    /// derives its grid from it, a CPU ignores it.
    pub geometry: [u32; 3],
}
